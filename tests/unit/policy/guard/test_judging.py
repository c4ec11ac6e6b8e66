"""When the routes of a change fail, and how that is said."""

import pytest

from mcproxy.policy.guard.judging import Account, Terms, add_up, displaced, why
from mcproxy.policy.guard.tally import Past, Tally

TERMS = Terms(0.05, 50)


@pytest.mark.parametrize(
    ("tally", "past", "fails"),
    [
        (Tally(0, 50), Tally(), True),
        (Tally(0, 49), Tally(), False),
        (Tally(95, 5), Tally(), False),
        (Tally(94, 6), Tally(), True),
        (Tally(90, 10), Tally(950, 50), False),
        (Tally(89, 11), Tally(950, 50), True),
        (Tally(0, 500), Tally(0, 500), False),
        (Tally(0, 500), Tally(50, 950), False),
    ],
)
def test_failures_are_compared_with_the_share_before(tally: Tally, past: Tally, *, fails: bool) -> None:
    """From `min_requests` on, when their share is greater by more than `max_errors`."""
    found = add_up([Account(tally, Past(past, 60.0))], TERMS, 5.0)
    assert found.fails(TERMS.min_requests) is fails


@pytest.mark.parametrize(
    ("tally", "past", "counted"),
    [
        pytest.param(Tally(0, 0, 60), Past(Tally(1000), 600.0), 60, id="nothing-good-any-more"),
        pytest.param(Tally(1, 0, 9), Past(Tally(40), 20.0), 9, id="one-that-was-under-way"),
        pytest.param(Tally(0, 0, 60), Past(Tally(5), 600.0), 60, id="little-traffic-before"),
        pytest.param(Tally(0, 0, 60), Past(Tally(0, 0, 900), 600.0), 0, id="nothing-was-good-before"),
        pytest.param(Tally(100, 0, 900), Past(Tally(6000), 600.0), 0, id="a-scanner-beside-the-traffic"),
        pytest.param(Tally(0, 0, 60), Past(), 60, id="no-past-nothing-good"),
        pytest.param(Tally(4, 0, 56), Past(), 56, id="no-past-hardly-anything-good"),
        pytest.param(Tally(30, 0, 30), Past(), 0, id="no-past-as-much-good"),
        pytest.param(Tally(700, 0, 300), Past(Tally(60_000), 600.0), 300 - 3 * 1000**0.5, id="a-case-of-the-route"),
        pytest.param(Tally(80, 0, 20), Past(Tally(800, 0, 200), 100.0), 0, id="as-many-as-before"),
    ],
)
def test_a_4xx_counts_as_far_as_it_takes_the_place_of_a_good_answer(tally: Tally, past: Past, counted: float) -> None:
    """Ten seconds after the change."""
    assert displaced(Account(tally, past), 10.0) == pytest.approx(counted)


def test_a_scanner_may_come_first() -> None:
    """With little traffic nobody else may have come in the first seconds; later that counts."""
    account = Account(Tally(0, 0, 60), Past(Tally(600), 600.0))
    assert displaced(account, 2.0) == 0
    assert displaced(account, 3.0) == 60
    assert displaced(Account(Tally(2, 0, 60), Past(Tally(600), 600.0)), 3.0) == 0


def test_the_traffic_of_routes_may_shift_among_them() -> None:
    """Each is compared with its own past: one that always fails gets more of the traffic, and that is no error."""
    bad, well = Past(Tally(0, 100), 60.0), Past(Tally(10_000), 60.0)
    found = add_up([Account(Tally(0, 500), bad), Account(Tally(10), well)], TERMS, 5.0)
    assert not found.fails(TERMS.min_requests)


@pytest.mark.parametrize(
    ("tally", "past", "said"),
    [
        (Tally(0, 10), Past(), "10 of 10 requests failed within 1.3 s of generation 2"),
        (
            Tally(40, 10),
            Past(Tally(980, 20), 9.0),
            "10 of 50 requests failed within 1.3 s of generation 2, 2.0% before",
        ),
        (
            Tally(0, 0, 10),
            Past(),
            "10 of 10 requests were refused or answered with 4xx in place of good answers within 1.3 s of generation 2",
        ),
        (Tally(0, 4, 6), Past(), "4 of 10 requests failed and 6 were refused within 1.3 s of generation 2"),
    ],
)
def test_it_is_said_what_came_of_how_many(tally: Tally, past: Past, said: str) -> None:
    """The reason of the edits that undo it."""
    assert why(add_up([Account(tally, past)], TERMS, 1.3), 1.3, 2) == said
