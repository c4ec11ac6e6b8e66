"""The requests of L7 routes at the endpoints of an upstream, one after another.

A request goes to another endpoint in two cases. If it has surely not been begun with (no connection, a refused stream, a
connection that had ended before the request reached it) it does so whatever its method, at once, as long as endpoints are left that
were not tried: nothing is repeated by that. If `retry_on` asks for it, it does so after an answer or a broken connection:
a request that may be sent twice, with nothing of its body sent, within the upstream's budget.
"""

from typing import Protocol

import msgspec

from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory.endpoints import (
    DIAL_FAILURES,
    ERRORS,
    RESETS,
    RETRIES_ANSWER,
    RETRIES_DIAL,
    RETRIES_RESET,
)
from mcproxy.policy.headers import Headers
from mcproxy.worker.live.endpoint import NOWHERE, LiveEndpoint
from mcproxy.worker.live.upstream import LiveUpstream
from mcproxy.worker.stream.course import UNWELL, Pool
from mcproxy.worker.stream.exchange import COMPLETE, Exchange

_UNREACHABLE = frozenset(
    {"backend_dns", "backend_refused", "backend_timeout", "backend_tls", "backend_certificate", "backend_no_stream"}
)
"""Failures that say that there is no connection to the endpoint."""
_BROKEN_OFF = frozenset({"backend_error", "backend_reset"})
"""Failures of connections and streams on which no answer came, or not all of it."""
_NOTHING: Headers = []
_FOR_ONE = (b"cache-control", b"private")
"""Keeps caches that several clients share from giving the cookie of one to the others (RFC 9111 section 5.2.2.7)."""


class Places(Protocol):
    """Where the requests of one client connection find their endpoints and pools."""

    def keep(
        self, exchange: Exchange, upstream: LiveUpstream, *, only_authenticated: bool = False
    ) -> LiveEndpoint | None:
        """Return the endpoint that the client is bound to, taken as by `LiveUpstream.take`; None to choose one.

        ``only_authenticated``: its having authenticated a connection there counts, and not that it is named to it.
        """

    def pool(self, endpoint: LiveEndpoint) -> Pool[Exchange]:
        """Return the connections to an endpoint."""


class Shared:
    """Those that all clients share."""

    def keep(self, exchange: Exchange, upstream: LiveUpstream, *, only_authenticated: bool = False) -> None:  # noqa: ARG002
        """Return None: any endpoint will do."""
        return

    def pool(self, endpoint: LiveEndpoint) -> Pool[Exchange]:
        """Return the pool of an endpoint."""
        assert endpoint.pool is not None  # noqa: S101 - an L7 route leads here, whose clients share connections
        return endpoint.pool


_SHARED = Shared()


class Balancer:
    """An upstream as the pool of its endpoints' connections.

    Attributes:
        upstream: whose endpoints they are.
        places: where its requests find them.
    """

    __slots__ = ("_shared", "places", "upstream")

    def __init__(self, upstream: LiveUpstream, places: Places = _SHARED) -> None:
        self.upstream = upstream
        self.places = places
        self._shared = places is _SHARED

    def acquire(self, exchange: Exchange) -> None:
        """Choose an endpoint, and have the exchange attached to a connection there."""
        upstream = self.upstream
        if (
            upstream.quick and self._shared
        ):  # as nearly always: nothing is to be remembered; these are the steps of `take`
            index = upstream.pick(upstream.states)
            if index is not None:
                endpoint = upstream.endpoints[index]
                endpoint.opened[index] += 1
                endpoint.taken += 1
                if not endpoint.changed:
                    endpoint.change()
                exchange.visit = endpoint.stay or self._stay_at(endpoint)
                exchange.pool = pool = endpoint.pool or self.places.pool(endpoint)
                pool.acquire(exchange)
                return
        self._acquire(exchange)

    def _stay_at(self, endpoint: LiveEndpoint) -> "Stay":
        stay = endpoint.stay = Stay(self.upstream, self.places, endpoint)
        return stay

    def _acquire(self, exchange: Exchange) -> None:
        upstream, client = self.upstream, exchange.client
        stay = exchange.visit = Stay(upstream, self.places)
        endpoint = self.places.keep(exchange, upstream, only_authenticated=upstream.sticky)
        if endpoint is None and upstream.sticky:
            # Whatever connection a browser sends it on, its cookie says where its session is.
            endpoint, stay.cookie = upstream.keep(exchange.head.headers, client.now())
            endpoint = endpoint or self.places.keep(exchange, upstream)
        stay.bound = endpoint is not None or upstream.by_source
        if endpoint is None:
            endpoint = upstream.take(
                (exchange.source or client.source) if upstream.by_source else b"", NOWHERE, client.now()
            )
        if endpoint is None:
            exchange.fail(503, upstream.refusal())
            return
        stay.endpoint = endpoint
        pool = exchange.pool = self.places.pool(endpoint)
        pool.acquire(exchange)

    def abandon(self, exchange: Exchange) -> bool:  # noqa: ARG002 - no exchange waits here
        """Tell that it did not wait: an endpoint is chosen at once."""
        return False


class Stay(msgspec.Struct, eq=False):
    """An exchange's stay at one endpoint after another; the methods are those of `course.Visit`.

    Exchanges of which nothing is to be remembered share the one of their endpoint (`LiveEndpoint.stay`).

    Attributes:
        upstream: whose endpoints they are.
        places: where their connections are.
        endpoint: where it is, None if nowhere.
        tried: the indices of those that it has left.
        cookie: the value by which the client is kept at an endpoint, empty if it has none; None not to tell it another one.
        bound: it was led here by what binds the client to this endpoint.
        repeated: it counts for the budget.
        answer: the status of an answer that was not passed on, 0 for none.
    """

    upstream: LiveUpstream
    places: Places
    endpoint: LiveEndpoint | None = None
    tried: frozenset[int] = NOWHERE
    cookie: bytes | None = None
    bound: bool = False
    repeated: bool = False
    answer: int = 0

    def may_leave(self, exchange: Exchange) -> bool:
        """Tell whether another endpoint could take the exchange, which waits for a connection to this one."""
        endpoint = self.endpoint
        if endpoint is None or len(self.tried) + 1 >= self.upstream.tries:
            return False
        return self.upstream.has_other(self.tried | {endpoint.index}, exchange.client.now())

    def unreached(self, exchange: Exchange, failure: Failure, *, spared: bool) -> bool:
        """Take the exchange, which has got no connection here, to another endpoint; tell whether there was one."""
        endpoint = self.endpoint
        if endpoint is None:
            return False
        if failure.reason in _UNREACHABLE and not spared:
            endpoint.count(DIAL_FAILURES)
            self.upstream.pause(endpoint, exchange.client.now())
        return self.move(exchange, endpoint, RETRIES_DIAL)

    def lost(self, exchange: Exchange, failure: Failure, *, unprocessed: bool) -> bool:
        """The same for one whose connection or stream has ended; ``unprocessed``: it has surely not been begun with."""
        endpoint = self.endpoint
        if endpoint is None:
            return False
        if unprocessed:
            # Who is bound to this endpoint gets another connection here first, as its sessions may be known nowhere else.
            if self.bound and exchange.has_retries:
                return False
            return self.move(exchange, endpoint, RETRIES_RESET)
        if failure.reason not in _BROKEN_OFF:
            return False
        endpoint.count(RESETS)
        if exchange.status or "reset" not in self.upstream.retry_on:
            return False
        return self._repeat(exchange, endpoint, RETRIES_RESET)

    def answered(self, exchange: Exchange, status: int, *, end: bool) -> Headers | None:
        """Return what the response has to say of the endpoint; None if the exchange went to another one instead."""
        endpoint = self.endpoint
        if endpoint is None:
            return _NOTHING
        if self.upstream.paused:
            self.upstream.resume(endpoint)
        if status in UNWELL:
            endpoint.count(ERRORS)
            if status in self.upstream.retried and self._repeat(exchange, endpoint, RETRIES_ANSWER, status, end=end):
                return None
        if self.cookie is None or self.cookie == endpoint.cookie:
            return _NOTHING
        return [(b"set-cookie", endpoint.set_cookie), _FOR_ONE]

    def last_words(self, status: int, failure: Failure) -> tuple[int, Failure]:
        """Return how the exchange is to fail, now that nothing is left to try: as an endpoint has answered, if one has."""
        return self.answer or status, self.upstream.in_words(failure)

    def ended(self, exchange: Exchange) -> None:
        """Count what went over the endpoint, and that the exchange is over."""
        endpoint = self.endpoint
        if endpoint is None:
            return
        endpoint.sent += exchange.sent
        endpoint.received += exchange.received
        if self.repeated:
            self.upstream.budget.give_back()
        if endpoint.limited:
            endpoint.release() if exchange.reason is COMPLETE else endpoint.release_later()
        else:
            endpoint.opened[endpoint.index] -= 1
        if not endpoint.changed:
            endpoint.change()

    def _own(self, exchange: Exchange, endpoint: LiveEndpoint) -> "Stay":
        """Return this stay if it is the exchange's alone, else one that is from now on."""
        if self is not endpoint.stay:
            return self
        own = exchange.visit = Stay(self.upstream, self.places, endpoint)
        return own

    def _repeat(
        self, exchange: Exchange, endpoint: LiveEndpoint, after: int, status: int = 0, *, end: bool = False
    ) -> bool:
        """Take a request elsewhere that may have been begun with, if it may be and the budget allows it."""
        upstream = self.upstream
        if not exchange.safe_to_repeat:
            return False
        first = not self.repeated
        if first and not upstream.budget.take(upstream.active()):
            return False
        own = self._own(exchange, endpoint)
        before, own.answer, own.repeated = own.answer, status, True
        if own.move(exchange, endpoint, after, end=end):
            return True
        own.answer = before
        if first:
            own.repeated = False
            upstream.budget.give_back()
        return False

    def move(self, exchange: Exchange, endpoint: LiveEndpoint, after: int, *, end: bool = False) -> bool:
        """Take the exchange to another endpoint than the one where it is; tell whether there was one."""
        upstream, client = self.upstream, exchange.client
        tried = self.tried | {endpoint.index}
        if len(tried) >= upstream.tries:
            return False
        found = upstream.take((exchange.source or client.source) if upstream.by_source else b"", tried, client.now())
        if found is None:
            return False
        own = self._own(exchange, endpoint)
        own.tried, own.endpoint, own.bound = tried, found, False
        exchange.leave(end=end)
        endpoint.left(after)
        pool = exchange.pool = self.places.pool(found)
        pool.acquire(exchange)
        return True
