"""Verdicts from results of checks."""

import pytest

from mcproxy.policy.upstreams.verdicts import CheckRun, first_verdict, shown
from mcproxy.policy.upstreams.words import DOWN, EJECTED, UNKNOWN, UP, WAITING


def after(run: CheckRun, results: str) -> list[int]:
    """Return the verdict after each result: ``+`` passes, ``-`` fails."""
    verdicts = []
    for result in results:
        before = run.verdict
        assert run.end(run.begin(), passed=result == "+") == (run.verdict != before)
        verdicts.append(run.verdict)
    return verdicts


@pytest.mark.parametrize(
    ("verdict", "results", "expected"),
    [
        (UNKNOWN, "+", [UP]),
        (UNKNOWN, "-+-++", [DOWN, DOWN, DOWN, DOWN, UP]),
        (UP, "--+--+---", [UP] * 8 + [DOWN]),
        (DOWN, "+-+-++", [DOWN] * 5 + [UP]),
        (WAITING, "-----+", [WAITING] * 5 + [UP]),
        (WAITING, "+---", [UP, UP, UP, DOWN]),
    ],
)
def test_results_in_a_row_decide(verdict: int, results: str, expected: list[int]) -> None:
    """Three failures, two passes; the first result where nothing is known; the first pass where one is waited for."""
    assert after(CheckRun(verdict, fall=3, rise=2), results) == expected


def test_one_in_a_row_decides_at_once() -> None:
    """Where `fall` and `rise` are 1 no result is waited for."""
    assert after(CheckRun(UP, fall=1, rise=1), "-+-") == [DOWN, UP, DOWN]


def test_another_check_counts_anew_from_the_known_verdict() -> None:
    """Two failures of the old one and one of the new one are not three."""
    run = CheckRun(UP, fall=3, rise=2)
    after(run, "--")
    run.change(fall=3, rise=2)
    assert run.verdict == UP
    assert after(run, "---") == [UP, UP, DOWN]
    after(run, "+")
    run.change(fall=3, rise=2)
    assert after(run, "++") == [DOWN, UP]


def test_a_check_under_way_counts_nothing_after_a_change() -> None:
    """It was asked another question."""
    run = CheckRun(UP, fall=1, rise=1)
    number = run.begin()
    run.change(fall=1, rise=1)
    assert not run.end(number, passed=False)
    assert run.verdict == UP


def test_results_that_overlap_do_not_add_up() -> None:
    """Of checks begun one over the other only the last counts, and it counts once."""
    run = CheckRun(UP, fall=2, rise=2)
    numbers = [run.begin() for _ in range(5)]
    for number in numbers:
        run.end(number, passed=False)
    for number in numbers:
        run.end(number, passed=False)
    assert (run.verdict, run.row) == (UP, 1)


@pytest.mark.parametrize("known", [UNKNOWN, UP, DOWN, WAITING])
def test_what_is_known_stays(known: int) -> None:
    """Another control, or the one before the reload, has said so."""
    assert first_verdict(known, checked=True, added=True, others_usable=True) == known


def test_what_was_ejected_passed_its_checks() -> None:
    """The ejection is another matter (`shown`)."""
    assert first_verdict(EJECTED, checked=True, added=False, others_usable=True) == UP
    assert shown(UP, ejected=True) == EJECTED


def test_only_one_that_is_added_to_usable_ones_waits() -> None:
    """At a start all are usable until they are checked, and without checks always."""
    assert first_verdict(None, checked=True, added=True, others_usable=True) == WAITING
    assert first_verdict(None, checked=True, added=True, others_usable=False) == UNKNOWN
    assert first_verdict(None, checked=True, added=False, others_usable=True) == UNKNOWN
    assert first_verdict(None, checked=False, added=True, others_usable=True) == UNKNOWN
    assert first_verdict(DOWN, checked=False, added=False, others_usable=True) == UNKNOWN


def test_checks_come_before_ejection() -> None:
    """An ejected endpoint whose checks fail is down; one that waits is waiting."""
    assert [shown(verdict, ejected=True) for verdict in (UNKNOWN, UP, DOWN, WAITING)] == [
        EJECTED,
        EJECTED,
        DOWN,
        WAITING,
    ]
    assert [shown(verdict, ejected=False) for verdict in (UNKNOWN, UP, DOWN)] == [UNKNOWN, UP, DOWN]
