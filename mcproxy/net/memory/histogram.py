"""Histograms of durations in shared memory: a count per bucket and the sum, each a word with one writer."""

from bisect import bisect_left

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the buckets in seconds, each included; one more bucket holds what is longer."""

WORDS = 16
"""Words that a histogram takes: a count per bucket, not cumulated, and the sum in microseconds."""

SUM = WORDS - 1
_MICROSECONDS = tuple(round(bound * 1e6) for bound in BOUNDS)


def observe(counters: memoryview, histogram: int, seconds: float) -> None:
    """Count a duration in the histogram that begins at the word ``histogram``."""
    microseconds = int(seconds * 1e6)
    counters[histogram + bisect_left(_MICROSECONDS, microseconds)] += 1
    counters[histogram + SUM] += microseconds
