"""What workers have counted of cases and filters: summed up, with the names that are live now."""

from collections.abc import Iterator

import pytest

from mcproxy.control.counters.filter_totals import OTHER, Names, forget_routes, make_room, read_filter_totals
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.memory.sparse_counters import (
    AMBIGUOUS,
    CASE,
    COUNTERS,
    DURATIONS,
    SparseCounters,
    counters_in,
    durations_in,
    hash_of,
    key,
)

A, B = (":443", "a.test"), (":443", "b.test")
ROUTES = {A: 0, B: 5}
NAMES = Names([(*A, "/x/*"), (*A, "GET /"), (*B, "/x/*")], ["office", "(route)"])


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create()
    memory.use_slot(3)
    yield memory
    memory.close()


def test_counts_of_all_workers_by_the_names_of_the_state(memory: SharedMemory) -> None:
    """A case is its route's, a filter is told apart by route and stage; what is not live is left out."""
    for slot in (1, 3):
        worker = SparseCounters(memory.sparse(slot))
        for one in (
            key(0, CASE, "/x/*"),
            key(5, CASE, "/x/*"),
            key(0, "rate", "office"),
            key(5, "auth", "office"),
            key(5, "auth", "(route)"),
            key(5, CASE, AMBIGUOUS),
            key(5, CASE, "GET /"),  # of another route alone
            key(7, CASE, "/x/*"),  # of a route that is gone
            key(0, "allow", "gone"),
        ):
            worker.count(one)
        worker.count(key(5, CASE, "/x/*"))
        worker.observe(hash_of("office"), 0.5)
        worker.observe(hash_of("gone"), 0.5)
    totals = read_filter_totals(memory, ROUTES, NAMES)
    assert totals.cases == {(*A, "/x/*"): 2, (*B, "/x/*"): 4, (*B, AMBIGUOUS): 2}
    assert totals.blocks == {(*A, "office", "rate"): 2, (*B, "office", "auth"): 2, (*B, "(route)", "auth"): 2}
    assert {name: (one.total, one.seconds) for name, one in totals.asked.items()} == {"office": (2, 1.0)}


def test_what_found_no_room_has_a_name_of_its_own(memory: SharedMemory) -> None:
    """Cases and each stage apart; durations too."""
    with memory.sparse(1) as words:
        words[0] = COUNTERS.entries
        with counters_in(words) as counters:
            for number in range(COUNTERS.entries):
                counters[COUNTERS.first + number * COUNTERS.stride] = key(9, CASE, "")[0]
        with durations_in(words) as durations:
            durations[0] = DURATIONS.entries
            for number in range(DURATIONS.entries):
                durations[DURATIONS.first + number * DURATIONS.stride] = 1
    worker = SparseCounters(memory.sparse(1))
    for _ in range(3):
        worker.count(key(0, CASE, "/x/*"))
    worker.count(key(0, "rate", "office"))
    worker.observe(hash_of("office"), 2.0)
    totals = read_filter_totals(memory, ROUTES, NAMES)
    assert totals.cases == {(OTHER, OTHER, OTHER): 3}
    assert totals.blocks == {(OTHER, OTHER, OTHER, "rate"): 1}
    assert totals.asked[OTHER].seconds == 2.0
    make_room(memory, ROUTES, NAMES)
    worker.count(key(0, CASE, "/x/*"))
    worker.observe(hash_of("office"), 1.0)
    totals = read_filter_totals(memory, ROUTES, NAMES)
    assert totals.cases == {(OTHER, OTHER, OTHER): 3, (*A, "/x/*"): 1}
    assert totals.asked["office"].seconds == 1.0


def test_an_index_that_is_given_again_brings_no_counts_along(memory: SharedMemory) -> None:
    """Those of other routes stay."""
    worker = SparseCounters(memory.sparse(3))
    for route in ROUTES.values():
        worker.count(key(route, CASE, "/x/*"))
    forget_routes(memory, [0])
    assert read_filter_totals(memory, ROUTES, NAMES).cases == {(*B, "/x/*"): 1}
    worker.count(key(0, CASE, "/x/*"))
    assert read_filter_totals(memory, ROUTES, NAMES).cases == {(*B, "/x/*"): 1, (*A, "/x/*"): 1}


def test_names_are_looked_up_once(memory: SharedMemory) -> None:
    """What was not there may come with another state, and so with other names."""
    worker = SparseCounters(memory.sparse(3))
    worker.count(key(0, CASE, "/new"))
    names = Names([(*A, "/x/*")], [])
    for _ in range(2):
        assert read_filter_totals(memory, ROUTES, names).cases == {}
    names = Names([(*A, "/x/*"), (*A, "/new")], [])
    for _ in range(2):
        assert read_filter_totals(memory, ROUTES, names).cases == {(*A, "/new"): 1}


def test_counts_stay_while_there_is_room(memory: SharedMemory) -> None:
    """A filter that is renamed and named back goes on where it was."""
    worker = SparseCounters(memory.sparse(3))
    worker.count(key(0, "allow", "office"))
    make_room(memory, ROUTES, Names())
    assert read_filter_totals(memory, ROUTES, NAMES).blocks == {(*A, "office", "allow"): 1}
