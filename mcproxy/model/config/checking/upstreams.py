"""The keys of one upstream and its endpoints, against each other and against the routes that lead there."""

from collections.abc import Iterator, Mapping, Sequence

from mcproxy.model.config import walker
from mcproxy.model.config.checking.declarations import routes, upstreams
from mcproxy.model.config.checking.listeners import sent_header
from mcproxy.model.config.checking.tls import check_own_pair
from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath, Problem
from mcproxy.model.config.schema import Route
from mcproxy.model.config.upstreams import Upstream
from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.upstream_options import Check
from mcproxy.model.values import addresses

_TYPES = {"path": ("http",), "status": ("http",), "host": ("http", "grpc"), "service": ("grpc",)}
"""The keys of a check that only some types of it know."""
_CHECK_DEFAULTS = {key: walker.default(Check, key, "") for key in _TYPES}


def check_upstreams(documents: Sequence[Document], *, complete: bool) -> Iterator[Problem]:
    """Return what is wrong or doubtful about upstreams.

    Args:
        documents: all files that are valid TOML.
        complete: whether these are all files; if not, routes to an upstream may be in one that is missing.
    """
    declared = tuple(upstreams(documents))
    if not declared:
        return
    leading: dict[str, list[Route]] = {}
    known = True
    for document, path, _, route in routes(documents):
        known = known and document.is_sure(*path, "backend") and document.is_sure(*path, "mode")
        leading.setdefault(route.backend.upstream, []).append(route)
        for number, case in enumerate(route.cases):
            known = known and document.is_sure(*path, "cases", number, "backend")
            if case.backend.upstream:
                leading.setdefault(case.backend.upstream, []).append(route)
    asked = set(_asked(documents))
    # What leads to an upstream that there is not may be meant for one that nothing leads to.
    known = known and complete and leading.keys() - {""} <= {name for _, _, name, _ in declared}
    known = known and all(document.is_sure("filters") for document in documents)
    for document, path, name, upstream in declared:
        yield from _upstream(document, path, upstream)
        if known and name not in asked:
            yield from _led_to(document, path, upstream, leading.get(name, ()), unused=bool(leading))


def _asked(documents: Sequence[Document]) -> Iterator[str]:
    """Return the names of the upstreams that filters ask."""
    for document in documents:
        for options in document.config.filters.values():
            yield from _asks(options)
    for _, _, _, route in routes(documents):
        yield from _asks(route.filter)
        for case in route.cases:
            yield from _asks(case.filter)


def _asks(options: FilterOptions | None) -> tuple[str, ...]:
    return () if options is None or options.forward_auth is None else (options.forward_auth.backend.upstream,)


def _upstream(document: Document, path: KeyPath, upstream: Upstream) -> Iterator[Problem]:
    yield from sent_header(document, path, upstream)
    if upstream.tls is not None:
        yield from check_own_pair(document, (*path, "tls"), upstream.tls, "cert", "key")
    if document.is_sure(*path, "endpoints"):
        yield from _endpoints(document, path, upstream)
    if upstream.check is not None and document.is_sure(*path, "check"):
        yield from _check(document, (*path, "check"), upstream.check)


def _endpoints(document: Document, path: KeyPath, upstream: Upstream) -> Iterator[Problem]:
    endpoints = upstream.endpoints
    if not endpoints:
        return
    is_single = len(endpoints) == 1 and endpoints[0].resolve == "any"
    if is_single and upstream.eject and document.names(*path, "eject"):
        message = "has no effect: the only endpoint is never left out"
        yield document.problem((*path, "eject"), message, "warning")
    if all(endpoint.backup for endpoint in endpoints):
        message = "all endpoints are backups, so that none is the first choice; leave backup out"
        yield document.problem((*path, "endpoints"), message, "warning")
    if all(endpoint.state != "ready" for endpoint in endpoints):
        message = "no endpoint is ready: nothing new goes to any of them"
        yield document.problem((*path, "endpoints"), message, "warning")
    for index, endpoint in enumerate(endpoints):
        if endpoint.resolve == "all" and endpoint.address and not _is_name(endpoint.address):
            message = f"has no effect: {endpoint.address} is one address already, not a name"
            yield document.problem((*path, "endpoints", index, "resolve"), message, "warning")


def _is_name(address: str) -> bool:
    host = addresses.parse_backend(address).host
    return bool(host) and not addresses.is_ip(host)


def _check(document: Document, path: KeyPath, check: Check) -> Iterator[Problem]:
    for key, types in _TYPES.items():
        if check.type not in types and getattr(check, key) != _CHECK_DEFAULTS[key]:
            needed = " or ".join(f'type = "{each}"' for each in types)
            message = f"has no effect on a check of type {check.type}; it needs {needed}"
            yield document.problem((*path, key), message, "warning")
    if check.timeout > check.interval:
        key = "timeout" if document.names(*path, "timeout") else "interval"
        message = "a check may take longer than the interval; the next one begins when it has ended"
        yield document.problem((*path, key), message, "warning")


def _led_to(
    document: Document, path: KeyPath, upstream: Upstream, leading: Sequence[Route], *, unused: bool
) -> Iterator[Problem]:
    """Return what is doubtful about an upstream because of the routes that lead there, or because there are none."""
    if not leading:
        if unused:
            yield document.problem(path, "no route leads to this upstream", "warning")
        return
    if any(route.mode != "l4" for route in leading):
        return
    checked_type = "" if upstream.check is None else upstream.check.type
    effects: Mapping[str, bool] = {
        "retry_on": bool(upstream.retry_on),
        "tls": upstream.tls is not None and checked_type in ("", "tcp"),
        "protocol": upstream.protocol != "auto" and checked_type != "http",
    }
    for key, without in effects.items():
        if without:
            message = "has no effect: all routes that lead here are l4, which pass on what clients send"
            yield document.problem((*path, key), message, "warning")
