"""What can only be judged when single values are known to be right: keys, tables and files against each other."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TypeAlias

from mcproxy.model.config import walker
from mcproxy.model.config.document import Document
from mcproxy.model.config.mistakes.loops import Listeners
from mcproxy.model.config.problems import KeyPath, Problem
from mcproxy.model.config.schema import Config, Firewall, L7Policy, Listener, Route
from mcproxy.model.state import rules
from mcproxy.model.state.kinds import origin_key
from mcproxy.model.state.route_options import L7_ONLY
from mcproxy.model.state.rules import ResourceId
from mcproxy.model.state.state import RuleType, State
from mcproxy.model.values import addresses, hostnames
from mcproxy.model.values.origins import Key

RULE_TYPES: dict[str, RuleType] = {
    "blocked_ips": "ip",
    "blocked_cidrs": "cidr",
    "blocked_countries": "country",
    "allowed_ips": "allowed_ip",
    "allowed_cidrs": "allowed_cidr",
    "allowed_countries": "allowed_country",
}
"""The keys of ``[firewall]`` that are lists of rules, and the rules' type."""

RULE_LISTS = {rule_type: name for name, rule_type in RULE_TYPES.items()}
"""The same the other way round."""

SETTING_TABLES = ("database", "grpc", "metrics", "log", "proxy", "limits", "firewall")

SETTING_STRUCTS = {name: type(getattr(Config(), name)) for name in SETTING_TABLES}
"""The tables of settings by their names."""

Place: TypeAlias = tuple[Document, KeyPath]
Declaration: TypeAlias = tuple[Key, Document, KeyPath]

_L7_DEFAULTS = {key: walker.default(Route, key, "") for key in L7_ONLY}
_l7_values = attrgetter(*L7_ONLY)
_HEADER_DEFAULTS = {
    key: walker.default(Route, key, "")
    for key in ("proxy_protocol_version", "proxy_protocol_destination", "proxy_protocol_tlvs")
}
# A field name is a token (RFC 9110 section 5.6.2).
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?::.*)?")


def check(
    documents: Sequence[Document],
    main: Document | None,
    declared: Iterable[Declaration],
    state: State,
    *,
    complete: bool = True,
) -> Iterator[Problem]:
    """Return everything that is wrong or doubtful beyond single values, in no particular order.

    Nothing is concluded from a value that is wrong itself: one mistake, one message.

    Args:
        documents: all files that are valid TOML.
        main: the one that may include others; None when it is not valid TOML.
        declared: what the documents declare.
        state: the State of it, as far as it is right.
        complete: whether these are all files; if not, what is declared nowhere may be declared in one that is missing.
    """
    first: dict[Key, Place] = {}
    for key, document, path in declared:
        if key in first:
            yield _duplicate(key, document, path, first[key])
        else:
            first[key] = document, path
    yield from _violations(state, first, documents, complete=complete)
    for document in documents:
        if document is not main and document.names("include"):
            yield document.problem(("include",), "an included file must not include others; name them in the main file")
        for index, listener in enumerate(document.config.listeners):
            yield from _listener(document, ("listeners", index), listener)
        for index, route in enumerate(document.config.routes):
            yield from _route(document, ("routes", index), route)
    if complete:
        yield from _undeclared(documents)
        yield from _rate(documents)
    yield from _grpc(documents)
    yield from _loops(documents)


def declarations(documents: Sequence[Document]) -> Iterator[Declaration]:
    """Return the key of every resource that the files declare, with its place, file by file.

    Settings are declared by being named, if only with their default.
    """
    for document in documents:
        for table in SETTING_TABLES:
            for name in getattr(document.config, table).__struct_fields__:
                if document.names(table, name) and not is_rule_list(table, name):
                    yield ("setting", f"{table}.{name}"), document, (table, name)
        for name, rule_type in RULE_TYPES.items():
            for index, value in enumerate(getattr(document.config.firewall, name)):
                if value:
                    yield ("rule", rule_type, value), document, ("firewall", name, index)
    for document, path, _, listener in listeners(documents):
        if listener.addr:
            yield ("listener", listener.addr), document, path
    for document, path, addr, route in routes(documents):
        if not route.hostname:
            continue
        yield ("route", addr, route.hostname), document, path
        for place, policy in policies(document, path, route):
            yield ("policy", addr, route.hostname, policy.type, policy.value), document, place


def is_rule_list(table: str, name: str) -> bool:
    """Tell whether a key is a list of firewall rules: such lists add up over the files, and are no settings."""
    return table == "firewall" and name in RULE_TYPES


def listeners(documents: Sequence[Document]) -> Iterator[tuple[Document, KeyPath, str, Listener]]:
    """Return the files' listeners with their places, and the address that the keys of their routes begin with.

    A listener without a valid address of its own still has routes; that address is made up, and never seen outside of
    the checks.
    """
    addrs: set[str] = set()
    for document in documents:
        for index, listener in enumerate(document.config.listeners):
            addr = listener.addr
            if not addr or addr in addrs:
                addr = f"{document.source.path}[{index}]"
            addrs.add(addr)
            yield document, ("listeners", index), addr, listener


def routes(documents: Sequence[Document]) -> Iterator[tuple[Document, KeyPath, str, Route]]:
    """Return the files' routes with their places and the addresses of their listeners, as `listeners` has them."""
    for document, path, addr, listener in listeners(documents):
        for index, route in enumerate(listener.routes):
            yield document, (*path, "routes", index), addr, route
    for document in documents:
        for index, listed in enumerate(document.config.routes):
            yield document, ("routes", index), listed.listener or f"{document.source.path}[routes {index}]", listed


def policies(document: Document, path: KeyPath, route: Route) -> Iterator[tuple[KeyPath, L7Policy]]:
    """Return the policies of a route with their places, but those whose type or value is wrong."""
    for number, policy in enumerate(route.l7_policies):
        place = (*path, "l7_policies", number)
        if policy.value and document.is_sure(*place, "type"):
            yield place, policy


def _undeclared(documents: Sequence[Document]) -> Iterator[Problem]:
    """Return the listeners that routes name and no file declares, each once, at the first of these routes."""
    declared = {listener.addr for document in documents for listener in document.config.listeners}
    if "" in declared or not all(
        document.is_sure("listeners") for document in documents
    ):  # it may be the one that is meant, and its address is a problem already
        return
    naming: dict[str, list[Place]] = {}
    for document in documents:
        for index, route in enumerate(document.config.routes):
            if route.listener and route.listener not in declared:
                naming.setdefault(route.listener, []).append((document, ("routes", index, "listener")))
    for addr, ((document, path), *others) in naming.items():
        near = next((other for other in sorted(declared) if addresses.overlap(addr, other)), None)
        hint = f"did you mean {near}?" if near else f'it needs [[listeners]] with addr = "{addr}"'
        more = f"; so do {len(others)} other routes" if len(others) > 1 else "; so does another route" if others else ""
        yield document.value_problem(
            path, f"no file declares the listener {addr}, which this route names{more}; {hint}"
        )


def _duplicate(key: Key, document: Document, path: KeyPath, earlier: Place) -> Problem:
    where = earlier[0].origin(earlier[1])
    match key:
        case ("setting", name):
            return document.problem(path, f"{name} is already set at {where}; a key may stand in one file only")
        case ("listener", addr):
            message = f"the listener {addr} is already declared at {where}"
            if where.file != document.source.path:
                message += f'; routes of it in this file are [[routes]] with listener = "{addr}"'
            return document.value_problem((*path, "addr"), message)
        case ("route", _, hostname):
            return document.value_problem(
                (*path, "hostname"), f"the listener already has a route for {hostname}, at {where}"
            )
    return document.problem(path, f"repeats {where}", "warning")


def _violations(
    state: State, places: Mapping[Key, Place], documents: Sequence[Document], *, complete: bool
) -> Iterator[Problem]:
    """Return the violations of rules over several resources, each once at the key that asks for what can't be."""
    told: set[tuple[str, KeyPath, str]] = set()
    for violation in rules.violations(state):
        if violation.rival is None and not _are_sure(violation.others, places, documents, complete=complete):
            continue
        document, path = _asking(places, violation.subject)
        message = violation.message
        if violation.rival is not None:
            other, place = _asking(places, violation.rival)
            message = f"{message} at {other.origin(place)}"
        if (document.source.path, path, message) not in told:
            told.add((document.source.path, path, message))
            yield document.value_problem(path, message)


def _are_sure(
    resources: Iterable[ResourceId], places: Mapping[Key, Place], documents: Sequence[Document], *, complete: bool
) -> bool:
    """Tell whether routes are known to be l4, and settings to be missing."""
    for kind, key in resources:
        if kind == "setting":
            if not complete or not all(document.is_sure(*str(key).split(".")) for document in documents):
                return False
        else:
            document, path = places[origin_key(kind, key)]
            if not document.is_sure(*path, "mode"):
                return False
    return True


def _asking(places: Mapping[Key, Place], resource: ResourceId) -> Place:
    """Return the key by which the files ask for a resource: of a table its name, of an item the list."""
    document, path = places[origin_key(*resource)]
    if resource[0] == "setting":
        return document, path
    return document, (*path, "addr") if resource[0] == "listener" else path[:-1]


def _listener(document: Document, path: KeyPath, listener: Listener) -> Iterator[Problem]:
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
    for index, route in enumerate(listener.routes):
        yield from _route(document, (*path, "routes", index), route)


def _route(document: Document, path: KeyPath, route: Route) -> Iterator[Problem]:
    # "*." stands for at least one character and its dot.
    if len(route.hostname) > hostnames.LONGEST_NAME:
        message = f"can never match: no hostname has more than {hostnames.LONGEST_NAME} characters"
        yield document.value_problem((*path, "hostname"), message, "warning")
    if route.mode == "l4" and document.is_sure(*path, "mode"):
        for key, value in zip(L7_ONLY, _l7_values(route), strict=True):
            if value != _L7_DEFAULTS[key]:
                message = 'has no effect on an l4 route, which passes TLS through; it needs mode = "l7"'
                yield document.problem((*path, key), message, "warning")
    if route.mode == "l7":
        for key in ("tls_cert", "tls_key"):
            if not getattr(route, key) and document.is_sure(*path, key):
                yield document.problem((*path, key), f"an l7 route needs {key}")
        for key in ("backend_ca", "backend_server_name"):
            if getattr(route, key) and not route.backend_tls and document.is_sure(*path, "backend_tls"):
                yield document.problem((*path, key), "has no effect without backend_tls = true", "warning")
    yield from _sent_header(document, path, route)
    if route.idle_timeout == 0:
        message = (
            "connections on which nothing happens are never ended, even when the client has vanished without a word"
        )
        yield document.value_problem((*path, "idle_timeout"), message, "warning")
    for index, policy in enumerate(route.l7_policies):
        yield from _policy(document, (*path, "l7_policies", index), policy)


def _sent_header(document: Document, path: KeyPath, route: Route) -> Iterator[Problem]:
    if not route.send_proxy_protocol:
        for key, default in _HEADER_DEFAULTS.items():
            if getattr(route, key) != default and document.is_sure(*path, "send_proxy_protocol"):
                yield document.problem((*path, key), "has no effect without send_proxy_protocol = true", "warning")
    elif route.proxy_protocol_tlvs and route.proxy_protocol_version == "v1":
        message = "has no effect: a header of version 1 has no TLVs"
        yield document.problem((*path, "proxy_protocol_tlvs"), message, "warning")


def _policy(document: Document, path: KeyPath, policy: L7Policy) -> Iterator[Problem]:
    if policy.type == "require_header" and policy.value and not _HEADER.fullmatch(policy.value):
        yield document.value_problem((*path, "value"), 'must be a header\'s name, or "Name: value"')


def _loops(documents: Sequence[Document]) -> Iterator[Problem]:
    """Warn of backends that are listeners of the same configuration."""
    places = {
        listener.addr: (document, ("listeners", index))
        for document in documents
        for index, listener in enumerate(document.config.listeners)
        if listener.addr
    }
    known = Listeners(places)
    for document, path, addr, route in routes(documents):
        if found := known.find(route.backend):
            if found == addr:
                message = "is this listener itself: connections come back without end; name what is behind the proxy"
            else:
                where = places[found][0].origin(places[found][1])
                message = f"is the listener {found} at {where}: connections go through this proxy again"
            yield document.value_problem((*path, "backend"), message, "warning")


def _grpc(documents: Sequence[Document]) -> Iterator[Problem]:
    for document in documents:
        if document.names("grpc", "socket"):
            size = len(document.config.grpc.socket.encode(errors="surrogatepass"))
            if size > addresses.UNIX_PATH_MAX:
                message = f"the absolute path has {size} bytes; a Unix socket's has at most {addresses.UNIX_PATH_MAX}"
                yield document.value_problem(("grpc", "socket"), message)


def _rate(documents: Sequence[Document]) -> Iterator[Problem]:
    named = _named(documents, "firewall", "rate_limit", "rate_window")
    is_sure = all(document.is_sure("firewall", "rate_limit") for document in documents)
    if "rate_window" in named and "rate_limit" not in named and is_sure:
        document, path = named["rate_window"]
        if document.config.firewall.rate_window != walker.default(Firewall, "rate_window", ""):
            yield document.problem(path, "has no effect without rate_limit", "warning")


def _named(documents: Sequence[Document], table: str, *keys: str) -> Mapping[str, Place]:
    """Return which of the keys have a value that is not empty, and where."""
    return {
        key: (document, (table, key))
        for document in documents
        for key in keys
        if getattr(getattr(document.config, table), key) and document.names(table, key)
    }
