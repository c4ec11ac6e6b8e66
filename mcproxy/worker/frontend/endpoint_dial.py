"""L4 connections at the endpoints of an upstream: how they go on from one to another, before a byte is sent, and what counts."""

from typing import TYPE_CHECKING, Protocol

from mcproxy.model.values.reasons import Failure
from mcproxy.net.loop.deadlines import Timed
from mcproxy.net.loop.poller import Poller
from mcproxy.net.memory.endpoints import DIAL_FAILURES, RESETS, RETRIES_DIAL
from mcproxy.net.sockets import PlainSocket, SocketAddress
from mcproxy.worker.backends.dial import Dial, Dialer, DialTools
from mcproxy.worker.live.endpoint import NOWHERE, LiveEndpoint

if TYPE_CHECKING:
    from mcproxy.worker.live.upstream import LiveUpstream

_BROKEN_OFF = ("backend_broke_off", "backend_no_answer")


def leave(endpoint: LiveEndpoint, poller: Poller, received: int, sent: int, reason: str) -> None:
    """Count what went over an endpoint, and that the connection is over; its socket is closed by now, or about to be.

    Args:
        endpoint: where it was.
        poller: closes the socket.
        received: bytes of the client.
        sent: bytes to the client.
        reason: why the connection has ended.
    """
    endpoint.received += received
    endpoint.sent += sent
    note_end(endpoint, reason)
    if endpoint.limited:
        poller.after_closing(endpoint.release)
    else:
        endpoint.opened[endpoint.index] -= 1
    if not endpoint.changed:
        endpoint.change()


def note_end(endpoint: LiveEndpoint, reason: str) -> None:
    """Count how a connection has ended, if that tells against its endpoint."""
    if reason in _BROKEN_OFF:
        endpoint.count(RESETS)


class Waiting(Dialer, Timed, Protocol):
    """Who wants the connection; its deadline is when `EndpointDial.on_deadline` is called.

    Attributes:
        endpoint: where it is, or will be when its dial succeeds.
    """

    endpoint: LiveEndpoint | None


class EndpointDial:
    """Dials further endpoints after the first one has failed, each with the whole time to connect.

    Attributes:
        began_at: when the first dial began (monotonic seconds).
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
        "_upstream",
        "address",
        "began_at",
        "tries",
    )

    def __init__(
        self,
        tools: DialTools,
        owner: Waiting,
        upstream: "LiveUpstream",
        first: Dial,
        source: bytes,
    ) -> None:
        """Go on after a dial that has failed, as `on_dial_failed` is to tell.

        Args:
            tools: what all dials share.
            owner: is notified of the end.
            upstream: whose endpoints are dialed.
            first: the dial to the endpoint where the owner is.
            source: the client's packed address.
        """
        self._tools = tools
        self._owner = owner
        self._upstream = upstream
        self._histogram = first.histogram
        self._source = source
        self._tried = NOWHERE
        self._dial: Dial | None = None
        self.began_at = first.began_at
        self.tries = first.tries
        self.address: SocketAddress | None = None

    def on_deadline(self, now: float) -> float | None:
        """Drop what takes too long, and begin what is due; return None when nothing is dialed any more."""
        return None if self._dial is None else self._dial.on_deadline(now)

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
        if self._owner.endpoint is not None:
            self._upstream.resume(self._owner.endpoint)
        self._owner.on_connected(sock, mask)

    def on_dial_failed(self, failure: Failure) -> None:
        """Dial another endpoint, or tell that there is none: the connection could not be made, or not used."""
        dial, self._dial = self._dial, None
        if dial is not None:
            self.tries += dial.tries
        tools, upstream, endpoint, now = self._tools, self._upstream, self._owner.endpoint, self._tools.poller.now
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
        self._owner.endpoint = found
        self._dial = dial = Dial(tools, self, found.targets, self._histogram, self._owner, upstream.connect_timeout)
        dial.start()
