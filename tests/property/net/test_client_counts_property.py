"""Open connections of clients, counted over the tables of several workers, against plain numbers."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.net.memory.client_counts import SETS, WAYS, WORDS, ClientCounts
from tests.support.examples import examples

WORKERS = 3
# Few sets and tags, so that clients meet: the lowest bits are the set, those from the 14th on the tag.
HASHES = [each | tag << 14 for each in (0, 1, SETS - 1) for tag in (0, 1, 2, (1 << 40) - 1)] + [-1, -(1 << 63), 1 << 62]
Step = tuple[bool, int, int]
STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, WORKERS - 1), st.sampled_from(HASHES)), max_size=80)
TABLES = [memoryview(bytearray(8 * WORDS)).cast("Q") for _ in range(WORKERS)]
SETS_USED = sorted({(each & SETS - 1) * WAYS for each in HASHES})


def identity(key_hash: int) -> tuple[int, int]:
    """Return what two clients must have in common to share a count."""
    return key_hash & SETS - 1, (key_hash >> 14 & (1 << 40) - 1) or 1


def is_empty() -> bool:
    return not any(any(table[first : first + WAYS]) for table in TABLES for first in SETS_USED)


@examples(60)
@given(STEPS, st.integers(1, 4))
def test_as_many_are_let_in_as_the_limit_says(steps: Sequence[Step], limit: int) -> None:
    """Over all workers, whoever comes and goes where; nothing is left when all have gone."""
    counts = [ClientCounts(table) for table in TABLES]
    present: Counter[tuple[tuple[int, int], int]] = Counter()
    tickets: list[tuple[int, int]] = []
    for comes, worker, key_hash in steps:
        if comes:
            client = identity(key_hash)
            total = sum(present[client, each] for each in range(WORKERS))
            admitted = counts[worker].admit(TABLES, key_hash, limit)
            assert admitted is (total < limit)
            if admitted:
                present[client, worker] += 1
                tickets.append((worker, key_hash))
        elif tickets:
            place, gone = tickets.pop(worker % len(tickets))
            counts[place].release(gone)
            present[identity(gone), place] -= 1
    for place, gone in tickets:
        counts[place].release(gone)
    assert is_empty()


@examples(30)
@given(st.lists(st.integers(1, WAYS + 4), min_size=1, max_size=60), st.integers(1, 3))
def test_clients_that_find_their_set_full_are_counted_by_their_worker(tags: Sequence[int], limit: int) -> None:
    """None of them gets more there than the limit, and none is refused before it."""
    counts = ClientCounts(TABLES[0])
    present: Counter[int] = Counter()
    for tag in tags:
        admitted = counts.admit(TABLES[:1], tag << 14, limit)
        assert admitted is (present[tag] < limit)
        present[tag] += admitted
    for tag, count in present.items():
        for _ in range(count):
            counts.release(tag << 14)
    assert is_empty()
    assert all(counts.admit(TABLES[:1], tag << 14, 1) for tag in present)
    for tag in present:
        counts.release(tag << 14)
    assert is_empty()
