"""Choice by the client's address."""

import ipaddress
import subprocess
import sys
from array import array
from collections import Counter
from itertools import pairwise

import pytest

from mcproxy.policy.upstreams import maglev
from mcproxy.policy.upstreams.words import DOWN, UP, pack

NAMES = [f"10.0.0.{number}:80" for number in range(12)]


def owners(*weights: int) -> list[int]:
    return array("H", maglev.build(tuple(zip(NAMES, weights, strict=False)))).tolist()


def client(number: int) -> bytes:
    return ipaddress.ip_address(0x0A000000 + number * 7919).packed


def picker(words_of: tuple[int, ...] = (1, 1, 1, 1)) -> maglev.BySource:
    endpoints = [(index, NAMES[index], weight) for index, weight in enumerate(words_of)]
    table = maglev.build(tuple(zip(NAMES, words_of, strict=False)))
    return maglev.BySource(endpoints, table, range(len(words_of)))


def test_places_by_weight() -> None:
    """Within one place of what the weights say."""
    got = Counter(owners(1, 2, 3, 0, 4))
    assert [got[position] for position in range(5)] == pytest.approx(
        [maglev.PLACES * w / 10 for w in (1, 2, 3, 0, 4)], abs=1
    )


@pytest.mark.parametrize("size", [2, 3, 5, 12])
def test_few_move_when_one_goes(size: int) -> None:
    """Apart from its own places less than 2 % change hands, whichever goes and whatever the weights are."""
    for weights in ([1] * size, [1 + number % 3 for number in range(size)]):
        before = owners(*weights)
        for gone in range(size):
            after = owners(*[0 if number == gone else weight for number, weight in enumerate(weights)])
            moved = sum(old not in (new, gone) for old, new in zip(before, after, strict=True))
            assert moved <= 0.02 * maglev.PLACES


def test_the_order_of_the_list_moves_nobody() -> None:
    """Who has a place depends on names and weights."""
    forwards = [(name, 1 + number % 2) for number, name in enumerate(NAMES)]
    one = [forwards[place][0] for place in array("H", maglev.build(tuple(forwards)))]
    other = [forwards[::-1][place][0] for place in array("H", maglev.build(tuple(forwards[::-1])))]
    assert one == other


def test_nothing_without_weights() -> None:
    """No endpoint, no table."""
    assert maglev.build(()) == maglev.build((("a", 0),)) == b""


def test_the_same_in_every_process() -> None:
    """Whatever seed Python's own hashes have there: after a restart, and on every node, clients stay where they were."""
    program = (
        "import zlib; from mcproxy.policy.upstreams import maglev as m;"
        "print(m.hash_source(bytes([10, 0, 0, 1])), zlib.crc32(m.build((('a', 1), ('b', 2)))))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().split()[0] == str(maglev.hash_source(bytes([10, 0, 0, 1]))).encode()


def test_mapped_addresses_count_as_ipv4() -> None:
    """A client of a dual-stack listener is the same one."""
    mapped = ipaddress.ip_address("::ffff:192.0.2.7").packed
    assert maglev.hash_source(mapped) == maglev.hash_source(ipaddress.ip_address("192.0.2.7").packed)
    assert maglev.hash_source(b"") != maglev.hash_source(mapped)
    by_source = picker()
    assert by_source.pick([0] * 4, (), mapped) == by_source.pick([0] * 4, (), mapped[12:])


def test_clients_spread_and_stay() -> None:
    """Neighbouring addresses go to all endpoints by weight, each always to the same one."""
    by_source = picker((1, 2, 1))
    got = [by_source.pick([0] * 3, (), client(number)) for number in range(4000)]
    assert got == [by_source.pick([0] * 3, (), client(number)) for number in range(4000)]
    counts = Counter(got)
    assert [counts[index] for index in range(3)] == pytest.approx([1000, 2000, 1000], rel=0.1)


def test_only_clients_of_one_that_is_down_move() -> None:
    """To all the others by their weights; the same for one that is passed over; they are back when it is."""
    by_source = picker((1, 2, 1))
    clients = [client(number) for number in range(4000)]
    before = [by_source.pick([0] * 3, (), each) for each in clients]
    after = [by_source.pick([0, 0, pack(DOWN)], (), each) for each in clients]
    assert all(new == old for old, new in zip(before, after, strict=True) if old != 2)
    moved = Counter(new for old, new in zip(before, after, strict=True) if old == 2)
    assert moved[1] / moved[0] == pytest.approx(2, rel=0.25)
    assert after == [by_source.pick([0] * 3, {2}, each) for each in clients]


def test_a_slow_start_brings_clients_back_one_after_another() -> None:
    """The less is withheld, the more of its clients return, and none leaves again."""
    by_source = picker((1, 1, 1))
    clients = [client(number) for number in range(3000)]
    steps = [
        {each for each in clients if by_source.pick([0, pack(UP, withheld), 0], (), each) == 1}
        for withheld in (230, 120, 60, 0)
    ]
    assert all(fewer < more for fewer, more in pairwise(steps))
    assert len(steps[0]) / len(steps[-1]) == pytest.approx(0.1, abs=0.05)


def test_the_last_one_is_taken_whatever_is_withheld() -> None:
    """Also where the table leads to others again and again, and where there is no table."""
    down = [pack(DOWN)] * 12
    down[7] = pack(UP, 255)
    with_table = picker((200, *[1] * 11))
    without = maglev.BySource([(index, name, 1) for index, name in enumerate(NAMES)])
    for by_source in (with_table, without):
        assert {by_source.pick(down, (), client(number)) for number in range(100)} == {7}
        assert by_source.pick(down, {7}, client(1)) is None


def test_without_a_table_clients_spread_and_stay_too() -> None:
    """Backups are compared one by one."""
    weights = (1, 2, 1)
    by_source = maglev.BySource([(index, NAMES[index], weight) for index, weight in enumerate(weights)])
    before = [by_source.pick([0] * 3, (), client(number)) for number in range(4000)]
    counts = Counter(before)
    assert [counts[index] for index in range(3)] == pytest.approx([1000, 2000, 1000], rel=0.15)
    after = [by_source.pick([pack(DOWN), 0, 0], (), client(number)) for number in range(4000)]
    assert all(new == old for old, new in zip(before, after, strict=True) if old != 0)


def test_an_endpoint_that_may_not_be_chosen_keeps_its_places() -> None:
    """One in drain is in the table and gets nothing, and only its clients move."""
    table = maglev.build(tuple((name, 1) for name in NAMES[:3]))
    all_ready = maglev.BySource([(index, NAMES[index], 1) for index in range(3)], table, range(3))
    drained = maglev.BySource([(index, NAMES[index], 1) for index in (0, 2)], table, range(3))
    for number in range(1000):
        before = all_ready.pick([0] * 3, (), client(number))
        after = drained.pick([0] * 3, (), client(number))
        assert after == before if before != 1 else after in (0, 2)
