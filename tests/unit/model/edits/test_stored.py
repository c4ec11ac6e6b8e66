"""Resources in the words of the config file, as JSON, and back."""

import random
from typing import Any

import msgspec
import pytest

from mcproxy.model.config import schema as config
from mcproxy.model.config.checking import declarations
from mcproxy.model.config.upstreams import Upstream as UpstreamTable
from mcproxy.model.config.upstreams import UpstreamEndpoint as EndpointTable
from mcproxy.model.edits.stored import UnknownWordError, fields_of, from_json, key_from, to_json
from mcproxy.model.state.kinds import KINDS, KindName, Resource, ResourceKey, parts_of, table_of
from mcproxy.model.state.state import Listener, Policy, Route, Rule, Upstream, UpstreamEndpoint
from mcproxy.model.state.upstream_options import BackendTls, Check
from mcproxy.model.values.endpoint import Endpoint
from tests.support.edits import edits_of_every_kind
from tests.support.field_values import another_value
from tests.support.layouts import DEFAULTS, draw_state
from tests.support.rows import each_row

ROUTE = Route(":1", "a", (Endpoint("::1", 443),))
PLAIN: dict[KindName, Any] = {
    "route": ROUTE,
    "listener": Listener(":1"),
    "upstream": Upstream(name="web"),
    "endpoint": UpstreamEndpoint(upstream="web", address="h:1"),
}
CHILDREN = {"routes", "l7_policies", "endpoints", "cases"}
# Every key of the file that is a resource's own, with the kind and key of a resource that has it.
KEYS: list[tuple[KindName, Any, type[msgspec.Struct], str]] = [
    *(("listener", ":1", config.Listener, name) for name in config.Listener.__struct_fields__ if name != "addr"),
    *(("route", (":1", "a"), config.Route, name) for name in config.Route.__struct_fields__ if name != "hostname"),
    *(("upstream", "web", UpstreamTable, name) for name in UpstreamTable.__struct_fields__),
    *(
        ("endpoint", ("web", "h:1"), EndpointTable, name)
        for name in EndpointTable.__struct_fields__
        if name != "address"
    ),
    *(("setting", path, *declarations.SETTINGS[path]) for path in DEFAULTS),
]


def through_json(kind: KindName, key: ResourceKey, value: Resource) -> Resource:
    """Return what comes back from the database's text."""
    return from_json(kind, key, msgspec.json.decode(msgspec.json.encode(to_json(kind, key, value))))


@each_row(
    ("kind", "key", "value", "words"),
    [
        ("route", (":1", "a"), ROUTE, {"backend": "[::1]:443"}),
        (
            "route",
            (":1", "*"),
            msgspec.structs.replace(ROUTE, hostname="*", endpoints=(Endpoint(path="/a b"),), mode="l7", tls_cert="/c"),
            {"backend": "unix:/a b", "mode": "l7", "tls_cert": "/c"},
        ),
        ("listener", ":1", Listener(":1"), {}),
        (
            "listener",
            "[::1]:2",
            Listener("[::1]:2", trusted_proxies=("10.0.0.0/8",), max_connections=3),
            {"trusted_proxies": ["10.0.0.0/8"], "max_connections": 3},
        ),
        ("route", (":1", "a"), Route(":1", "a", (), "web"), {"backend": "web"}),
        (
            "route",
            (":1", "a"),
            Route(":1", "a", (Endpoint("::1", 443), Endpoint(path="/s"))),
            {"backend": ["[::1]:443", "unix:/s"]},
        ),
        ("upstream", "web", Upstream(name="web"), {}),
        (
            "upstream",
            "web",
            Upstream(name="web", check=Check(type="http", interval=5.0), tls=BackendTls(), retry_on=("502",)),
            {"check": {"type": "http", "interval": "5s"}, "tls": {}, "retry_on": ["502"]},
        ),
        (
            "endpoint",
            ("web", "[::1]:80"),
            UpstreamEndpoint(upstream="web", address="[::1]:80", state="drain", weight=3),
            {"weight": 3, "state": "drain"},
        ),
        ("policy", (":1", "a", "require_header", "X: y"), Policy(":1", "a", "require_header", "X: y"), {}),
        ("rule", ("ip", "::1"), Rule("ip", "::1"), {}),
        ("setting", "proxy.idle_timeout", 90.25, "1m30s250ms"),
        ("setting", "proxy.workers", 4, 4),
        ("setting", "database.path", "/var/x.db", "/var/x.db"),
        ("setting", "gone.flag", True, True),
        ("setting", "gone.list", ("a", "b"), ["a", "b"]),
    ],
)
def test_a_resource_is_written_as_the_file_would_have_it(
    kind: KindName, key: ResourceKey, value: Resource, words: object
) -> None:
    """Without its key, and without what has its default; settings that no longer exist stand as they are."""
    assert to_json(kind, key, value) == words
    assert through_json(kind, key, value) == value


def test_every_resource_comes_back() -> None:
    """With the same types."""
    for seed in range(30):
        state = draw_state(random.Random(seed))
        for kind in (kind.name for kind in KINDS):
            for key, value in table_of(state, kind).items():
                again = through_json(kind, key, value)
                assert (again, type(again)) == (value, type(value))
                assert key_from(kind, parts_of(key)) == (kind, key)
    for edit in edits_of_every_kind():
        if edit.value is not None:
            assert through_json(edit.kind, edit.key, edit.value) == edit.value


@each_row(("kind", "key", "table", "name"), [row for row in KEYS if row[3] not in CHILDREN])
def test_no_key_of_the_file_is_forgotten(kind: KindName, key: Any, table: type[msgspec.Struct], name: str) -> None:
    """Whatever the file can say of a resource is written, and comes back; a new key needs no more than its declaration."""
    value = another_value(table, name)
    resource: Any
    if kind == "setting":
        resource = value
    elif name == "backend":
        resource = msgspec.structs.replace(ROUTE, **msgspec.structs.asdict(value))
    else:
        plain: Resource = PLAIN[kind]
        assert isinstance(plain, msgspec.Struct)
        resource = msgspec.structs.replace(plain, **{name: value})
        assert name in to_json(kind, key, resource)
    assert through_json(kind, key, resource) == resource
    if kind != "setting":
        assert name in fields_of(resource)


def test_the_settings_are_those_of_the_file() -> None:
    """All of them are written in its words, none as the State holds it."""
    assert {path.rpartition(".")[0] for path in DEFAULTS} == set(declarations.SETTING_TABLES)
    for path, value in DEFAULTS.items():
        assert isinstance(to_json("setting", path, value), str | int | list)
        assert through_json("setting", path, value) == value


def test_the_fields_of_a_resource_have_their_key_and_their_defaults() -> None:
    """As a request or an answer of the API names them."""
    assert fields_of(Listener(":1")) == {
        "addr": ":1",
        "proxy_protocol": False,
        "trusted_proxies": [],
        "max_connections": 0,
        "untrusted": "reset",
        "freebind": False,
        "protocol": "tls",
        "use": [],
        "real_ip": None,
        "tls": None,
    }
    fields = fields_of(ROUTE)
    assert (fields["hostname"], fields["backend"], fields["mode"]) == ("a", "[::1]:443", "l4")
    assert fields.keys() == set(config.Route.__struct_fields__) - CHILDREN
    assert fields_of(Policy(":1", "a", "require_header", "X")) == {"type": "require_header", "value": "X"}
    assert fields_of(Rule("ip", "::1")) == {"type": "ip", "value": "::1"}
    with pytest.raises(TypeError):
        fields_of(5)


@each_row(
    ("kind", "key", "raw", "message"),
    [
        ("route", (":1", "a"), {"redirect": "new"}, "redirect: .* is neither a path"),
        ("route", (":1", "a"), {"backend": "10.0.0.1"}, "backend: .* has no port"),
        ("route", (":1", "a"), {"backend": "h:1", "mode": "l8"}, 'mode: must be "l4" or "l7"'),
        ("route", (":1", "a"), {"backend": "h:1", "backend_tls": 1}, "backend_tls: must be true or false"),
        ("listener", ":1", [], "Expected `object`, got `array`"),
        ("listener", ":1", None, "Expected `object`, got `null`"),
        ("rule", ("ipp", "::1"), {}, "the rule ipp ::1: Invalid enum value"),
        ("policy", (":1", "a", "x", "y"), {}, "the policy :1 a x y: Invalid enum value"),
        ("setting", "proxy.idle_timeout", 300.0, "idle_timeout: must be a string"),
        ("setting", "gone", None, "Expected"),
    ],
)
def test_nonsense_is_no_resource(kind: KindName, key: Any, raw: object, message: str) -> None:
    """It is told what is wrong, and is not taken for a newer version's."""
    with pytest.raises(ValueError, match=message) as caught:
        from_json(kind, key, raw)
    assert not isinstance(caught.value, UnknownWordError)


def test_a_default_that_is_written_out_is_the_default() -> None:
    """An empty text means it, as in requests and in the file."""
    assert from_json("route", (":1", "a"), {"backend": "[::1]:443", "connect_timeout": "", "tls_cert": ""}) == ROUTE


def test_what_a_newer_version_wrote_is_told_from_nonsense() -> None:
    """Keys and kinds that are not known here."""
    with pytest.raises(UnknownWordError, match='a route has no key "novelty"'):
        from_json("route", (":1", "a"), {"backend": "h:1", "novelty": 1})
    with pytest.raises(UnknownWordError, match='a rule has no key "x"'):
        from_json("rule", ("ip", "::1"), {"x": 1})
    with pytest.raises(UnknownWordError, match='no kind "test"'):
        key_from("test", ["api"])


@pytest.mark.parametrize(
    ("kind", "parts"), [("route", [":1"]), ("listener", []), ("setting", [1]), ("rule", ["ip", 1])]
)
def test_a_key_has_its_parts(kind: KindName, parts: list[Any]) -> None:
    """As many as its kind has, all of them texts."""
    with pytest.raises(ValueError, match=f"is no key of a {kind}"):
        key_from(kind, parts)
