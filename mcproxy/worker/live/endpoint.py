"""One endpoint of an upstream, as the data path has it: how it is reached, and what is counted there."""

from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_UN, flock
from typing import Protocol

import msgspec

from mcproxy.model.state.upstream_entries import EndpointEntry
from mcproxy.net.memory.endpoints import ACTIVE, TAKEN
from mcproxy.net.memory.shared_memory import endpoint_counter
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.target import Target
from mcproxy.worker.stream.course import Pool, Visit
from mcproxy.worker.stream.exchange import Exchange


class EndpointMemory(Protocol):
    """The part of the shared memory that is about endpoints."""

    def endpoint_states(self) -> memoryview:
        """Return the state word of every endpoint."""

    def endpoint_cells(self, endpoint: int, counter: int) -> memoryview:
        """Return one of an endpoint's counters as every slot has it."""

    def slots_used(self) -> int:
        """Return the number of slots from 0 that were ever in use."""


class EndpointTools(msgspec.Struct, frozen=True, eq=False):
    """What all endpoints of a worker share.

    Attributes:
        memory: shared with the other workers and control.
        counters: this worker's.
        lock_fd: what flock takes, around adding up what all workers have open.
        later: has something called in a moment.
    """

    memory: EndpointMemory
    counters: memoryview
    lock_fd: int
    later: Callable[[Callable[[], None]], object]


class LiveEndpoint:
    """An endpoint of the live snapshot; it stays the same object as long as it keeps its address.

    Attributes:
        entry: as the snapshot has it.
        index: of its counters and its state.
        targets: what to dial.
        backend: what it is to pools.
        pool: the connections that clients share, None where each has its own, or no L7 route leads here.
        address: where it listens, as the file writes it.
        counters: this worker's, in the shared memory.
        active: the word of the counters that tells how many are open here in this worker.
        limited: whether there may be only so many.
        stay: what exchanges have for a visit which this endpoint is the first of, and which nothing is to be remembered of.
        cookie, set_cookie: the value by which a client stays here, and the field that tells it; empty without such a cookie.
    """

    __slots__ = (
        "_cells",
        "_tools",
        "active",
        "address",
        "backend",
        "cookie",
        "counters",
        "entry",
        "index",
        "limited",
        "pool",
        "set_cookie",
        "stay",
        "targets",
    )

    def __init__(self, tools: EndpointTools, entry: EndpointEntry) -> None:
        self._tools = tools
        self.counters = tools.counters
        self.active = endpoint_counter(entry.index, ACTIVE)
        self._cells = tools.memory.endpoint_cells(entry.index, ACTIVE)
        self.entry = entry
        self.index = entry.index
        self.targets = (Target(entry.endpoint),)
        self.address = str(entry.endpoint)
        self.backend: Backend | None = None
        self.limited = entry.max_active > 0
        self.pool: Pool[Exchange] | None = None
        self.stay: Visit[Exchange] | None = None
        self.cookie = self.set_cookie = b""

    def admit(self) -> bool:
        """Count one more connection or request, unless ``max_active`` are open over all workers; tell whether it may begin."""
        most = self.entry.max_active
        counters, active = self.counters, self.active
        if most:
            lock = self._tools.lock_fd
            flock(lock, LOCK_EX)
            try:
                if self.open_everywhere() >= most:
                    return False
                counters[active] += 1
            finally:
                flock(lock, LOCK_UN)
        else:
            counters[active] += 1
        counters[active + TAKEN] += 1
        return True

    def open_everywhere(self) -> int:
        """Return how many connections or requests all workers have open here."""
        return sum(self._cells[: self._tools.memory.slots_used()])

    def release(self) -> None:
        """Count one less; it must be over at the endpoint by now."""
        self.counters[self.active] -= 1

    def release_later(self) -> None:
        """Count one less when the endpoint has had the time to notice that it is over, if it may only have so many."""
        if self.limited:
            self._tools.later(self.release)
        else:
            self.release()

    def left(self, after: int) -> None:
        """Count that a connection or request goes on to another endpoint, ``after`` what (``RETRIES_...``)."""
        self.count(after)
        self.release_later()

    def count(self, counter: int, amount: int = 1) -> None:
        """Count something (`mcproxy.net.memory.endpoints.COUNTERS`)."""
        self.counters[self.active + counter] += amount
