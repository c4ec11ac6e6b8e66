"""The event stream: each event goes to every watcher, and a new watcher gets the last ones first."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Literal, TypeAlias

import msgspec

EventKind: TypeAlias = Literal[
    "applied",
    "refused",
    "edit",
    "worker",
    "certificate",
    "confirm",
    "guard",
    "database",
    "restart",
    "route",
    "endpoint",
    "connections",
    "fleet",
    "shutdown",
]

_REMEMBERED = 256
_QUEUED = 1024  # events a watcher may be behind; one that is further is cut off rather than given a gap


class ControlEvent(msgspec.Struct, frozen=True):
    """Something that happened.

    Attributes:
        id: one more with every event since control's start.
        time: in seconds since the epoch.
        kind: a stable word.
        message: one line for people.
        generation: that was live then.
        lines: what belongs to it, such as the plan or the problems.
        label: why the generation came about that is live since, if that is known.
    """

    id: int
    time: float
    kind: EventKind
    message: str
    generation: int
    lines: tuple[str, ...] = ()
    label: str = ""


class Events:
    """Hands events on."""

    def __init__(self) -> None:
        self._recent: deque[ControlEvent] = deque(maxlen=_REMEMBERED)
        self._watchers: set[asyncio.Queue[ControlEvent | None]] = set()
        self._last = 0
        self._over = False

    def publish(
        self, kind: EventKind, message: str, generation: int, lines: Iterable[str] = (), *, label: str = ""
    ) -> None:
        """Tell everyone who watches."""
        self._last += 1
        event = ControlEvent(self._last, time.time(), kind, message, generation, tuple(lines), label)
        self._recent.append(event)
        for queue in list(self._watchers):
            if queue.qsize() < _QUEUED:
                queue.put_nowait(event)
            else:
                self._watchers.discard(queue)
                queue.put_nowait(None)

    def recent(self, count: int) -> tuple[ControlEvent, ...]:
        """Return up to ``count`` of the last events, the oldest first."""
        return tuple(self._recent)[-count:] if count > 0 else ()

    async def watch(self, recent: int) -> AsyncIterator[ControlEvent]:
        """Yield up to ``recent`` past events, then each as it comes; ends with `end`, or when the watcher is too slow."""
        queue: asyncio.Queue[ControlEvent | None] = asyncio.Queue()
        for past in self.recent(recent):
            queue.put_nowait(past)
        if self._over:
            queue.put_nowait(None)
        self._watchers.add(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._watchers.discard(queue)

    def end(self) -> None:
        """Let all watchers go."""
        self._over = True
        for queue in self._watchers:
            queue.put_nowait(None)
