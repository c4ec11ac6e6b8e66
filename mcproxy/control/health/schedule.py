"""When each check is due: spread over the interval, none before the one before has ended."""

import heapq
import random
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

JITTER = 0.1
"""Part of the interval by which one is longer or shorter, at most."""
SOON = 1.0
"""Seconds within which the first check of an endpoint is made of which nothing is known yet."""


class Schedule(Generic[K]):
    """The next check of each of many endpoints; time is an argument (seconds on a clock that never goes back)."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._heap: list[tuple[float, int, K]] = []
        self._entries: dict[K, int] = {}  # the number of the one that counts of what the heap has
        self._number = 0

    def begin(self, key: K, interval: float, now: float, *, soon: bool) -> None:
        """Plan the first check of an endpoint, or of another check of it: at any moment of the interval, or ``soon``."""
        self._put(key, now + self._chance.random() * (min(interval, SOON) if soon else interval))

    def spread(self, key: K, interval: float, began: float, now: float) -> None:
        """Plan the second check behind one that was made soon: at any moment of the interval, so that all do not stay together."""
        self._put(key, max(now, began + self._chance.uniform(JITTER, 1.0) * interval))

    def again(self, key: K, interval: float, began: float, now: float) -> None:
        """Plan the check behind one that ``began`` then and has ended."""
        self._put(key, max(now, began + self._chance.uniform(1.0 - JITTER, 1.0 + JITTER) * interval))

    def end(self, key: K) -> None:
        """Plan no check of an endpoint any more."""
        self._entries.pop(key, None)
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = [entry for entry in self._heap if self._entries.get(entry[2]) == entry[1]]
            heapq.heapify(self._heap)

    def due(self, now: float, most: int) -> list[K]:
        """Return up to ``most`` endpoints whose checks are due, those that are overdue first; they have to be planned again."""
        found: list[K] = []
        while self._heap and len(found) < most and self._heap[0][0] <= now:
            _, number, key = heapq.heappop(self._heap)
            if self._entries.get(key) == number:
                del self._entries[key]
                found.append(key)
        return found

    def next(self) -> float | None:
        """Return when the next check is due, None without any."""
        while self._heap and self._entries.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _put(self, key: K, due: float) -> None:
        self._number += 1
        self._entries[key] = self._number
        heapq.heappush(self._heap, (due, self._number, key))
