"""The shape of the config file: one frozen struct per table, one field per key, unknown keys forbidden.

The structs are the one declaration of the file format. The walker converts by them, `resolve` takes its defaults from
them, and the JSON Schema and the reference are made from their descriptions (default, unit and edge case of each key).
Values are canonical here already: durations are seconds, addresses and hostnames in the one form that compares equal.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mcproxy.model.config.limits import Limits
from mcproxy.model.config.upstreams import Upstream
from mcproxy.model.state.route_options import RouteOptions
from mcproxy.model.state.state import MAX_RATE_LIMIT
from mcproxy.model.values.leaf_types import (
    AllowedAddress,
    Backend,
    BlockedAddress,
    Count,
    Country,
    Duration,
    DurationOrZero,
    FileMode,
    FilePath,
    HostnamePattern,
    ListenAddress,
    MetricsPath,
    Network,
    NonEmpty,
    OptionalListenAddress,
    PositiveCount,
    Text,
    UpstreamName,
)


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all tables share."""


class Database(_Table, frozen=True, kw_only=True):
    """The database of runtime edits and history."""

    path: Annotated[
        FilePath,
        Meta(
            description='SQLite file, relative to this file. Default "mc-proxy.db"; created when missing, its folder is not.'
        ),
    ] = "mc-proxy.db"
    keep_revisions: Annotated[
        PositiveCount,
        Meta(description="How many applied generations stay in the history. Default 1000, at least 1."),
    ] = 1000


class Grpc(_Table, frozen=True, kw_only=True):
    """The admin API."""

    socket: Annotated[
        FilePath,
        Meta(
            description='Unix socket, relative to this file. Default "mc-proxy.sock"; the absolute path has at most 107 bytes; '
            '"" = no socket.'
        ),
    ] = "mc-proxy.sock"
    socket_mode: Annotated[
        FileMode,
        Meta(description='Permissions of the socket, octal. Default "0600": its owner alone.'),
    ] = "0600"
    addr: Annotated[
        OptionalListenAddress,
        Meta(
            description='TCP address. Default "" = none; when set, tls_cert, tls_key and client_ca are required (mutual TLS).'
        ),
    ] = ""
    tls_cert: Annotated[
        FilePath,
        Meta(description='The API\'s certificate chain, PEM. Default ""; required with addr, without effect else.'),
    ] = ""
    tls_key: Annotated[
        FilePath,
        Meta(description='The private key of tls_cert, PEM. Default ""; required with addr, without effect else.'),
    ] = ""
    client_ca: Annotated[
        FilePath,
        Meta(
            description='CA certificates that sign the clients\', PEM. Default ""; required with addr, without effect else.'
        ),
    ] = ""


class Metrics(_Table, frozen=True, kw_only=True):
    """The endpoint of metrics, health checks and the status page."""

    addr: Annotated[
        OptionalListenAddress,
        Meta(
            description='TCP address of metrics, `/healthz`, `/readyz` and the status page at `/`. Default "" = off; it has no access '
            "control, so keep it on loopback or a management network."
        ),
    ] = ""
    path: Annotated[MetricsPath, Meta(description='Where the metrics are. Default "/metrics".')] = "/metrics"
    allowed_hosts: Annotated[
        tuple[HostnamePattern, ...],
        Meta(
            description="Further names under which browsers may open the status page; under others it is answered with 421, so that no "
            "other site can read it (DNS rebinding). Default [] = those of loopback, IP addresses, and the machine's own names; "
            '["*"] = any. Metrics and health checks are answered under any name.'
        ),
    ] = ()


class Log(_Table, frozen=True, kw_only=True):
    """Logging."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description='The least severity that is logged. Default "info".'),
    ] = "info"
    format: Annotated[
        Literal["console", "json"],
        Meta(description='"console" for people, "json" for machines: one object a line. Default "console".'),
    ] = "console"
    access: Annotated[
        FilePath,
        Meta(
            description="Access log: one JSON line per connection (l4, and refused ones) or request (l7), when it is over. "
            'Default "" = off, "-" = standard output, else a file, relative to this one; SIGUSR1 opens it anew after '
            "a rotation (docs/access-log.md). Paths are told without their query, and of the headers only User-Agent and the trace-id of "
            "traceparent: tokens stay out of the log."
        ),
    ] = ""


class Proxy(_Table, frozen=True, kw_only=True):
    """The workers and their time limits."""

    workers: Annotated[
        int, Meta(ge=0, le=1024, description="Number of worker processes. Default 0 = one per CPU; at most 1024.")
    ] = 0
    user: Annotated[
        Text,
        Meta(description='User that the workers become after start. Default "" = they keep the user of the server.'),
    ] = ""
    client_hello_timeout: Annotated[
        Duration,
        Meta(description='From accept until the ClientHello is complete. Default "5s"; then the connection is reset.'),
    ] = 5.0
    proxy_header_timeout: Annotated[
        Duration,
        Meta(description='From accept until the PROXY header is complete. Default "5s"; then the connection is reset.'),
    ] = 5.0
    handshake_timeout: Annotated[
        Duration, Meta(description='l7: time for a TLS handshake, with a client or a backend. Default "10s".')
    ] = 10.0
    connect_timeout: Annotated[
        Duration,
        Meta(
            description="Time to connect to each address of a backend; the next address is begun when one has failed or not answered for "
            '250 ms, at most four at once, those last that failed lately. Default "5s".'
        ),
    ] = 5.0
    idle_timeout: Annotated[
        Duration,
        Meta(
            description='A connection (l4) or stream (l7) with no byte in either direction ends. Default "5m"; never off, at most 8760h.'
        ),
    ] = 300.0
    half_closed_timeout: Annotated[
        Duration,
        Meta(
            description="A connection (l4) of which one side has ended ends when no byte has come from the other for so long, or for "
            'idle_timeout where that is shorter. Default "5m".'
        ),
    ] = 300.0
    shutdown_timeout: Annotated[
        DurationOrZero,
        Meta(
            description='How long open connections may go on when they are drained. Default "30s"; "0s" = they end at once.'
        ),
    ] = 30.0
    allow_shrink: Annotated[
        bool,
        Meta(
            description="Whether a change of the files may take away any number of hostnames. Default false: a reload after which more "
            "than half of the hostnames served now, and at least 10, would be served by no listener any more, or an include that "
            "matched files matches none, is refused until `mcproxyctl reload --allow-shrink`."
        ),
    ] = False
    http2_engine: Annotated[
        Literal["auto", "ngh2", "h2"],
        Meta(description='HTTP/2 implementation. Default "auto" = ngh2 where it is installed, else h2.'),
    ] = "auto"


class Firewall(_Table, frozen=True, kw_only=True):
    """Who may connect at all; judged on the client's real address."""

    geoip_db: Annotated[
        FilePath,
        Meta(
            description='Country database in MaxMind format, relative to this file. Default "" = none; read again when the file changes; '
            "required by blocked_countries and allowed_countries."
        ),
    ] = ""
    blocked_ips: Annotated[
        tuple[BlockedAddress, ...], Meta(description="Addresses that are reset, IPv4 or IPv6. Default [].")
    ] = ()
    blocked_cidrs: Annotated[
        tuple[Network, ...],
        Meta(
            description="Networks that are reset, IPv4 or IPv6. Default []; an address alone means itself; host bits must be zero."
        ),
    ] = ()
    blocked_countries: Annotated[
        tuple[Country, ...],
        Meta(
            description="Countries that are reset, ISO 3166-1 alpha-2. Default []; needs geoip_db; an address in no country passes."
        ),
    ] = ()
    allowed_ips: Annotated[
        tuple[AllowedAddress, ...],
        Meta(description="Addresses that are let in whatever blocks them, IPv4 or IPv6. Default []."),
    ] = ()
    allowed_cidrs: Annotated[
        tuple[Network, ...],
        Meta(description="Networks that are let in whatever blocks them, IPv4 or IPv6. Default []."),
    ] = ()
    allowed_countries: Annotated[
        tuple[Country, ...],
        Meta(
            description="Countries that are let in whatever blocks them, ISO 3166-1 alpha-2. Default []; needs geoip_db."
        ),
    ] = ()
    default: Annotated[
        Literal["allow", "deny"],
        Meta(
            description='What happens to clients that no list names: "allow", or "deny" = they are reset. Default "allow"; "deny" needs an '
            "entry in one of the allowed_ lists."
        ),
    ] = "allow"
    connections_per_client: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_RATE_LIMIT,
            description="Open connections per client address (IPv6: per /64), over all listeners and workers; more are reset. Default 0 = no limit.",
        ),
    ] = 0
    rate_limit: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_RATE_LIMIT,
            description="Connections per client address (IPv6: per /64) and rate_window. Default 0 = no limit.",
        ),
    ] = 0
    rate_window: Annotated[
        Duration, Meta(description='Length of the fixed windows that rate_limit counts in. Default "1m".')
    ] = 60.0


class L7Policy(_Table, frozen=True, kw_only=True):
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


class Route(RouteOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What clients of one server name (SNI) reach."""

    hostname: Annotated[
        HostnamePattern,
        Meta(
            description='Server name: exact, "*.example.com" (any depth, not example.com itself) or "*" (all else, also clients without '
            "SNI). Required; exact beats wildcard, a longer wildcard a shorter one; the order in the file never matters."
        ),
    ]
    backend: Annotated[
        Backend,
        Meta(
            description='Where connections go: the name of an upstream, or an address, "host:port", "[v6]:port" or "unix:/path" (absolute, at most '
            "107 bytes), or an array of addresses, which are used in turn. Required; an address has a port or begins with `unix:`."
        ),
    ]
    l7_policies: Annotated[tuple[L7Policy, ...], Meta(description="l7: conditions on requests. Default none.")] = ()


class Listener(_Table, frozen=True, kw_only=True):
    """An address that clients connect to."""

    addr: Annotated[
        ListenAddress,
        Meta(
            description='":port" (all addresses, IPv4 and IPv6), "v4:port" or "[v6]:port". Required; no two listeners may overlap.'
        ),
    ]
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


class Config(_Table, frozen=True, kw_only=True):
    """The configuration of mcproxy."""

    include: Annotated[
        tuple[NonEmpty, ...],
        Meta(
            description="More files, as paths or globs relative to this file, read in sorted order. Default []; globs find no hidden files, and no backups "
            "of editors and package managers (`*~`, `#*#`, `*.swp`, `*.bak`, `*.rpmsave` ...); listeners, routes, upstreams and "
            "the lists of the firewall add up over the files, any other key may stand in one file only; included files include nothing.",
            examples=[["conf.d/*.toml"]],
        ),
    ] = ()
    database: Annotated[Database, Meta(description="The database of runtime edits and history.")] = Database()
    grpc: Annotated[Grpc, Meta(description="The admin API.")] = Grpc()
    metrics: Annotated[Metrics, Meta(description="The endpoint of metrics, health checks and the status page.")] = (
        Metrics()
    )
    log: Annotated[Log, Meta(description="Logging.")] = Log()
    proxy: Annotated[Proxy, Meta(description="The workers and their time limits.")] = Proxy()
    limits: Annotated[Limits, Meta(description="Protection against abuse on l7 routes.")] = Limits()
    firewall: Annotated[Firewall, Meta(description="Who may connect at all.")] = Firewall()
    upstreams: Annotated[
        dict[UpstreamName, Upstream], Meta(description="Named sets of endpoints, which routes lead to.")
    ] = {}
    listeners: Annotated[
        tuple[Listener, ...], Meta(description="The addresses that clients connect to, with their routes.")
    ] = ()
    routes: Annotated[
        tuple[ListenerRoute, ...],
        Meta(description="Routes of listeners that are declared elsewhere, here or in other files."),
    ] = ()
