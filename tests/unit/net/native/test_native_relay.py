"""The native core's relay on real sockets: the same rules as those of `mcproxy.net.loop.relay`."""

import errno
import os
import socket
import struct
import time
from contextlib import suppress

import pytest

from mcproxy.net.native import records
from tests.support.descriptors import open_descriptors
from tests.support.native_relay_bench import NativeRelayBench, pipes_open
from tests.support.relay_bench import Family, put, take

FAMILIES: list[Family] = ["unix", "tcp"]
MIB = 1 << 20


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def settle(bench: NativeRelayBench) -> None:
    """Run until nothing more happens: what was sent has arrived."""
    quiet = 0
    while quiet < 3:
        before = bench.counted()
        bench.turn()
        time.sleep(0.001)
        quiet = 0 if bench.counted() != before else quiet + 1


@pytest.mark.parametrize("family", FAMILIES)
def test_half_close_is_passed_on_and_the_other_way_stays_open(family: Family) -> None:
    """End-of-file from one side closes that direction alone; the second end closes everything, told once."""
    with NativeRelayBench(family=family) as bench:
        put(bench.client, b"last words")
        bench.client.shutdown(socket.SHUT_WR)
        assert bench.bench.take(bench.backend, 100) == b"last words"
        described = bench.describe()
        assert described
        assert described.stage == records.HALF_CLOSED
        put(bench.backend, b"reply")
        assert bench.bench.take(bench.client, 5) == b"reply"
        bench.backend.close()
        bench.until_ended()
        assert take(bench.client) == b""
        assert bench.ends == [None]
        assert bench.client_first
        assert bench.counted() == (10, 5)


def is_reset(sock: socket.socket) -> bool:
    """Tell whether a peer of a relay that has ended is told so by an error, behind what was sent before."""
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        write_on(sock)
    return True


def write_on(sock: socket.socket) -> None:
    for _ in range(100):
        put(sock, b"?")
        time.sleep(0.001)


@pytest.mark.parametrize(("who", "family"), [("client", "unix"), ("client", "tcp"), ("backend", "tcp")])
@pytest.mark.parametrize("half_closed_before", [False, True])
def test_reset_is_passed_on(who: str, family: Family, *, half_closed_before: bool) -> None:
    """A reset on one side resets the other, and is told, also after that side's end-of-file."""
    with NativeRelayBench(family=family) as bench:
        leaving, staying = (bench.client, bench.backend) if who == "client" else (bench.backend, bench.client)
        if half_closed_before:
            leaving.shutdown(socket.SHUT_WR)
            assert bench.bench.take(staying, 1) == b""
        reset(leaving)
        bench.until_ended()
        [error] = bench.ends
        assert error is not None
        assert error.errno in (errno.ECONNRESET, errno.EPIPE)
        assert bench.client_first == (who == "client")
        assert bench.late_reset == (who == "backend" and half_closed_before)
        assert is_reset(staying)


def test_a_unix_backend_that_has_gone() -> None:
    """What is sent to one that has closed is answered by an error: it had ended before, so it was no break."""
    with NativeRelayBench(family="unix") as bench:
        bench.backend.close()
        assert bench.bench.take(bench.client, 1) == b""
        put(bench.client, b"too late")
        bench.until_ended()
        assert bench.ends[0] is not None
        assert bench.late_reset
        assert not bench.client_first


def test_what_comes_late_for_a_backend_that_has_closed() -> None:
    """The same over TCP, where the backend answers it by a reset: as a TLS client's last alert is."""
    with NativeRelayBench() as bench:
        bench.backend.close()
        assert bench.bench.take(bench.client, 1) == b""
        put(bench.client, b"first")
        bench.bench.until(lambda: bench.counted()[0] == 5)
        with suppress(BrokenPipeError, ConnectionResetError):
            bench.bench.until(lambda: put(bench.client, b"!") and bench.ends)
        bench.until_ended()
        assert bench.ends[0] is not None
        assert bench.late_reset
        assert not bench.client_first


def test_a_backend_that_has_ended_in_its_turn_has_not_broken_off() -> None:
    """The client half-closes, the backend answers and closes, and the client, which wants none of that, resets."""
    with NativeRelayBench() as bench:
        bench.client.shutdown(socket.SHUT_WR)
        assert bench.bench.take(bench.backend, 1) == b""
        put(bench.backend, b"goodbye")
        bench.backend.close()
        reset(bench.client)
        bench.until_ended()
        assert isinstance(bench.ends[0], ConnectionError)
        assert bench.client_first


@pytest.mark.parametrize("who", ["client", "backend"])
def test_reset_right_behind_an_end_of_file_is_passed_on(who: str) -> None:
    """A FIN and a RST that are noticed together are both passed on, behind what was sent before them."""
    with NativeRelayBench() as bench:
        leaving, staying = (bench.client, bench.backend) if who == "client" else (bench.backend, bench.client)
        bench.turn()
        put(leaving, b"last words")
        leaving.shutdown(socket.SHUT_WR)
        reset(leaving)
        bench.until_ended()
        [error] = bench.ends
        assert error is not None
        assert error.errno in (errno.ECONNRESET, errno.EPIPE)
        assert is_reset(staying)


def block(bench: NativeRelayBench) -> bytes:
    """Send from the client until nothing more goes in; return what was sent."""
    sent = bytearray()
    quiet = 0
    while quiet < 5:
        block = bytes([len(sent) // 1000 % 251]) * 50_000
        taken = put(bench.client, block)
        sent += block[:taken]
        bench.turn()
        if not taken:
            time.sleep(0.001)
        quiet = 0 if taken else quiet + 1
    return bytes(sent)


def test_reset_reaches_a_blocked_flow() -> None:
    """A source that resets while its flow waits for the other side is noticed at once."""
    with NativeRelayBench(buffer_size=100_000) as bench:
        block(bench)
        reset(bench.client)
        bench.until_ended()
        assert bench.ends[0] is not None


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reader_that_stalls_stops_the_sender(family: Family) -> None:
    """While the backend does not read, a bounded number of bytes is taken; all of them come when it reads again."""
    with NativeRelayBench(family=family, buffer_size=100_000) as bench:
        sent = block(bench)
        assert len(sent) < 12 * MIB  # the socket to the backend has the system's buffers
        put(bench.backend, b"still talking")
        assert bench.bench.take(bench.client, 13) == b"still talking"
        assert bench.bench.take(bench.backend, len(sent)) == sent
        bench.bench.until(lambda: bench.counted() == (len(sent), 13))
        put(bench.client, b"more")
        assert bench.bench.take(bench.backend, 4) == b"more"


def test_bulk_moves_through_a_pipe_until_it_calms_down() -> None:
    """A flow that was blocked gets a pipe, which is used again for the next; an aborted one's is closed, with its bytes."""
    before = pipes_open()
    with NativeRelayBench(buffer_size=100_000) as bench:
        for _ in range(2):
            sent = block(bench)
            assert pipes_open() == before + 2
            assert bench.bench.take(bench.backend, len(sent)) == sent
            put(bench.client, b"small")
            assert bench.bench.take(bench.backend, 5) == b"small"
        assert pipes_open() == before + 2
        block(bench)
        bench.end()
        assert pipes_open() in (before, before + 2)  # the rest that was read before may not have gone: then it is empty
    assert pipes_open() == before


@pytest.mark.parametrize("how", ["drained", "idle", "half_closed", "client", "backend"])
def test_what_waits_in_a_pipe_goes_with_the_connection(how: str) -> None:
    """However it ends: no descriptor is left, and the next flow gets a pipe of its own with nothing in it."""
    before = pipes_open()
    with NativeRelayBench(buffer_size=100_000) as bench:
        core = bench.bench.core
        sent = block(bench)
        assert pipes_open() == before + 2
        assert bench.bench.take(bench.backend, len(sent)) == sent
        again = block(bench)  # from the beginning by splicing
        assert len(again) > 0
        descriptors = open_descriptors()
        [one] = core.listed()
        if how == "drained":
            assert core.drain(one.conn, 0.0) == 0
        elif how == "client":
            reset(bench.client)
        elif how == "backend":
            reset(bench.backend)
        else:
            if how == "half_closed":
                bench.backend.shutdown(socket.SHUT_WR)
                bench.bench.until(lambda: next(core.listed()).stage == records.HALF_CLOSED)
            bench.bench.settings(**{how: 0.0, "connect": 0.0})
            core.drain(one.conn, time.monotonic() + 0.1)  # has its limits looked at then
        bench.bench.expire_until(lambda: bench.ends)
        closed = how in ("client", "backend")  # here, too
        assert open_descriptors() <= descriptors - 2 - closed
        reasons = {"drained": records.DRAINED, "idle": records.IDLE_TIMEOUT, "half_closed": records.HALF_CLOSED_TIMEOUT}
        [ended] = [record for record in bench.bench.told if record.kind == records.ENDED]
        assert ended.reason == reasons.get(how, records.NO_REASON)
        assert bool(ended.error) == closed
        assert (ended.received, ended.sent) == bench.counted()
    assert pipes_open() == before


def test_end_of_file_behind_bulk_is_passed_on() -> None:
    """A half-close behind bytes that still wait in the relay comes after them."""
    with NativeRelayBench(buffer_size=100_000) as bench:
        sent = block(bench)
        bench.client.shutdown(socket.SHUT_WR)
        settle(bench)
        assert bench.bench.take(bench.backend, len(sent) + 1) == sent
        assert bench.ends == []


def test_more_than_there_are_pipes_for() -> None:
    """Of more blocked flows than there are pipes the rest is copied, complete and in order."""
    before = pipes_open()
    with NativeRelayBench(buffer_size=100_000) as bench:
        others: list[socket.socket] = []
        for _ in range(17):
            client = bench.bench.client()
            bench.bench.until(lambda: bench.bench.core.state.open == len(others) + 2)
            others.append(client)
        settle(bench)
        data = os.urandom(6 * MIB)
        offsets = [0] * len(others)
        for _ in range(200):
            for number, client in enumerate(others):
                offsets[number] += put(client, memoryview(data)[offsets[number] :])
            bench.turn()
        assert pipes_open() == before + 32
        assert bench.bench.core.state.open == 18


def test_activity_is_when_bytes_move() -> None:
    """What is told as `active` follows the bytes of either direction."""
    with NativeRelayBench() as bench:
        began = bench.describe()
        bench.turn(3)
        later = bench.describe()
        assert began
        assert later
        assert later.active == began.active
        put(bench.backend, b"x")
        assert bench.bench.take(bench.client, 1) == b"x"
        after = bench.describe()
        assert after
        assert after.active > began.active


def test_nothing_happens_after_the_end() -> None:
    """A connection that has ended is nobody's: whatever is asked of it does nothing, and its end is told once."""
    with NativeRelayBench() as bench:
        put(bench.client, b"late")
        [conn] = [each.conn for each in bench.bench.core.listed()]
        core = bench.bench.core
        assert core.close(conn, 20) == 0
        assert core.close(conn, 21) == -1
        assert core.drain(conn, 0.0) == -1
        assert core.count_client(conn, 3) == -1
        assert core.describe(conn) is None
        assert list(core.listed()) == []
        bench.turn(3)
        assert bench.ends == [None]
        assert [record.reason for record in bench.bench.told if record.kind == records.ENDED] == [20]
        assert core.close(conn, 20) == core.enter(conn, 0, False) == core.take(conn) == -1


def test_a_flood_leaves_the_others_their_turns() -> None:
    """However much has come on one connection, a run moves two mebibytes of it at most, and all that is small beside it."""
    with NativeRelayBench() as bench:
        second = bench.bench.client()
        bench.bench.until(lambda: bench.bench.core.state.open == 2)
        settle(bench)
        data = bytes(8 * MIB)
        offset = 0
        while taken := put(bench.client, memoryview(data)[offset:]):
            offset += taken
        put(second, b"small")
        received = 0
        while received < offset + 5:
            before, (received, _) = received, bench.counted()
            assert received - before <= 2 * MIB + (1 << 18) + 5
            while take(bench.backend):
                pass
            bench.turn()
            if received == before:
                break
