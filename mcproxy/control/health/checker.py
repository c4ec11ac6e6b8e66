"""Carries out checks when they are due: one task for each that is under way, none for those that are not."""

import asyncio
import time
from collections.abc import Callable

import msgspec

from mcproxy.control.health.probes.probe import Outcome, Probe, Prober
from mcproxy.control.health.schedule import Schedule
from mcproxy.control.system import descriptors, log

_AT_ONCE = 512
_GLANCE, _LONGEST = 0.05, 0.5  # seconds from one look at what is due to the next, at least and at most


class Planned(msgspec.Struct, frozen=True, eq=False):
    """A check that is made again and again.

    Attributes:
        probe: what it does.
        interval: seconds from one to the next.
        begin: returns the number under which it begins.
        ended: takes that number and the result, in control's loop; not called for one that could not be carried out.
    """

    probe: Probe
    interval: float
    begin: Callable[[], int]
    ended: Callable[[int, Outcome], None]


class Checker:
    """The checks of all endpoints, by the endpoints' indices."""

    def __init__(
        self, prober: Prober, clock: Callable[[], float] = time.monotonic, schedule: Schedule[int] | None = None
    ) -> None:
        self._prober = prober
        self._clock = clock
        self._schedule: Schedule[int] = schedule or Schedule()
        self._planned: dict[int, Planned] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._most = descriptors.share(_AT_ONCE)

    def plan(self, index: int, planned: Planned, *, soon: bool) -> None:
        """Check an endpoint from now on; a check of it that is under way counts no more."""
        self._planned[index] = planned
        self._schedule.begin(index, planned.interval, self._clock(), soon=soon)

    def drop(self, index: int) -> None:
        """Check an endpoint no more."""
        if self._planned.pop(index, None) is not None:
            self._schedule.end(index)

    async def run(self) -> None:
        """Check until cancelled: those that are due at a glance together, which costs half of one wake-up for each."""
        try:
            while True:
                for index in self._schedule.due(self._clock(), self._most - len(self._running)):
                    task = asyncio.create_task(self._check(index, self._planned[index]))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
                due = self._schedule.next()
                wait = _LONGEST if due is None else due - self._clock()
                await asyncio.sleep(min(max(wait, _GLANCE), _LONGEST))
        finally:
            for task in self._running:
                task.cancel()

    async def _check(self, index: int, planned: Planned) -> None:
        began = self._clock()
        number = planned.begin()
        try:
            outcome = await self._prober.run(planned.probe)
            if self._planned.get(index) is planned and outcome.good is not None:
                planned.ended(number, outcome)
        except Exception as error:  # noqa: BLE001 - of mcproxy itself; the other checks go on, and this one as well
            log.logger().error(
                "a check could not be carried out", endpoint=str(planned.probe.endpoint), error=repr(error)
            )
        if self._planned.get(index) is not planned:
            return
        plan = self._schedule.spread if number == 1 else self._schedule.again
        plan(index, planned.interval, began, self._clock())
