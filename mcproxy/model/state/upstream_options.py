"""The keys of an upstream and of its endpoints, beside their names: the one declaration that everything else comes from.

The file's tables and the State's resources both have these fields; what `route_options` says of routes holds for them too.
"""

from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta

from mcproxy.declared import Annotated
from mcproxy.model.values.leaf_types import (
    CookieName,
    Count,
    Duration,
    DurationOrZero,
    FilePath,
    OptionalDuration,
    OptionalHostname,
    RequestTarget,
    Statuses,
    Text,
)

MOST_TRIES = 16
HIGHEST_WEIGHT = 256

EndpointState: TypeAlias = Literal["ready", "drain", "maintenance"]
"""What the operator wants of an endpoint."""

_Retried: TypeAlias = Literal["502", "503", "504", "reset"]


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How each endpoint of an upstream is asked whether it is well; through TLS and PROXY header as traffic goes to it."""

    type: Annotated[
        Literal["tcp", "tls", "http", "grpc"],
        Meta(
            description='What has to succeed: "tcp" a connection, "tls" a handshake with a certificate that is verified, "http" one request, '
            '"grpc" a call of grpc.health.v1. Default "tcp".'
        ),
    ] = "tcp"
    path: Annotated[
        RequestTarget, Meta(description='http: what is asked for by GET, a path perhaps with a query. Default "/".')
    ] = "/"
    host: Annotated[
        OptionalHostname, Meta(description='http, grpc: the host of the request. Default "" = the endpoint\'s own.')
    ] = ""
    status: Annotated[
        Statuses,
        Meta(
            description='http: the statuses of an endpoint that is well, single ones and ranges with commas between them. Default "200-399".'
        ),
    ] = "200-399"
    service: Annotated[Text, Meta(description='grpc: the service to ask for. Default "" = the server as a whole.')] = ""
    interval: Annotated[
        Duration,
        Meta(
            description='From the beginning of a check to that of the next, a tenth longer or shorter. Default "10s".'
        ),
    ] = 10.0
    timeout: Annotated[
        Duration, Meta(description='Time for one check; after it the check has failed. Default "2s".')
    ] = 2.0
    fall: Annotated[
        int,
        Meta(ge=1, le=100, description="Failed checks in a row after which an endpoint is down. Default 3, 1 to 100."),
    ] = 3
    rise: Annotated[
        int,
        Meta(
            ge=1, le=100, description="Passed checks in a row after which an endpoint is up again. Default 2, 1 to 100."
        ),
    ] = 2
    port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="The port to check, for health on another one than traffic. Default 0 = the endpoint's own; without effect on Unix sockets.",
        ),
    ] = 0


class BackendTls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS to the endpoints of an upstream, their certificates verified."""

    ca: Annotated[
        FilePath,
        Meta(
            description='CA certificates for the endpoints, PEM, relative to this file. Default "" = those of the system; read again when the '
            "file changes."
        ),
    ] = ""
    server_name: Annotated[
        OptionalHostname,
        Meta(description='The name that the endpoints\' certificates must have. Default "" = the host of each.'),
    ] = ""
    cert: Annotated[
        FilePath,
        Meta(
            description='The certificate that the proxy shows to the endpoints, PEM, with its chain, relative to this file. Default "" = none; only with key; '
            "read again when the file changes."
        ),
    ] = ""
    key: Annotated[
        FilePath,
        Meta(
            description='Private key of cert, PEM, not encrypted. Default ""; only with cert; read again when the file changes.'
        ),
    ] = ""


class UpstreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How connections and requests are spread over the endpoints of an upstream; every key has a default."""

    balance: Annotated[
        Literal["round_robin", "least_conn", "random_two", "source_hash"],
        Meta(
            description='How an endpoint is chosen, always by weight: "round_robin" in turn, "least_conn" the one with the fewest connections or '
            'requests of this worker, "random_two" the less loaded of two over all workers, "source_hash" the same one for the same client '
            'address. Default "round_robin".'
        ),
    ] = "round_robin"
    sticky_cookie: Annotated[
        CookieName,
        Meta(
            description='l7: name of a cookie that keeps a client at its endpoint as long as that is usable. Default "" = none; not for l4 routes.'
        ),
    ] = ""
    check: Annotated[
        Check | None,
        Meta(description="How endpoints are asked whether they are well. Default none = they are not asked."),
    ] = None
    eject: Annotated[
        bool,
        Meta(
            description="Leave an endpoint out for a while at which half of the attempts fail, 5 at least within 10 s: 30 s, longer each "
            "time, at most 5 min. Never more than half of the endpoints, nor the last usable one. Default true."
        ),
    ] = True
    panic: Annotated[
        bool,
        Meta(
            description="Whether all endpoints are used when none is usable. Default true; false = refuse at once. Those that the operator has taken out "
            "stay out."
        ),
    ] = True
    slow_start: Annotated[
        DurationOrZero,
        Meta(
            description='How long the share of an endpoint that has become usable grows, from a tenth to all of it. Default "0s" = all at once.'
        ),
    ] = 0.0
    tries: Annotated[
        int,
        Meta(
            ge=1,
            le=MOST_TRIES,
            description="Endpoints that are tried for one connection or request, as long as nothing of it was sent. Default 3, 1 to 16.",
        ),
    ] = 3
    retry_on: Annotated[
        tuple[_Retried, ...],
        Meta(
            description='l7: answers after which a request goes to another endpoint: "502", "503", "504", or "reset" = none came. Default []; '
            "only GET, HEAD, OPTIONS, TRACE, PUT and DELETE of which no body was sent, and for a fifth of the requests at most."
        ),
    ] = ()
    tls: Annotated[
        BackendTls | None,
        Meta(
            description="TLS to the endpoints, their certificates verified; `{}` takes the CAs of the system. Default none = cleartext. An l4 route "
            "passes on what clients send, and only checks use this."
        ),
    ] = None
    protocol: Annotated[
        Literal["auto", "h2", "http/1.1"],
        Meta(
            description='l7: what the endpoints speak. Default "auto" = by ALPN over TLS; in cleartext h2 is tried once per endpoint.'
        ),
    ] = "auto"
    send_proxy_protocol: Annotated[
        bool, Meta(description="Tell the endpoints the client's address by a PROXY protocol header. Default false.")
    ] = False
    proxy_protocol_version: Annotated[
        Literal["v1", "v2"], Meta(description='Version of that header. Default "v2"; v1 carries no TLVs.')
    ] = "v2"
    proxy_protocol_destination: Annotated[
        Literal["backend", "original"],
        Meta(description='Destination that the header names, as for a route. Default "backend".'),
    ] = "backend"
    proxy_protocol_tlvs: Annotated[
        bool,
        Meta(
            description="Pass on the TLVs of the received PROXY header, but checksum and padding; only with v2. Default false."
        ),
    ] = False
    connect_timeout: Annotated[
        OptionalDuration,
        Meta(description='Time to connect to each endpoint, as in `[proxy]`. Default "" = that of `[proxy]`.'),
    ] = UNSET


class EndpointOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one endpoint of an upstream gets; every key has a default."""

    weight: Annotated[
        int,
        Meta(
            ge=1,
            le=HIGHEST_WEIGHT,
            description="Its share beside those of the other endpoints. Default 1, 1 to 256; for none at all set state.",
            extra={"below": '; for nothing new set state = "drain"'},
        ),
    ] = 1
    max_active: Annotated[
        Count,
        Meta(
            description="Connections (l4) or requests (l7) under way, over all workers; it is passed over when it has so many. Default 0 = no limit."
        ),
    ] = 0
    state: Annotated[
        EndpointState,
        Meta(
            description='What the operator wants: "ready", "drain" = nothing new but requests with its cookie, or "maintenance" = nothing at all, and '
            'connections that are open end. Default "ready".'
        ),
    ] = "ready"
    backup: Annotated[bool, Meta(description="Use it only when no other endpoint is usable. Default false.")] = False
    resolve: Annotated[
        Literal["any", "all"],
        Meta(
            description='What a name stands for: "any" = one endpoint, at whichever of its addresses answers, "all" = each of its addresses (64 at '
            'most, asked for every 30 s) is an endpoint. Default "any"; "all" only with a name.'
        ),
    ] = "any"
