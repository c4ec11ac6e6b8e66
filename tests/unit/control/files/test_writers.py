"""Whether somebody is writing to a file, also where a lease is refused because the file is another user's."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcproxy.control.files import writers as module
from mcproxy.control.files.watcher import FileWatcher
from mcproxy.control.files.writers import Writers


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mc-proxy.toml"
    path.write_text("one", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _another_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the kernel refuse every lease, as to a user who is neither the owner nor privileged."""
    monkeypatch.setattr(module, "_is_leased", lambda _: None)


class Watching:
    """Writers that follow some files, and what they say."""

    def __init__(self, *files: Path, patterns: tuple[Path, ...] = ()) -> None:
        self._watcher = FileWatcher(lambda: None)
        self._watcher.watch(files, patterns)
        self.writers = Writers()
        self.follow()

    def follow(self) -> None:
        self.writers.follow(self._watcher.fingerprint())

    def written(self, file: Path) -> bool:
        return self.writers.is_written(str(file), self._watcher.fingerprint()[str(file)])


@pytest.fixture
def watching(file: Path) -> Iterator[Watching]:
    """Follow the file and the other files of its folder."""
    found = Watching(file, patterns=(file.parent / "*.toml",))
    yield found
    found.writers.close()


def test_a_file_is_written_until_its_writer_closes_it(file: Path, watching: Watching) -> None:
    """However long the writer takes between two pieces."""
    with file.open("w", encoding="utf-8") as writer:
        assert watching.written(file), "it was emptied"
        writer.write("half")
        writer.flush()
        assert watching.written(file)
        assert watching.written(file)
    assert not watching.written(file)


def test_a_file_that_takes_the_others_place_is_whole(file: Path, watching: Watching) -> None:
    """As editors and deployment tools write; what is written into it afterwards counts as ever."""
    new = file.with_name("new")
    new.write_text("two", encoding="utf-8")
    new.rename(file)
    assert not watching.written(file)
    watching.follow()
    with file.open("a", encoding="utf-8") as writer:
        writer.write("more")
        writer.flush()
        assert watching.written(file)
    assert not watching.written(file)


def test_a_new_file_of_the_folder_is_written_until_it_is_closed(file: Path, watching: Watching) -> None:
    """An include that comes, before anybody has followed it."""
    more = file.with_name("more.toml")
    with more.open("w", encoding="utf-8") as writer:
        writer.write("half")
        writer.flush()
        assert watching.written(more)
    assert not watching.written(more)


def test_a_link_is_written_where_it_leads(tmp_path: Path, file: Path) -> None:
    """By its own name, and by that of the file, which may lie in a folder that nothing else is in."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = file.rename(elsewhere / "target")
    file.symlink_to(target)
    watching = Watching(file)
    for path in (file, target):
        with path.open("a", encoding="utf-8") as writer:
            writer.write("half")
            writer.flush()
            assert watching.written(file)
        assert not watching.written(file)
    watching.writers.close()


def test_another_name_of_the_same_file_is_the_same_file(tmp_path: Path, file: Path, watching: Watching) -> None:
    """A hard link, or a mount of the file alone, is not seen in the folder, but the file itself is followed."""
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "name"
    other.hardlink_to(file)
    with other.open("a", encoding="utf-8") as writer:
        writer.write("half")
        writer.flush()
        assert watching.written(file)
    assert not watching.written(file)


def test_a_file_that_nobody_tells_of_counts_when_it_has_been_still(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another machine's file system; each change begins it anew."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module, "_remote_devices", lambda: {file.stat().st_dev})
    watching = Watching(file)
    assert watching.writers.unknowable({str(file): (file.stat().st_dev, 0, 0, 0, 0)}) == [str(file)]
    assert watching.written(file)
    clock[0] += module.STILL - 0.1
    assert watching.written(file)
    file.write_text("changed", encoding="utf-8")
    clock[0] += 0.2
    assert watching.written(file)
    clock[0] += module.STILL
    assert not watching.written(file)


def test_a_local_file_is_knowable(file: Path, watching: Watching) -> None:
    """By inotify, although the lease is refused; without inotify it is not."""
    status = file.stat()
    identity = (status.st_dev, status.st_ino, 0, 0, 0)
    assert watching.writers.unknowable({str(file): identity, "/none": None}) == []
    assert Writers().unknowable({str(file): identity}) == [str(file)]


def test_a_lease_is_believed_before_all_else(file: Path, watching: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets one knows, also of writers who began before anybody looked."""
    monkeypatch.setattr(module, "_is_leased", lambda _: True)
    assert watching.written(file)
    monkeypatch.setattr(module, "_is_leased", lambda _: False)
    with file.open("a", encoding="utf-8") as writer:
        writer.write("half")
        writer.flush()
        assert not watching.written(file)


def test_what_is_no_file_is_not_written(tmp_path: Path, file: Path, watching: Watching) -> None:
    """A folder, a FIFO, and what is missing."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        status = path.stat()
        assert not watching.writers.is_written(str(path), (status.st_dev, status.st_ino, 0, 0, 0))
    assert not watching.writers.is_written(str(file), None)


def test_files_that_are_followed_no_more_take_no_watches(file: Path, watching: Watching) -> None:
    """Ten thousand renewals leave as many watches as there are files."""
    for _ in range(20):
        new = file.with_name("new")
        new.write_text("two", encoding="utf-8")
        new.rename(file)
        watching.follow()
    assert len(watching.writers._places) == 2
