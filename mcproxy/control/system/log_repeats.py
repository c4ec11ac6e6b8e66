"""Warnings and errors that come again and again: told a few times, then counted, and the count told once a minute."""

import asyncio
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from mcproxy.control.system.structured import structlog

BURST = 5
"""How often the same is told within `WINDOW`: enough for somebody who tries the same mistake a few times in a row."""
WINDOW = 60.0
"""Seconds."""

_LIMITED = ("warning", "error", "critical")
_DISTINGUISHING_NOBODY = frozenset({"pid"})  # a worker that dies again and again is another process each time
_MOST = 1000  # events that are remembered


class _Seen:
    __slots__ = ("event", "held", "since", "told")

    def __init__(self, event: dict[str, Any], since: float) -> None:
        self.event = event
        self.since = since
        self.told = 1
        self.held = 0


class Repeats:
    """A step of structlog's chain that drops what is told too often."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, ...], _Seen] = {}

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Let an event pass, or raise `structlog.DropEvent`."""
        if event["level"] not in _LIMITED or "repeated" in event:
            return event
        key = tuple(f"{name}={value!r}" for name, value in sorted(event.items()) if name not in _DISTINGUISHING_NOBODY)
        now = self._clock()
        seen = self._seen.get(key)
        if seen is None or now - seen.since >= WINDOW:
            if len(self._seen) >= _MOST:
                self._seen.clear()
            self._seen[key] = _Seen(dict(event), now)
            if seen is not None and seen.held:
                event["repeated"] = seen.held
            return event
        seen.told += 1
        if seen.told <= BURST:
            return event
        seen.held += 1
        if seen.held == 1:
            self._tell_later(key, seen.since + WINDOW - now)
        raise structlog.DropEvent

    def _tell_later(self, key: tuple[str, ...], seconds: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # then the next of its kind tells the count
        loop.call_later(seconds, self._tell, key)

    def _tell(self, key: tuple[str, ...]) -> None:
        seen = self._seen.get(key)
        if seen is None or not seen.held or self._clock() - seen.since < WINDOW:
            return  # it was told meanwhile, together with one more of its kind
        del self._seen[key]
        fields = {name: value for name, value in seen.event.items() if name not in ("level", "event")}
        log = getattr(structlog.get_logger(), seen.event["level"])
        log(seen.event["event"], repeated=seen.held, **fields)
