"""Changing what runs on an operator's request: judged, written, made live and answered, or nothing at all.

    same request_id? -> expected generation? -> judge -> write -> make live -> record -> answer

A request that can't be done is put on record as refused. One that was written but can't be made live is withdrawn. One
that control's death interrupts after it was written is live when the next control is: it happened wholly.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from mcproxy.control.files.assets import Assets
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.files.look import look
from mcproxy.control.reconcile.change.guarding import Asked
from mcproxy.control.reconcile.change.judging import Judge, Judged, Seen, drafted, look_at
from mcproxy.control.reconcile.change.request import Answer, ChangeRequest, ChangeResult, mutation_of
from mcproxy.control.reconcile.current import AT_START, Current
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.control.reconcile.shared.requests import (
    Made,
    OvertakenError,
    Parts,
    check_rollout,
    check_scope,
    make,
    parts_of,
    wait_for_all,
    withdraw,
)
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.ledger import Receipt
from mcproxy.control.system import log
from mcproxy.errors import (
    ApplyError,
    InvalidRequestError,
    McproxyError,
    NotFoundError,
    PreconditionError,
    RequestError,
    StaleGenerationError,
    UnavailableError,
)
from mcproxy.model.edits.judging import Violation
from mcproxy.model.edits.overlay import Merged, merge
from mcproxy.model.edits.requests import Draft, EditMetadata, View, check_effect, check_rollback, roll_back
from mcproxy.model.state.kinds import origin_key
from mcproxy.model.state.named_files import owners

_ORIGINS = {"Rollback": "rollback", "RevertEdit": "revert", "Guard": "guard"}
_UNWATCHED = Violation("options.guard", "nothing of this can be watched, so it stays whatever comes of it")
_TRIES = 20
_MAX_WHY = 8192  # characters of a refusal's reason that are put on record: a request may have keys of any length
T = TypeVar("T")


class ChangeHandler:
    """Does what operators ask, one request at a time."""

    def __init__(self, current: Current, reconciler: Reconciler) -> None:
        self._current = current
        self._reconciler = reconciler
        self._shared = current.edits.shared
        self._under_way: set[asyncio.Task[Any]] = set()
        self._log = log.logger()

    async def change(self, request: ChangeRequest, judge: Judge) -> ChangeResult:
        """Do what is asked; return when it is live in every worker.

        Whoever waits may be cancelled: what has begun is finished all the same.

        Raises:
            RequestError: it can't be done.
            ApplyError: it can't be made live.
            StoreError: the database can't be written now.
        """
        done = await self._shielded(self._change(request, judge, None))
        return await self._everywhere(request, done)

    async def roll_back(self, request: ChangeRequest, generation: int, confirm_seconds: float | None) -> ChangeResult:
        """Make an earlier generation's state live again; with ``confirm_seconds``, until then unless it is confirmed.

        Raises:
            NotFoundError: the generation is not in the history (any more).
            RequestError, ApplyError, StoreError: as `change`.
        """
        done = await self._shielded(self._roll_back(request, generation, confirm_seconds))
        return await self._everywhere(request, done)

    async def confirm(self, request: ChangeRequest, confirm_id: int) -> int:
        """Keep a rollback that waits for it (0: the one that does), and return the live generation.

        Raises:
            NotFoundError: nothing waits.
            InvalidRequestError: as ``asked`` says.
            StoreError: the database can't be written now.
        """
        return await self._shielded(self._confirm(request, confirm_id))

    async def withdraw(self, receipts: Sequence[int], why: str, author: str) -> None:
        """Undo accepted requests, the newest first, as one change.

        Raises:
            StoreError: the database can't be written now.
            ApplyError: it can't be made live without them now; it is tried again at the next look at the files.
        """
        await self._shielded(self._withdraw_all(receipts, why, author))

    async def _withdraw_all(self, receipts: Sequence[int], why: str, author: str) -> None:
        current = self._current
        async with current.lock:
            for number in receipts:
                await current.edits.withdraw(number, why)
            loaded = current.loaded
            if loaded is None:
                return
            try:
                merged = current.edits.merge(current.file)
                assets = current.assets_for(merged.state)
                if assets is None:
                    assets = await look(Assets, merged.state, current.applier.assets)
                await current.enact(loaded, merged, assets, origin="guard", author=author, label=why)
            except ApplyError:
                self._reconciler.wake()
                raise
            await self._reconciler.follow()

    async def _confirm(self, request: ChangeRequest, confirm_id: int) -> int:
        async with self._current.lock:
            store = self._current.edits.store
            waiting = {entry.id: entry.mutation for entry in await store.unconfirmed()}
            found = confirm_id or next(iter(waiting), 0)
            if found in waiting:
                request = msgspec.structs.replace(request, about=f"{waiting[found].action} {waiting[found].target}")
            try:
                if request.wrong:
                    raise InvalidRequestError(request.wrong)
                if found not in waiting or not await store.confirm(found, mutation_of(request)):
                    raise NotFoundError("no rollback waits for a confirmation")
            except RequestError as error:
                await self._refuse(request, str(error))
                raise
            await self._reconciler.follow()
            generation = self._current.applier.generation
            self._current.events.publish("confirm", "the rollback is confirmed", generation)
            return generation

    async def _everywhere(self, request: ChangeRequest, done: ChangeResult) -> ChangeResult:
        """Wait for the other nodes of the fleet, if that is asked for; those that are behind are warned of."""
        if not (request.wait and done.shared):
            return done
        behind = await wait_for_all(self._shared.fleet, done.shared, request.wait)
        return msgspec.structs.replace(done, warnings=(*done.warnings, *behind)) if behind else done

    async def _shielded(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._tell_abandoned)
            raise

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not self._current.edits.is_open:
            self._reconciler.wake()  # which opens the database (anew)

    def _tell_abandoned(self, task: asyncio.Task[Any]) -> None:
        """Tell how a request ended whose caller has gone."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.warning("a request failed after its caller had gone", error=str(error))

    async def finish(self) -> None:
        """Return when nothing is under way any more."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _roll_back(self, request: ChangeRequest, generation: int, confirm_seconds: float | None) -> ChangeResult:
        detail = await self._current.edits.store.revision(generation)
        wanted = None if detail is None else detail.state

        def judge(view: View, metadata: EditMetadata) -> Draft:
            if wanted is None:
                raise NotFoundError(f"generation {generation} is not in the history; see history")
            if view.live.listeners and not wanted.listeners:
                raise PreconditionError(
                    f"generation {generation} has no listener: the fleet's document was not known here yet, and no node would serve anything"
                )
            return roll_back(view, metadata, wanted, AT_START)

        def check(merged: Merged) -> None:
            if wanted is not None:
                check_rollback(wanted, merged.state, AT_START)

        return await self._change(request, judge, confirm_seconds, check)

    async def _change(
        self,
        request: ChangeRequest,
        judge: Judge,
        confirm_seconds: float | None,
        check: Callable[[Merged], None] = lambda _: None,
    ) -> ChangeResult:
        seen = Seen()
        for _ in range(_TRIES):
            try:
                done, seen = await self._attempt(request, judge, confirm_seconds, check, seen)
            except OvertakenError:
                try:
                    await self._reconciler.catch_up()
                except RequestError as error:
                    await self._refuse(request, str(error))
                    raise
                continue
            if done is not None:
                return done
        raise UnavailableError("others change the same all the time; try again")

    async def _attempt(
        self,
        request: ChangeRequest,
        judge: Judge,
        confirm_seconds: float | None,
        check: Callable[[Merged], None],
        seen: "Seen",
    ) -> "tuple[ChangeResult | None, Seen]":
        """Do what is asked, if the files that it names have been ``seen``; else return what is in them.

        Nobody else waits while the files are looked at; what was judged meanwhile is judged again.
        """
        async with self._current.lock:
            try:
                if request.request_id and not request.dry_run:
                    answered = await self._answered(request)
                    if answered is not None:
                        return answered, seen
                judged = self._judge(request, judge, check)
                draft = seen.judge(judged)
                if draft and confirm_seconds is not None and await self._current.edits.store.unconfirmed():
                    raise PreconditionError(
                        "another rollback waits for its confirmation; confirm it, or wait until it is undone"
                    )
                if draft and request.dry_run:
                    plan = self._current.plan_for(judged.loaded, judged.merged).lines()
                    generation = self._current.applier.generation
                    return ChangeResult(generation, draft.add, draft.warnings, plan, dry_run=True), seen
                if draft:
                    self._current.edits.require()
                    parts = parts_of(self._shared, request, draft, self._current.edits.own)
                    made = Made()
                    if parts.shared:
                        await check_rollout(self._shared, parts, self._reconciler.path, judged.loaded)
                        made = await make(self._shared, parts, judged.loaded.document, judged.moment)
            except RequestError as error:
                if not request.dry_run:
                    await self._refuse(request, str(error))
                raise
            if draft:
                return await self._do(request, judged.loaded, draft, confirm_seconds, parts, made), seen
        return None, await look_at(judged)

    def _judge(self, request: ChangeRequest, judge: Judge, check: Callable[[Merged], None]) -> "Judged":
        """Return what a request comes to, the files it was judged against, and what it changes that names files."""
        current = self._current
        live = current.applier.generation
        if request.expected_generation not in (0, live):
            raise StaleGenerationError(f"generation {live} is live, not {request.expected_generation}; look again")
        check_scope(self._shared, request)
        loaded = current.loaded
        if loaded is None or not loaded.sources:
            raise PreconditionError("the file is invalid, and the last good state is served: mend the file first")
        now = time.time()
        metadata = EditMetadata(
            created=now,
            author=request.author,
            reason=request.reason,
            expires=None if request.expires is None else now + request.expires,
            request_id=request.request_id,
        )
        moment = self._shared.fleet.moment.revision
        before = current.merged if moment == self._shared.fleet.live else current.edits.merge(current.file)
        view = View(current.file, before.state, current.edits.edits, str(self._reconciler.path.parent))
        draft = drafted(request, judge, view, metadata)
        new = {(edit.kind, edit.key) for edit in draft.add}
        kept = [e for e in view.edits if e.id not in draft.remove and (e.kind, e.key) not in new]
        merged = merge(view.file, (*kept, *draft.add), now)
        orphans = check_effect(draft, before, merged)
        draft = msgspec.structs.replace(draft, remove=(*draft.remove, *orphans))
        check(merged)
        named = owners(merged.state, {origin_key(*each) for each in draft.changed})
        return Judged(loaded, draft, merged, named, moment)

    async def _do(
        self,
        request: ChangeRequest,
        loaded: Loaded,
        draft: Draft,
        confirm_seconds: float | None,
        parts: Parts,
        made: Made,
    ) -> ChangeResult:
        """Write a request, whose part of the fleet's is made, make it live and answer it."""
        current = self._current
        mutation = mutation_of(request)
        confirm_by = None if confirm_seconds is None else mutation.time + confirm_seconds
        try:
            receipt = await current.edits.store.mutate(
                mutation, add=parts.add, remove=parts.remove, confirm_by=confirm_by, elsewhere=made.elsewhere
            )
        except StoreError:
            await withdraw(self._shared, [(event, edit) for event, edit, _ in made.elsewhere])
            raise
        current.edits.accepted(receipt, parts.remove)
        seen = self._shared.fleet.moment
        try:
            merged = current.edits.merge(current.file)
            assets = current.assets_for(merged.state)
            if assets is None:
                assets = await look(Assets, merged.state, current.applier.assets)
            plan = await current.enact(
                loaded,
                merged,
                assets,
                origin=_ORIGINS.get(request.action, "api"),
                author=request.author,
                label=request.reason,
                asked=None if request.guard is None else Asked(receipt.id, request.guard),
            )
        except Exception as error:
            await self._withdraw(receipt, str(error))
            raise
        guarded_until = current.guarded_until if plan else 0.0
        done = ChangeResult(
            current.applier.generation,
            (*receipt.edits, *made.edits),
            draft.warnings if guarded_until or request.guard is None else (*draft.warnings, _UNWATCHED),
            plan.lines(),
            0 if confirm_by is None else receipt.id,
            confirm_by or 0.0,
            guarded_until=guarded_until,
            shared=made.revision,
        )
        self._shared.fleet.applied(seen)
        with contextlib.suppress(StoreError):  # then a retry is answered with the edits and what is live
            await current.edits.store.answer(receipt.id, msgspec.json.encode(Answer.of(done)))
        await self._reconciler.follow()
        by = f" by {request.author}" if request.author else ""
        current.events.publish("edit", f"{request.action} {request.about}{by}", done.generation)
        return done

    async def _withdraw(self, receipt: Receipt, why: str) -> None:
        try:
            await self._current.edits.withdraw(receipt.id, why)
        except (StoreError, UnavailableError) as error:
            self._log.error("a request that can't be made live can't be withdrawn either", error=str(error))

    async def _answered(self, request: ChangeRequest) -> ChangeResult | None:
        """Return the answer to a request that was accepted before; None if it was not."""
        found = await self._current.edits.store.request(request.request_id)
        if found is None:
            shared = [edit for edit in self._current.edits.edits if edit.request_id == request.request_id]
            return ChangeResult(self._current.applier.generation, tuple(shared)) if shared else None
        entry, edits = found
        if (entry.mutation.action, entry.mutation.request) != (request.action, request.content):
            raise InvalidRequestError((("options.request_id", f"{request.request_id} was the id of another request"),))
        if entry.answer is not None:
            return msgspec.json.decode(entry.answer, type=Answer).done(edits)
        # Control died between writing and answering: it has been live since the next control's start.
        return ChangeResult(self._current.applier.generation, edits, confirm_id=entry.id if entry.confirm_by else 0)

    async def _refuse(self, request: ChangeRequest, why: str) -> None:
        """Put a refused request on record; that it can't be recorded makes it no less refused."""
        with contextlib.suppress(McproxyError):
            await self._current.edits.store.refuse(mutation_of(request), why[:_MAX_WHY])
