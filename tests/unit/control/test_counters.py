"""Counters over the deaths of workers and of control itself."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mcproxy.control.counters import Counters
from mcproxy.errors import ApplyError
from mcproxy.model.snapshot import make_snapshot
from mcproxy.model.state import State
from mcproxy.net.shared_memory import (
    ROUTE_ACTIVE,
    ROUTE_BYTES_RECEIVED,
    ROUTE_BYTES_SENT,
    ROUTE_CONNECTIONS,
    SLOTS,
    SharedMemory,
    accepted_word,
    reason_word,
    route_word,
)
from tests.support import toml

ADDR = ":8443"


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    made = SharedMemory.create()
    yield made
    made.close()


def state(*hostnames: str) -> State:
    return toml.state(toml.listener(ADDR, *(toml.route(name, 9000) for name in hostnames)))


def count(memory: SharedMemory, slot: int, route: int, *, connections: int, active: int) -> None:
    """Count as a worker does."""
    with memory.room(slot) as words:
        words[accepted_word(0)] += connections
        words[route_word(route, ROUTE_CONNECTIONS)] += connections
        words[route_word(route, ROUTE_ACTIVE)] += active
        words[route_word(route, ROUTE_BYTES_RECEIVED)] += 10 * connections
        words[route_word(route, ROUTE_BYTES_SENT)] += 100 * connections
        words[reason_word(0, "no_route")] += 1


def test_totals_are_those_of_all_slots_and_outlive_a_worker(memory: SharedMemory) -> None:
    """What a dead worker has counted stays counted; what it had open is closed."""
    counters = Counters(memory)
    _, routes = counters.assign(state("a.test", "b.test"))
    slots = [counters.take_slot() for _ in range(2)]
    for slot in slots:
        count(memory, slot, routes[ADDR, "a.test"], connections=3, active=2)
    assert counters.active() == {(ADDR, "a.test"): 4, (ADDR, "b.test"): 0}
    counters.free_slot(slots[0])
    assert counters.active()[ADDR, "a.test"] == 2
    assert counters.connections()[ADDR, "a.test"] == 6
    assert counters.bytes()[ADDR, "a.test"] == (60, 600)
    assert counters.accepted() == {ADDR: 6}
    assert counters.refused() == {ADDR: {"no_route": 2}}
    # the next worker in the same slot begins with nothing open
    assert counters.take_slot() == slots[0]
    assert counters.active()[ADDR, "a.test"] == 2


def test_slots_come_to_an_end(memory: SharedMemory) -> None:
    """More workers than rooms are refused with a message, and a freed room is good again."""
    counters = Counters(memory)
    slots = [counters.take_slot() for _ in range(SLOTS - 1)]
    assert len(set(slots)) == SLOTS - 1
    with pytest.raises(ApplyError, match=f"more than {SLOTS - 1} workers"):
        counters.take_slot()
    counters.free_slot(slots[5])
    assert counters.take_slot() == slots[5]


def take_over(memory: SharedMemory, before: Counters, desired: State) -> Counters:
    """Return the counters of a new control that finds ``desired`` live."""
    listeners, routes = before.assign(desired)
    before.retain(desired)
    snapshot = make_snapshot(desired, 1, listeners, routes, {ADDR: 1}, digests={})
    after = Counters(memory)
    after.seed(snapshot)
    after.assign(desired)
    return after


def test_a_new_control_keeps_the_counts_of_workers_that_are_dead_by_then(memory: SharedMemory) -> None:
    """Their totals stay, what they had open is closed, and their slots are free."""
    desired = state("a.test")
    before = Counters(memory)
    before.assign(desired)
    slot = before.take_slot()
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    memory.hold(slot, dead.pid)
    count(memory, slot, 0, connections=5, active=2)
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # a zombie counts as dead, too
    after = take_over(memory, before, desired)
    dead.wait()
    assert after.active() == {(ADDR, "a.test"): 0}
    assert after.connections() == {(ADDR, "a.test"): 5}
    assert after.take_slot() == slot


def test_a_new_control_leaves_alone_the_slot_of_a_worker_that_lives(memory: SharedMemory) -> None:
    """Also before that worker has offered itself: nobody else may write there."""
    desired = state("a.test")
    before = Counters(memory)
    before.assign(desired)
    slot = before.take_slot()
    memory.hold(slot, os.getpid())
    count(memory, slot, 0, connections=5, active=2)
    after = take_over(memory, before, desired)
    assert after.active() == {(ADDR, "a.test"): 2}
    assert after.take_slot() != slot
    assert after.take_slot(slot) == slot


def test_a_new_control_does_not_give_a_used_index_to_another_route(memory: SharedMemory) -> None:
    """A route that was removed may have connections yet; a route that is added later begins with none."""
    before = Counters(memory)
    before.assign(state("a.test", "old.test"))
    slot = before.take_slot()
    memory.hold(slot, os.getpid())
    count(memory, slot, 1, connections=5, active=2)
    after = take_over(memory, before, state("a.test"))
    after.assign(state("a.test", "new.test"))
    assert after.active() == {(ADDR, "a.test"): 0, (ADDR, "new.test"): 0}
    assert after.connections()[ADDR, "new.test"] == 0
