"""Keeps the live state equal to the file, level-triggered.

A wake-up says nothing but "look again": the reconciler then reads everything anew, one run at a time, however many
wake-ups come meanwhile. A file that is invalid, or can't be made live, changes nothing.
"""

import asyncio
import os
from pathlib import Path

from mcproxy.control import config_file, log
from mcproxy.control.applier import Applier
from mcproxy.control.assets import Assets
from mcproxy.control.config_file import Loaded, NamedFilesError
from mcproxy.control.counters import Counters
from mcproxy.control.file_watcher import FileWatcher
from mcproxy.control.notify import notify, reloading
from mcproxy.errors import ApplyError, ConfigError
from mcproxy.model.plan import Plan, make_plan
from mcproxy.model.state import State

_SETTLE = 0.1  # seconds; a file that is invalid may be half written
_TRIES = 10  # so a file may be missing, or be written in pieces, for about a second

# Settings that are taken from the file once, when control starts.
_AT_START = ("database.path", "proxy.user")


class Reconciler:
    """Reads the config file and makes it live.

    Attributes:
        last_error: why the last reload failed; "" when it succeeded.
    """

    def __init__(self, path: Path, applier: Applier, counters: Counters) -> None:
        self._path = path
        self._applier = applier
        self._counters = counters
        self._wake = asyncio.Event()
        self._watcher = FileWatcher(self._wake.set)
        self._log = log.logger()
        self.last_error = ""

    def wake(self) -> None:
        """Ask for another look, now or after the one under way."""
        self._wake.set()

    async def start(self, loaded: Loaded) -> None:
        """Make the first state live; raises `ApplyError` if that fails."""
        self._watcher.watch(loaded.files, loaded.patterns)
        self._warn(loaded)
        await self._apply(loaded, await asyncio.to_thread(Assets, loaded.resolution.state))

    async def run(self) -> None:
        """Follow the file until cancelled."""
        watching = asyncio.get_running_loop().create_task(self._watcher.run())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                reloading()
                await self._reconcile()
                notify("READY=1")
        finally:
            watching.cancel()

    async def _reconcile(self) -> None:
        try:
            loaded, assets = await self._load()
            self._warn(loaded)
            await self._apply(loaded, assets)
        except ConfigError as error:
            self._fail("invalid configuration, nothing changed", *map(str, error.problems))
            return
        except ApplyError as error:
            self._fail("the configuration can't be applied, nothing changed", str(error))
            return
        self.last_error = ""

    async def _load(self) -> tuple[Loaded, Assets]:
        """Read the file and those it names; a version that is wrong only because it is being written is not reported."""
        tries = _TRIES
        while True:
            before = self._watcher.fingerprint()
            try:
                loaded = await asyncio.to_thread(config_file.load, self._path)
                assets = await asyncio.to_thread(Assets, loaded.resolution.state)
            except (ConfigError, ApplyError) as error:
                await asyncio.sleep(_SETTLE)
                tries -= 1
                unsettled = None in before.values() or self._watcher.fingerprint() != before
                # Of a certificate and its key one comes before the other, and no file says when both are there.
                unsettled |= isinstance(error, (NamedFilesError, ApplyError))
                # A mistake may be corrected in a file that is included only since this version.
                files, patterns = await asyncio.to_thread(config_file.involved, self._path)
                if tries and (self._watcher.watch(files, patterns) or unsettled):
                    continue
                raise
            seen = self._watcher.fingerprint()
            if seen != before:  # it changed while it was read: what was checked may not be what will be used
                if tries:
                    tries -= 1
                    assets.close()
                    continue
                self._wake.set()
            self._watcher.watch(loaded.files, loaded.patterns, before)
            return loaded, assets

    async def _apply(self, loaded: Loaded, assets: Assets) -> None:
        live, desired = self._applier.state, loaded.resolution.state
        plan = make_plan(live, desired, loaded.resolution.origins, self._counters.active())
        before = self._applier.assets
        renewed = [] if before is None else assets.renewed_since(before)
        if not plan and not renewed:
            assets.close()
            self._log.info("the file was read again: no changes", generation=self._applier.generation)
            return
        first = not live.settings
        try:
            await self._applier.apply(desired, assets)
        except ApplyError:
            assets.close()
            raise
        for path in renewed:
            self._log.info(f"renewed: {_relative(path)}", generation=self._applier.generation)
        log.configure(str(desired.settings["log.level"]), str(desired.settings["log.format"]))
        self._report(plan, live, desired, first=first)

    def _report(self, plan: Plan, live: State, desired: State, *, first: bool) -> None:
        if not first:
            for line in plan.lines():
                self._log.info(line)
            self._log.info("applied", changes=plan.summary(), generation=self._applier.generation)
            for setting in _AT_START:
                if live.settings[setting] != desired.settings[setting]:
                    self._log.warning(f"{setting} takes effect when mcproxy is restarted")

    def _fail(self, what: str, *problems: str) -> None:
        self.last_error = problems[0]
        for problem in problems:
            self._log.error(_relative(problem))
        self._log.error(what, problems=len(problems), generation=self._applier.generation)

    def _warn(self, loaded: Loaded) -> None:
        for problem in loaded.resolution.warnings:
            self._log.warning(_relative(str(problem)))


def _relative(text: str) -> str:
    """Shorten the folder of the process in a message, as compilers do."""
    return text.replace(f"{os.getcwd()}/", "")  # noqa: PTH109 - a string is wanted
