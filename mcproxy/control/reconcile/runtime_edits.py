"""The runtime edits of this control: kept in memory, and in the store as soon as there is one.

A database that can't be opened does not keep the proxy from serving its file: it is tried again at every look, and until
then no edit can be made.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.reconcile.shared.edits import SharedEdits
from mcproxy.control.reconcile.shared.requests import is_own, withdraw
from mcproxy.control.store.database import BUSY_TIMEOUT
from mcproxy.control.store.errors import StoreBusyError, StoreError, StoreFormatError
from mcproxy.control.store.ledger import AuditEntry, Mutation, Receipt
from mcproxy.control.store.store import Store
from mcproxy.control.system import log
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Merged, merge
from mcproxy.model.edits.requests import edit_name
from mcproxy.model.fleet.records import is_shared
from mcproxy.model.state.kinds import name_of
from mcproxy.model.state.state import State

_OPEN_TRIES = 3  # SQLite does not wait for every kind of lock


class RuntimeEdits:
    """Edits, and what a look at the file makes of them.

    Attributes:
        own: all that are kept here, by id.
        shared: those of the fleet, where this machine is a node of one.
        error: why edits can't be made or kept now; "" when all is well.
        set_aside: where a damaged database was moved; "" if it was sound.
        replaced: what became of a database that was moved, deleted or replaced; "" if none was.
        vetted: the files that the edits name have been looked at since they were loaded.
    """

    def __init__(self, path: Path, busy_timeout: float = BUSY_TIMEOUT, fleet: Fleet | None = None) -> None:
        """Start with no edits; `open` loads them from the database at ``path``, waiting so many seconds for locks; ``fleet`` has more of them."""
        self._path = path
        self._busy_timeout = busy_timeout
        self._store: Store | None = None
        self._unsettled: list[tuple[Merged, float]] = []
        self._unusable: dict[int, str] = {}
        self._suspended: dict[int, str] = {}
        self._log = log.logger()
        self._told: set[int] = set()
        self.own: tuple[Edit, ...] = ()
        self.shared = SharedEdits(Fleet() if fleet is None else fleet, lambda: self.own)
        self.error = "the database is not open yet"
        self.set_aside = ""
        self.replaced = ""
        self._lost = False
        self.vetted = False

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits, by id, by what is in effect; one of this node alone stands in the place of the fleet's."""
        return self._with(self.shared.file)

    @property
    def path(self) -> Path:
        """The database's file."""
        return self._path

    @property
    def store(self) -> Store:
        """The store; raises `StoreError` when there is none now."""
        if self._store is None:
            raise StoreError(self.error)
        return self._store

    def require(self) -> None:
        """Raise `StoreError` when there is no store now."""
        _ = self.store

    @property
    def is_open(self) -> bool:
        """Whether there is a store, of the files that the next control will read."""
        return self._store is not None and not self._store.lost

    async def open(self) -> bool:
        """Open the store if it is not, and load its edits; tell whether it has been opened just now.

        Raises:
            StoreFormatError: the database is a newer mcproxy's or another program's: nobody but the operator can help.
        """
        if self.is_open:
            return False
        await self._leave()
        tries = _OPEN_TRIES if self.error.endswith("not open yet") else 1
        try:
            store = await self._opened(tries)
            gone = self._lost and (store.made or store.set_aside is not None)
            self.own = await self._loaded(store, self.own if gone else ())
        except StoreFormatError:
            raise
        except StoreError as error:
            if str(error) != self.error:
                self._log.error("runtime edits are not in effect, and none can be made: the database can't be opened")
                self._log.error(str(error))
            self.error = str(error)
            return False
        self._store, self.error, self.vetted = store, "", False
        if self._lost:
            self._lost = False
            self.replaced = (
                f"the database was moved, deleted or damaged while it was used, and made anew with the {len(self.own)} runtime edits "
                "in effect; its history and audit begin anew"
                if gone
                else f"the database was replaced while it was used; the {len(self.own)} runtime edits in what is there now count"
            )
            self._log.error(self.replaced, database=str(self._path))
        if store.set_aside is not None:
            self.set_aside = str(store.set_aside)
            self._log.error(
                "the database was damaged; serving from the file, without the runtime edits it held",
                set_aside=self.set_aside,
            )
        return True

    async def open_copy(self) -> None:
        """Load the edits of a database that another control uses from a copy in memory, and change that alone; see `keep`.

        Raises:
            StoreError: the database can't be read.
        """
        self._store = await Store.open_copy(self._path)
        self.own, self.error = await self._store.edits(), ""

    async def keep(self, merged: Merged) -> None:
        """Go on with the database itself, now that no other control uses it, and with the edits that a merge has kept."""
        await self.close()
        self.error = "the database is not open yet"
        try:
            await self.open()
        except StoreError as error:
            self.error = str(error)
            self._log.error("no runtime edit can be made, and none is kept any more", error=self.error)
        await self.settle(merged)

    async def _opened(self, tries: int) -> Store:
        patience = time.monotonic() + self._busy_timeout
        while True:
            tries -= 1
            try:
                return await Store.open(self._path, now=time.time(), busy_timeout=self._busy_timeout)
            except StoreBusyError:
                if not tries or time.monotonic() >= patience:  # the proxy does not serve before
                    raise
                await asyncio.sleep(0)

    async def _leave(self) -> None:
        """Close a database whose files are not those at its path any more."""
        if self._store is not None:
            self._lost = True
            self._unsettled.clear()
            self._unusable.clear()
            await self._store.close()
            self._store = None

    @staticmethod
    async def _loaded(store: Store, lost: Sequence[Edit]) -> tuple[Edit, ...]:
        """Return the edits of a database, after those are added to it that another has lost."""
        try:
            if lost:
                why = Mutation(
                    time=time.time(), action="KeepEdits", reason="the database was moved, deleted or damaged"
                )
                await store.mutate(why, add=[msgspec.structs.replace(edit, id=0) for edit in lost])
            return await store.edits()
        except StoreError:
            await store.close()
            raise

    async def last_generation(self) -> int:
        """Return the newest generation in the history; 0 when there is none, or no store."""
        if self._store is None:
            return 0
        newest = await self._store.revisions(limit=1)
        return newest[0].generation if newest else 0

    async def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            await self._store.close()
            self._store = None

    def merge(self, file: State) -> Merged:
        """Return what a file and the edits mean together now; the file need not be in effect, nor ever be."""
        return merge(file, self._with(file), time.time(), self._unusable)

    def _with(self, file: State) -> tuple[Edit, ...]:
        return (*self.own, *self.shared.local(file, self.own))

    def for_export(self, file: State) -> Merged:
        """Return what the files are to say: of the edits of a fleet's node those that all nodes have, and those of its own tables."""
        if self.shared.fleet.node is None:
            return self.merge(file)
        own = [edit for edit in self.own if is_own(edit)]
        return merge(file, (*own, *self.shared.all_local(file)), time.time(), self._unusable)

    def suspend(self, reasons: dict[int, str]) -> None:
        """Leave edits without effect until control is restarted, by id and with why: the files they name are not right."""
        self._unusable |= reasons
        self.vetted = True

    async def settle(self, merged: Merged, *, lasting: bool = True) -> None:
        """Keep what a merge has kept, and put on record what it has ended.

        Args:
            merged: of the files that are in effect.
            lasting: what the files say holds for good: they have no document of a fleet that is on trial here, and may be taken back.
        """
        over = (*(verdict.edit.id for verdict in merged.superseded), *(edit.id for edit in merged.expired))
        what = "superseded" if lasting else "without effect while a document is on trial"
        for verdict in merged.superseded:
            edit = verdict.edit
            if edit.id in self._told:
                continue  # it is the fleet's, whose store still has it, or comes back
            self._log.warning(
                f"{what}: the runtime edit of {name_of(edit.kind, edit.key)}", edit=edit_name(edit), why=verdict.why
            )
        known, self._suspended = self._suspended, {verdict.edit.id: verdict.why for verdict in merged.suspended}
        for edit, why in ((verdict.edit, verdict.why) for verdict in merged.suspended):
            if known.get(edit.id) != why:
                name = name_of(edit.kind, edit.key)
                self._log.warning(f"without effect: the runtime edit of {name}", edit=edit_name(edit), why=why)
        for edit in merged.expired:
            if edit.id not in self._told:
                self._log.info(f"expired: the runtime edit of {name_of(edit.kind, edit.key)}", edit=edit_name(edit))
        held = () if lasting else tuple(verdict.edit for verdict in merged.superseded)
        self._told = {edit_id for edit_id in over if is_shared(edit_id)} | {edit.id for edit in held}
        merged = msgspec.structs.replace(merged, superseded=merged.superseded if lasting else ())
        own = (edit for edit in (*merged.kept, *held) if not is_shared(edit.id))
        self.own = tuple(sorted(own, key=lambda edit: edit.id))
        if self._store is None:
            return
        self._unsettled.append((merged, time.time()))
        try:
            while self._unsettled:
                await self._store.settle(*self._unsettled[0])
                self._unsettled.pop(0)
            self.error = ""
        except StoreError as error:
            # What has ended stays ended here; the record is made up for at the next look.
            self.error = str(error)
            self._log.error("what became of runtime edits can't be put on record yet", error=str(error))

    def accepted(self, receipt: Receipt, ended: tuple[int, ...]) -> None:
        """Take over what the store has accepted: edits it added, and ids of those it ended."""
        new = {(edit.kind, edit.key) for edit in receipt.edits}
        kept = [edit for edit in self.own if edit.id not in ended and (edit.kind, edit.key) not in new]
        self.own = tuple(sorted((*kept, *receipt.edits), key=lambda edit: edit.id))

    async def withdraw(self, receipt_id: int, why: str) -> None:
        """Undo a request that was accepted; raises UnavailableError when the fleet's store, which has its edits, is away."""
        done = await self.store.of_request(receipt_id)
        await withdraw(self.shared, [(record.event, record.edit) for record in done])
        await self.store.withdraw(receipt_id, detail=why, time=time.time())
        self.own = await self.store.edits()

    async def note_shared(self) -> None:
        """Put on record what has come and gone of the fleet's edits."""
        notes = self.shared.news()
        if notes and self._store is not None:
            with contextlib.suppress(StoreError):  # what is wrong with the database is told where it matters
                await self._store.note([(note.event, note.edit, note.detail) for note in notes], time.time())

    async def withdraw_unconfirmed(self) -> tuple[AuditEntry, ...]:
        """Undo the requests whose time for a confirmation is over; return them."""
        if self._store is None:
            return ()
        now = time.time()
        overdue = tuple(
            entry
            for entry in await self._store.unconfirmed()
            if entry.confirm_by is not None and entry.confirm_by <= now
        )
        for entry in overdue:
            await self.withdraw(entry.id, "it was not confirmed in time")
        return overdue

    async def next_moment(self, merged: Merged) -> float | None:
        """Return when time alone will change something, in seconds since the epoch: an expiry, or a missing confirmation."""
        moments = [] if merged.next_expiry is None else [merged.next_expiry]
        if self._store is not None:
            waiting = await self._store.unconfirmed()
            moments += [entry.confirm_by for entry in waiting if entry.confirm_by is not None]
        return min(moments, default=None)
