"""When checks are due: on a clock of the test's."""

import itertools
import random
from collections import Counter

from mcproxy.control.health.schedule import JITTER, SOON, Schedule


def test_first_checks_are_spread_over_the_interval() -> None:
    schedule: Schedule[int] = Schedule(random.Random(1))
    for key in range(1000):
        schedule.begin(key, 10.0, 0.0, soon=False)
    per_second = [len(schedule.due(float(second), 1000)) for second in range(1, 11)]
    assert sum(per_second) == 1000
    assert min(per_second) > 50


def test_what_nothing_is_known_of_is_checked_soon_and_spread_then() -> None:
    schedule: Schedule[int] = Schedule(random.Random(1))
    for key in range(1000):
        schedule.begin(key, 10.0, 0.0, soon=True)
    assert len(schedule.due(SOON, 1000)) == 1000
    for key in range(1000):
        schedule.spread(key, 10.0, SOON, SOON)
    per_second = [len(schedule.due(SOON + second, 1000)) for second in range(1, 11)]
    assert sum(per_second) == 1000
    assert max(per_second) < 200


def test_intervals_are_kept_but_for_a_tenth() -> None:
    schedule: Schedule[str] = Schedule(random.Random(1))
    schedule.begin("a", 10.0, 0.0, soon=False)
    began: list[float] = []
    now = 0.0
    while now < 2000:
        now += 0.125
        for key in schedule.due(now, 1):
            began.append(now)
            schedule.again(key, 10.0, now, now + 1.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert 10 * (1 - JITTER) <= min(gaps) < 9.5
    assert 10.5 < max(gaps) <= 10 * (1 + JITTER) + 0.125


def test_a_check_that_takes_longer_than_the_interval_is_followed_at_once() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.again("a", 1.0, 0.0, 5.0)
    assert schedule.next() == 5.0
    assert schedule.due(4.9, 9) == []
    assert schedule.due(5.0, 9) == ["a"]


def test_another_plan_replaces_the_one_before_and_an_end_all() -> None:
    schedule: Schedule[str] = Schedule()
    for now in (0.0, 100.0, 200.0):
        schedule.begin("a", 1.0, now, soon=True)
    schedule.begin("b", 1.0, 0.0, soon=True)
    schedule.end("b")
    assert schedule.due(150.0, 9) == []
    assert Counter(schedule.due(300.0, 9)) == {"a": 1}
    assert schedule.next() is None


def test_no_more_are_due_than_there_is_room_for() -> None:
    schedule: Schedule[int] = Schedule()
    for key in range(10):
        schedule.begin(key, 1.0, 0.0, soon=True)
    assert len(schedule.due(9.0, 3)) == 3
    assert schedule.due(9.0, 0) == []
    assert len(schedule.due(9.0, 99)) == 7


def test_what_has_ended_takes_no_room() -> None:
    schedule: Schedule[int] = Schedule()
    for key in range(10_000):
        schedule.begin(key, 1.0, 0.0, soon=True)
        schedule.end(key)
    assert len(schedule._heap) < 100
