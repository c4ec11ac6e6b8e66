"""What has to be done to get from one State to another: one generic keyed diff for every kind of resource.

``apply(a, diff(a, b)) == b`` and ``diff(x, x) == ()`` hold for all States.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from mcproxy.model.state.state import (
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
)

Kind: TypeAlias = Literal["setting", "rule", "listener", "route", "policy"]
ResourceKey: TypeAlias = ListenerKey | RouteKey | PolicyKey | RuleKey
Resource: TypeAlias = Listener | Route | Policy | Rule | SettingValue

# Parents before children: what is added goes down this table, what is removed goes up.
_KINDS: tuple[tuple[Kind, str], ...] = (
    ("setting", "settings"),
    ("rule", "rules"),
    ("listener", "listeners"),
    ("route", "routes"),
    ("policy", "policies"),
)
_FIELDS: dict[str, str] = dict(_KINDS)


class Change(msgspec.Struct, frozen=True):
    """One resource that is added (``old`` is None), changed, or removed (``new`` is None)."""

    action: Literal["add", "change", "remove"]
    kind: Kind
    key: ResourceKey
    old: Resource | None
    new: Resource | None


def diff(live: State, desired: State) -> tuple[Change, ...]:
    """Return what turns ``live`` into ``desired``: removals first, children before parents, then the rest, parents first.

    The order within a kind is by key, whatever the order of the States.
    """
    removed: list[Change] = []
    kept: list[Change] = []
    for kind, field in reversed(_KINDS):
        old, new = getattr(live, field), getattr(desired, field)
        removed += [Change("remove", kind, key, old[key], None) for key in sorted(old.keys() - new.keys())]
    for kind, field in _KINDS:
        old, new = getattr(live, field), getattr(desired, field)
        if old == new:
            continue
        for key in sorted(new):
            if key not in old:
                kept.append(Change("add", kind, key, None, new[key]))
            elif old[key] != new[key]:
                kept.append(Change("change", kind, key, old[key], new[key]))
    return (*removed, *kept)


def apply(state: State, changes: Iterable[Change]) -> State:
    """Return the State after the changes; ``state`` itself stays as it is.

    Raises:
        ValueError: a change does not fit: what it adds is there already, what it changes or removes is not as it was,
            or a route or policy is left without its parent.
    """
    tables: dict[str, dict[Any, Any]] = {kind: dict(getattr(state, field)) for kind, field in _KINDS}
    for change in changes:
        table = tables[change.kind]
        present = table.get(change.key)
        if present != change.old:
            found = "is missing" if present is None else f"is {present!r}"
            raise ValueError(f"cannot {change.action} {change.kind} {change.key!r}: it {found}")
        if (change.action == "add") != (change.old is None) or (change.action == "remove") != (change.new is None):
            raise ValueError(f"the change of {change.kind} {change.key!r} contradicts itself: {change!r}")
        if change.new is None:
            del table[change.key]
        else:
            table[change.key] = change.new
    _check_parents(tables)
    return State(**{_FIELDS[kind]: table for kind, table in tables.items()})


def _check_parents(tables: Mapping[str, Mapping[Any, Any]]) -> None:
    for addr, hostname in tables["route"]:
        if addr not in tables["listener"]:
            raise ValueError(f"route {hostname!r} is left without its listener {addr!r}")
    for key in tables["policy"]:
        if key[:2] not in tables["route"]:
            raise ValueError(f"policy {key!r} is left without its route")
