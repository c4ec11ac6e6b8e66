"""A live listener: its routes prepared for lookup, and its listening sockets."""

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import UnsetType

from mcproxy.model.state.filter_options import RealIp
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
from mcproxy.net.memory.sparse_counters import session_keys
from mcproxy.policy.answers import OwnAnswer
from mcproxy.policy.certificates.clients import ClientNames
from mcproxy.policy.filters.real_ip import RealIpRule
from mcproxy.policy.firewall import CidrSet, trusts
from mcproxy.policy.headers import RequestHead
from mcproxy.policy.l7 import L7Rules
from mcproxy.policy.routing import RouteTable
from mcproxy.worker.backends.proxy_header import header_options
from mcproxy.worker.backends.target import Target
from mcproxy.worker.live.files import Files
from mcproxy.worker.live.filters import Filters, LiveScope
from mcproxy.worker.live.guards import Door
from mcproxy.worker.live.way import Way

if TYPE_CHECKING:
    from mcproxy.worker.challenges import Challenges, Entrance
    from mcproxy.worker.live.cases import LiveCases
    from mcproxy.worker.live.upstream import LiveUpstream


class LiveRoute(Way):
    """A route as the data path wants it: dial targets prepared, counters located.

    Attributes:
        entry: the route as the snapshot has it.
        rules: its L7 policies, None when there are none.
        index: of its counters.
        tls: the context of its certificate; None for l4, and on a listener with ``protocol = "http"``.
        session_keys: count its TLS sessions, new ones and those that went on; none without ``tls``.
        scoped: it has cases, or filters hold for it; what follows matters only then.
        cases: its cases, None for none.
        scope: what holds for its requests by filters, None for nothing.
        door: l4: whom filters let in, None for anybody.
        claims: folded names of fields that clients can't send, as a backend gets them from who is asked by `forward_auth`.
        client_auth: whether clients are asked for certificates, as in the file.
        client_names: which names these have to have, None for any.
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
        "byte_counters",
        "cases",
        "claims",
        "client_auth",
        "client_names",
        "connect_timeout",
        "connections_counter",
        "door",
        "entry",
        "first_look",
        "idle_timeout",
        "index",
        "kept",
        "proxy_header",
        "rules",
        "scope",
        "scoped",
        "session_keys",
        "targets",
        "timeouts",
        "tls",
    )

    def __init__(self, entry: RouteEntry, files: Files, request_seconds: int, *, clear: bool = False) -> None:
        """Prepare a route; raises `TlsError` if its certificate can't be used.

        Args:
            entry: as the snapshot has it.
            files: what its certificate is made of.
            request_seconds: the histogram that routes of the listener share which have none of their own.
            clear: whether clients speak HTTP without TLS.
        """
        route = entry.route
        l7 = route.mode == "l7"
        answer = OwnAnswer(route, files.content(entry.page) if entry.page else b"") if route.answers else None
        pooled = l7 and not entry.upstream and bool(route.endpoints)
        super().__init__(files.backend(entry, route.endpoints) if pooled else None, answer, l7=l7)
        self.entry = entry
        self.index = entry.index
        self._shared_seconds = request_seconds
        self._request_seconds = 0
        self.kept = False
        self.timeouts: Timeouts | None = None
        self.first_look: float | None = None
        self.proxy_header = header_options(route)
        connect, idle = route.connect_timeout, route.idle_timeout
        self.connect_timeout = None if isinstance(connect, UnsetType) else connect
        self.idle_timeout = None if isinstance(idle, UnsetType) else idle or float("inf")
        self.rules = L7Rules(entry.policies) if entry.policies else None
        self.tls = files.server_context(entry) if l7 and not clear else None
        self.session_keys = session_keys(entry.index) if self.tls is not None else ()
        terms = entry.tls.terms
        self.client_auth = terms.client_auth
        self.client_names = ClientNames(terms.client_names) if terms.client_names else None
        self.scoped = l7 and bool(entry.cases or entry.scope)
        self.cases = _cases_of(entry, files) if entry.cases else None
        self.scope: LiveScope | None = None
        self.door: Door | None = None
        self.claims = frozenset[bytes]()
        self.targets = tuple(Target(endpoint) for endpoint in route.endpoints)
        self.connections_counter = route_counter(entry.index, ROUTE_CONNECTIONS)
        self.active_counter = route_counter(entry.index, ROUTE_ACTIVE)
        self.byte_counters = (
            route_counter(entry.index, ROUTE_BYTES_RECEIVED),
            route_counter(entry.index, ROUTE_BYTES_SENT),
        )

    @property
    def is_plain(self) -> bool:
        """Whether bytes alone go over its connections, nothing in front of them, and no filter has a say in it."""
        return not (self.l7 or self.proxy_header or self.door)

    def lead_to(self, upstream: "LiveUpstream | None") -> None:
        """Lead to an upstream of the live snapshot, if the route does not lead to a single address."""
        super().lead_to(upstream)
        if upstream is not None:
            self.proxy_header = upstream.proxy_header
            self.connect_timeout = upstream.connect_timeout
            self.timeouts = None

    def filter_by(self, filters: Filters) -> None:
        """Take over what the filters of the live snapshot say, for its cases as well."""
        if not self.l7:
            scope = filters.scope(self.entry.scope)
            self.door = None if scope is None else scope.door()
        if not self.scoped:
            return
        self.scope = filters.scope(self.entry.scope)
        scopes = [self.scope]
        if self.cases is not None:
            self.cases.update(filters)
            scopes += (case.scope for case in self.cases.all)
        self.claims = frozenset[bytes]().union(*(scope.claims for scope in scopes if scope is not None))

    def way_of(self, head: RequestHead) -> Way | None:
        """Return where a request goes whose case has a backend and for which no filter holds; None where there is more to do.

        Of a route with cases that is most often so, and then nothing has to be remembered of them.
        """
        cases = self.cases
        if cases is None or self.claims or self.rules is not None:
            return None
        way = cases.plain(head, self)
        return None if way is self and (self.scope is not None or self.answer is not None or not self.leads) else way

    def ways(self) -> "tuple[tuple[Way, str], ...]":
        """Return where its requests go, those of its cases as well, with the names of the upstreams that these lead to."""
        own: tuple[Way, str] = self, self.entry.upstream
        return (own,) if self.cases is None else (own, *((case, case.entry.upstream) for case in self.cases.all))

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


def _cases_of(entry: RouteEntry, files: Files) -> "LiveCases":
    from mcproxy.worker.live.cases import LiveCases  # noqa: PLC0415 - slow to import, and few configurations have cases

    return LiveCases(entry, files)


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
        real_ip: which proxies are believed who the client of a request is; None for none.
        complained: it was told that one of these can't be understood.
        every: the route "*", None if there is none.
        routes: hostname to `LiveRoute`.
        entrance: the same, as ClientHellos find them: names for which an order is under way lead to its challenge as well.
        challenges: what requests may ask for while orders are under way, whatever their route; None for nothing.
        sockets: every listening socket by its number; this worker serves some of them.
    """

    __slots__ = (
        "_live",
        "_real_ip",
        "_trusted",
        "accepted_counter",
        "addr",
        "admission",
        "blind",
        "challenges",
        "clear",
        "complained",
        "dial_seconds",
        "direct",
        "entrance",
        "every",
        "health_counter",
        "index",
        "proxy_protocol",
        "real_ip",
        "release",
        "request_seconds",
        "routes",
        "sockets",
    )

    routes: RouteTable[LiveRoute]
    entrance: "RouteTable[LiveRoute] | Entrance[LiveRoute]"

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
        self.challenges: Challenges | None = None
        self._real_ip: RealIp | None = None
        self.real_ip: RealIpRule | None = None
        self.complained = False

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
        if entry.listener.real_ip != self._real_ip:
            self._real_ip = entry.listener.real_ip
            self.real_ip = None if self._real_ip is None else RealIpRule(self._real_ip)
            self.complained = False
        old, self._live = self._live, routes
        self.routes = self.entrance = RouteTable(self._live.items())
        self.challenges = None
        return [route for hostname, route in old.items() if hostname not in self._live]

    def answer(self, challenges: "Challenges") -> None:
        """Answer the challenges of CAs from now on that are pending, instead of earlier ones, until `update`."""
        self.challenges = None
        if self.clear and challenges.has_tokens:
            self.routes = RouteTable(self._live.items())  # another one: sessions look anew where their requests go
            self.challenges = challenges
        self.entrance = self.routes
        if challenges.contexts and not (self.clear or self.blind):
            self.entrance = challenges.entrance(self.routes)

    def proven(self) -> tuple[str, ...]:
        """Return the names with pending challenges, sorted, that would lead to a plain route: see `LiveRoute.is_plain`."""
        if isinstance(self.entrance, RouteTable):
            return ()
        found = ((name, self.routes.find(name)) for name in sorted(self.entrance.names))
        return tuple(name for name, route in found if route is not None and route.is_plain)

    def judged_anew(self, routes: Mapping[str, LiveRoute]) -> set[int]:
        """Return the indices of routes of another version that let in other clients than they do now."""
        pairs = ((route, self._live.get(hostname)) for hostname, route in routes.items())
        changed = ((new, old) for new, old in pairs if old is not None and new is not old)
        return {new.index for new, old in changed if new.entry.tls.who != old.entry.tls.who}

    def trusts(self, packed: bytes) -> bool:
        """Tell whether a peer may say in a PROXY header who the client is."""
        return trusts(self._trusted, packed)

    def all_routes(self) -> list[LiveRoute]:
        """Return the routes, in no particular order."""
        return list(self._live.values())

    @property
    def has_plain(self) -> bool:
        """Whether the native core has something to do for it: a route that is plain, and no PROXY header comes first."""
        return not (self.proxy_protocol or self.clear) and any(route.is_plain for route in self._live.values())
