"""Choice by load: how many connections or requests an endpoint has open, for its weight.

`LeastLoaded` compares all endpoints by what this worker alone has open there (over all workers it would have to read a word
of each of them for each endpoint). `BetterOfTwo` compares two that are drawn by weight, over all workers: what each worker
then knows is enough that they do not all run to the same one.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable
from itertools import accumulate

from mcproxy.policy.upstreams.words import FULL, UP, Words, share

_COMPARED = 64
_DRAWS = 12


class LeastLoaded:
    """The endpoint with the lowest load, that is open here / (weight * share); equal ones take turns by weight.

    Args:
        weights: index and weight of each endpoint.
        active: what this worker has open, by index.
        phase: where to begin, 0 to 1: different in every worker.
    """

    __slots__ = ("_active", "_due", "_now", "_start", "_steps")

    def __init__(self, weights: Iterable[tuple[int, float]], active: Words, phase: float = 0.0) -> None:
        self._steps = [(index, 1.0 / weight) for index, weight in weights]
        self._active = active
        self._now = 0.0  # as in `schedule`
        self._due = {
            index: step * ((phase + place * 0.6180339887498949) % 1.0)
            for place, (index, step) in enumerate(self._steps, 1)
        }
        self._start = 0

    def pick(self, words: Words, skip: Collection[int] = (), source: bytes = b"") -> int | None:  # noqa: ARG002
        """Return the usable endpoint with the lowest load that is not in ``skip``, None if there is none.

        Of more than 64 endpoints 64 are compared, which are others each time, unless none of these is usable.
        """
        steps = self._steps
        if len(steps) > _COMPARED:
            start = self._start
            self._start = (start + _COMPARED) % len(steps)
            some = steps[start : start + _COMPARED]
            if len(some) < _COMPARED:
                some += steps[: _COMPARED - len(some)]
            found = self._lowest(some, words, skip)
            if found is not None:
                return found
        return self._lowest(steps, words, skip)

    def _lowest(self, steps: list[tuple[int, float]], words: Words, skip: Collection[int]) -> int | None:
        active, due = self._active, self._due
        found = None
        lowest = turn = chosen_step = 0.0
        for index, full_step in steps:
            step = full_step
            word = words[index] & 0xFFFF
            if word > UP:
                if word & 0xFF > UP:
                    continue
                step *= FULL / max(FULL - (word >> 8), 1)
            if skip and index in skip:
                continue
            load = active[index] * step
            if found is None or load < lowest or (load == lowest and due[index] < turn):
                found, lowest, turn, chosen_step = index, load, due[index], step
        if found is not None:
            self._now = max(self._now, turn)
            due[found] = self._now + chosen_step
        return found


class BetterOfTwo:
    """Two endpoints, drawn by weight and share, and of these the one with the lower load over all workers.

    Args:
        weights: index and weight of each endpoint.
        active: tells what all workers together have open at an endpoint.
        random: gives numbers from 0 to below 1.
    """

    __slots__ = ("_active", "_indices", "_random", "_sums", "_weights")

    def __init__(
        self, weights: Iterable[tuple[int, float]], active: Callable[[int], int], random: Callable[[], float]
    ) -> None:
        self._weights = dict(weights)
        self._indices = list(self._weights)
        self._sums = list(accumulate(self._weights.values()))
        self._active = active
        self._random = random

    def pick(self, words: Words, skip: Collection[int] = (), source: bytes = b"") -> int | None:  # noqa: ARG002
        """Return the better one of two usable endpoints that are not in ``skip``, None if there is none."""
        first = self._draw(words, skip, None)
        if first is None:
            return None
        second = self._draw(words, skip, first)
        if second is None:
            return first
        weights = self._weights
        load = self._active(first) / (weights[first] * share(words[first]))
        return second if self._active(second) / (weights[second] * share(words[second])) < load else first

    def _draw(self, words: Words, skip: Collection[int], other: int | None) -> int | None:
        """Return an endpoint by weight and share; ``other`` is drawn already and does not count."""
        indices, sums, random = self._indices, self._sums, self._random
        if len(indices) < 2 and other is not None:
            return None
        for _ in range(_DRAWS if indices else 0):
            index = indices[bisect_right(sums, random() * sums[-1])]
            if index == other:
                continue
            word = words[index] & 0xFFFF
            if word > UP and (word & 0xFF > UP or random() * FULL < word >> 8):
                continue
            if skip and index in skip:
                continue
            return index
        left = [index for index in indices if words[index] & 0xFF <= UP and index not in skip and index != other]
        if not left:
            return None
        parts = list(accumulate(self._weights[index] * share(words[index]) for index in left))
        return left[min(bisect_right(parts, random() * parts[-1]), len(left) - 1)]
