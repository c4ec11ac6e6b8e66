"""An event loop turned by hand: what runs, and when, is the test's decision."""

import asyncio
import queue
from collections.abc import Callable
from typing import Any, cast


class HandLoop:
    """The few methods of an event loop that the net shells use.

    Attributes:
        problems: what was reported to the exception handler.
    """

    def __init__(self) -> None:
        self.problems: list[dict[str, Any]] = []
        self._readers: dict[Any, Callable[[], object]] = {}
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

    def wait(self, timeout: float = 5) -> None:
        """Wait for one callback from a thread and run it; raises `queue.Empty` when none comes."""
        self._soon.get(timeout=timeout)()

    @property
    def idle(self) -> bool:
        """Whether no callback waits."""
        return self._soon.empty()

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
