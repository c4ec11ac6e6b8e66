"""The resolved state: what should run, with every default filled in and every name in canonical form.

A State is a set of flat, keyed resources, so that one generic diff serves all kinds. Keys:

===============  ==================================================
listener         ``addr``
route            ``(listener addr, hostname)``
upstream         ``name``
endpoint         ``(upstream's name, address)``
policy           ``(listener addr, hostname, type, value)``
case             ``(listener addr, hostname, match)``
filter           ``name``
firewall rule    ``(type, value)``
setting          its path in the file (``"proxy.idle_timeout"``)
===============  ==================================================
"""

from typing import Literal, TypeAlias

import msgspec

from mcproxy.model.state.filter_options import FilterOptions, RealIp
from mcproxy.model.state.route_options import CaseOptions, RouteOptions
from mcproxy.model.state.tls_options import RouteTls
from mcproxy.model.state.upstream_options import EndpointOptions, UpstreamOptions
from mcproxy.model.values.endpoint import Endpoint, RouteBackend

ListenerKey: TypeAlias = str
RouteKey: TypeAlias = tuple[str, str]
PolicyKey: TypeAlias = tuple[str, str, str, str]
CaseKey: TypeAlias = tuple[str, str, str]
FilterName: TypeAlias = str
UpstreamKey: TypeAlias = str
EndpointKey: TypeAlias = tuple[str, str]
RuleKey: TypeAlias = tuple[str, str]
SettingValue: TypeAlias = bool | int | float | str | tuple[str, ...]

MAX_LISTENERS = 1024
MAX_ROUTES = 65_536
MAX_ENDPOINTS = 16_384
MAX_CASES = 262_144
MAX_FILTERS = 65_536
"""How many of each one proxy has counters for; of endpoints also those of lists count, and all addresses of a name,
and of filters also those that a route or case has for itself."""

MAX_RATE_LIMIT = (1 << 24) - 1
"""The highest `firewall.rate_limit` and `firewall.connections_per_client`: what the words can count to that count clients."""

RuleType: TypeAlias = Literal["ip", "cidr", "country", "allowed_ip", "allowed_cidr", "allowed_country"]
"""Kinds of firewall rules: the first three block, the others allow."""
ALLOWING: tuple[RuleType, ...] = ("allowed_ip", "allowed_cidr", "allowed_country")


ListenerProtocol: TypeAlias = Literal["tls", "tcp", "http"]
"""What clients of a listener speak, and so how the route is found: by the server name, not at all, or by each request's host."""


class Listener(msgspec.Struct, frozen=True):
    """One listener's own settings; its routes are resources of their own."""

    addr: str
    proxy_protocol: bool = False
    trusted_proxies: tuple[str, ...] = ()
    max_connections: int = 0
    untrusted: Literal["reset", "direct"] = "reset"
    freebind: bool = False
    protocol: ListenerProtocol = "tls"
    use: tuple[str, ...] = ()
    real_ip: RealIp | None = None
    tls: RouteTls | None = None


def _action(place: "Route | Case") -> str:
    if place.redirect:
        return f"redirect {place.redirect}"
    return f"respond {place.status or 200}" if place.respond else str(place.backend)


class Route(RouteOptions, frozen=True):
    """One route: a hostname pattern in canonical form (lower case, A-labels, no trailing dot) and where it leads.

    Attributes:
        endpoints: where that is; none when it is an upstream's business, or the route answers itself.
        upstream: the name of that; "" for none.
        use, without: names of filters that hold for it, and of those of the listener that do not, in order.
        filter: one for itself alone.
        tls: how TLS is spoken with its clients, beside what its listener says.
    """

    listener: str
    hostname: str
    endpoints: tuple[Endpoint, ...] = ()
    upstream: str = ""
    use: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    filter: FilterOptions | None = None
    tls: RouteTls | None = None

    @property
    def answers(self) -> bool:
        """Whether it answers requests itself, without a backend."""
        return bool(self.redirect or self.respond)

    @property
    def action(self) -> str:
        """What it does, in words: the backend it leads to, or what it answers."""
        return _action(self)

    @property
    def backend(self) -> RouteBackend:
        """Where it leads: its own endpoints, or the upstream of a name."""
        return RouteBackend(self.endpoints, self.upstream)


class Case(CaseOptions, frozen=True):
    """Some of the requests of an l7 route, which have an action or filters of their own.

    Attributes:
        match: which they are, in canonical form: ``GET /a/* ?v=2 X-Env=prod``.
        endpoints: where they go; none when it is an upstream's business, the case answers itself, or does what its route does.
        upstream: the name of that; "" for none.
    """

    listener: str
    hostname: str
    match: str
    endpoints: tuple[Endpoint, ...] = ()
    upstream: str = ""

    @property
    def answers(self) -> bool:
        """Whether it answers requests itself, without a backend."""
        return bool(self.redirect or self.respond)

    @property
    def backend(self) -> RouteBackend:
        """Where it leads: its own endpoints, or the upstream of a name; nowhere if it has no action, or answers itself."""
        return RouteBackend(self.endpoints, self.upstream)

    @property
    def action(self) -> str:
        """What it does, in words; "" where that is what its route does."""
        return _action(self)


class Filter(FilterOptions, frozen=True, forbid_unknown_fields=False):
    """A named filter, for as many listeners, routes and cases as use it."""

    name: str


class Upstream(UpstreamOptions, frozen=True):
    """A named set of endpoints, which are resources of their own."""

    name: str


class UpstreamEndpoint(EndpointOptions, frozen=True):
    """One endpoint of an upstream; ``address`` is canonical, as ``[::1]:80`` or ``unix:/run/app.sock``."""

    upstream: str
    address: str


class Policy(msgspec.Struct, frozen=True):
    """One L7 policy of a route."""

    listener: str
    hostname: str
    type: Literal["block_user_agent", "require_header"]
    value: str


class Rule(msgspec.Struct, frozen=True):
    """One firewall rule: whom it is about, and whether it allows; ``value`` is canonical."""

    type: RuleType
    value: str


class State(msgspec.Struct, frozen=True):
    """Everything that should run. Two States are equal when nothing needs to be done to get from one to the other."""

    listeners: dict[ListenerKey, Listener] = {}
    routes: dict[RouteKey, Route] = {}
    policies: dict[PolicyKey, Policy] = {}
    rules: dict[RuleKey, Rule] = {}
    settings: dict[str, SettingValue] = {}
    upstreams: dict[UpstreamKey, Upstream] = {}
    endpoints: dict[EndpointKey, UpstreamEndpoint] = {}
    filters: dict[FilterName, Filter] = {}
    cases: dict[CaseKey, Case] = {}
