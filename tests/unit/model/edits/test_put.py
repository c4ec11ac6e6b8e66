"""Resources of any kind, named by kind and key, with the keys of their tables: what is given changes, the rest stays."""

import json
from typing import Any, get_type_hints

import msgspec
import pytest

from mcproxy.control.reconcile.current import AT_START
from mcproxy.errors import InvalidRequestError, NotFoundError, PreconditionError
from mcproxy.model.config.checking.declarations import SETTING_STRUCTS
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.edits import put, requests
from mcproxy.model.edits.requests import Draft
from mcproxy.model.state.kinds import KIND, key_from, name_of, table_of
from mcproxy.model.state.route_options import RouteOptions
from mcproxy.model.state.state import Rule
from mcproxy.model.values.acme.words import LETS_ENCRYPT
from tests.support.desk import METADATA, Desk
from tests.support.field_values import other_options

FILE = """
[upstreams.web]
endpoints = ["10.0.0.3:80", { address = "10.0.0.4:80", weight = 3 }]
check = { type = "http", path = "/healthz" }

[upstreams.idle]
endpoints = ["10.0.0.9:80"]

[firewall]
blocked_ips = ["192.0.2.1"]

[filters.office]
allow_cidrs = ["10.0.0.0/8"]
set_response_headers = { X-A = "1" }

[[listeners]]
addr = ":1"
max_connections = 5
use = ["office"]

[[listeners.routes]]
hostname = "a.test"
backend = "h:1"
mode = "l7"
tls_cert = "/c"
tls_key = "/k"
l7_policies = [{ type = "require_header", value = "X" }]
cases = [{ match = "/old/*", redirect = "/new" }]

[[listeners.routes]]
hostname = "l4.test"
backend = "h:1"
idle_timeout = "9s"

[[listeners.routes]]
hostname = "web.test"
backend = "web"

[[listeners]]
addr = ":2"
"""


@pytest.fixture
def desk() -> Desk:
    return Desk(resolve([Source("/etc/mc/mc-proxy.toml", FILE)]).state)


def ask(desk: Desk, kind: str, *key: str, **fields: Any) -> Draft:
    """Put a resource, and make it live."""
    return desk.ask(put.put, kind, key, json.dumps(fields))


def wrong(desk: Desk, kind: str, *key: str, **fields: Any) -> dict[str, str]:
    """Return what is wrong with a request, by field."""
    with pytest.raises(InvalidRequestError) as caught:
        ask(desk, kind, *key, **fields)
    return dict(caught.value.violations)


NEW: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("rule", ("ip", "192.0.2.7"), {}),
    ("endpoint", ("web", "10.0.0.5:80"), {"weight": 2}),
    ("listener", (":3",), {"max_connections": 7}),
    ("route", (":2", "new.test"), {"backend": "h:7"}),
    ("policy", (":1", "a.test", "block_user_agent", "Bot"), {}),
    ("filter", ("new",), {"rate_limit": "5/1m"}),
    ("case", (":1", "a.test", "GET /api/* X-Env=prod"), {"backend": "web", "without": ["office"]}),
]
"""One new resource of each kind that edits add."""
THERE: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("setting", ("proxy.idle_timeout",), {"value": "2m"}),
    ("upstream", ("web",), {"balance": "least_conn"}),
    ("endpoint", ("web", "10.0.0.4:80"), {"state": "drain"}),
    ("listener", (":1",), {"max_connections": 9}),
    ("route", (":1", "l4.test"), {"backend": "h:9"}),
    ("filter", ("office",), {"max_body": "10MiB"}),
    ("case", (":1", "a.test", "/old/*"), {"status": 301}),
]
"""One of each kind that has keys to change, and a change."""


def test_the_tables_have_every_kind() -> None:
    """Those that edits add, and those that they change."""
    assert {kind for kind, _, _ in NEW + THERE} == set(put.PUT)


@pytest.mark.parametrize(("kind", "key", "fields"), NEW)
def test_what_is_not_there_is_added_and_removed(
    desk: Desk, kind: str, key: tuple[str, ...], fields: dict[str, Any]
) -> None:
    """By an edit with author, reason and end; twice is once; once it is removed nothing is left of it."""
    before = desk.live
    (edit,) = ask(desk, kind, *key, **fields).add
    where = key_from(edit.kind, key)
    assert (edit.kind, edit.key, edit.base, edit.author, edit.expires) == (kind, where, None, "ann", 9.0)
    assert where in table_of(desk.live, put.kind_of(kind))
    assert ask(desk, kind, *key, **fields) == Draft()
    desk.ask(put.remove, kind, key)
    assert (desk.live, desk.edits) == (before, ())


@pytest.mark.parametrize(("kind", "key", "fields"), THERE)
def test_what_is_there_changes_in_what_is_given(
    desk: Desk, kind: str, key: tuple[str, ...], fields: dict[str, Any]
) -> None:
    """All else stays; what the file says needs no edit again."""
    known = put.kind_of(kind)
    before = {each: put.plain_fields(known, each, it) for each, it in put.matching(desk.live, known, ())}
    (edit,) = ask(desk, kind, *key, **fields).add
    after = {each: put.plain_fields(known, each, it) for each, it in put.matching(desk.live, known, ())}
    where = edit.key
    assert after == {**before, where: {**before[where], **fields}}
    assert ask(desk, kind, *key, **{name: before[where][name] for name in fields}).remove == (1,)
    assert desk.live == desk.file


def test_what_is_listed_can_be_put(desk: Desk) -> None:
    """Of every kind: the fields that a list tells are those that a request takes, and change nothing."""
    for kind in (KIND[name] for name in put.PUT):
        for key, resource in put.matching(desk.live, kind.name, ()):
            parts = (key,) if isinstance(key, str) else key
            if kind.name == "setting" and put.FILE_ALONE & {parts[0], parts[0].partition(".")[0]}:
                continue
            fields = put.plain_fields(kind.name, key, resource)
            assert desk.ask(put.put, kind.name, parts, json.dumps(fields)).add == (), name_of(kind.name, key)


def test_what_is_hidden_comes_back_as_the_file_has_it(desk: Desk) -> None:
    """Removing what the file declares takes a tombstone, and what belongs to it goes with it."""
    desk.ask(put.remove, "route", (":1", "a.test"))
    assert (":1", "a.test") not in desk.live.routes
    assert desk.live.policies == {}
    declared = put.plain_fields("route", (":1", "a.test"), desk.file.routes[":1", "a.test"])
    draft = ask(desk, "route", ":1", "a.test", **declared)
    assert (draft.add, draft.remove) == ((), (1,))
    assert desk.live == desk.file


def test_keys_are_canonical(desk: Desk) -> None:
    """Whatever form the request has them in."""
    (edit,) = ask(desk, "route", ":01", "New.Test.", backend="H:7").add
    assert edit.key == (":1", "new.test")
    (rule,) = ask(desk, "rule", "ip", "::ffff:192.0.2.9").add
    assert rule.value == Rule("ip", "192.0.2.9")


@pytest.mark.parametrize("option", RouteOptions.__struct_fields__)
def test_each_key_of_a_route_is_judged_as_in_requests_of_its_own(desk: Desk, option: str) -> None:
    """The same value, the same warnings."""
    options = {**other_options(), "mode": "l7", "tls_cert": "/c", "tls_key": "/k"}
    route = msgspec.structs.replace(desk.file.routes[":1", "l4.test"], **{option: options[option]})
    value = put.plain_fields("route", (":1", "l4.test"), route)[option]
    needed = {"mode": "l7", "tls_cert": "/c", "tls_key": "/k"}
    if option in ("backend_cert", "backend_key"):  # neither goes without the other
        needed |= {"backend_cert": "/x", "backend_key": "/x"}
    file = desk.file
    if option in ("certificate", "names"):  # in the place of files, and from somebody
        needed = {"mode": "l7", "certificate": "acme"}
        file = msgspec.structs.replace(file, settings={**file.settings, "acme.directory": LETS_ENCRYPT})
    generic, flat = Desk(file), Desk(file)
    drafts = [
        ask(generic, "route", ":1", "l4.test", **{**needed, option: value}),
        flat.ask(requests.update_route, ":1", "l4.test", {**needed, option: value}),
    ]
    assert drafts[0] == drafts[1]
    assert getattr(generic.live.routes[":1", "l4.test"], option) == options[option]


def test_null_brings_a_key_back_to_its_default(desk: Desk) -> None:
    """Of settings too; a key that is required is missing then."""
    ask(desk, "route", ":1", "l4.test", idle_timeout=None)
    assert put.plain_fields("route", (":1", "l4.test"), desk.live.routes[":1", "l4.test"])["idle_timeout"] == ""
    ask(desk, "setting", "proxy.idle_timeout", value="2m")
    ask(desk, "setting", "proxy.idle_timeout", value=None)
    assert desk.live.settings["proxy.idle_timeout"] == 300.0
    assert list(wrong(desk, "route", ":1", "l4.test", backend=None)) == ["backend"]


def test_a_longer_time_is_taken_over(desk: Desk) -> None:
    """Putting what is live already by an edit lets the edit end when the later request says."""
    ask(desk, "listener", ":1", max_connections=9)
    later = msgspec.structs.replace(METADATA, expires=20.0, author="bob")
    draft = put.put(desk.view, later, "listener", (":1",), '{"max_connections": 9}')
    (edit,) = draft.add
    assert (edit.expires, edit.author, edit.value) == (20.0, "bob", desk.live.listeners[":1"])


@pytest.mark.parametrize(
    ("kind", "key", "fields", "told"),
    [
        ("rout", (":1", "a"), {}, {"kind": "did you mean route?"}),
        ("", (), {}, {"kind": "must be one of setting, rule"}),
        ("route", (":1",), {}, {"key": "has 2 parts, LISTENER HOSTNAME, not 1"}),
        ("setting", (), {}, {"key": "has one part, PATH, not 0"}),
        ("route", ("nope", "a..b"), {}, {"listener": "", "hostname": ""}),
        ("rule", ("ip", "nope"), {}, {"value": ""}),
        ("policy", (":1", "a.test", "require_heade", "X"), {}, {"type": 'did you mean "require_header"?'}),
        ("route", (":1", "l4.test"), {"backnd": "h:1"}, {"backnd": 'did you mean "backend"?'}),
        ("route", (":1", "l4.test"), {"backend": 7}, {"backend": "must be a string"}),
        ("route", (":1", "l4.test"), {"backend": "h", "mode": "l5"}, {"backend": "", "mode": ""}),
        ("route", (":1", "l4.test"), {"a.b": 1}, {"a": "unknown key"}),
        ("route", (":1", "l4.test"), {"mode.b": 1}, {"mode.b": "mode is no table"}),
        ("route", (":1", "l4.test"), {"hostname": "b"}, {"hostname": "part of the key"}),
        (
            "route",
            (":1", "a.test"),
            {"l7_policies": []},
            {"l7_policies": "resources of their own: put policy :1 a.test TYPE VALUE"},
        ),
        ("upstream", ("web",), {"balanc": "x"}, {"balanc": 'did you mean "balance"?'}),
        ("upstream", ("web",), {"balance": "x"}, {"balance": 'must be "least_conn"'}),
        ("upstream", ("web",), {"check.intervall": "5s"}, {"check.intervall": 'did you mean "interval"?'}),
        ("upstream", ("web",), {"check": {"type": "tpc"}}, {"check.type": 'did you mean "tcp"?'}),
        ("upstream", ("web",), {"endpoints": []}, {"endpoints": "own: put endpoint web ADDRESS"}),
        ("upstream", ("Web",), {}, {"name": ""}),
        ("upstream", ("new",), {}, {"endpoints": 'the key "endpoints" is missing'}),
        ("upstream", ("new",), {"endpoints": []}, {"endpoints": ""}),
        ("upstream", ("new",), {"endpoints": ["nope"]}, {"endpoints[0]": ""}),
        ("endpoint", ("web", "10.0.0.4:80"), {"weigth": 2}, {"weigth": 'did you mean "weight"?'}),
        ("endpoint", ("web", "10.0.0.4:80"), {"weight": 0}, {"weight": "must be at least 1"}),
        ("endpoint", ("web", "10.0.0.4:80"), {"state": "drian"}, {"state": 'did you mean "drain"?'}),
        ("endpoint", ("web", "10.0.0.4:80"), {"address": "h:1"}, {"address": "part of the key"}),
        ("endpoint", ("web", "nope"), {}, {"address": ""}),
        ("listener", (":1",), {"routes": []}, {"routes": "resources of their own: put route :1 HOSTNAME"}),
        ("listener", (":1",), {"max_conections": 1}, {"max_conections": 'did you mean "max_connections"?'}),
        ("policy", (":1", "a.test", "require_header", "Y"), {"typ": 1}, {"typ": "unknown key"}),
        ("rule", ("ip", "192.0.2.9"), {"reason": "x"}, {"reason": "unknown key"}),
        ("setting", ("proxy.workers",), {}, {"value": "a setting has this field, and no other"}),
        ("setting", ("proxy.workers",), {"value": 1, "x": 2}, {"value": "a setting has this field, and no other"}),
        ("setting", ("proxy.workers",), {"value": -1}, {"value": "must be at least 0"}),
        ("setting", ("log.level",), {"value": "warn"}, {"value": 'did you mean "warning"?'}),
        ("filter", ("Office",), {}, {"name": "is no name of a filter"}),
        ("filter", ("office",), {"alow_cidrs": []}, {"alow_cidrs": 'did you mean "allow_cidrs"?'}),
        ("filter", ("office",), {"max_body": "10M"}, {"max_body": 'did you mean "10MiB"?'}),
        ("filter", ("office",), {"cors.origin": []}, {"cors.origin": 'did you mean "origins"?'}),
        ("filter", ("office",), {"set_request_headers.Host": "x"}, {"set_request_headers.Host": "write rewrite_host"}),
        ("filter", ("office",), {"forward_auth.backend": "wbe"}, {"forward_auth.backend": 'did you mean "web"?'}),
        ("filter", ("office",), {"allow_countries": ["SE"]}, {"allow_countries": "needs geoip_db"}),
        ("case", (":1", "a.test", "old/*"), {}, {"match": 'did you mean "/old/*"?'}),
        ("case", (":1", "a.test", "/x"), {"match": "/y"}, {"match": "part of the key"}),
        ("case", (":1", "a.test", "/x"), {"headers": {"X": "y"}}, {"headers": "part of the match"}),
        ("case", (":1", "a.test", "/x"), {"backend": "wbe"}, {"backend": 'did you mean "web"?'}),
        ("case", (":1", "a.test", "/x"), {"use": ["ofice"]}, {"use[0]": 'did you mean "office"?'}),
        ("case", (":1", "a.test", "/x"), {"redirect": "/y", "status": 200}, {"status": "must be one of 301"}),
        ("case", (":1", "a.test", "/x"), {"filter.rate_limit": "5/m"}, {"filter.rate_limit": 'did you mean "5/1m"?'}),
        ("case", (":1", "l4.test", "/x"), {}, {"match": 'cases need mode = "l7"'}),
        ("route", (":1", "a.test"), {"cases": []}, {"cases": "resources of their own: put case :1 a.test MATCH"}),
        ("route", (":1", "a.test"), {"mode": "l4"}, {"mode": 'need mode = "l7"'}),
        ("listener", (":2",), {"use": ["ofice"]}, {"use[0]": 'did you mean "office"?'}),
        ("listener", (":2",), {"real_ip.from": ["10.0.0.1/8"]}, {"real_ip.from[0]": "has host bits set"}),
    ],
)
def test_what_is_wrong_is_told_by_field(
    desk: Desk, kind: str, key: tuple[str, ...], fields: dict[str, Any], told: dict[str, str]
) -> None:
    """In the words of the file; what is unknown with what it is near to."""
    found = wrong(desk, kind, *key, **fields)
    assert found.keys() == told.keys()
    assert [name for name, words in told.items() if words not in found[name]] == []
    assert desk.edits == ()


@pytest.mark.parametrize("text", ["[]", "nope", "{", '{"a": 1', "7", "[" * 100_000, '{"value": "\\ud800"}', "null"])
def test_fields_are_a_json_object(desk: Desk, text: str) -> None:
    """Whatever else is there is refused."""
    assert desk.refused(put.put, "setting", ("log.level",), text) in (["fields_json"], ["value"])


@pytest.mark.parametrize(
    ("request_", "kind", "key", "told"),
    [
        (put.remove, "listener", (":9",), "no listener :9; .*listeners: :1, :2"),
        (put.put, "route", (":9", "a"), "no listener :9"),
        (put.put, "endpoint", ("wbe", "h:1"), "no upstream wbe; did you mean web.; upstreams: idle, web"),
        (
            put.remove,
            "endpoint",
            ("web", "10.0.0.5:80"),
            "no endpoint .*did you mean .*endpoints of web: 10.0.0.3:80, 10.0.0.4:80",
        ),
        (put.put, "policy", (":1", "l4.tes", "require_header", "X"), "no route .*did you mean l4.test"),
        (put.put, "setting", ("proxy.idle_timout",), "no setting .*did you mean proxy.idle_timeout"),
        (put.put, "setting", ("firewall.blocked_ips",), "no setting"),
        (put.remove, "route", (":1", "nope"), "no route :1 nope; routes of :1: a.test, l4.test, web.test"),
        (put.remove, "rule", ("ip", "192.0.2.9"), "no rule .*rules of type ip: 192.0.2.1"),
        (put.remove, "policy", (":1", "a.test", "require_header", "Z"), "no policy"),
        (put.remove, "filter", ("ofice",), "no filter ofice; did you mean office"),
        (put.remove, "case", (":1", "a.test", "/x"), "no case .*cases of :1 a.test: /old/"),
        (put.put, "case", (":1", "b.test", "/x"), "no route :1 b.test"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    desk: Desk, request_: Any, kind: str, key: tuple[str, ...], told: str
) -> None:
    """The nearest, and those beside it."""
    args = ("{}",) if request_ is put.put else ()
    with pytest.raises(NotFoundError, match=told):
        desk.ask(request_, kind, key, *args)


@pytest.mark.parametrize(
    ("request_", "kind", "key", "told"),
    [
        (put.remove, "setting", ("proxy.workers",), "always has a value"),
        (put.put, "policy", (":1", "l4.test", "require_header", "X"), "mode"),
    ],
)
def test_what_edits_cant_do(desk: Desk, request_: Any, kind: str, key: tuple[str, ...], told: str) -> None:
    """Is told as what it is."""
    args = ("{}",) if request_ is put.put else ()
    with pytest.raises((PreconditionError, InvalidRequestError), match=told):
        desk.ask(request_, kind, key, *args)


def test_an_upstream_comes_with_its_endpoints(desk: Desk) -> None:
    """It is none without; each of them is an edit of its own, and removing the upstream ends them all."""
    endpoints = ["10.1.0.1:80", {"address": "[::1]:080", "weight": 2}]
    draft = ask(desk, "upstream", "new", balance="random_two", endpoints=endpoints)
    assert [name_of(edit.kind, edit.key) for edit in draft.add] == [
        "upstream new",
        "endpoint new 10.1.0.1:80",
        "endpoint new [::1]:80",
    ]
    assert desk.live.endpoints["new", "[::1]:80"].weight == 2
    ask(desk, "route", ":1", "l4.test", backend="new")
    assert desk.live.routes[":1", "l4.test"].upstream == "new"
    with pytest.raises(PreconditionError, match=r"l4\.test leads? to"):
        desk.ask(put.remove, "upstream", ("new",))
    ask(desk, "route", ":1", "l4.test", backend="web")
    desk.ask(put.remove, "upstream", ("new",))
    assert "new" not in desk.live.upstreams
    assert [edit.kind for edit in desk.edits] == ["route"]


def test_an_upstream_of_the_file_comes_back_with_the_files_endpoints(desk: Desk) -> None:
    """After it was removed by an edit."""
    desk.ask(put.remove, "upstream", ("idle",))
    assert ("idle", "10.0.0.9:80") not in desk.live.endpoints
    ask(desk, "upstream", "idle")
    assert (desk.live, desk.edits) == (desk.file, ())


def test_a_key_within_a_table_changes_alone(desk: Desk) -> None:
    """A dotted name leaves the others of the table; the whole table replaces it, null takes it away."""

    def check() -> Any:
        return put.plain_fields("upstream", "web", desk.live.upstreams["web"])["check"]

    ask(desk, "upstream", "web", **{"check.interval": "5s"})
    assert check() == {"type": "http", "path": "/healthz", "interval": "5s"}
    ask(desk, "upstream", "web", **{"check.path": None})
    assert check() == {"type": "http", "interval": "5s"}
    ask(desk, "upstream", "web", check={"type": "tcp", "fall": 2})
    assert check() == {"fall": 2}
    ask(desk, "upstream", "web", check=None)
    assert check() is None
    ask(desk, "upstream", "web", **{"check.type": "tls"})
    assert check() == {"type": "tls"}


def test_the_last_endpoint_stays(desk: Desk) -> None:
    """As long as routes lead to its upstream; a drained one is one."""
    desk.ask(put.remove, "endpoint", ("web", "10.0.0.3:80"))
    with pytest.raises(PreconditionError, match="the last endpoint"):
        desk.ask(put.remove, "endpoint", ("web", "10.0.0.4:80"))
    ask(desk, "endpoint", "web", "10.0.0.4:80", state="drain")
    assert desk.live.endpoints["web", "10.0.0.4:80"].state == "drain"


def test_what_must_exist_is_not_added(desk: Desk) -> None:
    """It is changed like any other."""
    with pytest.raises(NotFoundError, match="there is no listener :3"):
        desk.ask(put.put, "listener", (":3",), "{}", must_exist=True)
    assert desk.ask(put.put, "listener", (":1",), '{"max_connections": 9}', must_exist=True).add


def test_a_listener_that_cant_be_bound_beside_others_is_refused(desk: Desk) -> None:
    """Whoever is there already stays."""
    with pytest.raises(PreconditionError, match="can't be bound beside the listener :1"):
        ask(desk, "listener", "127.0.0.1:1")


def test_a_listener_is_removed_with_all_that_belongs_to_it(desk: Desk) -> None:
    """And comes back with all of it."""
    desk.ask(put.remove, "listener", (":1",))
    assert (desk.live.routes, desk.live.policies, desk.live.cases) == ({}, {}, {})
    ask(desk, "listener", ":1", max_connections=5, use=["office"])
    assert desk.live == desk.file


@pytest.mark.parametrize("path", ["proxy.user", "grpc.addr", "metrics.addr", "database.keep_revisions", "log.access"])
def test_some_settings_are_the_files_alone(desk: Desk, path: str) -> None:
    """Whoever may call decides neither who may call, nor which files are read and written; nothing else is told then."""
    for text in ('{"value": "www"}', '{"value": null}', "{}"):
        with pytest.raises(PreconditionError, match=f"{path} is set in the file alone"):
            desk.ask(put.put, "setting", (path,), text)


def test_no_request_sets_a_path(desk: Desk) -> None:
    """Whatever setting is added that names a file, and those that control takes over at its start alone."""
    tables = {name: get_type_hints(struct, include_extras=True) for name, struct in SETTING_STRUCTS.items()}
    paths = {f"{table}.{key}" for table, keys in tables.items() for key, hint in keys.items() if _is_path(hint)}
    assert len(paths) > 5
    for path in (paths | set(AT_START)) & desk.file.settings.keys():
        assert path in put.FILE_ALONE or path.partition(".")[0] in put.FILE_ALONE, path


def _is_path(hint: Any) -> bool:
    return any("locate" in (meta.extra or {}) for meta in getattr(hint, "__metadata__", ()))


def test_the_firewall_is_judged_with_its_rules(desk: Desk) -> None:
    """Denying all needs somebody who is allowed, whether the file or an edit allows them."""
    assert "nobody could connect" in wrong(desk, "setting", "firewall.default", value="deny")["value"]
    ask(desk, "rule", "allowed_ip", "192.0.2.9")
    ask(desk, "setting", "firewall.default", value="deny")
    assert desk.live.settings["firewall.default"] == "deny"


def test_lists_are_of_what_a_key_begins_with(desk: Desk) -> None:
    """In canonical form, in order; a whole key is one; what is not there is told."""

    def keys(kind: str, *key: str) -> list[Any]:
        return [each for each, _ in put.matching(desk.live, put.kind_of(kind), key)]

    assert keys("route", ":01") == [(":1", "a.test"), (":1", "l4.test"), (":1", "web.test")]
    assert keys("route", ":2") == []
    assert keys("route", ":1", "A.Test") == [(":1", "a.test")]
    assert keys("policy", ":1") == keys("policy") == [(":1", "a.test", "require_header", "X")]
    assert keys("policy", ":1", "l4.test") == []
    assert keys("endpoint", "web") == [("web", "10.0.0.3:80"), ("web", "10.0.0.4:80")]
    assert keys("upstream") == ["idle", "web"]
    assert keys("rule", "ip") == [("ip", "192.0.2.1")]
    assert keys("rule", "cidr") == []
    assert "proxy.idle_timeout" in keys("setting")
    for kind, key in (
        ("route", (":9",)),
        ("policy", (":1", "x")),
        ("setting", ("proxy",)),
        ("rule", ("ip", "192.0.2.9")),
    ):
        with pytest.raises(NotFoundError):
            keys(kind, *key)
    with pytest.raises(InvalidRequestError):
        keys("route", ":1", "a.test", "more")


@pytest.mark.parametrize(
    ("number", "shown", "near"), [(10, "r09", True), (11, "r09 and 1 more", True), (201, "r009 and 191 more", False)]
)
def test_of_many_some_are_named(number: int, shown: str, *, near: bool) -> None:
    """Ten, and how many more; among very many none is looked for that is near."""
    width = 3 if number > 99 else 2
    routes = "".join(
        f'[[routes]]\nlistener = ":1"\nhostname = "r{each:0{width}}"\nbackend = "h:1"\n' for each in range(number)
    )
    desk = Desk(resolve([Source("/mc-proxy.toml", f'[[listeners]]\naddr = ":1"\n{routes}')]).state)
    with pytest.raises(NotFoundError) as caught:
        desk.ask(put.remove, "route", (":1", "r0x"))
    assert str(caught.value).endswith(f", {shown}")
    assert ("did you mean" in str(caught.value)) == near


def test_why_fields_are_no_object_is_told(desk: Desk) -> None:
    """In the words of who has read them."""
    for text, told in (('{"a": ' + "[" * 100_000, "nested too deeply"), ("[]", "got `array`"), ("{", "truncated")):
        with pytest.raises(InvalidRequestError, match=told):
            desk.ask(put.put, "setting", ("log.level",), text)
