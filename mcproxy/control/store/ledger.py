"""Requests, the edits they make, and what becomes of both: the statements behind `store`.

All functions work on a connection in the database's thread; each that writes is one transaction.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from mcproxy.control.store import edit_rows
from mcproxy.control.store.transactions import transaction
from mcproxy.errors import McproxyError
from mcproxy.model.edits import edit as edit_codec
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.fleet.records import is_shared

EditOutcome: TypeAlias = Literal["added", "restored", "replaced", "reverted", "superseded", "expired", "withdrawn"]
Outcome: TypeAlias = Literal["accepted", "refused", "withdrawn"]
Elsewhere: TypeAlias = tuple[EditOutcome, Edit, str]
"""Something that happened to an edit that is not kept in this database but in the fleet's store: the event, the edit as it was then, why."""

_INT64_MAX = 2**63 - 1


class DuplicateRequestError(McproxyError):
    """A request with this id has been accepted before; its answer is to be given again."""


class NoSuchEditError(McproxyError):
    """The edit is not there (any more)."""


class Mutation(msgspec.Struct, frozen=True, kw_only=True):
    """A request to change something, as the audit keeps it.

    Attributes:
        time: when it came, in seconds since the epoch.
        action: what it asks for, the name of the RPC.
        target: the resource, readable.
        author: of the request.
        verified: the author's name is that of a client certificate; else it is what the client says.
        reason: why, in the author's words.
        request_id: "" when the client gave none.
        request: the whole request, as JSON.
    """

    time: float
    action: str
    target: str = ""
    author: str = ""
    verified: bool = False
    reason: str = ""
    request_id: str = ""
    request: str = ""


class AuditEntry(msgspec.Struct, frozen=True):
    """A request and what became of it.

    Attributes:
        id: one more with every request.
        mutation: the request.
        outcome: "withdrawn" when it was accepted, but could not be made live, or was not confirmed in time.
        detail: why it was refused or withdrawn.
        answer: what the client was answered, as `Store.answer` was told; None before.
        confirm_by: it is withdrawn unless it is confirmed by then, in seconds since the epoch; None when it is
            confirmed, or needs not be.
    """

    id: int
    mutation: Mutation
    outcome: Outcome
    detail: str
    answer: bytes | None
    confirm_by: float | None


class Receipt(msgspec.Struct, frozen=True):
    """An accepted request: its id in the audit, and the edits it added."""

    id: int
    edits: tuple[Edit, ...]


class Record(msgspec.Struct, frozen=True):
    """Something that happened to an edit.

    Attributes:
        id: one more with every record.
        event: "added" and "restored" begin, the others end it.
        time: in seconds since the epoch.
        detail: why.
        audit_id: the request that did it; None if none did.
        edit: as it was then.
    """

    id: int
    event: EditOutcome
    time: float
    detail: str
    audit_id: int | None
    edit: Edit


def mutate(
    connection: sqlite3.Connection,
    mutation: Mutation,
    add: Sequence[Edit],
    remove: Sequence[int],
    confirm_by: float | None,
    elsewhere: Sequence[Elsewhere] = (),
) -> Receipt:
    """Accept a request; see `Store.mutate`."""
    with transaction(connection):
        audit_id = _insert_audit(connection, mutation, "accepted", "", confirm_by)
        for edit_id in remove:
            edit = edit_rows.find(connection, edit_id) if 0 < edit_id <= _INT64_MAX else None
            if edit is None:
                raise NoSuchEditError(f"there is no runtime edit {edit_id}")
            _end(connection, "reverted", [(edit, mutation.reason)], mutation.time, audit_id)
        added = []
        for edit in add:
            former = edit_rows.find_key(connection, edit.kind, edit.key)
            if former is not None:
                _end(connection, "replaced", [(former, mutation.reason)], mutation.time, audit_id)
            added.append(edit_rows.insert(connection, edit))
            _record(connection, "added", added[-1], mutation.time, mutation.reason, audit_id)
        for event, edit, detail in elsewhere:
            _record(connection, event, edit, mutation.time, detail, audit_id)
        return Receipt(audit_id, tuple(added))


def note(connection: sqlite3.Connection, elsewhere: Sequence[Elsewhere], time: float) -> None:
    """Put on record what happened to edits that are kept elsewhere."""
    with transaction(connection, durable=False):
        for event, edit, detail in elsewhere:
            _record(connection, event, edit, time, detail, None)


def refuse(connection: sqlite3.Connection, mutation: Mutation, detail: str) -> None:
    """Put a refused request on record."""
    with transaction(connection, durable=False):
        _insert_audit(connection, mutation, "refused", detail, None)


def withdraw(connection: sqlite3.Connection, receipt_id: int, detail: str, time: float) -> None:
    """Undo an accepted request; see `Store.withdraw`."""
    with transaction(connection):
        cursor = connection.execute(
            "UPDATE audit SET outcome = 'withdrawn', detail = ?, answer = NULL, confirm_by = NULL"
            " WHERE id = ? AND outcome = 'accepted'",
            (detail, receipt_id),
        )
        if not cursor.rowcount:
            return
        done = records(connection, "WHERE audit_id = ? ORDER BY id", (receipt_id,))
        added = {record.edit.id for record in done if record.event == "added"}
        present = (edit_rows.find(connection, edit_id) for edit_id in sorted(added))
        _end(connection, "withdrawn", [(edit, detail) for edit in present if edit is not None], time, receipt_id)
        ended = (
            record.edit for record in done if record.event in ("replaced", "reverted") and not is_shared(record.edit.id)
        )
        for edit in ended:
            if edit.id not in added and edit_rows.find_key(connection, edit.kind, edit.key) is None:
                edit_rows.insert(connection, edit)
                _record(connection, "restored", edit, time, detail, receipt_id)


def answer(connection: sqlite3.Connection, receipt_id: int, answer: bytes) -> None:
    """Keep the answer to an accepted request."""
    with transaction(connection, durable=False):
        connection.execute("UPDATE audit SET answer = ? WHERE id = ? AND outcome = 'accepted'", (answer, receipt_id))


def request(connection: sqlite3.Connection, request_id: str) -> tuple[AuditEntry, tuple[Edit, ...]] | None:
    """Return the accepted request of an id, and the edits it added, as they were then."""
    if not request_id:
        return None
    found = audit(connection, "WHERE request_id = ? AND request_id <> '' AND outcome = 'accepted'", (request_id,))
    if not found:
        return None
    added = records(connection, "WHERE audit_id = ? AND event = 'added' ORDER BY id", (found[0].id,))
    return found[0], tuple(record.edit for record in added)


def confirm(connection: sqlite3.Connection, receipt_id: int, confirmation: Mutation) -> bool:
    """Confirm a request; see `Store.confirm`."""
    with transaction(connection):
        cursor = connection.execute(
            "UPDATE audit SET confirm_by = NULL WHERE id = ? AND confirm_by IS NOT NULL", (receipt_id,)
        )
        if cursor.rowcount:
            _insert_audit(connection, confirmation, "accepted", "", None)
        return bool(cursor.rowcount)


def settle(connection: sqlite3.Connection, merged: Merged, time: float) -> None:
    """Put on record what a merge found; see `Store.settle`."""
    known = {row[0]: row[1:] for row in connection.execute("SELECT id, parent, orphaned FROM runtime_edits")}
    moved = [edit for edit in merged.kept if known.get(edit.id) not in (None, (edit.parent, edit.orphaned))]
    superseded = [(verdict.edit, verdict.why) for verdict in merged.superseded if verdict.edit.id in known]
    expired = [(edit, "its time is over") for edit in merged.expired if edit.id in known]
    if moved or superseded or expired:
        with transaction(connection):
            edit_rows.remember_parents(connection, moved)
            _end(connection, "superseded", superseded, time, None)
            _end(connection, "expired", expired, time, None)


def _end(
    connection: sqlite3.Connection,
    event: EditOutcome,
    ended: Iterable[tuple[Edit, str]],
    time: float,
    audit_id: int | None,
) -> None:
    """Remove edits, and put on record what ended each, and why."""
    ended = tuple(ended)
    if ended:
        edit_rows.delete(connection, (edit for edit, _ in ended))
    for edit, detail in ended:
        _record(connection, event, edit, time, detail, audit_id)


def _record(
    connection: sqlite3.Connection, event: EditOutcome, edit: Edit, time: float, detail: str, audit_id: int | None
) -> None:
    connection.execute(
        "INSERT INTO edit_history (edit_id, event, time, detail, audit_id, edit) VALUES (?, ?, ?, ?, ?, ?)",
        (edit.id, event, time, detail, audit_id, edit_codec.encode(edit).decode()),
    )


def records(connection: sqlite3.Connection, where: str, parameters: Sequence[object]) -> tuple[Record, ...]:
    """Return the records that fit a condition in SQL."""
    query = f"SELECT id, event, time, detail, audit_id, edit FROM edit_history {where}"  # noqa: S608 - this module's own conditions
    return tuple(
        Record(number, event, time, detail, audit_id, edit_codec.decode(edit))
        for number, event, time, detail, audit_id, edit in connection.execute(query, parameters)
    )


def _insert_audit(
    connection: sqlite3.Connection, mutation: Mutation, outcome: Outcome, detail: str, confirm_by: float | None
) -> int:
    if outcome == "accepted" and request(connection, mutation.request_id) is not None:
        raise DuplicateRequestError(f"the request {mutation.request_id} has been accepted before")
    columns = {**msgspec.structs.asdict(mutation), "outcome": outcome, "detail": detail, "confirm_by": confirm_by}
    cursor = connection.execute(
        f"INSERT INTO audit ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})",  # noqa: S608 - field names
        tuple(columns.values()),
    )
    return int(cursor.lastrowid or 0)


def audit(connection: sqlite3.Connection, where: str, parameters: Sequence[object] = ()) -> tuple[AuditEntry, ...]:
    """Return the requests that fit a condition in SQL."""
    names = Mutation.__struct_fields__
    query = f"SELECT id, outcome, detail, answer, confirm_by, {', '.join(names)} FROM audit {where}"  # noqa: S608 - likewise
    entries = []
    for entry_id, outcome, detail, answer, confirm_by, *rest in connection.execute(query, parameters):
        mutation = msgspec.convert(dict(zip(names, rest, strict=True)), Mutation, strict=False)
        entries.append(AuditEntry(entry_id, mutation, outcome, detail, answer, confirm_by))
    return tuple(entries)
