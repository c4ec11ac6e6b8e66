"""The way of an L4 connection to an endpoint of its upstream: dials to one endpoint after another, before a byte is sent."""

from typing import Protocol

from mcproxy.model.values.reasons import Failure
from mcproxy.net.loop.deadlines import Timed
from mcproxy.net.memory.endpoints import DIAL_FAILURES, RECEIVED, RESETS, RETRIES_DIAL, SENT
from mcproxy.net.sockets import PlainSocket, SocketAddress
from mcproxy.worker.backends.dial import Dial, Dialer, DialTools
from mcproxy.worker.live.endpoint import LiveEndpoint
from mcproxy.worker.live.upstreams import LiveUpstream

_NOWHERE: frozenset[int] = frozenset()
_BROKEN_OFF = ("backend_broke_off", "backend_no_answer")


class Waiting(Dialer, Timed, Protocol):
    """Who wants the connection; its deadline is when `EndpointDial.on_deadline` is called."""


class EndpointDial:
    """Dials endpoints until one takes the connection, each with the whole time to connect; then keeps count of it.

    Attributes:
        upstream: whose endpoints they are.
        endpoint: the one that is dialed, or has taken the connection; None for none.
        began_at: when (monotonic seconds).
        tries: sockets that were begun.
        address: the one that answered, None before.
    """

    __slots__ = (
        "_dial",
        "_histogram",
        "_owner",
        "_source",
        "_tools",
        "_tried",
        "address",
        "began_at",
        "endpoint",
        "tries",
        "upstream",
    )

    def __init__(self, tools: DialTools, owner: Waiting, upstream: LiveUpstream, histogram: int, source: bytes) -> None:
        """Prepare to dial.

        Args:
            tools: what all dials share.
            owner: is notified of the end.
            upstream: whose endpoints are dialed.
            histogram: the word of the one that is told how long each dial took that succeeded.
            source: the client's packed address, if the choice depends on it.
        """
        self._tools = tools
        self._owner = owner
        self._histogram = histogram
        self._source = source
        self._tried = _NOWHERE
        self._dial: Dial | None = None
        self.upstream = upstream
        self.endpoint: LiveEndpoint | None = None
        self.began_at = tools.poller.now
        self.tries = 0
        self.address: SocketAddress | None = None

    def start(self) -> None:
        """Begin; the owner is notified of the end exactly once, perhaps before this returns."""
        upstream = self.upstream
        self.endpoint = endpoint = upstream.take(self._source, self._tried, self._tools.poller.now)
        if endpoint is None:
            self._owner.on_dial_failed(upstream.refusal())
        else:
            self._begin(endpoint)

    def on_deadline(self, now: float) -> float | None:
        """Drop what takes too long, and begin what is due; return None when nothing is dialed any more."""
        dial = self._dial
        if dial is None:
            return None
        until = dial.on_deadline(now)
        return now if until is None and self._dial is not None and self._dial is not dial else until

    def cancel(self) -> None:
        """Give up; the owner is not notified any more."""
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None

    def on_connected(self, sock: PlainSocket, mask: int) -> None:
        """Pass on the connection."""
        dial, self._dial = self._dial, None
        if dial is not None:
            self.address = dial.address
            self.tries += dial.tries
        if self.upstream.paused and self.endpoint is not None:
            self.upstream.resume(self.endpoint)
        self._owner.on_connected(sock, mask)

    def on_dial_failed(self, failure: Failure) -> None:
        """Dial another endpoint, or tell that there is none: the connection could not be made, or not used."""
        dial, self._dial = self._dial, None
        if dial is not None:
            self.tries += dial.tries
        upstream, endpoint, now = self.upstream, self.endpoint, self._tools.poller.now
        if endpoint is None:
            return
        if failure.reason != "no_resources":
            endpoint.count(DIAL_FAILURES)
            upstream.pause(endpoint, now)
        self._tried |= {endpoint.index}
        found = upstream.take(self._source, self._tried, now) if len(self._tried) < upstream.tries else None
        if found is None:
            self._owner.on_dial_failed(upstream.in_words(failure))
            return
        endpoint.left(RETRIES_DIAL)
        self.endpoint = found
        self._begin(found)

    def leave(self, received: int, sent: int, reason: str) -> None:
        """Count what went over the endpoint, and that the connection is over; its socket is closed by now, or about to be.

        Args:
            received: bytes of the client.
            sent: bytes to the client.
            reason: why the connection has ended.
        """
        endpoint, self.endpoint = self.endpoint, None
        if endpoint is None:
            return
        if received:
            endpoint.count(RECEIVED, received)
        if sent:
            endpoint.count(SENT, sent)
        if reason in _BROKEN_OFF:
            endpoint.count(RESETS)
        self._tools.poller.after_closing(endpoint.release)

    def _begin(self, endpoint: LiveEndpoint) -> None:
        tools = self._tools
        timeout = self.upstream.connect_timeout
        self._dial = dial = Dial(tools, self, (endpoint.target,), self._histogram, self._owner, timeout)
        dial.start()
