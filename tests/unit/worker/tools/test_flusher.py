"""Flushing what a turn of the loop has touched."""

import pytest

from mcproxy.worker.tools.flusher import Flusher
from tests.support.hand_loop import HandLoop


class Connection:
    """Tells what is asked of it; ``bugs`` are the calls that raise."""

    def __init__(self, told: list[str], name: str, *bugs: str) -> None:
        self.told = told
        self.name = name
        self.bugs = bugs

    def flush(self) -> None:
        self._call("flush")

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


@pytest.fixture
def flusher(loop: HandLoop, told: list[str]) -> Flusher:
    return Flusher(loop.as_loop(), lambda error: told.append(f"fault: {error}"))


def test_connections_are_flushed_once_at_the_end_of_the_turn(flusher: Flusher, loop: HandLoop, told: list[str]) -> None:
    """In the order in which they asked for it; the next turn begins anew."""
    one, two = Connection(told, "one"), Connection(told, "two")
    flusher.later(one)
    flusher.later(two)
    assert told == []
    loop.turn()
    assert told == ["flush one", "flush two"]
    assert loop.idle
    flusher.later(two)
    loop.turn()
    assert told == ["flush one", "flush two", "flush two"]


def test_a_connection_touched_while_others_are_flushed_has_its_turn_later(
    flusher: Flusher, loop: HandLoop, told: list[str]
) -> None:
    """It is not lost, and does not keep the turn from ending."""
    late = Connection(told, "late")

    class Touching(Connection):
        def flush(self) -> None:
            flusher.later(late)

    flusher.later(Touching(told, "touching"))
    loop.turn()
    assert told == []
    loop.turn()
    assert told == ["flush late"]


@pytest.mark.parametrize("bugs", [("flush",), ("flush", "abort")])
def test_a_connection_that_raises_is_reset_and_the_others_are_flushed(
    flusher: Flusher, loop: HandLoop, told: list[str], bugs: tuple[str, ...]
) -> None:
    """Those behind it, and all that are touched later."""
    for connection in (Connection(told, "one"), Connection(told, "broken", *bugs), Connection(told, "two")):
        flusher.later(connection)
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
    flusher.later(Connection(told, "three"))
    loop.turn()
    assert told == ["flush three"]
