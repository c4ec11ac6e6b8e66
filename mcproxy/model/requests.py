"""What an operator's request means: which runtime edits it adds, and which it ends.

A request is judged against what the file says, what is in effect, and the edits there are. It asks for an effective
state, not for an edit: where the file alone would give what is asked for, the edit that stands in the way ends and none
is added, so that nothing shows as drift that is none.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from mcproxy.errors import AlreadyExistsError, InvalidRequestError, NotFoundError, PreconditionError
from mcproxy.model import edit_fields
from mcproxy.model.diff import Kind, Resource, ResourceKey, diff
from mcproxy.model.edit_fields import Checked, Violation
from mcproxy.model.edits import TABLES, Edit, key_of, make_edit
from mcproxy.model.overlay import Merged
from mcproxy.model.rollback import edits_towards
from mcproxy.model.state import State

T = TypeVar("T")


class View(msgspec.Struct, frozen=True):
    """What a request is judged against.

    Attributes:
        file: what the file says.
        live: what is in effect.
        edits: all runtime edits, suspended ones too.
        folder: absolute; relative paths in requests start from there.
    """

    file: State
    live: State
    edits: tuple[Edit, ...]
    folder: str


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What all edits of one request have in common; see `Edit`."""

    created: float
    author: str = ""
    reason: str = ""
    expires: float | None = None
    request_id: str = ""


class Draft(msgspec.Struct, frozen=True):
    """What a request comes to.

    Attributes:
        add: edits to add; one of the same resource is replaced.
        remove: ids of edits to end.
        warnings: what is doubtful.
        changed: the resources that the request gives a new value, by kind and key.
    """

    add: tuple[Edit, ...] = ()
    remove: tuple[int, ...] = ()
    warnings: tuple[Violation, ...] = ()
    changed: tuple[tuple[Kind, ResourceKey], ...] = ()


def set_max_connections(view: View, terms: Terms, listener: str, limit: int) -> Draft:
    """Change a listener's connection limit."""
    addr = _listener(view, listener)
    checked = edit_fields.check_listener(view.live.listeners[addr], {"max_connections": limit})
    return _put(view, terms, "listener", addr, _valid(checked), checked.warnings)


def add_route(view: View, terms: Terms, listener: str, fields: Mapping[str, object]) -> Draft:
    """Add a route; ``fields`` are keys of ``[[listeners.routes]]``, those left out have their defaults."""
    addr = _listener(view, listener)
    checked = edit_fields.check_route(view.live, addr, fields, view.folder)
    route = _valid(checked)
    if key_of(route) in view.live.routes:
        raise AlreadyExistsError(f"{target('route', key_of(route))} is there already; update it, or remove it first")
    return _put(view, terms, "route", key_of(route), route, checked.warnings)


def update_route(view: View, terms: Terms, listener: str, hostname: str, fields: Mapping[str, object]) -> Draft:
    """Change the given keys of a route, and leave the others as they are."""
    key = _key("route", {"listener": listener, "hostname": hostname})
    present = view.live.routes.get((key[0], key[1]))
    if present is None:
        raise NotFoundError(f"there is no {target('route', key)}")
    checked = edit_fields.check_route(view.live, key[0], {**edit_fields.fields_of(present), **fields}, view.folder)
    return _put(view, terms, "route", key, _valid(checked), checked.warnings)


def add_policy(view: View, terms: Terms, listener: str, hostname: str, fields: Mapping[str, object]) -> Draft:
    """Add an L7 policy to a route; ``fields`` are its type and value."""
    parent = _key("route", {"listener": listener, "hostname": hostname})
    route = (parent[0], parent[1])
    if route not in view.live.routes:
        raise NotFoundError(f"there is no {target('route', parent)}")
    checked = edit_fields.check_policy(view.live, route, fields)
    policy = _valid(checked)
    if key_of(policy) in view.live.policies:
        raise AlreadyExistsError(f"{target('policy', key_of(policy))} is there already")
    return _put(view, terms, "policy", key_of(policy), policy, checked.warnings)


def add_rule(view: View, terms: Terms, fields: Mapping[str, object]) -> Draft:
    """Add a firewall rule; ``fields`` are its type and value."""
    checked = edit_fields.check_rule(view.live, fields)
    rule = _valid(checked)
    if key_of(rule) in view.live.rules:
        raise AlreadyExistsError(f"{target('rule', key_of(rule))} is there already")
    return _put(view, terms, "rule", key_of(rule), rule, checked.warnings)


def remove(view: View, terms: Terms, kind: Kind, fields: Mapping[str, object]) -> Draft:
    """Remove a resource; ``fields`` are those of its key, as in `edit_fields.check_key`."""
    key = _key(kind, fields)
    if key not in getattr(view.live, TABLES[kind]):
        raise NotFoundError(f"there is no {target(kind, key)}")
    if key in getattr(view.file, TABLES[kind]):
        tombstone = make_edit(view.file, view.live, kind, key, None, **msgspec.structs.asdict(terms))
        return Draft(add=(tombstone,))
    return Draft(remove=tuple(edit.id for edit in view.edits if (edit.kind, edit.key) == (kind, key)))


def revert(view: View, *, ids: Sequence[int] = (), named: str = "", everything: bool = False) -> Draft:
    """End edits: those with the ids, or those of the resource that `target` names so, or all."""
    if bool(ids) + bool(named) + everything != 1:
        raise InvalidRequestError((("edit_ids", "name edits by ids, or one by its target, or all"),))
    if everything:
        return Draft(remove=tuple(edit.id for edit in view.edits))
    if named:
        found = tuple(edit.id for edit in view.edits if target(edit.kind, edit.key) == named)
        if not found:
            raise NotFoundError(f"there is no runtime edit of {named}; see drift")
        return Draft(remove=found)
    unknown = sorted(set(ids) - {edit.id for edit in view.edits})
    if unknown:
        raise NotFoundError(f"there is no runtime edit {unknown[0]}; see drift")
    return Draft(remove=tuple(dict.fromkeys(ids)))


def roll_back(view: View, terms: Terms, wanted: State, keep: Collection[str]) -> Draft:
    """Make an earlier state effective again, but for the settings ``keep``; all edits there are end."""
    edits = edits_towards(view.file, wanted, keep=keep, **msgspec.structs.asdict(terms))
    return Draft(edits, tuple(edit.id for edit in view.edits), (), tuple((edit.kind, edit.key) for edit in edits))


def check_effect(draft: Draft, before: Merged, after: Merged) -> tuple[int, ...]:
    """Return the ids of further edits that end with a draft's: those that are left without their parent by it.

    Args:
        draft: what the request comes to.
        before: what is in effect.
        after: what would be in effect; the edits that the draft adds still have 0 as id.

    Raises:
        PreconditionError: an edit that the draft adds would have no effect.
    """
    new = {(edit.kind, edit.key) for edit in draft.add}
    standing = {(edit.kind, edit.key) for edit in before.standing}
    for verdict in after.suspended:
        edit = verdict.edit
        if (edit.kind, edit.key) in new:
            raise PreconditionError(f"{target(edit.kind, edit.key)} would have no effect: {verdict.why}")
    return tuple(
        verdict.edit.id
        for verdict in after.suspended
        if verdict.edit.orphaned and (verdict.edit.kind, verdict.edit.key) in standing
    )


def check_rollback(wanted: State, reached: State, keep: Collection[str]) -> None:
    """Raise PreconditionError unless a rollback gives exactly the state it should.

    Settings in ``keep``, and those that only one of the two states knows (another version's), may differ.
    """
    for change in diff(reached, wanted):
        if change.kind != "setting" or (change.action == "change" and change.key not in keep):
            raise PreconditionError(f"the rollback can't bring {target(change.kind, change.key)} back as it was")


def target(kind: Kind, key: ResourceKey) -> str:
    """Return the name of a resource for people, and for `revert`: its kind and the parts of its key."""
    return f"{kind} {key if isinstance(key, str) else ' '.join(key)}"


def edit_name(edit: Edit) -> str:
    """Return the name of an edit for people."""
    return f"edit {edit.id} by {edit.author}" if edit.author else f"edit {edit.id}"


def _put(
    view: View, terms: Terms, kind: Kind, key: ResourceKey, value: Resource, warnings: Iterable[Violation]
) -> Draft:
    """Give a resource a value: by an edit, or where the file says the same, by none."""
    if getattr(view.file, TABLES[kind]).get(key) == value:
        former = tuple(edit.id for edit in view.edits if (edit.kind, edit.key) == (kind, key))
        return Draft(remove=former, warnings=tuple(warnings), changed=((kind, key),))
    if getattr(view.live, TABLES[kind]).get(key) == value:
        return Draft(warnings=tuple(warnings))
    edit = make_edit(view.file, view.live, kind, key, value, **msgspec.structs.asdict(terms))
    return Draft((edit,), (), tuple(warnings), ((kind, key),))


def _listener(view: View, listener: str) -> str:
    """Return the canonical address of a listener that exists."""
    checked = edit_fields.check_key("listener", {"addr": listener})
    addr = str(_valid(checked, {"addr": "listener"}))
    if addr not in view.live.listeners:
        there = ", ".join(sorted(view.live.listeners)) or "none at all"
        raise NotFoundError(f"there is no listener {addr}; listeners: {there}")
    return addr


def _key(kind: Kind, fields: Mapping[str, object]) -> ResourceKey:
    return _valid(edit_fields.check_key(kind, fields))


def _valid(checked: Checked[T], names: Mapping[str, str] | None = None) -> T:
    """Return what was checked; raises InvalidRequestError with all violations, fields renamed by ``names``."""
    if checked.result is None:
        renamed = names or {}
        raise InvalidRequestError(
            tuple(
                (renamed.get(violation.field, violation.field), violation.message) for violation in checked.violations
            )
        )
    return checked.result
