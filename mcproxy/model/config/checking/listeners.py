"""The keys of one listener, of one route and of its policies, against each other."""

import re
from collections.abc import Iterator
from operator import attrgetter

from mcproxy.model.config import walker
from mcproxy.model.config.checking.actions import check_action, check_case, check_conditions, listed_twice
from mcproxy.model.config.checking.filters import check_filter, check_real_ip
from mcproxy.model.config.checking.tls import check_certificate, check_listener_tls, check_own_pair, check_pairs
from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath, Problem
from mcproxy.model.config.schema import L7Policy, Listener, Route
from mcproxy.model.config.upstreams import Upstream
from mcproxy.model.state.route_options import ACTIONS, l7_only
from mcproxy.model.state.state import ListenerProtocol
from mcproxy.model.values import addresses, hostnames

_L7_ONLY = l7_only()
_NEEDED = (*ACTIONS, "certificate")
"""Keys for l7 that are an error on an l4 route: who has written them waits for something that will never happen."""
_L7_DEFAULTS = {key: walker.default(Route, key, "") for key in _L7_ONLY}
_L7_UNTOUCHED = tuple(_L7_DEFAULTS.values())
_l7_values = attrgetter(*_L7_ONLY)
_HEADER_DEFAULTS = {
    key: walker.default(Route, key, "")
    for key in ("proxy_protocol_version", "proxy_protocol_destination", "proxy_protocol_tlvs")
}
_HEADER_UNTOUCHED = tuple(_HEADER_DEFAULTS.values())
_header_values = attrgetter(*_HEADER_DEFAULTS)
_MOVED = {
    "backend_tls": "tls = {}",
    "backend_ca": "tls = { ca = ... }",
    "backend_server_name": "tls = { server_name = ... }",
    "backend_cert": "tls = { cert = ... }",
    "backend_key": "tls = { key = ... }",
    "backend_protocol": "protocol",
    "send_proxy_protocol": "send_proxy_protocol",
    "proxy_protocol_version": "proxy_protocol_version",
    "proxy_protocol_destination": "proxy_protocol_destination",
    "proxy_protocol_tlvs": "proxy_protocol_tlvs",
    "connect_timeout": "connect_timeout",
}
"""The keys of a route that say how its backend is spoken to, and what they are in a named upstream."""
_MOVED_DEFAULTS = {key: walker.default(Route, key, "") for key in _MOVED}
_moved_values = attrgetter(*_MOVED)
# A field name is a token (RFC 9110 section 5.6.2).
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?::.*)?")


def check_listener(document: Document, path: KeyPath, listener: Listener) -> Iterator[Problem]:
    """Return what is wrong or doubtful about a listener and its routes."""
    knows_proxies = document.is_sure(*path, "trusted_proxies")
    if document.is_sure(*path, "proxy_protocol"):
        if listener.trusted_proxies and not listener.proxy_protocol:
            yield document.problem(
                (*path, "trusted_proxies"), "has no effect without proxy_protocol = true on the listener", "warning"
            )
        accepts_from_anyone = listener.proxy_protocol and not listener.trusted_proxies and knows_proxies
        if accepts_from_anyone and listener.addr and not addresses.listens_on_loopback(listener.addr):
            yield document.problem(
                (*path, "proxy_protocol"),
                "anyone who reaches this address can claim to be any client; name the senders in trusted_proxies",
                "warning",
            )
    if listener.untrusted != "reset" and not listener.trusted_proxies and knows_proxies:
        yield document.problem((*path, "untrusted"), "has no effect without trusted_proxies", "warning")
    yield from check_real_ip(document, (*path, "real_ip"), listener.real_ip)
    yield from check_listener_tls(document, path, listener)
    protocol = listener.protocol if document.is_sure(*path, "protocol") else None
    for index, route in enumerate(listener.routes):
        yield from check_route(document, (*path, "routes", index), route, protocol)


def check_route(
    document: Document, path: KeyPath, route: Route, protocol: ListenerProtocol | None
) -> Iterator[Problem]:
    """Return what is wrong or doubtful about a route and its policies; ``protocol`` is its listener's, None if that is not known."""
    # "*." stands for at least one character and its dot.
    if len(route.hostname) > hostnames.LONGEST_NAME:
        message = f"can never match: no hostname has more than {hostnames.LONGEST_NAME} characters"
        yield document.value_problem((*path, "hostname"), message, "warning")
    values = _l7_values(route)
    if values != _L7_UNTOUCHED and route.mode == "l4" and protocol != "http" and _is_told(document, path, protocol):
        for key, value in zip(_L7_ONLY, values, strict=True):
            if value != _L7_DEFAULTS[key] and not (route.backend.upstream and key in _MOVED):
                yield _without_effect(document, (*path, key), protocol, needed=key in _NEEDED)
    if route.tls is not None and route.mode == "l4" and protocol != "http" and _is_told(document, path, protocol):
        yield _without_effect(document, (*path, "tls"), protocol, needed=False)
    yield from check_action(document, path, route)
    yield from check_pairs(document, path, route)
    if route.mode == "l7" and protocol not in ("http", None):
        yield from check_certificate(document, path, route)
    yield from _of_upstream(document, path, route) if route.backend.upstream else _own_backend(document, path, route)
    if route.idle_timeout == 0:
        message = (
            "connections on which nothing happens are never ended, even when the client has vanished without a word"
        )
        yield document.value_problem((*path, "idle_timeout"), message, "warning")
    for index, policy in enumerate(route.l7_policies):
        yield from _policy(document, (*path, "l7_policies", index), policy)
    if route.filter is not None:
        yield from check_filter(document, (*path, "filter"), route.filter)
    for index, case in enumerate(route.cases):
        place = (*path, "cases", index)
        yield from check_case(document, place, case, route)
        if case.headers or case.query:
            yield from check_conditions(document, place, case)
        if case.filter is not None:
            yield from check_filter(document, (*place, "filter"), case.filter)


def _is_told(document: Document, path: KeyPath, protocol: ListenerProtocol | None) -> bool:
    """Tell whether it is known what the mode of a route is; where that of its listener is not, it must say so itself."""
    return document.is_sure(*path, "mode") and (protocol is not None or document.names(*path, "mode"))


def _without_effect(document: Document, path: KeyPath, protocol: ListenerProtocol | None, *, needed: bool) -> Problem:
    """Return what is told of a key for l7 on an l4 route."""
    if protocol == "tcp":
        return document.problem(path, 'is for l7 routes; a listener with protocol = "tcp" passes bytes on as they come')
    message = 'has no effect on an l4 route, which passes TLS through; it needs mode = "l7"'
    if path[-1] in ACTIONS:
        message += ', or protocol = "http" on the listener where clients speak no TLS'
    return document.problem(path, message, "error" if needed else "warning")


def _of_upstream(document: Document, path: KeyPath, route: Route) -> Iterator[Problem]:
    """Return the keys of a route that are its upstream's business."""
    for (key, meant), value in zip(_MOVED.items(), _moved_values(route), strict=True):
        if value != _MOVED_DEFAULTS[key]:
            name = f" as {meant}" if meant != key else ""
            yield document.problem((*path, key), f"belongs into [upstreams.{route.backend.upstream}]{name}")


def _own_backend(document: Document, path: KeyPath, route: Route) -> Iterator[Problem]:
    """Return what is wrong or doubtful about a backend that is an address, or several."""
    if route.mode == "l7":
        yield from check_own_pair(document, path, route, "backend_cert", "backend_key")
        for key in ("backend_ca", "backend_server_name", "backend_cert"):
            if getattr(route, key) and not route.backend_tls and document.is_sure(*path, "backend_tls"):
                yield document.problem((*path, key), "has no effect without backend_tls = true", "warning")
    if _header_values(route) != _HEADER_UNTOUCHED:
        yield from sent_header(document, path, route)
    if len(route.backend.endpoints) > 1:
        yield from listed_twice(document, (*path, "backend"), route.backend)


def sent_header(document: Document, path: KeyPath, table: Route | Upstream) -> Iterator[Problem]:
    """Return the keys without effect about the PROXY header that backends get."""
    values = _header_values(table)
    if values != _HEADER_UNTOUCHED and not table.send_proxy_protocol:
        for (key, default), value in zip(_HEADER_DEFAULTS.items(), values, strict=True):
            if value != default and document.is_sure(*path, "send_proxy_protocol"):
                yield document.problem((*path, key), "has no effect without send_proxy_protocol = true", "warning")
    elif table.proxy_protocol_tlvs and table.proxy_protocol_version == "v1":
        message = "has no effect: a header of version 1 has no TLVs"
        yield document.problem((*path, "proxy_protocol_tlvs"), message, "warning")


def _policy(document: Document, path: KeyPath, policy: L7Policy) -> Iterator[Problem]:
    if policy.type == "require_header" and policy.value and not _HEADER.fullmatch(policy.value):
        yield document.value_problem((*path, "value"), 'must be a header\'s name, or "Name: value"')
