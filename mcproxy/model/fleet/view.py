"""What the contents of a fleet's store mean."""

from collections.abc import Mapping
from typing import Any

import msgspec

from mcproxy.model.config.fleet.names import parse_node
from mcproxy.model.fleet import document, keys
from mcproxy.model.fleet.contents import Contents
from mcproxy.model.fleet.document import Document, DocumentError, decode_json
from mcproxy.model.fleet.records import (
    FIRST_EDIT,
    EditRecord,
    FleetEdit,
    Lock,
    NodeRecord,
    Numbers,
    Past,
    Rollout,
    edit_of,
)
from mcproxy.model.values.quoting import quote

_SINGLE = (keys.DOC, keys.NEXT, keys.ROLLOUT, keys.LOCK, keys.SEQUENCE)
_MOST_TOLD = 20  # keys that can't be read
_LONGEST_KEY, _LONGEST = 200, 300  # characters of what is told of one of them


class FleetView(msgspec.Struct, frozen=True):
    """The contents of the store, read.

    Attributes:
        contents: what it is a view of.
        doc: what all nodes run; None for nothing, or nothing that can be read.
        next: what the canaries of the rollout run.
        rollout: that is going on.
        driver: the node that drives it; "" for none.
        edits: the fleet's, by id.
        nodes: those that are there, by name.
        past: of the documents that were pushed lately, the newest first.
        sequence: the numbers that were given last.
        problems: what can't be read, each with its key.
    """

    contents: Contents = Contents()
    doc: Document | None = None
    next: Document | None = None
    rollout: Rollout | None = None
    driver: str = ""
    edits: tuple[FleetEdit, ...] = ()
    nodes: Mapping[str, NodeRecord] = {}
    past: tuple[Past, ...] = ()
    sequence: Numbers = Numbers()
    problems: tuple[str, ...] = ()

    def version(self, key: str) -> int:
        """Return the version of a key, 0 if it is not there."""
        return self.contents.version(key)

    def edit(self, key: str) -> FleetEdit | None:
        """Return the edit that is stored under a key."""
        return next((edit for edit in self.edits if edit.key == key), None)


def view_of(contents: Contents, before: FleetView | None = None) -> FleetView:
    """Return what contents mean; what can't be read is told, and left out.

    Args:
        contents: of the store.
        before: an earlier view: what has not changed since is not read again, as most of it does not.
    """
    problems: dict[str, str] = {}
    known_edits = {one.key: one for one in before.edits} if before is not None else {}
    known_nodes = before.nodes if before is not None else {}
    known_past = {keys.history_key(one.header.revision): one for one in before.past} if before is not None else {}
    edits: list[FleetEdit] = []
    nodes: dict[str, NodeRecord] = {}
    past: list[Past] = []
    for key, item in sorted(contents.items.items()):
        same = before is not None and before.contents.items.get(key) == item
        try:
            if key.startswith(keys.EDITS):
                edit = known_edits.get(key) if same else None
                edits.append(edit or _edit(key, item.value, item.version))
            elif key.startswith(keys.NODES):
                record = (known_nodes.get(key.removeprefix(keys.NODES)) if same else None) or _node(key, item.value)
                nodes[record.node] = record
            elif key.startswith(keys.HISTORY):
                past.append((known_past.get(key) if same else None) or decode_json(item.value, Past))
        except (ValueError, RecursionError) as error:
            problems[key] = str(error)
    found = {key: _single(contents, key, problems) for key in _SINGLE}
    lock, sequence = found[keys.LOCK], found[keys.SEQUENCE] or Numbers()
    return FleetView(
        contents,
        found[keys.DOC],
        found[keys.NEXT],
        found[keys.ROLLOUT],
        lock.node if lock is not None else "",
        tuple(sorted(edits, key=lambda edit: edit.edit.id)),
        nodes,
        tuple(sorted(past, key=lambda each: -each.header.revision)),
        _at_least(sequence, found[keys.DOC], found[keys.NEXT], past, edits),
        _told(problems),
    )


def _single(contents: Contents, key: str, problems: dict[str, str]) -> Any:
    item = contents.items.get(key)
    if item is None:
        return None
    try:
        if key in (keys.DOC, keys.NEXT):
            return document.decode(item.value, item.version)
        return decode_json(item.value, {keys.ROLLOUT: Rollout, keys.LOCK: Lock, keys.SEQUENCE: Numbers}[key])
    except DocumentError as error:
        problems[key] = str(error)
        return None


def _node(key: str, value: bytes) -> NodeRecord:
    record: NodeRecord = decode_json(value, NodeRecord)
    if keys.node_key(record.node) != key:
        raise DocumentError(f"it is the record of the node {quote(record.node)}")
    parse_node(record.node)
    return record


def _told(problems: Mapping[str, str]) -> tuple[str, ...]:
    """Return problems in words, those of what matters most first; whatever somebody has written, they stay few and short."""
    ranked = sorted(problems, key=lambda key: (key not in _SINGLE, key))
    told = tuple(f"{_short(key, _LONGEST_KEY)}: {_short(problems[key], _LONGEST)}" for key in ranked[:_MOST_TOLD])
    more = len(ranked) - len(told)
    return (*told, f"{more} more keys can't be read") if more else told


def _short(text: str, most: int) -> str:
    """Return a text that anybody may have written on one line, and not too long."""
    text = text if len(text) <= most else f"{text[:most]}…"
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _edit(key: str, value: bytes, version: int) -> FleetEdit:
    record: EditRecord = decode_json(value, EditRecord)
    if keys.stored_edit_key(record.kind, record.key) != key:
        raise DocumentError(f"it is an edit of {quote(record.kind)} {quote(' '.join(record.key))}")
    edit = FleetEdit(edit_of(record), record.node, version)
    if edit.key != key:
        raise DocumentError("its key is not in canonical form")
    return edit


def _at_least(
    sequence: Numbers, doc: Document | None, following: Document | None, past: list[Past], edits: list[FleetEdit]
) -> Numbers:
    """Return the numbers that were given last, by all that bears one: the key itself may have been lost."""
    headers = [document.header for document in (doc, following) if document is not None]
    revisions = [header.revision for header in (*headers, *(each.header for each in past))]
    return Numbers(
        max(sequence.revision, *revisions, 0), max(sequence.edit, *(edit.edit.id for edit in edits), FIRST_EDIT - 1)
    )
