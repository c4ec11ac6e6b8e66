"""Replacing a user's file: whole or not at all, and never over somebody else's change."""

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcproxy.cli.common.write_file import replace_atomically, write_whole
from mcproxy.errors import ExportError
from tests.support.mounts import bound

OLD = "a = 1 # é\r\n"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with content of its own, alone in its folder."""
    path = tmp_path / "folder/mc-proxy.toml"
    path.parent.mkdir()
    path.write_bytes(OLD.encode())
    return path


def test_the_file_has_the_new_content_and_its_mode(file: Path) -> None:
    """Bytes as given, also its line ends; nothing is left beside it."""
    file.chmod(0o640)
    before = file.stat()
    replace_atomically(file, "b = 2 # ü\r\n", sha256(OLD))
    assert file.read_bytes() == "b = 2 # ü\r\n".encode()
    after = file.stat()
    assert (stat.S_IMODE(after.st_mode), after.st_uid, after.st_gid) == (0o640, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino  # renamed over, not written in place
    assert names(file.parent) == [file.name]


def test_a_file_that_is_mounted_by_itself_is_not_replaced(file: Path) -> None:
    """As containers do with single files: rename(2) can't, and the message says what can be done."""
    other = file.with_name("other.toml")
    other.write_bytes(OLD.encode())
    with (
        bound(other, file),
        pytest.raises(ExportError, match=r"mc-proxy\.toml can't be replaced: a file system is mounted") as told,
    ):
        replace_atomically(file, "new", sha256(OLD))
    assert "Mount its folder instead" in str(told.value)
    with bound(other, file), pytest.raises(ExportError, match="is mounted there"):
        write_whole(file, [b"new"], replace=True)
    assert (file.read_bytes(), names(file.parent)) == (OLD.encode(), ["mc-proxy.toml", "other.toml"])


def test_a_folder_that_can_not_be_written_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file that is meant, not with that of the attempt."""

    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "/somewhere/.x.tmp")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    for write in (lambda: replace_atomically(file, "new", sha256(OLD)), lambda: write_whole(file, [b""], replace=True)):
        with pytest.raises(ExportError) as told:
            write()
        why = f"no file can be made in its folder {file.parent}: Read-only file system; nothing was written"
        assert str(told.value) == f"{file} can't be written: {why}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_and_group_stay(file: Path) -> None:
    """Also when it is root who writes."""
    os.chown(file, 1234, 4321)
    file.chmod(0o604)
    replace_atomically(file, "", sha256(OLD))
    found = file.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 4321, 0o604)


def test_extended_attributes_stay(file: Path) -> None:
    """Access control lists are such attributes."""
    try:
        os.setxattr(file, "user.note", b"x")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    replace_atomically(file, "", sha256(OLD))
    assert os.getxattr(file, "user.note") == b"x"


def test_a_link_stays_and_its_target_is_replaced(file: Path, tmp_path: Path) -> None:
    """Through any number of links, relative ones too."""
    (tmp_path / "one").symlink_to("folder/mc-proxy.toml")
    (tmp_path / "two").symlink_to("one")
    replace_atomically(tmp_path / "two", "new", sha256(OLD))
    assert (tmp_path / "two").readlink() == Path("one")
    assert (tmp_path / "one").readlink() == Path("folder/mc-proxy.toml")
    assert file.read_text() == "new"


def test_a_file_that_has_changed_is_not_replaced(file: Path) -> None:
    """The message says what to do."""
    with pytest.raises(ExportError, match=r"mc-proxy\.toml has changed since the export was made; .* export again"):
        replace_atomically(file, "new", sha256("something else"))
    assert file.read_bytes() == OLD.encode()
    assert names(file.parent) == [file.name]


def test_a_change_while_the_new_file_is_written_counts_too(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last look comes after all that takes time."""
    fsync = os.fsync

    def edited_meanwhile(descriptor: int) -> None:
        fsync(descriptor)
        file.write_text("a = 3")

    monkeypatch.setattr(os, "fsync", edited_meanwhile)
    with pytest.raises(ExportError, match="has changed"):
        replace_atomically(file, "new", sha256(OLD))
    assert file.read_text() == "a = 3"
    assert names(file.parent) == [file.name]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """Gone, a dangling link, a folder, a pipe."""
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, message in {"none": "is gone", "dangling": "is gone", "folder": "regular", "pipe": "regular"}.items():
        with pytest.raises(ExportError, match=f"{name} is .*{message.removeprefix('is ')}"):
            replace_atomically(tmp_path / name, "new", sha256(""))
    assert names(tmp_path) == ["dangling", "folder", "pipe"]


def test_a_failed_write_leaves_no_trace(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk shows at the latest when the file is flushed."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    told = "can't be written: No space left on device; nothing was written"
    with pytest.raises(ExportError, match=f"{file} {told}"):
        replace_atomically(file, "new", sha256(OLD))
    for path, replace in ((file, True), (file.with_name("new"), False)):
        with pytest.raises(ExportError, match=f"{path} {told}"):
            write_whole(path, [b"new"], replace=replace)
    assert file.read_bytes() == OLD.encode()
    assert names(file.parent) == [file.name]


def test_a_new_file_is_there_whole_and_for_its_owner_alone(file: Path) -> None:
    """Its size is returned, and nothing is left beside it."""
    new = file.with_name("new.db")
    assert write_whole(new, iter((b"ab", b"", b"c")), replace=False) == 3
    assert new.read_bytes() == b"abc"
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert names(file.parent) == [file.name, new.name]


def test_a_file_that_is_not_private_is_for_all_that_may_read_what_is_made_here(file: Path) -> None:
    """As the umask says; one that takes another's place is for those for whom that was."""
    new = file.with_name("new.toml")
    mask = os.umask(0o027)
    try:
        write_whole(new, [b"a"], replace=False, private=False)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    new.chmod(0o604)
    write_whole(new, [b"b"], replace=True, private=False)
    assert (stat.S_IMODE(new.stat().st_mode), new.read_bytes()) == (0o604, b"b")


def test_a_file_is_replaced_only_when_that_is_asked_for(file: Path) -> None:
    """Through a symbolic link too, which stays; what is no regular file never is."""
    link = file.with_name("link")
    link.symlink_to(file.name)
    with pytest.raises(FileExistsError):
        write_whole(link, [b"new"], replace=False)
    assert file.read_bytes() == OLD.encode()
    write_whole(link, [b"new"], replace=True)
    assert (link.is_symlink(), file.read_bytes()) == (True, b"new")
    os.mkfifo(file.with_name("fifo"))
    with pytest.raises(ExportError, match="fifo is not a regular file"):
        write_whole(file.with_name("fifo"), [b"new"], replace=True)


def test_a_content_that_breaks_off_leaves_what_was_there(file: Path) -> None:
    """And nothing beside it."""

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ExportError("it breaks off")

    for replace in (False, True):
        with pytest.raises(ExportError):
            write_whole(file if replace else file.with_name("new"), broken(), replace=replace)
    assert (names(file.parent), file.read_bytes()) == ([file.name], OLD.encode())
