"""Upstreams under any sequence of events: endpoints come and go, their checks pass and fail, traffic fails, settings change."""

import random
from array import array
from collections import Counter
from typing import cast, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mcproxy.model.state.upstream_options import EndpointState
from mcproxy.policy.upstreams import maglev
from mcproxy.policy.upstreams.choice import Balance, Chooser, Member, places, usable
from mcproxy.policy.upstreams.ejection import Ejections, Totals
from mcproxy.policy.upstreams.schedule import Schedule
from mcproxy.policy.upstreams.slow_start import SlowStart
from mcproxy.policy.upstreams.verdicts import CheckRun, first_verdict, shown
from mcproxy.policy.upstreams.words import DOWN, FULL, UP, is_usable, pack, share
from tests.support.examples import examples

weights = st.lists(st.integers(1, 256), min_size=1, max_size=16)
balances = st.sampled_from(cast("tuple[Balance, ...]", get_args(Balance)))
SIZE = 12


@examples(60)
@given(weights, st.data())
def test_weights_hold_whoever_is_down_or_starts_slowly(parts: list[int], data: st.DataObject) -> None:
    """Over 10,000 choices everyone gets what its weight and share say, within 3 % and a turn or two."""
    few = st.integers(0, len(parts) - 1)
    words = [0] * len(parts)
    for index in data.draw(st.lists(few, max_size=len(parts) - 1), label="down"):
        words[index] = pack(DOWN)
    for index in data.draw(st.lists(few, max_size=4), label="slow"):
        if words[index] == 0:
            words[index] = pack(UP, data.draw(st.integers(0, 230)))
    schedule = Schedule(enumerate(parts), data.draw(st.floats(0, 1)))
    got = Counter(schedule.pick(words) for _ in range(10_000))
    due = {index: part * share(words[index]) for index, part in enumerate(parts) if is_usable(words[index])}
    for index, part in due.items():
        expected = 10_000 * part / sum(due.values())
        assert got[index] == pytest.approx(expected, rel=0.03, abs=2)
    assert sum(got[index] for index in due) == (10_000 if due else 0)


@examples(60)
@given(weights)
def test_turns_are_interleaved(parts: list[int]) -> None:
    """In every stretch of turns everyone has what its weight says, but for a turn or two, and its part of one turn of each other."""
    schedule = Schedule(enumerate(parts))
    words = [0] * len(parts)
    got = [schedule.pick(words) for _ in range(600)]
    for start in range(0, 600, 37):
        for end in range(start + 1, 600, 53):
            counts = Counter(got[start:end])
            for index, part in enumerate(parts):
                most = 2 + len(parts) * part / sum(parts)
                assert abs(counts[index] - (end - start) * part / sum(parts)) <= most


@settings(max_examples=40, deadline=None, derandomize=True)  # how many move is a matter of the names' hashes
@given(st.lists(st.integers(1, 6), min_size=2, max_size=32), st.integers(0, 1000), st.data())
def test_maglev_moves_little(parts: list[int], site: int, data: st.DataObject) -> None:
    """Places follow weights exactly, and when one endpoint goes less than 2 % of the others' places change hands."""
    endpoints = [(f"10.{site}.0.{number}:80", part) for number, part in enumerate(parts)]
    before = array("H", maglev.build(tuple(endpoints)))
    counts = Counter(before)
    for position, part in enumerate(parts):
        assert abs(counts[position] - maglev.PLACES * part / sum(parts)) <= 2
    gone = data.draw(st.integers(0, len(parts) - 1))
    endpoints[gone] = (endpoints[gone][0], 0)
    after = array("H", maglev.build(tuple(endpoints)))
    assert sum(old not in (new, gone) for old, new in zip(before, after, strict=True)) <= 0.02 * maglev.PLACES


class Upstream(RuleBasedStateMachine):
    """One upstream: what control does about its endpoints, and two workers that choose among them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.words = [0] * SIZE
        self.active = [0] * SIZE
        self.members: dict[int, Member] = {}
        self.runs: dict[int, CheckRun] = {}
        self.clocks: dict[int, SlowStart] = {}
        self.totals: dict[int, Totals] = {}
        self.ejections = Ejections[int]()
        self.checked, self.panic, self.eject = True, True, True
        self.slow_start = 0.0
        self.balance: Balance = "round_robin"
        self.fall, self.rise = 3, 2
        self.start_workers()
        for index in range(3):
            self.add(index, 1 + index, backup=index == 2, at_start=True)

    def start_workers(self) -> None:
        self.workers = [
            Chooser(self.words, self.active, self.active.__getitem__, random.Random(seed).random) for seed in (1, 2)
        ]

    def add(self, index: int, weight: int, *, backup: bool, at_start: bool) -> None:
        others = any(is_usable(self.words[each.index]) for each in self.members.values() if each.state == "ready")
        verdict = first_verdict(None, checked=self.checked, added=not at_start, others_usable=others)
        self.members[index] = Member(index, f"10.0.0.{index}:80", weight, "ready", backup)
        self.runs[index] = CheckRun(verdict, self.fall, self.rise)
        self.clocks[index] = SlowStart(settled=at_start)
        self.totals[index] = Totals(0, 0)
        self.reload()

    def reload(self) -> None:
        members = [self.members[index] for index in sorted(self.members)]
        for worker in self.workers:
            worker.update(members, self.balance, panic=self.panic, table=places(members))
        self.control()

    def control(self) -> None:
        """One second of control: ejections, slow start, and the words."""
        self.now += 1
        ready = [index for index, member in self.members.items() if member.state == "ready"]
        passing = [index for index in ready if is_usable(self.runs[index].verdict)]
        self.ejections.update(self.now, {index: self.totals[index] for index in ready}, passing, enabled=self.eject)
        ejected = self.ejections.ejected()
        for index in self.members:
            verdict = shown(self.runs[index].verdict, ejected=index in ejected)
            fine = is_usable(verdict) and index in ready
            self.words[index] = pack(verdict, self.clocks[index].withheld(self.now, self.slow_start, usable=fine))

    @rule(index=st.integers(0, SIZE - 1), weight=st.integers(1, 256), backup=st.booleans())
    def put(self, index: int, weight: int, backup: bool) -> None:  # noqa: FBT001
        if index not in self.members:
            self.add(index, weight, backup=backup, at_start=False)
        else:
            self.members[index] = Member(index, f"10.0.0.{index}:80", weight, self.members[index].state, backup)
            self.reload()

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(sorted(self.members)))
        for table in (self.members, self.runs, self.clocks, self.totals):
            del table[index]
        self.words[index] = 0
        self.reload()

    @precondition(lambda self: self.members)
    @rule(data=st.data(), state=st.sampled_from(cast("tuple[EndpointState, ...]", get_args(EndpointState))))
    def operate(self, data: st.DataObject, state: EndpointState) -> None:
        old = self.members[data.draw(st.sampled_from(sorted(self.members)))]
        self.members[old.index] = Member(old.index, old.name, old.weight, state, old.backup)
        self.reload()

    @precondition(lambda self: self.members and self.checked)
    @rule(data=st.data(), passed=st.booleans(), times=st.integers(1, 3))
    def check(self, data: st.DataObject, passed: bool, times: int) -> None:  # noqa: FBT001
        run = self.runs[data.draw(st.sampled_from(sorted(self.members)))]
        for _ in range(times):
            run.end(run.begin(), passed=passed)
        self.control()

    @rule(results=st.lists(st.booleans(), min_size=SIZE, max_size=SIZE))
    def check_all(self, results: list[bool]) -> None:
        if self.checked:
            for index, run in self.runs.items():
                for _ in range(3):
                    run.end(run.begin(), passed=results[index])
        self.control()

    @precondition(lambda self: self.members)
    @rule(data=st.data(), attempts=st.integers(0, 20), failures=st.integers(0, 20))
    def traffic(self, data: st.DataObject, attempts: int, failures: int) -> None:
        for index in data.draw(st.sets(st.sampled_from(sorted(self.members)))):
            old = self.totals[index]
            self.totals[index] = Totals(old.attempts + attempts, old.failures + failures)
        self.control()

    @rule(balance=balances, panic=st.booleans(), eject=st.booleans(), slow_start=st.sampled_from((0.0, 5.0, 60.0)))
    def edit(self, balance: Balance, panic: bool, eject: bool, slow_start: float) -> None:  # noqa: FBT001
        self.balance, self.panic, self.eject, self.slow_start = balance, panic, eject, slow_start
        self.reload()

    @rule(checked=st.booleans(), fall=st.integers(1, 4), rise=st.integers(1, 4))
    def change_check(self, checked: bool, fall: int, rise: int) -> None:  # noqa: FBT001
        self.checked, self.fall, self.rise = checked, fall, rise
        before = {index: run.verdict for index, run in self.runs.items()}
        for run in self.runs.values():
            run.change(fall, rise)
            run.verdict = first_verdict(run.verdict, checked=checked, added=False, others_usable=True)
        assert not checked or before == {index: run.verdict for index, run in self.runs.items()}
        self.reload()

    @rule(seconds=st.integers(1, 400))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.control()

    @rule()
    def restart_control(self) -> None:
        """All that a new control has is the words."""
        self.ejections = Ejections()
        for index, word in enumerate(self.words):
            if index in self.runs:
                if word & 0xFF == 3:
                    self.ejections.restore(self.now, index)
                verdict = first_verdict(word & 0xFF, checked=self.checked, added=False, others_usable=True)
                self.runs[index] = CheckRun(verdict, self.fall, self.rise)
                self.clocks[index] = SlowStart()
        before = [is_usable(word) for word in self.words]
        self.control()
        assert before == [is_usable(word) for word in self.words]

    @rule()
    def restart_workers(self) -> None:
        self.start_workers()
        self.reload()

    @invariant()
    def a_usable_endpoint_is_chosen_or_the_choice_is_refused(self) -> None:
        """As long as one is usable only usable ones are chosen, backups only without others; else panic or a refusal."""
        members = list(self.members.values())
        good = usable(members, self.words)
        ready = {member.index for member in members if member.state == "ready"}
        best = {member.index for member in good if not member.backup} or {member.index for member in good}
        allowed = best or (ready if self.panic else set())
        for worker in self.workers:
            for number in range(6):
                chosen = worker.choose(source=bytes([number] * 4))
                assert chosen in allowed if allowed else chosen is None

    @invariant()
    def all_are_tried_before_the_choice_is_refused(self) -> None:
        """Each once, as many as there are; those that are paused after the usable others."""
        ready = {member.index for member in self.members.values() if member.state == "ready"}
        good = {member.index for member in usable(self.members.values(), self.words)}
        paused = frozenset(sorted(ready)[::2])
        tried: list[int] = []
        while (chosen := self.workers[0].choose(frozenset(tried), paused, b"1234")) is not None:
            tried.append(chosen)
            assert len(tried) <= SIZE
        assert set(tried) == (ready if self.panic else good)
        assert len(set(tried)) == len(tried)
        assert set(tried[: len(good - paused)]) == good - paused
        assert set(tried[: len(good)]) == good

    @invariant()
    def no_more_than_half_are_ejected_and_never_the_last(self) -> None:
        """Half of those that are ready, rounded down."""
        ready = {member.index for member in self.members.values() if member.state == "ready"}
        ejected = self.ejections.ejected()
        assert ejected <= ready
        assert len(ejected) <= len(ready) // 2
        passing = {index for index in ready if is_usable(self.runs[index].verdict)}
        assert not passing or passing - ejected

    @invariant()
    def what_is_withheld_leaves_a_tenth(self) -> None:
        """And nothing is withheld without slow start."""
        for index in self.members:
            withheld = self.words[index] >> 8
            assert 0 <= withheld <= (FULL * 0.91 if self.slow_start else 0)


Upstream.TestCase.settings = examples(60, stateful_step_count=30, deadline=None)
TestUpstream = Upstream.TestCase
