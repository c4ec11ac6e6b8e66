"""The frame gate alone: what it lets through, counts, and refuses."""

import pytest

from mcproxy.wire.http2 import (
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    STREAM_CLOSED,
    Fatal,
    GoAway,
    Limits,
)
from mcproxy.wire.http2.events import Grant
from mcproxy.wire.http2.gate import FrameGate
from tests.unit.wire.http2.h2lab import (
    ACK,
    CANCEL_PAYLOAD,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    PING,
    POST,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    frame,
    request,
    settings,
    uint32,
)


def started(**limits: int) -> FrameGate:
    """A server's gate after the handshake."""
    gate = FrameGate(Limits(**limits), server=True)
    assert passed(gate, PREFACE + settings()) == PREFACE + settings()
    return gate


def passed(gate: FrameGate, data: bytes, now: float = 0.0) -> bytes:
    """Feed bytes that break no rule; return what an engine would see."""
    pieces, violation = gate.feed(data, now)
    assert violation is None
    return b"".join(whole(piece) for piece in pieces if not isinstance(piece, GoAway))


def rest_of(gate: FrameGate) -> list[bytes]:
    """Return what the gate has kept for later turns, turn by turn."""
    turns = []
    while gate.pending:
        turns.append(passed(gate, b""))
    return turns


def whole(piece: bytes | memoryview | Grant) -> bytes:
    return piece.frame if isinstance(piece, Grant) else bytes(piece)


def refused(gate: FrameGate, data: bytes, now: float = 0.0) -> Fatal:
    """Feed bytes that break a rule; return how it is told."""
    _, violation = gate.feed(data, now)
    assert violation is not None
    return violation


def test_whole_frames_only() -> None:
    """A frame is let through when its last byte came, the frames before it at once."""
    gate = started()
    data = request(1, POST, end=False) + frame(DATA, 0, 1, b"body")
    assert passed(gate, data[:-1]) == request(1, POST, end=False)
    assert passed(gate, data[-1:] + request(3)[:5]) == frame(DATA, 0, 1, b"body")
    assert passed(gate, request(3)[5:]) == request(3)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_frames_of_a_chunk_come_one_by_one(kind: type[bytes | bytearray | memoryview]) -> None:
    """Each frame is a piece of its own, so that the error of one is told before the next is seen; bodies are not copied."""
    gate = started()
    sent = [
        request(1),
        frame(HEADERS, END_HEADERS, 3, b"b"),
        frame(DATA, 0, 3, b"x" * 5000),
        frame(DATA, END_STREAM, 3),
    ]
    chunk = kind(b"".join(sent))
    pieces, _ = gate.feed(chunk, 0.0)
    assert pieces == sent
    assert [type(piece) for piece in pieces] == [bytes, bytes, memoryview, memoryview]
    whole_chunk = chunk.obj if isinstance(chunk, memoryview) else chunk
    assert all(piece.obj is whole_chunk for piece in pieces if isinstance(piece, memoryview))


def test_oversized_frame_is_refused_by_its_header() -> None:
    """A frame longer than allowed is refused before its payload is gathered."""
    assert refused(started(), b"\x00\x40\x01\x00\x00\x00\x00\x00\x01").code == FRAME_SIZE_ERROR


def test_preface_in_pieces() -> None:
    """The preface is compared byte by byte, and passed on whole."""
    gate = FrameGate(Limits(), server=True)
    for byte in PREFACE[:-1]:
        assert passed(gate, bytes((byte,))) == b""
    assert passed(gate, PREFACE[-1:]) == PREFACE
    gate = FrameGate(Limits(), server=True)
    assert passed(gate, PREFACE[:10]) == b""
    assert refused(gate, b"x").code == PROTOCOL_ERROR


def test_client_side_expects_settings() -> None:
    """A client's gate takes no preface, and SETTINGS first."""
    gate = FrameGate(Limits(), server=False)
    assert passed(gate, settings()) == settings()
    assert refused(FrameGate(Limits(), server=False), frame(SETTINGS, ACK, 0)).code == PROTOCOL_ERROR


def test_goaway_is_taken_out() -> None:
    """GOAWAY comes parsed, at its place between the frames around it."""
    gate = started()
    goaway = frame(GOAWAY, 0, 0, uint32(0x80000005) + uint32(11) + b"why")
    pieces, violation = gate.feed(request(1) + goaway + request(3), 0.0)
    assert violation is None
    assert [piece if isinstance(piece, GoAway | Grant) else bytes(piece) for piece in pieces] == [
        request(1),
        GoAway(5, 11, b"why"),
        request(3),
    ]


def test_frames_before_a_violation_pass() -> None:
    """What came before the violation in a chunk is still handed on."""
    pieces, violation = started().feed(request(1) + frame(DATA, 0, 0), 0.0)
    assert b"".join(whole(piece) for piece in pieces if not isinstance(piece, GoAway)) == request(1)
    assert violation is not None


def test_large_grants_are_handed_over_one_by_one() -> None:
    """A WINDOW_UPDATE of 1 GiB or more for a stream comes at its place; smaller ones, and the connection's, pass."""
    gate = started()
    small = frame(WINDOW_UPDATE, 0, 1, uint32(2**30 - 1)) + frame(WINDOW_UPDATE, 0, 0, uint32(2**31 - 1))
    large = frame(WINDOW_UPDATE, 0, 1, uint32(2**31 + 2**30))
    pieces, violation = gate.feed(request(1) + small + large + large + small, 0.0)
    assert violation is None
    grant = Grant(1, 2**30, large)
    grants = [piece if isinstance(piece, Grant) else whole(piece) for piece in pieces if not isinstance(piece, GoAway)]
    assert grants == [request(1), small[:13], small[13:], grant, grant, small[:13], small[13:]]


def test_tolerates_what_was_in_flight() -> None:
    """Frames of a stream that we reset pass until the peer ends it, after that they are in error."""
    gate = started()
    passed(gate, request(1, POST, end=False))
    gate.streams.closed(1)
    for _ in range(3):
        assert passed(gate, frame(DATA, 0, 1, b"x"))
    assert passed(gate, frame(HEADERS, 5, 1, block([(b"x-a", b"1")])))
    assert refused(gate, frame(DATA, 0, 1, b"x")).code == STREAM_CLOSED


def test_toleration_is_bounded() -> None:
    """Only so many of our resets are remembered, the oldest is forgotten first."""
    gate = started(concurrent_streams=1)
    for stream in range(1, 19, 2):
        passed(gate, request(stream, POST, end=False))
        gate.streams.closed(stream)
    assert passed(gate, frame(DATA, 0, 3, b"x"))
    assert refused(gate, frame(DATA, 0, 1, b"x")).code == STREAM_CLOSED


def test_nothing_is_kept_of_finished_streams() -> None:
    """A stream is forgotten when the peer has ended it and its response has begun, in either order, or by a reset."""
    gate = started(resets_before_response=1_000)
    for stream in range(1, 600, 6):
        passed(gate, request(stream))
        gate.answered(stream)
        passed(gate, request(stream + 2, POST, end=False))
        gate.answered(stream + 2)
        passed(gate, frame(DATA, END_STREAM, stream + 2))
        passed(
            gate,
            request(stream + 4, POST, end=False) + frame(RST_STREAM, 0, stream + 4, CANCEL_PAYLOAD),
            now=float(stream),
        )
    assert not gate.streams.open
    assert not gate.streams.tolerated
    assert not gate.streams.skipped


def test_skipped_ids_are_a_protocol_error() -> None:
    """An id below an earlier one that was never used is a PROTOCOL_ERROR, a used one STREAM_CLOSED."""
    gate = started()
    passed(gate, request(1) + request(7) + request(9) + request(21))
    assert refused(gate, request(5)).code == PROTOCOL_ERROR
    gate = started()
    passed(gate, request(1) + request(7))
    assert refused(gate, request(1)).code == STREAM_CLOSED


def test_continuations_count_by_block() -> None:
    """The limit is for one header block, not for the connection."""
    gate = started(continuation_frames=2)
    for stream in range(1, 40, 2):
        part = block(GET)
        passed(
            gate,
            frame(HEADERS, END_STREAM, stream, part[:9])
            + frame(9, 0, stream, part[9:20])
            + frame(9, 4, stream, part[20:]),
        )
    passed(gate, frame(HEADERS, END_STREAM, 41, block(GET)) + frame(9, 0, 41, b"\0") * 2)
    violation = refused(gate, frame(9, 4, 41))
    assert (violation.code, violation.limit) == (ENHANCE_YOUR_CALM, "continuation_frames")


def test_empty_frames_in_a_row() -> None:
    """DATA with content starts the count of empty frames anew."""
    gate = started(empty_frames=2)
    passed(gate, request(1, POST, end=False))
    for _ in range(5):
        passed(gate, frame(DATA, 0, 1) * 2 + frame(DATA, 0, 1, b"x"))
    assert refused(gate, frame(DATA, 0, 1) * 3).limit == "empty_frames"


@pytest.mark.parametrize(
    ("limit", "data"), [("pings_per_second", frame(PING, 0, 0, bytes(8))), ("settings_per_second", settings())]
)
def test_a_second_later(limit: str, data: bytes) -> None:
    """A rate counts from the first frame of its second, whatever the clock's origin."""
    gate = started(**{limit: 3})
    passed(gate, data * 3, now=-5.0)
    passed(gate, data * 3, now=-4.0)
    passed(gate, data * 3, now=1e9)
    assert refused(gate, data, now=1e9 + 0.99).limit == limit


@pytest.mark.parametrize(
    ("kind", "payload", "most"),
    [(PING, b"12345678", 512), (DATA, b"x", 128), (HEADERS, block(GET), 40)],
)
def test_one_feed_hands_over_a_bounded_amount_of_work(kind: int, payload: bytes, most: int) -> None:
    """Small frames by the thousand come in turns; none is lost, and their order stays."""
    gate = started(concurrent_streams=10_000, pings_per_second=10_000)
    if kind == HEADERS:
        frames = [frame(HEADERS, END_STREAM | 4, stream, payload) for stream in range(1, 2001, 2)]
    else:
        stream = 1 if kind == DATA else 0
        assert passed(gate, request(1, POST, end=False))
        frames = [frame(kind, 0, stream, payload)] * 1000
    turns = [passed(gate, b"".join(frames)), *rest_of(gate)]
    assert b"".join(turns) == b"".join(frames)
    assert 1000 / most <= len(turns) <= 1001
    assert max(map(len, turns)) <= most * len(frames[0])


def test_what_comes_while_work_is_left_is_kept_behind_it() -> None:
    """Bytes that arrive before the rest was handed over, cut anywhere, come after it."""
    gate = started(pings_per_second=10_000)
    pings = b"".join(frame(PING, 0, 0, number.to_bytes(8, "big")) for number in range(1000))
    seen = [passed(gate, pings[:9000])]
    assert gate.pending
    seen += [passed(gate, pings[start : start + 7]) for start in range(9000, len(pings), 7)]
    assert b"".join([*seen, *rest_of(gate)]) == pings


@pytest.mark.parametrize(
    "steering",
    [frame(WINDOW_UPDATE, 0, 0, uint32(1)), frame(2, 0, 3, uint32(0) + b"\x10"), frame(0xEE, 0, 0, b"who knows")],
    ids=["WINDOW_UPDATE", "PRIORITY", "unknown"],
)
def test_frames_that_only_steer_are_counted_against_what_was_sent(steering: bytes) -> None:
    """A peer may answer what it gets with grants, as many as it likes, but not steer for ever what does not move."""
    gate = started(idle_frames=100)
    for _ in range(50):  # as many as bytes were sent for
        assert passed(gate, steering * 100)
        gate.floods.sent(400)
    passed(gate, steering * 100)
    assert refused(gate, steering) == Fatal(ENHANCE_YOUR_CALM, "idle_frames", "limits.idle_frames exceeded")


def abuse(gate: FrameGate, stream: int) -> None:
    """Open a stream and reset it before it is answered."""
    passed(gate, request(stream) + frame(RST_STREAM, 0, stream, CANCEL_PAYLOAD))


def test_an_answer_makes_up_for_a_reset() -> None:
    """Resets before a response count less the requests answered since; more answers than resets give no credit."""
    gate = started(resets_before_response=2)
    passed(gate, request(1))
    gate.answered(1)
    abuse(gate, 3)
    abuse(gate, 5)
    passed(gate, request(7))
    gate.answered(7)
    abuse(gate, 9)
    passed(gate, request(11))
    violation = refused(gate, frame(RST_STREAM, 0, 11, CANCEL_PAYLOAD))
    assert (violation.code, violation.limit) == (ENHANCE_YOUR_CALM, "resets_before_response")


def test_empty_header_frames_count() -> None:
    """HEADERS without anything, that leaves all to CONTINUATION, is as empty as DATA without anything."""
    gate = started(empty_frames=2)
    for stream in (1, 3):
        passed(gate, frame(HEADERS, END_STREAM, stream) + frame(CONTINUATION, END_HEADERS, stream, block(GET)))
    assert refused(gate, frame(HEADERS, END_STREAM, 5)).limit == "empty_frames"


def test_empty_headers_are_counted_with_what_follows_them() -> None:
    """Empty frames of all kinds have one count."""
    gate = started(empty_frames=2)
    passed(gate, frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1))
    assert refused(gate, frame(CONTINUATION, 0, 1)).limit == "empty_frames"


@pytest.mark.parametrize("first", [0, 1, 3])
def test_a_client_opens_streams_with_odd_ids(first: int) -> None:
    """Whether it is the next id or not, and whatever came before."""
    for ahead in (1, 2, 3, 4, 5):
        gate = started()
        if first:
            passed(gate, request(first))
        stream = first + ahead
        if stream & 1:
            assert passed(gate, request(stream)) == request(stream)
        else:
            assert refused(gate, request(stream)).code == PROTOCOL_ERROR


def test_nobody_may_open_streams_towards_a_client() -> None:
    """Not with the usual flags of a request and the next id either."""
    gate = FrameGate(Limits(), server=False)
    assert passed(gate, settings()) == settings()
    gate.opened(1)
    assert refused(gate, request(3)).code == PROTOCOL_ERROR


def test_streams_that_wait_for_a_response_are_bounded() -> None:
    """A client may be ahead of what is told of its streams, but not by any number."""
    gate = started(concurrent_streams=1)
    for stream in range(1, 500, 2):
        _, violation = gate.feed(request(stream), 0.0)
        if violation is not None:
            assert (violation.code, violation.limit) == (ENHANCE_YOUR_CALM, "concurrent_streams")
            assert stream == 2 * 104 + 1  # 4 times as many as it may have open, and 100
            return
    pytest.fail("no bound")


def test_a_page_of_small_responses_is_one_share() -> None:
    """Servers send many heads ahead of the bodies; what is split is written to clients in more parts."""
    gate = FrameGate(Limits(), server=False)
    passed(gate, settings())
    streams = range(1, 2 * 106, 2)
    for stream in streams:
        gate.opened(stream)
    heads = b"".join(frame(HEADERS, END_HEADERS, stream, bytes([0x88] * 11)) for stream in streams)
    bodies = b"".join(frame(DATA, END_STREAM, stream, bytes(1024)) for stream in streams)
    page = (heads + bodies)[: 1 << 16]
    gate.feed(page, 0.0)
    assert not gate.pending


def test_small_frames_of_a_backend_are_shared_among_turns() -> None:
    """A backend that sends bodies byte by byte does not hold up the others."""
    gate = FrameGate(Limits(), server=False)
    passed(gate, settings())
    gate.opened(1)
    passed(gate, frame(HEADERS, END_HEADERS, 1, b"\x88"))
    assert len([passed(gate, frame(DATA, 0, 1, b"x") * 600), *rest_of(gate)]) == 4
