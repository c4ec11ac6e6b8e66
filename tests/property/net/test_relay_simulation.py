"""A whole relay under a random schedule, drawn from one number.

Two peers send streams of random length in random pieces, read when they like, stall, half-close, and in some runs
reset; in between the loop turns. Every test's number is its seed: run one again with
``pytest "tests/property/net/test_relay_simulation.py::test_every_byte_arrives_in_order[unix-17]"``. On Unix sockets a
seed gives the same run every time; on TCP the kernel has a say in when bytes arrive.
"""

import contextlib
import random
import socket
import struct
import time

import pytest

from mcproxy.net.loop.pipes import Pipe, PipePool
from tests.support.native_relay_bench import NativeRelayBench, pipes_open
from tests.support.relay_bench import Family, RelayBench, empty, put, take

SEEDS = range(60)
NATIVE_SEEDS = range(1000, 1030)
RESETTING = (1, 4, 5, 8)  # TCP_ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT: an abortive close sends RST
ENDING = (
    9,
    11,
)  # TCP_LAST_ACK, TCP_CLOSING: so it does where something is unsent or unread, unless that ends meanwhile
PATIENCE = 20  # seconds for one run; a stuck relay fails by it


class Peer:
    """One end: what it sends, what it has received, and how it behaves."""

    def __init__(self, rng: random.Random, sock: socket.socket) -> None:
        self.sock = sock
        self.stream = rng.randbytes(rng.choice([0, 1, 1000, 100_000, 300_000, 1_000_000]))
        self.sent = 0
        self.got = bytearray()
        self.ended = False
        self.finished = False
        self.piece = rng.choice([1, 100, 5000, 70_000, 400_000])
        self.gulp = rng.choice([7, 4096, 65_536, 1 << 20])

    def send(self) -> None:
        """Send a piece, or half-close when all is sent."""
        if self.sent < len(self.stream):
            self.sent += put(self.sock, memoryview(self.stream)[self.sent : self.sent + self.piece])
        elif not self.finished:
            self.sock.shutdown(socket.SHUT_WR)
            self.finished = True

    def receive(self) -> None:
        """Read a gulp."""
        chunk = take(self.sock, self.gulp)
        if chunk == b"":
            self.ended = True
        self.got += chunk or b""

    def hurry(self) -> None:
        """Finish what is left in large steps: the schedule has been random for long enough."""
        self.piece = self.gulp = 1 << 20


class PipelessPool(PipePool):
    """A system that grants no pipe."""

    def acquire(self) -> Pipe | None:
        return None


def bench(rng: random.Random, family: Family) -> RelayBench:
    pool = rng.choice([PipePool, PipePool, PipePool, PipelessPool])()
    # with smaller windows TCP itself takes seconds: probes of a closed window come further and further apart
    size = rng.choice([4096, 16_384, 200_000, 0] if family == "unix" else [100_000, 200_000, 0])
    return RelayBench(family=family, buffer_size=size, pool=pool)


def native_bench(rng: random.Random, family: Family) -> NativeRelayBench:
    """Return the same with the native core, where the client's socket is always TCP."""
    return NativeRelayBench(family=family, buffer_size=rng.choice([100_000, 200_000, 0]))


def act(rng: random.Random, relay: RelayBench | NativeRelayBench, peers: tuple[Peer, Peer], weights: list[int]) -> None:
    """Do one random thing."""
    client, backend = peers
    actions = [client.send, backend.send, client.receive, backend.receive, relay.turn]
    rng.choices(actions, weights)[0]()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_every_byte_arrives_in_order(family: Family, seed: int) -> None:
    """Both streams arrive whole and in order with their ends, are counted exactly, and every pipe is given back empty."""
    rng = random.Random(seed)
    with bench(rng, family) as relay:
        run_to_the_end(rng, relay)
        all_pipes_are_back_and_empty(relay)


@pytest.mark.parametrize("seed", NATIVE_SEEDS)
@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_every_byte_arrives_in_order_natively(family: Family, seed: int) -> None:
    """The same holds for the native core."""
    rng = random.Random(seed)
    before = pipes_open()
    with native_bench(rng, family) as relay:
        run_to_the_end(rng, relay)
    assert pipes_open() == before


def run_to_the_end(rng: random.Random, relay: RelayBench | NativeRelayBench) -> None:
    """Let peers send, read, stall and half-close, until both have got everything."""
    client, backend = Peer(rng, relay.client), Peer(rng, relay.backend)
    for _ in range(rng.choice([1, 4])):  # phases: who is lively and who stalls changes
        weights = [rng.choice([0, 1, 5]) for _ in range(4)] + [rng.choice([1, 5])]
        for _ in range(rng.randrange(1000)):
            act(rng, relay, (client, backend), weights)
            assert backend.got == client.stream[: len(backend.got)]
    client.hurry()
    backend.hurry()
    deadline = time.monotonic() + PATIENCE
    while not (client.ended and backend.ended) and time.monotonic() < deadline:
        act(rng, relay, (client, backend), [1] * 5)
    assert backend.got == client.stream
    assert client.got == backend.stream
    assert client.ended
    assert backend.ended
    await_end(relay)
    assert relay.ends == [None]
    assert relay.counted() == (len(client.stream), len(backend.stream))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reset_at_any_moment_reaches_the_other_side(seed: int) -> None:
    """When one peer resets, what the other has got is a prefix, it gets a reset too, and no pipe is lost or dirty."""
    rng = random.Random(seed)
    with bench(rng, "tcp") as relay:
        reset_at_some_moment(rng, relay)
        all_pipes_are_back_and_empty(relay)


@pytest.mark.parametrize("seed", NATIVE_SEEDS)
def test_a_reset_at_any_moment_reaches_the_other_side_natively(seed: int) -> None:
    """The same holds for the native core."""
    rng = random.Random(seed)
    before = pipes_open()
    with native_bench(rng, "tcp") as relay:
        reset_at_some_moment(rng, relay)
    assert pipes_open() == before


def reset_at_some_moment(rng: random.Random, relay: RelayBench | NativeRelayBench) -> None:
    """Let peers send and read, until one of them resets."""
    client, backend = Peer(rng, relay.client), Peer(rng, relay.backend)
    weights = [rng.choice([0, 1, 5]) for _ in range(4)] + [rng.choice([1, 5])]
    for _ in range(rng.randrange(1000)):
        act(rng, relay, (client, backend), weights)
    leaving, staying = (client, backend) if rng.random() < 0.5 else (backend, client)
    leaving.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    now = 0 if relay.ends else state(leaving.sock)
    leaving.sock.close()
    relay.turn(3)
    if now in ENDING:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            finish(relay, staying)
        await_end(relay)
        assert len(relay.ends) == 1
    elif now in RESETTING:
        await_end(relay)
        (error,) = relay.ends
        assert error is not None
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            receive_for_ever(staying)
    else:  # both ends had passed: it left as one should
        finish(relay, staying)
        assert relay.ends == [None]
        assert staying.got == leaving.stream
    assert staying.got == leaving.stream[: len(staying.got)]


def await_end(relay: RelayBench | NativeRelayBench) -> None:
    """Turn until the relay has ended; on TCP the kernel may take its time to tell it."""
    deadline = time.monotonic() + PATIENCE
    while not relay.ends and time.monotonic() < deadline:
        relay.turn()


def state(sock: socket.socket) -> int:
    """Return the state of a TCP connection, the first byte of ``struct tcp_info``."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def finish(relay: RelayBench | NativeRelayBench, peer: Peer) -> None:
    """Let one peer read to its end and send all it has."""
    peer.hurry()
    deadline = time.monotonic() + PATIENCE
    while not relay.ends and time.monotonic() < deadline:
        if not peer.finished:
            peer.send()
        peer.receive()
        relay.turn()
    while not peer.ended and time.monotonic() < deadline:
        peer.receive()


def receive_for_ever(peer: Peer) -> None:
    """Read until the reset; an end of the stream that came before it is followed by writing."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        peer.receive()
        if peer.ended:
            peer.sock.send(b"?")


def all_pipes_are_back_and_empty(relay: RelayBench) -> None:
    assert relay.pipes_in_use() == []
    if isinstance(relay.pipes, PipelessPool):
        return
    pipes = []
    while (pipe := relay.pipes.acquire()) is not None:
        pipes.append(pipe)
    assert len(pipes) == 16
    assert all(empty(pipe) for pipe in pipes)
    for pipe in pipes:
        relay.pipes.release(pipe)
