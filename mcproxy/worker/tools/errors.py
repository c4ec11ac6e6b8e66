"""Counting why connections and requests end otherwise than they should, and telling control of routes that fail.

Each is counted, in shared memory. Control is told the last failure of each route with what is to be said of it, a few times a second
at most, and for the routes that it follows that they have served again.
"""

import asyncio
from collections.abc import Callable

from mcproxy.model.values.reasons import FAILURES, Failure
from mcproxy.net.ipc import Failures
from mcproxy.net.memory.shared_memory import (
    ROUTE_BYTES_SENT,
    ROUTE_ERRORS,
    reason_counter,
    route_counter,
    route_reason_counter,
)
from mcproxy.net.told import RouteFailure

_PAUSE = 0.2  # seconds between reports
_MOST = 50  # routes in a report: it has to fit into a packet, whatever is said of them
_WAITING = 2000  # routes that may wait to be told of
_IN_A_ROW = 5  # connections that a backend ends without a byte until its route fails
_LONG = 300  # characters of what is said of one


class Errors:
    """The errors of this worker. Nothing that succeeds comes here but the requests of routes that fail.

    Attributes:
        failing: the indices of the routes whose recovery control waits for; empty while all is well.
    """

    __slots__ = ("_counters", "_failed", "_loop", "_report", "_silent", "_timer", "_worked", "failing")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, counters: memoryview, report: Callable[[Failures], object]
    ) -> None:
        """Count in ``counters``; ``report`` sends a report to control."""
        self._loop = loop
        self._counters = counters
        self._report = report
        self._failed: dict[int, tuple[int, Failure]] = {}  # how often, and the last one, by route
        self._silent: dict[
            int, tuple[int, int]
        ] = {}  # bytes that were sent on a route, and connections in vain since then
        self._worked: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.failing: frozenset[int] = frozenset()

    def refused(self, listener: int, reason: str) -> None:
        """Count a connection that has no route; ``listener`` is the index of its counters."""
        self._counters[reason_counter(listener, reason)] += 1

    def failed(self, route: int, failure: Failure) -> None:
        """Count a connection or request of a route, of which ``route`` is the index."""
        self._counters[route_reason_counter(route, failure.reason)] += 1
        self._counters[route_counter(route, ROUTE_ERRORS)] += 1
        if failure.reason in FAILURES and not (failure.reason == "backend_no_answer" and self._is_doubtful(route)):
            count, _ = self._failed.get(route, (0, failure))
            if count or len(self._failed) < _WAITING:
                self._failed[route] = count + 1, failure
                self._worked.discard(route)
                self._tell_later()

    def _is_doubtful(self, route: int) -> bool:
        """Tell whether a connection that a backend has ended without a byte may be its client's fault: it may refuse that one.

        It is the backend's own, if it answers on no connection.
        """
        answered = self._counters[route_counter(route, ROUTE_BYTES_SENT)]
        before, count = self._silent.get(route, (answered, 0))
        if before != answered:
            count = 0
        if len(self._silent) >= _WAITING:
            self._silent.clear()
        self._silent[route] = answered, count + 1
        return count + 1 < _IN_A_ROW

    def served(self, route: int) -> None:
        """Take note that a backend has served on a route; worth a call while there is something in `failing`."""
        if route in self.failing:
            self._worked.add(route)
            self._tell_later()

    def _tell_later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_PAUSE, self._tell)

    def _tell(self) -> None:
        self._timer = None
        told = [(route, self._failed.pop(route)) for route in list(self._failed)[:_MOST]]
        worked, self._worked = self._worked, set()
        failed = (
            RouteFailure(route, count, one.reason, one.detail[:_LONG], one.endpoint[:_LONG])
            for route, (count, one) in told
        )
        self._report(Failures(tuple(failed), tuple(worked)))
        if self._failed:
            self._tell_later()
