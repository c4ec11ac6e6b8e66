"""Sums, differences and quantiles of histograms."""

import pytest

from mcproxy.control.counters.quantiles import Histogram, added, difference, quantile
from mcproxy.net.memory.histogram import BOUNDS


def durations(**buckets: int) -> Histogram:
    """Return counts by bucket: ``b0`` is the first."""
    counts = [buckets.get(f"b{number}", 0) for number in range(len(BOUNDS) + 1)]
    return Histogram(tuple(counts), sum(counts), 1.5 * sum(counts))


def test_a_quantile_lies_in_its_bucket() -> None:
    """Evenly spread within; above the highest bound it is that bound; of nothing there is none."""
    assert quantile(durations(), 0.5) is None
    assert quantile(durations(b1=100), 0.5) == pytest.approx(0.00075)
    assert quantile(durations(b0=99, b4=1), 0.99) == pytest.approx(BOUNDS[0])
    assert quantile(durations(b0=98, b4=2), 0.99) == pytest.approx((BOUNDS[3] + BOUNDS[4]) / 2)
    assert quantile(durations(b14=1), 0.5) == BOUNDS[-1]
    assert quantile(durations(b0=1), 1.0) == BOUNDS[0]


def test_sums() -> None:
    assert added([]) == durations()
    assert added([durations(b0=1), durations(), durations(b0=2, b3=4)]) == durations(b0=3, b3=4)


def test_a_difference_is_what_came_since() -> None:
    """Everything, where nothing is known of before, or where counting began anew."""
    now = durations(b0=5, b2=1)
    assert difference(now, durations(b0=2)) == durations(b0=3, b2=1)
    assert difference(now, None) == now
    assert difference(now, durations(b0=2, b3=9)) == now
