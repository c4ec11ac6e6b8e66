"""Counters by case and filter: each key has one entry, which survives its worker; what finds no room is counted together."""

from collections.abc import Iterator

import pytest

from mcproxy.net.memory import histogram
from mcproxy.net.memory.shared_memory import SLOTS, SharedMemory
from mcproxy.net.memory.sparse_counters import (
    CASE,
    COUNTERS,
    DURATIONS,
    STAGES,
    WORDS,
    Shape,
    SparseCounters,
    Table,
    counters_in,
    durations_in,
    free,
    hash_of,
    is_half_full,
    key,
    kind_of,
    read,
    read_counts,
    route_of,
)

SMALL = Shape(entries=4, width=1, others=2)


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create()
    memory.use_slot(2)
    yield memory
    memory.close()


def small() -> memoryview:
    return memoryview(bytearray(8 * SMALL.words)).cast("Q")


def add(table: Table, key: tuple[int, int], other: int = 0) -> None:
    table.words[table.place(key, other)] += 1


def test_a_key_says_whose_counter_it_is() -> None:
    """Route and kind can be read back, the name only be compared; none of them is taken for another."""
    kinds = (CASE, *STAGES)
    keys = {key(route, kind, name) for route in (0, 1, 65_535) for kind in kinds for name in ("", "a", "GET /a")}
    assert len(keys) == 3 * len(kinds) * 3
    for kind in kinds:
        owner, name = key(65_535, kind, "office")
        assert (route_of(owner), kind_of(owner), name) == (65_535, kind, hash_of("office"))
        assert key(0, kind, "a")[0], "an entry that is taken is told by its owner"
    with pytest.raises(KeyError):
        key(0, "luck", "a")


def test_sums_over_slots(memory: SharedMemory) -> None:
    """Workers count in tables of their own; the first and the last slot, counters and durations do not overlap."""
    one, two = key(3, CASE, "GET /a"), key(3, "auth", "login")
    views = [memory.sparse(slot) for slot in (0, 2, SLOTS - 1)]
    workers = [SparseCounters(view) for view in views]
    for number, worker in enumerate(workers):
        worker.count(one)
        for _ in range(number):
            worker.count(two)
        worker.observe(hash_of("login"), 0.2)
    assert read([counters_in(view) for view in views], COUNTERS).values == {one: [3], two: [3]}
    found = read([durations_in(view) for view in views], DURATIONS).values
    assert list(found) == [(1, hash_of("login"))]
    (values,) = found.values()
    assert (sum(values[: histogram.SUM]), values[histogram.SUM]) == (3, 600_000)
    assert len(views[0]) == WORDS
    assert (memory.endpoint_states()[-1], memory.slots_used()) == (0, 3)


def test_the_next_worker_of_a_slot_goes_on() -> None:
    """No key has two entries, and none loses its count."""
    words = small()
    first = Table(words, SMALL)
    for _ in range(3):
        add(first, (1, 7))
    add(first, (2, 7))
    second = Table(words, SMALL)
    add(second, (2, 7))
    add(second, (3, 7))
    assert read([words], SMALL).values == {(1, 7): [3], (2, 7): [2], (3, 7): [1]}
    assert words[0] == 3


def test_both_ways_to_read_say_the_same(memory: SharedMemory) -> None:
    """The quicker one of the many counters, and the one of any table; also where entries were freed."""
    views = [memory.sparse(slot) for slot in (1, 2)]
    workers = [SparseCounters(view) for view in views]
    for number in range(50):
        for worker in workers[number % 3 :]:
            worker.count(key(number % 7, CASE, f"/{number}"))
    tables = [counters_in(view) for view in views]
    free(tables[0], COUNTERS, lambda one: route_of(one[0]) in (2, 3))
    for table in tables:
        table[2] = 5  # of what found no room
    found = read(tables, COUNTERS)
    assert read_counts(tables) == ({one: count for one, (count,) in found.values.items()}, [n for (n,) in found.others])
    assert read_counts([]) == ({}, [0] * COUNTERS.others)


def test_what_finds_no_room_is_counted_together() -> None:
    """Nothing is lost, and who has an entry keeps it."""
    words = small()
    table = Table(words, SMALL)
    for name in range(6):
        add(table, (1, name), other=1)
        add(table, (1, name), other=0)
    found = read([words], SMALL)
    assert found.values == {(1, name): [2] for name in range(4)}
    assert found.others == [[2], [2]]
    add(table, (1, 0))
    assert read([words], SMALL).values[1, 0] == [3]


def test_a_freed_entry_is_given_to_another_and_begins_at_zero() -> None:
    """Also when who had it counts again: that gets another one, and neither counts for the other."""
    words = small()
    table = Table(words, SMALL)
    for name in range(4):
        for _ in range(5):
            add(table, (1, name))
    free(words, SMALL, lambda one: one[1] in (1, 2))
    assert read([words], SMALL).values == {(1, 0): [5], (1, 3): [5]}
    add(table, (1, 2))
    add(table, (2, 9))
    assert read([words], SMALL).values == {(1, 0): [5], (1, 3): [5], (1, 2): [1], (2, 9): [1]}
    for one in ((1, 2), (2, 9), (1, 0)):
        add(table, one)
    assert read([words], SMALL).values == {(1, 0): [6], (1, 3): [5], (1, 2): [2], (2, 9): [2]}
    add(table, (1, 1), other=1)
    assert read([words], SMALL).others == [[0], [1]]


def test_a_key_whose_entry_moved_keeps_the_new_one() -> None:
    """Its old entry is given away without taking the new one along."""
    words = small()
    table = Table(words, SMALL)
    for name in range(4):
        add(table, (1, name))
    free(words, SMALL, lambda one: one[1] == 0)
    add(table, (1, 0))  # in its old place again
    free(words, SMALL, lambda one: one[1] in (0, 1))
    add(table, (1, 0))
    add(table, (1, 9))
    add(table, (1, 0))
    assert read([words], SMALL).values == {(1, 0): [2], (1, 2): [1], (1, 3): [1], (1, 9): [1]}
    assert [number for number in range(4) if words[SMALL.first + 3 * number]] == [0, 1, 2, 3]


def test_when_a_table_is_half_full() -> None:
    """Only then control looks what may be freed."""
    words = small()
    table = Table(words, SMALL)
    add(table, (1, 1))
    assert not is_half_full(words, SMALL)
    add(table, (1, 2))
    assert is_half_full(words, SMALL)
