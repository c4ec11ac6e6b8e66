"""What operators are told of a client's connection, and which one it is for them."""

from typing import TYPE_CHECKING

from mcproxy.net.loop.relay import Relay
from mcproxy.net.told import LiveConnection
from mcproxy.worker.backends.dial import Dial
from mcproxy.worker.frontend.client import Client
from mcproxy.worker.frontend.endpoint_dial import EndpointDial
from mcproxy.worker.frontend.outcome import Outcome
from mcproxy.worker.frontend.stages import stage_of
from mcproxy.worker.live.endpoint import LiveEndpoint
from mcproxy.worker.live.listener import LiveListener, LiveRoute

if TYPE_CHECKING:
    from mcproxy.worker.http.termination import Termination


class Described(Outcome):
    """A client's connection, as far as that goes by.

    Attributes:
        route: the route it was given, None before; and on a listener without TLS, where each request has its own.
        endpoint: where it is of its route's upstream, None for L7 and for single addresses.
    """

    __slots__ = (
        "_client",
        "_dial",
        "_listener",
        "_relay",
        "_started_at",
        "_termination",
        "_too_late",
        "endpoint",
        "route",
    )

    _client: Client
    _dial: Dial | EndpointDial | None
    _listener: LiveListener
    _relay: Relay | None
    _started_at: float
    _termination: "Termination | None"
    _too_late: str
    endpoint: LiveEndpoint | None
    route: LiveRoute | None

    @property
    def route_index(self) -> int | None:
        """Return the index of its route's counters, None if it has no route."""
        return None if self.route is None else self.route.index

    @property
    def endpoint_index(self) -> int | None:
        """Return the index of the endpoint of an upstream that it is at, None for L7 and for single addresses."""
        return None if self.endpoint is None else self.endpoint.index

    def belongs_to(self, listener: str, hostname: str) -> bool:
        """Tell whether it came in on a listener and has a route, or has had a request for it; "" stands for any."""
        if listener not in ("", self._listener.addr):
            return False
        if not hostname:
            return True
        if self.route is not None:
            return self.route.entry.route.hostname == hostname
        return self._termination is not None and self._termination.serves(hostname)

    def describe(self, now: float) -> LiveConnection:
        """Return what an operator wants to know."""
        header = self._too_late == "proxy_header_timeout"
        stage, streams = stage_of(self._relay, self._termination, dials=self._dial is not None, header=header)
        hostname = ""
        if self.route is not None:
            hostname = self.route.entry.route.hostname
        elif self._termination is not None:
            hostname = self._termination.hostname()
        return LiveConnection(
            self._listener.addr, hostname, self._client.text(), stage, now - self._started_at, streams
        )
