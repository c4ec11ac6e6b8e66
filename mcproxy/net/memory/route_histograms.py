"""Which routes have a histogram of the durations of their requests: the first two hundred that had any.

A histogram per route of tens of thousands would be a hundred megabytes per worker, and more series than anybody can store.
So there are `MOST`; who comes later counts in its listener's, which is shown as one more route. A worker that serves the first
request of a route assigns it one, under the lock that `admission` has; a route keeps what it was given for as long as it lives.
"""

from collections.abc import Callable, Collection
from fcntl import LOCK_EX, LOCK_UN, flock
from typing import Protocol

MOST = 200
_SHARED = (
    MOST + 1
)  # what the word of a route says that came too late; else the histogram's number and 1, or 0 before it has one


class Memory(Protocol):
    """The part of the shared memory that this is about."""

    def assigned_histograms(self) -> memoryview:
        """Return `MOST` words with the owners of the histograms (the route's index and 1, or 0), then a word per route."""

    def clear_histogram(self, number: int) -> None:
        """Zero a histogram."""


class RouteHistograms:
    """Assigns histograms to routes."""

    __slots__ = ("_lock_fd", "_memory")

    def __init__(self, memory: Memory, lock_fd: int) -> None:
        """``lock_fd`` is a file description of this process alone, for flock."""
        self._memory = memory
        self._lock_fd = lock_fd

    def assign(self, route: int) -> int | None:
        """Return the number of a route's histogram, None if it has to share its listener's; decided by the first call."""
        with self._memory.assigned_histograms() as words:
            if not words[MOST + route]:
                flock(self._lock_fd, LOCK_EX)
                try:
                    if not words[MOST + route]:
                        free = next((number for number in range(MOST) if not words[number]), None)
                        if free is not None:
                            words[free] = route + 1
                        words[MOST + route] = _SHARED if free is None else free + 1
                finally:
                    flock(self._lock_fd, LOCK_UN)
            word: int = words[MOST + route]
            return word - 1 if word < _SHARED else None

    def release(self, live: Collection[int], is_busy: Callable[[int], bool]) -> None:
        """Take back the histograms of routes that are gone, for those that come; control alone calls this.

        Args:
            live: the indices of the routes that there are.
            is_busy: tells whether something of a route is open yet, so that it may count.
        """
        for route in owned(self._memory):
            if route not in live and not is_busy(route):
                self.forget(route)

    def forget(self, route: int) -> None:
        """Let a route have no histogram any more, before its index is given to another; control alone calls this."""
        with self._memory.assigned_histograms() as words:
            flock(self._lock_fd, LOCK_EX)
            try:
                word, words[MOST + route] = words[MOST + route], 0
                if 0 < word < _SHARED:
                    self._memory.clear_histogram(word - 1)
                    words[word - 1] = 0
            finally:
                flock(self._lock_fd, LOCK_UN)


def owned(memory: Memory) -> dict[int, int]:
    """Return the numbers of the histograms that belong to routes, by the index of these."""
    with memory.assigned_histograms() as words:
        owners = words[:MOST].tolist()
    return {owner - 1: number for number, owner in enumerate(owners) if owner}
