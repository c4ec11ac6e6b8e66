"""What a route does with its connections or requests: exactly one of backend, redirect and respond, and the keys that go with it."""

from collections.abc import Iterator

from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath, Problem
from mcproxy.model.config.schema import Route
from mcproxy.model.state.route_options import ACTIONS
from mcproxy.model.values.endpoint import RouteBackend
from mcproxy.model.values.texts import REDIRECTS

_WITH_CONTENT = range(200, 600)
_EMPTY = (204, 205, 304)
_NOWHERE = RouteBackend()
_OF_BACKEND = ("backend_tls", "backend_ca", "backend_server_name", "send_proxy_protocol")


def check_action(document: Document, path: KeyPath, route: Route) -> Iterator[Problem]:
    """Return what is wrong or doubtful about the action of a route."""
    if not (route.redirect or route.respond or route.status) and route.backend != _NOWHERE:
        return  # as nearly always
    given = [key for key in ACTIONS if getattr(route, key) not in ("", _NOWHERE)]
    if len(given) > 1:
        yield document.problem((*path, given[1]), f"a route has either {given[0]} or {given[1]}, not both")
    sure = all(document.is_sure(*path, key) for key in ACTIONS)
    if not given and sure:
        yield document.problem(
            (*path, "backend"), "a route needs a backend; an l7 route may have redirect or respond instead"
        )
    answers = given[:1] != ["backend"] and bool(given)
    if answers:
        for key in _OF_BACKEND:
            if getattr(route, key):
                yield document.problem((*path, key), "has no effect without a backend", "warning")
    if route.status and sure:
        yield from _status(document, (*path, "status"), route)


def _status(document: Document, path: KeyPath, route: Route) -> Iterator[Problem]:
    status = route.status
    if route.redirect and status not in REDIRECTS:
        yield document.value_problem(path, f"must be one of {', '.join(map(str, REDIRECTS))} for a redirect")
    elif route.respond and (status not in _WITH_CONTENT or status in _EMPTY):
        yield document.value_problem(path, "must be 200 to 599, and none without content (204, 205, 304)")
    elif not route.redirect and not route.respond:
        yield document.problem(path, "has no effect without redirect or respond", "warning")
