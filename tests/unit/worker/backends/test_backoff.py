"""When a backend may be dialed again."""

import pytest

from mcproxy.worker.backends.backoff import BRIEF, LONG, Backoff, Pause


def backoff(chance: float = 0.5) -> Backoff:
    """Return one whose pauses have their exact length, unless ``chance`` says otherwise."""
    return Backoff(lambda: chance)


def fail(at: Backoff, now: float, pause: Pause = LONG) -> float:
    """Dial and fail; return how long the pause is."""
    assert at.failed(at.began(), now, pause)
    return at.not_before - now


def test_dials_are_free_while_all_is_well() -> None:
    """Any number of dials may be under way."""
    free = backoff()
    for _ in range(100):
        assert free.may_dial(1.0)
        free.began()


@pytest.mark.parametrize(("pause", "lengths"), [(LONG, [1, 2, 4, 4, 4]), (BRIEF, [0.1, 0.2, 0.4, 0.8, 1, 1])])
def test_the_pause_doubles_up_to_its_most(pause: Pause, lengths: list[float]) -> None:
    """From failure to failure, whatever the time between them."""
    failing = backoff()
    assert [fail(failing, 1000.0 * turn, pause) for turn in range(len(lengths))] == pytest.approx(lengths)


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.9), (0.5, 1.0), (1.0, 1.1)])
def test_pauses_are_spread(chance: float, factor: float) -> None:
    """Workers that have failed at the same moment don't all dial at the same moment."""
    assert fail(backoff(chance), 0.0) == pytest.approx(factor)


def test_failures_of_a_round_that_is_over_change_nothing() -> None:
    """A hundred dials that fail together are one failure."""
    failing = backoff()
    rounds = [failing.began() for _ in range(100)]
    assert [failing.failed(number, 5.0, LONG) for number in rounds] == [True, *[False] * 99]
    assert (failing.failures, failing.not_before) == (1, 6.0)


def test_after_the_pause_there_is_one_dial() -> None:
    """The next one has to wait for its end."""
    failing = backoff()
    fail(failing, 0.0)
    assert not failing.may_dial(0.99)
    assert failing.may_dial(1.0)
    number = failing.began()
    assert not failing.may_dial(50.0)
    failing.given_up(number)
    assert failing.may_dial(50.0)


def test_a_response_ends_the_pause() -> None:
    """And the next failure begins with the shortest pause again."""
    failing = backoff()
    fail(failing, 0.0)
    fail(failing, 0.0)
    failing.succeeded()
    assert failing.may_dial(0.0)
    assert fail(failing, 0.0) == 1.0


def test_a_connection_that_lasts_for_a_pause_frees_the_dials() -> None:
    """A slow response holds the other requests up for the length of a pause alone; it is no success yet."""
    failing = backoff()
    fail(failing, 0.0)
    number = failing.began()
    failing.settled(number, 10.0)
    assert not failing.may_dial(10.9)
    assert failing.may_dial(11.0)
    failing.began()
    assert failing.may_dial(11.0)
    assert fail(failing, 12.0) == 2.0


def test_a_connection_that_does_not_last_is_none() -> None:
    """It is closed within the pause, for no fault of the backend's: one more dial, and no freedom."""
    failing = backoff()
    fail(failing, 0.0)
    number = failing.began()
    failing.settled(number, 10.0)
    failing.lost(number)
    assert failing.may_dial(11.0)
    assert failing.failures == 1


def test_late_news_of_an_earlier_round_does_not_count() -> None:
    """Ends of what was dialed before the failure are not taken for ends of the dial after it."""
    failing = backoff()
    early = [failing.began() for _ in range(4)]
    assert failing.failed(early[0], 0.0, LONG)
    failing.began()
    failing.given_up(early[1])
    failing.settled(early[2], 0.5)
    failing.lost(early[3])
    assert not failing.may_dial(100.0)
