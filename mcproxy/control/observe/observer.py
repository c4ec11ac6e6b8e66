"""Asks the parts of control what they know, for the metrics endpoint; changes nothing.

The parts and the counters belong to control's loop, so they are asked there. What comes out is plain and immutable: it may
be put into words in another thread.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from mcproxy import __version__
from mcproxy.control.counters.sample import Baseline, Sample
from mcproxy.control.counters.totals import Totals
from mcproxy.control.guard.facts import GuardFacts
from mcproxy.control.health.watch import HealthWatch
from mcproxy.control.observe.expiries import Expiries
from mcproxy.control.observe.facts import Facts, WorkerFacts
from mcproxy.control.observe.page import trend
from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.revisions import Revision
from mcproxy.control.system import log
from mcproxy.control.workers.supervisor import Workers
from mcproxy.model.state.state import RouteKey
from mcproxy.policy.acme.facts import OrderFacts
from mcproxy.policy.fleet.facts import FleetFacts

if TYPE_CHECKING:
    from mcproxy.control.observe.page.status import Watched

_SAMPLE_LIFE = 0.4  # seconds for which several viewers of the page get the same counts
_REVISIONS = 20


class Observer:
    """The state of control and the counters, for the metrics endpoint."""

    def __init__(
        self,
        current: Current,
        reconciler: Reconciler,
        workers: Workers,
        health: HealthWatch,
        guard: Callable[[], GuardFacts] = GuardFacts,
        orders: Callable[[], OrderFacts] = OrderFacts,
        fleet: Callable[[], FleetFacts] = FleetFacts,
    ) -> None:
        self._health = health
        self._guard = guard
        self._orders = orders
        self._fleet = fleet
        self._current = current
        self._reconciler = reconciler
        self._workers = workers
        self._expiries = Expiries()
        self._baseline = Baseline()
        self._latest: tuple[Sample, Sample | None] | None = None
        self._trend = trend.Trend()
        self._next_sample = 0.0
        self._started = time.time()

    def listeners(self) -> Iterable[str]:
        """Return the addresses of the live listeners."""
        return self._current.applier.state.listeners

    def unready(self) -> Sequence[str]:
        """Return why not every worker serves what it should, in plain words; nothing when all do."""
        return self._workers.lagging()

    async def counted(self) -> tuple[Facts, Totals]:
        """Return what metrics tell."""
        return await self._facts(), self._current.counters.totals()

    async def watched(self) -> "Watched":
        """Return the contents of the status page: facts with the history, and counts with earlier ones."""
        from mcproxy.control.observe.page.status import Watched  # noqa: PLC0415 - the status page alone needs it

        counters = self._current.counters
        facts = msgspec.structs.replace(
            await self._with_history(await self._facts()),
            last_errors={key: str(trouble.failure) for key, trouble in counters.health.troubles.items()},
            refused=counters.refused_recently(time.monotonic()),
        )
        now, before = self._samples()
        return Watched(facts, now, before, self._trend.recent(now.time), self._trend.curves())

    async def follow(self) -> None:
        """Keep samples for curves, until it is cancelled; counters that can't be read are an error of ours."""
        while True:
            now = time.monotonic()
            if now >= self._next_sample:  # else another one follows too, as while the endpoint moves
                self._next_sample = now + trend.PERIOD
                self._trend.add(Sample(now, self._current.counters.totals()))
            await asyncio.sleep(self._next_sample - now)

    def _samples(self) -> tuple[Sample, Sample | None]:
        """Return the counts of now, or of a moment ago, and earlier ones to compare them with."""
        now = time.monotonic()
        if self._latest is None or now - self._latest[0].time > _SAMPLE_LIFE:
            sample = Sample(now, self._current.counters.totals())
            self._latest = sample, self._baseline.before(sample)
        return self._latest

    async def expiries(self) -> Mapping[RouteKey, float]:
        """Return the end of the certificate of each L7 route, in seconds since the epoch."""
        return await self._expiries.of(self._current.applier.state, self._current.applier.assets)

    async def _facts(self) -> Facts:
        current, last = self._current, self._reconciler.last
        applier = current.applier
        expiries = await self.expiries()
        edits = current.edits
        return Facts(
            now=time.time(),
            started=self._started,
            reloaded=self._reconciler.last_success,
            version=__version__,
            data_path=(applier.data_path.name, applier.data_path.why),
            machine=socket.gethostname(),
            generation=applier.generation,
            state=applier.state,
            workers=tuple(
                WorkerFacts(worker.pid, worker.generation, leaving) for worker, leaving in self._workers.members()
            ),
            unready=tuple(self._workers.lagging()),
            problems=last.problems,
            failed=last.time if last.problems else None,
            failing_tests=last.failing,
            stand_ins=self._reconciler.stand_ins.now,
            expiries=expiries,
            crl_ends=self._expiries.crls,
            client_cas=self._expiries.authorities,
            endpoints=self._health.facts(),
            guard=self._guard(),
            orders=self._orders(),
            fleet=self._fleet(),
            plan=current.plan,
            drift=current.drift(),
            log_lines_dropped=log.dropped(),
            origins={} if current.loaded is None else current.resolution.origins,
            store_problems=tuple(
                filter(
                    None,
                    (
                        edits.error,
                        edits.replaced,
                        edits.set_aside and f"a damaged database was moved to {edits.set_aside}",
                    ),
                )
            ),
        )

    async def _with_history(self, facts: Facts) -> Facts:
        try:
            revisions = await self._current.edits.store.revisions(limit=_REVISIONS)
        except StoreError:
            return facts  # among the problems already
        return msgspec.structs.replace(facts, revisions=revisions)

    async def changes(self, routes: Collection[RouteKey]) -> Mapping[RouteKey, Revision]:
        """Return the generation that changed each route last, as far as that is kept."""
        try:
            return await self._current.edits.store.last_changes(routes)
        except StoreError:
            return {}

    async def generation(self, number: int) -> tuple[Revision, tuple[str, ...]] | None:
        """Return a generation of the history, and what it changed; None if it is not there."""
        try:
            return await self._current.edits.store.outline(number)
        except StoreError:
            return None
