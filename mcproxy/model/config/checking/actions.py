"""What a route or case does with connections or requests: one of backend, redirect and respond, and the keys that go with it."""

from collections.abc import Iterator

from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath, Problem
from mcproxy.model.config.schema import Case, Route
from mcproxy.model.state.filter_options import Page
from mcproxy.model.state.route_options import ACTIONS
from mcproxy.model.values.endpoint import Endpoint, RouteBackend
from mcproxy.model.values.http import matches
from mcproxy.model.values.texts import REDIRECTS

_WITH_CONTENT = range(200, 600)
_EMPTY = (204, 205, 304)
_NOWHERE = RouteBackend()
_OF_BACKEND = ("backend_tls", "backend_ca", "backend_server_name", "send_proxy_protocol")


def check_action(document: Document, path: KeyPath, route: Route) -> Iterator[Problem]:
    """Return what is wrong or doubtful about the action of a route."""
    if not (route.redirect or route.respond or route.status) and route.backend != _NOWHERE:
        return  # as nearly always
    given = _given(route)
    yield from _answer(document, path, route, given, "a route")
    cases = route.mode == "l7" and (route.cases or not document.is_sure(*path, "cases"))
    if not given and not cases and _are_sure(document, path):
        message = "a route needs a backend; an l7 route may have redirect, respond or cases instead"
        yield document.problem((*path, "backend"), message)
    leads = given[:1] == ["backend"] or any(case.backend.endpoints for case in route.cases)
    if not leads and (given or route.cases):
        for key in _OF_BACKEND:
            if getattr(route, key):
                yield document.problem((*path, key), "has no effect without a backend", "warning")


def check_case(document: Document, path: KeyPath, case: Case, route: Route) -> Iterator[Problem]:
    """Return what is wrong or doubtful about the action of a case; without one it does what its route does."""
    if route.backend == _NOWHERE and not (_given(route) or _given(case)) and _are_sure(document, path):
        message = "neither the case nor its route has backend, redirect or respond: such requests get 404"
        yield document.problem(path, message, "warning")
    if case.redirect or case.respond or case.status:
        yield from _answer(document, path, case, _given(case), "a case")
    if len(case.backend.endpoints) > 1:
        yield from listed_twice(document, (*path, "backend"), case.backend)


def check_conditions(document: Document, path: KeyPath, case: Case) -> Iterator[Problem]:
    """Return what is wrong about the conditions that a case has beside those in its match."""
    if case.match:
        try:
            matches.with_conditions(matches.parse(case.match), dict(case.headers), dict(case.query))
        except ValueError as error:
            key = "headers" if case.headers and "query" not in str(error) else "query"
            yield document.problem((*path, key), str(error))


def listed_twice(document: Document, path: KeyPath, backend: RouteBackend) -> Iterator[Problem]:
    """Return the addresses that a list has already."""
    endpoints = backend.endpoints
    if len(endpoints) == len(set(endpoints)):
        return
    seen: set[Endpoint] = set()
    for index, endpoint in enumerate(endpoints):
        if endpoint not in seen:
            seen.add(endpoint)
        elif endpoint.host or endpoint.path:
            message = f"{endpoint} is in the list already; for a larger share name the upstream and give it a weight"
            yield document.value_problem((*path, index), message)


def _given(place: Route | Case) -> list[str]:
    return [key for key in ACTIONS if getattr(place, key) not in ("", _NOWHERE)]


def _are_sure(document: Document, path: KeyPath) -> bool:
    return all(document.is_sure(*path, key) for key in ACTIONS)


def _answer(document: Document, path: KeyPath, place: Route | Case, given: list[str], what: str) -> Iterator[Problem]:
    """Return what is wrong about several actions at once, and about an answer."""
    if len(given) > 1:
        yield document.problem((*path, given[1]), f"{what} has either {given[0]} or {given[1]}, not both")
    if isinstance(place.respond, Page) and not place.respond.file and document.names(*path, "respond", "file"):
        yield document.value_problem((*path, "respond", "file"), "must name a file")
    if place.status and _are_sure(document, path):
        yield from _status(document, (*path, "status"), place)


def _status(document: Document, path: KeyPath, place: Route | Case) -> Iterator[Problem]:
    status = place.status
    if place.redirect and status not in REDIRECTS:
        yield document.value_problem(path, f"must be one of {', '.join(map(str, REDIRECTS))} for a redirect")
    elif place.respond and (status not in _WITH_CONTENT or status in _EMPTY):
        yield document.value_problem(path, "must be 200 to 599, and none without content (204, 205, 304)")
    elif not place.redirect and not place.respond:
        yield document.problem(path, "has no effect without redirect or respond", "warning")
