"""The shape of the config file: one frozen struct per table, one field per key, unknown keys forbidden.

The structs are the one declaration of the file format. The walker converts by them, `resolve` takes its defaults from
them, and the JSON Schema and the reference are made from their descriptions (default, unit and edge case of each key).
Values are canonical here already: durations are seconds, addresses and hostnames in the one form that compares equal.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mcproxy.model.config.fleet.shape import FleetNode
from mcproxy.model.config.limits import Limits
from mcproxy.model.config.settings import Acme, Database, Firewall, Grpc, Guard, Log, Metrics, Proxy, Table
from mcproxy.model.config.testing.shape import ConfigTest
from mcproxy.model.config.upstreams import Upstream
from mcproxy.model.state.filter_options import FilterOptions, RealIp
from mcproxy.model.state.route_options import CaseOptions, RouteOptions
from mcproxy.model.state.state import ListenerProtocol
from mcproxy.model.state.tls_options import RouteTls
from mcproxy.model.values.endpoint import RouteBackend
from mcproxy.model.values.http.filter_types import CaseMatch, FilterName, HeaderConditions, QueryConditions
from mcproxy.model.values.leaf_types import (
    Backend,
    Count,
    HostnamePattern,
    ListenAddress,
    Network,
    NonEmpty,
    UpstreamName,
)


class L7Policy(Table, frozen=True, kw_only=True):
    """A condition on the requests of an l7 route; a request that breaks it is answered with 403."""

    type: Annotated[
        Literal["block_user_agent", "require_header"],
        Meta(
            description='"block_user_agent" refuses a User-Agent that contains value, "require_header" a request without it. Required. What the backend will '
            "see is judged: without what Connection takes away, with the proxy's own X-Forwarded-For and others."
        ),
    ]
    value: Annotated[
        NonEmpty,
        Meta(
            description='block_user_agent: a substring, in any case. require_header: "Name" or "Name: value". Required, not empty. A request with '
            "other values beside this one is refused too, also under a name that a CGI-style backend reads alike (X_Env for X-Env).",
            examples=["BadBot", "X-Api-Key", "X-Env: prod"],
        ),
    ]


class Case(CaseOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Some of the requests of an l7 route, by path, method, headers and query, that get an action or filters of their own."""

    match: Annotated[
        CaseMatch,
        Meta(
            description='"[METHOD|METHOD ]PATH": an exact path, or one with /* at its end: "/api/*" is /api and all below it by whole segments, not /apis. '
            "Required; exact beats /*, longer beats shorter, then a method, more headers, more query parameters; the order in the file never matters, and "
            "what is tied then is an error. HEAD follows GET unless it is named."
        ),
    ]
    headers: Annotated[
        HeaderConditions,
        Meta(
            description='Headers that the request must have, each with exactly this value; "*" = any value. Default none.'
        ),
    ] = ()
    query: Annotated[
        QueryConditions,
        Meta(
            description='Query parameters that the request must have, each with exactly this value; "*" = any value. Default none.'
        ),
    ] = ()
    backend: Annotated[
        Backend,
        Meta(
            description='Where these requests go, as `backend` of routes says it; an address is spoken to as the route says (backend_tls ...). Default "" = '
            "none: without redirect and respond they do what the route does."
        ),
    ] = RouteBackend()


class Route(RouteOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What clients of one server name (SNI) reach."""

    hostname: Annotated[
        HostnamePattern,
        Meta(
            description='Server name, of a listener with `protocol = "http"` the host that a request names: exact, "*.example.com" (any depth, not '
            'example.com itself) or "*" (all else, also clients without '
            "SNI). Required; exact beats wildcard, a longer wildcard a shorter one; the order in the file never matters."
        ),
    ]
    backend: Annotated[
        Backend,
        Meta(
            description='Where connections go: the name of an upstream, or an address, "host:port", "[v6]:port" or "unix:/path" (absolute, at most '
            '107 bytes), or an array of addresses, which are used in turn. An address has a port or begins with `unix:`. Default "" = none; required '
            "but for l7 routes with redirect or respond.",
            extra={"leading": True},
        ),
    ] = RouteBackend()
    tls: Annotated[
        RouteTls | None,
        Meta(
            description="l7: how TLS is spoken with clients, whether they show certificates and which: "
            '`{ client_ca = "clients.pem", client_auth = "require" }`. Default none = as the listener says.'
        ),
    ] = None
    l7_policies: Annotated[tuple[L7Policy, ...], Meta(description="l7: conditions on requests. Default none.")] = ()
    use: Annotated[
        tuple[FilterName, ...],
        Meta(description="Named filters that hold for the route, beside those of the listener. Default []."),
    ] = ()
    without: Annotated[
        tuple[FilterName, ...],
        Meta(description="Named filters of the listener that do not hold for the route. Default []."),
    ] = ()
    filter: Annotated[
        FilterOptions | None,
        Meta(description='A filter for the route alone: `{ max_body = "10MiB" }`. Default none.'),
    ] = None
    cases: Annotated[
        tuple[Case, ...],
        Meta(
            description='l7: requests with an action or filters of their own: `[{ match = "/api/*", backend = "api" }]`. Default none.'
        ),
    ] = ()


class Listener(Table, frozen=True, kw_only=True):
    """An address that clients connect to."""

    addr: Annotated[
        ListenAddress,
        Meta(
            description='":port" (all addresses, IPv4 and IPv6), "v4:port" or "[v6]:port". Required; no two listeners may overlap.'
        ),
    ]
    protocol: Annotated[
        ListenerProtocol,
        Meta(
            description='What clients speak: "tls", routed by the server name (SNI); "http", HTTP/1.1 or HTTP/2 without TLS, each request routed by its host, '
            'and all routes l7; or "tcp", anything: each connection goes to the one route, which has '
            'hostname "*" and is l4, and its backend is connected to before the client has sent a byte, so servers that speak first can greet. '
            'Default "tls"; a change keeps the sockets, and open connections.'
        ),
    ] = "tls"
    proxy_protocol: Annotated[
        bool, Meta(description="Clients must send a PROXY protocol header (v1 or v2) first. Default false.")
    ] = False
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Meta(
            description="Networks that may send the PROXY header; others are reset, unless untrusted says otherwise. Default [] = any; only with proxy_protocol."
        ),
    ] = ()
    untrusted: Annotated[
        Literal["reset", "direct"],
        Meta(
            description='What happens to clients outside of trusted_proxies: "reset", or "direct" = they are clients without a header. '
            'Default "reset"; only with trusted_proxies.'
        ),
    ] = "reset"
    freebind: Annotated[
        bool,
        Meta(
            description="Listen also while no interface has the address, as before keepalived brings it (IP_FREEBIND). Default false; without it the "
            "address is tried again until it is there."
        ),
    ] = False
    max_connections: Annotated[
        Count,
        Meta(description="Open connections of this listener, over all workers; more are reset. Default 0 = no limit."),
    ] = 0
    use: Annotated[
        tuple[FilterName, ...], Meta(description="Named filters that hold for all its routes. Default [].")
    ] = ()
    real_ip: Annotated[
        RealIp | None,
        Meta(
            description='Behind proxies that speak HTTP: whom to believe who the client is, `{ header = "X-Forwarded-For", from = ["10.0.0.0/8"] }`. Default '
            "none = the client is who connects."
        ),
    ] = None
    tls: Annotated[
        RouteTls | None,
        Meta(
            description="How TLS is spoken with clients, for all l7 routes of the listener; what a route says itself counts more, key by key. Default none."
        ),
    ] = None
    routes: Annotated[tuple[Route, ...], Meta(description="Where connections lead, by server name. Default none.")] = ()


class ListenerRoute(Route, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A route that names its listener, so that it may stand in another file than that: a file per team, say."""

    listener: Annotated[
        ListenAddress,
        Meta(
            description="The addr of the listener that the route belongs to, in any form that addr may have. Required; one of the files "
            "must declare that listener."
        ),
    ]


class Config(Table, frozen=True, kw_only=True):
    """The configuration of mcproxy."""

    include: Annotated[
        tuple[NonEmpty, ...],
        Meta(
            description="More files, as paths or globs relative to this file, read in sorted order. Default []; globs find no hidden files, and no backups "
            "of editors and package managers (`*~`, `#*#`, `*.swp`, `*.bak`, `*.rpmsave` ...); listeners, routes, upstreams, tests and "
            "the lists of the firewall add up over the files, any other key may stand in one file only; included files include nothing.",
            examples=[["conf.d/*.toml"]],
        ),
    ] = ()
    fleet: Annotated[
        FleetNode | None,
        Meta(
            description="This machine is a node of a fleet, and what it serves is in the fleet's document. Default none; beside it only [database], [grpc], "
            "[metrics] and [log]."
        ),
    ] = None
    database: Annotated[Database, Meta(description="The database of runtime edits and history.")] = Database()
    grpc: Annotated[Grpc, Meta(description="The admin API.")] = Grpc()
    metrics: Annotated[Metrics, Meta(description="The endpoint of metrics, health checks and the status page.")] = (
        Metrics()
    )
    log: Annotated[Log, Meta(description="Logging.")] = Log()
    proxy: Annotated[Proxy, Meta(description="The workers and their time limits.")] = Proxy()
    limits: Annotated[Limits, Meta(description="Protection against abuse on l7 routes.")] = Limits()
    firewall: Annotated[Firewall, Meta(description="Who may connect at all.")] = Firewall()
    guard: Annotated[Guard, Meta(description="Undoing changes that make routes fail.")] = Guard()
    acme: Annotated[Acme, Meta(description="The CA that certificates are ordered from.")] = Acme()
    upstreams: Annotated[
        dict[UpstreamName, Upstream], Meta(description="Named sets of endpoints, which routes lead to.")
    ] = msgspec.field(default_factory=dict)
    filters: Annotated[
        dict[FilterName, FilterOptions],
        Meta(description="Named guards and modifiers of requests, which listeners, routes and cases use."),
    ] = msgspec.field(default_factory=dict)
    listeners: Annotated[
        tuple[Listener, ...], Meta(description="The addresses that clients connect to, with their routes.")
    ] = ()
    routes: Annotated[
        tuple[ListenerRoute, ...],
        Meta(description="Routes of listeners that are declared elsewhere, here or in other files."),
    ] = ()
    tests: Annotated[
        tuple[ConfigTest, ...],
        Meta(description="Requests and connections with what has to come of them; a file whose test fails is invalid."),
    ] = ()
