"""Histograms of durations, and what they say: sums, differences, and the duration below which a share of all lies."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from mcproxy.net.memory.histogram import BOUNDS, SUM


class Histogram(NamedTuple):
    """Durations counted by length.

    Attributes:
        buckets: how many were within each of `histogram.BOUNDS` but above the one before, and as the last, how many
            were above them all; not cumulated.
        total: how many there were.
        seconds: their sum.
    """

    buckets: tuple[int, ...]
    total: int
    seconds: float


def as_histogram(words: Sequence[int]) -> Histogram:
    """Return what the words of a histogram mean."""
    buckets = tuple(words[:SUM])
    return Histogram(buckets, sum(buckets), words[SUM] / 1e6)


_NONE = Histogram((0,) * (len(BOUNDS) + 1), 0, 0.0)


def added(histograms: Iterable[Histogram]) -> Histogram:
    """Return the histogram of everything that is in any of several."""
    found = [one for one in histograms if one.total]
    if not found:
        return _NONE
    buckets = tuple(map(sum, zip(*(one.buckets for one in found), strict=True)))
    return Histogram(buckets, sum(buckets), sum(one.seconds for one in found))


def difference(now: Histogram, before: Histogram | None) -> Histogram:
    """Return what was added to a histogram since ``before``; all of it where it has begun anew."""
    if before is None or any(new < old for new, old in zip(now.buckets, before.buckets, strict=True)):
        return now
    buckets = tuple(new - old for new, old in zip(now.buckets, before.buckets, strict=True))
    return Histogram(buckets, sum(buckets), now.seconds - before.seconds)


def quantile(histogram: Histogram, share: float) -> float | None:
    """Return how long ``share`` of all durations were at most, in seconds; None if there are none.

    Within a bucket durations are taken as evenly spread; what is longer than the highest bound counts as that bound.
    """
    if not histogram.total:
        return None
    wanted = share * histogram.total
    below = 0.0
    for bucket, upto in enumerate(accumulate(histogram.buckets)):
        if upto >= wanted and histogram.buckets[bucket]:
            if bucket == len(BOUNDS):
                break
            low = BOUNDS[bucket - 1] if bucket else 0.0
            return low + (BOUNDS[bucket] - low) * (wanted - below) / histogram.buckets[bucket]
        below = upto
    return BOUNDS[-1]
