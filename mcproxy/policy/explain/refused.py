"""Why a connection or request was refused, from what a worker has kept of it: the step that decided it, its line, and the way there.

What decided is known from the reason; the walk of `mcproxy.policy.explain.walk` adds what came before, as far as it can be repeated: of a
request's header fields and query nothing is kept, so what conditions of its case ask for is taken as given.
"""

import ipaddress
from collections.abc import Mapping, Sequence

import msgspec

from mcproxy.model.config.resolve import Resolution
from mcproxy.model.edits.stored import to_json
from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.scopes import CASE_FILTER, ROUTE_FILTER, filters
from mcproxy.model.state.state import Case
from mcproxy.model.values.http.matches import parse
from mcproxy.model.values.http.questions import ORDER
from mcproxy.model.values.origins import Key, Origin
from mcproxy.model.values.reasons import REASONS
from mcproxy.policy.explain.query import CountryOf, Query, Step
from mcproxy.policy.explain.walk import Walker


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of it.

    Attributes:
        listener: where it came in.
        reason: a word of `mcproxy.model.values.reasons`.
        client: the address of the real client.
        peer: who was connected, where that was another proxy that has named the client in a header field; else "".
        route: the hostname of its route, "" for none.
        sni: what the ClientHello has asked for, "" for nothing.
        method, authority, path: of the request, "" for none.
        case: the match of its case, "" for none.
        filter: the name of the filter that has refused it, "" for none.
        detail: why, in words, "" where the reason says all.
        status: what the client was told, 0 if nothing.
    """

    listener: str
    reason: str
    client: str
    peer: str = ""
    route: str = ""
    sni: str = ""
    method: str = ""
    authority: str = ""
    path: str = ""
    case: str = ""
    filter: str = ""
    detail: str = ""
    status: int = 0


class Place(msgspec.Struct, frozen=True):
    """Where the configuration decides something.

    Attributes:
        step: the step of the walk, or what it would be called.
        kind: of the resource that has the keys: ``setting``, ``listener``, ``route`` or ``filter``; ``way`` for what leads to the backend,
            ``policy``; "" where no line decides.
        keys: those that may have decided it, the likeliest first; of settings whole paths. A route that does not say it has it from
            the setting that stands behind.
    """

    step: str
    kind: str = ""
    keys: tuple[str, ...] = ()


def _all(words: str, *place: str) -> dict[str, Place]:
    step, *rest = place
    return dict.fromkeys(words.split(), Place(step, rest[0] if rest else "", tuple(rest[1:])))


PLACES: Mapping[str, Place] = {
    **_all("ip cidr country not_allowed", "firewall"),
    **_all("rate_limit", "rate_limit", "setting", "firewall.rate_limit"),
    **_all("connections_per_client", "connections", "setting", "firewall.connections_per_client"),
    **_all("limit", "limit", "listener", "max_connections"),
    **_all("untrusted_proxy", "proxy_header", "listener", "trusted_proxies"),
    **_all("no_proxy_header bad_proxy_header proxy_header_truncated", "proxy_header", "listener", "proxy_protocol"),
    **_all("proxy_header_too_large", "proxy_header", "setting", "limits.proxy_header_bytes"),
    **_all("proxy_header_timeout", "proxy_header", "setting", "proxy.proxy_header_timeout"),
    **_all("unexpected_proxy_header bad_hello hello_too_large hello_truncated", "hello", "listener"),
    **_all("not_tls plain_http unexpected_tls", "hello", "listener", "protocol"),
    **_all("hello_timeout", "hello", "setting", "proxy.client_hello_timeout"),
    **_all("no_sni no_route", "route", "listener"),
    **_all("client_gone client_reset", "client"),
    **_all("no_certificate", "tls", "route", "certificate"),
    **_all("tls_failed", "tls", "route", "tls_cert"),
    **_all("client_certificate", "client_certificate", "route", "tls.client_names", "tls.client_ca", "tls"),
    **_all("tls_timeout", "tls", "setting", "proxy.handshake_timeout"),
    **_all("misdirected", "authority", "route"),
    **_all("ambiguous_path", "case", "route"),
    **_all("no_case", "action", "route"),
    **_all(
        "filter_network filter_country",
        *("allow", "filter", "allow_cidrs", "block_cidrs", "allow_countries", "block_countries"),
    ),
    **_all("block_user_agent", "allow", "filter", "block_user_agents"),
    **_all("require_header", "allow", "filter", "require_headers"),
    **_all("filter_rate", "rate", "filter", "rate_limit"),
    **_all("body_too_large", "body", "filter", "max_body"),
    **_all("basic_auth basic_auth_busy", "auth", "filter", "basic_auth"),
    **_all("forward_auth forward_auth_failed", "auth", "filter", "forward_auth"),
    **_all(
        "backend_dns backend_refused backend_timeout backend_tls backend_certificate backend_no_stream backend_no_answer "
        "backend_error backend_reset backend_broke_off bad_response upstream_down upstream_full",
        *("backend", "way"),
    ),
    **_all("response_header_bytes", "backend", "setting", "limits.response_header_bytes"),
    **_all("response_header_count", "backend", "setting", "limits.response_header_count"),
    **_all(
        "response_timeout request_timeout idle_timeout", "time_limit", "route", "idle_timeout", "proxy.idle_timeout"
    ),
    **_all("half_closed_timeout", "time_limit", "setting", "proxy.half_closed_timeout"),
    **_all("drained", "end", "setting", "proxy.shutdown_timeout"),
    **_all("route_removed endpoint_removed", "end", "route", "on_remove"),
    **_all("closed failed no_resources", "end"),
    **_all("backend_waiting", "limits", "setting", "limits.backend_waiting"),
    **_all(
        "bad_request bad_request_line bad_version bad_target bad_path bad_host bad_authority bad_header bad_length "
        "bad_transfer_encoding bad_chunk bad_trailers bad_upgrade bad_expectation ambiguous_framing truncated connect trace",
        "request",
    ),
    **{
        word: Place("limits", "setting", (f"limits.{word}",))
        for word in (
            *("header_bytes", "header_count", "header_timeout", "concurrent_streams", "unsent_bytes"),
            *("backend_connections", "stalled_window_timeout"),
        )
    },
}
"""Where each reason is decided; those of `mcproxy.model.values.reasons` that are missing are no refusals and no errors of the proxy's own."""


def why(refused: Refused, walker: Walker, country: CountryOf) -> tuple[Step, Sequence[Step]]:
    """Return the step that has refused a connection or request, and the steps before it, which it has passed.

    Args:
        refused: what is known of it.
        walker: of what was served then.
        country: looks an address up in the country database, if there is one.
    """
    place, resolution = _place(refused), walker.tables.resolution
    words, origin = _words(refused, place, resolution), _origin(refused, place, resolution)
    passed: list[Step] = []
    for step in walker.explain(_query(refused), country):
        if step.outcome == "refused":
            if refused.reason not in _UNSEEN and step.step in (place.step, *_ALSO.get(refused.reason, ())):
                where = origin if place.kind == "listener" else step.origin
                return msgspec.structs.replace(step, origin=where), passed
            break
        if step.step == place.step and step.step in _MEASURING and (place.kind != "filter" or step.origin == origin):
            return Step(place.step, "refused", f"{words}; {step.detail}", origin), passed
        if _ORDER.get(step.step, 0) >= _ORDER.get(place.step, len(_ORDER)):
            break
        passed.append(step)
    return Step(place.step, "refused", words, origin), passed


_ALSO = {"ambiguous_path": ("rewrite",), "misdirected": ("route",)}
"""Further steps of the walk that refuse for a reason."""
_SETTINGS = "proxy."
_UNSEEN = ("block_user_agent", "require_header", "client_certificate")
"""Reasons that depend on what is not kept: what the walk says of them is about other ones."""
_MEASURING = ("limit", "rate_limit", "connections", "rate", "body", "auth")
"""Steps that the walk can't judge, as it does not count: what they say tells by what was measured."""
_ORDER = {step: number for number, step in enumerate(ORDER)}


def _place(refused: Refused) -> Place:
    """Return where it was decided."""
    if refused.reason in ("block_user_agent", "require_header") and not refused.filter:
        return Place("policy", "policy")
    if refused.reason == "client_certificate" and refused.filter:
        return Place("allow", "filter", ("client_names",))
    return PLACES[refused.reason]


def _query(refused: Refused) -> Query:
    """Return what is asked of the walk; conditions of the case on header fields and the query are met."""
    fields: list[tuple[str, str]] = []
    path = refused.path
    if refused.authority:
        fields.append(("Host", refused.authority))
    if refused.case:
        try:
            match = parse(refused.case)
        except ValueError:  # it was cut to a length
            match = None
        if match is not None:
            fields += ((name, "x" if value == "*" else value) for name, value in match.headers)
            query = "&".join(f"{name}={'x' if value == '*' else value}" for name, value in match.query)
            path = f"{path}?{query}" if query else path
    client: str | None = refused.client
    proxy = None
    if refused.reason == "untrusted_proxy":
        client, proxy = None, refused.client
    elif refused.peer:
        client = refused.peer
        fields += (("X-Forwarded-For", refused.client), ("Forwarded", f"for={_node(refused.client)}"))
        fields += (("X-Real-Ip", refused.client),)
    return Query(
        listener=refused.listener,
        sni=refused.sni or None,
        ip=client,
        proxy_ip=proxy,
        method=refused.method or None,
        path=path or None,
        headers=tuple(fields),
    )


def _node(address: str) -> str:
    """Return an address as ``Forwarded`` has it (RFC 7239 section 6)."""
    return f'"[{address}]"' if ipaddress.ip_address(address).version == 6 else address


def _words(refused: Refused, place: Place, resolution: Resolution) -> str:
    """Return in words why it was refused, with the numbers that it was measured by."""
    told = f"answered with {refused.status}" if refused.status else "reset"
    words = f"{told}: {refused.detail or REASONS[refused.reason].meaning.rstrip('.')}"
    if place.kind == "setting" and place.keys[0] in resolution.state.settings:
        words += f" ({place.keys[0]} = {to_json('setting', place.keys[0], resolution.state.settings[place.keys[0]])})"
    return words


def _origin(refused: Refused, place: Place, resolution: Resolution) -> Origin | None:
    """Return the line that decides it."""
    listener: Key = ("listener", refused.listener)
    route: Key = ("route", refused.listener, refused.route)
    match place.kind:
        case "setting":
            return resolution.origins.get(("setting", place.keys[0]))
        case "listener":
            return _of(resolution, listener, place.keys)
        case "route":
            resource = resolution.origins.get(route, resolution.origins.get(listener))
            own = [key for key in place.keys if not key.startswith(_SETTINGS)]
            otherwise = [key for key in place.keys if key.startswith(_SETTINGS)]
            found = _of(resolution, route, own) or resource
            return resolution.origins.get(("setting", otherwise[0])) if otherwise and found == resource else found
        case "policy":
            return resolution.origins.get(("policy", *route[1:], refused.reason, refused.detail))
        case "filter":
            return _of_filter(refused, place, resolution)
        case "way":
            return _of_way(refused, resolution)
    return None


def _of(resolution: Resolution, key: Key, names: Sequence[str]) -> Origin | None:
    """Return the line of the first of some keys of a resource that it has, else the resource's own."""
    resource = resolution.origins.get(key)
    found = (resolution.origin(key, name) for name in names)
    return next((origin for origin in found if origin is not None and origin != resource), resource)


def _of_filter(refused: Refused, place: Place, resolution: Resolution) -> Origin | None:
    own = {
        ROUTE_FILTER: ("route", refused.listener, refused.route),
        CASE_FILTER: ("case", refused.listener, refused.route, refused.case),
    }
    key: Key = own.get(refused.filter, ("filter", refused.filter))
    options = dict(filters(resolution.state)).get(key, FilterOptions())
    names = [name for name in place.keys if getattr(options, name)]
    return _of(resolution, key, [name if key[0] == "filter" else f"filter.{name}" for name in names])


def _of_way(refused: Refused, resolution: Resolution) -> Origin | None:
    """Return the line of what leads to the backend: the case if that has one, else the route."""
    state = resolution.state
    key = (refused.listener, refused.route)
    case: Case | None = state.cases.get((*key, refused.case))
    route = state.routes.get(key)
    if case is not None and case.action:
        place: Key = ("case", *key, refused.case)
        upstream = case.upstream
    else:
        place = ("route", *key)
        upstream = "" if route is None else route.upstream
    if upstream and ("upstream", upstream) in resolution.origins:
        return resolution.origins["upstream", upstream]
    return _of(resolution, place, ("backend",))
