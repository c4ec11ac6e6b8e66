"""Replaces one of the user's files by what was made of it, unless somebody else has changed it meanwhile."""

import contextlib
import hashlib
import os
import stat
import tempfile
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
        ExportError: the file has other content than expected, is gone, or is not a file of its own.
        OSError: the file system refuses. In both cases the file is as it was.
    """
    target = Path(os.path.realpath(path))
    folder = target.parent
    _check(target, path, expected_sha256)
    # Hidden, and not named *.toml: no include finds it.
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=folder)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
            file.write(text.encode())
            _copy_attributes(target, file.fileno())
            file.flush()
            os.fsync(file.fileno())
        _check(target, path, expected_sha256)
        os.replace(name, target)  # noqa: PTH105  # says that it is rename(2)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108  # as above
        raise
    _sync_folder(folder)


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
