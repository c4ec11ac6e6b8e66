"""Runtime edits of filters and cases: what they come to, what is needed by others, and what waits for what."""

import json
from typing import Any

import msgspec
import pytest

from mcproxy.errors import NotFoundError, PreconditionError
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.edits import put
from mcproxy.model.edits.edit import base_hash
from mcproxy.model.edits.overlay import merge
from mcproxy.model.edits.requests import Draft
from mcproxy.model.state.filter_options import FilterOptions, Page
from mcproxy.model.state.plan import make_plan
from mcproxy.model.state.state import Case, Filter, Listener, Route, State
from mcproxy.model.values.endpoint import Endpoint
from tests.support.desk import Desk

FILE = """
[upstreams.web]
endpoints = ["10.0.0.3:80"]
[upstreams.auth]
endpoints = ["10.0.0.9:80"]
[filters.office]
allow_cidrs = ["10.0.0.0/8"]
idle_timeout = "1m"
[filters.login]
forward_auth = { backend = "auth" }
error_pages = { "5xx" = "sorry.html" }
[[listeners]]
addr = ":1"
use = ["office"]
[[listeners.routes]]
hostname = "a.test"
mode = "l7"
tls_cert = "/c"
tls_key = "/k"
cases = [{ match = "/old/*", redirect = "/new" }]
[[listeners.routes]]
hostname = "l4.test"
backend = "h:1"
"""
A = (":1", "a.test")


def state_of(text: str) -> State:
    return resolve([Source("/etc/mc/mc-proxy.toml", text)]).state


@pytest.fixture
def desk() -> Desk:
    return Desk(state_of(FILE))


def ask(desk: Desk, kind: str, *key: str, **fields: Any) -> Draft:
    return desk.ask(put.put, kind, key, json.dumps(fields))


def test_a_case_gets_another_action_in_place_of_its_own(desk: Desk) -> None:
    """Dotted names change one key of its filter; what is not named stays."""
    ask(desk, "case", *A, "/old/*", respond="Gone", status=410)
    ask(desk, "case", *A, "/old/*", **{"filter.max_body": "1MiB", "filter.set_request_headers.x-a": "1"})
    ask(desk, "case", *A, "/old/*", backend="web", **{"filter.set_request_headers.x-b": "2"})
    case = desk.live.cases[*A, "/old/*"]
    own = FilterOptions(max_body=1 << 20, set_request_headers=(("X-A", "1"), ("X-B", "2")))
    assert case == Case(*A, "/old/*", upstream="web", filter=own)
    ask(desk, "case", *A, "/old/*", backend="", redirect="/new", filter=None)
    assert (desk.live, desk.edits) == (desk.file, ())


def test_a_case_is_named_in_any_form(desk: Desk) -> None:
    """Its key is the canonical one."""
    (edit,) = ask(desk, "case", ":01", "A.Test.", "POST|GET  /a ?b=1 x-env=prod", backend="web").add
    assert edit.key == (*A, "GET|POST /a ?b=1 X-Env=prod")


@pytest.mark.parametrize(
    ("kind", "key", "fields", "told"),
    [
        ("case", (*A, "GET|POST /old/*"), {}, None),
        ("case", (*A, "/%6Fld/*"), {}, 'some requests are for it and as much for the case "/old/'),
        ("filter", ("login",), {"idle_timeout": "2m"}, None),
        ("listener", (":1",), {"use": ["login", "office"]}, None),
        ("route", (":1", "l4.test"), {"use": ["login"]}, "is about requests"),
    ],
)
def test_what_suits_no_other_resource_is_refused(
    desk: Desk, kind: str, key: tuple[str, ...], fields: dict[str, Any], told: str | None
) -> None:
    """Whether the file has it or an edit; what only looks like it is taken."""
    if told is None:
        assert ask(desk, kind, *key, **fields).add
    else:
        with pytest.raises(Exception, match=told):
            ask(desk, kind, *key, **fields)
        assert desk.edits == ()


def test_filters_that_say_different_things_in_one_place_are_refused(desk: Desk) -> None:
    """The second one, whichever that is."""
    ask(desk, "filter", "login", idle_timeout="2m")
    with pytest.raises(Exception, match="say different things of idle_timeout"):
        ask(desk, "listener", ":1", use=["login", "office"])
    ask(desk, "filter", "login", idle_timeout="1m")
    ask(desk, "listener", ":1", use=["login", "office"])
    with pytest.raises(PreconditionError, match="say different things of idle_timeout"):
        ask(desk, "filter", "login", idle_timeout="3m")


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ((":1", "a.tset", "/x"), "there is no route :1 a.tset; did you mean a.test"),
        ((":11", "a.test", "/x"), "there is no listener :11; did you mean :1?"),
    ],
)
def test_what_a_case_would_belong_to_is_told_with_the_nearest(desk: Desk, key: tuple[str, ...], told: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        ask(desk, "case", *key, respond="x")
    assert str(caught.value).startswith(told)


def test_cases_of_edits_that_are_tied_are_refused(desk: Desk) -> None:
    """As those of the file are: the later one, instead of being kept without effect."""
    ask(desk, "case", *A, "GET|POST /n", respond="one")
    kept = desk.edits
    for match in ("GET /n", "PUT|GET /n"):
        with pytest.raises(PreconditionError, match=r'would have no effect: .* as much for the case "GET|POST /n"'):
            ask(desk, "case", *A, match, respond="two")
    assert desk.edits == kept
    ask(desk, "case", *A, "PUT /n", respond="three")


def test_what_others_name_is_not_removed(desk: Desk) -> None:
    """Upstreams that filters ask, filters in use, the last case of a route without an action."""
    with pytest.raises(PreconditionError, match="filter login leads to upstream auth"):
        desk.ask(put.remove, "upstream", ("auth",))
    with pytest.raises(PreconditionError, match="listener :1 uses filter office: take it out of it"):
        desk.ask(put.remove, "filter", ("office",))
    ask(desk, "case", *A, "/new", use=["login"], backend="web")
    with pytest.raises(PreconditionError, match="/new uses filter login"):
        desk.ask(put.remove, "filter", ("login",))
    desk.ask(put.remove, "case", (*A, "/old/*"))
    with pytest.raises(PreconditionError, match="the last case of route"):
        desk.ask(put.remove, "case", (*A, "/new"))
    ask(desk, "route", *A, respond="x")
    desk.ask(put.remove, "case", (*A, "/new"))
    desk.ask(put.remove, "filter", ("login",))
    assert "login" not in desk.live.filters


def test_files_that_clients_get_to_see_are_those_of_the_configuration(desk: Desk) -> None:
    """Under whatever key it names them; what an edit has already may stay."""
    ask(desk, "case", *A, "/x", respond={"file": "sorry.html", "type": "text/plain"}, status=503)
    assert desk.live.cases[*A, "/x"].respond == Page(file="/etc/mc/sorry.html", type="text/plain")
    for fields in ({"respond": {"file": "/etc/shadow"}}, {"filter": {"error_pages": {"404": "keys.pem"}}}):
        with pytest.raises(PreconditionError, match="clients would get to see"):
            ask(desk, "case", *A, "/y", **fields)
    with pytest.raises(PreconditionError, match="clients would get to see"):
        ask(desk, "filter", "office", error_pages={"5xx": "/etc/shadow"})
    without = msgspec.structs.replace(desk.file, filters={**desk.file.filters, "login": Filter(name="login")})
    desk.file = without
    ask(desk, "case", *A, "/x", status=500)


@pytest.mark.parametrize(
    ("edit", "gone", "why"),
    [
        (
            ("case", (*A, "/x"), {"backend": "web"}),
            '[upstreams.web]\nendpoints = ["10.0.0.3:80"]\n',
            "there is no upstream web",
        ),
        (
            ("case", (*A, "/x"), {"use": ["login"]}),
            '[filters.login]\nforward_auth = { backend = "auth" }\nerror_pages = { "5xx" = "sorry.html" }\n',
            "there is no filter login",
        ),
        (("route", (":1", "b.test"), {"backend": "h:1", "without": ["office"]}), "office", "there is no filter office"),
        (
            ("filter", ("new",), {"forward_auth": {"backend": "web"}}),
            '[upstreams.web]\nendpoints = ["10.0.0.3:80"]\n',
            "there is no upstream web",
        ),
    ],
)
def test_an_edit_waits_while_the_file_lacks_what_it_names(
    edit: tuple[str, Any, dict[str, Any]], gone: str, why: str
) -> None:
    """The rest of the edits stand; it is in effect again when that is back."""
    desk = Desk(state_of(FILE))
    ask(desk, "setting", "log.level", value="debug")
    ask(desk, edit[0], *edit[1], **edit[2])
    text = (
        FILE.replace(gone, "")
        if gone != "office"
        else FILE.replace('use = ["office"]\n', "").replace(
            '[filters.office]\nallow_cidrs = ["10.0.0.0/8"]\nidle_timeout = "1m"\n', ""
        )
    )
    assert text != FILE
    file = state_of(text)
    merged = merge(file, desk.edits, 0.0)
    assert [(verdict.edit.kind, verdict.why) for verdict in merged.suspended] == [(edit[0], why)]
    assert [each.kind for each in merged.standing] == ["setting"]
    assert msgspec.structs.replace(merged.state, settings={}) == msgspec.structs.replace(file, settings={})
    assert merge(desk.file, merged.kept, 0.0).state == desk.live


def test_what_the_file_says_of_a_filter_or_case_ends_edits_of_it(desk: Desk) -> None:
    """As of every resource: new words supersede."""
    ask(desk, "filter", "office", max_body="1MiB")
    ask(desk, "case", *A, "/old/*", status=301)
    file = state_of(FILE.replace('idle_timeout = "1m"', 'idle_timeout = "2m"').replace('"/new"', '"/newer"'))
    merged = merge(file, desk.edits, 0.0)
    assert [verdict.why for verdict in merged.superseded] == ["the file changed it", "the file changed it"]
    assert merged.state == file


def test_plans_tell_filters_and_cases_in_one_line_each() -> None:
    """In the words of the file, what is not as by default."""
    before = State({":1": Listener(":1")}, {A: Route(*A, mode="l7")}, filters={"a": Filter(name="a", max_body=1 << 20)})
    own = FilterOptions(set_request_headers=(("X-A", "a b"), ("X-B", "1")), cors=None)
    after = State(
        {":1": Listener(":1", use=("a",))},
        {A: Route(*A, mode="l7", respond=Page(file="/m.html"))},
        filters={"a": Filter(name="a", max_body=10 << 20, error_pages=(("5xx", "/x"),))},
        cases={
            (*A, "GET /x"): Case(*A, "GET /x", (Endpoint("h", 1),), filter=own),
            (*A, "/y"): Case(*A, "/y", redirect="/z"),
        },
    )
    assert make_plan(before, after, {}).lines() == (
        "~ filter a  max_body: 1MiB -> 10MiB, error_pages: [] -> { 5xx: /x }",
        "~ listener :1  use: [] -> a",
        '~ route :1 a.test  respond: "" -> { file: /m.html }',
        '+ case :1 a.test "/y"  redirect: /z',
        '+ case :1 a.test "GET /x" -> h:1  filter: { set_request_headers: { X-A: "a b", X-B: 1 } }',
    )
    assert make_plan(after, before, {}).lines()[:2] == ('- case :1 a.test "/y"', '- case :1 a.test "GET /x" -> h:1')


def test_a_text_as_answer_hashes_as_it_always_has() -> None:
    """What a route could say before it could name files supersedes no edit of an older version."""
    route = Route(*A, (Endpoint("h", 1),), mode="l7", tls_cert="/c", tls_key="/k", respond="x", status=503)
    assert base_hash(route) == "b98e474dcc0ac9b0e4f92e5373e763bd99886dc43af6bd7003a626801b5fd861"
    assert (
        base_hash(Listener(":1", proxy_protocol=True, trusted_proxies=("10.0.0.0/8",)))
        == "9861938076475ea892d6df4b826f4789a23ba0080dfd249b721855eb6d67e6f0"
    )
