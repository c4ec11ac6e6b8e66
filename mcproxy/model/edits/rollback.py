"""The way back to an earlier State: as runtime edits, so that the file still wins as soon as it says something new."""

from collections.abc import Collection
from typing import Any

from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.state.diff import diff
from mcproxy.model.state.kinds import parent_of
from mcproxy.model.state.state import State


def edits_towards(file: State, target: State, *, keep: Collection[str] = (), **common: Any) -> tuple[Edit, ...]:
    """Return the edits that, with no others beside them, make ``target`` of what the file says.

    Settings that this version or the other does not know stay as the file says.

    Args:
        file: what the file says.
        target: a State that was live.
        keep: settings to leave as the file says.
        common: what all edits have in common: ``created``, and others of `make_edit`.
    """
    changes = diff(file, target)
    removed = {(change.kind, change.key) for change in changes if change.new is None}
    return tuple(
        make_edit(file, target, change.kind, change.key, change.new, **common)
        for change in changes
        # what goes with its parent needs no edit of its own
        if not (change.new is None and parent_of(change.kind, change.key) in removed)
        and not (change.kind == "setting" and (change.action != "change" or change.key in keep))
    )
