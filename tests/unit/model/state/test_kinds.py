"""The table of kinds: complete, in order, and what is derived from it."""

from typing import get_args

import msgspec
import pytest

from mcproxy.model.state import kinds
from mcproxy.model.state.kinds import KIND, KINDS, KindName, ResourceKey
from mcproxy.model.state.state import Listener, Policy, Route, Rule, State
from mcproxy.model.values.endpoint import Endpoint

POLICY: ResourceKey = (":1", "a", "require_header", "X")


def test_every_resource_of_a_state_is_of_one_kind() -> None:
    """A field more in the State needs a kind, and a kind a name."""
    assert sorted(kind.field for kind in KINDS) == sorted(State.__struct_fields__)
    assert [kind.name for kind in KINDS] == list(get_args(KindName)) == list(KIND)


def test_parents_come_before_their_children() -> None:
    """The order of KINDS is that in which resources can be added; a child's key begins with its parent's."""
    for place, kind in enumerate(KINDS):
        if kind.parent is not None:
            assert KIND[kind.parent] in KINDS[:place]
            assert len(KIND[kind.parent].key) < len(kind.key)


def test_the_parts_of_a_key_are_fields_of_the_resource() -> None:
    """But for settings, whose values don't know their path."""
    for kind in KINDS:
        if kind.name != "setting":
            assert set(kind.key) <= {field.name for field in msgspec.structs.fields(kind.type) if field.required}


@pytest.mark.parametrize(
    ("kind", "resource", "key"),
    [
        ("rule", Rule("ip", "192.0.2.1"), ("ip", "192.0.2.1")),
        ("listener", Listener(":1"), ":1"),
        ("route", Route(":1", "a", (Endpoint("h", 1),)), (":1", "a")),
        ("policy", Policy(":1", "a", "require_header", "X"), POLICY),
    ],
)
def test_keys_are_taken_from_resources(kind: KindName, resource: kinds.Resource, key: ResourceKey) -> None:
    """A key of one part is a text, else a tuple; its type says which."""
    assert kinds.key_of(resource) == key
    assert kinds.key_from(kind, kinds.parts_of(key)) == key
    assert msgspec.convert(key, KIND[kind].key_type) == key


def test_a_key_has_as_many_parts_as_its_kind() -> None:
    """A part too few or too many is an error, as is the value of a setting, which has no key."""
    for wrong in ((), (":1",), (":1", "a", "b")):
        with pytest.raises(ValueError, match="listener, hostname"):
            kinds.key_from("route", wrong)
    with pytest.raises(TypeError):
        kinds.key_of(5)


def test_the_line_of_parents_ends_with_what_stands_alone() -> None:
    """From a policy over its route to the listener."""
    assert list(kinds.lineage("policy", POLICY)) == [("policy", POLICY), ("route", (":1", "a")), ("listener", ":1")]
    assert list(kinds.lineage("setting", "proxy.workers")) == [("setting", "proxy.workers")]
    assert kinds.parent_of("rule", ("ip", "192.0.2.1")) is None


@pytest.mark.parametrize(
    ("kind", "key", "name"),
    [
        ("setting", "proxy.workers", "setting proxy.workers"),
        ("listener", ":1", "listener :1"),
        ("policy", POLICY, "policy :1 a require_header X"),
    ],
)
def test_resources_have_names(kind: KindName, key: ResourceKey, name: str) -> None:
    """As drift shows them, and revert takes them."""
    assert kinds.name_of(kind, key) == name
    assert " ".join(kinds.origin_key(kind, key)) == name
