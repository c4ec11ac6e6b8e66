"""Drives the rollout that is going on, if this node does: one of them holds the lock, and another takes over when that is away."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.system import log
from mcproxy.errors import UnavailableError
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Committed
from mcproxy.policy.fleet.driving import Decision, Memory, drive

_LOOK = 5.0  # seconds between looks where nothing changes
_RETRY = 1.0  # seconds after the store did not take something
_JITTER = 0.5  # seconds by which nodes differ when nobody drives, so that the first one has the lock by then


class Driver:
    """Decides when something has changed, and when it is time."""

    def __init__(
        self,
        fleet: Fleet,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fleet = fleet
        self._monotonic = monotonic
        self._clock = clock
        self._memory = Memory()
        self._poked = asyncio.Event()
        self._log = log.logger()

    def poke(self) -> None:
        """Have it decide now: something has changed."""
        self._poked.set()

    async def run(self) -> None:
        """Decide until cancelled."""
        while True:
            self._poked.clear()
            pause = await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._poked.wait()

    async def look(self) -> float:
        """Do what is to be done now; return for how many seconds nothing is, if nothing changes."""
        while True:
            decision = self._decide()
            if decision.move == "lock":
                if not self._fleet.lease:
                    return _RETRY
                await asyncio.sleep(random.uniform(0, _JITTER))  # noqa: S311 - nothing is to be guessed
                decision = self._decide()
            if decision.commit is None:
                return _LOOK if decision.again is None else min(decision.again, _LOOK)
            try:
                outcome = await self._fleet.commit(decision.commit)
            except UnavailableError as error:
                self._log.warning("the rollout can't go on yet", why=str(error))
                return _RETRY
            if isinstance(outcome, Committed):
                self._report(decision)

    def _decide(self) -> Decision:
        name = self._fleet.name
        if not name or self._fleet.away or not self._fleet.view.version(keys.ROLLOUT):
            self._memory = Memory()
            return Decision()
        decision = drive(self._fleet.view, name, self._monotonic(), self._memory, self._clock())
        self._memory = decision.memory
        return decision

    def _report(self, decision: Decision) -> None:
        """Tell people what was done; who has come to drive is for the log alone."""
        revision = decision.revision
        match decision.move:
            case "lock":
                self._log.info(f"this node drives the rollout of revision {revision} now", why=decision.why)
                return
            case "step":
                line = f"rollout of revision {revision}: {decision.why}"
            case "live":
                line = f"rollout of revision {revision}: {decision.why}, all nodes run it now"
            case _:
                line = f"revision {revision} was returned: {decision.why}"
        (self._log.error if decision.move == "returned" else self._log.info)(line)
        self._fleet.tell(line)
