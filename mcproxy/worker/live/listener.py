"""A live listener: its routes prepared for lookup, and its listening sockets."""

import socket
from collections.abc import Mapping

from msgspec import UnsetType

from mcproxy.model.state.snapshot import ListenerEntry, RouteEntry, Timeouts
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.memory.admission import Admission
from mcproxy.net.memory.route_histograms import RouteHistograms
from mcproxy.net.memory.shared_memory import (
    LISTENER_DIAL_SECONDS,
    LISTENER_REQUEST_SECONDS,
    ROUTE_ACTIVE,
    ROUTE_BYTES_RECEIVED,
    ROUTE_BYTES_SENT,
    ROUTE_CONNECTIONS,
    accepted_counter,
    health_counter,
    histogram_counter,
    route_counter,
    route_histogram_counter,
)
from mcproxy.policy.answers import OwnAnswer
from mcproxy.policy.firewall import CidrSet, trusts
from mcproxy.policy.l7 import L7Rules
from mcproxy.policy.routing import RouteTable
from mcproxy.worker.backends.proxy_header import header_options
from mcproxy.worker.backends.target import Target
from mcproxy.worker.live.balancer import Balancer
from mcproxy.worker.live.files import Files
from mcproxy.worker.live.upstreams import LiveUpstream
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import Exchange


class LiveRoute:
    """A route as the data path wants it: dial targets prepared, counters located.

    Attributes:
        entry: the route as the snapshot has it.
        rules: its L7 policies, None when there are none.
        index: of its counters.
        l7: its requests are proxied.
        tls: the context of its certificate; None for l4, and on a listener with ``protocol = "http"``.
        backend: the address that it leads to, as pools know it; None for l4, and where it leads to an upstream.
        answer: what it answers requests with itself, None where it leads to a backend.
        upstream: the upstream that it leads to, None for a single address.
        pool: the backend's connections, or those of the upstream's endpoints; None where each client has its own (PROXY headers).
        proxy_header: L4: the PROXY header that connections to the backend begin with, None for none.
        connect_timeout, idle_timeout: its own time limits in seconds, infinite for never; None for those of the settings.
        kept: it is gone from the file, but its open connections may stay.
        timeouts: the settings' of which `first_look` is worked out, None before.
        first_look: seconds after which a new relay is to be looked at; None if the limit set for its dial is early enough.
    """

    __slots__ = (
        "_request_seconds",
        "_shared_seconds",
        "active_counter",
        "answer",
        "backend",
        "byte_counters",
        "connect_timeout",
        "connections_counter",
        "entry",
        "first_look",
        "idle_timeout",
        "index",
        "kept",
        "l7",
        "pool",
        "proxy_header",
        "rules",
        "targets",
        "timeouts",
        "tls",
        "upstream",
    )

    def __init__(self, entry: RouteEntry, files: Files, request_seconds: int, *, clear: bool = False) -> None:
        """Prepare a route; raises `TlsError` if its certificate can't be used.

        Args:
            entry: as the snapshot has it.
            files: what its certificate is made of.
            request_seconds: the histogram that routes of the listener share which have none of their own.
            clear: whether clients speak HTTP without TLS.
        """
        self.entry = entry
        self.index = entry.index
        self.l7 = entry.route.mode == "l7"
        self._shared_seconds = request_seconds
        self._request_seconds = 0
        self.kept = False
        self.timeouts: Timeouts | None = None
        self.first_look: float | None = None
        self.upstream: LiveUpstream | None = None
        self.pool: Pool[Exchange] | None = None
        self.proxy_header = header_options(entry.route)
        connect, idle = entry.route.connect_timeout, entry.route.idle_timeout
        self.connect_timeout = None if isinstance(connect, UnsetType) else connect
        self.idle_timeout = None if isinstance(idle, UnsetType) else idle or float("inf")
        self.rules = L7Rules(entry.policies) if entry.policies else None
        self.tls = files.server_context(entry) if self.l7 and not clear else None
        self.answer = OwnAnswer(entry.route) if entry.route.answers else None
        pooled = self.l7 and not entry.upstream and self.answer is None
        self.backend = files.backend(entry) if pooled else None
        self.targets = tuple(Target(endpoint) for endpoint in entry.route.endpoints)
        self.connections_counter = route_counter(entry.index, ROUTE_CONNECTIONS)
        self.active_counter = route_counter(entry.index, ROUTE_ACTIVE)
        self.byte_counters = (
            route_counter(entry.index, ROUTE_BYTES_RECEIVED),
            route_counter(entry.index, ROUTE_BYTES_SENT),
        )

    def lead_to(self, upstream: LiveUpstream | None) -> None:
        """Lead to an upstream of the live snapshot, if the route does not lead to a single address."""
        self.upstream = upstream
        if upstream is None:
            return
        self.proxy_header = upstream.proxy_header
        self.connect_timeout = upstream.connect_timeout
        self.timeouts = None
        if not self.l7 or upstream.proxy_header:
            self.pool = None
        elif not (isinstance(self.pool, Balancer) and self.pool.upstream is upstream):
            self.pool = Balancer(upstream)

    def idle(self, default: float) -> float:
        """Return the seconds after which a connection without traffic ends: its own, or else the settings'."""
        return default if self.idle_timeout is None else self.idle_timeout

    def limit_relays(self, timeouts: Timeouts) -> None:
        """Work out `first_look` with the settings' time limits."""
        self.timeouts = timeouts
        connect = timeouts.connect if self.connect_timeout is None else self.connect_timeout
        limit = min(self.idle(timeouts.idle), timeouts.half_closed)
        self.first_look = limit if limit < connect else None

    def leads_to(self, endpoint: Endpoint) -> bool:
        """Tell whether an address is one that it leads to."""
        if self.upstream is None:
            return endpoint in self.entry.route.endpoints
        return any(each.entry.endpoint == endpoint for each in self.upstream.endpoints.values())

    def request_seconds(self, histograms: RouteHistograms) -> int:
        """Return the word of the histogram that counts its requests; the first one decides which that is."""
        if not self._request_seconds:
            number = histograms.assign(self.index)
            self._request_seconds = self._shared_seconds if number is None else route_histogram_counter(number)
        return self._request_seconds


class LiveListener:
    """A listener of the snapshot that is live.

    Attributes:
        index: of its counters.
        accepted_counter: counts accepted connections.
        admission: its connection limit.
        dial_seconds: histogram of dials.
        request_seconds: histogram of HTTP requests of those routes that have none of their own.
        release: of `admission`, for every connection that it admitted.
        proxy_protocol: connections begin with a PROXY header.
        direct: those of peers that may send none do not.
        health_counter: counts health checks.
        blind: nothing is read before the backend is dialed; the route is the one of `every`.
        clear: clients speak HTTP without TLS.
        every: the route "*", None if there is none.
        routes: hostname to `LiveRoute`.
        sockets: every listening socket by its number; this worker serves some of them.
    """

    __slots__ = (
        "_live",
        "_trusted",
        "accepted_counter",
        "addr",
        "admission",
        "blind",
        "clear",
        "dial_seconds",
        "direct",
        "every",
        "health_counter",
        "index",
        "proxy_protocol",
        "release",
        "request_seconds",
        "routes",
        "sockets",
    )

    routes: RouteTable[LiveRoute]

    def __init__(self, entry: ListenerEntry, admission: Admission, sockets: Mapping[int, socket.socket]) -> None:
        self.addr = entry.listener.addr
        self.index = entry.index
        self.accepted_counter = accepted_counter(entry.index)
        self.health_counter = health_counter(entry.index)
        self.dial_seconds = histogram_counter(entry.index, LISTENER_DIAL_SECONDS)
        self.request_seconds = histogram_counter(entry.index, LISTENER_REQUEST_SECONDS)
        self.admission = admission
        self.release = admission.release
        self.sockets = dict(sockets)
        self._live: dict[str, LiveRoute] = {}

    def prepare(self, entry: ListenerEntry, files: Files) -> dict[str, LiveRoute]:
        """Return the routes of another version by hostname; unchanged ones are the same objects. Raises `TlsError`."""
        prepared = {}
        clear = entry.listener.protocol == "http"
        for route_entry in entry.routes:
            hostname = route_entry.route.hostname
            live = self._live.get(hostname)
            prepared[hostname] = (
                live
                if live is not None and live.entry == route_entry and self.clear == clear
                else LiveRoute(route_entry, files, self.request_seconds, clear=clear)
            )
        return prepared

    def update(self, entry: ListenerEntry, routes: dict[str, LiveRoute]) -> list[LiveRoute]:
        """Take over new settings and prepared routes; return the routes that are gone."""
        self.proxy_protocol = entry.listener.proxy_protocol
        self.direct = entry.listener.untrusted == "direct"
        self._trusted = CidrSet(entry.listener.trusted_proxies)
        self.blind = entry.listener.protocol == "tcp"
        self.clear = entry.listener.protocol == "http"
        self.every = routes.get("*")
        old, self._live = self._live, routes
        self.routes = RouteTable(self._live.items())
        return [route for hostname, route in old.items() if hostname not in self._live]

    def trusts(self, packed: bytes) -> bool:
        """Tell whether a peer may say in a PROXY header who the client is."""
        return trusts(self._trusted, packed)

    def all_routes(self) -> list[LiveRoute]:
        """Return the routes, in no particular order."""
        return list(self._live.values())
