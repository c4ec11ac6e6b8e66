"""What a generation changed about each resource, in the words of the config file: what the history keeps of it for blame."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from mcproxy.model.edits.stored import to_json
from mcproxy.model.history.origins import Declaration
from mcproxy.model.state import kinds
from mcproxy.model.state.diff import Change
from mcproxy.model.state.kinds import KIND, KindName, Resource, ResourceKey
from mcproxy.model.state.plan import Operation
from mcproxy.model.values.origins import Key, Origin

Action = Literal["add", "change", "remove"]
VALUE = "value"
"""What the one key of a setting is called."""


class ResourceChange(msgspec.Struct, frozen=True):
    """A change of one resource.

    Attributes:
        kind: of the resource.
        key: of it, the parts.
        action: what happened.
        fields: what the resource says since, without what is as by default; none when it was removed.
        changed: the keys that differ from before, when it was changed.
        origin: where it is declared, or the runtime edit behind it; None for a default, and for what no file declares any more.
        places: line and column of those of its keys that the file names, which ``origin`` has the name of.
    """

    kind: KindName
    key: tuple[str, ...]
    action: Action
    fields: dict[str, Any]
    changed: tuple[str, ...] = ()
    origin: Origin | None = None
    places: dict[str, tuple[int, int]] = {}

    def place(self, name: str) -> Origin | None:
        """Return where a key of the resource stands, else the resource; None for a default."""
        if self.origin is None or name not in self.places:
            return self.origin
        return Origin(self.origin.file, *self.places[name], self.origin.note)

    def sets(self, name: str) -> bool:
        """Tell whether the resource has had its value of a key since this change."""
        return self.action == "add" or name in self.changed


def changes_of(operations: Iterable[Operation], declarations: Mapping[Key, Declaration]) -> Iterator[ResourceChange]:
    """Yield what a plan does to each resource; ``declarations`` are those of the files that it leads to."""
    for operation in operations:
        change, origin = operation.change, operation.origin
        declared = declarations.get(kinds.origin_key(change.kind, change.key))
        if origin is None or not origin.line:
            declared = None  # an edit's, or a default
        yield _change(change, origin, declared)


def changes_of_older(plan: Mapping[str, Any]) -> Iterator[ResourceChange]:
    """Yield the same of a plan as earlier versions kept it, `Plan.builtins`; raises ValueError or KeyError if it makes no sense."""
    for operation in plan["operations"]:
        kind = msgspec.convert(operation["kind"], KindName)
        key = kinds.key_from(kind, msgspec.convert(operation["key"], tuple[str, ...]))
        old, new = (_read(kind, operation[side]) for side in ("old", "new"))
        origin = msgspec.convert(operation["origin"], Origin | None)
        action: Action = "add" if old is None else "remove" if new is None else "change"
        yield _change(Change(action, kind, key, old, new), origin, None)


def _change(change: Change, origin: Origin | None, declared: Declaration | None) -> ResourceChange:
    fields = fields_of(change.kind, change.key, change.new)
    changed: tuple[str, ...] = ()
    if change.action == "change":
        before = fields_of(change.kind, change.key, change.old)
        changed = tuple(sorted(name for name in before.keys() | fields.keys() if before.get(name) != fields.get(name)))
    names = changed if change.action == "change" else fields.keys()
    places = {} if declared is None else {name: declared.keys[name] for name in names if name in declared.keys}
    return ResourceChange(change.kind, kinds.parts_of(change.key), change.action, fields, changed, origin, places)


def fields_of(kind: KindName, key: ResourceKey, resource: Resource | None) -> dict[str, Any]:
    """Return what a resource says beyond its defaults, in the words of the file and as JSON has it; of a setting `VALUE`."""
    if resource is None:
        return {}
    written = to_json(kind, key, resource)
    fields: dict[str, Any] = msgspec.to_builtins({VALUE: written} if kind == "setting" else written)
    return fields


def _read(kind: KindName, value: object) -> Resource | None:
    """Return a resource from the plain values of an earlier version's; raises ValueError if it is none of this one's."""
    if value is None:
        return None
    resource: Resource = msgspec.convert(value, KIND[kind].type)
    return resource


def told(change: ResourceChange, before: ResourceChange | None) -> str:
    """Return what happened to a resource, for people: the keys with their values, also those of ``before``, the change before it."""
    if change.action != "change":
        return "added" if change.action == "add" else "removed"
    return ", ".join(
        f"{name}: {'' if before is None else f'{_shown(before.fields, name)} -> '}{_shown(change.fields, name)}"
        for name in change.changed
    )


def _shown(fields: Mapping[str, Any], name: str) -> str:
    if name not in fields:
        return "default"
    value = fields[name]
    return value if isinstance(value, str) and value.isprintable() else msgspec.json.encode(value).decode()
