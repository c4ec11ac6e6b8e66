"""Writes files of the user, each completely or not at all."""

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from mcproxy.errors import ExportError


def replace_atomically(path: Path, text: str, expected_sha256: str) -> None:
    """Make ``text`` the content of the file: afterwards, also of a crash, it has the old content or the new, whole.

    Mode, owner, group and extended attributes stay; so does a symbolic link, whose target is replaced.

    Args:
        path: a regular file that exists.
        text: the new content, written as UTF-8, its line ends as they are.
        expected_sha256: of the content that ``text`` was made from, in hex.

    Raises:
        ExportError: the file has other content than expected, is gone, is not a file of its own, or can't be replaced where it is.
        OSError: the file system refuses. In both cases the file is as it was.
    """
    target = Path(os.path.realpath(path))
    folder = target.parent
    _check(target, path, expected_sha256)
    descriptor, name = _beside(target, path)
    try:
        with _told_of(path), open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
            file.write(text.encode())
            _copy_attributes(target, file.fileno())
            file.flush()
            os.fsync(file.fileno())
        _check(target, path, expected_sha256)
        _rename(name, target, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108  # as above
        raise
    _sync_folder(folder)


def write_whole(path: Path, pieces: Iterable[bytes], *, replace: bool, private: bool = True) -> int:
    """Write a file, which appears at its path when all of it is on the disk; return its size in bytes.

    Args:
        path: where it is to be.
        pieces: its content; where they end with an exception nothing is written.
        replace: whether it may take the place of another file.
        private: it is for its owner alone; else for those for whom the other file was, or for all that the umask leaves.

    Raises:
        FileExistsError: there is a file, and it may not be replaced.
        ExportError: what is there is no regular file, or can't be replaced; nothing can be written there.
        OSError: the file system refuses.
    """
    target = Path(os.path.realpath(path))
    _make_sure_of_room(target, path, replace=replace)
    descriptor, name = _beside(target, path)
    try:
        with _told_of(path), open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
            size = sum(map(file.write, pieces))
            if not private:
                _publish(target, file.fileno())
            file.flush()
            os.fsync(file.fileno())
        _make_sure_of_room(target, path, replace=replace)
        _rename(name, target, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108  # as above
        raise
    _sync_folder(target.parent)
    return size


@contextlib.contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Say which file it is that can't be written: errors of a descriptor do not know."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise ExportError(f"{path} can't be written: {error.strerror}; nothing was written") from error


def _publish(target: Path, descriptor: int) -> None:
    if target.exists():
        _copy_attributes(target, descriptor)
        return
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(descriptor, 0o666 & ~mask)


def _beside(target: Path, path: Path) -> tuple[int, str]:
    """Make a new file in the folder of another one; return its descriptor and its name."""
    try:
        # Hidden, and not named *.toml: no include finds it.
        return tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    except OSError as error:
        why = f"no file can be made in its folder {target.parent}: {error.strerror}"
        raise ExportError(f"{path} can't be written: {why}; nothing was written") from error


def _rename(name: str, target: Path, path: Path) -> None:
    """Put a new file in the place of another one."""
    try:
        os.replace(name, target)  # noqa: PTH105  # says that it is rename(2)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise ExportError(
            f"{path} can't be replaced: a file system is mounted there (a bind mount, as containers make of single files); "
            "nothing was written. Mount its folder instead, or write into the file what the command prints without --write"
        ) from error


def _make_sure_of_room(target: Path, path: Path, *, replace: bool) -> None:
    """Refuse to take the place of what is there, unless it is a regular file that may be replaced."""
    if not target.exists():
        return
    if not target.is_file():
        raise ExportError(f"{path} is not a regular file; nothing was written")
    if not replace:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _check(target: Path, path: Path, expected_sha256: str) -> None:
    """Refuse to replace what is not as expected."""
    try:
        if not stat.S_ISREG(target.stat().st_mode):  # reading a pipe would wait
            raise ExportError(f"{path} is not a regular file; nothing was written")
        content = target.read_bytes()
    except FileNotFoundError:
        raise ExportError(f"{path} is gone; nothing was written") from None
    if hashlib.sha256(content).hexdigest() != expected_sha256:
        raise ExportError(f"{path} has changed since the export was made; nothing was written: export again")


def _copy_attributes(source: Path, descriptor: int) -> None:
    wanted = source.stat()
    present = os.fstat(descriptor)
    if (wanted.st_uid, wanted.st_gid) != (present.st_uid, present.st_gid):
        os.fchown(descriptor, wanted.st_uid, wanted.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(wanted.st_mode))  # after the owner, whose change takes bits away
    try:
        names = os.listxattr(source)
    except OSError:
        return  # a file system without them
    for name in names:
        if not name.startswith("security."):  # labels that the system gives by itself
            os.setxattr(descriptor, name, os.getxattr(source, name))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
