"""What runtime edits of a fleet come to: commits that add, end and settle them.

An edit stands on a document, so whatever changes edits compares the version of the document, too: where somebody pushes meanwhile, it is judged anew.
What is settled follows from the store alone, so that every node comes to the same: files that are wrong on one node suspend an edit there
and nowhere else, and a clock that is ahead ends an edit for its own node.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from mcproxy.errors import NotFoundError, PreconditionError
from mcproxy.model.edits.edit import Edit, base_hash
from mcproxy.model.edits.overlay import merge
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import MOST_OPERATIONS, Commit
from mcproxy.model.fleet.records import FleetEdit, Numbers, encode_edit
from mcproxy.model.fleet.view import FleetView
from mcproxy.model.state.kinds import KindName, ResourceKey, name_of, table_of
from mcproxy.model.state.state import State

EXPIRED_FOR = 60.0
"""Seconds for which an expired edit stays in the store: more than clocks of nodes may differ. No node has it in effect then."""

_FOREVER = float("-inf")
_NONE = Numbers()


class Settled(msgspec.Struct, frozen=True):
    """What became of edits without anybody asking.

    Attributes:
        commit: that puts it on record; None where nothing is to be done.
        superseded: edits over which the document won, with why.
        expired: edits whose time is over.
    """

    commit: Commit | None = None
    superseded: tuple[tuple[FleetEdit, str], ...] = ()
    expired: tuple[FleetEdit, ...] = ()


def change(
    view: FleetView, node: str, add: Sequence[Edit], remove: Sequence[int], after: Numbers = _NONE
) -> tuple[tuple[FleetEdit, ...], Commit]:
    """Return the edits that are added, with their ids, and the commit that adds and ends edits at once.

    Args:
        view: the contents of the store, which the edits were judged against.
        node: that takes the request.
        add: edits to add, at most one of each resource; one of the same resource is replaced.
        remove: ids of edits to end.
        after: the highest numbers that the node has seen, see `Wanted.numbers`.

    Raises:
        NotFoundError: an edit to end is not there.
        PreconditionError: the fleet has no document to stand on, or the changes are too many.
    """
    if view.doc is None:
        raise PreconditionError("the fleet has no document in its store, so there is nothing to edit")
    by_id = {one.edit.id: one for one in view.edits}
    missing = [str(number) for number in remove if number not in by_id]
    if missing:
        raise NotFoundError(f"there is no runtime edit {', '.join(missing)}")
    numbers = view.sequence.after(after)
    last = numbers.edit
    added = tuple(
        FleetEdit(msgspec.structs.replace(edit, id=last + place), node) for place, edit in enumerate(add, start=1)
    )
    puts = {one.key: _encoded(one) for one in added}
    deletes = tuple(by_id[number].key for number in remove if by_id[number].key not in puts)
    compares = {key: view.version(key) for key in (keys.DOC, keys.ROLLOUT, *puts, *deletes)}
    if added:
        compares[keys.SEQUENCE] = view.version(keys.SEQUENCE)
        puts[keys.SEQUENCE] = msgspec.json.encode(Numbers(numbers.revision, last + len(added)))
    commit = Commit(compares=compares, puts=puts, deletes=deletes)
    if commit.size > MOST_OPERATIONS:
        raise PreconditionError(
            f"{len(added) + len(deletes)} runtime edits are too many for one request to a fleet; push a document instead"
        )
    return added, commit


def refuse_in_rollout(
    view: FleetView, doc: State, following: State, resources: Iterable[tuple[KindName, ResourceKey]]
) -> None:
    """Refuse to change what a rollout is just changing: the edit would end with it, or with its return.

    Args:
        view: the contents of the store.
        doc: what the fleet's document says.
        following: what that of the rollout says.
        resources: which are to be changed.

    Raises:
        PreconditionError: says which resource.
    """
    for kind, key in resources:
        if base_hash(table_of(doc, kind).get(key)) != base_hash(table_of(following, kind).get(key)):
            revision = 0 if view.next is None else view.next.header.revision
            raise PreconditionError(
                f"the rollout of revision {revision} changes {name_of(kind, key)}: wait for its end, or end it with: "
                "mcproxyctl fleet abort"
            )


def settle(view: FleetView, doc: State, now: float, portable: Callable[[Edit], Edit] = lambda edit: edit) -> Settled:
    """Return what has become of the fleet's edits by its document, and by time.

    Args:
        view: the contents of the store, edits as this node reads them.
        doc: what the document in it says.
        now: in seconds since the epoch.
        portable: returns an edit as all nodes read it.
    """
    expired = tuple(one for one in view.edits if one.edit.expires is not None and one.edit.expires + EXPIRED_FOR <= now)
    left = {one.edit.id: one for one in view.edits if one not in expired}
    merged = merge(doc, [one.edit for one in left.values()], _FOREVER)
    superseded = tuple((left[verdict.edit.id], verdict.why) for verdict in merged.superseded)
    ended = [one.key for one in (*expired, *(one for one, _ in superseded))][:MOST_OPERATIONS]
    renewed = [FleetEdit(edit, left[edit.id].node) for edit in merged.kept if edit != left[edit.id].edit][
        : MOST_OPERATIONS - len(ended)
    ]
    puts = {one.key: _encoded(FleetEdit(portable(one.edit), one.node)) for one in renewed}
    if not ended and not puts:
        return Settled()
    compares = {key: view.version(key) for key in (keys.DOC, *ended, *puts)}
    return Settled(Commit(compares=compares, puts=puts, deletes=tuple(ended)), superseded, expired)


def _encoded(one: FleetEdit) -> bytes:
    try:
        return encode_edit(one.edit, one.node)
    except ValueError as error:
        raise PreconditionError(str(error)) from error
