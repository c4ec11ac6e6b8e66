"""What an operator's request means: which runtime edits it adds, and which it ends.

A request is judged against what the file says, what is in effect, and the edits there are. It asks for an effective
state, not for an edit: where the file alone would give what is asked for, the edit that stands in the way ends and none
is added, so that nothing shows as drift that is none.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from mcproxy.errors import AlreadyExistsError, InvalidRequestError, NotFoundError, PreconditionError
from mcproxy.model.edits import fields as edit_fields
from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.edits.judging import Checked, Violation
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.edits.rollback import edits_towards
from mcproxy.model.edits.stored import fields_of
from mcproxy.model.state.diff import diff
from mcproxy.model.state.kinds import KIND, KindName, Resource, ResourceKey, key_of, name_of, parts_of, table_of
from mcproxy.model.state.route_options import ACTIONS
from mcproxy.model.state.rules.references import naming, references
from mcproxy.model.state.rules.violation import NOBODY_ALLOWED
from mcproxy.model.state.rules.violations import allows_nobody
from mcproxy.model.state.state import Listener, Route, RouteKey, State
from mcproxy.model.values.endpoint import Endpoint, RouteBackend

T = TypeVar("T")

_OF_ROUTES = ("l7_policies", "cases")

_SOME_LISTENER = Listener("127.255.255.254:1")
_SOME_ROUTE = Route(
    "127.255.255.254:1", "some.invalid", (Endpoint("some.invalid", 1),), mode="l7", tls_cert="/some", tls_key="/some"
)
# Stand for what a request names wrongly, so that the rest of it can be judged all the same.


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


class EditMetadata(msgspec.Struct, frozen=True, kw_only=True):
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
    changed: tuple[tuple[KindName, ResourceKey], ...] = ()


def set_max_connections(view: View, metadata: EditMetadata, listener: str, limit: int) -> Draft:
    """Change a listener's connection limit."""
    addr, wrong = _listener(listener)
    listed = view.live.listeners.get(addr, _SOME_LISTENER)
    checked = edit_fields.check_listener(view.live, listed, {"max_connections": limit}, view.folder)
    value = valid(checked, wrong)
    require_listener(view.live, addr)
    return place(view, metadata, "listener", addr, value, checked.warnings)


def add_route(view: View, metadata: EditMetadata, listener: str, fields: Mapping[str, object]) -> Draft:
    """Add a route; ``fields`` are keys of ``[[listeners.routes]]``, those left out have their defaults."""
    addr, wrong = _listener(listener)
    new = msgspec.structs.replace(view.live, policies={})  # a route that is there, and so has some, is told of below
    checked = edit_fields.check_route(new, addr or _SOME_LISTENER.addr, fields, view.folder)
    route = valid(checked, wrong)
    require_listener(view.live, addr)
    if key_of(route) in view.live.routes:
        raise AlreadyExistsError(f"{name_of('route', key_of(route))} is there already; update it, or remove it first")
    return place(view, metadata, "route", key_of(route), route, checked.warnings)


def update_route(
    view: View, metadata: EditMetadata, listener: str, hostname: str, fields: Mapping[str, object]
) -> Draft:
    """Change the given keys of a route, and leave the others as they are."""
    key, wrong = _route(listener, hostname)
    present = view.live.routes.get(key)
    whole = {**one_action(fields_of(present or _SOME_ROUTE), fields), **fields}
    checked = edit_fields.check_route(view.live, key[0], whole, view.folder)
    route = valid(checked, wrong)
    if present is None:
        raise NotFoundError(f"there is no {name_of('route', key)}")
    return place(view, metadata, "route", key, route, checked.warnings)


def one_action(before: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that a route has so far, without the action and its status that ``fields`` replace by another one."""
    if not any(fields.get(key) for key in ACTIONS):
        return dict(before)
    return {**before, **dict.fromkeys(ACTIONS, ""), "status": 0}


def add_policy(view: View, metadata: EditMetadata, listener: str, hostname: str, fields: Mapping[str, object]) -> Draft:
    """Add an L7 policy to a route; ``fields`` are its type and value."""
    key, wrong = _route(listener, hostname)
    live = view.live if key in view.live.routes else State(routes={key: _SOME_ROUTE})
    checked = edit_fields.check_policy(live, key, fields)
    policy = valid(checked, wrong)
    if live is not view.live:
        raise NotFoundError(f"there is no {name_of('route', key)}")
    if key_of(policy) in view.live.policies:
        raise AlreadyExistsError(f"{name_of('policy', key_of(policy))} is there already")
    return place(view, metadata, "policy", key_of(policy), policy, checked.warnings)


def add_rule(view: View, metadata: EditMetadata, fields: Mapping[str, object]) -> Draft:
    """Add a firewall rule; ``fields`` are its type and value."""
    checked = edit_fields.check_rule(view.live, fields)
    rule = valid(checked)
    if key_of(rule) in view.live.rules:
        raise AlreadyExistsError(f"{name_of('rule', key_of(rule))} is there already")
    return place(view, metadata, "rule", key_of(rule), rule, checked.warnings)


def set_rate_limit(view: View, metadata: EditMetadata, fields: Mapping[str, object]) -> Draft:
    """Change the firewall's ``rate_limit``, its ``rate_window``, or both, as the keys of ``[firewall]``."""
    return _set_firewall(view, metadata, fields, ("rate_limit", "say what to change: rate_limit, rate_window or both"))


def set_firewall(view: View, metadata: EditMetadata, fields: Mapping[str, object]) -> Draft:
    """Change the firewall's ``default``, its ``connections_per_client``, or both, as the keys of ``[firewall]``."""
    wrong = ("default", "say what to change: default, connections_per_client or both")
    return _set_firewall(view, metadata, fields, wrong)


def _set_firewall(view: View, metadata: EditMetadata, fields: Mapping[str, object], if_none: tuple[str, str]) -> Draft:
    drafts = []
    wrong: list[tuple[str, str]] = []
    for name, value in fields.items():
        checked = edit_fields.check_setting("firewall", name, value)
        wrong += ((each.field, each.message) for each in checked.violations)
        if checked.result is not None:
            drafts.append(place(view, metadata, "setting", f"firewall.{name}", checked.result, checked.warnings))
    if not fields:
        wrong.append(if_none)
    if wrong:
        raise InvalidRequestError(tuple(wrong))
    return Draft(
        tuple(edit for draft in drafts for edit in draft.add),
        tuple(number for draft in drafts for number in draft.remove),
        changed=tuple(key for draft in drafts for key in draft.changed),
    )


def remove(view: View, metadata: EditMetadata, kind: KindName, fields: Mapping[str, object]) -> Draft:
    """Remove a resource; ``fields`` are those of its key, as in `edit_fields.check_key`."""
    key = valid(edit_fields.check_key(kind, fields))
    if key not in table_of(view.live, kind):
        raise NotFoundError(f"there is no {name_of(kind, key)}")
    doubts = _check_unneeded(view.live, kind, key)
    if key in table_of(view.file, kind):
        tombstone = make_edit(view.file, view.live, kind, key, None, **msgspec.structs.asdict(metadata))
        return Draft(add=(tombstone,), warnings=doubts)
    return Draft(remove=tuple(edit.id for edit in view.edits if (edit.kind, edit.key) == (kind, key)), warnings=doubts)


def _check_unneeded(live: State, kind: KindName, key: ResourceKey) -> tuple[Violation, ...]:
    """Return what is doubtful about the removal of a resource.

    Raises:
        PreconditionError: it is needed: an upstream by routes, its last endpoint by itself.
    """
    upstream = parts_of(key)[0]
    if kind == "endpoint":
        others = [endpoint for other, endpoint in live.endpoints.items() if other[0] == upstream and other != key]
        if not others:
            raise PreconditionError(
                f"it is the last endpoint of the upstream {upstream}: remove that, or for nothing new there put "
                'state = "drain"'
            )
        if all(endpoint.state != "ready" for endpoint in others):
            return (Violation("address", f"no other endpoint of the upstream {upstream} is ready"),)
    if kind in ("upstream", "filter"):
        _check_unnamed(live, kind, upstream)
    if kind == "case":
        _check_not_last(live, parts_of(key))
    return ()


def _check_unnamed(live: State, kind: KindName, name: str) -> None:
    """Raise PreconditionError where others name an upstream or filter."""
    by = naming(live, kind, name)
    what = name_of(kind, name)
    one, many, instead = (
        ("leads", "lead", "lead {} elsewhere") if kind == "upstream" else ("uses", "use", "take it out of {}")
    )
    to = " to" if kind == "upstream" else ""
    if len(by) == 1:
        raise PreconditionError(f"{by[0]} {one}{to} {what}: {instead.format('it')}, or remove it first")
    if by:
        rest = f"{by[0]} and {len(by) - 1} more {many}{to} {what}"
        raise PreconditionError(f"{rest}: {instead.format('them')}, or remove them first")


def _check_not_last(live: State, case: tuple[str, ...]) -> None:
    """Raise PreconditionError where a route without an action would be left without cases."""
    route = live.routes[case[0], case[1]]
    others = any(key[:2] == case[:2] and key != case for key in live.cases)
    if not others and not route.answers and route.backend == RouteBackend():
        raise PreconditionError(
            f"it is the last case of {name_of('route', (case[0], case[1]))}, which has no action of its own: give it one first"
        )


def revert(view: View, *, ids: Sequence[int] = (), named: str = "", everything: bool = False) -> Draft:
    """End edits: those with the ids, or those of the resource that `name_of` names so, or all."""
    given = [name for name, there in (("edit_ids", ids), ("target", named), ("all", everything)) if there]
    wrong = []
    if len(given) != 1:
        wrong += [(name, "name edits by ids, or one by its target, or all") for name in given or ["edit_ids"]]
    if 0 in ids:
        wrong.append(("edit_ids", "0 is no edit's id"))
    if named and (named.split(" ", maxsplit=1)[0] not in KIND or " " not in named):
        wrong.append(("target", 'must be a resource as drift shows it, such as "route :8443 app.example.com"'))
    if wrong:
        raise InvalidRequestError(tuple(wrong))
    if everything:
        return Draft(remove=tuple(edit.id for edit in view.edits))
    if named:
        found = tuple(edit.id for edit in view.edits if name_of(edit.kind, edit.key) == named)
        if not found:
            raise NotFoundError(f"there is no runtime edit of {named}; see drift")
        return Draft(remove=found)
    unknown = sorted(set(ids) - {edit.id for edit in view.edits})
    if unknown:
        raise NotFoundError(f"there is no runtime edit {unknown[0]}; see drift")
    return Draft(remove=tuple(dict.fromkeys(ids)))


def roll_back(view: View, metadata: EditMetadata, wanted: State, keep: Collection[str]) -> Draft:
    """Make an earlier state effective again, but for the settings ``keep``; all edits there are end."""
    edits = edits_towards(view.file, wanted, keep=keep, **msgspec.structs.asdict(metadata))
    return Draft(edits, tuple(edit.id for edit in view.edits), (), tuple((edit.kind, edit.key) for edit in edits))


def check_effect(draft: Draft, before: Merged, after: Merged) -> tuple[int, ...]:
    """Return the ids of further edits that end with a draft's: those that are left without their parent by it.

    Args:
        draft: what the request comes to.
        before: what is in effect.
        after: what would be in effect; the edits that the draft adds still have 0 as id.

    Raises:
        PreconditionError: an edit that the draft adds would have no effect; nobody could connect any more; a route that an edit
            has added would be left without its upstream.
    """
    if allows_nobody(after.state) and not allows_nobody(before.state):
        raise PreconditionError(NOBODY_ALLOWED)
    new = {(edit.kind, edit.key) for edit in draft.add}
    standing = {(edit.kind, edit.key) for edit in before.standing}
    for verdict in after.suspended:
        edit = verdict.edit
        if (edit.kind, edit.key) in new:
            raise PreconditionError(f"{name_of(edit.kind, edit.key)} would have no effect: {verdict.why}")
        if (edit.kind, edit.key) in standing:
            for kind, name, _ in references(edit.value):
                if name in table_of(before.state, kind) and name not in table_of(after.state, kind):
                    doing = "leads to" if kind == "upstream" else "names"
                    raise PreconditionError(
                        f"{name_of(edit.kind, edit.key)} ({edit_name(edit)}) {doing} the {kind} {name}"
                    )
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
            raise PreconditionError(f"the rollback can't bring {name_of(change.kind, change.key)} back as it was")


def edit_name(edit: Edit) -> str:
    """Return the name of an edit for people; one that was not written has no number."""
    if not edit.id:
        return f"a new edit by {edit.author}" if edit.author else "a new edit"
    return f"edit {edit.id} by {edit.author}" if edit.author else f"edit {edit.id}"


def place(
    view: View, metadata: EditMetadata, kind: KindName, key: ResourceKey, value: Resource, warnings: Iterable[Violation]
) -> Draft:
    """Give a resource a value: by an edit, or where the file says the same, by none."""
    if table_of(view.file, kind).get(key) == value:
        former = tuple(edit.id for edit in view.edits if (edit.kind, edit.key) == (kind, key))
        return Draft(remove=former, warnings=tuple(warnings), changed=((kind, key),))
    if table_of(view.live, kind).get(key) == value:
        return Draft(warnings=tuple(warnings))
    edit = make_edit(view.file, view.live, kind, key, value, **msgspec.structs.asdict(metadata))
    return Draft((edit,), (), tuple(warnings), ((kind, key),))


def _listener(listener: str) -> tuple[str, tuple[Violation, ...]]:
    """Return the canonical address of a listener that may or may not exist, "" with what is wrong with it."""
    checked = edit_fields.check_key("listener", {"addr": listener})
    return str(checked.result or ""), tuple(Violation("listener", each.message) for each in checked.violations)


def require_listener(live: State, addr: str) -> None:
    """Raise NotFoundError, with those that there are, unless a listener is live."""
    if addr not in live.listeners:
        there = ", ".join(sorted(live.listeners)) or "none at all"
        raise NotFoundError(f"there is no listener {addr}; listeners: {there}")


def _route(listener: str, hostname: str) -> tuple[RouteKey, tuple[Violation, ...]]:
    """Return the key of a route that may or may not exist, another one with what is wrong with it."""
    checked = edit_fields.check_key("route", {"listener": listener, "hostname": hostname})
    key = checked.result or key_of(_SOME_ROUTE)
    return (key[0], key[1]), checked.violations


def valid(checked: Checked[T], wrong: Iterable[Violation] = ()) -> T:
    """Return what was checked; raises InvalidRequestError with all violations, what else is ``wrong`` in front."""
    found = tuple(dict.fromkeys((*wrong, *checked.violations)))
    if checked.result is None or found:
        # Policies and cases are no fields of a request for a route: what does not suit them is its mode, unless that is wrong itself.
        moot = any(each.field == "mode" for each in found)
        raise InvalidRequestError(
            tuple(
                ("mode" if each.field.startswith(_OF_ROUTES) else each.field, each.message)
                for each in found
                if not (moot and each.field.startswith(_OF_ROUTES))
            )
        )
    return checked.result
