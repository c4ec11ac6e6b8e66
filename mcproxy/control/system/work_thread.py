"""Threads for what has to wait: for the database, for a CA.

Daemons: one that waits for what does not answer keeps nobody from ending, as threads of asyncio's own would.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what some work returns in a thread of its own; a caller that is cancelled gives up on it, and it goes on until its end."""
    thread = WorkThread("mcproxy-work")
    try:
        return await thread.submit(partial(work, *args, **kwargs))
    finally:
        thread.stop()


class WorkThread:
    """Does what it is given, one after the other."""

    def __init__(self, name: str) -> None:
        """Start the thread."""
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Return the result of some work, to come; it is done also if nobody waits for that any more."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        result.add_done_callback(_heard)

        def do() -> None:
            try:
                found = work()
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who asked
                tell(_fail, error)
            else:
                tell(_succeed, found)

        def tell(how: Callable[..., None], what: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(how, result, what)

        self._work.put(do)
        return result

    def stop(self) -> None:
        """End the thread when all work before is done."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


def _heard(result: asyncio.Future[Any]) -> None:
    """Count an error as heard: who has asked may have gone."""
    if not result.cancelled():
        result.exception()


def _succeed(result: asyncio.Future[T], found: T) -> None:
    if not result.done():
        result.set_result(found)


def _fail(result: asyncio.Future[Any], error: BaseException) -> None:
    if not result.done():
        result.set_exception(error)
