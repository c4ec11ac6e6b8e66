"""What requests change of the fleet's edits: one commit to its store, which the other nodes follow.

A node's own tables ([database], [grpc], [metrics], [log]) are its own at run time too, and so are edits that are asked for it alone, and what the guard
has overridden by its own measure.
"""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from mcproxy.control.files import config_file
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.files.look import look
from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.reconcile.change.request import ChangeRequest
from mcproxy.control.reconcile.shared.edits import SharedEdits
from mcproxy.control.store.ledger import EditOutcome, Elsewhere
from mcproxy.errors import ConfigError, McproxyError, PreconditionError, UnavailableError
from mcproxy.model.config.fleet.checks import OWN
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.judging import Violation
from mcproxy.model.edits.requests import Draft
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit, Conflict
from mcproxy.model.fleet.document import Document
from mcproxy.model.fleet.records import encode_edit, is_shared
from mcproxy.model.fleet.sources import read_document
from mcproxy.policy.fleet import editing

_TRIES = 5


class OvertakenError(McproxyError):
    """Somebody else has changed what a request was judged by; it is to be judged anew."""


class Parts(msgspec.Struct, frozen=True):
    """What a request changes: here, and in the fleet's store.

    Attributes:
        add, remove: edits of this node alone.
        shared_add, shared_remove: those of the fleet.
    """

    add: tuple[Edit, ...] = ()
    remove: tuple[int, ...] = ()
    shared_add: tuple[Edit, ...] = ()
    shared_remove: tuple[int, ...] = ()

    @property
    def shared(self) -> bool:
        """Whether the fleet's store is needed."""
        return bool(self.shared_add or self.shared_remove)


class Made(msgspec.Struct, frozen=True):
    """What was made in the fleet's store.

    Attributes:
        edits: that were added, as this node has them.
        elsewhere: for the history.
        revision: of the store since.
    """

    edits: tuple[Edit, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    revision: int = 0


def check_scope(shared: SharedEdits, request: ChangeRequest) -> None:
    """Refuse a request for another node, or one for this node alone where there are no others; raises `PreconditionError`."""
    node = shared.fleet.node
    if request.node and node is None:
        raise PreconditionError("this machine is no node of a fleet: every edit is for it alone")
    if request.node and node is not None and request.node not in (node.node, THIS):
        raise PreconditionError(
            f"this is the node {node.node}: ask {request.node} itself, an edit for one node is kept there alone"
        )


async def check_rollout(shared: SharedEdits, parts: Parts, path: Path, loaded: Loaded) -> None:
    """Refuse to change what a rollout is just changing, as the edit would stand on one of two documents.

    Args:
        shared: the fleet's edits.
        parts: of the request.
        path: of this node's file.
        loaded: what is in effect here: one of the two.

    Raises:
        PreconditionError: it does.
    """
    view = shared.fleet.view
    here = loaded.document
    if view.next is None or view.doc is None or here is None:
        return
    other = view.doc if here.version == view.next.version else view.next
    try:
        read = await look(config_file.load, path, syntax_only=True, documents=lambda *_: read_document(other))
    except ConfigError:
        return  # then it is returned in a moment
    states = loaded.resolution.state, read.resolution.state
    doc, following = states if other is view.next else states[::-1]
    removed = [one.edit for one in view.edits if one.edit.id in parts.shared_remove]
    resources = [(edit.kind, edit.key) for edit in (*parts.shared_add, *removed)]
    editing.refuse_in_rollout(view, doc, following, resources)


THIS = "."
"""What this node is called in requests that do not know its name."""


def parts_of(shared: SharedEdits, request: ChangeRequest, draft: Draft, own: Sequence[Edit]) -> Parts:
    """Return what of a request is the fleet's, and what this node's alone."""
    remove = tuple(number for number in draft.remove if not is_shared(number))
    shared_remove = tuple(number for number in draft.remove if is_shared(number))
    if shared.fleet.node is None or request.node or request.action == "Guard":
        return Parts(draft.add, remove, (), shared_remove)
    add = tuple(edit for edit in draft.add if is_own(edit))
    shared_add = tuple(edit for edit in draft.add if not is_own(edit))
    replaced = {(edit.kind, edit.key) for edit in shared_add}
    remove += tuple(edit.id for edit in own if (edit.kind, edit.key) in replaced and edit.id not in remove)
    return Parts(add, remove, shared_add, shared_remove)


def is_own(edit: Edit) -> bool:
    """Tell whether an edit is of what each node has in its own file."""
    return edit.kind == "setting" and str(edit.key).partition(".")[0] in OWN


async def make(shared: SharedEdits, parts: Parts, document: Document | None, moment: int) -> Made:
    """Make the fleet's part of a request.

    Args:
        shared: the fleet's edits.
        parts: of the request.
        document: which it was judged by.
        moment: of the fleet's edits that it was judged by; see `Fleet.moment`.

    Raises:
        OvertakenError: somebody else was faster.
        UnavailableError: the store is away.
        RequestError: it can't be.
    """
    fleet = shared.fleet
    if fleet.away:
        raise UnavailableError(fleet.away)
    view, node = fleet.view, fleet.node
    if node is None or view.doc is None or document is None:
        raise PreconditionError("the fleet has no document in its store, so there is nothing to edit")
    wanted = fleet.wanted.document
    if wanted is None or wanted.version != document.version or fleet.moment.revision != moment:
        raise OvertakenError
    portability = shared.portability()
    before = {one.edit.id: one.edit for one in view.edits}
    by_key = {one.key: one.edit for one in view.edits}
    added, commit = editing.change(
        view,
        node.node,
        [portability.portable(edit) for edit in parts.shared_add],
        parts.shared_remove,
        fleet.wanted.numbers,
    )
    outcome = await fleet.commit(commit)
    if isinstance(outcome, Conflict):
        raise OvertakenError
    edits = tuple(
        msgspec.structs.replace(edit, id=one.edit.id) for edit, one in zip(parts.shared_add, added, strict=True)
    )
    replaced = [by_key[one.key] for one in added if one.key in by_key]
    ended = [before[number] for number in parts.shared_remove if before[number] not in replaced]
    shared.expect(edits, (*(edit.id for edit in replaced), *parts.shared_remove))
    why = parts.shared_add[0].reason if parts.shared_add else ""
    return Made(
        edits,
        (
            *(("replaced", portability.local(edit), why) for edit in replaced),
            *(("reverted", portability.local(edit), why) for edit in ended),
            *(("added", edit, edit.reason) for edit in edits),
        ),
        outcome.revision,
    )


async def withdraw(shared: SharedEdits, done: Iterable[tuple[EditOutcome, Edit]]) -> None:
    """Undo what was done to the fleet's edits, but for what somebody has changed since.

    Raises:
        UnavailableError: the fleet's store is away.
    """
    known = [(event, edit) for event, edit in done if is_shared(edit.id)]
    added = {edit.id for event, edit in known if event == "added"}
    ended = [edit for event, edit in known if event in ("replaced", "reverted")]
    fleet = shared.fleet
    if not (added or ended) or fleet.node is None:
        return
    for _ in range(_TRIES):
        view, portability = fleet.view, shared.portability()
        gone = [one.key for one in view.edits if one.edit.id in added]
        puts = {}
        for edit in ended:
            key = keys.edit_key(edit.kind, edit.key)
            if key in gone or not view.version(key):
                puts[key] = encode_edit(portability.portable(edit), fleet.node.node)
        deletes = tuple(key for key in gone if key not in puts)
        compares = {key: view.version(key) for key in (keys.DOC, *puts, *deletes)}
        if not (puts or deletes):
            return
        if not isinstance(await fleet.commit(Commit(compares=compares, puts=puts, deletes=deletes)), Conflict):
            return
    raise UnavailableError("the fleet's edits are changed by others all the time; it is tried again")


async def wait_for_all(fleet: Fleet, revision: int, seconds: float) -> tuple[Violation, ...]:
    """Wait until all nodes that are there have made live what the store holds since a revision; return those that have not in time, with why."""
    looked = asyncio.Event()
    fleet.heard.append(looked.set)
    try:
        async with asyncio.timeout(seconds):
            while _behind(fleet, revision):
                await looked.wait()
                looked.clear()
    except TimeoutError:
        pass
    finally:
        fleet.heard.remove(looked.set)
    return tuple(
        Violation("options.wait", f"the node {name} has not made it live within {seconds:g} s{why and ': ' + why}")
        for name, why in _behind(fleet, revision)
    )


def _behind(fleet: Fleet, revision: int) -> list[tuple[str, str]]:
    return [(name, node.error) for name, node in sorted(fleet.view.nodes.items()) if node.applied < revision]
