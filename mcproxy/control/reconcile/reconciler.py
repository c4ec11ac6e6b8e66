"""Keeps the live state equal to the files and the runtime edits, level-triggered.

A wake-up says nothing but "look again": the reconciler then reads everything anew, one run at a time, however many
wake-ups come meanwhile. A file that is invalid, or can't be made live, changes nothing.
"""

import asyncio
import contextlib
import time
from pathlib import Path

import msgspec

from mcproxy.control.files import config_file
from mcproxy.control.files.assets import Assets
from mcproxy.control.files.config_file import Loaded, NamedFilesError
from mcproxy.control.files.content_checks import broken_edits
from mcproxy.control.files.contents import Contents
from mcproxy.control.files.look import PATIENCE, OverdueError, look, patiently
from mcproxy.control.files.watcher import FileWatcher, Fingerprint
from mcproxy.control.files.writers import STILL
from mcproxy.control.reconcile.change.unconfirmed import withdraw_unconfirmed
from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.reload import (
    NOTHING,
    Asked,
    Doubts,
    Hanging,
    Labels,
    Outcome,
    Reload,
    Requests,
    Retries,
    surviving_own_mistakes,
)
from mcproxy.control.reconcile.shared.following import Following, Why
from mcproxy.control.reconcile.shrinking import ShrinkError, Shrinking, content_digest, vanished
from mcproxy.control.reconcile.stand_ins import StandIns
from mcproxy.control.store.errors import StoreError
from mcproxy.control.system import log
from mcproxy.control.system.notify import notify, reloading
from mcproxy.errors import ApplyError, ConfigError, McproxyError
from mcproxy.model.edits.overlay import Merged, Verdict
from mcproxy.model.state.named_files import named_files, owners
from mcproxy.model.state.plan import Plan
from mcproxy.model.state.state import State

_SETTLE = 0.1  # seconds; a file that is invalid may be half written
_TRIES = 10  # so a file may be missing, or be written in pieces, for about a second
_GLANCE = 0.05  # seconds between looks at a file that somebody has open for writing
_PATIENCE = 5.0  # seconds; whoever takes longer may never close it
_LOOK_AGAIN = 60.0  # seconds; the wall clock may be set, so no expiry is slept for longer
_RETRY = 5.0  # seconds between attempts to open the database


class Reconciler:
    """Reads the config file and makes it live.

    Attributes:
        stand_ins: broken files that have their last good content in their place.
    """

    def __init__(self, path: Path, current: Current) -> None:
        self._path = config_file.absolute(path)
        self._current = current
        self._shared = Following(current, str(self._path.parent), self.wake, self._merge_shared)
        self._wake = asyncio.Event()
        self._watcher = FileWatcher(self._wake.set)
        self._read: Fingerprint = {}
        self._hanging = Hanging(self._wake.set)
        self._timer: asyncio.TimerHandle | None = None
        self._requests = Requests()
        self._labels = Labels(current.relabel)
        self._shrinking = Shrinking()
        self._retries = Retries(self._wake.set)
        self.stand_ins = StandIns(current)
        self._doubts = Doubts()
        self._log = log.logger()
        self._outcome = Outcome(current.events, lambda: current.applier.generation)

    @property
    def last(self) -> Reload:
        """How the last look at the files ended."""
        return self._outcome.last

    @property
    def last_success(self) -> float:
        """When one succeeded last, in seconds since the epoch."""
        return self._outcome.last_success

    @property
    def path(self) -> Path:
        """The main config file, absolute."""
        return self._path

    def wake(self) -> None:
        """Ask for another look, now or after the one under way."""
        self._wake.set()

    async def reload(self, *, allow_shrink: bool = False, label: str = "") -> Reload:
        """Have everything read again and return how that ended; ``allow_shrink`` also counts content refused before, ``label`` says why."""
        ended = self._requests.ask(allow_shrink=allow_shrink, label=label)
        self._wake.set()
        return await ended

    async def catch_up(self) -> None:
        """Have live what the fleet has by now; raises `PreconditionError` where this node can't serve its document."""
        if self._shared.behind(self._current.loaded):
            self._shared.require_served(await self.reload())
        else:
            await self._merge_shared()

    async def start(self, loaded: Loaded, *, problems: tuple[str, ...] = ()) -> None:
        """Make the first state live; raises `ApplyError` if that fails.

        Args:
            loaded: the files.
            problems: why they are not what the file says, but the last state that was live; then edits are left alone, as
                that state contains them.
        """
        current = self._current
        self._shared.start(loaded)
        self._watcher.watch(loaded.files, loaded.patterns)
        self._doubts.tell(loaded.resolution.warnings)
        contents = Contents()
        label = await self._labels.of(loaded, None)
        async with current.lock:
            file = loaded.resolution.state
            if problems:
                why = "the file is invalid, and the last good state is served"
                merged = Merged(file, (), suspended=tuple(Verdict(edit, why) for edit in current.edits.edits))
                await look(self.stand_ins.last_good.stand_in, file, owners(file), contents)
            else:
                await withdraw_unconfirmed(self._current)
                merged = await self._merge(file, contents)
            loaded = await self.stand_ins.stand_in(loaded, merged, contents)
            assets = await look(Assets, merged.state, contents=contents)
            origin = "last-good" if problems else "start"
            seen = self._shared.moment
            plan = await current.enact(loaded, merged, assets, origin=origin, label=label)
            await self._shared.live(seen)
            await self._set_timer()
        self.stand_ins.tell(loaded.stand_ins)
        await self.stand_ins.keep()
        self._succeeded(plan, loaded, label)
        if problems:
            self._outcome.last = msgspec.structs.replace(self.last, problems=problems)

    async def _tell_unknowable(self) -> None:
        """Begin to follow who writes to the files, and tell of those of which nobody says it."""
        self._read = await look(self._watcher.fingerprint)
        if names := await look(self._watcher.unknowable):
            what = f"nobody says of {len(names)} file{'s' if len(names) > 1 else ''} here whether somebody is still writing"
            self._log.info(f"{what}: a change counts after {STILL:g} s of stillness", file=log.relative(names[0]))

    async def run(self) -> None:
        """Follow the files until cancelled."""
        watching = asyncio.get_running_loop().create_task(self._watcher.run())
        try:
            await self._tell_unknowable()
            if self._shared.behind(self._current.loaded):
                self._wake.set()
            while True:
                await self._wake.wait()
                self._wake.clear()
                asked = self._requests.take()
                reloading()
                await self._reconcile(asked)
                notify("READY=1")
                asked.answer(self.last)
        finally:
            watching.cancel()
            self._shared.stop()

    async def _reconcile(self, asked: Asked = NOTHING) -> None:
        current = self._current
        overdue = asyncio.get_running_loop().call_later(PATIENCE, self._outcome.overdue)
        try:
            loaded, assets = await self._load()
            self._shared.take(loaded, assets)
        except (ConfigError, ApplyError) as error:
            self._retries.end()
            self._outcome.failed(error, self._retries)
            self._shared.read(None)
            await self._keep_time()
            return
        finally:
            overdue.cancel()
            self._hanging.await_answers()
        self._doubts.tell(loaded.resolution.warnings)
        label = asked.label or await self._labels.of(loaded, current.loaded)
        async with current.lock:
            began = time.time()
            try:
                plan = await self._enact(loaded, assets, allow_shrink=asked.allow_shrink, label=label)
            except ShrinkError as error:
                self._retries.end()
                self._outcome.failed(error, self._retries)
                await self._enact_again()
            except ApplyError as error:
                self._retries.failed(content_digest(loaded))
                self._outcome.failed(error, self._retries)
                await self._enact_again()
            else:
                self._retries.end()
                self.stand_ins.tell(loaded.stand_ins)
                await self.stand_ins.keep()
                self._succeeded(plan, loaded, label)
                if not plan:
                    self._log.info("the file was read again: no changes", generation=current.applier.generation)
            await self._set_timer(began)

    async def _enact(self, loaded: Loaded, assets: Assets, *, allow_shrink: bool = False, label: str = "") -> Plan:
        """Make files and edits live; the lock is held."""
        current = self._current
        withdrawn = await self._look_at_store()
        self._shared.read(loaded)
        contents = Contents()
        seen = self._shared.moment
        merged = await self._merge(loaded.resolution.state, contents)
        if current.loaded is not None and loaded.document is None:  # that of a fleet was judged when it was pushed
            live, desired = current.applier.state, merged.state
            try:
                self._shrinking.judge(current.loaded, loaded, live, desired, allowed=allow_shrink)
            except ApplyError:
                if assets is not current.applier.assets:
                    assets.close()
                raise
        if not assets.fits(merged.state):  # edits came or went while the files were read
            read, assets = assets, await look(Assets, merged.state, assets, contents)
            if read is not current.applier.assets:
                read.close()
        same = loaded.resolution.state == current.file
        origin = "unconfirmed" if same and withdrawn else "expiry" if same and merged.expired else "file"
        why = self._shared.why(loaded, merged, Why(origin, "", label))
        plan = await current.enact(loaded, merged, assets, origin=why.origin, author=why.author, label=why.label)
        await self._shared.live(seen)
        return plan

    async def _merge(self, file: State, contents: Contents) -> Merged:
        """Return what a file and the edits mean together; a look at the files that edits name precedes their first time."""
        edits = self._current.edits
        merged = edits.merge(file)
        if not edits.vetted:
            await look(self.stand_ins.last_good.stand_in, merged.state, owners(merged.state), contents)
            edits.suspend(await patiently(broken_edits, merged, contents))
            merged = edits.merge(file)
        return merged

    async def _keep_time(self) -> None:
        """Let edits expire, and unconfirmed requests be undone, also while the file is invalid."""
        current = self._current
        async with current.lock:
            began = time.time()
            await self._enact_again()
            await self._set_timer(began)

    async def _merge_shared(self) -> None:
        """Have the edits of the fleet in effect with the files that are."""
        current = self._current
        async with current.lock:
            began, loaded, assets = time.time(), current.loaded, current.applier.assets
            if loaded is not None and loaded.sources and assets is not None:
                try:
                    await self._enact(loaded, assets)
                except ApplyError as error:
                    self._retries.failed(content_digest(loaded))
                    self._outcome.failed(error, self._retries)
            await self._set_timer(began)

    async def _enact_again(self) -> None:
        """Have the edits of now in effect with the files that are; the lock is held."""
        current = self._current
        loaded, assets = current.loaded, current.applier.assets
        if loaded is not None and assets is not None:
            with contextlib.suppress(McproxyError):  # the file's problem has been told; it is tried again
                fresh = await look(assets.with_ordered, current.applier.state)  # others may be what is wrong
                if loaded.sources:
                    await self._enact(loaded, fresh)
                elif fresh is not assets:
                    await current.enact(loaded, current.merged, fresh, origin="last-good")

    async def _look_at_store(self) -> bool:
        """Open the database if that failed before, undo what was not confirmed in time; tell whether something was."""
        edits = self._current.edits
        try:
            if await edits.open():
                self._current.applier.continue_after(await edits.last_generation())
        except StoreError as error:
            self._log.error(str(error))
            return False
        return await withdraw_unconfirmed(self._current)

    async def _set_timer(self, tried: float = 0.0) -> None:
        """Wake up when time alone changes something; what was due when it was ``tried`` last has failed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        edits = self._current.edits
        delays = [] if edits.is_open else [_RETRY]
        loaded = self._current.loaded
        if loaded is not None and loaded.sources:  # of the last good state nothing ends
            try:
                moment = await edits.next_moment(self._current.merged)
            except StoreError:
                moment = tried
            if moment is not None and moment <= tried:
                delays.append(_RETRY)
            elif moment is not None:
                delays.append(min(max(moment - time.time(), 0.0) + 0.001, _LOOK_AGAIN))
        if delays:
            self._timer = asyncio.get_running_loop().call_later(min(delays), self._wake.set)

    async def follow(self) -> None:
        """Take note of edits that came or went: of when they expire, and of the files they name; the lock is held."""
        await self._set_timer()
        await self.stand_ins.keep()
        loaded = self._current.loaded
        if loaded is not None:
            with contextlib.suppress(OverdueError):  # the change is live; the next look finds what hangs
                await self._watch(loaded, self._current.merged)

    async def _load(self) -> tuple[Loaded, Assets]:
        """Read the file and those it names; what hangs is waited for once, and then a file that can't be read."""
        with surviving_own_mistakes():
            for _ in range(_TRIES):
                with contextlib.suppress(OverdueError):
                    return await self._settled()
            return await self._settled()

    async def _settled(self) -> tuple[Loaded, Assets]:
        """Read the file and those it names; a version that is wrong only because it is being written is not reported."""
        tries = _TRIES
        patient_until = time.monotonic() + _PATIENCE
        while True:
            await self._await_writers(patient_until)
            before = await look(self._watcher.fingerprint)
            try:
                contents = Contents()
                loaded = await look(
                    config_file.load,
                    self._path,
                    contents=contents,
                    last_good=self.stand_ins.last_good,
                    documents=self._shared.documents,
                )
                loaded.require_tests(unless=self._current.loaded)
                if tries > 1 and self._current.loaded is not None and vanished(self._current.loaded, loaded):
                    tries -= 1  # the folder of the includes may be about to be replaced
                    await asyncio.sleep(_SETTLE)
                    continue
                merged = await self._merge(loaded.resolution.state, contents)
                loaded = await self.stand_ins.stand_in(loaded, merged, contents)
                if tries > 1 and self.stand_ins.tells_more(loaded.stand_ins):
                    tries -= 1  # of a certificate and its key one comes before the other
                    await asyncio.sleep(_SETTLE)
                    continue
                assets = await look(Assets, merged.state, contents=contents)
            except OverdueError:
                raise
            except (ConfigError, ApplyError) as error:
                await asyncio.sleep(_SETTLE)
                tries -= 1
                unsettled = self.stand_ins.lack(before) or await look(self._watcher.fingerprint) != before
                # Of a certificate and its key one comes before the other, and no file says when both are there.
                unsettled |= isinstance(error, (NamedFilesError, ApplyError))
                # A mistake may be corrected in a file that is included only since this version.
                files, patterns = await look(config_file.involved, self._path, self._shared.documents)
                if tries and (await look(self._watcher.watch, files, patterns) or unsettled):
                    continue
                raise
            seen = await look(self._watcher.fingerprint)
            if seen != before:  # it changed while it was read: what was checked may not be what will be used
                if tries:
                    tries -= 1
                    assets.close()
                    continue
                self._wake.set()
            await self._watch(loaded, merged, before)
            return loaded, assets

    async def _await_writers(self, until: float) -> None:
        """Wait while somebody writes to a file that has changed since it was read, to ``until`` (monotonic) at most."""
        while name := await look(self._watcher.being_written, self._read):
            if time.monotonic() < until:
                await asyncio.sleep(_GLANCE)
            else:
                self._log.warning("a file is still open for writing, and is read as it is", file=log.relative(name))
                self._watcher.give_up(name)

    async def _watch(self, loaded: Loaded, merged: Merged, seen: Fingerprint | None = None) -> None:
        if seen is not None:
            self._read = seen
        files = dict.fromkeys((*loaded.files, *map(Path, named_files(merged.state))))
        await look(self._watcher.watch, tuple(files), loaded.patterns, seen)

    def _succeeded(self, plan: Plan, loaded: Loaded, label: str) -> None:
        self._labels.follow(loaded, label)
        failing = self._doubts.tell_failing(loaded.tests.failed)
        self._outcome.succeeded(plan, (*loaded.resolution.warnings, *loaded.stand_ins), failing)
