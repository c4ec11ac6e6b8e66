"""A turn of the loop, shared fairly: a bounded time for what peers have sent, then one write per connection.

Peers may send more than a turn can hold (a page of pipelined requests, thousands of small frames). A connection that has
more to do than its share does the rest in later turns, one share each, in the order of the backlog; of a turn the backlog
has a small part only. What arrives on a connection that has nothing there comes first: at once, or, when the time for all
of them is up, at the beginning of the next turn. So a peer that sends much waits for others that do, and one that sends
little waits for little more than a turn, however many have a backlog; and a turn always ends in time for what has no share of its
own: new connections, handshakes, timers.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from mcproxy.worker.tools.interfaces import TakesTurns

TIME = 0.012
"""Seconds of one turn that are spent on what peers have sent, over all connections without a backlog."""
BACKLOG_TIME = 0.001
"""Seconds of one turn that are spent on the backlog; a share that has begun is done."""


class Turn:
    """Admits work to this turn of the loop, and does the rest in the next ones."""

    __slots__ = ("_backlog", "_clock", "_dirty", "_late", "_loop", "_report", "_scheduled", "_until")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], report: Callable[[Exception], object]
    ) -> None:
        """Begin with nothing to do.

        Args:
            loop: the event loop.
            clock: `Poller.tick`: it is asked before every share, so a connection finds the time of its own in `Poller.now`.
            report: gets the exceptions that connections raise.
        """
        self._loop = loop
        self._clock = clock
        self._report = report
        self._dirty: list[TakesTurns] = []
        self._late: deque[TakesTurns] = deque()
        self._backlog: deque[TakesTurns] = deque()
        self._scheduled = False
        self._until = 0.0

    def admits(self) -> bool:
        """Tell whether there is time left in this turn for what a connection has just received; else it is to `defer`."""
        if not self._scheduled:
            self._schedule()
            return True
        return self._clock() < self._until

    def defer(self, connection: TakesTurns) -> None:
        """Call its `go_on` in the next turn, ahead of the backlog; the caller remembers that it has asked for it."""
        if not self._scheduled:
            self._schedule()
        self._late.append(connection)

    def queue(self, connection: TakesTurns) -> None:
        """Call its `go_on` when its share of the backlog is due; the caller remembers that it has asked for it."""
        if not self._scheduled:
            self._schedule()
        self._backlog.append(connection)

    def flush_later(self, connection: TakesTurns) -> None:
        """Call its `flush` once at the end of this turn; the caller remembers that it has asked for it."""
        if not self._scheduled:
            self._schedule()
        self._dirty.append(connection)

    def _schedule(self) -> None:
        self._scheduled = True
        self._until = self._clock() + TIME
        self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._scheduled = False
        if self._late or self._backlog:
            self._schedule()  # what is not done now, or is asked for meanwhile, has a next turn
            self._work(self._late, self._until)
            self._work(self._backlog, self._clock() + BACKLOG_TIME)
            self._until = self._clock() + TIME  # the next turn's begins now
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            try:
                connection.flush()
            except Exception as error:  # noqa: BLE001 - one connection's bug must not take the others along
                self._end_faulty(connection, error)

    def _work(self, waiting: deque[TakesTurns], until: float) -> None:
        """Do a share of each that waits, at least of the first one, as long as there is time."""
        for _ in range(len(waiting)):
            connection = waiting.popleft()
            try:
                connection.go_on()
            except Exception as error:  # noqa: BLE001 - as above
                self._end_faulty(connection, error)
            if self._clock() >= until:
                return

    def _end_faulty(self, connection: TakesTurns, error: Exception) -> None:
        self._report(error)
        try:
            connection.abort()
        except Exception as another:  # noqa: BLE001 - as above
            self._report(another)
