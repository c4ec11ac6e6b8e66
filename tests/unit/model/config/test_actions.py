"""What a route does: exactly one of backend, redirect and respond, in files and in runtime edits."""

import pytest

from mcproxy.errors import InvalidRequestError
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.edits import put, requests
from mcproxy.model.edits.edit import make_edit
from mcproxy.model.edits.requests import EditMetadata, View
from mcproxy.model.edits.stored import from_json, to_json
from mcproxy.model.state.state import Route
from tests.support.rows import each_row
from tests.unit.model.config.test_checks import found

METADATA = EditMetadata(created=0.0)
KEY = ":1", "a.test"
HEAD = '[[listeners]]\naddr = ":1"\n[[listeners.routes]]\nhostname = "a.test"\n'
L7 = HEAD + 'mode = "l7"\ntls_cert = "c"\ntls_key = "k"\n'


@pytest.mark.parametrize(
    "keys",
    [
        'redirect = "/x"',
        'redirect = "https://{host}{uri}"\nstatus = 301',
        'respond = "x"',
        'respond = "x"\nstatus = 503',
    ],
)
def test_a_route_may_answer_itself(keys: str) -> None:
    """Without a backend."""
    assert found(L7 + keys) == []
    route = resolve([Source("/etc/mc.toml", L7 + keys)]).state.routes[KEY]
    assert route.answers
    assert not route.endpoints
    assert from_json("route", KEY, to_json("route", KEY, route)) == route


@each_row(
    ("text", "key", "message"),
    [
        (HEAD, "backend", "a route needs a backend"),
        (L7, "backend", "a route needs a backend"),
        (HEAD + 'redirect = "/x"', "redirect", "has no effect on an l4 route"),
        (HEAD + 'respond = "x"', "respond", "has no effect on an l4 route"),
        (L7 + 'backend = "h:1"\nredirect = "/x"', "redirect", "either backend or redirect"),
        (L7 + 'backend = "h:1"\nrespond = "x"', "respond", "either backend or respond"),
        (L7 + 'redirect = "/x"\nrespond = "x"', "respond", "either redirect or respond"),
        (L7 + 'redirect = "/x"\nstatus = 200', "status", "must be one of 301, 302, 303, 307, 308"),
        (L7 + 'respond = "x"\nstatus = 204', "status", "must be 200 to 599, and none without content"),
        (L7 + 'respond = "x"\nstatus = 101', "status", "must be 200 to 599"),
        (L7 + 'respond = "x"\nstatus = "503"', "status", "must be an integer"),
    ],
)
def test_anything_else_is_an_error(text: str, key: str, message: str) -> None:
    """One, at the key that is too much, or lacks."""
    ((severity, where, told),) = found(text)
    assert (severity, where) == ("error", f"listeners[0].routes[0].{key}")
    assert told.startswith(message) or message in told


def test_keys_of_a_backend_are_doubtful_without_one() -> None:
    """And a status without an answer of the route's own."""
    assert [each[:2] for each in found(L7 + 'redirect = "/x"\nbackend_tls = true')] == [
        ("warning", "listeners[0].routes[0].backend_tls")
    ]
    assert [each[:2] for each in found(L7 + 'backend = "h:1"\nstatus = 503')] == [
        ("warning", "listeners[0].routes[0].status")
    ]


def view(text: str) -> View:
    state = resolve([Source("/etc/mc.toml", text)]).state
    return View(state, state, (), "/etc")


def value_of(draft: requests.Draft) -> Route:
    (edit,) = draft.add
    assert isinstance(edit.value, Route)
    return edit.value


def test_an_edit_gives_a_route_another_action_in_place_of_its_own() -> None:
    """By update and by put; what belongs to the former answer goes with it."""
    served = view(L7 + 'backend = "h:1"')
    route = value_of(requests.update_route(served, METADATA, *KEY, {"respond": "Back soon", "status": 503}))
    assert (route.respond, route.status, route.backend.endpoints) == ("Back soon", 503, ())
    assert value_of(put.put(served, METADATA, "route", KEY, '{"respond": "Back soon", "status": 503}')) == route
    served = view(L7 + 'respond = "x"\nstatus = 503')
    route = value_of(requests.update_route(served, METADATA, *KEY, {"redirect": "/x"}))
    assert (route.respond, route.status, route.redirect) == ("", 0, "/x")
    route = value_of(put.put(served, METADATA, "route", KEY, '{"backend": "h:2"}'))
    assert (route.respond, route.status, str(route.backend)) == ("", 0, "h:2")
    with pytest.raises(InvalidRequestError, match="either redirect or respond"):
        requests.update_route(served, METADATA, *KEY, {"redirect": "/x", "respond": "y"})
    with pytest.raises(InvalidRequestError, match="needs a backend"):
        requests.update_route(served, METADATA, *KEY, {"respond": ""})
    assert value_of(
        requests.add_route(
            served,
            METADATA,
            ":1",
            {"hostname": "b.test", "mode": "l7", "tls_cert": "c", "tls_key": "k", "redirect": "/x"},
        )
    ).answers


def test_the_edit_is_stored_whole() -> None:
    """What it takes away is not in it."""
    served = view(L7 + 'backend = "h:1"').file
    value = resolve([Source("/etc/mc.toml", L7 + 'redirect = "/x"')]).state.routes[KEY]
    edit = make_edit(served, served, "route", KEY, value, created=0.0)
    assert to_json("route", KEY, value) == {"mode": "l7", "tls_cert": "/etc/c", "tls_key": "/etc/k", "redirect": "/x"}
    assert edit.value == value
