"""One write per connection and turn of the loop."""

import asyncio

from mcproxy.worker.tools.interfaces import Flushable


class Flusher:
    """Flushes, at the end of a turn of the loop, what the turn has touched."""

    __slots__ = ("_dirty", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._dirty: list[Flushable] = []

    def later(self, connection: Flushable) -> None:
        """Call its `flush` once at the end of this turn; the caller remembers that it has asked for it."""
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()
