"""What can only be judged when single values are known to be right: keys, tables and files against each other."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from operator import attrgetter, is_, itemgetter

from mcproxy.model.config import walker
from mcproxy.model.config.checking.acme import check_acme
from mcproxy.model.config.checking.declarations import Declaration, Place, endpoints, routes, upstreams
from mcproxy.model.config.checking.filters import check_filter, check_use
from mcproxy.model.config.checking.listeners import check_listener, check_route
from mcproxy.model.config.checking.tls import check_route_tls
from mcproxy.model.config.checking.upstreams import check_upstreams
from mcproxy.model.config.checking.violations import check_rules
from mcproxy.model.config.document import Document
from mcproxy.model.config.mistakes.loops import Listeners
from mcproxy.model.config.problems import KeyPath, Problem
from mcproxy.model.config.settings import Firewall
from mcproxy.model.config.testing.declared import check_tests
from mcproxy.model.state.kinds import key_of, origin_key
from mcproxy.model.state.scopes import filter_keys
from mcproxy.model.state.state import (
    MAX_CASES,
    MAX_ENDPOINTS,
    MAX_FILTERS,
    MAX_LISTENERS,
    MAX_ROUTES,
    Case,
    ListenerProtocol,
    Route,
    State,
)
from mcproxy.model.values import addresses
from mcproxy.model.values.origins import Key
from mcproxy.model.values.quoting import quote


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
    yield from _too_many(state, first)
    yield from check_rules(state, first, documents, complete=complete)
    protocols = _protocols(documents, state)
    for document in documents:
        if document is not main and document.names("include") and not document.names("fleet"):
            yield document.problem(("include",), "an included file must not include others; name them in the main file")
        if document is not documents[0] and document.names("fleet") and not documents[0].names("fleet"):
            yield document.problem(("fleet",), "belongs into the main file, beside what is this machine's own")
        for index, listener in enumerate(document.config.listeners):
            yield from check_listener(document, ("listeners", index), listener)
        for index, route in enumerate(document.config.routes):
            yield from check_route(document, ("routes", index), route, protocols.get(route.listener, "tls"))
        for name, options in document.config.filters.items():
            yield from check_filter(document, ("filters", name), options)
    yield from check_upstreams(documents, complete=complete)
    yield from check_use(documents, state, complete=complete)
    yield from check_route_tls(documents, state)
    yield from check_acme(documents, state, first, complete=complete)
    yield from check_tests(documents)
    if complete:
        yield from _undeclared(documents)
        yield from _without_route(documents, state)
        yield from _rate(documents)
    yield from _grpc(documents)
    yield from _loops(documents)


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


def _protocols(documents: Sequence[Document], state: State) -> dict[str, ListenerProtocol | None]:
    """Return what clients of each listener speak, None where the files do not say it right."""
    found: dict[str, ListenerProtocol | None] = {addr: each.protocol for addr, each in state.listeners.items()}
    for document in documents:
        for index, listener in enumerate(document.config.listeners):
            if not document.is_sure("listeners", index, "protocol"):
                found[listener.addr] = None
    return found


def _without_route(documents: Sequence[Document], state: State) -> Iterator[Problem]:
    """Return the listeners for tcp that lead nowhere."""
    having = {addr for addr, _ in state.routes}
    is_sure = all(document.is_sure("routes") for document in documents)
    for document in documents:
        for index, listener in enumerate(document.config.listeners):
            path = ("listeners", index)
            leads_nowhere = listener.protocol == "tcp" and listener.addr and listener.addr not in having
            if leads_nowhere and is_sure and document.is_sure(*path, "routes"):
                message = 'a listener with protocol = "tcp" needs a route, with hostname = "*"'
                yield document.value_problem((*path, "protocol"), message)


def _too_many(state: State, places: Mapping[Key, Place]) -> Iterator[Problem]:
    """Return what is beyond the number of resources that one proxy can have, each at the first one too many."""
    most_of = {"listener": MAX_LISTENERS, "route": MAX_ROUTES, "endpoint": MAX_ENDPOINTS, "case": MAX_CASES}
    most_of["filter"] = MAX_FILTERS
    if _are_few(state, places, most_of):
        return
    found: dict[str, list[Place]] = {kind: [] for kind in most_of}
    for key, place in places.items():
        if key[0] in found:
            found[key[0]].append(place)
    listing: tuple[Route | Case, ...] = (*state.routes.values(), *state.cases.values())
    for each in listing:
        if len(each.endpoints) > 1:  # each of these has an index, too
            declared = places.get(origin_key("route" if isinstance(each, Route) else "case", key_of(each)))
            found["endpoint"] += [declared] * len(each.endpoints) if declared is not None else []
    found["filter"] += (places[key] for key in filter_keys(state) if key[0] != "filter" and key in places)
    for kind, most in most_of.items():
        if len(found[kind]) > most:
            document, path = found[kind][most]
            message = f"more than {most} {kind}s: split the configuration over several proxies"
            yield document.problem(path, message)


def _are_few(state: State, places: Mapping[Key, Place], most_of: Mapping[str, int]) -> bool:
    """Tell whether there are surely not too many of anything, as nearly always."""
    declared = Counter(map(itemgetter(0), places))
    own = (*state.routes.values(), *state.cases.values())
    declared["endpoint"] += sum(map(len, map(attrgetter("endpoints"), own)))
    declared["filter"] += len(own) - sum(map(is_, map(attrgetter("filter"), own), repeat(None)))
    return all(declared[kind] <= most for kind, most in most_of.items())


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
        case ("upstream", name):
            return document.problem(path, f"the upstream {name} is already declared at {where}")
        case ("filter", name):
            return document.problem(path, f"the filter {name} is already declared at {where}")
        case ("case", _, _, match):
            message = f"the route already has a case {quote(match)}, at {where}"
            return document.value_problem((*path, "match"), message)
        case ("endpoint", name, address):
            message = f"the upstream {name} already has the endpoint {address}, at {where}"
            return document.value_problem(path, message)
        case ("route", _, hostname):
            return document.value_problem(
                (*path, "hostname"), f"the listener already has a route for {hostname}, at {where}"
            )
    return document.problem(path, f"repeats {where}", "warning")


def _loops(documents: Sequence[Document]) -> Iterator[Problem]:
    """Warn of backends that are listeners of the same configuration."""
    places = {
        listener.addr: (document, ("listeners", index))
        for document in documents
        for index, listener in enumerate(document.config.listeners)
        if listener.addr
    }
    known = Listeners(places)
    ports = {str(port) for port in known.ports}
    coming: dict[str, set[str]] = {}
    for document, path, addr, route in routes(documents):
        ends = route.backend.endpoints
        if len(ends) == 1 and not route.cases and ends[0].port not in known.ports:
            continue  # as nearly always
        leading = [(path, route.backend)]
        if route.cases:
            leading += (((*path, "cases", number), case.backend) for number, case in enumerate(route.cases))
        for whose, backend in leading:
            if backend.upstream:
                coming.setdefault(backend.upstream, set()).add(addr)
            for index, endpoint in enumerate(backend.endpoints):
                if found := known.find(endpoint):
                    place = (*whose, "backend", index) if len(backend.endpoints) > 1 else (*whose, "backend")
                    yield _loop(document, place, found, {addr}, places)
    for document, path, name, upstream in upstreams(documents):
        for place, each in endpoints(path, upstream):
            # parsing costs more than this look, which nearly always ends it
            if each.address.rpartition(":")[2] not in ports:
                continue
            if found := known.find(addresses.parse_backend(each.address)):
                yield _loop(document, place, found, coming.get(name, ()), places)


def _loop(
    document: Document, path: KeyPath, found: str, coming: Collection[str], places: Mapping[str, Place]
) -> Problem:
    """Return the warning of a backend that is the listener ``found``; ``coming`` are those whose connections go there."""
    if found in coming:
        itself = "this listener itself" if len(coming) == 1 else f"the listener {found} itself"
        message = f"is {itself}: connections come back without end; name what is behind the proxy"
    else:
        where = places[found][0].origin(places[found][1])
        message = f"is the listener {found} at {where}: connections go through this proxy again"
    return document.value_problem(path, message, "warning")


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
