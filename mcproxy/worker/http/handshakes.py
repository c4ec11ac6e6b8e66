"""Handshakes with clients that fail, in the log: one line per route and cause in a while, as anybody can make them fail."""

import logging
from collections.abc import Callable

from mcproxy.model.values.reasons import Failure
from mcproxy.net.sockets import address_text
from mcproxy.worker.live.arrival import Arrival

_PAUSE = 600.0  # seconds between lines about the same
_MOST = 1000  # routes and causes that are remembered
_log = logging.getLogger(__name__)


class HandshakeLog:
    """Tells of handshakes that have failed; how many of the same there were since, the next line says."""

    __slots__ = ("_clock", "_told")

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` tells the time in seconds."""
        self._clock = clock
        self._told: dict[
            tuple[int, str], list[float]
        ] = {}  # until when nothing is said, and how often it happened since

    def failed(self, arrival: Arrival, failure: Failure, cause: str) -> None:
        """Take note of one; ``cause`` is the word for it."""
        route = arrival.route
        if route is None or cause == "closed":  # whoever leaves says no more than that
            return
        now, which = self._clock(), (route.index, cause)
        known = self._told.get(which)
        if known is not None and now < known[0]:
            known[1] += 1
            return
        more = int(known[1]) if known is not None else 0
        if known is None and len(self._told) >= _MOST:
            self._told.clear()
        self._told[which] = [now + _PAUSE, 0]
        _log.warning(
            "listener %s: TLS with %s failed on the route %s: %s%s",
            arrival.listener.addr,
            address_text(arrival.source[0]),
            route.entry.route.hostname,
            failure.detail,
            f"; {more} more since the last line about this" if more else "",
        )
