"""The kinds of resources that a State holds: one table that everything goes by which treats them alike.

A new kind is a field of `State`, a name here and an entry in `KINDS`; diff, plan, edits, drift and rollback follow.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias, cast

import msgspec

from mcproxy.model.state.state import (
    Case,
    CaseKey,
    EndpointKey,
    Filter,
    FilterName,
    Listener,
    ListenerKey,
    Policy,
    PolicyKey,
    Route,
    RouteKey,
    Rule,
    RuleKey,
    SettingValue,
    State,
    Upstream,
    UpstreamEndpoint,
    UpstreamKey,
)
from mcproxy.model.values.origins import Key

KindName: TypeAlias = Literal[
    "setting", "rule", "upstream", "endpoint", "filter", "listener", "route", "policy", "case"
]
ResourceKey: TypeAlias = ListenerKey | RouteKey | PolicyKey | RuleKey | UpstreamKey | EndpointKey | CaseKey | FilterName
Resource: TypeAlias = Listener | Route | Policy | Rule | Upstream | UpstreamEndpoint | Filter | Case | SettingValue


class Kind(msgspec.Struct, frozen=True):
    """One kind of resource.

    Attributes:
        name: the word for it.
        field: the field of the State that holds the resources, by their keys.
        type: what they are.
        key: the parts of a key, in order: the names of the resource's fields, except for settings, whose values don't know
            their path. A key of one part is a str, else a tuple of them. A child's key begins with its parent's.
        parent: the kind of what each of them belongs to, and goes with; None for one that stands alone.
        free_text: the last part of a key may be any text, so people see it in quotes.
    """

    name: KindName
    field: str
    type: Any
    key: tuple[str, ...]
    parent: KindName | None = None
    free_text: bool = False

    @property
    def key_type(self) -> Any:
        """The type of a key."""
        return str if len(self.key) == 1 else tuple[(str,) * len(self.key)]  # type: ignore[misc]  # known at run time only


KINDS: tuple[Kind, ...] = (
    Kind("setting", "settings", SettingValue, ("path",)),
    Kind("rule", "rules", Rule, ("type", "value")),
    Kind("upstream", "upstreams", Upstream, ("name",)),
    Kind("endpoint", "endpoints", UpstreamEndpoint, ("upstream", "address"), parent="upstream"),
    Kind("filter", "filters", Filter, ("name",)),
    Kind("listener", "listeners", Listener, ("addr",)),
    Kind("route", "routes", Route, ("listener", "hostname"), parent="listener"),
    Kind("policy", "policies", Policy, ("listener", "hostname", "type", "value"), parent="route", free_text=True),
    Kind("case", "cases", Case, ("listener", "hostname", "match"), parent="route", free_text=True),
)
"""Parents before children: what is added goes down this table, what is removed goes up."""

KIND: Mapping[KindName, Kind] = {kind.name: kind for kind in KINDS}
"""The same by name."""


def table_of(state: State, kind: KindName) -> dict[Any, Any]:
    """Return a State's resources of a kind, by their keys."""
    return cast("dict[Any, Any]", getattr(state, KIND[kind].field))


def from_tables(tables: Mapping[KindName, dict[Any, Any]]) -> State:
    """Return the State that holds these tables, one of each kind."""
    return State(**{KIND[name].field: table for name, table in tables.items()})


def parts_of(key: ResourceKey) -> tuple[str, ...]:
    """Return the parts of a resource's key."""
    return (key,) if isinstance(key, str) else key


def key_from(kind: KindName, given: tuple[str, ...]) -> ResourceKey:
    """Return the key of a kind that has these parts; raises ValueError when their number is wrong."""
    if len(given) != len(KIND[kind].key):
        raise ValueError(f"{given!r} is no key of a {kind}, which has the parts {', '.join(KIND[kind].key)}")
    return given[0] if len(given) == 1 else cast("ResourceKey", given)


def key_of(resource: Resource) -> ResourceKey:
    """Return the key of a resource; raises TypeError for a setting's value, which does not know its own."""
    for kind in KINDS:
        if isinstance(kind.type, type) and isinstance(resource, kind.type):
            return key_from(kind.name, tuple(getattr(resource, part) for part in kind.key))
    raise TypeError(f"the value of a setting has no key: {resource!r}")


def parent_of(kind: KindName, key: ResourceKey) -> tuple[KindName, ResourceKey] | None:
    """Return kind and key of what a resource belongs to; None for one that stands alone."""
    parent = KIND[kind].parent
    return None if parent is None else (parent, key_from(parent, parts_of(key)[: len(KIND[parent].key)]))


def lineage(kind: KindName, key: ResourceKey) -> Iterator[tuple[KindName, ResourceKey]]:
    """Yield kind and key of a resource, of its parent, of that one's parent, and so on."""
    found: tuple[KindName, ResourceKey] | None = (kind, key)
    while found is not None:
        yield found
        found = parent_of(*found)


def origin_key(kind: KindName, key: ResourceKey) -> Key:
    """Return the key of a resource with its kind in front."""
    return (kind, *parts_of(key))


def name_of(kind: KindName, key: ResourceKey) -> str:
    """Return the name of a resource for people, and for those who ask for it by name: its kind and the parts of its key."""
    return " ".join(origin_key(kind, key))
