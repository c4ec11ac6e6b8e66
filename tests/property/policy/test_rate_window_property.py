"""The rate limiter with several workers at once.

A worker is interrupted at any of its accesses to a table, and others run in between, themselves interrupted. So every
order that matters is there: all may have summed before any of them adds.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.policy.rate_window import WAYS, WORDS, admit
from tests.support.examples import examples


class Words:
    """A table that tells before each access, and keeps no more than is used."""

    def __init__(self, before_access: Callable[[], None]) -> None:
        self._words: dict[int, int] = {}
        self._before_access = before_access

    def __getitem__(self, index: int) -> int:
        assert 0 <= index < WORDS
        self._before_access()
        return self._words.get(index, 0)

    def __setitem__(self, index: int, word: int) -> None:
        assert 0 <= index < WORDS
        assert 0 <= word < 1 << 64
        self._before_access()
        self._words[index] = word


class Simulation:
    """Workers that try for clients; ``interrupts`` says at which access whom the scheduler lets run."""

    def __init__(self, workers: int, limit: int, interrupts: Sequence[int], clients: Sequence[int]) -> None:
        self.tables = [Words(self._interrupt) for _ in range(workers)]
        self.limit = limit
        self.admitted: Counter[int] = Counter()
        self.refused_below_limit = 0
        self._interrupts = list(interrupts)
        self._clients = clients
        self._busy: set[int] = set()
        self._turn = 0

    def _interrupt(self) -> None:
        if self._interrupts:
            worker = self._interrupts.pop()
            if worker < len(self.tables) and worker not in self._busy:
                self.attempt(worker)

    def attempt(self, worker: int) -> None:
        key = self._clients[self._turn % len(self._clients)]
        self._turn += 1
        self._busy.add(worker)
        tables = cast("list[memoryview]", self.tables)
        if admit(tables[worker], tables, key, 3, self.limit):
            self.admitted[key] += 1
        elif self.admitted[key] < self.limit:
            self.refused_below_limit += 1
        self._busy.discard(worker)


interrupts = st.lists(st.integers(0, 12), max_size=400)


@examples(100)
@given(st.integers(1, 5), st.integers(1, 6), interrupts, st.lists(st.integers(0, 4), min_size=20, max_size=60))
def test_at_most_workers_minus_one_too_many(workers: int, limit: int, order: list[int], tries: list[int]) -> None:
    """However the workers interleave, a client gets its limit and at most (workers - 1) more, and none is refused early."""
    clients = [tag << 32 for tag in range(WAYS)]  # one set, just full: nothing is ever forgotten
    simulation = Simulation(workers, limit, order, clients)
    for worker in tries:
        simulation.attempt(worker % workers)
    assert simulation.refused_below_limit == 0
    for _ in range(limit):
        for worker in range(workers):
            for _ in clients:
                simulation.attempt(worker)
    for client in clients:
        assert limit <= simulation.admitted[client] <= limit + workers - 1


def test_the_bound_is_reached() -> None:
    """When all workers sum before any of them adds, exactly (workers - 1) too many are admitted: the model can show it."""
    workers, limit = 4, 3
    simulation = Simulation(workers, limit, [], [1 << 32])
    for _ in range(limit - 1):
        simulation.attempt(0)
    # Accesses of the sum: the first worker's own first word is the client's, and nobody else has any; the others find their own
    # set empty, and look at all of the first worker's. The next access looks at the own words.
    sums = [1 + (workers - 1), *[1 + (1 + WAYS) + (workers - 2)] * (workers - 1)]
    order: list[int] = []
    for worker in range(1, workers):
        order += [99] * sums[worker - 1] + [worker]
    simulation._interrupts = order[::-1]
    simulation.attempt(0)
    assert simulation.admitted[1 << 32] == limit + workers - 1


@examples(100)
@given(st.integers(1, 4), st.integers(1, 5), interrupts, st.lists(st.integers(0, 3), min_size=50, max_size=150))
def test_forgetting_only_admits_more(workers: int, limit: int, order: list[int], tries: list[int]) -> None:
    """With more clients than a set has room for, nobody is refused before the limit."""
    simulation = Simulation(workers, limit, order, [tag << 32 for tag in range(2 * WAYS + 1)])
    for worker in tries:
        simulation.attempt(worker % workers)
    assert simulation.refused_below_limit == 0


@examples(100)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8), st.integers(0, 600)), max_size=150),
    st.integers(1, 3),
)
def test_time_that_jumps_blocks_nobody(tries: list[tuple[int, int, int]], limit: int) -> None:
    """Over many windows and wraps, words that nobody swept never refuse a client before its limit of this window."""
    tables = [Words(lambda: None) for _ in range(3)]
    views = cast("list[memoryview]", tables)
    admitted: Counter[tuple[int, int]] = Counter()
    window = 0
    for worker, client, step in tries:
        window += 256 if step > 300 else step // 100
        if admit(views[worker], views, client << 32, window, limit):
            admitted[client, window] += 1
        else:
            assert admitted[client, window] >= limit
