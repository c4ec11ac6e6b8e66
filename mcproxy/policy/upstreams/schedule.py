"""Round robin by weight, interleaved: of all endpoints the one that is due first is next.

Time is counted in turns of an endpoint of weight 1. One of weight ``w`` and share ``s`` is due again ``1 / (w * s)`` after
its last turn, and begins somewhere within that, spread by the golden ratio; so equal weights alternate and heavy ones do
not come in bursts. It costs the same for any weights, and shares may change between any two turns. Endpoints that are not
usable leave the queue when they are due, so that the others share their turns by weight (in a fixed cycle whoever comes
next would get them all).

While all are usable with their whole share, which is nearly always, the turns repeat after as many as the sum of the weights
(divided by their greatest common divisor): up to `_CYCLE` turns they are worked out once and then read off. What is read off, and how
far, lies in arrays, so that whoever can read these takes turns of the same schedule without a call.
"""

from array import array
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from math import gcd

from mcproxy.policy.upstreams.words import FULL, UP, Words

_GOLDEN = 0.6180339887498949
_CYCLE = 512  # turns that are worked out ahead, at most
_SHORT = 64  # a cycle of fewer turns is written down several times
PLAIN = 0xFFFE
"""Bits of a word, of which none is set for an endpoint that is usable with its whole share."""
_NEXT, _CAREFUL = 0, 1  # places in the marks


class Schedule:
    """The order of one worker's turns.

    Attributes:
        cycle: the indices in their order, while all endpoints are usable with their whole share; empty if it is too long.
        marks: the place of the next one in ``cycle``; and how many turns the queue decides before the cycle does again.

    Args:
        weights: index and weight of each endpoint, weights above 0.
        phase: where to begin, 0 to 1: different in every worker, so that not all begin with the same endpoint.
        waits: how long endpoints still wait for their turns in the schedule that this one goes on from (`waits`).
    """

    __slots__ = ("_left", "_now", "_queue", "_steps", "cycle", "marks")

    def __init__(
        self, weights: Iterable[tuple[int, float]], phase: float = 0.0, waits: Mapping[int, float] | None = None
    ) -> None:
        weights = list(weights)
        self._steps = {index: 1.0 / weight for index, weight in weights}
        self._now = 0.0
        self._left: deque[int] = deque()  # out of the queue, as they were not usable when they were due
        self._queue: list[tuple[float, int]] = []
        known = waits or {}
        for place, (index, step) in enumerate(self._steps.items(), 1):
            begin = step * ((phase + place * _GOLDEN) % 1.0)
            self._queue.append((min(known[index], step) if index in known else begin, index))
        heapify(self._queue)
        self.cycle = array("I", self._worked_out([weight for _, weight in weights]))
        self.marks = array("I", (0, 0))

    def waits(self) -> dict[int, float]:
        """Return how long endpoints still wait for their turns, without those that were not usable."""
        queue, now = list(self._queue), self._now
        if not self._left:
            for _ in range(self.marks[_NEXT]):
                now = self._turn(queue, now)
        return {index: max(due - now, 0.0) for due, index in queue}

    def pick(self, words: Words, skip: Collection[int] = (), source: bytes = b"") -> int | None:  # noqa: ARG002
        """Return the next usable endpoint that is not in ``skip``, None if there is none.

        Args:
            words: the words of the endpoints.
            skip: indices that are passed over; they keep their turn.
            source: of no importance here.
        """
        marks = self.marks
        if not (marks[_CAREFUL] or skip):
            cycle = self.cycle
            if cycle:
                place = marks[_NEXT]
                index = cycle[place]
                if not words[index] & PLAIN:
                    place += 1
                    marks[_NEXT] = place if place < len(cycle) else 0
                    return index
                marks[_CAREFUL] = len(cycle)  # not to be used, or not with its whole share: the queue knows better
        elif marks[_CAREFUL] and not skip:
            marks[_CAREFUL] -= 1
            if not marks[_CAREFUL] and any(words[index] & PLAIN for index in self._steps):
                marks[_CAREFUL] = len(self.cycle)
        return self._pick(words, skip)

    def _pick(self, words: Words, skip: Collection[int]) -> int | None:
        if self._left:
            self._let_back(words, 1)
        queue = self._queue
        passed: list[tuple[float, int]] = []
        found = None
        while queue:
            due, index = queue[0]
            word = words[index] & 0xFFFF
            if word > UP and word & 0xFF > UP:
                heappop(queue)
                self._left.append(index)
                continue
            if skip and index in skip:
                passed.append(heappop(queue))
                continue
            step = self._steps[index]
            if word > UP:
                step *= FULL / max(FULL - (word >> 8), 1)
            self._now = max(self._now, due)
            # one that is behind, since it was passed over, gets one turn for that and no series of them
            heapreplace(queue, (self._now + step, index))
            found = index
            break
        for item in passed:
            heappush(queue, item)
        if found is None and self._left and self._let_back(words, len(self._left)):
            return self._pick(words, skip)
        return found

    def _worked_out(self, weights: list[float]) -> list[int]:
        """Return the turns of one cycle, from the queue as it is now; none if that is too long, or the weights are no integers."""
        if not weights or not all(float(weight).is_integer() for weight in weights):
            return []
        turns = sum(map(int, weights)) // gcd(*map(int, weights))
        if turns > _CYCLE:
            return []
        queue, now = list(self._queue), self._now
        cycle = []
        for _ in range(turns):
            cycle.append(queue[0][1])
            now = self._turn(queue, now)
        return cycle * (_SHORT // turns + 1)  # begun anew seldom

    def _turn(self, queue: list[tuple[float, int]], now: float) -> float:
        """Give the first one of a queue its turn; return the time that it is then."""
        due, index = queue[0]
        now = max(now, due)
        heapreplace(queue, (now + self._steps[index], index))
        return now

    def _let_back(self, words: Words, most: int) -> int:
        """Look at some of those that have left, and put back what has become usable; return how many these are."""
        left = self._left
        before = len(left)
        for _ in range(most):
            index = left.popleft()
            word = words[index]
            if word & 0xFF > UP:
                left.append(index)
                continue
            step = self._steps[index] * FULL / max(FULL - (word >> 8 & 0xFF), 1)
            heappush(self._queue, (self._now + step * (index * _GOLDEN % 1.0), index))
        return before - len(left)
