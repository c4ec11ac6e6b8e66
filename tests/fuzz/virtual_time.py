"""An event loop whose time passes only when everything that is due has been done: no test waits, and order is exact."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Lets the loop's time pass where a real one would wait."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing will ever happen again"
        self.loop.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop without descriptors.

    Attributes:
        now: the time (seconds); set it forward, and the loop was away meanwhile.
    """

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.now = 1000.0
        super().__init__(selector)
        # Timers are due a hair early, so that adding times of the clock's coarseness never goes round in circles.

    def time(self) -> float:
        return self.now


def run(work: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run until the work is done; nothing may be left to be raised."""
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))
    try:
        result = loop.run_until_complete(work)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    assert not problems, problems
    return result
