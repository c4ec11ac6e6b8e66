"""The immutable copy of a State that workers get, encoded as MessagePack.

Beside the resources it carries what only control can assign: the generation, and for every listener, route and endpoint
the stable index of its counters in shared memory.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from mcproxy.model.state.filter_options import Page
from mcproxy.model.state.named_files import pairs_of
from mcproxy.model.state.scopes import FilterEntry, FilterKey, Scope, filter_entries, scope_of
from mcproxy.model.state.state import (
    Case,
    EndpointKey,
    Listener,
    ListenerKey,
    Policy,
    Route,
    RouteKey,
    SettingValue,
    State,
)
from mcproxy.model.state.tls_options import TlsTerms, Who, terms
from mcproxy.model.state.upstream_entries import Answers, UpstreamEntry, entry_name, upstream_entries

_NONE: Mapping[Any, Any] = {}


class Timeouts(msgspec.Struct, frozen=True):
    """The workers' time limits, in seconds."""

    client_hello: float
    proxy_header: float
    handshake: float
    connect: float
    idle: float
    half_closed: float
    shutdown: float


class FirewallEntry(msgspec.Struct, frozen=True):
    """Whom the workers refuse.

    Attributes:
        ips, cidrs, countries: whom the rules block: their values, sorted by type.
        allowed_ips, allowed_cidrs, allowed_countries: whom they allow, whatever else blocks them.
        default: what happens to all others.
        connections_per_client: how many a client may have open, 0 for no limit.
        database: what tells one version of the country database from another; "" when there is none.
        rate_limit: connections per client and window, 0 for no limit.
        rate_window: length of a window in seconds.
    """

    ips: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    database: str = ""
    rate_limit: int = 0
    rate_window: float = 60.0
    allowed_ips: tuple[str, ...] = ()
    allowed_cidrs: tuple[str, ...] = ()
    allowed_countries: tuple[str, ...] = ()
    default: Literal["allow", "deny"] = "allow"
    connections_per_client: int = 0


class HttpEntry(msgspec.Struct, frozen=True):
    """How workers speak HTTP; the fields are keys of the config's ``[limits]``, times in seconds.

    Attributes:
        engine: ``proxy.http2_engine``.
    """

    engine: Literal["auto", "ngh2", "h2"]
    header_bytes: int
    header_count: int
    response_header_bytes: int
    response_header_count: int
    header_timeout: float
    concurrent_streams: int
    stream_window: int
    connection_window: int
    stream_resets_per_second: int
    resets_before_response: int
    continuation_frames: int
    pings_per_second: int
    settings_per_second: int
    empty_frames: int
    idle_frames: int
    unsent_bytes: int
    stalled_window_timeout: float
    remove_request_headers: tuple[str, ...]
    proxy_header_bytes: int
    backend_connections: int
    backend_waiting: int


class CaseEntry(msgspec.Struct, frozen=True):
    """A case of a route.

    Attributes:
        case: its keys.
        scope: the indices of the filters that hold for it, those of listener and route among them, the outermost first.
        upstream: the name of the entry that it leads to; "" for a single address, its own, and for none.
        page: digest of the content of ``respond.file``, which comes beside the snapshot; "" for none.
    """

    case: Case
    scope: tuple[int, ...] = ()
    upstream: str = ""
    page: str = ""


class TlsEntry(msgspec.Struct, frozen=True):
    """How TLS is spoken with the clients of a route; digests are of files' contents, which come beside the snapshot.

    Attributes:
        pairs: digests of each certificate and its key; none where TLS is not terminated, or a certificate is ordered that has not come yet.
        terms: what the route and its listener say, with defaults.
        client_ca, client_crl: digests of the files in the terms; "" for none.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    terms: TlsTerms = TlsTerms()
    client_ca: str = ""
    client_crl: str = ""

    @property
    def who(self) -> Who:
        """What says which clients may come, with digests of the files; equal where nobody is asked who it is."""
        auth, ca, crl, names = self.terms.who
        return auth, self.client_ca if ca else "", self.client_crl if crl else "", names


_NO_TLS = TlsEntry()
_NO_PAIR = ("", "")


class RouteEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A route, the index of its counters, and what its L7 side needs; what most have not takes no room where it is encoded.

    Attributes:
        tls: how TLS is spoken with its clients.
        ca: digest of the content of ``backend_ca``, which comes beside the snapshot; "" for none.
        pair: digests of what ``backend_cert`` and ``backend_key`` hold; "" for none.
        upstream: the name of the entry that it leads to; "" for a single address, its own.
        scope: the indices of the filters that hold for it, those of its listener among them, the outermost first.
        cases: in no particular order.
        page: digest of the content of ``respond.file``; "" for none.
    """

    index: int
    route: Route
    policies: tuple[Policy, ...] = ()
    tls: TlsEntry = _NO_TLS
    ca: str = ""
    pair: tuple[str, str] = _NO_PAIR
    upstream: str = ""
    scope: tuple[int, ...] = ()
    cases: tuple[CaseEntry, ...] = ()
    page: str = ""


class ListenerEntry(msgspec.Struct, frozen=True):
    """A listener, the index of its counters, the number of its listening sockets, and its routes."""

    index: int
    listener: Listener
    sockets: int
    routes: tuple[RouteEntry, ...]


class Snapshot(msgspec.Struct, frozen=True):
    """What every worker of one generation runs."""

    generation: int
    timeouts: Timeouts
    firewall: FirewallEntry
    http: HttpEntry
    listeners: tuple[ListenerEntry, ...]
    upstreams: tuple[UpstreamEntry, ...] = ()
    filters: tuple[FilterEntry, ...] = ()


def make_snapshot(
    state: State,
    generation: int,
    listener_indices: Mapping[ListenerKey, int],
    route_indices: Mapping[RouteKey, int],
    sockets: Mapping[ListenerKey, int],
    *,
    digests: Mapping[str, str],
    endpoint_indices: Mapping[EndpointKey, int] = _NONE,
    answers: Answers = _NONE,
    maglev: Callable[[UpstreamEntry], bytes] = lambda _: b"",
    filter_indices: Mapping[FilterKey, int] = _NONE,
) -> Snapshot:
    """Build the snapshot of a state.

    Args:
        state: what to run.
        generation: its number.
        listener_indices: the counters' index of every listener.
        route_indices: the counters' index of every route.
        sockets: the number of listening sockets of every listener.
        digests: what tells one version of a file that the state names from another, by path.
        endpoint_indices: the index of every endpoint that can be dialed, as `upstream_entries.endpoint_keys` tells them.
        answers: what names with ``resolve = "all"`` stand for, by their addresses.
        maglev: makes the table of an upstream with ``source_hash``.
        filter_indices: the index of every filter, as `scopes.filter_keys` tells them.
    """

    def indices(scope: Scope) -> tuple[int, ...]:
        return tuple(filter_indices[key] for key in scope)

    cases: dict[RouteKey, list[CaseEntry]] = {}
    for case_key, case in state.cases.items():
        listener, route = state.listeners[case.listener], state.routes[case_key[:2]]
        scope = indices(scope_of(listener, route, case))
        entry = CaseEntry(case, scope, entry_name(case), _page(case, digests))
        cases.setdefault(case_key[:2], []).append(entry)
    routes: dict[ListenerKey, list[RouteEntry]] = {addr: [] for addr in state.listeners}
    policies: dict[RouteKey, list[Policy]] = {}
    for policy in state.policies.values():
        policies.setdefault((policy.listener, policy.hostname), []).append(policy)
    for key, route in state.routes.items():
        routes[route.listener].append(
            RouteEntry(
                route_indices[key],
                route,
                tuple(policies.get(key, ())),
                _tls(state, route, digests),
                digests.get(route.backend_ca, ""),
                _pair(route, digests),
                entry_name(route),
                indices(scope_of(state.listeners[route.listener], route)),
                tuple(cases.get(key, ())),
                _page(route, digests),
            )
        )
    return Snapshot(
        generation=generation,
        timeouts=_timeouts(state.settings),
        firewall=_firewall(state, digests),
        http=_http(state.settings),
        listeners=tuple(
            ListenerEntry(listener_indices[addr], listener, sockets[addr], tuple(routes[addr]))
            for addr, listener in state.listeners.items()
        ),
        upstreams=upstream_entries(state, endpoint_indices, answers, digests, maglev),
        filters=filter_entries(state, filter_indices, digests),
    )


def _tls(state: State, route: Route, digests: Mapping[str, str]) -> TlsEntry:
    listener = state.listeners[route.listener]
    if listener.protocol != "tls" or route.mode != "l7":
        return _NO_TLS
    said = terms(listener.tls, route.tls)
    pairs = tuple((digests.get(certificate, ""), digests.get(key, "")) for certificate, key in pairs_of(state, route))
    if route.certificate and pairs == (("", ""),):
        pairs = ()  # it is not there yet
    return TlsEntry(pairs, said, digests.get(said.client_ca, ""), digests.get(said.client_crl, ""))


def _pair(route: Route, digests: Mapping[str, str]) -> tuple[str, str]:
    found = digests.get(route.backend_cert, ""), digests.get(route.backend_key, "")
    return found if any(found) else _NO_PAIR


def _page(place: Route | Case, digests: Mapping[str, str]) -> str:
    return digests.get(place.respond.file, "") if isinstance(place.respond, Page) else ""


def _timeouts(settings: Mapping[str, SettingValue]) -> Timeouts:
    def seconds(key: str) -> float:
        return msgspec.convert(settings[f"proxy.{key}"], float)

    return Timeouts(
        client_hello=seconds("client_hello_timeout"),
        proxy_header=seconds("proxy_header_timeout"),
        handshake=seconds("handshake_timeout"),
        connect=seconds("connect_timeout"),
        idle=seconds("idle_timeout"),
        half_closed=seconds("half_closed_timeout"),
        shutdown=seconds("shutdown_timeout"),
    )


def _http(settings: Mapping[str, SettingValue]) -> HttpEntry:
    limits = {key.removeprefix("limits."): value for key, value in settings.items() if key.startswith("limits.")}
    return msgspec.convert({"engine": settings["proxy.http2_engine"], **limits}, HttpEntry)


def _firewall(state: State, digests: Mapping[str, str]) -> FirewallEntry:
    def values(wanted: str) -> tuple[str, ...]:
        return tuple(sorted(rule.value for rule in state.rules.values() if rule.type == wanted))

    return FirewallEntry(
        ips=values("ip"),
        cidrs=values("cidr"),
        countries=values("country"),
        database=digests.get(str(state.settings["firewall.geoip_db"]), ""),
        rate_limit=msgspec.convert(state.settings["firewall.rate_limit"], int),
        rate_window=msgspec.convert(state.settings["firewall.rate_window"], float),
        allowed_ips=values("allowed_ip"),
        allowed_cidrs=values("allowed_cidr"),
        allowed_countries=values("allowed_country"),
        default=msgspec.convert(state.settings["firewall.default"], Literal["allow", "deny"]),
        connections_per_client=msgspec.convert(state.settings["firewall.connections_per_client"], int),
    )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def encode(snapshot: Snapshot) -> bytes:
    """Return the snapshot as MessagePack."""
    return _encoder.encode(snapshot)


def decode(data: bytes) -> Snapshot:
    """Return the snapshot in ``data``; raises `msgspec.DecodeError` or `msgspec.ValidationError` if it is none."""
    return _decoder.decode(data)
