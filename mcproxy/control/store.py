"""The store: runtime edits and what became of each, the audit of all requests, and the revisions that were live.

A request that changes something is one transaction: its edits, their history and its line in the audit are there
together or not at all, and on the disk when the call returns. It is written before it is applied; if applying fails,
`Store.withdraw` undoes it, which is on record too. An edit is never simply gone: whatever ends it leaves a record with
the whole edit in it.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from mcproxy.control import edit_rows
from mcproxy.control.database import BUSY_TIMEOUT, Database, StoreError
from mcproxy.control.transactions import transaction
from mcproxy.model import edits as edit_codec
from mcproxy.model.edits import Edit
from mcproxy.model.overlay import Merged
from mcproxy.model.plan import Plan
from mcproxy.model.state import State

Event: TypeAlias = Literal["added", "restored", "replaced", "reverted", "superseded", "expired", "withdrawn"]
Outcome: TypeAlias = Literal["accepted", "refused", "withdrawn"]

_INT64_MAX = 2**63 - 1
_COMPRESSION = 1  # a tenth of the size already; more takes long for 10,000 routes


class DuplicateRequestError(StoreError):
    """A request with this id has been accepted before; its answer is to be given again."""


class NoSuchEditError(StoreError):
    """The edit is not there (any more)."""


class Mutation(msgspec.Struct, frozen=True, kw_only=True):
    """A request to change something, as the audit keeps it.

    Attributes:
        time: when it came, in seconds since the epoch.
        action: what it asks for, the name of the RPC.
        target: the resource, readable.
        author: who asks.
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
    event: Event
    time: float
    detail: str
    audit_id: int | None
    edit: Edit


class Revision(msgspec.Struct, frozen=True):
    """A generation that was live.

    Attributes:
        generation: its number.
        time: when it became live, in seconds since the epoch.
        origin: what brought it about, such as "file", "api", "rollback" or "expiry".
        author: of the request, if there was one.
        file_sha256: of the config file, in hex.
        summary: of the plan.
    """

    generation: int
    time: float
    origin: str
    author: str
    file_sha256: str
    summary: str


class RevisionDetail(msgspec.Struct, frozen=True):
    """A generation with all it contained; ``plan`` is `Plan.builtins`, with the plan's lines as ``lines``."""

    revision: Revision
    state: State
    plan: dict[str, Any]


class Store:
    """The database of one control; all methods raise `StoreError` when the database can't do it, and then did nothing.

    Attributes:
        path: of the database.
        set_aside: where a damaged database was moved on opening; the operator must be told. None if it was sound.
    """

    def __init__(self, database: Database) -> None:
        """Take over an open database; see `open`."""
        self._database = database
        self.path = database.path
        self.set_aside = database.set_aside

    @classmethod
    async def open(cls, path: Path, *, now: float, busy_timeout: float = BUSY_TIMEOUT) -> "Store":
        """Open or make the database at ``path``; see `Database.open`."""
        return cls(await Database.open(path, now, busy_timeout))

    async def close(self) -> None:
        """Close the database, when all work before is done."""
        await self._database.close()

    async def edits(self) -> tuple[Edit, ...]:
        """Return all edits, by id."""
        return await self._database.run(edit_rows.load)

    async def mutate(
        self,
        mutation: Mutation,
        *,
        add: Sequence[Edit] = (),
        remove: Sequence[int] = (),
        confirm_by: float | None = None,
    ) -> Receipt:
        """Accept a request: first remove edits, by id, then add others; an edit of the same resource is replaced.

        Args:
            mutation: the request.
            add: the new edits, each with 0 as id.
            remove: ids of edits to revert.
            confirm_by: the request is to be withdrawn unless it is confirmed by then, in seconds since the epoch.

        Raises:
            DuplicateRequestError: the request's id has been accepted before; see `request`.
            NoSuchEditError: one of the edits to revert is not there.
        """
        return await self._database.run(_mutate, mutation, add, remove, confirm_by)

    async def refuse(self, mutation: Mutation, detail: str) -> None:
        """Put a request on record that was refused before it came to the store."""
        await self._database.run(_refuse, mutation, detail)

    async def withdraw(self, receipt_id: int, *, detail: str, time: float) -> None:
        """Undo an accepted request: its edits go, and those it ended return, unless newer ones took their place.

        Its request id is free again. A request that is not accepted, or was withdrawn before, stays as it is.
        """
        await self._database.run(_withdraw, receipt_id, detail, time)

    async def answer(self, receipt_id: int, answer: bytes) -> None:
        """Keep what the client is answered, for a retry of the request."""
        await self._database.run(_answer, receipt_id, answer)

    async def request(self, request_id: str) -> tuple[AuditEntry, tuple[Edit, ...]] | None:
        """Return the accepted request of an id, and the edits it added, as they were then; None if there is none.

        Its answer is None when it was not yet live; then it is to be answered when it is.
        """
        return await self._database.run(_request, request_id)

    async def unconfirmed(self) -> tuple[AuditEntry, ...]:
        """Return the accepted requests that wait for a confirmation, the one to be withdrawn first in front."""
        return await self._database.run(_audit, "WHERE confirm_by IS NOT NULL ORDER BY confirm_by, id")

    async def confirm(self, receipt_id: int) -> bool:
        """Confirm a request; return False if it does not wait for that (any more)."""
        return await self._database.run(_confirm, receipt_id)

    async def settle(self, merged: Merged, time: float) -> None:
        """Put on record what a merge found: superseded and expired edits end, the others remember their parents."""
        await self._database.run(_settle, merged, time)

    async def record_revision(self, revision: Revision, state: State, plan: Plan, *, keep: int) -> None:
        """Keep a generation that became live, and of all only the last ``keep``, at least one."""
        await self._database.run(_record_revision, revision, state, plan, keep)

    async def revisions(self, *, limit: int = 100, before: int = _INT64_MAX) -> tuple[Revision, ...]:
        """Return up to ``limit`` revisions below the generation ``before``, newest first."""
        return await self._database.run(_revisions, limit, before)

    async def revision(self, generation: int) -> RevisionDetail | None:
        """Return one revision with its state and plan; None if it is not there (any more)."""
        return await self._database.run(_revision, generation)

    async def history(
        self, *, edit_id: int | None = None, limit: int = 100, before: int = _INT64_MAX
    ) -> tuple[Record, ...]:
        """Return up to ``limit`` records below the id ``before``, newest first; those of one edit, or of all."""
        where = "" if edit_id is None else "AND edit_id = ?"
        parameters = (min(before, _INT64_MAX), *(() if edit_id is None else (edit_id,)), limit)
        return await self._database.run(_records, f"WHERE id < ? {where} ORDER BY id DESC LIMIT ?", parameters)

    async def audit(self, *, limit: int = 100, before: int = _INT64_MAX) -> tuple[AuditEntry, ...]:
        """Return up to ``limit`` requests below the id ``before``, newest first."""
        parameters = (min(before, _INT64_MAX), limit)
        return await self._database.run(_audit, "WHERE id < ? ORDER BY id DESC LIMIT ?", parameters)


def _mutate(
    connection: sqlite3.Connection,
    mutation: Mutation,
    add: Sequence[Edit],
    remove: Sequence[int],
    confirm_by: float | None,
) -> Receipt:
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
        return Receipt(audit_id, tuple(added))


def _refuse(connection: sqlite3.Connection, mutation: Mutation, detail: str) -> None:
    with transaction(connection, durable=False):
        _insert_audit(connection, mutation, "refused", detail, None)


def _withdraw(connection: sqlite3.Connection, receipt_id: int, detail: str, time: float) -> None:
    with transaction(connection):
        cursor = connection.execute(
            "UPDATE audit SET outcome = 'withdrawn', detail = ?, answer = NULL, confirm_by = NULL"
            " WHERE id = ? AND outcome = 'accepted'",
            (detail, receipt_id),
        )
        if not cursor.rowcount:
            return
        records = _records(connection, "WHERE audit_id = ? ORDER BY id", (receipt_id,))
        present = (edit_rows.find(connection, record.edit.id) for record in records if record.event == "added")
        _end(connection, "withdrawn", [(edit, detail) for edit in present if edit is not None], time, receipt_id)
        for record in records:
            edit = record.edit
            if record.event in ("replaced", "reverted") and edit_rows.find_key(connection, edit.kind, edit.key) is None:
                edit_rows.insert(connection, edit)
                _record(connection, "restored", edit, time, detail, receipt_id)


def _answer(connection: sqlite3.Connection, receipt_id: int, answer: bytes) -> None:
    with transaction(connection, durable=False):
        connection.execute("UPDATE audit SET answer = ? WHERE id = ? AND outcome = 'accepted'", (answer, receipt_id))


def _request(connection: sqlite3.Connection, request_id: str) -> tuple[AuditEntry, tuple[Edit, ...]] | None:
    if not request_id:
        return None
    found = _audit(connection, "WHERE request_id = ? AND request_id <> '' AND outcome = 'accepted'", (request_id,))
    if not found:
        return None
    records = _records(connection, "WHERE audit_id = ? AND event = 'added' ORDER BY id", (found[0].id,))
    return found[0], tuple(record.edit for record in records)


def _confirm(connection: sqlite3.Connection, receipt_id: int) -> bool:
    with transaction(connection):
        cursor = connection.execute(
            "UPDATE audit SET confirm_by = NULL WHERE id = ? AND confirm_by IS NOT NULL", (receipt_id,)
        )
        return bool(cursor.rowcount)


def _settle(connection: sqlite3.Connection, merged: Merged, time: float) -> None:
    known = {row[0]: row[1:] for row in connection.execute("SELECT id, parent, orphaned FROM edits")}
    moved = [edit for edit in merged.kept if known.get(edit.id) not in (None, (edit.parent, edit.orphaned))]
    superseded = [(verdict.edit, verdict.why) for verdict in merged.superseded if verdict.edit.id in known]
    expired = [(edit, "its time is over") for edit in merged.expired if edit.id in known]
    if moved or superseded or expired:
        with transaction(connection):
            edit_rows.remember_parents(connection, moved)
            _end(connection, "superseded", superseded, time, None)
            _end(connection, "expired", expired, time, None)


def _end(
    connection: sqlite3.Connection, event: Event, ended: Iterable[tuple[Edit, str]], time: float, audit_id: int | None
) -> None:
    """Remove edits, and put on record what ended each, and why."""
    ended = tuple(ended)
    if ended:
        edit_rows.delete(connection, (edit for edit, _ in ended))
    for edit, detail in ended:
        _record(connection, event, edit, time, detail, audit_id)


def _record(
    connection: sqlite3.Connection, event: Event, edit: Edit, time: float, detail: str, audit_id: int | None
) -> None:
    connection.execute(
        "INSERT INTO edit_history (edit_id, event, time, detail, audit_id, edit) VALUES (?, ?, ?, ?, ?, ?)",
        (edit.id, event, time, detail, audit_id, edit_codec.encode(edit).decode()),
    )


def _records(connection: sqlite3.Connection, where: str, parameters: Sequence[object]) -> tuple[Record, ...]:
    query = f"SELECT id, event, time, detail, audit_id, edit FROM edit_history {where}"  # noqa: S608 - this module's own conditions
    return tuple(Record(*row[:5], edit_codec.decode(row[5])) for row in connection.execute(query, parameters))


def _insert_audit(
    connection: sqlite3.Connection, mutation: Mutation, outcome: Outcome, detail: str, confirm_by: float | None
) -> int:
    if outcome == "accepted" and _request(connection, mutation.request_id) is not None:
        raise DuplicateRequestError(f"the request {mutation.request_id} has been accepted before")
    columns = {**msgspec.structs.asdict(mutation), "outcome": outcome, "detail": detail, "confirm_by": confirm_by}
    cursor = connection.execute(
        f"INSERT INTO audit ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})",  # noqa: S608 - field names
        tuple(columns.values()),
    )
    return int(cursor.lastrowid or 0)


def _audit(connection: sqlite3.Connection, where: str, parameters: Sequence[object] = ()) -> tuple[AuditEntry, ...]:
    names = Mutation.__struct_fields__
    query = f"SELECT id, outcome, detail, answer, confirm_by, {', '.join(names)} FROM audit {where}"  # noqa: S608 - likewise
    entries = []
    for entry_id, outcome, detail, answer, confirm_by, *rest in connection.execute(query, parameters):
        mutation = msgspec.convert(dict(zip(names, rest, strict=True)), Mutation, strict=False)
        entries.append(AuditEntry(entry_id, mutation, outcome, detail, answer, confirm_by))
    return tuple(entries)


def _record_revision(connection: sqlite3.Connection, revision: Revision, state: State, plan: Plan, keep: int) -> None:
    detail = {**plan.builtins(), "lines": plan.lines()}
    packed = [
        zlib.compress(data, _COMPRESSION) for data in (msgspec.msgpack.encode(state), msgspec.json.encode(detail))
    ]
    with transaction(connection, durable=False):
        connection.execute(
            "INSERT INTO revisions (generation, time, origin, author, file_sha256, summary, state, plan)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*msgspec.structs.astuple(revision), *packed),
        )
        connection.execute(
            "DELETE FROM revisions WHERE generation <= (SELECT generation FROM revisions ORDER BY generation DESC"
            " LIMIT 1 OFFSET ?)",
            (max(keep, 1),),
        )


_REVISION = "SELECT generation, time, origin, author, file_sha256, summary"


def _revisions(connection: sqlite3.Connection, limit: int, before: int) -> tuple[Revision, ...]:
    query = f"{_REVISION} FROM revisions WHERE generation < ? ORDER BY generation DESC LIMIT ?"
    return tuple(Revision(*row) for row in connection.execute(query, (min(before, _INT64_MAX), limit)))


def _revision(connection: sqlite3.Connection, generation: int) -> RevisionDetail | None:
    if generation > _INT64_MAX:
        return None
    query = f"{_REVISION}, state, plan FROM revisions WHERE generation = ?"
    row = connection.execute(query, (generation,)).fetchone()
    if row is None:
        return None
    state = msgspec.msgpack.decode(zlib.decompress(row[-2]), type=State)
    return RevisionDetail(Revision(*row[:-2]), state, msgspec.json.decode(zlib.decompress(row[-1])))
