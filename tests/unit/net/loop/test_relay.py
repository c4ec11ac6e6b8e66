"""The relay on real sockets, its loop turned by hand."""

import errno
import fcntl
import gc
import os
import select
import socket
import struct
import time

import pytest

from mcproxy.net.loop.pipes import PipePool
from mcproxy.net.loop.relay import BUFFER_SIZE, Side
from tests.support.relay_bench import Family, RelayBench, empty, put, take

FAMILIES: list[Family] = ["unix", "tcp"]
MIB = 1 << 20


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_pass_both_ways_and_are_counted(family: Family) -> None:
    """Each direction arrives at the other side, and its bytes are counted in its own word."""
    with RelayBench(family=family) as bench:
        put(bench.client, b"question")
        put(bench.backend, b"an answer")
        bench.turn(2)
        assert take(bench.backend) == b"question"
        assert take(bench.client) == b"an answer"
        assert bench.counted() == (8, 9)


def test_what_waited_before_the_start_is_moved() -> None:
    """Bytes that came before the relay took over are moved at once, without another event."""
    with RelayBench(start=False) as bench:
        put(bench.client, b"hello")
        bench.turn()
        bench.relay.start(0, 0)
        assert take(bench.backend) == b"hello"


def test_events_told_before_the_start_count() -> None:
    """Data and a hang-up that epoll told to an earlier handler are not forgotten on either side."""
    with RelayBench(start=False) as bench:
        put(bench.client, b"hello")
        bench.client.shutdown(socket.SHUT_WR)
        put(bench.backend, b"banner")
        bench.backend.shutdown(socket.SHUT_WR)
        bench.turn()
        told = select.EPOLLIN | select.EPOLLRDHUP
        bench.relay.start(told, told | select.EPOLLOUT)
        assert take(bench.backend) == b"hello"
        assert take(bench.client) == b"banner"
        assert bench.ends == [None]


@pytest.mark.parametrize("family", FAMILIES)
def test_half_close_is_passed_on_and_the_other_way_stays_open(family: Family) -> None:
    """End-of-file from one side closes that direction alone; the second end closes everything, told once."""
    with RelayBench(family=family) as bench:
        put(bench.client, b"last words")
        bench.client.shutdown(socket.SHUT_WR)
        bench.turn(2)
        assert take(bench.backend) == b"last words"
        assert take(bench.backend) == b""
        assert bench.ends == []
        put(bench.backend, b"reply")
        bench.turn(2)
        assert take(bench.client) == b"reply"
        bench.backend.close()
        bench.turn(2)
        assert take(bench.client) == b""
        assert bench.ends == [None]
        assert bench.client_first
        assert [side.sock.fileno() for side in bench.sides] == [-1, -1]


@pytest.mark.parametrize("who", ["client", "backend"])
@pytest.mark.parametrize("half_closed_before", [False, True])
def test_reset_is_passed_on(who: str, half_closed_before: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A reset on one side resets the other and is what the owner hears, also after that side's end-of-file."""
    with RelayBench(family="tcp") as bench:
        leaving, staying = (bench.client, bench.backend) if who == "client" else (bench.backend, bench.client)
        if half_closed_before:
            leaving.shutdown(socket.SHUT_WR)
            bench.turn(2)
            assert take(staying) == b""
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        leaving.close()
        bench.turn(2)
        (error,) = bench.ends
        assert error is not None
        assert error.errno in (errno.ECONNRESET, errno.EPIPE)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            put(staying, b"?")


def test_a_backend_that_has_ended_in_its_turn_has_not_broken_off() -> None:
    """The client half-closes, the backend answers and closes, and the client, which wants none of that, resets."""
    with RelayBench(family="tcp") as bench:
        bench.client.shutdown(socket.SHUT_WR)
        bench.turn(2)
        assert take(bench.backend) == b""
        put(bench.backend, b"goodbye")
        bench.backend.close()
        bench.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bench.client.close()
        bench.turn(2)
        assert isinstance(bench.ends[0], ConnectionError)
        assert bench.client_first


@pytest.mark.parametrize("who", ["client", "backend"])
def test_reset_right_behind_an_end_of_file_is_passed_on(who: str) -> None:
    """A FIN and a RST that are noticed together are both passed on, behind what was sent before them."""
    with RelayBench(family="tcp") as bench:
        leaving, staying = (bench.client, bench.backend) if who == "client" else (bench.backend, bench.client)
        bench.turn()
        put(leaving, b"last words")
        leaving.shutdown(socket.SHUT_WR)
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        leaving.close()
        bench.turn(2)
        assert len(bench.ends) == 1
        assert bench.ends[0] is not None
        assert bench.ends[0].errno in (errno.ECONNRESET, errno.EPIPE)
        assert take(staying) == b"last words"
        assert take(staying) == b""
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            put(staying, b"?")


def test_reset_reaches_a_blocked_flow() -> None:
    """A source that resets while its flow waits for the other side is noticed at once."""
    with RelayBench(family="tcp") as bench:
        block(bench)
        bench.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bench.client.close()
        bench.turn(2)
        assert len(bench.ends) == 1
        assert bench.ends[0] is not None


def block(bench: RelayBench) -> bytes:
    """Send from the client until nothing more goes in; return what was sent."""
    sent = bytearray()
    quiet = 0
    while quiet < 3:
        block = bytes([len(sent) // 1000 % 251]) * 50_000
        taken = put(bench.client, block)
        sent += block[:taken]
        bench.turn()
        quiet = 0 if taken else quiet + 1
    assert bench.relay.client.blocked
    return bytes(sent)


def drain(bench: RelayBench, count: int) -> bytes:
    """Read ``count`` bytes at the backend, turning the loop; fewer if they do not come within 10 s."""
    got = bytearray()
    deadline = time.monotonic() + 10
    while len(got) < count and time.monotonic() < deadline:
        got += take(bench.backend) or b""
        bench.turn()
    return bytes(got)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reader_that_stalls_stops_the_sender(family: Family) -> None:
    """While the backend does not read, a bounded number of bytes is taken; all of them come when it reads again."""
    with RelayBench(family=family, buffer_size=16384) as bench:
        sent = block(bench)
        assert len(sent) < 2 * MIB
        assert not bench.relay.backend.blocked
        assert drain(bench, len(sent)) == sent
        assert bench.counted() == (len(sent), 0)
        put(bench.client, b"more")
        assert drain(bench, 4) == b"more"


def test_a_blocked_flow_leaves_the_other_direction_alone() -> None:
    """Back-pressure in one direction does not hold up the other."""
    with RelayBench(buffer_size=16384) as bench:
        block(bench)
        put(bench.backend, b"still talking")
        bench.turn(2)
        assert take(bench.client) == b"still talking"


def test_bulk_moves_through_a_pipe_until_it_calms_down() -> None:
    """A flow that was blocked gets a pipe and gives it back, empty, once small messages are all there is."""
    with RelayBench(buffer_size=16384) as bench:
        sent = block(bench)
        (pipe,) = bench.pipes_in_use()
        assert drain(bench, len(sent)) == sent
        put(bench.client, b"small")
        assert drain(bench, 5) == b"small"
        assert bench.pipes_in_use() == []
        assert bench.pipes.acquire() == pipe
        assert empty(pipe)
        bench.pipes.release(pipe)


def test_a_filled_buffer_makes_bulk() -> None:
    """A read that fills the shared buffer upgrades the flow although the other side takes everything."""
    with RelayBench(buffer_size=4 * MIB) as bench:
        data = os.urandom(BUFFER_SIZE) * 3
        offset = 0
        piped = False
        got = bytearray()
        for _ in range(1000):
            offset += put(bench.client, memoryview(data)[offset:])
            bench.turn()
            piped = piped or bool(bench.pipes_in_use())
            got += take(bench.backend) or b""
        assert got == data
        assert piped


def test_end_of_file_behind_bulk_is_passed_on() -> None:
    """A half-close behind bytes that still wait in the relay comes after them, and returns the pipe."""
    with RelayBench(buffer_size=16384) as bench:
        sent = block(bench)
        bench.client.shutdown(socket.SHUT_WR)
        bench.turn(2)
        assert drain(bench, len(sent)) == sent
        assert take(bench.backend) == b""
        assert bench.pipes_in_use() == []
        assert bench.ends == []


def test_without_pipes_it_goes_on_copying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system grants no pipe of full size, a blocked flow is copied, complete and in order."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "pipe-user-pages-soft")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with RelayBench(buffer_size=16384) as bench:
        sent = block(bench)
        assert bench.pipes_in_use() == []
        assert drain(bench, len(sent)) == sent


def test_an_aborted_relay_does_not_return_a_pipe_with_bytes() -> None:
    """The next flow never sees an aborted one's bytes: a filled pipe is closed, not used again."""
    pool = PipePool()
    with RelayBench(buffer_size=16384, pool=pool) as bench:
        sent = block(bench)
        while len(sent) < 400_000 and not bench.relay.client.piped:  # the copied rest goes first, then the pipe fills
            take(bench.backend)
            bench.turn()
            sent += block(bench)
        assert bench.relay.client.piped
        (pipe,) = bench.pipes_in_use()
        bench.relay.end(None)
        bench.turn(2)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(pipe.read)
        again = [pool.acquire() for _ in range(17)]
        assert sum(each is not None for each in again) == 16
        for each in again:
            if each is not None:
                assert empty(each)
                pool.release(each)


def test_activity_is_when_bytes_move() -> None:
    """``active_at`` follows the bytes of either direction, for the idle timeout."""
    with RelayBench() as bench:
        bench.turn()
        began = bench.relay.active_at
        bench.turn(3)
        assert bench.relay.active_at == began
        put(bench.backend, b"x")
        bench.turn()
        assert bench.relay.active_at > began


def test_nothing_happens_after_the_end() -> None:
    """Ending twice, failing after the end, and late wake-ups are harmless: the owner hears one end."""
    with RelayBench() as bench:
        put(bench.client, b"late")
        bench.relay.end(None)
        bench.relay.fail(OSError(errno.ECONNRESET, "late"))
        for side in bench.sides:
            side.on_event(select.EPOLLIN | select.EPOLLOUT)
        bench.turn(3)
        assert bench.ends == [None]
        assert take(bench.backend) == b""


def test_the_sides_of_an_ended_relay_are_freed_at_once() -> None:
    """Nothing of it is left to the collector, which would keep thousands of closed connections until it runs."""

    def sides() -> int:
        return sum(isinstance(item, Side) for item in gc.get_objects())

    gc.collect()
    before = sides()
    gc.disable()
    try:
        with RelayBench() as bench:
            assert sides() == before + 2
            bench.client.close()
            bench.backend.close()
            bench.turn(3)
            assert bench.ends == [None]
            bench.sides = ()
            assert sides() == before
    finally:
        gc.enable()
