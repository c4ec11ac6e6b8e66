"""One endpoint of an upstream, as the data path has it: how it is reached, and what is counted there.

What every connection and request counts is added up in this process, and written to the shared memory ten times a second: for
endpoints without a limit nothing else needs it sooner.
"""

from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_UN, flock
from typing import TYPE_CHECKING, Protocol

import msgspec

from mcproxy.model.state.upstream_entries import EndpointEntry
from mcproxy.net.memory.endpoints import ACTIVE, RECEIVED, SENT, TAKEN
from mcproxy.net.memory.shared_memory import endpoint_counter
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.target import Target

if TYPE_CHECKING:
    from mcproxy.worker.stream.course import Pool, Visit
    from mcproxy.worker.stream.exchange import Exchange

NOWHERE: frozenset[int] = frozenset()
"""The indices of the endpoints where something has been tried that is to be tried for the first time."""


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
        opened: connections and requests that are open in this worker, by index of their endpoint.
        changed: the endpoints whose counts are to be written.
    """

    memory: EndpointMemory
    counters: memoryview
    lock_fd: int
    later: Callable[[Callable[[], None]], object]
    opened: dict[int, int] = msgspec.field(default_factory=dict)
    changed: "list[LiveEndpoint]" = msgspec.field(default_factory=list)

    def write(self) -> None:
        """Write the counts that have changed."""
        changed = list(self.changed)
        self.changed.clear()
        for endpoint in changed:
            endpoint.write()


class LiveEndpoint:
    """An endpoint of the live snapshot; it stays the same object as long as it keeps its address.

    Attributes:
        entry: as the snapshot has it.
        index: of its counters and its state.
        targets: what to dial.
        backend: what it is to pools.
        pool: the connections that clients share, None where each has its own, or no L7 route leads here.
        address: where it listens, as the file writes it.
        limited: whether there may be only so many.
        opened: as in `EndpointTools`.
        taken, received, sent: connections or requests, and bytes, that are counted and not written yet.
        changed: whether it is among those whose counts are to be written.
        stay: what exchanges have for a visit which this endpoint is the first of, and which nothing is to be remembered of.
        cookie, set_cookie: the value by which a client stays here, and the field that tells it; empty without such a cookie.
    """

    __slots__ = (
        "_active",
        "_cells",
        "_tools",
        "address",
        "backend",
        "changed",
        "cookie",
        "entry",
        "index",
        "limited",
        "opened",
        "pool",
        "received",
        "sent",
        "set_cookie",
        "stay",
        "taken",
        "targets",
    )

    def __init__(self, tools: EndpointTools, entry: EndpointEntry) -> None:
        self._tools = tools
        self._active = endpoint_counter(entry.index, ACTIVE)
        self._cells = tools.memory.endpoint_cells(entry.index, ACTIVE)
        self.entry = entry
        self.index = entry.index
        self.targets = (Target(entry.endpoint),)
        self.address = str(entry.endpoint)
        self.backend: Backend | None = None
        self.limited = entry.max_active > 0
        self.pool: Pool[Exchange] | None = None
        self.opened = tools.opened
        self.opened[entry.index] = 0
        self.taken = self.received = self.sent = 0
        self.changed = False
        self.stay: Visit[Exchange] | None = None
        self.cookie = self.set_cookie = b""

    def admit(self) -> bool:
        """Count one more connection or request, unless ``max_active`` are open over all workers; tell whether it may begin."""
        if self.limited:
            lock = self._tools.lock_fd
            flock(lock, LOCK_EX)
            try:
                if self.open_everywhere() >= self.entry.max_active:
                    return False
                self._tools.counters[self._active] += 1
            finally:
                flock(lock, LOCK_UN)
        self.opened[self.index] += 1
        self.taken += 1
        if not self.changed:
            self.change()
        return True

    def open_everywhere(self) -> int:
        """Return how many connections or requests all workers have open here, others' as they were last written."""
        own = self._tools.counters[self._active]
        return sum(self._cells[: self._tools.memory.slots_used()]) - own + self.opened[self.index]

    def release(self) -> None:
        """Count one less; it must be over at the endpoint by now."""
        self.opened[self.index] -= 1
        if self.limited:
            self._tools.counters[self._active] -= 1
        elif not self.changed:
            self.change()

    def add(self, taken: int, opened: int, received: int, sent: int) -> None:
        """Count what was led here without asking: connections that began, how many more (or fewer) are open, and bytes."""
        self.opened[self.index] += opened
        self.taken += taken
        self.received += received
        self.sent += sent
        if self.limited:
            self._tools.counters[self._active] = max(self.opened[self.index], 0)
        if not self.changed:
            self.change()

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

    def count(self, counter: int) -> None:
        """Count something that seldom happens (`mcproxy.net.memory.endpoints.COUNTERS`)."""
        self._tools.counters[self._active + counter] += 1

    def change(self) -> None:
        """Have the counts written soon."""
        self.changed = True
        self._tools.changed.append(self)

    def write(self) -> None:
        """Write what has been counted."""
        self.changed = False
        counters, active = self._tools.counters, self._active
        counters[active] = max(self.opened[self.index], 0)
        counters[active + TAKEN] += self.taken
        counters[active + RECEIVED] += self.received
        counters[active + SENT] += self.sent
        self.taken = self.received = self.sent = 0
