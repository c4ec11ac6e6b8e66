"""What has to be done to get from one State to another: one generic keyed diff for every kind of resource.

``apply(a, diff(a, b)) == b`` and ``diff(x, x) == ()`` hold for all States.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from mcproxy.model.state import kinds
from mcproxy.model.state.kinds import KINDS, KindName, Resource, ResourceKey
from mcproxy.model.state.state import State


class Change(msgspec.Struct, frozen=True):
    """One resource that is added (``old`` is None), changed, or removed (``new`` is None)."""

    action: Literal["add", "change", "remove"]
    kind: KindName
    key: ResourceKey
    old: Resource | None
    new: Resource | None


def diff(live: State, desired: State) -> tuple[Change, ...]:
    """Return what turns ``live`` into ``desired``: removals first, children before parents, then the rest, parents first.

    The order within a kind is by key, whatever the order of the States.
    """
    removed: list[Change] = []
    kept: list[Change] = []
    for kind in reversed(KINDS):
        old, new = kinds.table_of(live, kind.name), kinds.table_of(desired, kind.name)
        removed += [Change("remove", kind.name, key, old[key], None) for key in sorted(old.keys() - new.keys())]
    for kind in KINDS:
        old, new = kinds.table_of(live, kind.name), kinds.table_of(desired, kind.name)
        if old == new:
            continue
        for key in sorted(new):
            if key not in old:
                kept.append(Change("add", kind.name, key, None, new[key]))
            elif old[key] != new[key]:
                kept.append(Change("change", kind.name, key, old[key], new[key]))
    return (*removed, *kept)


def apply(state: State, changes: Iterable[Change]) -> State:
    """Return the State after the changes; ``state`` itself stays as it is.

    Raises:
        ValueError: a change does not fit: what it adds is there already, what it changes or removes is not as it was,
            or a resource is left without its parent.
    """
    tables: dict[KindName, dict[Any, Any]] = {kind.name: dict(kinds.table_of(state, kind.name)) for kind in KINDS}
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
    return kinds.from_tables(tables)


def _check_parents(tables: Mapping[KindName, Mapping[Any, Any]]) -> None:
    for kind in KINDS:
        if kind.parent is None:
            continue
        for key in tables[kind.name]:
            parent = kinds.parent_of(kind.name, key)
            if parent is not None and parent[1] not in tables[parent[0]]:
                raise ValueError(f"{kinds.name_of(kind.name, key)} is left without its {kind.parent}")
