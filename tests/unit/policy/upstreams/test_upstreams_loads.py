"""Choice by load."""

import random
from collections import Counter

import pytest

from mcproxy.policy.upstreams.loads import BetterOfTwo, LeastLoaded
from mcproxy.policy.upstreams.words import DOWN, UP, pack


def words(number: int = 4) -> list[int]:
    return [0] * number


def test_least_for_its_weight() -> None:
    """4 open at weight 3 are less than 2 at weight 1."""
    assert LeastLoaded([(0, 1), (1, 3)], [2, 4]).pick(words()) == 1
    assert LeastLoaded([(0, 1), (1, 3)], [1, 4]).pick(words()) == 0


def test_a_withheld_share_counts_as_a_smaller_weight() -> None:
    """Half of a share holds half as many."""
    least = LeastLoaded([(0, 1), (1, 1)], [10, 6])
    assert least.pick([0, 0]) == 1
    assert least.pick([0, pack(UP, 128)]) == 0


def test_equal_loads_take_turns_by_weight() -> None:
    """As long as nothing is open anywhere, it is round robin."""
    least = LeastLoaded([(0, 1), (1, 2), (2, 3)], [0, 0, 0])
    got = Counter(least.pick(words()) for _ in range(6000))
    assert [got[index] for index in range(3)] == pytest.approx([1000, 2000, 3000], abs=3)


def test_open_ones_even_out() -> None:
    """Connections that stay open are spread by weight."""
    active = [0, 0, 0]
    least = LeastLoaded([(0, 1), (1, 2), (2, 3)], active)
    for _ in range(600):
        found = least.pick(words())
        assert found is not None
        active[found] += 1
    assert active == pytest.approx([100, 200, 300], abs=1)


@pytest.mark.parametrize("size", [3, 64, 65, 200])
def test_the_only_usable_one_is_found(size: int) -> None:
    """Among any number of endpoints, wherever it is."""
    states = [pack(DOWN)] * size
    for alive in (0, size // 2, size - 1):
        states[alive] = pack(UP)
        least = LeastLoaded([(index, 1) for index in range(size)], [5] * size)
        better = BetterOfTwo([(index, 1) for index in range(size)], lambda _: 5, random.Random(size).random)
        assert {least.pick(states) for _ in range(9)} == {alive}
        assert {better.pick(states) for _ in range(9)} == {alive}
        assert least.pick(states, {alive}) is None
        assert better.pick(states, {alive}) is None
        states[alive] = pack(DOWN)


def test_of_many_all_get_their_part() -> None:
    """Only 64 are compared at a time, and they are others each time."""
    active = [0] * 200
    least = LeastLoaded([(index, 1) for index in range(200)], active)
    for _ in range(2000):
        found = least.pick(words(200))
        assert found is not None
        active[found] += 1
    assert active == pytest.approx([10] * 200, abs=1)


def test_the_better_of_two_is_taken() -> None:
    """With two endpoints always the less loaded one, for its weight."""
    open_at = {0: 10, 1: 12}
    better = BetterOfTwo([(0, 1), (1, 2)], open_at.__getitem__, random.Random(1).random)
    assert {better.pick(words()) for _ in range(50)} == {1}
    open_at[1] = 30
    assert {better.pick(words()) for _ in range(50)} == {0}
    assert {better.pick([0, pack(UP, 0)], {0}) for _ in range(5)} == {1}


def test_two_are_drawn_by_weight() -> None:
    """While nothing is open the first one drawn is taken, so that weights hold."""
    better = BetterOfTwo([(0, 1), (1, 2), (2, 3), (3, 9)], lambda _: 0, random.Random(2).random)
    got = Counter(better.pick([0, 0, 0, pack(DOWN)]) for _ in range(30_000))
    assert [got[index] for index in range(3)] == pytest.approx([5000, 10_000, 15_000], rel=0.06)


def test_two_are_drawn_by_share() -> None:
    """An endpoint that starts slowly is drawn less often, and alone it is drawn all the same."""
    weights = [(0, 1), (1, 1)]
    better = BetterOfTwo(weights, lambda _: 0, random.Random(3).random)
    got = Counter(better.pick([0, pack(UP, 230)]) for _ in range(20_000))
    assert got[1] / 20_000 == pytest.approx(0.089, abs=0.02)
    assert {better.pick([pack(DOWN), pack(UP, 255)]) for _ in range(30)} == {1}


def test_without_endpoints_there_is_none() -> None:
    """An upstream may have backups alone."""
    assert LeastLoaded((), []).pick([]) is None
    assert BetterOfTwo((), lambda _: 0, random.Random(4).random).pick([]) is None
