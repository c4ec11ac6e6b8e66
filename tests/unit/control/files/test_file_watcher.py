"""What counts as a change of a watched file."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from mcproxy.control.files.watcher import FileWatcher


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mc-proxy.toml"
    path.write_text("one", encoding="utf-8")
    return path


class Calls:
    def __init__(self) -> None:
        self.count = 0
        self.called = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self.called.set()


def looked(watcher: FileWatcher, calls: Calls) -> int:
    """Return how many changes one look finds."""
    before = calls.count
    watcher._look()
    return calls.count - before


def test_a_change_with_the_old_size_and_time_is_found(file: Path) -> None:
    """``touch -r`` and ``tar -x`` put a time back, but not the one of the change itself."""
    calls = Calls()
    watcher = FileWatcher(calls)
    watcher.watch([file], [])
    before = file.stat()
    file.write_text("two", encoding="utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert looked(watcher, calls) == 1


def test_a_look_finds_what_differs_and_tells_it_once(file: Path) -> None:
    """Size, time, another file in its place, its absence: each is one change; a look without one is none."""
    calls = Calls()
    watcher = FileWatcher(calls)
    watcher.watch([file], [])
    assert looked(watcher, calls) == 0
    other = file.with_name("other")

    def replace() -> None:
        other.write_text("three", encoding="utf-8")
        os.utime(other, ns=(1, 1))
        other.replace(file)

    changes: list[Callable[[], object]] = [
        lambda: file.write_text("three", encoding="utf-8"),
        partial(os.utime, file, ns=(1, 1)),
        replace,
        file.unlink,
        lambda: file.write_text("back", encoding="utf-8"),
    ]
    for change in changes:
        change()
        assert looked(watcher, calls) == 1
        assert looked(watcher, calls) == 0


def test_other_files_of_the_folder_do_not_count(file: Path) -> None:
    """The proxy's own files may lie there; reading the file is no change either."""
    calls = Calls()
    watcher = FileWatcher(calls)
    watcher.watch([file], [file.parent / "conf.d" / "*.toml"])
    (file.parent / "mc-proxy.db").write_text("x", encoding="utf-8")
    (file.parent / "conf.d").mkdir()
    (file.parent / "conf.d" / "notes.txt").write_text("x", encoding="utf-8")
    (file.parent / "conf.d" / ".hidden.toml").write_text("x", encoding="utf-8")
    file.read_bytes()
    assert looked(watcher, calls) == 0


@pytest.mark.parametrize("pattern", ["conf.d/*.toml", "conf.d/**/*.toml", "*/app.toml", "conf.d/app.toml"])
def test_a_file_that_a_pattern_finds_counts_when_it_comes_and_goes(file: Path, pattern: str) -> None:
    """Whatever the pattern looks like, also below a folder that was not there before."""
    calls = Calls()
    watcher = FileWatcher(calls)
    watcher.watch([file], [file.parent / pattern])
    found = file.parent / "conf.d" / "app.toml"
    found.parent.mkdir()
    assert looked(watcher, calls) == 0
    found.write_text("x", encoding="utf-8")
    assert looked(watcher, calls) == 1
    found.unlink()
    assert looked(watcher, calls) == 1


def test_a_change_between_reading_and_watching_is_found(file: Path) -> None:
    """The fingerprint from before the reading is what counts."""
    calls = Calls()
    watcher = FileWatcher(calls)
    watcher.watch([file], [])
    before = watcher.fingerprint()
    file.write_text("changed while it was read", encoding="utf-8")
    assert not watcher.watch([file], [], before)
    assert looked(watcher, calls) == 1


def test_watching_the_same_files_again_forgets_no_change(file: Path) -> None:
    """Without a fingerprint the last one stays, unless the files are others."""
    calls = Calls()
    watcher = FileWatcher(calls)
    assert watcher.watch([file], [])
    file.write_text("changed", encoding="utf-8")
    assert not watcher.watch([file], [])
    assert looked(watcher, calls) == 1
    assert watcher.watch([file, file.with_name("more.toml")], [])
    assert looked(watcher, calls) == 0


def test_a_changed_file_that_somebody_has_open_for_writing_is_told(file: Path) -> None:
    """Not one that is open for reading, is as it was read, is missing, or is no file that could be open that way."""
    watcher = FileWatcher(Calls())
    pipe = file.with_name("pipe")
    os.mkfifo(pipe)
    missing = file.with_name("missing.toml")
    watcher.watch([file, missing, file.parent, pipe], [])
    read = watcher.fingerprint()
    with file.open(encoding="utf-8"):
        assert watcher.being_written({}) == ""
    with file.open("a", encoding="utf-8") as writer:
        assert watcher.being_written(read) == ""
        assert watcher.being_written({}) == str(file)
        writer.write("two")
        writer.flush()
        assert watcher.being_written(read) == str(file)
        watcher.give_up(str(file))
        assert watcher.being_written(read) == ""
    assert watcher.being_written(read) == ""
    with file.open("a", encoding="utf-8"):
        assert watcher.being_written(read) == str(file)


def test_to_ask_who_writes_ends_no_writer_and_not_us(file: Path) -> None:
    """An open for writing that meets the lease waits until it is given back, and the signal about it is ignored."""
    watcher = FileWatcher(Calls())
    watcher.watch([file], [])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            file.write_text("again", encoding="utf-8")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        answers = {watcher.being_written({}) for _ in range(2000)}
    finally:
        stop.set()
        writer.join(20)
    assert not writer.is_alive()
    assert answers <= {"", str(file)}


def watching(body: Callable[[FileWatcher, Calls], Awaitable[None]]) -> None:
    """Run a body beside a running watcher."""

    async def run() -> None:
        calls = Calls()
        watcher = FileWatcher(calls)
        task = asyncio.create_task(watcher.run())
        try:
            async with asyncio.timeout(20):
                await body(watcher, calls)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_a_running_watcher_follows_the_files_it_is_given(file: Path) -> None:
    """Files in other folders are noticed as soon as they are watched, also what changed before inotify was ready."""
    other = file.parent / "elsewhere" / "more.toml"
    other.parent.mkdir()
    other.write_text("x", encoding="utf-8")

    async def body(watcher: FileWatcher, calls: Calls) -> None:
        for number, files in enumerate([[file], [other], [file, other]]):
            watcher.watch(files, [])
            calls.called.clear()
            files[-1].write_text("changed" * (number + 2), encoding="utf-8")
            await calls.called.wait()

    watching(body)


def test_a_running_watcher_survives_the_loss_of_its_folder(file: Path) -> None:
    """The folder is renamed and made anew, which inotify does not tell: the next look does."""
    folder = file.parent / "conf.d"
    inner = folder / "app.toml"
    folder.mkdir()
    inner.write_text("one", encoding="utf-8")

    async def body(watcher: FileWatcher, calls: Calls) -> None:
        watcher.watch([inner], [])
        for number in range(2):
            calls.called.clear()
            folder.rename(file.parent / f"old{number}")
            await calls.called.wait()
            calls.called.clear()
            folder.mkdir()
            inner.write_text("two", encoding="utf-8")
            await calls.called.wait()

    watching(body)


def test_a_save_while_the_set_of_files_changes_is_not_lost(file: Path) -> None:
    """What was watched before is compared with what was seen then, though other files come or go at the same time."""
    calls = Calls()
    watcher = FileWatcher(calls)
    watcher.watch([file], [])
    more = file.with_name("more.toml")
    more.write_text("x", encoding="utf-8")
    for files in ([file, more], [file], [more, file]):
        file.write_text(file.read_text(encoding="utf-8") + "saved", encoding="utf-8")
        assert watcher.watch(files, [])
        assert looked(watcher, calls) == 1
        assert looked(watcher, calls) == 0


def test_a_file_that_vanishes_while_the_set_of_files_changes_is_missed(file: Path) -> None:
    """So is one that comes; a file that was never watched counts as it is now."""
    calls = Calls()
    watcher = FileWatcher(calls)
    gone, new = file.with_name("gone.toml"), file.with_name("new.toml")
    gone.write_text("x", encoding="utf-8")
    watcher.watch([file, gone], [])
    gone.unlink()
    assert watcher.watch([file, gone, new], [])
    assert looked(watcher, calls) == 1
    new.write_text("x", encoding="utf-8")
    assert watcher.watch([file, gone], [])
    assert looked(watcher, calls) == 0
