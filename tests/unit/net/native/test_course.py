"""The native core from accept to the relay: what it does itself, what it asks, and what it hands over untouched."""

import errno
import select
import socket
import struct
from pathlib import Path

import pytest

from mcproxy.net.native import addresses, records
from tests.support.core_bench import ACCEPTED, DIAL_SECONDS, DRAINING, TAG, CoreBench, Lead, taken
from tests.support.tls import client_hello

HELLO = client_hello("example.com")
NAMELESS = client_hello(None)
_NOWHERE = 2, ("127.0.0.1", 9)


@pytest.mark.parametrize("unix", [False, True])
def test_a_usual_connection_is_relayed_without_a_word(tmp_path: Path, *, unix: bool) -> None:
    """Accepted, admitted, routed, dialed, counted; every byte of the hello reaches the backend, and nothing is told."""
    with CoreBench() as bench:
        backend = bench.backend(tmp_path / "backend" if unix else None)
        bench.lead([Lead("other.org"), Lead("example.com", backend.address)])
        bench.told.clear()
        client = bench.client(HELLO)
        far = backend.accept()
        assert bench.take(far, len(HELLO)) == HELLO
        far.sendall(b"answer")
        assert bench.take(client, 6) == b"answer"
        assert (bench.words[ACCEPTED], bench.open(), bench.core.state.open) == (1, 1, 1)
        assert bench.route(1) == [1, 1, len(HELLO), 6]
        assert sum(bench.words[DIAL_SECONDS : DIAL_SECONDS + 15]) == 1
        client.close()
        assert bench.take(far, 1) == b""
        far.close()
        bench.until(lambda: not bench.open())
        assert bench.route(1) == [1, 0, len(HELLO), 6]
        assert bench.route(0) == [0, 0, 0, 0]
        assert [record.kind for record in bench.told] == [records.TABLE_FREED]  # the bench's first one


@pytest.mark.parametrize(
    ("pattern", "data"),
    [("*.com", HELLO), ("*", HELLO), ("*", NAMELESS), ("*.example.com", client_hello("a.b.example.com"))],
)
def test_wildcards_and_clients_without_name(pattern: str, data: bytes) -> None:
    """Their routes are found as those of names; whoever is told of such a connection is told the name."""
    with CoreBench() as bench:
        backend = bench.backend()
        bench.lead([Lead(pattern, backend.address)])
        bench.settings(tell=records.TELL_ENDED)
        bench.client(data).shutdown(socket.SHUT_WR)
        far = backend.accept()
        assert bench.take(far, len(data)) == data
        far.close()
        ended = bench.next(records.ENDED)
        name = bytes(ended.name[: ended.name_length]).decode()
        assert name == ("" if data is NAMELESS else "a.b.example.com" if "example" in pattern else "example.com")
        assert not ended.flags & records.EXACT


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        client_hello("nowhere.org"),
        client_hello("python.org"),
        NAMELESS,
        b"\x16\x03\x01\x00\x05" + HELLO[5:10] + b"\x16\x03\x01" + struct.pack(">H", len(HELLO) - 10) + HELLO[10:],
    ],
    ids=["http", "no route", "python's route", "no name", "two records"],
)
def test_what_is_not_usual_is_handed_over_untouched(data: bytes) -> None:
    """With all its bytes, out of the epoll set, counted as accepted and admitted, and nothing else."""
    with CoreBench([Lead("example.com", _NOWHERE), Lead("python.org")]) as bench:
        client = bench.client(data)
        record = bench.next(records.DECLINED)
        assert (record.listener, record.flags, record.reason, record.table) == (TAG, 0, 0, 0)
        assert addresses.unpack_peer(record) == client.getsockname()
        with taken(record) as sock:
            assert sock.recv(1 << 16) == data
            with pytest.raises(BlockingIOError):
                sock.recv(1)
        assert (bench.words[ACCEPTED], bench.open(), bench.core.state.open) == (1, 1, 0)
        assert bench.route(0) == bench.route(1) == [0, 0, 0, 0]


def test_a_hello_that_comes_in_pieces() -> None:
    """It is waited for, and the relay begins as if it had come at once."""
    with CoreBench() as bench:
        backend = bench.backend()
        bench.lead([Lead("example.com", backend.address)])
        client = bench.client()
        bench.until(lambda: bench.core.state.open)
        for piece in (HELLO[:100], HELLO[100:400], HELLO[400:]):
            [waiting] = bench.core.listed()
            assert waiting.stage == records.HELLO
            client.send(piece)
            bench.turn()
        far = backend.accept()
        assert bench.take(far, len(HELLO)) == HELLO
        client.send(b"x")
        assert bench.take(far, 1) == b"x"
        far.send(b"y")
        assert bench.take(client, 1) == b"y"


@pytest.mark.parametrize("sent", [0, 5, 100])
def test_a_client_that_goes_before_its_hello_is_complete(sent: int) -> None:
    """It is handed over: what is counted then is Python's to say. A byte wakes the socket as ever."""
    with CoreBench([Lead("*", _NOWHERE)]) as bench:
        client = bench.client(HELLO[:sent])
        bench.until(lambda: bench.core.state.open or bench.told)
        client.shutdown(socket.SHUT_WR)
        with taken(bench.next(records.DECLINED)) as sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
            assert sock.recv(1 << 16) == HELLO[:sent]
        assert not bench.core.state.open


def test_a_client_that_has_ended_and_said_nothing() -> None:
    """The same for one that is gone when it is accepted."""
    with CoreBench([Lead("*", _NOWHERE)]) as bench:
        bench.client().close()
        taken(bench.next(records.DECLINED)).close()


@pytest.mark.parametrize("limit", ["hello", "drain"])
def test_a_client_that_says_nothing(limit: str) -> None:
    """When its time is over, it is handed over to be refused, since when it was accepted."""
    with CoreBench([Lead("*", _NOWHERE)]) as bench:
        bench.settings(client_hello=0.0 if limit == "hello" else 1e6)
        bench.client()
        bench.until(lambda: bench.core.state.open)
        [waiting] = bench.core.listed()
        started = waiting.started
        if limit == "drain":
            assert bench.core.drain(waiting.conn, started) == 0
            assert bench.words[DRAINING] == 1
        record = bench.next_expired(records.DECLINED)
        assert (record.reason, record.started) == (records.HELLO_TIMEOUT, started)
        assert record.active == (started if limit == "drain" else float("inf"))
        assert bool(record.flags & records.DRAINING) == (limit == "drain")
        assert bench.words[DRAINING] == 0
        taken(record).close()


def test_a_blind_listener_reads_nothing() -> None:
    """The backend of "*" is dialed at once; what it says first reaches the client."""
    with CoreBench() as bench:
        backend = bench.backend()
        bench.lead([Lead("*", backend.address)], blind=True)
        client = bench.client()
        far = backend.accept()
        far.send(b"220 hello")
        assert bench.take(client, 9) == b"220 hello"


def test_a_listener_that_has_become_blind_meanwhile() -> None:
    """What a silent client says then is passed on, whatever it is."""
    with CoreBench([Lead("*", _NOWHERE)]) as bench:
        backend = bench.backend()
        client = bench.client()
        bench.until(lambda: bench.core.state.open)
        bench.lead([Lead("*", backend.address)], blind=True)
        client.send(b"EHLO")
        far = backend.accept()
        assert bench.take(far, 4) == b"EHLO"


def test_a_listener_whose_routes_are_taken_away() -> None:
    """Whoever waits is Python's as soon as it says something."""
    with CoreBench([Lead("*", _NOWHERE)]) as bench:
        client = bench.client()
        bench.until(lambda: bench.core.state.open)
        bench.listener.update(None, blind=False)
        client.send(client_hello("example.com"))
        record = bench.next(records.DECLINED)
        assert record.route == -1
        taken(record).close()


def test_a_blind_listener_without_route() -> None:
    """Its clients are Python's to refuse."""
    with CoreBench([Lead("example.com", _NOWHERE)], blind=True) as bench:
        bench.client()
        taken(bench.next(records.DECLINED)).close()


def test_ipv6_and_mapped_peers() -> None:
    """A peer's address is told as `socket.accept` tells it."""
    with CoreBench(host="::1") as bench:
        client = bench.client(b"?" * 9)
        record = bench.next(records.DECLINED)
        assert addresses.unpack_peer(record) == client.getsockname()
        taken(record).close()


def test_the_gate_is_asked_before_anything_is_read() -> None:
    """Who may enter goes on, and its token is told at the end; who may not is handed over as it came."""
    with CoreBench() as bench:
        backend = bench.backend()
        bench.lead([Lead("example.com", backend.address)])
        bench.settings(tell=records.ASK)
        clients = [bench.client(HELLO) for _ in range(2)]
        asked = [bench.next(records.ASK_GATE) for _ in clients]
        assert {addresses.unpack_peer(each) for each in asked} == {client.getsockname() for client in clients}
        with socket.socket(fileno=bench.core.take(asked[0].conn)) as refused:
            assert refused.recv(1 << 16) == HELLO
        assert bench.core.take(asked[0].conn) == -1
        assert bench.core.enter(asked[0].conn, 5, True) == -1
        assert bench.core.enter(asked[1].conn, -5, True) == 0
        far = backend.accept()
        far.close()
        for client in clients:
            client.close()
        ended = bench.next(records.ENDED)
        assert ended.token == -5
        assert ended.flags & records.COUNTED
        assert bench.open() == 1  # what was taken is Python's to release


def test_a_client_is_declined_behind_the_gate() -> None:
    """It is told that it has entered, with its token, so that it is not asked again."""
    with CoreBench([Lead("example.com")]) as bench:
        bench.settings(tell=records.ASK)
        bench.client(HELLO)
        assert bench.core.enter(bench.next(records.ASK_GATE).conn, 77, True) == 0
        bench.collect()
        record = next(each for each in bench.told if each.kind == records.DECLINED)
        assert record.flags == records.ENTERED | records.COUNTED
        assert record.token == 77
        taken(record).close()


def test_an_endpoint_is_asked_for() -> None:
    """The route is counted by then; the endpoint is told at the end, though nobody wants to hear of ends."""
    with CoreBench([Lead("other.org"), Lead("*.com", "upstream")]) as bench:
        backend = bench.backend()
        bench.client(HELLO)
        asked = bench.next(records.CHOOSE)
        assert (asked.route, asked.table, asked.endpoint) == (1, 1, -1)
        assert bench.route(1) == [1, 1, 0, 0]
        address = addresses.sockaddr(backend.address)
        assert address
        assert bench.core.dial(asked.conn, 3, address, len(address)) == 0
        assert bench.core.dial(asked.conn, 3, address, len(address)) == -1
        far = backend.accept()
        assert bench.take(far, len(HELLO)) == HELLO
        far.send(b"!")
        far.close()
        bench.core.close(asked.conn, records.REASONS)
        ended = bench.next(records.ENDED)
        assert (ended.endpoint, ended.reason, ended.conn) == (3, records.REASONS, asked.conn)


def test_a_connection_for_which_there_is_no_endpoint() -> None:
    """It is taken, with its route counted as open."""
    with CoreBench([Lead("*", "upstream")]) as bench:
        bench.client(HELLO)
        with socket.socket(fileno=bench.core.take(bench.next(records.CHOOSE).conn)) as sock:
            assert sock.recv(1 << 16) == HELLO
        assert bench.route() == [1, 1, 0, 0]
        assert (bench.open(), bench.core.state.open) == (1, 0)


def test_a_backend_that_refuses() -> None:
    """The client is handed over with its route, and the reason; its bytes wait."""
    with CoreBench() as bench:
        backend = bench.backend()
        bench.lead([Lead("example.com", backend.address)])
        backend.sock.close()
        bench.client(HELLO)
        record = bench.next(records.DIAL_FAILED)
        assert (record.error, record.route, record.mask) == (errno.ECONNREFUSED, 0, 0)
        assert record.flags == records.EXACT
        assert record.dialed >= record.started > 0
        with taken(record) as sock:
            assert sock.recv(1 << 16) == HELLO
        assert bench.route() == [1, 1, 0, 0]
        assert (bench.open(), bench.core.state.open) == (1, 0)
        assert not any(bench.words[DIAL_SECONDS : DIAL_SECONDS + 16])


def test_a_unix_backend_without_room_in_its_queue(tmp_path: Path) -> None:
    """It is told apart (EAGAIN), since nothing tells when there is room: whoever gets the client dials it again."""
    with CoreBench() as bench:
        backend = bench.backend(tmp_path / "full", backlog=0)
        bench.lead([Lead("example.com", backend.address)])
        bench.keep(socket.socket(socket.AF_UNIX)).connect(str(tmp_path / "full"))
        bench.client(HELLO)
        record = bench.next(records.DIAL_FAILED)
        assert record.error == errno.EAGAIN
        taken(record).close()


def test_a_backend_that_does_not_answer() -> None:
    """After the route's own time, or that of the settings, it has failed."""
    with CoreBench() as bench:
        backend = bench.backend(backlog=0)
        for _ in range(3):  # its queue is full then, and what is sent to it is dropped
            full = bench.keep(socket.socket())
            full.setblocking(False)
            full.connect_ex(backend.sock.getsockname())
        bench.lead([Lead("example.com", backend.address), Lead("*", backend.address, connect_timeout=0.0)])
        patient, hasty = bench.client(HELLO), bench.client(NAMELESS)
        record = bench.next_expired(records.DIAL_FAILED)
        assert (record.error, record.route) == (errno.ETIMEDOUT, 1)
        taken(record).close()
        [other] = bench.core.listed()
        assert (other.stage, other.route) == (records.DIAL, 0)
        patient.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        patient.close()
        gone = bench.next(records.DIAL_FAILED)
        assert (gone.error, gone.route) == (0, 0)
        assert gone.mask & select.EPOLLERR
        taken(gone).close()
        hasty.close()


def test_a_dial_that_is_drained() -> None:
    """It ends at its limit, without a reset; its end is told if ends are told."""
    with CoreBench() as bench:
        backend = bench.backend(backlog=0)
        for _ in range(3):
            full = bench.keep(socket.socket())
            full.setblocking(False)
            full.connect_ex(backend.sock.getsockname())
        bench.lead([Lead("example.com", backend.address)])
        bench.settings(tell=records.TELL_ENDED)
        client = bench.client(HELLO)
        bench.until(lambda: bench.core.state.open)
        [waiting] = bench.core.listed()
        assert bench.core.drain(waiting.conn, waiting.started) == 0
        bench.expire_until(lambda: not bench.core.state.open)
        ended = bench.next(records.ENDED)
        assert (ended.reason, ended.stage, ended.flags) == (
            records.DRAINED,
            records.DIAL,
            records.EXACT,
        )
        assert bench.words[DRAINING] == bench.open() == bench.route()[1] == 0
        client.close()


def test_a_client_may_half_close_behind_its_hello() -> None:
    """That is no reason to give up its dial, and the relay hears of it."""
    with CoreBench() as bench:
        backend = bench.backend()
        bench.lead([Lead("example.com", backend.address)])
        client = bench.client(HELLO)
        client.shutdown(socket.SHUT_WR)
        far = backend.accept()
        assert bench.take(far, len(HELLO) + 1) == HELLO
        far.sendall(b"all the same")
        far.close()
        assert bench.take(client, 100) == b"all the same"
        bench.until(lambda: not bench.open())


def test_recoveries_are_told_when_they_are_waited_for() -> None:
    """Whoever follows failures is told that a backend has answered."""
    with CoreBench() as bench:
        backend = bench.backend()
        bench.lead([Lead("example.com", backend.address)])
        bench.settings(tell=records.TELL_CONNECTED)
        bench.client(HELLO)
        record = bench.next(records.CONNECTED)
        assert (record.route, record.endpoint, record.fd) == (0, -1, -1)
        assert record.flags & records.JOINED
        assert bench.take(backend.accept(), len(HELLO)) == HELLO


def test_a_table_lives_as_long_as_its_connections() -> None:
    """New connections go by the new one; the old one is told when its last connection has gone."""
    with CoreBench() as bench:
        old, new = bench.backend(), bench.backend()
        bench.lead([Lead("example.com", old.address)])
        client = bench.client(HELLO)
        far = old.accept()
        bench.lead([Lead("other.org"), Lead("example.com", new.address)])
        bench.client(HELLO)
        assert bench.take(new.accept(), len(HELLO)) == HELLO
        assert bench.next(records.TABLE_FREED).table == 1
        assert not bench.told
        described = {(each.table, each.route) for each in bench.core.listed()}
        assert described == {(2, 0), (3, 1)}
        client.close()
        far.close()
        freed = bench.next(records.TABLE_FREED)
        assert freed.table == 2
