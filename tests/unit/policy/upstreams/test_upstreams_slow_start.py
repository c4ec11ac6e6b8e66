"""Slow start."""

import pytest

from mcproxy.policy.upstreams.slow_start import SlowStart, withheld
from mcproxy.policy.upstreams.words import UP, pack, share


@pytest.mark.parametrize(("elapsed", "expected"), [(0, 0.1), (15, 0.325), (30, 0.55), (60, 1), (61, 1), (-1, 0.1)])
def test_the_share_rises_linearly(elapsed: float, expected: float) -> None:
    """From a tenth to all of it."""
    assert share(pack(UP, withheld(elapsed, 60))) == pytest.approx(expected, abs=0.003)


def test_without_slow_start_it_is_all_at_once() -> None:
    """The default."""
    assert withheld(0, 0) == 0
    assert SlowStart(settled=False).withheld(5, 0, usable=True) == 0


def test_the_clock_begins_with_the_first_usable_verdict() -> None:
    """Not when the endpoint was added, or when its checks began; later ones do not set it back."""
    clock = SlowStart(settled=False)
    assert clock.withheld(0, 60, usable=False) == 0
    assert clock.withheld(100, 60, usable=True) == withheld(0, 60)
    for now in range(101, 160):
        assert clock.withheld(now, 60, usable=True) == withheld(now - 100, 60)
    assert clock.withheld(160, 60, usable=True) == 0
    assert clock.withheld(5000, 60, usable=True) == 0


def test_it_begins_anew_when_an_endpoint_comes_back() -> None:
    """Also within its slow start."""
    clock = SlowStart()
    assert clock.withheld(0, 60, usable=True) == 0
    clock.withheld(10, 60, usable=False)
    clock.withheld(20, 60, usable=True)
    clock.withheld(40, 60, usable=False)
    assert clock.withheld(50, 60, usable=True) == withheld(0, 60)


def test_nothing_is_withheld_at_the_start_of_the_process() -> None:
    """Then all start together, and none would be any slower than the others."""
    assert SlowStart(settled=True).withheld(0, 60, usable=True) == 0


def test_another_length_counts_from_the_same_begin() -> None:
    """A reload within a slow start does not begin it again."""
    clock = SlowStart(settled=False)
    clock.withheld(0, 60, usable=True)
    assert clock.withheld(10, 20, usable=True) == withheld(10, 20)
    assert clock.withheld(11, 0, usable=True) == 0
