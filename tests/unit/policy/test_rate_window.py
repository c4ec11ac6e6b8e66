"""The rate limiter's words: counting, forgetting, and time that wraps."""

import ipaddress

import pytest

from mcproxy.policy.rate_window import MAX_LIMIT, SETS, WAYS, WORDS, admit, client_key


def table() -> memoryview:
    return memoryview(bytearray(WORDS * 8)).cast("Q")


def client(tag: int, row: int = 5) -> int:
    """Return a hash that leads to the given set and tag."""
    return tag << 32 | row


def admitted(own: memoryview, key_hash: int, window: int, limit: int, tries: int) -> int:
    return sum(admit(own, [own], key_hash, window, limit) for _ in range(tries))


def test_limit_of_one_worker() -> None:
    """A client gets as many connections as the limit says in each window, and another client its own."""
    own = table()
    assert admitted(own, client(1), 7, 50, 200) == 50
    assert admitted(own, client(2), 7, 50, 200) == 50
    assert admitted(own, client(1), 8, 50, 200) == 50


def test_counts_of_all_workers_add_up() -> None:
    """The limit holds for the sum over all tables."""
    tables = [table() for _ in range(4)]
    assert sum(admit(tables[turn % 4], tables, client(1), 7, 50) for turn in range(400)) == 50


def test_only_the_own_table_is_written() -> None:
    """Other workers' tables are read, never written: readonly views of them are enough."""
    own, other = table(), table()
    assert admit(own, [own, other.toreadonly()], client(1), 7, 1)
    assert not any(other)
    assert not admit(other, [own.toreadonly(), other], client(1), 7, 1)


def test_negative_hashes() -> None:
    """Python's hashes are signed."""
    own = table()
    assert admitted(own, -1, 7, 3, 10) == 3
    assert admitted(own, -(1 << 63), 7, 3, 10) == 3
    assert sum(word != 0 for word in own) == 2


@pytest.mark.parametrize("rounds", [1, 2, 255, 256, 1 << 20])
def test_window_field_that_wraps_blocks_nobody(rounds: int) -> None:
    """Counts of a window whose eight bits are the same, 256 windows or a multiple of it ago, are not taken for this one's."""
    own = table()
    assert admitted(own, client(1), 7, 3, 10) == 3
    assert admitted(own, client(1), 7 + 256 * rounds, 3, 10) == 3


def test_stale_words_are_used_again() -> None:
    """A set full of an earlier window's clients forgets these first, and no client of the present one."""
    own = table()
    for tag in range(WAYS):
        admitted(own, client(tag), 7, 1000, 100)
    for tag in range(10, 10 + WAYS):
        assert admitted(own, client(tag), 8, 3, 10) == 3
    for tag in range(10, 10 + WAYS):
        assert not admit(own, [own], client(tag), 8, 3)


def test_full_set_forgets_its_lowest_count() -> None:
    """One client more than a set has room for costs the smallest count; the others stay counted."""
    own = table()
    for tag, count in enumerate([30, 20, 5, 40]):
        assert admitted(own, client(tag), 7, 1000, count) == count
    assert admit(own, [own], client(99), 7, 1000)
    assert not admit(own, [own], client(0), 7, 30)
    assert not admit(own, [own], client(1), 7, 20)
    assert not admit(own, [own], client(3), 7, 40)
    assert admit(own, [own], client(2), 7, 5)  # forgotten, so admitted again


def test_sets_do_not_disturb_each_other() -> None:
    """Clients of other sets, the first and last ones included, keep their counts."""
    own = table()
    for row in range(SETS):
        assert admit(own, [own], client(1, row), 7, 1)
    assert all(not admit(own, [own], client(1, row), 7, 1) for row in (0, 1, SETS // 2, SETS - 1))


def test_highest_limit_does_not_spill() -> None:
    """A count that reaches the highest limit stays inside its bits."""
    own = table()
    assert admit(own, [own], client(1), 7, MAX_LIMIT)
    index = next(index for index, word in enumerate(own) if word)
    own[index] += MAX_LIMIT - 2
    assert admit(own, [own], client(1), 7, MAX_LIMIT)
    before = own[index]
    assert not admit(own, [own], client(1), 7, MAX_LIMIT)
    assert own[index] == before
    assert before & MAX_LIMIT == MAX_LIMIT


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    ],
)
def test_what_counts_as_one_client(one: str, other: str, same: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """An IPv4 address is one client, mapped or not; so is an IPv6 /64."""
    keys = [client_key(ipaddress.ip_address(host).packed) for host in (one, other)]
    assert (keys[0] == keys[1]) is same
