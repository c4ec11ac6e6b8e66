"""An event loop turned by hand: what runs, and when, is the test's decision."""

import asyncio
import queue
from collections.abc import Callable
from typing import Any, cast


class _Timer:
    def __init__(self, at: float, callback: Callable[[], object]) -> None:
        self.at = at
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class HandLoop:
    """The few methods of an event loop that the net shells use.

    Attributes:
        problems: what was reported to the exception handler.
    """

    def __init__(self) -> None:
        self.problems: list[dict[str, Any]] = []
        self._readers: dict[Any, Callable[[], object]] = {}
        self._now = 0.0
        self._timers: list[_Timer] = []
        self._soon: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def as_loop(self) -> asyncio.AbstractEventLoop:
        """Return this loop where the type of a whole one is asked for."""
        return cast("asyncio.AbstractEventLoop", self)

    def turn(self) -> None:
        """Call every reader once, then what was due before or came up meanwhile (not what that brings up)."""
        for reader in list(self._readers.values()):
            reader()
        for _ in range(self._soon.qsize()):
            self._soon.get()()

    def wait(self, timeout: float = 60) -> None:
        """Wait for one callback from a thread and run it; raises `queue.Empty` when none comes."""
        self._soon.get(timeout=timeout)()

    @property
    def idle(self) -> bool:
        """Whether no callback waits."""
        return self._soon.empty()

    def pass_time(self, seconds: float) -> None:
        """Call the timers that are due by then, in their order, new ones included."""
        until = self._now + seconds
        while due := [timer for timer in self._timers if timer.at <= until]:
            timer = min(due, key=lambda each: each.at)
            self._timers.remove(timer)
            self._now = timer.at
            if not timer.cancelled:
                timer.callback()
        self._now = until

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> "_Timer":
        timer = _Timer(self._now + delay, lambda: callback(*args))
        self._timers.append(timer)
        return timer

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        self._readers[fd] = lambda: callback(*args)

    def remove_reader(self, fd: Any) -> bool:
        return self._readers.pop(fd, None) is not None

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        self._soon.put(lambda: callback(*args))

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any) -> None:
        self._soon.put(lambda: callback(*args))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.problems.append(context)
