"""The past of a route: ten minutes, without what was undone."""

from mcproxy.control.guard.history import PERIOD, SPAN, History
from mcproxy.policy.guard.parts import Subject
from mcproxy.policy.guard.tally import Past, Tally

ROUTE, OTHER = Subject(":1", "a.test"), Subject(":1", "b.test")


def test_the_past_reaches_back_ten_minutes() -> None:
    """What was before is left out; seconds without a request do not count for the rate."""
    history = History()
    good = 0
    for number in range(60):
        assert history.is_due(number * PERIOD)
        good += 30 if number % 2 else 0
        history.add(number * PERIOD, {ROUTE: Tally(good)})
    now = 59 * PERIOD + 1
    assert not history.is_due(now)
    past = history.past(now, ROUTE, Tally(good))
    samples = int(SPAN / PERIOD)
    assert past.tally.good == 30 * samples / 2
    assert past.seconds == PERIOD * samples / 2
    assert past.rate == 1.0


def test_without_a_sample_there_is_no_past() -> None:
    """And a route that a sample does not know began with nothing."""
    history = History()
    assert history.past(1.0, ROUTE, Tally(9)) == Past()
    history.add(0.0, {ROUTE: Tally(1)})
    assert history.past(5.0, OTHER, Tally(9, 1)) == Past(Tally(9, 1), 5.0)


def test_what_was_undone_is_no_past_for_as_long_as_it_would_be() -> None:
    """Then it is forgotten."""
    history = History()
    history.add(0.0, {ROUTE: Tally()})
    history.forget(20.0, ROUTE, Tally(1, 9, 2))
    assert history.past(25.0, ROUTE, Tally(101, 10, 2)).tally == Tally(100, 1)
    for number in range(1, 23):
        history.add(number * PERIOD, {ROUTE: Tally(101, 10, 2)})
    assert history.past(661.0, ROUTE, Tally(101, 10, 2)).tally == Tally()


def test_counters_that_begin_anew_are_taken_as_they_are() -> None:
    """As of a route that is there again."""
    history = History()
    history.add(0.0, {ROUTE: Tally(500)})
    history.add(30.0, {ROUTE: Tally(3)})
    assert history.past(31.0, ROUTE, Tally(5, 1)).tally == Tally(5, 1)
