"""One write per connection and turn of the loop."""

import asyncio
from collections.abc import Callable

from mcproxy.worker.tools.interfaces import Flushable


class Flusher:
    """Flushes, at the end of a turn of the loop, what the turn has touched; a connection that raises then is reset."""

    __slots__ = ("_dirty", "_loop", "_report")

    def __init__(self, loop: asyncio.AbstractEventLoop, report: Callable[[Exception], object]) -> None:
        """``report`` is told what a connection's `flush` raises."""
        self._loop = loop
        self._report = report
        self._dirty: list[Flushable] = []

    def later(self, connection: Flushable) -> None:
        """Call its `flush` once at the end of this turn; the caller remembers that it has asked for it."""
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            try:
                connection.flush()
            except Exception as error:  # noqa: BLE001 - one connection's bug must not leave the others unwritten
                self._close(connection, error)

    def _close(self, connection: Flushable, error: Exception) -> None:
        self._report(error)
        try:
            connection.abort()
        except Exception as another:  # noqa: BLE001 - as above
            self._report(another)
