"""The native core's time limits, as `mcproxy.worker.frontend.relay_limits` has them."""

import math
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mcproxy.net.native import records
from mcproxy.net.native.records import Record
from tests.support.core_bench import DRAINING, CoreBench, Lead
from tests.support.tls import client_hello

HELLO = client_hello("example.com")
SOON = 0.15  # seconds


def join(bench: CoreBench, *, idle: float | None = None) -> tuple[socket.socket, socket.socket]:
    """Join a client with a backend by a route with an idle timeout of its own, or without one; return their ends."""
    backend = bench.backend()
    bench.lead([Lead("example.com", backend.address, idle_timeout=idle)])
    client = bench.client(HELLO)
    far = backend.accept()
    assert bench.take(far, len(HELLO)) == HELLO
    return client, far


def only(bench: CoreBench) -> Record:
    [found] = bench.core.listed()
    return found


def is_kept_alive(client: socket.socket) -> bool:
    """Tell whether the kernel is to look after the connection of a client, at this process' end of it."""
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if not str(link.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(link.name))) as sock:
                if sock.getpeername() == client.getsockname():
                    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
    raise AssertionError("there is no such connection")


@pytest.mark.parametrize("own", [False, True])
def test_an_idle_relay_ends_without_a_reset(*, own: bool) -> None:
    """After the route's own time, or that of the settings; both peers are told by an end of the stream."""
    with CoreBench() as bench:
        bench.settings(tell=records.TELL_ENDED, idle=math.inf if own else SOON)
        client, far = join(bench, idle=SOON if own else None)
        client.send(b"x")
        assert bench.take(far, 1) == b"x"
        moved = only(bench).active
        ended = bench.next_expired(records.ENDED)
        assert time.monotonic() >= moved + SOON
        assert (ended.reason, ended.error, ended.active) == (records.IDLE_TIMEOUT, 0, moved)
        assert client.recv(1) == far.recv(1) == b""


def test_what_moves_puts_the_end_off() -> None:
    """However often the limit has been looked at, it counts from the last byte, in either direction."""
    with CoreBench() as bench:
        bench.settings(tell=records.TELL_ENDED)
        client, far = join(bench, idle=SOON)
        until = time.monotonic() + 4 * SOON
        with suppress(OSError, IndexError, ValueError):  # a busy machine may let the limit strike
            while time.monotonic() < until:
                far.send(b"x")
                assert bench.take(client, 1) == b"x"
                moved = only(bench).active
                bench.core.expire()
                bench.collect()
        ended = bench.next_expired(records.ENDED)
        assert ended.active == moved
        assert time.monotonic() >= moved + SOON


def test_a_half_closed_relay_has_its_own_limit() -> None:
    """The shorter one counts; a relay that is not half-closed is not concerned."""
    with CoreBench() as bench:
        bench.settings(tell=records.TELL_ENDED, half_closed=SOON)
        client, far = join(bench, idle=math.inf)
        until = time.monotonic() + 3 * SOON
        bench.expire_until(lambda: time.monotonic() > until)
        assert bench.core.state.open == 1
        far.shutdown(socket.SHUT_WR)
        ended = bench.next_expired(records.ENDED)
        assert ended.reason == records.HALF_CLOSED_TIMEOUT
        assert ended.stage == records.HALF_CLOSED
        assert not ended.flags & records.CLIENT_FIRST
        client.close()


def test_a_half_closed_relay_that_has_to_be_idle_for_less() -> None:
    """Then the idle timeout is the reason."""
    with CoreBench() as bench:
        bench.settings(tell=records.TELL_ENDED, half_closed=60.0)
        client, _ = join(bench, idle=SOON)
        client.shutdown(socket.SHUT_WR)
        ended = bench.next_expired(records.ENDED)
        assert ended.reason == records.IDLE_TIMEOUT
        assert ended.flags & records.CLIENT_FIRST


def test_the_kernel_looks_after_those_that_have_lived_for_a_while() -> None:
    """From the first look at its limits on, which the limit of its dial brings about."""
    with CoreBench() as bench:
        bench.settings(connect=SOON)
        client, _ = join(bench)
        assert not is_kept_alive(client)
        bench.expire_until(lambda: is_kept_alive(client))


def test_draining_ends_at_its_limit() -> None:
    """At the earliest one that was given; it is counted as long as it lasts."""
    with CoreBench() as bench:
        bench.settings(tell=records.TELL_ENDED)
        client, far = join(bench, idle=math.inf)
        conn = only(bench).conn
        now = time.monotonic()
        for limit in (now + 600, now + SOON, now + 900):
            assert bench.core.drain(conn, limit) == 0
            assert only(bench).flags & records.DRAINING
        assert bench.words[DRAINING] == 1
        ended = bench.next_expired(records.ENDED)
        assert time.monotonic() >= now + SOON
        assert ended.reason == records.DRAINED
        assert bench.words[DRAINING] == 0
        assert client.recv(1) == far.recv(1) == b""


def test_what_drains_may_end_by_itself() -> None:
    """It is not counted any more either."""
    with CoreBench() as bench:
        client, far = join(bench)
        bench.core.drain(only(bench).conn, time.monotonic() + 600)
        client.close()
        far.close()
        bench.until(lambda: not bench.core.state.open)
        assert bench.words[DRAINING] == 0


def test_many_limits_at_once() -> None:
    """More ends than there is room to tell of are told one share after the other."""
    with CoreBench() as bench:
        backend = bench.backend(backlog=200)
        bench.lead([Lead("example.com", backend.address)])
        bench.settings(tell=records.TELL_ENDED)
        wanted = records.RECORDS + 100
        pairs: list[tuple[socket.socket, socket.socket]] = []
        while len(pairs) < wanted:
            client = bench.client(HELLO)
            pairs.append((client, backend.accept()))
        bench.until(lambda: bench.core.state.open == wanted)
        bench.told.clear()
        for each in bench.core.listed():
            bench.core.close(each.conn, records.REASONS)
        assert bench.core.flush() == records.HAS_RECORDS | records.HAS_MORE
        assert bench.collect() == records.RECORDS
        assert bench.core.flush() == records.HAS_RECORDS | records.IS_IDLE
        assert bench.collect() == 100
        assert len({record.conn for record in bench.told}) == wanted
        assert bench.open() == 0
