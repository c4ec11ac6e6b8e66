"""The keys of a filter: of a named one, `[filters.NAME]`, and of one that a route or case has for itself; the one declaration of both.

A key is a guard or a modifier, and its description begins with which. Guards add up from the listener to the route to the case: who
wants to come in has to pass all of them. Of modifiers that say different things the innermost wins. What holds in which place is
resolved in `scopes`.
"""

from functools import cache
from typing import Any, TypeVar, get_type_hints

import msgspec
from msgspec import UNSET, Meta

from mcproxy.declared import Annotated
from mcproxy.model.values.http.amounts import Rate
from mcproxy.model.values.http.filter_types import (
    AddedRequestHeaders,
    AddedResponseHeaders,
    AuthBackend,
    Authority,
    ErrorPages,
    HeaderDemand,
    HeaderName,
    MediaType,
    Method,
    OptionalSize,
    PathPrefix,
    RateKey,
    RequestHeaderName,
    RequestHeaders,
    RequestRate,
    ResponseHeaderName,
    ResponseHeaders,
    WebOrigin,
)
from mcproxy.model.values.leaf_types import (
    ClientName,
    Country,
    FilePath,
    Network,
    NonEmpty,
    OptionalDurationOrZero,
    RequestTarget,
)

T = TypeVar("T", bound=msgspec.Struct)


class RealIp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From whom a listener takes the address of the client, and out of which header."""

    from_: Annotated[
        tuple[Network, ...],
        Meta(
            description="Networks of the proxies in front of this one. Required, at least one; the rightmost address in the header that is in none "
            "of them is the client's."
        ),
    ] = msgspec.field(name="from")
    header: Annotated[
        HeaderName, Meta(description='The header that those proxies add the address to. Default "X-Forwarded-For".')
    ] = "X-Forwarded-For"


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file that an answer is made of; a string in its place is the text itself."""

    file: Annotated[
        FilePath,
        Meta(
            description="The file, at most 1 MiB, relative to this one. Required; read again when the file changes.",
        ),
    ]
    type: Annotated[
        MediaType, Meta(description='What it is, for Content-Type. Default "text/html; charset=utf-8".')
    ] = "text/html; charset=utf-8"


class Rewrite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of the path on the way to the backend: its beginning is replaced."""

    from_: Annotated[
        PathPrefix,
        Meta(description='The beginning that is replaced, of whole segments: "/api" is in /api and /api/x. Required.'),
    ] = msgspec.field(name="from")
    to: Annotated[PathPrefix, Meta(description='What stands in its place: "/" takes it away. Required.')]


class ForwardAuth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who decides about each request: it is asked by a GET, and any answer but 2xx is the client's."""

    backend: Annotated[AuthBackend, Meta(description="Where to ask: the name of an upstream, or an address. Required.")]
    path: Annotated[RequestTarget, Meta(description='What is asked for, a path perhaps with a query. Default "/".')] = (
        "/"
    )
    copy_headers: Annotated[
        tuple[RequestHeaderName, ...],
        Meta(
            description="Headers of its answer that the backend gets with the request. Default []; those that clients send under these names, in any "
            "spelling, never arrive."
        ),
    ] = ()


class Cors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pages of other origins may ask, by their browsers' leave: CORS. What browsers ask beforehand is answered here."""

    origins: Annotated[
        tuple[WebOrigin, ...],
        Meta(
            description='The origins whose pages may ask, each exact as in "https://app.example.com", or "*" for any. Required, at least one.'
        ),
    ]
    methods: Annotated[
        tuple[Method, ...],
        Meta(description="Methods that they may use; by default GET, HEAD and POST."),
    ] = ("GET", "HEAD", "POST")
    headers: Annotated[
        tuple[HeaderName, ...],
        Meta(description="Headers that they may send beside those that any page may. Default []."),
    ] = ()
    expose_headers: Annotated[
        tuple[HeaderName, ...],
        Meta(description="Headers of responses that they may read beside those that any page may. Default []."),
    ] = ()
    credentials: Annotated[
        bool,
        Meta(description='Whether they may ask with cookies and passwords. Default false; not with origins = ["*"].'),
    ] = False
    max_age: Annotated[
        OptionalDurationOrZero,
        Meta(description='How long browsers may remember the answer. Default "" = as long as they like, some seconds.'),
    ] = UNSET


class FilterOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Guards and modifiers of requests, for as many listeners, routes and cases as `use` it."""

    allow_cidrs: Annotated[
        tuple[Network, ...],
        Meta(description="Guard, also of l4 routes: only clients in these networks; others get 403. Default [] = all."),
    ] = ()
    block_cidrs: Annotated[
        tuple[Network, ...],
        Meta(description="Guard, also of l4 routes: no clients in these networks; they get 403. Default []."),
    ] = ()
    allow_countries: Annotated[
        tuple[Country, ...],
        Meta(
            description="Guard, also of l4 routes: only clients in these countries (ISO 3166-1); others, and those of no known country, get 403. Default "
            "[] = all; needs geoip_db."
        ),
    ] = ()
    block_countries: Annotated[
        tuple[Country, ...],
        Meta(
            description="Guard, also of l4 routes: no clients in these countries; they get 403. Default []; needs geoip_db."
        ),
    ] = ()
    rate_limit: Annotated[
        RequestRate,
        Meta(
            description='Guard, also of l4 routes: requests (there: connections) per client and time, as in "200/10s"; more get 429 with Retry-After. Default '
            '"" = no limit; an IPv6 client is its /64.'
        ),
    ] = Rate()
    rate_key: Annotated[
        RateKey,
        Meta(
            description='By what rate_limit counts: "client", or the value of a header as in "header:X-Api-Key" (requests without it by client). Default '
            '"client".'
        ),
    ] = "client"
    max_body: Annotated[
        OptionalSize,
        Meta(
            description='Guard: the largest body of a request, as in "10MiB"; larger ones get 413, those of no stated length when that much has come. '
            'Default "" = no limit.'
        ),
    ] = UNSET
    basic_auth: Annotated[
        FilePath,
        Meta(
            description='Guard: names and passwords, an htpasswd file with bcrypt (`htpasswd -B`) or scrypt; others get 401. Default "" = none; read again '
            "when the file changes."
        ),
    ] = ""
    pass_credentials: Annotated[
        bool, Meta(description="Whether the backend gets what basic_auth has judged, Authorization. Default false.")
    ] = False
    forward_auth: Annotated[
        ForwardAuth | None,
        Meta(
            description="Guard: another server is asked about each request; without an answer it is 503. Default none."
        ),
    ] = None
    client_names: Annotated[
        tuple[ClientName, ...],
        Meta(
            description='Guard: only clients whose certificate has one of these names, as in `tls` of routes: "*.svc.example.com"; others, and those without a '
            "certificate, get 403. Default [] = all; needs client_auth on the route."
        ),
    ] = ()
    block_user_agents: Annotated[
        tuple[NonEmpty, ...],
        Meta(
            description="Guard: no requests whose User-Agent contains one of these, in any case; they get 403. Default []."
        ),
    ] = ()
    require_headers: Annotated[
        tuple[HeaderDemand, ...],
        Meta(
            description='Guard: only requests with all of these headers, each as "Name" or "Name: value"; others get 403. Default [].'
        ),
    ] = ()
    set_request_headers: Annotated[
        RequestHeaders,
        Meta(
            description="Modifier: headers that the backend gets in place of those of the same names, with variables: {host} {uri} {path} {query} "
            "{client_ip} {request_id} {sni} {scheme} {client_cert}. Default none."
        ),
    ] = ()
    add_request_headers: Annotated[
        AddedRequestHeaders,
        Meta(description="Modifier: headers that the backend gets beside those of the same names. Default none."),
    ] = ()
    remove_request_headers: Annotated[
        tuple[RequestHeaderName, ...],
        Meta(description="Modifier: headers that the backend does not get. Default []."),
    ] = ()
    set_response_headers: Annotated[
        ResponseHeaders,
        Meta(
            description="Modifier: headers that clients get in place of those of the same names, with variables, also on the proxy's own answers. Default "
            "none."
        ),
    ] = ()
    add_response_headers: Annotated[
        AddedResponseHeaders,
        Meta(description="Modifier: headers that clients get beside those of the same names. Default none."),
    ] = ()
    remove_response_headers: Annotated[
        tuple[ResponseHeaderName, ...],
        Meta(description="Modifier: headers that clients do not get. Default []."),
    ] = ()
    rewrite: Annotated[
        Rewrite | None,
        Meta(
            description="Modifier: the beginning of the path that is replaced on the way to the backend. Default none; the log has the client's path."
        ),
    ] = None
    rewrite_host: Annotated[
        Authority,
        Meta(
            description='Modifier: the host that the backend gets, perhaps with a port. Default "" = that of the request.'
        ),
    ] = ""
    request_timeout: Annotated[
        OptionalDurationOrZero,
        Meta(
            description='Modifier: time from a request to the head of its response; 504 after it. Default "" = no limit; "0s" = none in here.'
        ),
    ] = UNSET
    idle_timeout: Annotated[
        OptionalDurationOrZero,
        Meta(
            description='Modifier: a stream with no byte in either direction ends. Default "" = that of the route, else of `[proxy]`; "0s" = never.'
        ),
    ] = UNSET
    error_pages: Annotated[
        ErrorPages,
        Meta(
            description='Modifier: files in place of the proxy\'s own error texts, by status: `{ "502-504" = "sorry.html", "404" = "lost.html" }`, or "5xx" '
            "for all of a class; the narrowest counts. Default none; at most 1 MiB each, read again when the file changes. `{request_id}` in one stands "
            "for the request's id, by which `mcproxyctl why` tells what happened."
        ),
    ] = ()
    backend_errors: Annotated[
        bool, Meta(description="Whether error_pages replace errors of the backend too. Default false.")
    ] = False
    cors: Annotated[
        Cors | None, Meta(description="Modifier: what pages of other origins may do. Default none = nothing special.")
    ] = None


def descriptions() -> dict[str, str]:
    """Return what is declared of each key for people."""
    hints = get_type_hints(FilterOptions, include_extras=True)
    return {
        key: "".join(meta.description or "" for meta in hint.__metadata__ if isinstance(meta, Meta))
        for key, hint in hints.items()
    }


@cache
def l4_keys() -> frozenset[str]:
    """Return the keys with an effect on l4 routes."""
    return frozenset(key for key, text in descriptions().items() if text.startswith("Guard, also of l4"))


def sorted_lists(table: T) -> T:
    """Return a filter with its lists of texts in order, each text once, and so those of the tables within it: the order says nothing."""
    changed: dict[str, Any] = {}
    for name in table.__struct_fields__:
        value: Any = getattr(table, name)
        ordered = value
        if isinstance(value, tuple) and value and isinstance(value[0], str):
            ordered = tuple(sorted(set(value)))
        elif isinstance(value, ForwardAuth | Cors):
            ordered = sorted_lists(value)
        if ordered != value:
            changed[name] = ordered
    return msgspec.structs.replace(table, **changed) if changed else table
