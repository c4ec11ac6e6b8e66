"""Round robin by weight, interleaved: of all endpoints the one that is due first is next.

Time is counted in turns of an endpoint of weight 1. One of weight ``w`` and share ``s`` is due again ``1 / (w * s)`` after
its last turn, and begins somewhere within that, spread by the golden ratio; so equal weights alternate and heavy ones do
not come in bursts. It costs the same for any weights, and shares may change between any two turns. Endpoints that are not
usable leave the queue when they are due, so that the others share their turns by weight (in a fixed cycle whoever comes
next would get them all).
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush, heapreplace

from mcproxy.policy.upstreams.words import FULL, UP, Words

_GOLDEN = 0.6180339887498949


class Schedule:
    """The order of one worker's turns.

    Args:
        weights: index and weight of each endpoint, weights above 0.
        phase: where to begin, 0 to 1: different in every worker, so that not all begin with the same endpoint.
        waits: how long endpoints still wait for their turns in the schedule that this one goes on from (`waits`).
    """

    __slots__ = ("_left", "_now", "_queue", "_steps")

    def __init__(
        self, weights: Iterable[tuple[int, float]], phase: float = 0.0, waits: Mapping[int, float] | None = None
    ) -> None:
        self._steps = {index: 1.0 / weight for index, weight in weights}
        self._now = 0.0
        self._left: deque[int] = deque()  # out of the queue, as they were not usable when they were due
        self._queue: list[tuple[float, int]] = []
        known = waits or {}
        for place, (index, step) in enumerate(self._steps.items(), 1):
            begin = step * ((phase + place * _GOLDEN) % 1.0)
            self._queue.append((min(known[index], step) if index in known else begin, index))
        heapify(self._queue)

    def waits(self) -> dict[int, float]:
        """Return how long endpoints still wait for their turns, without those that were not usable."""
        return {index: max(due - self._now, 0.0) for due, index in self._queue}

    def pick(self, words: Words, skip: Collection[int] = (), source: bytes = b"") -> int | None:  # noqa: ARG002
        """Return the next usable endpoint that is not in ``skip``, None if there is none.

        Args:
            words: the words of the endpoints.
            skip: indices that are passed over; they keep their turn.
            source: of no importance here.
        """
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
            return self.pick(words, skip)
        return found

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
