"""The native core's listeners: connection limits, pauses, and listening sockets that come and go."""

import errno
import math
import resource
import socket
from contextlib import suppress

import pytest

from mcproxy.net.native import records
from tests.support.core_bench import ACCEPTED, TAG, CoreBench, Lead, taken
from tests.support.tls import client_hello

HELLO = client_hello("example.com")


def accept_all(bench: CoreBench, count: int) -> list[socket.socket]:
    """Take the connections that are handed over."""
    return [bench.keep(taken(bench.next(records.DECLINED))) for _ in range(count)]


def test_a_limit_counts_what_is_open_in_all_processes() -> None:
    """Up to the limit connections are served; what is above it is handed over to be refused, and is not counted as open."""
    with CoreBench() as bench:
        bench.cells[0], bench.cells[1] = 3, 1
        for _ in range(3):
            bench.client(HELLO)
        accept_all(bench, 2)
        refused = bench.next(records.OVER_LIMIT)
        assert (refused.listener, refused.active, refused.conn) == (TAG, math.inf, 0)
        taken(refused).close()
        assert (bench.words[ACCEPTED], bench.open()) == (3, 2)
        bench.cells[1] = 0
        bench.client(HELLO)
        accept_all(bench, 1)
        bench.cells[0] = 0
        for _ in range(3):
            bench.client(HELLO)
        accept_all(bench, 3)
        assert bench.open() == 6


def test_a_place_is_given_back_when_the_sockets_are_closed() -> None:
    """What ends here makes room for the next one."""
    with CoreBench() as bench:
        backend = bench.backend()
        bench.lead([Lead("example.com", backend.address)])
        bench.cells[0] = 1
        for _ in range(3):
            client = bench.client(HELLO)
            far = backend.accept()
            assert bench.open() == 1
            client.close()
            far.close()
            bench.until(lambda: not bench.open())


def test_without_descriptors_it_pauses() -> None:
    """The listening socket is left alone, and told with the error, until it is resumed; nobody is lost."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with CoreBench() as bench:
        client = bench.client(HELLO)
        with socket.socket() as highest:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno(), limits[1]))
        filled = []
        try:
            with suppress(OSError):
                while True:
                    filled.append(socket.socket())
            while not bench.told:
                bench.turn()
            paused = bench.next(records.PAUSED)
            assert (paused.error, paused.fd, paused.listener) == (errno.EMFILE, bench.listening.fileno(), TAG)
            assert bench.words[ACCEPTED] == 0
            assert bench.turn() == 0
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for sock in filled:
                sock.close()
        bench.core.resume(bench.listening.fileno())
        bench.core.resume(bench.listening.fileno())
        [sock] = accept_all(bench, 1)
        assert sock.getpeername() == client.getsockname()


def test_when_descriptors_get_scarce_it_pauses() -> None:
    """The connection that tells it is served; no error is told."""
    with CoreBench() as bench:
        bench.settings(ceiling=3)
        for _ in range(2):
            bench.client(HELLO)
        bench.until(lambda: bench.told)
        accept_all(bench, 1)
        assert bench.next(records.PAUSED).error == 0
        bench.turn()
        assert not bench.told
        bench.core.resume(bench.listening.fileno())
        accept_all(bench, 1)
        assert bench.next(records.PAUSED).error == 0


def test_a_socket_that_is_left_keeps_what_waits() -> None:
    """Nothing is accepted any more, and a socket that is watched again gets what has come meanwhile."""
    with CoreBench() as bench:
        fd = bench.listening.fileno()
        bench.core.unlisten(fd)
        bench.core.unlisten(fd)
        bench.client(HELLO)
        for _ in range(3):
            assert bench.turn() == 0
        bench.core.resume(fd)
        assert bench.turn() == 0
        bench.listener.listen(fd)
        accept_all(bench, 1)
        with pytest.raises(FileExistsError):
            bench.listener.listen(fd)


def test_draining_accepts_what_waits() -> None:
    """All of it, a share at a time, with room for what is told; it is the same when the socket was left before."""
    with CoreBench() as bench:
        fd = bench.listening.fileno()
        clients = [bench.client(HELLO) for _ in range(20)]
        while bench.core.drain_listening(fd) & records.HAS_MORE:
            bench.collect()
        bench.collect()
        peers = {sock.getpeername() for sock in accept_all(bench, 20)}
        assert peers == {client.getsockname() for client in clients}
        bench.core.unlisten(fd)
        assert bench.core.drain_listening(fd) == records.IS_IDLE


def test_connections_outlive_their_listener() -> None:
    """One that is forgotten is freed when its last connection has ended; its counters are counted down."""
    with CoreBench() as bench:
        backend = bench.backend()
        other = bench.listener
        bench.lead([Lead("example.com", backend.address)])
        client = bench.client(HELLO)
        far = backend.accept()
        bench.core.unlisten(bench.listening.fileno())
        other.free()
        assert bench.take(far, len(HELLO)) == HELLO
        assert not any(record.table == 2 for record in bench.told)
        far.send(b"!")
        assert bench.take(client, 1) == b"!"
        client.close()
        far.close()
        assert bench.next(records.TABLE_FREED).table == 1
        assert bench.next(records.TABLE_FREED).table == 2
        assert bench.open() == bench.route()[1] == 0
        bench.listener = bench.add_listener()


def test_many_connections_and_their_memory() -> None:
    """A place is used again, and an id never: a call about an old connection finds nothing."""
    with CoreBench() as bench:
        backend = bench.backend(backlog=400)
        bench.lead([Lead("example.com", backend.address)])
        seen: set[int] = set()
        for _ in range(2):
            clients = [bench.client(HELLO) for _ in range(300)]
            bench.until(lambda: bench.core.state.open == 300)
            ids = {record.conn for record in bench.core.listed()}
            assert len(ids) == 300
            assert not seen & ids
            assert all(bench.core.describe(each) is None for each in seen)
            seen |= ids
            for client in clients:
                client.close()
            for _ in clients:
                backend.accept().close()
            bench.until(lambda: bench.core.state.open == 0)
            bench.core.expire()
