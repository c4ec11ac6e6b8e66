"""Taking changes back by runtime edits, so that the file still wins as soon as it says something new."""

from collections.abc import Sequence
from typing import Any

import msgspec

from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.edits.requests import Draft, EditMetadata, View
from mcproxy.model.state import kinds
from mcproxy.model.state.diff import Change
from mcproxy.model.state.kinds import KINDS, KindName, ResourceKey, parent_of, table_of
from mcproxy.model.state.state import State


def take_back(view: View, parts: Sequence[tuple[Sequence[Change], EditMetadata]]) -> Draft:
    """Give each of the changed resources what it was before, and leave the others as they are.

    Args:
        view: what the file says and what is in effect, the changes included.
        parts: changes, at most one of each resource, with what their edits have in common.
    """
    changes = [change for part, _ in parts for change in part]
    target = _target(view.live, changes)
    gone = {(one.kind, one.key) for one in changes if one.old is None}
    former: dict[tuple[KindName, ResourceKey], int] = {(edit.kind, edit.key): edit.id for edit in view.edits}
    add: list[Edit] = []
    remove: list[int] = []
    changed: list[tuple[KindName, ResourceKey]] = []
    for part, metadata in parts:
        common: dict[str, Any] = msgspec.structs.asdict(metadata)
        for change in part:
            resource = change.kind, change.key
            declared = table_of(view.file, change.kind).get(change.key)
            edited = [former[resource]] if resource in former else []
            if change.old is None:
                if declared is None:
                    remove += edited
                elif parent_of(*resource) not in gone:  # else it goes with that
                    add.append(make_edit(view.file, target, *resource, None, **common))
                continue
            changed.append(resource)
            if declared == change.old:
                remove += edited
            elif table_of(view.live, change.kind).get(change.key) != change.old:
                add.append(make_edit(view.file, target, *resource, change.old, **common))
    return Draft(tuple(add), tuple(remove), (), tuple(changed))


def _target(live: State, changes: Sequence[Change]) -> State:
    tables = {kind.name: dict(table_of(live, kind.name)) for kind in KINDS}
    for change in changes:
        if change.old is None:
            tables[change.kind].pop(change.key, None)
        else:
            tables[change.kind][change.key] = change.old
    return kinds.from_tables(tables)
