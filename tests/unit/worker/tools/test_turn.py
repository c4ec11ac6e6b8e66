"""Sharing the turns of the loop: what was received, and what is to be written."""

from collections import deque

import pytest

from mcproxy.worker.tools.turn import BACKLOG_TIME, TIME, Turn
from tests.support.hand_loop import HandLoop


class Connection:
    """Tells what is asked of it; ``bugs`` are the calls that raise."""

    def __init__(self, told: list[str], name: str, *bugs: str) -> None:
        self.told = told
        self.name = name
        self.bugs = bugs

    def flush(self) -> None:
        self._call("flush")

    def go_on(self) -> None:
        self._call("go on")

    def abort(self) -> None:
        self._call("abort")

    def _call(self, what: str) -> None:
        self.told.append(f"{what} {self.name}")
        if what in self.bugs:
            raise ValueError(f"{what} of {self.name}")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def loop() -> HandLoop:
    return HandLoop()


class Clock:
    """Tells the time that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def turn(loop: HandLoop, clock: Clock, told: list[str]) -> Turn:
    return Turn(loop.as_loop(), clock, lambda error: told.append(f"fault: {error}"))


def test_connections_are_flushed_once_at_the_end_of_the_turn(turn: Turn, loop: HandLoop, told: list[str]) -> None:
    """In the order in which they asked for it; the next turn begins anew."""
    one, two = Connection(told, "one"), Connection(told, "two")
    turn.flush_later(one)
    turn.flush_later(two)
    assert told == []
    loop.turn()
    assert told == ["flush one", "flush two"]
    assert loop.idle
    turn.flush_later(two)
    loop.turn()
    assert told == ["flush one", "flush two", "flush two"]


def test_a_connection_touched_while_others_are_flushed_has_its_turn_later(
    turn: Turn, loop: HandLoop, told: list[str]
) -> None:
    """It is not lost, and does not keep the turn from ending."""
    late = Connection(told, "late")

    class Touching(Connection):
        def flush(self) -> None:
            turn.flush_later(late)

    turn.flush_later(Touching(told, "touching"))
    loop.turn()
    assert told == []
    loop.turn()
    assert told == ["flush late"]


@pytest.mark.parametrize("bugs", [("flush",), ("flush", "abort")])
def test_a_connection_that_raises_is_reset_and_the_others_are_flushed(
    turn: Turn, loop: HandLoop, told: list[str], bugs: tuple[str, ...]
) -> None:
    """Those behind it, and all that are touched later."""
    for connection in (Connection(told, "one"), Connection(told, "broken", *bugs), Connection(told, "two")):
        turn.flush_later(connection)
    loop.turn()
    faults = ["fault: abort of broken"] if "abort" in bugs else []
    assert told == [
        "flush one",
        "flush broken",
        "fault: flush of broken",
        "abort broken",
        *faults,
        "flush two",
    ]
    told.clear()
    turn.flush_later(Connection(told, "three"))
    loop.turn()
    assert told == ["flush three"]


class Busy(Connection):
    """Has received more than a share: each one takes some time, and asks for the next."""

    def __init__(self, told: list[str], name: str, turn: Turn, clock: Clock, shares: int, cost: float) -> None:
        super().__init__(told, name)
        self.turn = turn
        self.clock = clock
        self.left = deque([cost] * shares)

    def go_on(self) -> None:
        super().go_on()
        self.clock.now += self.left.popleft()
        if self.left:
            self.turn.queue(self)


def test_a_turn_admits_input_until_its_time_is_up(turn: Turn, loop: HandLoop, clock: Clock) -> None:
    """What comes first is always taken; the next turn has its own time, and an idle loop is not turned."""
    assert turn.admits()
    clock.now += TIME / 2
    assert turn.admits()
    clock.now += TIME
    assert not turn.admits()
    loop.turn()
    assert loop.idle
    assert turn.admits()


def test_shares_of_busy_connections_come_in_turn(turn: Turn, loop: HandLoop, clock: Clock, told: list[str]) -> None:
    """One share each, round and round, whoever has how many; the queue ends when all is done."""
    for name, shares in (("a", 3), ("b", 1), ("c", 2)):
        turn.queue(Busy(told, name, turn, clock, shares, TIME / 100))
    for _ in range(3):
        loop.turn()
    assert told == ["go on a", "go on b", "go on c", "go on a", "go on c", "go on a"]
    loop.turn()
    assert loop.idle


def test_a_turn_is_bounded_however_many_are_busy(turn: Turn, loop: HandLoop, clock: Clock, told: list[str]) -> None:
    """When its part of the time is up the others wait at the front of the backlog, and the next turn's time begins."""
    for number in range(10):
        turn.queue(Busy(told, str(number), turn, clock, 1, 0.6 * BACKLOG_TIME))
    began = clock.now
    loop.turn()
    assert clock.now - began <= 1.5 * BACKLOG_TIME
    assert told == ["go on 0", "go on 1"]
    assert turn.admits()
    loop.turn()
    assert told[2:] == ["go on 2", "go on 3"]


def test_who_has_no_backlog_comes_first(turn: Turn, loop: HandLoop, clock: Clock, told: list[str]) -> None:
    """What came too late for its own turn is done at the beginning of the next one, whatever the backlog is."""
    for number in range(10):
        turn.queue(Busy(told, f"busy {number}", turn, clock, 2, BACKLOG_TIME))
    clock.now += TIME
    assert not turn.admits()
    turn.defer(Busy(told, "late", turn, clock, 1, 0.1 * TIME))
    turn.defer(Busy(told, "later", turn, clock, 1, 0.1 * TIME))
    loop.turn()
    assert told == ["go on late", "go on later", "go on busy 0"]


def test_who_has_no_backlog_leaves_it_a_share(turn: Turn, loop: HandLoop, clock: Clock, told: list[str]) -> None:
    """However much comes late, each turn does one share of the backlog at least; the rest of what is late waits in order."""
    turn.queue(Busy(told, "busy", turn, clock, 1, BACKLOG_TIME))
    for number in range(4):
        turn.defer(Busy(told, f"late {number}", turn, clock, 1, 0.6 * TIME))
    loop.turn()
    assert told == ["go on late 0", "go on late 1", "go on busy"]
    loop.turn()
    assert told[3:] == ["go on late 2", "go on late 3"]


def test_a_busy_connection_that_raises_is_reset_and_the_others_go_on(
    turn: Turn, loop: HandLoop, told: list[str]
) -> None:
    """Its fault is reported; what it has touched before is written or not, the queue goes on."""
    turn.queue(Connection(told, "broken", "go on"))
    turn.queue(Connection(told, "two"))
    loop.turn()
    assert told == ["go on broken", "fault: go on of broken", "abort broken", "go on two"]
