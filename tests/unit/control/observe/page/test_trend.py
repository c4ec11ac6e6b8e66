"""Curves of the last quarter of an hour, and what happened lately."""

from mcproxy.control.counters.quantiles import Histogram
from mcproxy.control.counters.refusals import RECENT
from mcproxy.control.counters.sample import Sample
from mcproxy.control.observe.page.trend import PERIOD, POINTS, Curves, Trend
from tests.support.observed import ADDR, NO_DURATIONS, listener_totals, route_totals, totals

KEY = (ADDR, "a.test")


def took(*buckets: int) -> Histogram:
    """Return durations by bucket: up to 0.5 ms, 1 ms, 2.5 ms, 5 ms, 10 ms ..."""
    return Histogram((*buckets, *NO_DURATIONS.buckets[len(buckets) :]), sum(buckets), 1.0)


def sample(time: float, requests: int = 0, durations: Histogram = NO_DURATIONS, **errors: int) -> Sample:
    routes = {KEY: route_totals(requests=requests, connections=1, errors=errors, durations=durations)}
    return Sample(time, totals({ADDR: listener_totals(requests * 2, 3)}, routes))


def test_there_is_nothing_to_draw_before_the_second_sample() -> None:
    trend = Trend()
    assert (trend.curves(), trend.recent(0.0)) == (Curves(), None)
    trend.add(sample(100))
    assert trend.curves() == Curves(open=(3.0,))


def test_counts_become_rates_and_durations_a_quantile() -> None:
    """Of what happened between two samples; what a client did is no error."""
    trend = Trend()
    trend.add(sample(100, 50, took(0, 50)))
    trend.add(sample(110, 150, took(0, 50, 0, 0, 100), backend_refused=20, no_resources=5, client_gone=99))
    curves = trend.curves()
    assert (curves.accepted, curves.requests, curves.errors) == ((20.0,), (10.0,), (2.5,))
    assert 0.0099 < curves.p99[0] <= 0.01


def test_counters_that_begin_anew_are_no_negative_rate() -> None:
    trend = Trend()
    trend.add(sample(100, 50, took(5)))
    trend.add(sample(110, 3, took(0, 1)))
    curves = trend.curves()
    assert (curves.accepted, curves.requests) == ((0.0,), (0.0,))
    assert 0.0005 < curves.p99[0] <= 0.001


def test_a_quarter_of_an_hour_is_kept() -> None:
    trend = Trend()
    for number in range(POINTS * 2):
        trend.add(sample(number * PERIOD, number))
    assert len(trend.curves().requests) == POINTS


def test_lately_is_five_minutes_at_most() -> None:
    """The oldest whole sample in reach, one a minute; none after a pause that is longer."""
    trend = Trend()
    for number in range(100):
        trend.add(sample(number * PERIOD))
    now = 99 * PERIOD
    recent = trend.recent(now)
    assert recent is not None
    assert RECENT - 60 <= now - recent.time <= RECENT
    assert trend.recent(now + RECENT + 60) is None
