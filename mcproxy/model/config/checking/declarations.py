"""What files declare: the key of every resource, and where it stands."""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TypeAlias

import msgspec

from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath
from mcproxy.model.config.schema import Case, Config, L7Policy, Listener, Route
from mcproxy.model.config.upstreams import Upstream, UpstreamEndpoint
from mcproxy.model.state.state import RuleType
from mcproxy.model.values.http import matches
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

RULE_LISTS: dict[str, str] = {rule_type: name for name, rule_type in RULE_TYPES.items()}
"""The same the other way round."""

SETTING_TABLES = (
    "database",
    "grpc",
    "metrics",
    "log",
    "proxy",
    "limits",
    "firewall",
    "guard",
    "acme",
    "acme.dns",
    "acme.eab",
)
"""The tables of settings, of one within another with a dot."""

SETTING_STRUCTS: dict[str, type[msgspec.Struct]] = {name: type(attrgetter(name)(Config())) for name in SETTING_TABLES}
"""The tables of settings by their names."""

SETTINGS: dict[str, tuple[type[msgspec.Struct], str]] = {
    f"{table}.{name}": (struct, name)
    for table, struct in SETTING_STRUCTS.items()
    for name in struct.__struct_fields__
    if f"{table}.{name}" not in SETTING_STRUCTS and not (table == "firewall" and name in RULE_TYPES)
}
"""Table and key of each setting by its path; the lists of firewall rules add up over the files, and are no settings."""

_PLACES: dict[str, KeyPath] = {path: tuple(path.split(".")) for path in SETTINGS}

Place: TypeAlias = tuple[Document, KeyPath]
Declaration: TypeAlias = tuple[Key, Document, KeyPath]


def declarations(documents: Sequence[Document]) -> Iterator[Declaration]:
    """Return the key of every resource that the files declare, with its place, file by file.

    Settings are declared by being named, if only with their default.
    """
    for document in documents:
        for setting, place in _PLACES.items():
            if document.names(*place):
                yield ("setting", setting), document, place
        for name, rule_type in RULE_TYPES.items():
            for index, value in enumerate(getattr(document.config.firewall, name)):
                if value:
                    yield ("rule", rule_type, value), document, ("firewall", name, index)
    seen: set[str] = set()
    for document, path, name, upstream in upstreams(documents):
        yield ("upstream", name), document, path
        if name not in seen:
            for place, endpoint in endpoints(path, upstream):
                yield ("endpoint", name, endpoint.address), document, place
        seen.add(name)
    for document in documents:
        for name in document.config.filters:
            yield ("filter", name), document, ("filters", name)
    for document, path, _, listener in listeners(documents):
        if listener.addr:
            yield ("listener", listener.addr), document, path
    for document, path, addr, route in routes(documents):
        if not route.hostname:
            continue
        yield ("route", addr, route.hostname), document, path
        if route.l7_policies:
            for place, policy in policies(document, path, route):
                yield ("policy", addr, route.hostname, policy.type, policy.value), document, place
        if route.cases:
            for place, match, _ in cases(path, route):
                yield ("case", addr, route.hostname, match), document, place


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


def upstreams(documents: Sequence[Document]) -> Iterator[tuple[Document, KeyPath, str, Upstream]]:
    """Return the files' upstreams with their places and names; a name may come again in another file."""
    for document in documents:
        for name, upstream in document.config.upstreams.items():
            yield document, ("upstreams", name), name, upstream


def endpoints(path: KeyPath, upstream: Upstream) -> Iterator[tuple[KeyPath, UpstreamEndpoint]]:
    """Return the endpoints of an upstream with their places, but those whose address is wrong."""
    for index, endpoint in enumerate(upstream.endpoints):
        if endpoint.address:
            yield (*path, "endpoints", index), endpoint


def policies(document: Document, path: KeyPath, route: Route) -> Iterator[tuple[KeyPath, L7Policy]]:
    """Return the policies of a route with their places, but those whose type or value is wrong."""
    for number, policy in enumerate(route.l7_policies):
        place = (*path, "l7_policies", number)
        if policy.value and document.is_sure(*place, "type"):
            yield place, policy


def cases(path: KeyPath, route: Route) -> Iterator[tuple[KeyPath, str, Case]]:
    """Return the cases of a route with their places and matches in full, but those whose match is wrong."""
    for number, case in enumerate(route.cases):
        match = full_match(case)
        if match:
            yield (*path, "cases", number), match, case


def full_match(case: Case) -> str:
    """Return the match of a case with all its conditions, the key of the case; "" where it is wrong."""
    if not case.match or not (case.headers or case.query):
        return case.match
    try:
        return str(matches.with_conditions(matches.parse(case.match), dict(case.headers), dict(case.query)))
    except ValueError:
        return ""
