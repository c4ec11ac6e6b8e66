"""Round robin by weight."""

from collections import Counter

import pytest

from mcproxy.policy.upstreams.schedule import Schedule
from mcproxy.policy.upstreams.words import DOWN, UP, pack

ZEROS = [0] * 8


def turns(schedule: Schedule, number: int, words: list[int] | None = None) -> list[int | None]:
    return [schedule.pick(words or ZEROS) for _ in range(number)]


def test_equal_weights_alternate() -> None:
    """Every endpoint has its turn once in each round."""
    got = turns(Schedule([(0, 1), (1, 1), (2, 1), (3, 1)]), 40)
    assert all(len(set(got[start : start + 4])) == 4 for start in range(37))


def test_a_heavy_endpoint_comes_in_no_bursts() -> None:
    """Of 5:1:1 the light ones come between turns of the heavy one, which never has more than three in a row."""
    got = turns(Schedule([(0, 5), (1, 1), (2, 1)]), 700)
    assert Counter(got) == {0: 500, 1: 100, 2: 100}
    assert "0000" not in "".join(map(str, got))


def test_the_turns_of_one_that_is_down_are_shared_by_weight() -> None:
    """Not all by the one that comes after it."""
    words = [0, 0, pack(DOWN), 0]
    got = Counter(turns(Schedule([(0, 1), (1, 2), (2, 3), (3, 1)]), 4000, words))
    assert got[0] == pytest.approx(1000, abs=2)
    assert got[1] == pytest.approx(2000, abs=2)
    assert got[3] == pytest.approx(1000, abs=2)


def test_one_that_comes_back_has_its_share_and_makes_up_for_nothing() -> None:
    """After a long absence it gets every third turn, not a series."""
    schedule = Schedule([(0, 1), (1, 1), (2, 1)])
    words = [0, 0, pack(DOWN)]
    turns(schedule, 1000, words)
    words[2] = pack(UP)
    got = turns(schedule, 30, words)
    assert got.count(2) in (9, 10)
    assert "22" not in "".join(map(str, got))


def test_one_that_is_passed_over_keeps_one_turn() -> None:
    """It is next when it is taken again, once."""
    schedule = Schedule([(0, 1), (1, 1), (2, 1)])
    for _ in range(100):
        assert schedule.pick(ZEROS, {1}) in (0, 2)
    got = turns(schedule, 4)
    assert got[0] == 1
    assert got.count(1) == 2


def test_what_is_usable_again_is_found_when_nothing_else_is_left() -> None:
    """Also if it is not the next of those that have left, and the others are passed over."""
    schedule = Schedule([(index, 1) for index in range(6)])
    words = [pack(DOWN)] * 5 + [0]
    assert turns(schedule, 20, words) == [5] * 20
    words[3] = pack(UP)
    assert schedule.pick(words, {5}) == 3
    words[3] = pack(DOWN)
    assert schedule.pick(words, {5}) is None
    assert schedule.pick(words) == 5


def test_a_share_counts_as_a_smaller_weight() -> None:
    """Half of a share is half of the turns that its weight gives."""
    words = [0, pack(UP, 128)]
    got = Counter(turns(Schedule([(0, 1), (1, 2)]), 1000, words))
    assert got[1] == pytest.approx(500, abs=5)


def test_a_new_schedule_goes_on_where_the_old_one_was() -> None:
    """So reloads, however many, favour nobody."""
    schedule = Schedule([(0, 1), (1, 1), (2, 1)])
    got: list[int | None] = []
    for turn in range(300):
        got.append(schedule.pick(ZEROS))
        schedule = Schedule([(0, 1), (1, 1), (2, 1)], phase=turn / 300, waits=schedule.waits())
    assert Counter(got) == {0: 100, 1: 100, 2: 100}


def test_a_weight_that_rises_counts_at_once() -> None:
    """It does not wait for the turn that its old weight gave it."""
    schedule = Schedule([(0, 1), (1, 256)])
    turns(schedule, 100)
    schedule = Schedule([(0, 256), (1, 256)], waits=schedule.waits())
    assert turns(schedule, 100).count(0) in (49, 50, 51)


def test_workers_begin_differently() -> None:
    """The first connection of every worker does not go to the same endpoint."""
    first = Counter(Schedule([(0, 1), (1, 1), (2, 1)], phase=number / 300).pick(ZEROS) for number in range(300))
    assert min(first.values()) > 60
    assert len(first) == 3


def test_without_endpoints_there_is_none() -> None:
    """An upstream may have backups alone."""
    assert Schedule(()).pick(ZEROS) is None
