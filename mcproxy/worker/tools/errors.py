"""Counting why connections and requests end otherwise than they should."""

from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory.shared_memory import ROUTE_ERRORS, reason_counter, route_counter, route_reason_counter


class Errors:
    """The counters of this worker, by reason. Nothing that succeeds comes here."""

    __slots__ = ("_counters",)

    def __init__(self, counters: memoryview) -> None:
        self._counters = counters

    def refused(self, listener: int, reason: str) -> None:
        """Count a connection that has no route; ``listener`` is the index of its counters."""
        self._counters[reason_counter(listener, reason)] += 1

    def failed(self, route: int, failure: Failure) -> None:
        """Count a connection or request of a route, of which ``route`` is the index."""
        self._counters[route_reason_counter(route, failure.reason)] += 1
        self._counters[route_counter(route, ROUTE_ERRORS)] += 1
