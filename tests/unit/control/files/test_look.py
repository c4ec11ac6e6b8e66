"""How long a look at files is waited for."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from mcproxy import named_file
from mcproxy.control.files import look as looks
from mcproxy.control.files.look import OverdueError, look
from mcproxy.errors import ApplyError
from mcproxy.named_file import touching


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """An event that hung looks wait for; they end with the test."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name == "mcproxy-look":
            thread.join(20)


def hang(path: str, release: threading.Event) -> None:
    with touching(path):
        release.wait(20)


def fail() -> int:
    raise ApplyError("wrong")


def test_a_look_returns_or_raises_what_its_work_does() -> None:
    """In another thread."""

    async def run() -> None:
        assert await look(threading.current_thread) is not threading.current_thread()
        assert await look(int, "7", base=8) == 7
        with pytest.raises(ApplyError, match="wrong"):
            await look(fail)

    asyncio.run(run())


def test_a_path_that_hangs_is_given_up_on(release: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its name; the second look does not wait, and neither does the end of the loop."""
    monkeypatch.setattr(looks, "PATIENCE", 0.1)

    async def run() -> None:
        with pytest.raises(OverdueError, match="/hung/look: its file system has not answered"):
            await look(hang, "/hung/look", release)
        with pytest.raises(OSError, match="does not answer"):
            await look(hang, "/hung/look", release)

    asyncio.run(run())
    assert not release.is_set()
    assert named_file.hanging() == {"/hung/look"}


def test_a_look_that_goes_on_for_too_long_is_given_up_on(
    release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nothing hangs; so is one whose caller is cancelled."""

    async def run() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(looks, "LIMIT", 0.1)
            with pytest.raises(ApplyError, match="takes longer than") as error:
                await look(release.wait, 20)
        assert not isinstance(error.value, OverdueError)
        inside = asyncio.Event()
        loop = asyncio.get_running_loop()

        def work() -> None:
            with touching("/hung/cancelled"):
                loop.call_soon_threadsafe(inside.set)
                release.wait(20)

        task = asyncio.create_task(look(work))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert named_file.hanging() == {"/hung/cancelled"}

    asyncio.run(run())
