"""Upstreams whose turns the native core takes: the same that Python would, and nothing is lost of what it counts."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcproxy.net.native import addresses, records
from mcproxy.net.native.records import COUNTED_AT, EndpointSetup
from mcproxy.policy.upstreams.schedule import Schedule
from mcproxy.policy.upstreams.words import DOWN, UP, pack
from tests.support.core_bench import Backend, CoreBench, Lead, Upstream, taken
from tests.support.tls import client_hello

HELLO = client_hello("example.com")
NUMBER = 3
ROUTES = [Lead("example.com", "upstream", upstream=NUMBER)]
_NOWHERE = addresses.sockaddr((1, "/nowhere/backend.sock")) or b""


@pytest.fixture
def bench() -> Iterator[CoreBench]:
    with CoreBench(ROUTES) as made:
        yield made


def raw(backend: Backend) -> bytes:
    return addresses.sockaddr(backend.address) or b""


def ask(bench: CoreBench) -> int:
    """Connect a client; return the endpoint that the core dials, -1 if it asks for one."""
    before = {record.conn for record in bench.core.listed()}
    bench.client(HELLO)
    bench.until(lambda: len([*bench.core.listed()]) > len(before) or bench.told)
    if bench.told:
        record = bench.told.pop()
        assert record.kind == records.CHOOSE
        bench.core.close(record.conn, records.REASONS)
        bench.core.flush()
        return -1
    [new] = [record for record in bench.core.listed() if record.conn not in before]
    assert new.flags & records.CHOSEN
    return int(new.endpoint)


def counted(bench: CoreBench) -> dict[int, tuple[int, int, int, int]]:
    """Return what the core tells of endpoints: begun, opened, received, sent."""
    bench.core.flush()
    bench.collect()
    found = [record for record in bench.told if record.kind == COUNTED_AT]
    bench.told = [record for record in bench.told if record.kind != COUNTED_AT]
    return {record.endpoint: (record.conn, record.token, record.received, record.sent) for record in found}


def test_turns_are_taken_as_python_would(bench: CoreBench) -> None:
    """In the same order, over the end of the cycle; nothing is asked."""
    weights = [(4, 1), (1, 2), (6, 1)]
    upstream, backends = Upstream(weights), [bench.backend(backlog=128) for _ in weights]
    bench.take_turns(NUMBER, upstream, {4: raw(backends[0]), 1: raw(backends[1]), 6: raw(backends[2])})
    alone = Schedule(weights)
    got = [ask(bench) for _ in range(72)]
    assert got == [alone.pick(upstream.words) for _ in range(72)]
    assert Counter(got)[1] == 36


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["native", "python", "down", "up", "part", "paused", "resumed"]), max_size=60))
def test_both_take_turns_of_one_schedule(deeds: list[str]) -> None:
    """Whoever takes a turn, and whatever happens to an endpoint meanwhile: the sequence is that of Python alone."""
    weights = [(0, 1), (1, 2), (2, 1)]
    upstream, alone = Upstream(weights), Schedule(weights)
    with CoreBench(ROUTES) as bench:
        backend = bench.backend(backlog=128)
        bench.take_turns(NUMBER, upstream, {index: raw(backend) for index, _ in weights})
        for deed in deeds:
            if deed in ("native", "python"):
                expected = alone.pick(upstream.words)
                taken_here = ask(bench) if deed == "native" else -1
                # whoever is asked goes on in Python
                assert (taken_here if taken_here >= 0 else upstream.schedule.pick(upstream.words)) == expected
            elif deed in ("paused", "resumed"):
                upstream.quick[0] = deed == "resumed"
            else:
                upstream.words[1] = pack(DOWN) if deed == "down" else pack(UP, 128 if deed == "part" else 0)


@pytest.mark.parametrize("special", [pack(DOWN), pack(UP, 1), "paused", "careful", "beyond", "unset", "reset"])
def test_what_is_not_for_sure_is_asked(bench: CoreBench, special: int | str) -> None:
    """An endpoint that is down or has not its whole share, one that is paused, a schedule that is careful; an unknown upstream."""
    upstream = Upstream([(0, 1)])
    if special != "unset":
        bench.take_turns(NUMBER, upstream, {0: raw(bench.backend())})
        assert ask(bench) == 0
    if isinstance(special, int):
        upstream.words[0] = special
    elif special == "paused":
        upstream.quick[0] = 0
    elif special == "careful":
        upstream.schedule.marks[1] = 1
    elif special == "beyond":
        upstream.schedule.marks[0] = len(upstream.schedule.cycle)
    elif special == "reset":
        bench.core.upstream(NUMBER, None)
    assert ask(bench) == -1


def test_what_happens_at_endpoints_is_counted(bench: CoreBench) -> None:
    """Begun, open and, at the end, bytes; an ordinary end needs no record of its own, and what was told is not told again."""
    backend = bench.backend()
    bench.take_turns(NUMBER, Upstream([(5, 1)]), {5: raw(backend)})
    client = bench.client(HELLO)
    far = backend.accept()
    assert counted(bench) == {5: (1, 1, 0, 0)}
    assert counted(bench) == {}
    far.sendall(b"answer")
    assert bench.take(far, len(HELLO)) == HELLO
    assert bench.take(client, 6) == b"answer"
    client.close()
    far.close()
    bench.until(lambda: not bench.core.state.open)
    assert bench.told == []
    assert counted(bench) == {5: (0, -1, len(HELLO), 6)}


def test_what_tells_against_an_endpoint_is_told(bench: CoreBench) -> None:
    """That it has said nothing; that it has broken off."""
    backend = bench.backend()
    bench.take_turns(NUMBER, Upstream([(5, 1)]), {5: raw(backend)})
    client = bench.client(HELLO)
    far = backend.accept()
    bench.take(far, len(HELLO))
    far.close()
    assert bench.take(client, 1) == b""
    client.close()
    bench.client(HELLO)
    broken = backend.accept()
    broken.sendall(b"answer")
    broken.close()  # with the hello unread, which resets
    ended = [bench.next(records.ENDED), bench.next(records.ENDED)]
    assert sorted(bool(record.error) for record in ended) == [False, True]
    assert all((record.endpoint, record.flags & records.CHOSEN) == (5, records.CHOSEN) for record in ended)


def test_a_dial_that_fails_goes_on_in_python_which_counts_its_end(bench: CoreBench) -> None:
    """It is open there until Python says otherwise."""
    bench.take_turns(NUMBER, Upstream([(5, 1)]), {5: _NOWHERE})
    bench.client(HELLO)
    lost = bench.next(records.DIAL_FAILED)
    taken(lost).close()
    assert (lost.endpoint, lost.flags & records.CHOSEN) == (5, records.CHOSEN)
    assert counted(bench) == {5: (1, 1, 0, 0)}
    assert counted(bench) == {}


def test_connections_outlive_their_upstream(bench: CoreBench) -> None:
    """What they count is told all the same, also if another endpoint has the index by now."""
    backend, other = bench.backend(), bench.backend()
    bench.take_turns(NUMBER, Upstream([(5, 1)]), {5: raw(backend)})
    client = bench.client(HELLO)
    far = backend.accept()
    bench.take_turns(NUMBER, Upstream([(5, 1)]), {5: raw(other)})
    assert ask(bench) == 5
    other.accept()
    bench.core.upstream(NUMBER, None)
    assert counted(bench)[5] in ((1, 1, 0, 0), (2, 2, 0, 0))
    counted(bench)
    client.close()
    far.close()
    bench.until(lambda: bench.core.state.open == 1)
    assert counted(bench)[5][1] == -1


@pytest.mark.parametrize("wrong", ["index", "length", "number", "zero"])
def test_what_is_malformed_is_refused_and_changes_nothing(bench: CoreBench, wrong: str) -> None:
    """A turn of an endpoint that there is not, an address that is too long, a number out of bounds."""
    backend = bench.backend()
    good = Upstream([(0, 1)])
    bench.take_turns(NUMBER, good, {0: raw(backend)})
    bad = Upstream([(0, 1), (1, 1)])
    setup = bad.setup({0: raw(backend)} if wrong == "index" else {0: raw(backend), 1: raw(backend)})
    if wrong == "length":
        EndpointSetup.from_buffer(setup.endpoints[1]).address_length = records.ADDRESS + 1
    with pytest.raises(OSError, match="Invalid argument"):
        bench.core.upstream({"number": 1 << 21, "zero": 0}.get(wrong, NUMBER), setup)
    assert ask(bench) == 0


def test_every_endpoint_is_told(bench: CoreBench) -> None:
    """Where many have been led to at once."""
    number = 40
    backend = bench.backend(backlog=2 * number)
    upstream = Upstream([(index, 1) for index in range(number)])
    bench.take_turns(NUMBER, upstream, dict.fromkeys(range(number), raw(backend)))
    clients = [bench.client(HELLO) for _ in range(number)]
    for _ in clients:
        backend.accept()
    assert counted(bench) == dict.fromkeys(range(number), (1, 1, 0, 0))
