"""The gate: one worker's firewall and rate limit over the shared memory."""

import gc
import ipaddress
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcproxy.model.state.snapshot import FirewallEntry
from mcproxy.net.geoip import CountryDatabaseError
from mcproxy.net.memory.shared_memory import TABLE_WORDS, SharedMemory
from mcproxy.net.sockets import memory_file
from mcproxy.policy import rate_window
from mcproxy.worker.tools.gate import KNOWN, ClientGate
from tests.support.countries import write_countries

NOW = 1_000_000.0
SENDER = ipaddress.ip_address("192.0.2.1").packed

MakeGate = Callable[[int], ClientGate]


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    created = SharedMemory.create()
    yield created
    gc.collect()  # gates hold views of it
    created.close()


@pytest.fixture
def gates(memory: SharedMemory) -> Iterator[list[ClientGate]]:
    """Return the gates of four workers."""
    memory.use_slot(4)
    made = [ClientGate(memory, slot) for slot in range(1, 5)]
    yield made
    made.clear()


def packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed


def test_the_table_fits_its_room() -> None:
    """The rate limiter's words are as many as the shared memory has for each slot."""
    assert rate_window.WORDS == TABLE_WORDS


def test_a_gate_without_rules_is_open(gates: list[ClientGate]) -> None:
    """Before the first snapshot, and after one that asks nothing."""
    gate = gates[0]
    seen = [gate.is_open]
    for entry in (FirewallEntry(ips=("192.0.2.1",)), FirewallEntry(rate_limit=1), FirewallEntry()):
        gate.update(entry, None)
        seen.append(gate.is_open)
    assert seen == [True, False, False, True]
    assert gate.refusal(SENDER, NOW) is None


def test_reasons_come_in_their_order(gates: list[ClientGate], tmp_path: Path) -> None:
    """Address, network, country, rate: the first that holds is told, and only who passes them is counted."""
    content = write_countries(tmp_path / "db", {"192.0.2.0/24": "SE"}).read_bytes()
    gate = gates[0]
    fd = memory_file("countries", content)

    def entry(ips: tuple[str, ...] = (), cidrs: tuple[str, ...] = (), countries: tuple[str, ...] = ()) -> FirewallEntry:
        return FirewallEntry(ips, cidrs, countries, database="one", rate_limit=1, rate_window=10.0)

    host, network = ("192.0.2.1",), ("192.0.2.0/24",)
    for settings, reason in (
        (entry(host, network, ("SE",)), "ip"),
        (entry((), network, ("SE",)), "cidr"),
        (entry((), (), ("SE",)), "country"),
        (entry(), None),
        (entry(), "rate_limit"),
        (entry(host), "ip"),
    ):
        gate.update(settings, fd)
        assert gate.refusal(SENDER, NOW) == reason
    os.close(fd)


def test_mapped_addresses_are_the_ipv4_ones(gates: list[ClientGate]) -> None:
    """A dual-stack socket shows IPv4 clients as IPv6; rules and rates see one client."""
    gate = gates[0]
    gate.update(FirewallEntry(ips=("192.0.2.9",), cidrs=("198.51.100.0/24",), rate_limit=2), None)
    assert gate.refusal(packed("::ffff:192.0.2.9"), NOW) == "ip"
    assert gate.refusal(packed("::ffff:198.51.100.1"), NOW) == "cidr"
    sources = ["::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"]
    assert [gate.refusal(packed(host), NOW) for host in sources] == [None, None, "rate_limit"]


def test_a_new_database_takes_the_place_of_the_old(gates: list[ClientGate], tmp_path: Path) -> None:
    """The version in the snapshot decides whether the file is opened again; without one no address has a country."""
    gate = gates[0]
    first = write_countries(tmp_path / "first", {"192.0.2.0/24": "SE"})
    second = write_countries(tmp_path / "second", {"192.0.2.0/24": "NO"})

    def update(version: str, path: Path | None) -> str | int | None:
        fd = None if path is None else os.open(path, os.O_RDONLY)
        try:
            gate.update(FirewallEntry(countries=("SE",), database=version), fd)
        finally:
            if fd is not None:
                os.close(fd)
        return gate.refusal(SENDER, NOW)

    assert update("1", first) == "country"
    assert update("1", second) == "country"
    assert update("2", second) is None
    assert update("3", first) == "country"
    assert update("", None) is None


def test_a_broken_database_leaves_everything_as_it_was(gates: list[ClientGate], tmp_path: Path) -> None:
    """The old database, the old rules and the old limit stay in force."""
    gate = gates[0]
    with write_countries(tmp_path / "db", {"192.0.2.0/24": "SE"}).open("rb") as file:
        gate.update(FirewallEntry(countries=("SE",), database="1"), file.fileno())
    fd = memory_file("broken", b"broken")
    with pytest.raises(CountryDatabaseError):
        gate.update(FirewallEntry(ips=("198.51.100.1",), database="2", rate_limit=1), fd)
    os.close(fd)
    assert gate.refusal(SENDER, NOW) == "country"
    assert gate.refusal(packed("198.51.100.1"), NOW) is None
    assert not gate.is_open


def test_the_rate_is_counted_over_all_workers(gates: list[ClientGate]) -> None:
    """Taking turns, four workers admit exactly the limit in a window, and again in the next one."""
    for gate in gates:
        gate.update(FirewallEntry(rate_limit=50, rate_window=10.0), None)
    for window in (NOW, NOW + 10):
        reasons = [gates[number % 4].refusal(SENDER, window + number * 0.009) for number in range(1000)]
        assert reasons == [None] * 50 + ["rate_limit"] * 950


def test_ipv6_clients_count_by_their_64(gates: list[ClientGate]) -> None:
    """A client that changes its address within its network stays one client."""
    gate = gates[0]
    gate.update(FirewallEntry(rate_limit=2), None)
    hosts = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"]
    assert [gate.refusal(packed(host), NOW) for host in hosts] == [None, None, "rate_limit", None]


def test_a_worker_that_joins_is_counted_by_the_others(memory: SharedMemory) -> None:
    """A slot that comes into use later is looked at from then on, and a dead worker's counts stay."""
    memory.use_slot(1)
    first = ClientGate(memory, 1)
    first.update(FirewallEntry(rate_limit=3), None)
    assert first.refusal(SENDER, NOW) is None
    memory.use_slot(2)
    second = ClientGate(memory, 2)
    second.update(FirewallEntry(rate_limit=3), None)
    assert [second.refusal(SENDER, NOW), first.refusal(SENDER, NOW)] == [None, None]
    memory.end_slot(2)
    replacement = ClientGate(memory, 2)
    replacement.update(FirewallEntry(rate_limit=3), None)
    assert [gate.refusal(SENDER, NOW) for gate in (first, replacement)] == ["rate_limit", "rate_limit"]


def test_another_window_length_begins_anew(gates: list[ClientGate]) -> None:
    """Numbers of windows mean other times then; what was counted before is not taken for them."""
    gate = gates[0]
    gate.update(FirewallEntry(rate_limit=1, rate_window=10.0), None)
    assert [gate.refusal(SENDER, NOW), gate.refusal(SENDER, NOW)] == [None, "rate_limit"]
    gate.update(FirewallEntry(rate_limit=1, rate_window=20.0), None)
    assert [gate.refusal(SENDER, NOW), gate.refusal(SENDER, NOW)] == [None, "rate_limit"]


@pytest.mark.soak
def test_a_million_addresses_take_no_more_memory_than_the_tables(memory: SharedMemory) -> None:
    """A flood of addresses in one window fills the worker's table, and nothing beyond it grows."""
    memory.use_slot(1)
    gate = ClientGate(memory, 1)
    gate.update(FirewallEntry(rate_limit=5, rate_window=60.0), None)

    def flood(start: int, count: int) -> int:
        return sum(gate.refusal(number.to_bytes(4), NOW) is None for number in range(start, start + count))

    assert flood(0, 300_000) == 300_000
    blocks = os.fstat(memory.fd).st_blocks
    tracemalloc.start()
    try:
        # What is remembered of addresses is forgotten at once when it is full, so it is as full after each round of it.
        assert flood(300_000, 2 * KNOWN) == 2 * KNOWN
        before, _ = tracemalloc.get_traced_memory()
        assert flood(300_000 + 2 * KNOWN, 2 * KNOWN) == 2 * KNOWN
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000
    done = 300_000 + 4 * KNOWN
    assert flood(done, 1_000_000 - done) == 1_000_000 - done
    # The table and the page that says how many slots there are is all that was ever touched; a block is 512 bytes.
    assert os.fstat(memory.fd).st_blocks == blocks == (TABLE_WORDS * 8 + 4096) // 512
    # Forgetting admits too many, never too few: a client whose count is still there is held to the limit.
    fresh = packed("203.0.113.77")
    assert [gate.refusal(fresh, NOW) for _ in range(6)] == [None] * 5 + ["rate_limit"]


def limited(gates: list[ClientGate], limit: int) -> None:
    for gate in gates:
        gate.update(FirewallEntry(connections_per_client=limit), None)


def test_open_connections_of_a_client_are_counted_over_all_workers(gates: list[ClientGate]) -> None:
    """Exactly the limit, wherever they come in; what one leaves, another takes, also in another worker."""
    limited(gates, 3)
    assert not gates[0].is_open
    tickets = [gate.refusal(SENDER, NOW) for gate in gates]
    assert [isinstance(ticket, int) for ticket in tickets] == [True, True, True, False]
    assert tickets[3] == "connections_per_client"
    assert isinstance(gates[3].refusal(packed("192.0.2.2"), NOW), int)
    assert isinstance(tickets[0], int)
    gates[0].leave(tickets[0])
    assert isinstance(gates[3].refusal(SENDER, NOW), int)
    assert {gate.refusal(SENDER, NOW) for gate in gates} == {"connections_per_client"}


def test_what_is_one_client_is_what_the_rate_takes_for_one(gates: list[ClientGate]) -> None:
    """IPv4 by its address, mapped or not; IPv6 by its /64; a health check is none."""
    limited(gates, 1)
    for first, other in (("192.0.2.1", "::ffff:192.0.2.1"), ("2001:db8::1", "2001:db8::ffff:1")):
        assert isinstance(gates[0].refusal(packed(first), NOW), int)
        assert gates[1].refusal(packed(other), NOW) == "connections_per_client"
        assert gates[1].refusal(packed(other), NOW, rated=False) is None
    assert isinstance(gates[0].refusal(packed("2001:db8:0:1::1"), NOW), int)


def test_connections_from_before_the_limit_count(gates: list[ClientGate]) -> None:
    """They are told to the gate when it comes, and leave like all others."""
    limited(gates, 2)
    keys = [gate.enter_late(SENDER) for gate in gates[:3]]
    assert gates[3].refusal(SENDER, NOW) == "connections_per_client"
    gates[0].leave(keys[0])
    assert gates[3].refusal(SENDER, NOW) == "connections_per_client"
    gates[1].leave(keys[1])
    assert isinstance(gates[3].refusal(SENDER, NOW), int)


def test_what_a_dead_worker_had_open_counts_no_more(gates: list[ClientGate], memory: SharedMemory) -> None:
    """Control clears its part; the next worker in the slot begins with nothing."""
    limited(gates, 2)
    for gate in gates[:2]:
        assert isinstance(gate.refusal(SENDER, NOW), int)
    assert gates[2].refusal(SENDER, NOW) == "connections_per_client"
    memory.end_slot(1)
    assert isinstance(gates[2].refusal(SENDER, NOW), int)
    assert gates[2].refusal(SENDER, NOW) == "connections_per_client"
    successor = ClientGate(memory, 1)
    limited([successor], 2)
    assert successor.refusal(SENDER, NOW) == "connections_per_client"


def test_a_limit_that_goes_and_comes_back_finds_the_counts(gates: list[ClientGate]) -> None:
    """Also where those that left meanwhile were counted before."""
    limited(gates, 2)
    ticket = gates[0].refusal(SENDER, NOW)
    assert isinstance(ticket, int)
    assert isinstance(gates[1].refusal(SENDER, NOW), int)
    for gate in gates:
        gate.update(FirewallEntry(), None)
    assert gates[0].is_open
    gates[0].leave(ticket)
    limited(gates, 2)
    assert isinstance(gates[0].refusal(SENDER, NOW), int)
    assert gates[0].refusal(SENDER, NOW) == "connections_per_client"


def test_a_gate_that_denies_is_not_open(gates: list[ClientGate]) -> None:
    """Who is allowed passes whatever blocks him, as long as he is."""
    gate = gates[0]
    gate.update(FirewallEntry(allowed_cidrs=("192.0.2.0/24",), default="deny"), None)
    assert not gate.is_open
    assert gate.refusal(SENDER, NOW) is None
    assert gate.refusal(packed("198.51.100.1"), NOW) == "not_allowed"
    gate.update(FirewallEntry(ips=("192.0.2.1",), allowed_cidrs=("192.0.2.0/24",)), None)
    assert gate.refusal(SENDER, NOW) is None
    gate.update(FirewallEntry(ips=("192.0.2.1",)), None)
    assert gate.refusal(SENDER, NOW) == "ip"


def test_the_rate_of_a_filter_is_counted_over_all_workers(gates: list[ClientGate]) -> None:
    """By filter, subject and window; the firewall's own is another one, and a window that is over counts nothing."""
    for gate in gates:
        gate.update(FirewallEntry(rate_limit=2, rate_window=10.0), None)
    told = [gates[number % 4].admits(7, b"c" + SENDER, 5, 10.0, NOW) for number in range(8)]
    assert told == [True] * 5 + [False] * 3
    assert gates[0].admits(8, b"c" + SENDER, 1, 10.0, NOW)
    assert not gates[1].admits(8, b"c" + SENDER, 1, 10.0, NOW)
    assert gates[1].admits(7, b"hkey", 1, 10.0, NOW)
    assert gates[2].admits(7, b"c" + SENDER, 5, 10.0, NOW + 10)
    assert gates[2].admits(7, b"c" + SENDER, 5, 60.0, NOW)
    assert [gate.refusal(SENDER, NOW) for gate in gates] == [None, None, "rate_limit", "rate_limit"]
