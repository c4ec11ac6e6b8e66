"""What holds for every certificate and every row of failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcproxy.policy.acme.pauses import AN_HOUR, order_allowed_at, pause_after
from mcproxy.policy.acme.renewal import renewal_time

DAY = 86400.0
starts = st.floats(1.5e9, 2.5e9)
lifetimes = st.floats(60.0, 400 * DAY)
moments = st.floats(0, 1)
offsets = st.floats(-500 * DAY, 500 * DAY)


@given(starts, lifetimes, moments)
def test_a_third_of_the_lifetime_is_left_or_half_of_a_short_one(start: float, lifetime: float, moment: float) -> None:
    """Where the CA suggests nothing; chance has no part in it."""
    end = start + lifetime
    left = end - renewal_time(start, end, None, moment)
    assert left == pytest.approx((end - start) / (3 if end - start >= 10 * DAY else 2), abs=1e-3)


@given(starts, lifetimes, offsets, st.floats(0, 30 * DAY), moments)
def test_a_window_is_obeyed_unless_the_certificate_would_end(
    start: float, lifetime: float, offset: float, length: float, moment: float
) -> None:
    """The moment lies in the window, or it is the last tenth of the lifetime that asks for haste, or its first two hours for patience."""
    end = start + lifetime
    first = start + offset
    last = first + length
    at = renewal_time(start, end, (first, last), moment)
    assert at <= max(last, start + 7200)
    assert at <= end - 0.1 * (end - start)
    assert at >= first or at == end - 0.1 * (end - start)


@given(starts, lifetimes, offsets, st.floats(0, 30 * DAY), moments, moments)
def test_a_later_moment_is_no_earlier_time(
    start: float, lifetime: float, offset: float, length: float, one: float, other: float
) -> None:
    """So clients are spread over the window as their moments are."""
    window = start + offset, start + offset + length
    early, late = (renewal_time(start, start + lifetime, window, each) for each in sorted((one, other)))
    assert early <= late


@given(starts, lifetimes, st.floats(1, DAY), moments)
def test_a_window_that_ends_before_it_starts_counts_for_nothing(
    start: float, lifetime: float, length: float, moment: float
) -> None:
    """As if there were none."""
    end = start + lifetime
    assert renewal_time(start, end, (end, end - length), moment) == renewal_time(start, end)


@given(st.integers(1, 50), moments, st.floats(0, 1e9))
def test_pauses_grow_and_a_ca_is_waited_for(failures: int, jitter: float, retry_after: float) -> None:
    """More failures never make a pause shorter; the CA's word makes it longer, up to a week."""
    pause = pause_after(failures, jitter, retry_after)
    assert pause_after(failures + 1, jitter, retry_after) >= pause
    assert pause >= min(retry_after, 7 * DAY)
    assert 60 <= pause <= 7 * DAY * 1.1
    assert pause_after(failures, 0.0) <= pause_after(failures, jitter) <= 1.1 * pause_after(failures, 0.0)


def test_the_pauses_are_those_that_are_documented() -> None:
    """One to six failures, and more."""
    assert [pause_after(failures, 0.0) for failures in range(1, 9)] == [60, 300, 1800, 7200, 21600, 43200, 43200, 43200]


@given(st.floats(1.5e9, 2.5e9), st.lists(st.floats(0, 7200), min_size=1, max_size=40))
def test_no_hour_has_more_orders_than_are_allowed(start: float, gaps: list[float]) -> None:
    """Whoever begins orders only when it is allowed never begins more than ten within an hour."""
    orders: list[float] = []
    now = start
    for gap in gaps:
        now += gap
        allowed = order_allowed_at(orders, now)
        assert now <= allowed <= now + 3600
        now = allowed
        assert order_allowed_at(orders, now) == now
        orders.append(now)
        assert len([at for at in orders if at > now - 3600 + 1e-3]) <= AN_HOUR


@given(st.lists(st.floats(0, 4e9), max_size=40), st.floats(1.5e9, 2.5e9))
def test_a_clock_that_was_set_back_blocks_for_an_hour_at_most(orders: list[float], now: float) -> None:
    """Orders of the future count as begun now."""
    assert now <= order_allowed_at(orders, now) <= now + 3600
