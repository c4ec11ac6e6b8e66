"""HTTP/2 engines under random input: arbitrary bytes, arbitrary cuts, and seeded conversations of every pairing."""

import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from mcproxy.wire.http2 import (
    PREFACE,
    Data,
    Engine,
    Event,
    Fatal,
    GoAway,
    Headers,
    HeadersTooLarge,
    Informational,
    Limits,
    MisuseError,
    Request,
    Reset,
    Response,
    Trailers,
    Writable,
    engine_type,
)
from tests.support.examples import examples
from tests.unit.wire.http2.h2lab import ENGINES, GET, OK, POST, block, fed, frame, parse, plain
from tests.unit.wire.http2.h2lab import settings as settings_frame

PAIRINGS = [(client, server) for client in ENGINES for server in ENGINES]

# Bytes that get past the first checks: whole frames of all kinds on few streams, with payloads that are often well-formed.
payloads = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            block(GET),
            block(POST),
            block(OK),
            block([*POST, (b"content-length", b"12")]),
            block([*OK, (b"content-length", b"12")]),
            block([*POST, (b"Upper", b"1")]),
            block([(b"x-a", b"1")]),
            bytes(4),
            bytes(8),
            b"\x00\x00\x00\x01",
            b"\x7f\xff\xff\xff",
            b"\x3f\xff\xff\xff",
            b"\x00\x04\x7f\xff\xff\xff",
        ]
    ),
)
frames = st.builds(
    frame,
    st.one_of(st.integers(0, 10), st.integers(0, 255)),
    st.one_of(st.sampled_from([0, 1, 4, 5, 8, 0x2D]), st.integers(0, 255)),
    st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 1)),
    payloads,
)
streams_of_bytes = st.one_of(
    st.binary(max_size=300),
    st.lists(frames, max_size=30).map(b"".join),
    st.lists(frames, max_size=30).map(lambda parts: settings_frame() + b"".join(parts)),
    st.tuples(st.lists(frames, max_size=10).map(b"".join), st.binary(max_size=60)).map(
        lambda both: settings_frame() + both[0] + both[1]
    ),
)
cuts = st.lists(st.integers(0, 600), max_size=12).map(sorted)


def build(engine: str, role: str, limits: Limits) -> Engine:
    made = engine_type(engine)(client=role == "client", limits=limits, connect_protocol=True)  # type: ignore[arg-type]
    if role == "client":
        for headers in (GET, POST, POST):
            made.open(headers)
    return made


def feed(engine: Engine, data: bytes, at: list[int]) -> tuple[list[Event], bytes]:
    """Feed bytes cut at the given offsets, reacting as an owner does; return all that was told and written."""
    told, written = [], []
    edges = [0, *(offset for offset in at if offset < len(data)), len(data)]
    for start, end in pairwise(edges):
        told += fed(engine, data[start:end], 0.0)
        written.append(engine.output())
    return told, b"".join(written)


@examples(200)
@given(data=streams_of_bytes, at=cuts)
@example(data=settings_frame() + frame(1, 0x0C, 1) + frame(0, 0, 3), at=[9 + 9 + 4])  # a stream, then the connection
@example(data=settings_frame() + frame(1, 4, 1) + frame(1, 4, 3, block(OK)), at=[9 + 9])  # and another stream's message
@example(data=settings_frame() + frame(1, 4, 1, b"\x3f"), at=[])  # HPACK that breaks off
@example(  # a malformed request, which its client resets as well
    data=settings_frame() + frame(1, 5, 1, block([(b"Upper", b"1")])) + frame(3, 0, 1, bytes(4)), at=[24 + 9 + 9 + 10]
)
@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("engine", ENGINES)
def test_any_bytes_any_chunks(engine: str, role: str, data: bytes, at: list[int]) -> None:
    """Arbitrary bytes never raise, end in at most one Fatal with one GOAWAY, and mean the same however they are cut."""
    limits = Limits(
        empty_frames=3, continuation_frames=2, pings_per_second=3, settings_per_second=3, resets_before_response=2
    )
    data = (PREFACE if role == "server" else b"") + data
    told, written = feed(build(engine, role, limits), data, [])
    again, _ = feed(build(engine, role, limits), data, at)
    assert plain([event for event in told if not isinstance(event, Writable)]) == plain(
        [event for event in again if not isinstance(event, Writable)]
    )
    fatal = [event for event in told if isinstance(event, Fatal)]
    assert fatal == told[len(told) - len(fatal) :]
    goaways = [each for each in parse(written) if each.kind == 7]
    assert [each.code for each in goaways] == [event.code for event in fatal]
    ended: set[int] = set()
    for event in told:
        if isinstance(event, Request | Response | Informational | Data | Trailers | Reset | HeadersTooLarge):
            assert event.stream not in ended
            if isinstance(event, Reset) or (role == "client" and isinstance(event, Trailers)):
                ended.add(event.stream)


@examples(100, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=streams_of_bytes,
    calls=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 9), st.integers(0, 70_000)), max_size=20),
)
@pytest.mark.parametrize("engine", ENGINES)
def test_calls_between_any_bytes(engine: str, data: bytes, calls: list[tuple[int, int, int]]) -> None:
    """Whatever the peer has sent, the owner's calls do what they may or raise misuse, never anything else."""
    made = build(engine, "server", Limits())
    parts = [PREFACE + settings_frame(), *(data[start : start + 40] for start in range(0, len(data), 40))]
    for index in range(max(len(parts), len(calls))):
        if index < len(parts):
            fed(made, parts[index], float(index))
        if index < len(calls):
            call, stream, size = calls[index]
            with suppress(MisuseError):
                ACTIONS[call](made, stream, size)
            assert made.queued(stream) >= 0
            assert made.streams >= 0
        parse(made.output())


ACTIONS: list[Callable[[Engine, int, int], None]] = [
    lambda engine, stream, size: engine.respond(stream, OK),
    lambda engine, stream, size: engine.respond(stream, OK, end=True),
    lambda engine, stream, size: engine.inform(stream, [(b":status", b"103")]),
    lambda engine, stream, size: engine.send(stream, bytes(size)),
    lambda engine, stream, size: engine.send(stream, b"", end=True),
    lambda engine, stream, size: engine.trailers(stream, [(b"x-a", b"1")]),
    lambda engine, stream, size: engine.consumed(stream, size % 50),
    lambda engine, stream, size: engine.reset(stream),
    lambda engine, stream, size: engine.goaway() if size % 2 else engine.shutdown_notice(),
]


class Message:
    """What one side should hear on a stream."""

    def __init__(self, rng: random.Random) -> None:
        self.parts = [rng.randbytes(rng.choice((0, 1, 100, 5_000, 40_000, 90_000))) for _ in range(rng.randrange(4))]
        self.trailers: Headers | None = [(b"x-sum", b"%d" % rng.randrange(10**6))] if rng.random() < 0.4 else None
        self.body = b"".join(self.parts)


class Owner:
    """One end's owner: sends messages as back-pressure allows, consumes late and in odd amounts, checks what it hears."""

    def __init__(self, engine: Engine, rng: random.Random) -> None:
        self.engine = engine
        self.rng = rng
        self.sending: dict[int, Message] = {}
        self.heard: dict[int, bytearray] = defaultdict(bytearray)
        self.trailers: dict[int, Headers] = {}
        self.done: set[int] = set()
        self.owed: dict[int, int] = defaultdict(int)
        self.blocked: set[int] = set()
        self.reset: set[int] = set()
        self.requests: list[int] = []

    def hear(self, events: list[Event]) -> None:
        for event in events:
            assert not isinstance(event, Fatal | HeadersTooLarge), event
            if isinstance(event, GoAway):
                continue
            if isinstance(event, Writable):
                assert event.stream in self.blocked or event.stream in self.reset
                assert self.engine.queued(event.stream) == 0
                self.blocked.discard(event.stream)
            elif isinstance(event, Reset):
                self.reset.add(event.stream)
            elif isinstance(event, Request):
                self.requests.append(event.stream)
            elif isinstance(event, Data):
                assert event.stream not in self.done
                self.heard[event.stream] += event.data
                self.owed[event.stream] += len(event.data)
                if event.end:
                    self.done.add(event.stream)
            elif isinstance(event, Trailers):
                self.trailers[event.stream] = event.headers
                self.done.add(event.stream)

    def act(self, *, eager: bool) -> None:
        """Go on with some messages, and consume some of what was heard."""
        for stream, message in list(self.sending.items()):
            if stream in self.reset:
                del self.sending[stream]
                self.blocked.discard(stream)
            elif stream not in self.blocked and (eager or self.rng.random() < 0.6):
                if message.parts:
                    part = message.parts.pop(0)
                    last = not message.parts and message.trailers is None
                    self.engine.send(stream, part, end=last)
                    if self.engine.queued(stream):
                        self.blocked.add(stream)
                    if last:
                        del self.sending[stream]
                elif message.trailers is not None:
                    self.engine.trailers(stream, message.trailers)
                    del self.sending[stream]
                else:
                    self.engine.send(stream, b"", end=True)
                    del self.sending[stream]
        for stream, amount in list(self.owed.items()):
            credit = amount if eager else self.rng.randint(0, amount)
            self.engine.consumed(stream, credit)
            self.owed[stream] -= credit


def conversation(client_name: str, server_name: str, seed: int) -> None:
    """Many streams at once, sent and consumed in random order, over a wire that cuts at random; some are reset."""
    rng = random.Random(seed)
    limits = Limits(
        stream_window=rng.choice((16_384, 65_535, 65_536)),
        connection_window=rng.choice((65_535, 200_000, 1_048_576)),
        stream_resets_per_second=10_000,
        resets_before_response=10_000,
    )
    client = Owner(engine_type(client_name)(client=True, limits=limits), rng)  # type: ignore[arg-type]
    server = Owner(engine_type(server_name)(client=False, limits=limits), rng)  # type: ignore[arg-type]
    wire = {"up": bytearray(), "down": bytearray()}
    uploads: dict[int, Message] = {}
    downloads: dict[int, Message] = {}
    wanted = rng.randint(1, 25)
    goaway_at = rng.randrange(60) if rng.random() < 0.3 else -1

    def carry(*, all_of_it: bool) -> int:
        moved = 0
        for key, source, target in (("up", client, server), ("down", server, client)):
            wire[key] += source.engine.output()
            size = len(wire[key]) if all_of_it else rng.randint(0, len(wire[key]))
            chunk = bytes(wire[key][:size])
            del wire[key][:size]
            moved += size
            target.hear(fed(target.engine, chunk, 0.0))
        return moved

    for turn in range(400):
        eager = turn > 100
        if len(uploads) < wanted and (stream := client.engine.open(POST)) is not None:
            uploads[stream] = client.sending[stream] = Message(rng)
            uploads[stream].parts = list(uploads[stream].parts)
        while server.requests:
            stream = server.requests.pop()
            server.engine.respond(stream, OK)
            downloads[stream] = server.sending[stream] = Message(rng)
        client.act(eager=eager)
        server.act(eager=eager)
        if not eager and downloads and rng.random() < 0.08:
            side = rng.choice((client, server))
            stream = rng.choice(list(downloads))
            side.engine.reset(stream)
            client.reset.add(stream)  # either side's reset ends what both may expect
            server.reset.add(stream)
            side.sending.pop(stream, None)
            side.blocked.discard(stream)
        if turn == goaway_at:
            server.engine.shutdown_notice()
        if turn == goaway_at + 3 and goaway_at >= 0:
            server.engine.goaway()
        if not carry(all_of_it=eager) and eager and not (client.sending or server.sending or server.requests):
            break
    assert not client.sending
    assert not server.sending
    for stream, message in uploads.items():
        if stream in client.reset:
            assert message.body.startswith(bytes(server.heard[stream]))
            continue
        assert server.heard[stream] == message.body
        assert server.trailers.get(stream) == message.trailers
        assert stream in server.done
        assert client.heard[stream] == downloads[stream].body
        assert client.trailers.get(stream) == downloads[stream].trailers
        assert stream in client.done
    assert client.engine.streams == server.engine.streams == 0
    assert client.engine.queued(1) == 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("client", "server"), PAIRINGS, ids=["-".join(pairing) for pairing in PAIRINGS])
def test_seeded_conversations(client: str, server: str, seed: int) -> None:
    """Every stream that nobody reset delivers exactly its bodies and trailers, whatever the order of events."""
    conversation(client, server, seed)
