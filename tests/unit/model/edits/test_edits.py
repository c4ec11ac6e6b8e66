"""Runtime edits by themselves: their base, their key, their form in the history."""

import hashlib
from typing import Any

import msgspec
import pytest

from mcproxy.model.config import schema as config
from mcproxy.model.config import walker
from mcproxy.model.config.document import Document
from mcproxy.model.config.positions import Positions
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import state_of
from mcproxy.model.edits.edit import Edit, base_hash, decode, encode, make_edit, parent_hash
from mcproxy.model.state.kinds import KindName, Resource, ResourceKey
from mcproxy.model.state.state import Listener, Policy, Route, Rule, State, Upstream
from mcproxy.model.state.upstream_options import Check
from mcproxy.model.values.endpoint import Endpoint
from tests.support.field_values import another_value, other_options

LISTENER = Listener(":1", trusted_proxies=("10.0.0.0/8",))
ROUTE = Route(":1", "a", (Endpoint("h", 1),))
POLICY = Policy(":1", "a", "require_header", "X")
FILE = State(
    {":1": LISTENER},
    {(":1", "a"): ROUTE},
    {(":1", "a", "require_header", "X"): POLICY},
    {("ip", "192.0.2.1"): Rule("ip", "192.0.2.1")},
    {"proxy.workers": 0, "proxy.idle_timeout": 300.0},
)


def changed(resource: Resource) -> list[Resource]:
    """Return the resource with each field changed, one at a time."""
    assert isinstance(resource, msgspec.Struct)
    other: dict[str, object] = {
        "endpoints": (Endpoint("h", 2),),
        "mode": "l7",
        "backend_protocol": "h2",
        "on_remove": "keep",
        "max_connections": 7,
        "trusted_proxies": (),
    }
    for name in resource.__struct_fields__:
        value = getattr(resource, name)
        other.setdefault(name, not value if isinstance(value, bool) else f"{value}x")
    return [msgspec.structs.replace(resource, **{name: other[name]}) for name in resource.__struct_fields__]


@pytest.mark.parametrize("resource", [LISTENER, ROUTE, POLICY, Rule("ip", "192.0.2.1")])
def test_every_key_of_a_resource_counts_for_its_base(resource: Resource) -> None:
    """Whatever the file changes, the hash is another."""
    hashes = {base_hash(other) for other in (resource, *changed(resource))}
    assert len(hashes) == 1 + len(changed(resource))


def test_the_base_of_equal_resources_is_equal_and_settings_of_different_types_differ() -> None:
    """The hash is of the content, not the object; 1, 1.0, true and "1" are not the same."""
    assert base_hash(Route(":1", "a", (Endpoint("h", 1),), mode="l4")) == base_hash(ROUTE)
    assert len({base_hash(value) for value in (1, 1.5, True, "1", ("1",))}) == 5
    assert base_hash(None) is None


def test_the_base_does_not_change_when_resources_get_more_keys() -> None:
    """After an upgrade of mcproxy the file has said nothing new."""
    longer = msgspec.defstruct("Listener", [("addr", str), ("max_connections", int, 0), ("novelty", bool, False)])
    shorter = msgspec.defstruct("Listener", [("addr", str), ("max_connections", int, 0)])
    versions: list[Any] = [longer(":1", 5), shorter(":1", 5), Listener(":1", max_connections=5)]
    assert len({base_hash(version) for version in versions}) == 1


def test_keys_of_a_route_that_have_their_defaults_do_not_count() -> None:
    """A route of a version that had none of them has the same hash; any other value gives another one."""
    bare: Any = msgspec.defstruct("Route", [(name, Any) for name in ("listener", "hostname", "endpoints")])
    plain = Route(":1", "a", ROUTE.endpoints)
    assert base_hash(bare(":1", "a", ROUTE.endpoints)) == base_hash(plain)
    hashes = {base_hash(msgspec.structs.replace(plain, **{key: value})) for key, value in other_options().items()}
    assert len(hashes - {base_hash(plain)}) == len(other_options())


@pytest.mark.parametrize(
    ("resource", "digest"),
    [
        (Route(":1", "a", (Endpoint("h", 1),)), "f98f57a0ab7b6c57"),
        (
            Route(
                "[::1]:1",
                "*.a",
                (Endpoint(path="/s"),),
                mode="l7",
                tls_cert="/c",
                tls_key="/k",
                idle_timeout=0.0,
                connect_timeout=2.5,
                on_remove="keep",
            ),
            "89566982c27601de",
        ),
        (Listener(":1", trusted_proxies=("10.0.0.0/8",), proxy_protocol=True), "9861938076475ea8"),
        (Policy(":1", "a", "require_header", "X"), "9fc08dcdfb7c2aed"),
        (Rule("ip", "::1"), "aa3af2c8fab90c3e"),
        (5.0, "a19a1584344c1f37"),
        (("a",), "0eb5b8d6f81bc677"),
    ],
)
def test_bases_are_those_of_earlier_versions(resource: Resource, digest: str) -> None:
    """Another hash would end every runtime edit at an upgrade: the file would seem to say something new."""
    assert str(base_hash(resource)).startswith(digest)


def test_keys_of_a_check_that_have_their_defaults_do_not_count() -> None:
    """Nor those of TLS: tables within a resource get more keys as well."""
    bare = msgspec.defstruct("Check", [("interval", float, 10.0)])
    upstream: Any = msgspec.defstruct("Upstream", [("name", str), ("check", Any, None)])
    hashes = {base_hash(Upstream(name="x", check=Check(interval=5.0))), base_hash(upstream("x", bare(5.0)))}
    assert len(hashes) == 1
    others = [None, Check(), Check(interval=5.0, fall=2)]
    assert hashes.isdisjoint(base_hash(Upstream(name="x", check=check)) for check in others)


def test_a_new_edit_knows_what_file_and_parent_say() -> None:
    """Base of the resource, hash of the parent; a parent that only an edit added counts as it is."""
    edit = make_edit(FILE, FILE, "route", (":1", "a"), ROUTE, created=1.0)
    assert (edit.base, edit.parent) == (base_hash(ROUTE), base_hash(LISTENER))
    extra = Listener(":2", max_connections=3)
    live = msgspec.structs.replace(FILE, listeners={**FILE.listeners, ":2": extra})
    edit = make_edit(FILE, live, "route", (":2", "b"), Route(":2", "b", ROUTE.endpoints), created=1.0)
    assert (edit.base, edit.parent) == (None, base_hash(extra))


def test_the_parent_is_what_the_file_says_of_it() -> None:
    """An edit of a listener is nothing that its routes stand on."""
    live = msgspec.structs.replace(FILE, listeners={":1": Listener(":1", max_connections=9)})
    assert parent_hash(FILE, live, "route", (":1", "a")) == base_hash(LISTENER)
    assert parent_hash(FILE, State(), "route", (":1", "a")) is None


@pytest.mark.parametrize(
    ("kind", "key", "value", "message"),
    [
        ("route", (":1", "b"), None, "the file declares no route"),
        ("setting", "proxy.nothing", 5, "the file declares no setting"),
        ("setting", "proxy.workers", None, "can't be removed"),
        ("route", (":1", "b"), ROUTE, "does not belong under the key"),
        ("route", (":9", "b"), Route(":9", "b", ROUTE.endpoints), "has no parent"),
        ("policy", (":1", "b", "require_header", "X"), Policy(":1", "b", "require_header", "X"), "has no parent"),
    ],
)
def test_edits_that_mean_nothing_are_refused(
    kind: KindName, key: ResourceKey, value: Resource | None, message: str
) -> None:
    """They would stand without an effect, or never be superseded."""
    with pytest.raises(ValueError, match=message):
        make_edit(FILE, FILE, kind, key, value, created=1.0)


@pytest.mark.parametrize(
    "edit",
    [
        Edit(kind="listener", key=":1", value=LISTENER, created=1.5, base="b", author="a", reason="r", id=7),
        Edit(kind="route", key=(":1", "a"), value=ROUTE, created=1.0, expires=2.5, parent="p", orphaned=True),
        Edit(kind="policy", key=(":1", "a", "require_header", "X"), value=POLICY, created=0.0, request_id="q"),
        Edit(kind="rule", key=("ip", "192.0.2.1"), value=None, created=1.0),
        *(Edit(kind="setting", key="x.y", value=value, created=1.0) for value in (True, 1, 1.0, "1", ("a", "b"))),
    ],
)
def test_edits_survive_being_written_down(edit: Edit) -> None:
    """Decoding gives the same value of the same type."""
    again = decode(encode(edit))
    assert again == edit
    assert type(again.value) is type(edit.value)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"kind":"route","key":":1","value":null,"created":1}',
        '{"kind":"rule","key":["ip","x"],"value":null}',
        "5",
    ],
)
def test_what_is_no_edit_is_refused(text: str) -> None:
    """With an error of msgspec's, which the store understands."""
    with pytest.raises(msgspec.ValidationError):
        decode(text)


def declared(kind: str, table: type[msgspec.Struct], key: str = "", value: Any = None) -> Any:
    """Return the resource of a file that says what it must, and one key more."""
    required: dict[str, Any] = {"addr": ":1"} if kind == "listener" else {"hostname": "a", "backend": "h:1"}
    own = required | ({key: walker.written(table, key, value, "/")} if key else {})
    listener = own if kind == "listener" else {"addr": ":1", "routes": [own]}
    raw = {"listeners": [listener]}
    problems: list[str] = []
    read = walker.convert(config.Config, raw, "/", lambda _, message: problems.append(message))
    assert problems == []
    document = Document(Source("", "", "/"), read, Positions("", {}))
    state = state_of([document], document)
    return state.listeners[":1"] if kind == "listener" else state.routes[":1", "a"]


LISTENER_TEXT = {"addr": ":1"}
ROUTE_TEXT = {"endpoints": ["h:1"], "hostname": "a", "listener": ":1"}


@pytest.mark.parametrize(
    ("kind", "table", "said"), [("listener", config.Listener, LISTENER_TEXT), ("route", config.Route, ROUTE_TEXT)]
)
def test_no_key_counts_for_the_base_unless_the_file_gives_it_another_value(
    kind: str, table: type[msgspec.Struct], said: dict[str, Any]
) -> None:
    """So a key that mcproxy gets later supersedes no edit, and one that is used does; the hashes are in databases."""
    plain = declared(kind, table)
    assert base_hash(plain) == hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()
    keys = [
        key
        for key in table.__struct_fields__
        if key not in ("addr", "hostname", "backend", "routes", "l7_policies", "cases")
    ]
    hashes = {base_hash(plain)}
    for key in keys:
        assert base_hash(declared(kind, table, key, walker.default(table, key, "/"))) == base_hash(plain)
        hashes.add(base_hash(declared(kind, table, key, another_value(table, key))))
    assert len(hashes) == 1 + len(keys)
