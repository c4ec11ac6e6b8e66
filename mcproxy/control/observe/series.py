"""Samples of metrics as lines of text and as the library's objects; one home of prometheus_client."""

from collections.abc import Sequence
from itertools import accumulate
from typing import TypeAlias

from prometheus_client.core import HistogramMetricFamily

from mcproxy.control.counters.quantiles import Histogram
from mcproxy.net.memory import histogram

Lines: TypeAlias = Sequence[str]
"""Samples as lines of the text, which are the same in both formats. Of families that may have ten thousands of series
the library learns the head alone: it spends ten times as long on each sample."""

_LEVELS = (*(repr(bound) for bound in histogram.BOUNDS), "+Inf")


def quoted(label: str) -> str:
    """Return a label's value in quotes; names of the configuration have nothing to escape, which is seen quickly."""
    if not label.isprintable() or '"' in label or "\\" in label:
        label = label.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'"{label}"'


def add_histogram(family: HistogramMetricFamily, labels: Sequence[str], durations: Histogram) -> None:
    """Add a series to a family, unless nothing was counted."""
    if durations.total:
        buckets = list(zip(_LEVELS, map(float, accumulate(durations.buckets)), strict=True))
        family.add_metric(labels, buckets, durations.seconds)
