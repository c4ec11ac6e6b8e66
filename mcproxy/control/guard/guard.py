"""The guard: what is made live is watched where that is wanted, and undone when its routes fail.

    look ahead (past, endpoints) -> live -> watch kept in the database -> each second: judge -> undo, or go on, or keep

Changes of files are undone by runtime edits of the author ``guard``, requests by withdrawing them. Who decides is `mcproxy.policy.guard`.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from mcproxy.control.guard.facts import GuardFacts, Watching
from mcproxy.control.guard.readings import Readings
from mcproxy.control.guard.trial import Trial, terms_of
from mcproxy.control.guard.undoing import Undoing
from mcproxy.control.health.endpoint_health import EndpointFacts
from mcproxy.control.reconcile.change.guarding import Follow, Step
from mcproxy.control.reconcile.current import Current
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.guard.watches import Outcome, Verdict
from mcproxy.control.system import log
from mcproxy.errors import ApplyError, RequestError
from mcproxy.model.fleet.records import Rollout
from mcproxy.model.state.kinds import table_of
from mcproxy.model.state.named_files import Group, file_groups
from mcproxy.model.state.state import State
from mcproxy.model.values.texts import fraction
from mcproxy.policy.guard.judging import Terms
from mcproxy.policy.guard.parts import Part, Subject, Survey, survey
from mcproxy.policy.guard.tally import Past, Tally
from mcproxy.policy.guard.watch import Finding, Watch, Watched, judge, named, standing, taken_over

_INTERVAL = 1.0  # seconds between looks
_RETRY = 5.0  # seconds from one attempt to undo something to the next
_DEFAULT_WATCH = 60.0  # seconds, of requests that do not say how long, where the settings do not either
_TOLD = 20  # lines about what can't be watched
_STARTS = ("start", "last-good")
_UNWATCHED = (*_STARTS, "guard")


class Guard:
    """Watches, and has undone what fails."""

    def __init__(
        self,
        current: Current,
        undoing: Undoing,
        endpoints: Callable[[], EndpointFacts],
        clock: Callable[[], float] = time.time,
        trial: Trial | None = None,
    ) -> None:
        self._current = current
        self._undoing = undoing
        self._clock = clock
        self._trial = trial
        self._readings = Readings(current, endpoints, clock)
        self._watches: list[Watch] = []
        self._loaded = False
        self._not_before = 0.0
        self._trouble = ""
        self._last: Verdict | None = None
        self._undone: Verdict | None = None
        self._withdrawn = 0
        self._log = log.logger()

    def facts(self) -> GuardFacts:
        """Return what is watched now, and what became of what was."""
        now = self._clock()
        watches = []
        for watch in self._watches:
            found = standing(watch, self._readings.read(watch.subjects), now)
            touched = tuple(map(str, watch.subjects))
            watches.append(Watching(watch.generation, watch.until, touched, found.answered, found.errors))
        return GuardFacts(tuple(watches), self._last, self._undone, self._withdrawn)

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            with self._surviving():
                await self.look()
            await asyncio.sleep(_INTERVAL)

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        """Log a mistake of ours: it must neither end control nor keep a change from being made live."""
        try:
            yield
        except Exception:  # noqa: BLE001 - whatever it is
            self._log.exception("the guard failed, which is a bug; please report it")

    def look_ahead(self, step: Step) -> Follow:
        """See `Guarding.look_ahead`."""
        follow: Follow = _nothing
        with self._surviving():
            follow = self._look_ahead(step)
        return follow  # noqa: RET504 - or it has not been assigned

    def _look_ahead(self, step: Step) -> Follow:
        if step.origin in _STARTS:  # before the first request
            self._readings.sample(step.after)
        step = step._replace(renewed=[path for path in step.renewed if path not in self._undoing.returning])
        trying = None if self._trial is None else self._trial.begins(step)
        if trying is not None and self._trial is not None and not (step.plan or step.renewed):
            self._trial.made = trying.revision
        seconds = self._wanted(step) if trying is None else trying.watch
        if step.origin in _UNWATCHED or not (seconds or self._watches) or not (step.plan or step.renewed):
            return _nothing
        changes = tuple(operation.change for operation in step.plan.operations)
        found = survey(step.before, step.after, changes, step.renewed)
        now = self._clock()
        subjects = tuple(dict.fromkeys(subject for part in found.parts for subject in part.subjects))
        tallies = self._readings.read(subjects) if seconds else {}
        past = {subject: self._readings.history.past(now, subject, tally) for subject, tally in tallies.items()}
        names = {name for part in found.parts for name in part.upstreams}
        usable = {name: one.usable for name, one in self._readings.downs(names).items()} if seconds and names else {}
        before = self._held(step) if seconds else {}

        async def follow(generation: int) -> float:
            until = 0.0
            with self._surviving():
                until = await self._follow(step, seconds, found, past, usable, generation, trying)
                assets = self._current.applier.assets
                if until and before and assets is not None:
                    await self._undoing.set_aside(step.after, before, assets.digests)
            return until

        return follow

    def _held(self, step: Step) -> dict[Group, list[bytes]]:
        """Return what the files hold that are renewed, with those that belong to them."""
        assets, renewed = self._current.applier.assets, set(step.renewed)
        groups = [group for group in file_groups(step.after) if not renewed.isdisjoint(group)] if renewed else []
        held = assets.contents() if assets is not None and groups else {}
        return {group: [held[path] for path in group] for group in groups if all(path in held for path in group)}

    def _wanted(self, step: Step) -> float:
        """Return for how many seconds a step is to be watched, 0.0 for not at all."""
        seconds = msgspec.convert(step.after.settings["guard.watch"], float)
        if step.asked is not None:
            return step.asked.seconds or seconds or _DEFAULT_WATCH
        forward = self._trial is not None and self._trial.goes_forward(step)
        return seconds if step.origin == "file" or forward else 0.0

    async def _follow(
        self,
        step: Step,
        seconds: float,
        found: Survey,
        past: Mapping[Subject, Past],
        usable: Mapping[str, int],
        generation: int,
        trying: Rollout | None,
    ) -> float:
        """Begin to watch what is live now; end what was watched of the same."""
        now = self._clock()
        touched = [
            (watch, [w for w in watch.parts if any(w.part.touches(p) for p in found.parts)])
            for watch in self._watches
            if not watch.revision  # a canary's goes on whatever else is changed
        ]
        # what a request has made is undone as a whole, and so watched as a whole
        touched = [(watch, list(watch.parts) if watch.receipts else parts) for watch, parts in touched if parts]
        earlier = [watched for _, parts in touched for watched in parts]
        what = "is watched instead" if seconds else "is not watched"
        for watch, parts in touched:
            detail = f"generation {generation} changes the same, and {what}"
            self._log.info(f"guard: no verdict on generation {watch.generation}: {detail}", touched=named(parts))
            await self._end(watch, parts, Verdict(watch.generation, now, "released", detail), forget=not seconds)
        if not seconds:
            return 0.0
        subjects = [s for part in found.parts for s in part.subjects] + [s for w in earlier for s in w.part.subjects]
        start = self._readings.read(tuple(dict.fromkeys(subjects)))
        parts = [self._watched(part, past, start, usable, earlier) for part in found.parts]
        joined = [w for w in earlier if any(w.part.touches(p) for p in found.parts)]
        parts += [taken_over(w, [], start) for w in earlier if w not in joined]
        parts = [watched for watched in parts if watched.part.changes or watched.part.files]
        for line in found.left[:_TOLD]:
            self._log.info(f"guard: not watched: {line}", generation=generation)
        if not parts and trying is None:
            return 0.0
        receipts: tuple[int, ...] = ()
        if step.asked is not None and all(watch.receipts for watch, _ in touched):
            receipts = (step.asked.receipt, *(number for watch, _ in reversed(touched) for number in watch.receipts))
        terms = self._terms(step.after) if trying is None else terms_of(trying)
        revision = 0 if trying is None else trying.revision
        if self._trial is not None and revision:
            self._trial.made = revision
        watch = Watch(generation, now, now + seconds, terms, tuple(parts), receipts, revision=revision)
        await self._begin(watch)
        return watch.until

    async def _begin(self, watch: Watch) -> None:
        self._watches.append(await self._kept(watch))
        self._log.info(
            "guard: watching",
            generation=watch.generation,
            seconds=round(watch.until - watch.began, 3),
            touched=len(watch.subjects),
            parts=len(watch.parts),
        )

    @staticmethod
    def _watched(
        part: Part,
        past: Mapping[Subject, Past],
        start: Mapping[Subject, Tally],
        usable: Mapping[str, int],
        earlier: Sequence[Watched],
    ) -> Watched:
        watched = Watched(
            part,
            {subject: past.get(subject, Past()) for subject in part.subjects},
            {subject: start.get(subject, Tally()) for subject in part.subjects},
            {name: usable.get(name) or 1 for name in part.upstreams},
        )
        before = [one for one in earlier if one.part.touches(part)]
        return taken_over(watched, before, start) if before else watched

    async def look(self) -> None:
        """Keep a sample if one is due, and judge what is watched; not while something is being made live, or another control takes over."""
        if self._current.lock.locked():
            return
        now = self._clock()
        if self._readings.history.is_due(now):
            self._readings.sample(self._current.applier.state)
        if not self._loaded:
            await self._load()
        if self._trial is not None and self._loaded:
            await self._look_at_trial(self._trial, now)
        for watch in list(self._watches):
            if watch not in self._watches:
                continue  # the end of another one has ended it, too
            found = judge(watch, self._readings.read(watch.subjects), self._readings.downs(watch.upstreams), now)
            if found is not None:
                if now >= self._not_before:
                    await self._undo(watch, found)
            elif now >= watch.until:
                await self._keep(watch, now)

    async def _look_at_trial(self, trial: Trial, now: float) -> None:
        """Watch what this node tries as a canary; no longer than it does."""
        live = trial.live
        for watch in [watch for watch in self._watches if watch.revision]:
            if live is None or live.revision != watch.revision:
                verdict = Verdict(watch.generation, now, "released", f"revision {watch.revision} is on trial no more")
                await self._end(watch, watch.parts, verdict)
        rollout = trial.look(watched=any(watch.revision for watch in self._watches))
        if rollout is None:
            return
        generation, routes = self._current.applier.generation, self._current.applier.state.routes
        parts: tuple[Watched, ...] = ()  # it has changed nothing here
        if (
            trial.made != rollout.revision
        ):  # an earlier control made it live: all is judged, and nothing known of before
            subjects = tuple(Subject(*key) for key in routes)
            parts = (Watched(Part((), subjects), {}, self._readings.read(subjects)),)
        until = now + rollout.watch
        await self._begin(Watch(generation, now, until, terms_of(rollout), parts, revision=rollout.revision))
        trial.look(watched=True)

    async def _keep(self, watch: Watch, now: float) -> None:
        """End a watch under which nothing failed."""
        found = standing(watch, self._readings.read(watch.subjects), now)
        detail = f"{found.errors} of {found.answered} requests failed"
        if found.answered < watch.terms.min_requests:
            detail = (
                f"only {found.answered} of the {watch.terms.min_requests} requests were answered that it takes to judge"
            )
        if watch.revision and self._trial is not None:
            self._trial.passed(watch.revision, found, detail)
        await self._end(watch, watch.parts, Verdict(watch.generation, now, "kept", detail))
        message = f"generation {watch.generation} kept by guard: {detail}"
        self._log.info(message)
        self._current.events.publish("guard", message, self._current.applier.generation)

    async def _undo(self, watch: Watch, found: Finding) -> None:
        """Undo parts of a watch that fail."""
        if watch.revision and self._trial is not None:  # what a canary tries is undone as a whole
            failed = standing(watch, self._readings.read(watch.subjects), self._clock())
            self._trial.failed(watch.revision, f"{named(found.parts)}: {found.why}", failed)
            found = msgspec.structs.replace(found, parts=watch.parts)
        elif not await self._take_back(watch, found):
            return
        self._trouble = ""
        self._withdrawn += 1
        now, tallies = self._clock(), self._readings.read(watch.subjects)
        for watched in found.parts:
            for subject in watched.part.subjects:
                tally = tallies.get(subject, Tally()).since(watched.start.get(subject, Tally()))
                self._readings.history.forget(now, subject, tally)
        await self._tell(watch, found, "withdrawn", f"withdrawn by guard: {named(found.parts)}: {found.why}")

    async def _take_back(self, watch: Watch, found: Finding) -> bool:
        """Undo what files or requests have made; tell whether that is done."""
        stuck = ""
        try:
            state = self._current.applier.state
            if not await self._undoing.undo(state, watch, found, still=lambda: watch in self._watches):
                stuck = "what the files held before is not kept"
        except (StoreError, ApplyError) as error:
            self._not_before = self._clock() + _RETRY
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._log.error(
                    f"generation {watch.generation} can't be withdrawn by guard yet: {error}", why=found.why
                )
            return False
        except RequestError as error:
            if watch not in self._watches:
                return False
            stuck = str(error)
        if stuck:
            await self._tell(
                watch, found, "stuck", f"can't be withdrawn by guard: {stuck}; {named(found.parts)}: {found.why}"
            )
        return not stuck

    async def _tell(self, watch: Watch, found: Finding, outcome: Outcome, what: str) -> None:
        verdict = Verdict(watch.generation, self._clock(), outcome, what)
        await self._end(watch, found.parts, verdict)
        message = f"generation {watch.generation} {what}"
        self._log.error(message)
        self._current.events.publish("guard", message, self._current.applier.generation)

    async def _end(self, watch: Watch, parts: Sequence[Watched], verdict: Verdict, *, forget: bool = True) -> None:
        """End the watch over some parts; ``forget`` what their files held before."""
        rest = msgspec.structs.replace(watch, parts=())
        for place, one in enumerate(self._watches):
            if (one.generation, one.began) == (watch.generation, watch.began):  # less of it may be left by now
                rest = msgspec.structs.replace(one, parts=tuple(each for each in one.parts if each not in parts))
                self._watches[place : place + 1] = [rest] if rest.parts else []
                break
        files = [path for watched in parts for path in watched.part.files]
        if files and forget and verdict.outcome != "withdrawn":
            await self._undoing.forget(self._current.applier.state, files)
        self._last = verdict
        if verdict.outcome in ("withdrawn", "stuck"):
            self._undone = verdict
        try:
            await self._current.edits.store.end_watch(rest, verdict, over=not rest.parts)
        except StoreError as error:
            self._log.error("what became of a watch can't be put on record", error=str(error))

    async def _kept(self, watch: Watch) -> Watch:
        """Return a watch with its id, once it is kept for the next control."""
        try:
            return msgspec.structs.replace(watch, id=await self._current.edits.store.keep_watch(watch))
        except StoreError as error:
            self._log.error("a watch can't be kept for the next start of mcproxy", error=str(error))
            return watch

    async def _load(self) -> None:
        """Go on with what an earlier control has watched."""
        try:
            store = self._current.edits.store
            watches = await store.watches()
            verdicts = await store.verdicts(_TOLD)
        except StoreError:
            return  # what is wrong with it has been told
        self._loaded = True
        self._last = self._last or next(iter(verdicts), None)
        self._undone = self._undone or next((one for one in verdicts if one.outcome in ("withdrawn", "stuck")), None)
        known = {watch.id for watch in self._watches}
        own, self._watches = self._watches, [*(watch for watch in watches if watch.id not in known), *self._watches]
        for watch in self._watches[: len(self._watches) - len(own)]:
            gone = [one for one in watch.parts if not _is_live(one.part, self._current.applier.state)]
            if gone:
                parts = watch.parts if watch.receipts else gone
                detail = "it was changed while nobody watched"
                self._log.info(f"guard: no verdict on generation {watch.generation}: {detail}", touched=named(parts))
                await self._end(watch, parts, Verdict(watch.generation, self._clock(), "released", detail))
            else:
                self._log.info(
                    "guard: watching", generation=watch.generation, seconds=round(watch.until - self._clock(), 3)
                )

    def _terms(self, state: State) -> Terms:
        settings = state.settings
        return Terms(fraction(str(settings["guard.max_errors"])), msgspec.convert(settings["guard.min_requests"], int))


async def _nothing(_: int) -> float:
    return 0.0


def _is_live(part: Part, state: State) -> bool:
    return all(table_of(state, change.kind).get(change.key) == change.new for change in part.changes)
