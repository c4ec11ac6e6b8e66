"""What the keys of a fleet hold beside its document, as JSON."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.stored import from_json, key_from, to_json
from mcproxy.model.fleet.document import Count, Few, Header, Seconds
from mcproxy.model.fleet.keys import edit_key
from mcproxy.model.state.kinds import name_of, parts_of

FIRST_EDIT = 1_000_000_001
"""The id of a fleet's first edit; ids below belong to the edits that a node has alone."""

Progress: TypeAlias = Literal["applying", "watching", "passed", "failed"]
_Given: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**52)]  # others can be given after it
Fate: TypeAlias = Literal["live", "rollout", "returned"]


class CanaryReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a canary does with the document of a rollout, by its own judgement and clock.

    Attributes:
        revision: of that document.
        progress: "passed" when it has been watched for the whole time.
        why: it failed; or what there is to know of its success.
        answered: requests so far.
        errors: how many of them failed.
    """

    revision: Count
    progress: Progress
    why: str = ""
    answered: Count = 0
    errors: Count = 0


class NodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A node that is there, under its lease.

    Attributes:
        node: its name.
        generation: that is live there.
        revision: of the document that is live there; 0 for none.
        hash: of that document.
        applied: revision of the store whose contents are live there, edits included.
        error: why what the fleet wants is not live there; "" when it is.
        version: of mcproxy.
        since: when this control started, in seconds since the epoch.
        time: by the node's clock when it wrote this.
        failing: the share of requests that fail there.
        local: edits that only this node has.
        canary: how it does with the document of a rollout; None when it is no canary.
        answered: version of the last challenge of another node that all its workers answer.
        admin: address of its admin API, for the others; "" for none.
    """

    node: str
    generation: Count = 0
    revision: Count = 0
    hash: str = ""
    applied: Count = 0
    error: str = ""
    version: str = ""
    since: Seconds = 0.0
    time: Seconds = 0.0
    failing: float = 0.0
    local: Few = 0
    canary: CanaryReport | None = None
    answered: Count = 0
    admin: str = ""


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A document on its way to all nodes.

    Attributes:
        revision: of that document.
        doc: version of the document that all others run meanwhile.
        author: who pushed it.
        began: when, in seconds since the epoch.
        watch: for how many seconds each canary is watched in each step.
        max_errors: a fraction; by how much its share of errors may grow.
        min_requests: that have to be answered before a canary is judged by that.
        named: canaries by name, which come first.
        steps: how many nodes run it in each step: numbers, or shares such as "25%"; after the last one all nodes do.
        step: the place of the present step.
        nodes: its canaries.
    """

    revision: Count
    doc: Count
    author: str = ""
    began: Seconds = 0.0
    watch: Seconds = 60.0
    max_errors: float = 0.02
    min_requests: Count = 50
    named: tuple[str, ...] = ()
    steps: tuple[str, ...] = ("1",)
    step: Few = 0
    nodes: tuple[str, ...] = ()


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a document that was pushed.

    Attributes:
        header: of the document.
        fate: what became of it: "live", even if another one is by now; "rollout" while it is on its way.
        ended: when that was settled, in seconds since the epoch.
        why: it was returned.
    """

    header: Header
    fate: Fate
    ended: Seconds = 0.0
    why: str = ""


class Numbers(msgspec.Struct, frozen=True):
    """The numbers that were given last, so that none is given twice.

    Attributes:
        revision: of documents.
        edit: of edits.
    """

    revision: _Given = 0
    edit: _Given = FIRST_EDIT - 1

    def after(self, others: "Numbers") -> "Numbers":
        """Return the higher of both."""
        return Numbers(max(self.revision, others.revision), max(self.edit, others.edit))


class Lock(msgspec.Struct, frozen=True):
    """Who drives the rollout."""

    node: str


class EditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A runtime edit as `Edit` has it, key and value in the words of the file.

    Attributes:
        node: that took it.
    """

    kind: str
    key: tuple[str, ...]
    value: Any
    id: Count
    base: str | None = None
    parent: str | None = None
    orphaned: bool = False
    author: str = ""
    reason: str = ""
    created: Seconds = 0.0
    expires: Seconds | None = None
    request_id: str = ""
    node: str = ""


class FleetEdit(msgspec.Struct, frozen=True):
    """A runtime edit of the fleet.

    Attributes:
        edit: with an id that is the same on all nodes.
        node: that took it.
        version: of its key; 0 before it is stored.
    """

    edit: Edit
    node: str = ""
    version: int = 0

    @property
    def key(self) -> str:
        """Its key in the store."""
        return edit_key(self.edit.kind, self.edit.key)


def edit_of(record: EditRecord) -> Edit:
    """Return the edit of a record; raises ValueError, `UnknownWordError` if a newer mcproxy has written it."""
    kind, key = key_from(record.kind, record.key)
    value = None if record.value is None else from_json(kind, key, record.value)
    return Edit(
        kind=kind,
        key=key,
        value=value,
        base=record.base,
        author=record.author,
        reason=record.reason,
        created=record.created,
        expires=record.expires,
        request_id=record.request_id,
        id=record.id,
        parent=record.parent,
        orphaned=record.orphaned,
    )


def encode_edit(edit: Edit, node: str) -> bytes:
    """Return an edit as the store has it; raises ValueError when it would be read as another one."""
    words = None if edit.value is None else to_json(edit.kind, edit.key, edit.value)
    fields = msgspec.structs.asdict(edit) | {"key": parts_of(edit.key), "value": words, "node": node}
    data = msgspec.json.encode(EditRecord(**fields))
    if edit_of(msgspec.json.decode(data, type=EditRecord)) != edit:
        raise ValueError(
            f"the runtime edit of {name_of(edit.kind, edit.key)} can't be kept: it would be read as {words!r}"
        )
    return data


def is_shared(edit_id: int) -> bool:
    """Tell whether an id is that of an edit of the fleet, not of a node's own."""
    return edit_id >= FIRST_EDIT
