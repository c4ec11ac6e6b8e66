"""The shape of the tables of settings: the database, the admin API, metrics, logging, the workers, the firewall, the guard, ordered certificates."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mcproxy.model.state.state import MAX_RATE_LIMIT
from mcproxy.model.values.leaf_types import (
    AcmeDirectory,
    AllowedAddress,
    BlockedAddress,
    Country,
    DnsServerAddress,
    Duration,
    DurationOrZero,
    EmailAddress,
    FileMode,
    FilePath,
    HostnamePattern,
    MetricsPath,
    Network,
    NonEmpty,
    OptionalHostname,
    OptionalListenAddress,
    PositiveCount,
    Share,
    Text,
)


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all tables share."""


class Database(Table, frozen=True, kw_only=True):
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


class Grpc(Table, frozen=True, kw_only=True):
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


class Metrics(Table, frozen=True, kw_only=True):
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


class Log(Table, frozen=True, kw_only=True):
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


class Proxy(Table, frozen=True, kw_only=True):
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
        Meta(
            description="From accept until the ClientHello is complete, without TLS until the first byte of a request is there. "
            'Default "5s"; then the connection is reset.'
        ),
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
    data_path: Annotated[
        Literal["auto", "python", "native"],
        Meta(
            description='What relays l4 connections: "native" = a core compiled from C, which leaves to Python whatever is not ordinary; '
            '"python" = Python alone, with the same behaviour. Default "auto" = native where the core was compiled when mcproxy was '
            "installed, else python; `mcproxyctl status` tells which, and why."
        ),
    ] = "auto"
    http2_engine: Annotated[
        Literal["auto", "ngh2", "h2"],
        Meta(description='HTTP/2 implementation. Default "auto" = ngh2 where it is installed, else h2.'),
    ] = "auto"


class Firewall(Table, frozen=True, kw_only=True):
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


class Guard(Table, frozen=True, kw_only=True):
    """The guard, which undoes a change that makes its routes fail."""

    watch: Annotated[
        DurationOrZero,
        Meta(
            description="How long the routes that a reload touches are watched; where too many of their requests fail, what the reload did to them "
            'is undone by runtime edits (docs/guarded-reload.md). Default "0s" = never; runtime edits are watched with `--guard`.'
        ),
    ] = 0.0
    max_errors: Annotated[
        Share,
        Meta(
            description="By how much the share of errors may grow, compared with the same routes' 10 minutes before; without a past that was 0 %. "
            'Default "5%", at most "100%".'
        ),
    ] = "5%"
    min_requests: Annotated[
        PositiveCount,
        Meta(
            description="How many requests, on l4 routes connections, have to be answered before they are judged. Default 50, at least 1; "
            "with fewer the change is kept."
        ),
    ] = 50


class AcmeDns(Table, frozen=True, kw_only=True):
    """How TXT records are set, for `challenge = "dns-01"`: at a server of the zone, or by a program."""

    server: Annotated[
        DnsServerAddress,
        Meta(
            description='The primary server of the zone, which takes dynamic updates (RFC 2136): an IP address, with a port where that is not 53. Default "" = none.'
        ),
    ] = ""
    zone: Annotated[
        OptionalHostname,
        Meta(description='The zone that the names are in. Default ""; required with server, without effect else.'),
    ] = ""
    tsig_key: Annotated[
        FilePath,
        Meta(
            description='The key that signs the updates, a file as `tsig-keygen` writes it, relative to this file. Default "" = they are not signed; only with server.'
        ),
    ] = ""
    exec: Annotated[
        FilePath,
        Meta(
            description="A program in the place of a server, relative to this file: it is run with `present` or `cleanup`, the name of the record and its value, "
            'without a shell, for 60 s at most, and returns once the record is there. Default "" = none.'
        ),
    ] = ""


class AcmeEab(Table, frozen=True, kw_only=True):
    """Whose account it is at a CA that wants to know its customers (external account binding)."""

    kid: Annotated[
        Text, Meta(description='The identifier that the CA gives its customer. Default "" = none; goes with key.')
    ] = ""
    key: Annotated[
        FilePath,
        Meta(
            description='A file with the key that the CA gives with it, base64url, relative to this file. Default ""; goes with kid.'
        ),
    ] = ""


class Acme(Table, frozen=True, kw_only=True):
    """The CA that routes with `certificate = "acme"` have their certificates from; with the table its terms of service are agreed to."""

    email: Annotated[
        EmailAddress,
        Meta(description='Whom the CA may write to, of the account that is made there. Default "" = nobody.'),
    ] = ""
    directory: Annotated[
        AcmeDirectory,
        Meta(
            description="URL of the CA's directory (RFC 8555), \"staging\" for Let's Encrypt's for tries, whose certificates nobody trusts. Default \"\" = Let's "
            "Encrypt's."
        ),
    ] = ""
    ca: Annotated[
        FilePath,
        Meta(
            description='CA certificates for the directory itself, PEM, relative to this file. Default "" = those that Python trusts; for a CA of your own.'
        ),
    ] = ""
    challenge: Annotated[
        Literal["tls-alpn-01", "http-01", "dns-01"],
        Meta(
            description='How it is proven that the names are yours: "tls-alpn-01" by a handshake on port 443, "http-01" by a request to port 80, which a '
            'listener with `protocol = "http"` answers before anything else, "dns-01" by a TXT record, also for wildcards. Default "tls-alpn-01".'
        ),
    ] = "tls-alpn-01"
    profile: Annotated[
        Text,
        Meta(description='The CA\'s word for a kind of certificates, such as "shortlived". Default "" = its default.'),
    ] = ""
    folder: Annotated[
        NonEmpty,
        Meta(
            description='Folder of certificates, keys and accounts, relative to the folder of the database. Default "acme"; made when it is first needed, for '
            "its owner alone."
        ),
    ] = "acme"
    dns: Annotated[AcmeDns, Meta(description='How TXT records are set, for `challenge = "dns-01"`.')] = AcmeDns()
    eab: Annotated[AcmeEab, Meta(description="Whose account it is, at a CA that wants to know.")] = AcmeEab()
