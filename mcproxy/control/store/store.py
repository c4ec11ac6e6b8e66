"""The store: runtime edits and what became of each, the audit of all requests, and the revisions that were live.

A request that changes something is one transaction: its edits, their history and its line in the audit are there
together or not at all, and on the disk when the call returns. It is written before it is applied; if applying fails,
`Store.withdraw` undoes it, which is on record too. An edit is never simply gone: whatever ends it leaves a record with
the whole edit in it.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path

from mcproxy.control.store import backup, edit_rows, ledger, revisions
from mcproxy.control.store.acme import orders
from mcproxy.control.store.database import BUSY_TIMEOUT, Database
from mcproxy.control.store.guard import watches
from mcproxy.control.store.guard.watches import Verdict
from mcproxy.control.store.ledger import AuditEntry, Elsewhere, Mutation, Receipt, Record
from mcproxy.control.store.revisions import UNDECLARED, Declared, Past, Revision, RevisionDetail
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.state.kinds import KindName
from mcproxy.model.state.plan import Plan
from mcproxy.model.state.state import RouteKey, State
from mcproxy.policy.acme.record import Record as OrderRecord
from mcproxy.policy.guard.watch import Watch

_INT64_MAX = 2**63 - 1


class Store:
    """The database of one control; all methods raise `StoreError` when the database can't do it, and then did nothing.

    Attributes:
        path: of the database.
        made: there was no database, and an empty one was made.
        set_aside: where a damaged database was moved on opening; the operator must be told. None if it was sound.
    """

    def __init__(self, database: Database) -> None:
        """Take over an open database; see `open`."""
        self._database = database
        self._latest: RevisionDetail | None = None
        self.path = database.path
        self.made = database.made
        self.set_aside = database.set_aside

    @classmethod
    async def open(cls, path: Path, *, now: float, busy_timeout: float = BUSY_TIMEOUT) -> "Store":
        """Open or make the database at ``path``; see `Database.open`."""
        return cls(await Database.open(path, now, busy_timeout))

    @classmethod
    async def open_copy(cls, path: Path) -> "Store":
        """Open a copy in memory of the database at ``path``; see `Database.open_copy`."""
        return cls(await Database.open_copy(path))

    @property
    def lost(self) -> bool:
        """Whether what is open is not what is at the path any more: it must be opened anew."""
        return self._database.lost

    async def close(self) -> None:
        """Close the database, when all work before is done."""
        await self._database.close()

    async def backup(self) -> AsyncIterator[bytes]:
        """Yield a backup of the database, as it is now, piece by piece; it is a database of its own."""
        await self._database.check()
        async for piece in backup.pieces(self.path, self._database.busy_timeout):
            yield piece

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
        elsewhere: Sequence[Elsewhere] = (),
    ) -> Receipt:
        """Accept a request: first remove edits, by id, then add others; an edit of the same resource is replaced.

        Args:
            mutation: the request.
            add: the new edits, each with 0 as id.
            remove: ids of edits to revert.
            confirm_by: the request is to be withdrawn unless it is confirmed by then, in seconds since the epoch.
            elsewhere: what it has done to edits that are kept elsewhere.

        Raises:
            DuplicateRequestError: the request's id has been accepted before; see `request`.
            NoSuchEditError: one of the edits to revert is not there.
        """
        return await self._database.run(ledger.mutate, mutation, add, remove, confirm_by, elsewhere)

    async def note(self, elsewhere: Sequence[Elsewhere], time: float) -> None:
        """Put on record what happened to edits that are kept elsewhere, and that no request has done here."""
        await self._database.run(ledger.note, elsewhere, time)

    async def of_request(self, receipt_id: int) -> tuple[Record, ...]:
        """Return what an accepted request did to edits, in order."""
        return await self._database.run(ledger.records, "WHERE audit_id = ? ORDER BY id", (receipt_id,))

    async def refuse(self, mutation: Mutation, detail: str) -> None:
        """Put a request on record that was refused before it came to the store."""
        await self._database.run(ledger.refuse, mutation, detail)

    async def withdraw(self, receipt_id: int, *, detail: str, time: float) -> None:
        """Undo an accepted request: its edits go, and those it ended return, unless newer ones took their place.

        Its request id is free again. A request that is not accepted, or was withdrawn before, stays as it is.
        """
        await self._database.run(ledger.withdraw, receipt_id, detail, time)

    async def answer(self, receipt_id: int, answer: bytes) -> None:
        """Keep what the client is answered, for a retry of the request."""
        await self._database.run(ledger.answer, receipt_id, answer)

    async def request(self, request_id: str) -> tuple[AuditEntry, tuple[Edit, ...]] | None:
        """Return the accepted request of an id, and the edits it added, as they were then; None if there is none.

        Its answer is None when it was not yet live; then it is to be answered when it is.
        """
        return await self._database.run(ledger.request, request_id)

    async def unconfirmed(self) -> tuple[AuditEntry, ...]:
        """Return the accepted requests that wait for a confirmation, the one to be withdrawn first in front."""
        return await self._database.run(ledger.audit, "WHERE confirm_by IS NOT NULL ORDER BY confirm_by, id")

    async def confirm(self, receipt_id: int, confirmation: Mutation) -> bool:
        """Confirm a request, and put on record who did; return False if it does not wait for that (any more)."""
        return await self._database.run(ledger.confirm, receipt_id, confirmation)

    async def settle(self, merged: Merged, time: float) -> None:
        """Put on record what a merge found: superseded and expired edits end, the others remember their parents."""
        await self._database.run(ledger.settle, merged, time)

    async def record_revision(
        self,
        revision: Revision,
        state: State,
        plan: Plan,
        *,
        keep: int,
        declared: Declared = UNDECLARED,
        unkept: int | None = None,
    ) -> None:
        """Keep a generation that became live; see `revisions.record`."""
        self._latest = None
        await self._database.run(revisions.record, revision, state, plan, keep, declared, unkept)

    async def label(self, generation: int, label: str) -> None:
        """Say why a kept generation came about."""
        self._latest = None
        await self._database.run(revisions.label, generation, label)

    async def revisions(self, *, limit: int = 100, before: int = _INT64_MAX) -> tuple[Revision, ...]:
        """Return up to ``limit`` revisions below the generation ``before``, newest first."""
        return await self._database.run(revisions.revisions, limit, before)

    async def revision(self, generation: int) -> RevisionDetail | None:
        """Return one revision with its state and plan; None if it is not there (any more).

        The last one is remembered, for whoever asks about many moments of it.
        """
        if self._latest is None or self._latest.revision.generation != generation:
            self._latest = await self._database.run(revisions.revision, generation)
        return self._latest

    async def outline(self, generation: int) -> tuple[Revision, tuple[str, ...]] | None:
        """Return one revision with the lines of its plan alone; None if it is not there (any more)."""
        return await self._database.run(revisions.outline, generation)

    async def generation_of(self, generation: int) -> int | None:
        """Return which kept generation served what another did; see `revisions.generation_of`."""
        return await self._database.run(revisions.generation_of, generation)

    async def generation_at(self, time: float) -> int | None:
        """Return which generation was live at a time; see `revisions.generation_at`."""
        return await self._database.run(revisions.generation_at, time)

    async def last_changes(self, routes: Collection[RouteKey]) -> dict[RouteKey, Revision]:
        """Return the last generation that changed each route; see `revisions.last_changes`."""
        return await self._database.run(revisions.last_changes, routes)

    async def past(self, kind: KindName, key: Sequence[str]) -> Past:
        """Return what is known of a resource's past."""
        return await self._database.run(revisions.past, kind, key)

    async def history(
        self, *, edit_id: int | None = None, limit: int = 100, before: int = _INT64_MAX
    ) -> tuple[Record, ...]:
        """Return up to ``limit`` records below the id ``before``, newest first; those of one edit, or of all."""
        where = "" if edit_id is None else "AND edit_id = ?"
        parameters = (min(before, _INT64_MAX), *(() if edit_id is None else (min(edit_id, _INT64_MAX),)), limit)
        return await self._database.run(ledger.records, f"WHERE id < ? {where} ORDER BY id DESC LIMIT ?", parameters)

    async def audit(self, *, limit: int = 100, before: int = _INT64_MAX) -> tuple[AuditEntry, ...]:
        """Return up to ``limit`` requests below the id ``before``, newest first."""
        parameters = (min(before, _INT64_MAX), limit)
        return await self._database.run(ledger.audit, "WHERE id < ? ORDER BY id DESC LIMIT ?", parameters)

    async def keep_watch(self, watch: Watch) -> int:
        """Keep what the guard watches for the next control, or what it has become; return its id."""
        return await self._database.run(watches.keep, watch)

    async def end_watch(self, watch: Watch, verdict: Verdict, *, over: bool) -> None:
        """Put on record what became of a watch, or of some of its parts if it is not ``over``."""
        await self._database.run(watches.end, watch, verdict, over=over)

    async def watches(self) -> tuple[Watch, ...]:
        """Return what the guard watches."""
        return await self._database.run(watches.load)

    async def verdicts(self, limit: int) -> tuple[Verdict, ...]:
        """Return what became of the last watches, newest first."""
        return await self._database.run(watches.verdicts, limit)

    async def order_records(self) -> tuple[OrderRecord, ...]:
        """Return what is kept of each name for which certificates are ordered."""
        return await self._database.run(orders.records)

    async def keep_order(self, record: OrderRecord) -> None:
        """Put a name's record in the place of the earlier one."""
        await self._database.run(orders.save, record)

    async def forget_order(self, name: str) -> None:
        """Remove a name's record."""
        await self._database.run(orders.forget, name)

    async def count_order(self, at: float) -> None:
        """Note that an order is begun, at a time in seconds since the epoch."""
        await self._database.run(orders.count, at)

    async def orders_since(self, at: float) -> Sequence[float]:
        """Return when orders were begun, of those later than a time; earlier ones are forgotten."""
        return await self._database.run(orders.begun_since, at)
