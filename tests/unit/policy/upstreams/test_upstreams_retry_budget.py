"""The budget of retries."""

import pytest

from mcproxy.policy.upstreams.retry_budget import REPEATABLE, RetryBudget


@pytest.mark.parametrize(("active", "most"), [(0, 3), (1, 3), (4, 3), (5, 4), (100, 23), (101, 23)])
def test_three_and_a_fifth_of_what_is_active(active: int, most: int) -> None:
    """No more are under way at once."""
    budget = RetryBudget()
    assert [budget.take(active) for _ in range(most + 2)] == [True] * most + [False] * 2
    budget.give_back()
    assert budget.take(active)
    assert not budget.take(active)


def test_less_load_does_not_end_what_is_under_way() -> None:
    """It only allows no further ones."""
    budget = RetryBudget()
    assert all(budget.take(100) for _ in range(20))
    assert not budget.take(10)
    for _ in range(16):
        budget.give_back()
    assert budget.take(10)


def test_what_may_have_an_effect_twice_is_never_repeated() -> None:
    """POST and PATCH above all, and methods that nobody knows."""
    assert {b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"} == REPEATABLE
