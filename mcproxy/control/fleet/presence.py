"""The record by which the others know that this node is there: under a lease, which ends ten seconds after its last sign of life."""

import asyncio
import contextlib
import time
from collections.abc import Callable

import msgspec

from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.fleet.store.errors import FleetStoreError, LeaseEndedError
from mcproxy.control.fleet.stores import Store
from mcproxy.control.system import log
from mcproxy.errors import UnavailableError
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit, Committed
from mcproxy.model.fleet.records import NodeRecord

LEASE = 10
"""Seconds after which a node that says nothing is away."""
_ALIVE = 3.0  # seconds between signs of life
_ANEW = 300.0  # seconds after which a record is written though nothing has changed: others compare its time with their clocks
_RETRY = 2.0  # seconds between attempts that the store refuses
_LOOK = 0.5  # seconds between looks whether what the record says has changed


class Presence:
    """Keeps this node's record.

    Attributes:
        twin: another machine has this node's name; says so.
        handed_over: another control goes on as this node, and writes the record anew.
    """

    def __init__(self, fleet: Fleet, facts: Callable[[], NodeRecord], clock: Callable[[], float] = time.time) -> None:
        """Ask ``facts`` what to say, but for the time."""
        self._fleet = fleet
        self._facts = facts
        self._clock = clock
        self._written = NodeRecord(node="")
        self._written_at = 0.0
        self._alive = 0.0
        self._log = log.logger()
        self._poked = asyncio.Event()
        self.twin = ""
        self.handed_over = False

    def poke(self) -> None:
        """Have a look now whether the record is to be written."""
        self._poked.set()

    async def run(self) -> None:
        """Keep the record until cancelled; then the node is away at once, unless another control goes on as it."""
        store: Store | None = None
        pause = _LOOK
        try:
            while True:
                if store is not self._fleet.store:  # of another fleet, or reached in another way
                    store, self._fleet.lease = self._fleet.store, 0
                if store is not None and not self._fleet.away:
                    try:
                        await self._stay(store)
                        pause = _LOOK
                    except LeaseEndedError:
                        self._fleet.lease = 0
                    except (FleetStoreError, UnavailableError):  # told by who follows the store
                        pause = _RETRY
                self._poked.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._poked.wait()
                if pause > _LOOK:
                    await asyncio.sleep(_LOOK)
        finally:
            if store is not None and self._fleet.lease and not self.handed_over:
                await self._leave(store)

    async def _stay(self, store: Store) -> None:
        """Keep the lease, or take one, and write the record if it says something new."""
        now = asyncio.get_running_loop().time()
        if self._fleet.lease and now - self._alive >= _ALIVE:
            self._fleet.lease = self._fleet.lease if await store.keep_alive(self._fleet.lease) else 0
            self._alive = now
        if not self._fleet.lease:
            self._fleet.lease, self._alive = await store.grant(LEASE), now
            self._written = NodeRecord(node="")
        await self._write()

    async def _write(self) -> None:
        """Write the record if it says something new, or another has written it."""
        facts, view = self._facts(), self._fleet.view
        here = view.nodes.get(facts.node)
        self._look_for_twin(here, facts)
        said = msgspec.structs.replace(facts, time=0.0)
        now = self._clock()
        if here is not None and said == self._written and now - self._written_at < _ANEW:
            return
        record = msgspec.json.encode(msgspec.structs.replace(facts, time=now))
        key = keys.node_key(facts.node)
        outcome = await self._fleet.commit(Commit(puts={key: record}, leased=frozenset({key})))
        if isinstance(outcome, Committed):
            self._written, self._written_at = said, now

    def _look_for_twin(self, here: NodeRecord | None, facts: NodeRecord) -> None:
        """Notice that somebody else has written the record since this node did."""
        twin = ""
        if here is not None and self._written.node and here.since != facts.since:
            twin = f"another machine, or another mcproxy on this one, is the node {facts.node} too; each needs a name of its own"
        if twin and twin != self.twin:
            self._log.error(twin)
        self.twin = twin

    async def _leave(self, store: Store) -> None:
        with contextlib.suppress(FleetStoreError, TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(1.0):
                await store.revoke(self._fleet.lease)
