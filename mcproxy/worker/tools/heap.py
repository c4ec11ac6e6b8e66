"""Returning to the system the memory that output to slow clients has used.

It is free as soon as their connections end, but for the allocator's own use: in its heap lie blocks that are still needed,
and glibc by itself gives back only what is above the last of them.
"""

import asyncio
from collections.abc import Callable

_PAUSE = 1.0  # seconds: such clients seldom end alone, and the next one would need it again


class Heap:
    """Releases what is free in the heap, a little after it was asked for."""

    __slots__ = ("_due", "_loop", "_release")

    def __init__(self, loop: asyncio.AbstractEventLoop, release: Callable[[], int | None]) -> None:
        """``release`` does it; it takes about a millisecond for 20 MB."""
        self._loop = loop
        self._release = release
        self._due = False

    def release_later(self) -> None:
        """Release what is free in a second, once for all who ask until then."""
        if not self._due:
            self._due = True
            self._loop.call_later(_PAUSE, self._release_now)

    def _release_now(self) -> None:
        self._due = False
        self._release()
