"""What a listener's clients speak: which routes and keys go with it, in files and in runtime edits."""

import pytest

from mcproxy.errors import InvalidRequestError, PreconditionError
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.edits import put, requests
from mcproxy.model.edits.edit import make_edit
from mcproxy.model.edits.overlay import merge
from mcproxy.model.edits.requests import EditMetadata, View, check_effect
from mcproxy.model.state.state import State
from tests.support.rows import each_row
from tests.unit.model.config.test_checks import found

METADATA = EditMetadata(created=0.0)
TCP = '[[listeners]]\naddr = ":25"\nprotocol = "tcp"\n'
ROUTE = '[[listeners.routes]]\nhostname = "*"\nbackend = "b:25"\n'


def state(text: str) -> State:
    return resolve([Source("/etc/mc.toml", text)]).state


def view(text: str) -> View:
    served = state(text)
    return View(served, served, (), "/etc")


def test_a_tcp_listener_has_one_route_for_everything() -> None:
    """A mode that is left out is l4; the route may stand anywhere."""
    assert found(TCP + ROUTE) == []
    assert (
        found(TCP + '[[routes]]\nlistener = "25"\nhostname = "*"\nbackend = ["b:1", "b:2"]\n'.replace('"25"', '":25"'))
        == []
    )
    assert state(TCP + ROUTE).listeners[":25"].protocol == "tcp"
    assert state(TCP + ROUTE).routes[":25", "*"].mode == "l4"
    assert state(TCP.replace('protocol = "tcp"', "") + ROUTE).listeners[":25"].protocol == "tls"


@each_row("top", [False, True], ids=["in its listener", "elsewhere"])
@each_row(
    ("change", "key", "message"),
    [
        (('"*"', '"a.example"'), "hostname", 'must be "*": a listener with protocol = "tcp" reads no server name'),
        (('"*"', '"*.example"'), "hostname", 'must be "*": a listener with protocol = "tcp" reads no server name'),
        (('"b:25"', '"b:25"\nmode = "l7"\ntls_cert = "c"\ntls_key = "k"'), "mode", 'must be "l4": a listener with'),
        (('"b:25"', '"b:25"\ntls_cert = "c"'), "tls_cert", "is for l7 routes"),
        (('"b:25"', '"b:25"\nbackend_tls = true'), "backend_tls", "is for l7 routes"),
        (('"b:25"', '"b:25"\npreserve_header_case = true'), "preserve_header_case", "is for l7 routes"),
    ],
)
def test_what_needs_to_be_read_is_an_error_on_tcp(
    change: tuple[str, str], key: str, message: str, *, top: bool
) -> None:
    """At the key that asks for it, wherever the route stands."""
    declared = ROUTE.replace("[[listeners.routes]]", '[[routes]]\nlistener = ":25"') if top else ROUTE
    ((severity, where, told),) = found(TCP + declared.replace(*change))
    assert (severity, where) == ("error", f"routes[0].{key}" if top else f"listeners[0].routes[0].{key}")
    assert told.startswith(message)


def test_a_tcp_listener_needs_a_route() -> None:
    """Every connection would be reset otherwise."""
    assert found(TCP) == [
        ("error", "listeners[0].protocol", 'a listener with protocol = "tcp" needs a route, with hostname = "*"')
    ]


def test_an_unknown_protocol_is_told_with_the_known_ones() -> None:
    """And nothing else follows from it."""
    ((_, key, message),) = found(TCP.replace('"tcp"', '"tpc"') + ROUTE)
    assert key == "listeners[0].protocol"
    assert 'must be "http", "tcp" or "tls", not "tpc"; did you mean "tcp"?' in message


def test_requests_for_routes_of_a_tcp_listener_are_judged_as_the_file_is() -> None:
    """Adding, changing and putting one."""
    served = view(TCP + ROUTE)
    with pytest.raises(InvalidRequestError, match="is for l7 routes"):
        requests.update_route(served, METADATA, ":25", "*", {"tls_cert": "c"})
    with pytest.raises(InvalidRequestError, match="must be"):
        requests.add_route(served, METADATA, ":25", {"hostname": "x.example", "backend": "b:1"})
    with pytest.raises(InvalidRequestError, match="must be"):
        put.put(served, METADATA, "route", (":25", "*"), '{"mode": "l7", "tls_cert": "c", "tls_key": "k"}')
    (edit,) = requests.update_route(served, METADATA, ":25", "*", {"backend": "b:26"}).add
    assert merge(served.file, [edit], 1.0).standing
    assert requests.set_max_connections(served, METADATA, ":25", 5).add


def test_a_listener_becomes_tcp_by_an_edit_where_its_routes_allow_it() -> None:
    """A file's route that needs more keeps the edit from being made; without any route there is nothing to lead to."""
    tls = TCP.replace('protocol = "tcp"', "")
    served = view(tls + ROUTE)
    (edit,) = put.put(served, METADATA, "listener", (":25",), '{"protocol": "tcp"}').add
    assert merge(served.file, [edit], 1.0).state.listeners[":25"].protocol == "tcp"
    with pytest.raises(InvalidRequestError, match="needs a route"):
        put.put(view(tls), METADATA, "listener", (":25",), '{"protocol": "tcp"}')
    served = view(tls + ROUTE + ROUTE.replace('"*"', '"a.example"'))
    draft = put.put(served, METADATA, "listener", (":25",), '{"protocol": "tcp"}')
    with pytest.raises(PreconditionError, match=r"its route :25 a\.example can't be served by tcp"):
        check_effect(draft, merge(served.file, (), 1.0), merge(served.file, draft.add, 1.0))


def test_an_edit_waits_while_the_file_has_made_its_listener_tcp() -> None:
    """It serves again when the file takes that back; the file itself is served all the while."""
    tls = state(TCP.replace('protocol = "tcp"', "") + ROUTE)
    other = state(TCP.replace('protocol = "tcp"', "") + ROUTE.replace('"*"', '"a.example"')).routes[":25", "a.example"]
    edit = make_edit(tls, tls, "route", (":25", "a.example"), other, created=0.0)
    assert merge(tls, [edit], 1.0).standing
    merged = merge(state(TCP + ROUTE), [edit], 1.0)
    assert [verdict.why for verdict in merged.suspended] == [
        'the listener has protocol = "tcp", which takes one l4 route "*"'
    ]
    assert merged.state.routes.keys() == {(":25", "*")}


def test_edits_of_a_listener_and_its_route_go_together() -> None:
    """Each would be wrong without the other, in whichever order they were made."""
    served = state(TCP + ROUTE)
    l7 = state(
        '[[listeners]]\naddr = ":25"\n' + ROUTE + 'mode = "l7"\ntls_cert = "c"\ntls_key = "k"\n',
    )
    listener = make_edit(served, served, "listener", ":25", l7.listeners[":25"], created=0.0)
    route = make_edit(served, served, "route", (":25", "*"), l7.routes[":25", "*"], created=0.0)
    merged = merge(served, [route, listener], 1.0)
    assert not merged.suspended
    assert merged.state == l7


HTTP = '[[listeners]]\naddr = ":80"\nprotocol = "http"\n'
CERTIFICATE = '\ntls_cert = "c"\ntls_key = "k"'


def test_routes_of_an_http_listener_are_l7_unless_told_otherwise() -> None:
    """Wherever they stand, with any hostname and action; the file's order does not matter."""
    elsewhere = '[[routes]]\nlistener = ":80"\nhostname = "b.example"\nbackend = "b:1"\n'
    redirect = '[[listeners.routes]]\nhostname = "a.example"\nredirect = "https://{host}{uri}"\n'
    text = elsewhere + HTTP + ROUTE + redirect + TCP + ROUTE
    assert found(text) == []
    assert {key: route.mode for key, route in state(text).routes.items()} == {
        (":80", "b.example"): "l7",
        (":80", "*"): "l7",
        (":80", "a.example"): "l7",
        (":25", "*"): "l4",
    }
    assert found(HTTP) == []


@pytest.mark.parametrize("top", [False, True], ids=["in its listener", "elsewhere"])
@pytest.mark.parametrize(
    ("keys", "key", "message"),
    [
        ('\nmode = "l4"', "mode", 'must be "l7": on a listener with protocol = "http" each request has its route'),
        ('\ntls_cert = "c"', "tls_cert", "is for TLS; clients of a listener"),
        ('\ntls_key = "k"', "tls_key", "is for TLS; clients of a listener"),
    ],
)
def test_what_needs_tls_is_an_error_on_http(keys: str, key: str, message: str, *, top: bool) -> None:
    """At the key that asks for it, wherever the route stands, and nothing else is told."""
    declared = ROUTE.replace("[[listeners.routes]]", '[[routes]]\nlistener = ":80"') if top else ROUTE
    ((severity, where, told),) = found(HTTP + declared.replace('"b:25"', '"b:25"' + keys))
    assert (severity, where) == ("error", f"routes[0].{key}" if top else f"listeners[0].routes[0].{key}")
    assert told.startswith(message)


def test_requests_for_routes_of_an_http_listener_are_judged_as_the_file_is() -> None:
    """A mode that is left out is l7 there, too."""
    served = view(HTTP + ROUTE)
    (edit,) = requests.add_route(served, METADATA, ":80", {"hostname": "x.example", "backend": "b:1"}).add
    assert edit.value.mode == "l7"  # type: ignore[union-attr]
    assert merge(served.file, [edit], 1.0).standing
    (edit,) = put.put(served, METADATA, "route", (":80", "y.example"), '{"redirect": "https://{host}{uri}"}').add
    assert edit.value.mode == "l7"  # type: ignore[union-attr]
    (edit,) = requests.update_route(served, METADATA, ":80", "*", {"backend": "b:26"}).add
    assert edit.value.mode == "l7"  # type: ignore[union-attr]
    with pytest.raises(InvalidRequestError, match="is for TLS"):
        requests.update_route(served, METADATA, ":80", "*", {"tls_cert": "c", "tls_key": "k"})
    with pytest.raises(InvalidRequestError, match='must be "l7"'):
        requests.add_route(served, METADATA, ":80", {"hostname": "x.example", "backend": "b:1", "mode": "l4"})


@pytest.mark.parametrize(
    ("before", "keys", "protocol", "why"),
    [
        ("tls", "", "http", r"its route :80 \* can't be served without TLS"),
        ("tls", '\nmode = "l7"' + CERTIFICATE, "http", r"its route :80 \* can't be served without TLS"),
        ("http", "", "tls", r"its route :80 \* has no certificate"),
        ("http", "", "tcp", r"must be \"l4\"|can't be served by tcp"),
    ],
)
def test_a_listener_becomes_another_by_an_edit_only_where_its_routes_allow_it(
    before: str, keys: str, protocol: str, why: str
) -> None:
    """What the file's routes need is said of the first that keeps it from being made."""
    served = view(HTTP.replace('"http"', f'"{before}"') + ROUTE.replace('"b:25"', '"b:25"' + keys))

    def change() -> None:
        draft = put.put(served, METADATA, "listener", (":80",), f'{{"protocol": "{protocol}"}}')
        check_effect(draft, merge(served.file, (), 1.0), merge(served.file, draft.add, 1.0))

    with pytest.raises((InvalidRequestError, PreconditionError), match=why):
        change()


@pytest.mark.parametrize(
    ("made", "keys", "now", "why"),
    [
        ("http", "", "tls", "the listener's clients speak TLS, and the route has no certificate"),
        (
            "tls",
            '\nmode = "l7"' + CERTIFICATE,
            "http",
            'the listener has protocol = "http", which takes l7 routes without certificates',
        ),
    ],
)
def test_an_edit_waits_while_the_file_has_changed_what_its_listeners_clients_speak(
    made: str, keys: str, now: str, why: str
) -> None:
    """The file's own routes are served all the while."""
    text = HTTP.replace('"http"', f'"{made}"')
    plain, both = state(text), state(text + ROUTE.replace('"b:25"', '"b:25"' + keys))
    edit = make_edit(plain, plain, "route", (":80", "*"), both.routes[":80", "*"], created=0.0)
    assert merge(plain, [edit], 1.0).standing
    merged = merge(state(HTTP.replace('"http"', f'"{now}"')), [edit], 1.0)
    assert [verdict.why for verdict in merged.suspended] == [why]
    assert not merged.state.routes


@each_row("top", [False, True], ids=["in its listener", "elsewhere"])
@each_row(("word", "meant"), [("https", "tls"), ("SSL", "tls"), ("h2c", "http"), ("HTTP", "http"), ("raw", "tcp")])
def test_nothing_follows_from_a_protocol_that_is_none(word: str, meant: str, *, top: bool) -> None:
    """What its routes may have is open until it is right."""
    declared = '[[listeners.routes]]\nhostname = "*"\nredirect = "https://{host}{uri}"\n'
    if top:
        declared = declared.replace("[[listeners.routes]]", '[[routes]]\nlistener = ":80"')
    ((_, key, message),) = found(HTTP.replace('"http"', f'"{word}"') + declared)
    assert key == "listeners[0].protocol"
    assert message.endswith(f"did you mean {meant!r}?".replace("'", '"'))


def test_a_redirect_on_a_listener_without_a_protocol_is_told_of_it() -> None:
    """The one who forgot it mostly means http."""
    text = '[[listeners]]\naddr = ":80"\nroutes = [{ hostname = "*", redirect = "https://{host}{uri}" }]\n'
    ((severity, key, message),) = found(text)
    assert (severity, key) == ("error", "listeners[0].routes[0].redirect")
    assert message.endswith('it needs mode = "l7", or protocol = "http" on the listener where clients speak no TLS')
