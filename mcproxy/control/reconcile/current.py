"""What is current: the last good files, the runtime edits merged with them, and what is live of both.

One at a time (`Current.lock`) the reconciler and the admin API make something else current: services and listeners are
prepared, every worker acknowledges, then edits that have ended are put on record and the generation is kept.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence

import msgspec

from mcproxy.control.counters.counters import Counters
from mcproxy.control.files.assets import Assets
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.reconcile.applier import Applier
from mcproxy.control.reconcile.change.guarding import Asked, Guarding, Step, Unguarded
from mcproxy.control.reconcile.events import Events
from mcproxy.control.reconcile.runtime_edits import RuntimeEdits
from mcproxy.control.reconcile.services import PreparedService, Service
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.ledger import Mutation
from mcproxy.control.store.revisions import Declared, Revision
from mcproxy.control.system import log
from mcproxy.model.config.resolve import Resolution
from mcproxy.model.edits.effective import edit_names, effective
from mcproxy.model.edits.overlay import Difference, Merged, drift
from mcproxy.model.history.headline import headline, listed
from mcproxy.model.history.origins import FileOrigins
from mcproxy.model.state.kinds import name_of
from mcproxy.model.state.plan import Operation, Plan, drained_by, make_plan
from mcproxy.model.state.state import State
from mcproxy.model.state.upstream_entries import Answers
from mcproxy.policy.explain.walk import Walker

AT_START = ("database.path", "proxy.user")
"""Settings that are taken from the file once, when control starts; edits never change them."""

_OF_FILES = ("start", "last-good", "file", "fleet", "returned", "restart")
"""What brings a generation about in which other files than before are in effect."""


class Current:
    """Holds what is current, and changes it as a whole.

    Attributes:
        lock: held by whoever makes something else current.
        applier: makes states live in the workers.
        counters: what the workers count.
        edits: the runtime edits.
        events: who watches is told here.
        loaded: the files that are in effect.
        merged: what they mean together with the edits.
        plan: what was done last.
        revision: the live generation as the history has it, or would have it.
        services: what control itself serves, changed in step with the state.
        guard: watches what is made live.
        guarded_until: until when what was made live last is watched, in seconds since the epoch; 0.0 for not at all.
    """

    def __init__(
        self,
        applier: Applier,
        counters: Counters,
        edits: RuntimeEdits,
        events: Events,
    ) -> None:
        self.lock = asyncio.Lock()
        self.applier = applier
        self.counters = counters
        self.edits = edits
        self.events = events
        self.loaded: Loaded | None = None
        self.merged: Merged = Merged(State(), ())
        self.plan = Plan(())
        self.revision = Revision(0, 0.0, "", "", "", "")
        self.services: list[Service] = []
        self.guard: Guarding = Unguarded()
        self.guarded_until = 0.0
        self._drift: tuple[Merged, State, tuple[Difference, ...]] | None = None
        self._walker: tuple[Loaded | None, Merged, Walker] | None = None
        self._declared: tuple[Loaded, FileOrigins] | None = None
        self._unkept: int | None = None
        self._of_files = 0, ""
        self._since = 0.0
        self._log = log.logger()

    @property
    def file(self) -> State:
        """What the files say that are in effect."""
        return State() if self.loaded is None else self.loaded.resolution.state

    @property
    def document(self) -> int:
        """The revision of the fleet's document that is in effect; 0 for none."""
        return 0 if self.loaded is None or self.loaded.document is None else self.loaded.document.header.revision

    @property
    def resolution(self) -> Resolution:
        """What is in effect, with where each resource comes from; only after the first `enact`."""
        assert self.loaded is not None  # noqa: S101 - nothing asks before something is live
        return effective(self.loaded.resolution, self.merged)

    @property
    def walker(self) -> Walker:
        """What explains what is in effect; made once for all who ask until something else is current."""
        known = self._walker
        if known is None or known[0] is not self.loaded or known[1] is not self.merged:
            known = self._walker = self.loaded, self.merged, Walker(self.resolution)
        return known[2]

    def drift(self) -> tuple[Difference, ...]:
        """Return what is not as the files say; worked out once for all who ask until something else is current."""
        merged, file = self.merged, self.file
        known = self._drift
        if known is None or known[0] is not merged or known[1] is not file:
            known = self._drift = merged, file, drift(merged, file)
        return known[2]

    def plan_for(self, loaded: Loaded, merged: Merged) -> Plan:
        """Return what `enact` would do."""
        origins = effective(loaded.resolution, merged).origins
        endpoints = self.counters.active_endpoints(self.applier.upstreams)
        return make_plan(self.applier.state, merged.state, origins, self.counters.active(), endpoints)

    def assets_for(self, desired: State) -> Assets | None:
        """Return the contents that are live, if a state names the same files; else None.

        Whether the files have changed is for the reconciler to find out, which is woken by it.
        """
        live = self.applier.assets
        return live if live is not None and live.fits(desired) else None

    async def enact(
        self,
        loaded: Loaded,
        merged: Merged,
        assets: Assets,
        *,
        origin: str,
        author: str = "",
        label: str = "",
        asked: Asked | None = None,
    ) -> Plan:
        """Make files and edits live.

        Args:
            loaded: the files.
            merged: what they mean together with the edits.
            assets: the contents of the files that the state names; they belong to this object from now on.
            origin: what brought it about, for the history.
            author: who, if somebody did.
            label: why, if that is known.
            asked: that it is watched.

        Raises:
            ApplyError: it can't be made live; all is as it was before.
        """
        before = self.applier.assets
        if left := self.applier.listen_at(loaded.fleet.address if loaded.fleet is not None else ""):
            self._log.warning(
                "[fleet] address is another one: these listeners stay where they are bound until mcproxy is stopped and started",
                listeners=", ".join(left),
            )
        plan = self.plan_for(loaded, merged)
        renewed = [] if before is None or assets is before else assets.renewed_since(before)
        drained = {path: drained_by(merged.state, path, self.counters.active()) for path in renewed}
        prepared: list[PreparedService] = []
        revision = 0 if loaded.document is None else loaded.document.header.revision
        follow = self.guard.look_ahead(Step(origin, self.applier.state, merged.state, plan, renewed, asked, revision))
        if plan or renewed:
            prepared = await self._apply(merged.state, assets)
            self._since = time.time()
        elif assets is not before:
            assets.close()
        first = self.loaded is None
        self.loaded, self.merged = loaded, merged
        self.edits.shared.file = loaded.resolution.state
        for change in prepared:  # who asks through a new listener is told of what is live
            await change.commit()
        await self.edits.settle(merged, lasting=self.edits.shared.fleet.wanted.lasts(loaded.document))
        if plan or renewed:
            self.guarded_until = await follow(self.applier.generation)
            self.plan = await self._since_last_time(plan) if first or self._unkept is not None else plan
            await self._record(origin if plan else "certificate", author, label, renewed)
            self._report(drained, first=first)
        return plan

    async def follow_names(self, answers: Answers) -> None:
        """Make live what names with ``resolve = "all"`` stand for by now, by their addresses: content, so no generation of the history.

        Raises:
            ApplyError: it can't be made live; all is as it was before.
        """
        async with self.lock:
            if self.applier.assets is not None:
                await self.applier.apply(self.applier.state, self.applier.assets, answers)

    async def relabel(self, label: str, instead_of: str | None = None) -> int:
        """Say why the files were changed that are in effect, after they were.

        Args:
            label: why.
            instead_of: only if that is what was said before; None: whatever was.

        Returns:
            The generation in which the files became so; 0 if it has another label than it should.

        Raises:
            StoreError: the database can't keep it.
        """
        async with self.lock:
            generation, before = self._of_files
            if instead_of not in (None, before):
                return 0
            await self.edits.store.label(generation, label)
            self._of_files = generation, label
            if self.revision.generation == generation:
                self.revision = msgspec.structs.replace(self.revision, label=label)
            return generation

    async def keep(self, asked: Mutation) -> None:
        """Put what is live on record in the database itself, after it was made live with a copy of it; and who wanted the restart."""
        await self.edits.keep(self.merged)
        await self._record("restart", asked.author, asked.reason or self.revision.label)
        with contextlib.suppress(StoreError):  # what is wrong with it has been told
            await self.edits.store.mutate(asked)

    async def stop_services(self) -> None:
        """Serve nothing beside the listeners any more."""
        for service in self.services:
            await service.stop()

    async def _apply(self, desired: State, assets: Assets) -> list[PreparedService]:
        """Make a state live in the workers; return what is to be committed of the services."""
        prepared: list[PreparedService] = []
        try:
            for service in self.services:
                change = await service.prepare(desired)
                if change is not None:
                    prepared.append(change)
            await self.applier.apply(desired, assets)
        except BaseException:
            for change in reversed(prepared):
                await change.undo()
            if assets is not self.applier.assets:
                assets.close()
            raise
        return prepared

    async def _since_last_time(self, plan: Plan) -> Plan:
        """Return for a plan, of which the first adds everything, what has changed since the last generation of the history."""
        if not self.edits.is_open:
            return plan
        with contextlib.suppress(StoreError):
            store = self.edits.store
            for revision in await store.revisions(limit=1):
                detail = await store.revision(revision.generation)
                if detail is not None:
                    return make_plan(detail.state, self.merged.state, self.resolution.origins)
        return plan

    async def _record(self, origin: str, author: str, label: str, renewed: Sequence[str] = ()) -> None:
        """Keep the generation in the history; what is live stays so if that fails."""
        loaded = self.loaded
        text = loaded.sources[0].text if loaded is not None and loaded.sources else ""
        digest = hashlib.sha256(text.encode()).hexdigest() if text else ""
        generation = self.applier.generation
        summary = headline(self.plan) if self.plan or not renewed else listed(map(log.relative, renewed), "renewed: ")
        self.revision = Revision(generation, self._since, origin, author, digest, summary, " ".join(label.split()))
        if origin in _OF_FILES:
            self._of_files = generation, self.revision.label
        if self._unkept is None:
            self._unkept = generation
        if not self.edits.is_open:
            return
        state = self.applier.state
        keep = msgspec.convert(state.settings["database.keep_revisions"], int)
        unkept = self._unkept if self._unkept != generation else None
        try:
            await self.edits.store.record_revision(
                self.revision, state, self.plan, keep=keep, declared=self._where_declared(), unkept=unkept
            )
            self._unkept = None
        except StoreError as error:
            self.edits.error = str(error)
            self._log.error("this generation can't be kept in the history", error=str(error))

    def _where_declared(self) -> Declared:
        """Return where everything of what is live is declared."""
        if self.loaded is None:
            return Declared()
        if self._declared is None or self._declared[0] is not self.loaded:
            self._declared = self.loaded, FileOrigins(self.loaded.resolution)
        return Declared(self._declared[1], edit_names(self.merged))

    def _report(self, renewed: Mapping[str, str], *, first: bool) -> None:
        state, generation = self.applier.state, self.applier.generation
        log.configure(str(state.settings["log.level"]), str(state.settings["log.format"]))
        for path, drained in renewed.items():
            self._log.info(f"renewed: {log.relative(path)}{drained and f'  ({drained})'}", generation=generation)
            self.events.publish("certificate", f"renewed: {path}", generation)
        lines = self.plan.lines()
        if not first:
            with log.together():
                for line, operation in zip(lines, self.plan.operations, strict=True):
                    self._log.info(line, place=_place(operation))
            why = {name: text for name in ("author", "label") if (text := getattr(self.revision, name))}
            self._log.info("applied", changes=self.revision.summary, generation=generation, **why)
            for operation in self.plan.operations:
                if operation.change.key in AT_START:
                    self._log.warning(f"{operation.change.key} takes effect when mcproxy is stopped and started again")
        if self.plan:
            told = self.revision
            self.events.publish("applied", told.summary, generation, () if first else lines, label=told.label)


def _place(operation: Operation) -> dict[str, object]:
    """Return what an operation is about, for logs that machines read: where the resource is declared, unless an edit made it."""
    change, origin = operation.change, operation.origin
    place: dict[str, object] = {"action": change.action, "key": name_of(change.kind, change.key)}
    return place | {"file": origin.file, "line": origin.line} if origin is not None and origin.line else place
