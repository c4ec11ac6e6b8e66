"""Handshakes with clients that fail, in the log: one line per route and what went wrong in a while, as anybody can make them fail."""

import logging
from collections.abc import Callable

from mcproxy.model.values.reasons import Failure
from mcproxy.net.sockets import address_text
from mcproxy.worker.live.arrival import Arrival

_PAUSE = 600.0  # seconds between lines about the same
_MOST = 1000  # lines in that time: of more routes, and more that goes wrong there, only the metrics tell
_log = logging.getLogger(__name__)


class HandshakeLog:
    """Tells of handshakes that have failed; how many of the same there were since, the next line says."""

    __slots__ = ("_clock", "_full_until", "_told")

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` tells the time in seconds."""
        self._clock = clock
        self._full_until = 0.0  # before that no room can be made
        self._told: dict[
            tuple[int, str], list[float]
        ] = {}  # until when nothing is said, and how often it happened since

    def failed(self, arrival: Arrival, failure: Failure, cause: str) -> None:
        """Take note of one; ``cause`` is the word for it in metrics, which may stand for several details."""
        route = arrival.route
        if route is None or cause == "closed":  # whoever leaves says no more than that
            return
        now, which = self._clock(), (route.index, failure.detail)
        known = self._told.get(which)
        if known is not None and now < known[0]:
            known[1] += 1
            return
        more = int(known[1]) if known is not None else 0
        if known is None and len(self._told) >= _MOST and not self._forget_old(now):
            return
        self._told[which] = [now + _PAUSE, 0]
        _log.warning(
            "listener %s: TLS with %s failed on the route %s: %s%s",
            arrival.listener.addr,
            address_text(arrival.source[0]),
            route.entry.route.hostname,
            failure.detail,
            f"; {more} more since the last line about this" if more else "",
        )

    def _forget_old(self, now: float) -> bool:
        """Let go of what may be told again; tell whether there is room now."""
        if now < self._full_until:
            return False
        self._told = {which: known for which, known in self._told.items() if now < known[0]}
        self._full_until = min((until for until, _ in self._told.values()), default=now)
        return len(self._told) < _MOST
