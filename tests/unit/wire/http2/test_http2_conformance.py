"""The server role against RFC 9113 and RFC 7541, section by section, with hand-made frames, for both engines.

``stream`` cases ask for a stream error and take a connection error with the same code for it (section 5.4.1 allows that);
``connection`` cases ask for GOAWAY; ``served`` cases ask that the connection goes on and answers.
"""

import pytest

from mcproxy.wire.http2 import (
    COMPRESSION_ERROR,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    Data,
    Fatal,
    Headers,
    Request,
    Reset,
)
from tests.unit.wire.http2.h2lab import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENGINES,
    GET,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    POST,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    RawClient,
    block,
    frame,
    reply,
    request,
    settings,
    uint32,
)

pytestmark = pytest.mark.parametrize("engine", ENGINES)

OPEN = request(1, POST, end=False)
CLOSED = request(1)
BIG = 2**31 - 1
PING_FRAME = frame(PING, 0, 0, b"question")


def without(name: bytes) -> Headers:
    return [field for field in GET if field[0] != name]


def replaced(name: bytes, value: bytes) -> Headers:
    return [(key, value if key == name else old) for key, old in GET]


def doubled(name: bytes) -> Headers:
    return [field for field in GET for _ in range(2 if field[0] == name else 1)]


def sized(length: int) -> bytes:
    return request(1, [*POST, (b"content-length", str(length).encode())], end=False)


def raw_headers(payload: bytes, stream: int = 1) -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, payload)


# (section and behaviour, bytes after the handshake, error codes)
CONNECTION = [
    ("4.2 oversized DATA", OPEN + frame(DATA, END_STREAM, 1, bytes(16_385)), {FRAME_SIZE_ERROR}),
    ("4.2 oversized HEADERS", frame(HEADERS, 5, 1, bytes(16_385)), {FRAME_SIZE_ERROR}),
    (
        "4.3 invalid header block",
        raw_headers(b"\x40\x01a\xff\xff\xff\xff\xff\xff\xff"),
        {COMPRESSION_ERROR, PROTOCOL_ERROR},
    ),
    (
        "4.3 PRIORITY inside a header block",
        frame(HEADERS, 1, 1, block(GET)) + frame(PRIORITY, 0, 1, bytes(5)),
        {PROTOCOL_ERROR},
    ),
    ("4.3 other HEADERS inside a header block", frame(HEADERS, 1, 1, block(GET)) + request(3), {PROTOCOL_ERROR}),
    ("5.1 idle DATA", frame(DATA, 1, 1, b"test"), {PROTOCOL_ERROR, STREAM_CLOSED}),
    ("5.1 idle RST_STREAM", frame(RST_STREAM, 0, 1, uint32(8)), {PROTOCOL_ERROR}),
    ("5.1 idle WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 1, uint32(100)), {PROTOCOL_ERROR}),
    ("5.1 idle CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, block(GET)), {PROTOCOL_ERROR}),
    ("5.1 closed DATA", CLOSED + frame(DATA, 1, 1, b"test"), {STREAM_CLOSED}),
    ("5.1 closed HEADERS", CLOSED + CLOSED, {STREAM_CLOSED}),
    ("5.1 closed CONTINUATION", CLOSED + frame(CONTINUATION, 4, 1, block(GET)), {STREAM_CLOSED, PROTOCOL_ERROR}),
    ("5.1.1 even stream id", request(2), {PROTOCOL_ERROR}),
    ("5.1.1 lower stream id", request(5) + request(3), {PROTOCOL_ERROR}),
    (
        "5.5 unknown frame inside a header block",
        frame(HEADERS, 1, 1, block(GET)) + frame(0xEE, 0, 0, b"x"),
        {PROTOCOL_ERROR},
    ),
    ("6.1 DATA on stream 0", frame(DATA, 1, 0, b"test"), {PROTOCOL_ERROR}),
    ("6.1 invalid pad length", OPEN + frame(DATA, END_STREAM | PADDED, 1, b"\x06Test"), {PROTOCOL_ERROR}),
    ("6.2 HEADERS on stream 0", request(0), {PROTOCOL_ERROR}),
    ("6.2 invalid pad length", frame(HEADERS, 5 | PADDED, 1, bytes((250,)) + block(GET)), {PROTOCOL_ERROR}),
    ("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, uint32(3) + b"\x00"), {PROTOCOL_ERROR}),
    ("6.4 RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, uint32(8)), {PROTOCOL_ERROR}),
    ("6.4 RST_STREAM of 3 bytes", OPEN + frame(RST_STREAM, 0, 1, bytes(3)), {FRAME_SIZE_ERROR}),
    ("6.5 ACK with payload", frame(SETTINGS, ACK, 0, bytes(1)), {FRAME_SIZE_ERROR}),
    ("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, bytes(6)), {PROTOCOL_ERROR}),
    ("6.5 SETTINGS of 3 bytes", frame(SETTINGS, 0, 0, bytes(3)), {FRAME_SIZE_ERROR}),
    ("6.5.2 ENABLE_PUSH 2", settings((2, 2)), {PROTOCOL_ERROR}),
    ("6.5.2 INITIAL_WINDOW_SIZE 2^31", settings((4, 2**31)), {FLOW_CONTROL_ERROR}),
    ("6.5.2 MAX_FRAME_SIZE below 2^14", settings((5, 16_383)), {PROTOCOL_ERROR}),
    ("6.5.2 MAX_FRAME_SIZE above 2^24-1", settings((5, 2**24)), {PROTOCOL_ERROR}),
    ("6.7 PING on a stream", frame(PING, 0, 1, bytes(8)), {PROTOCOL_ERROR}),
    ("6.7 PING of 6 bytes", frame(PING, 0, 0, bytes(6)), {FRAME_SIZE_ERROR}),
    ("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), {PROTOCOL_ERROR}),
    ("6.8 GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, bytes(7)), {FRAME_SIZE_ERROR}),
    ("6.9 increment 0", frame(WINDOW_UPDATE, 0, 0, uint32(0)), {PROTOCOL_ERROR}),
    ("6.9 WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, bytes(3)), {FRAME_SIZE_ERROR}),
    ("6.9.1 connection window above 2^31-1", frame(WINDOW_UPDATE, 0, 0, uint32(BIG)) * 2, {FLOW_CONTROL_ERROR}),
    (
        "6.9.2 window of an open stream above 2^31-1",
        request(1, POST, end=False) + frame(WINDOW_UPDATE, 0, 1, uint32(BIG - 65_535)) + settings((4, BIG)),
        {FLOW_CONTROL_ERROR},
    ),
    ("6.10 CONTINUATION on stream 0", frame(HEADERS, 1, 1, block(GET)) + frame(CONTINUATION, 4, 0), {PROTOCOL_ERROR}),
    ("6.10 CONTINUATION after END_HEADERS", OPEN + frame(CONTINUATION, 4, 1, block(GET)), {PROTOCOL_ERROR}),
    (
        "6.10 CONTINUATION after a last CONTINUATION",
        frame(HEADERS, 0, 1, block(POST))
        + frame(CONTINUATION, 4, 1)
        + frame(CONTINUATION, 4, 1, block([(b"x-a", b"1")])),
        {PROTOCOL_ERROR},
    ),
    ("6.10 CONTINUATION after DATA", OPEN + frame(DATA, 0, 1, b"test") + frame(CONTINUATION, 4, 1), {PROTOCOL_ERROR}),
    ("8.4 PUSH_PROMISE from a client", OPEN + frame(PUSH_PROMISE, 4, 1, uint32(3) + block(GET)), {PROTOCOL_ERROR}),
    ("HPACK 2.3.3 invalid index", raw_headers(b"\xc6"), {COMPRESSION_ERROR, PROTOCOL_ERROR}),
    ("HPACK 2.3.3 literal with invalid index", raw_headers(b"\x7f\x07\x01a"), {COMPRESSION_ERROR, PROTOCOL_ERROR}),
    ("HPACK 4.2 size update at the end", raw_headers(block(GET) + b"\x21"), {COMPRESSION_ERROR, PROTOCOL_ERROR}),
    (
        "HPACK 5.2 padding longer than 7 bits",
        raw_headers(block(GET) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
        {COMPRESSION_ERROR, PROTOCOL_ERROR},
    ),
    (
        "HPACK 5.2 padded by zero",
        raw_headers(block(GET) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
        {COMPRESSION_ERROR, PROTOCOL_ERROR},
    ),
    (
        "HPACK 5.2 EOS symbol",
        raw_headers(block(GET) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f"),
        {COMPRESSION_ERROR, PROTOCOL_ERROR},
    ),
    ("HPACK 6.1 index 0", raw_headers(b"\x80"), {COMPRESSION_ERROR, PROTOCOL_ERROR}),
    (
        "HPACK 6.3 size update above the setting",
        raw_headers(b"\x3f\xe2\x1f" + block(GET)),
        {COMPRESSION_ERROR, PROTOCOL_ERROR},
    ),
]

STREAM = [
    ("5.1 half-closed (remote) DATA", CLOSED + frame(DATA, 1, 1, b"test"), {STREAM_CLOSED}),
    ("5.1 half-closed (remote) HEADERS", CLOSED + CLOSED, {STREAM_CLOSED}),
    (
        "5.1 half-closed (remote) CONTINUATION",
        CLOSED + frame(CONTINUATION, 4, 1, block(GET)),
        {STREAM_CLOSED, PROTOCOL_ERROR},
    ),
    (
        "5.1 DATA after RST_STREAM",
        OPEN + frame(RST_STREAM, 0, 1, uint32(8)) + frame(DATA, 1, 1, b"test"),
        {STREAM_CLOSED},
    ),
    ("5.1 HEADERS after RST_STREAM", OPEN + frame(RST_STREAM, 0, 1, uint32(8)) + CLOSED, {STREAM_CLOSED}),
    (
        "5.1 CONTINUATION after RST_STREAM",
        OPEN + frame(RST_STREAM, 0, 1, uint32(8)) + frame(CONTINUATION, 4, 1, block([(b"x-a", b"1")])),
        {STREAM_CLOSED, PROTOCOL_ERROR},
    ),
    (
        "5.3.1 HEADERS that depends on itself",
        frame(HEADERS, 5 | HAS_PRIORITY, 1, uint32(1) + b"\xff" + block(GET)),
        {PROTOCOL_ERROR},
    ),
    ("5.3.1 PRIORITY that depends on itself", frame(PRIORITY, 0, 1, uint32(1) + b"\xff"), {PROTOCOL_ERROR}),
    ("6.1 DATA on a closed stream", CLOSED + frame(DATA, 1, 1, b"test"), {STREAM_CLOSED}),
    ("6.3 PRIORITY of 4 bytes", OPEN + frame(PRIORITY, 0, 1, bytes(4)), {FRAME_SIZE_ERROR}),
    ("6.9 increment 0 on a stream", OPEN + frame(WINDOW_UPDATE, 0, 1, uint32(0)), {PROTOCOL_ERROR}),
    ("6.9.1 stream window above 2^31-1", OPEN + frame(WINDOW_UPDATE, 0, 1, uint32(BIG)) * 2, {FLOW_CONTROL_ERROR}),
    ("8.1 second HEADERS without END_STREAM", OPEN + request(1, [(b"x-a", b"1")], end=False), {PROTOCOL_ERROR}),
    ("8.1.1 content-length above the body", sized(5) + frame(DATA, 1, 1, b"test"), {PROTOCOL_ERROR}),
    ("8.1.1 content-length below the body", sized(3) + frame(DATA, 1, 1, b"test"), {PROTOCOL_ERROR}),
    (
        "8.1.1 content-length above many DATA",
        sized(9) + frame(DATA, 0, 1, b"test") + frame(DATA, 1, 1, b"test"),
        {PROTOCOL_ERROR},
    ),
    (
        "8.1.1 content-length above a body with trailers",
        sized(5) + frame(DATA, 0, 1, b"test") + request(1, [(b"x-a", b"1")]),
        {PROTOCOL_ERROR},
    ),
    ("8.1.1 content-length without a body", request(1, [*GET, (b"content-length", b"1")]), {PROTOCOL_ERROR}),
    (
        "8.1.1 two content-lengths",
        request(1, [*POST, (b"content-length", b"4"), (b"content-length", b"5")], end=False),
        {PROTOCOL_ERROR},
    ),
    ("8.1.1 negative content-length", request(1, [*POST, (b"content-length", b"-1")], end=False), {PROTOCOL_ERROR}),
    ("8.2 upper case name", request(1, [*GET, (b"X-A", b"1")]), {PROTOCOL_ERROR}),
    ("8.2.1 name with a space", request(1, [*GET, (b"x a", b"1")]), {PROTOCOL_ERROR}),
    ("8.2.1 empty name", request(1, [*GET, (b"", b"1")]), {PROTOCOL_ERROR}),
    ("8.2.1 value with CRLF", request(1, [*GET, (b"x-a", b"1\r\nx-b: 2")]), {PROTOCOL_ERROR}),
    ("8.2.1 value with NUL", request(1, [*GET, (b"x-a", b"1\x002")]), {PROTOCOL_ERROR}),
    *(
        (f"8.2.2 connection-specific {name}", request(1, [*GET, (name.encode(), value)]), {PROTOCOL_ERROR})
        for name, value in (
            ("connection", b"keep-alive"),
            ("keep-alive", b"timeout=5"),
            ("proxy-connection", b"close"),
            ("transfer-encoding", b"chunked"),
            ("upgrade", b"websocket"),
            ("te", b"trailers, deflate"),
        )
    ),
    ("8.3 unknown pseudo-header field", request(1, [*GET, (b":test", b"ok")]), {PROTOCOL_ERROR}),
    ("8.3 response pseudo-header field", request(1, [*GET, (b":status", b"200")]), {PROTOCOL_ERROR}),
    ("8.3 pseudo-header field in trailers", OPEN + request(1, [(b":method", b"POST")]), {PROTOCOL_ERROR}),
    ("8.3 pseudo-header field after a regular one", request(1, [(b"x-a", b"1"), *GET]), {PROTOCOL_ERROR}),
    ("8.3.1 empty :path", request(1, replaced(b":path", b"")), {PROTOCOL_ERROR}),
    ("8.3.1 relative :path", request(1, replaced(b":path", b"index")), {PROTOCOL_ERROR}),
    ("8.3.1 :path with a space", request(1, replaced(b":path", b"/ HTTP/1.1")), {PROTOCOL_ERROR}),
    ("8.3.1 empty :method", request(1, replaced(b":method", b"")), {PROTOCOL_ERROR}),
    ("8.3.1 :method with a space", request(1, replaced(b":method", b"GET /")), {PROTOCOL_ERROR}),
    ("8.3.1 :authority with a space", request(1, replaced(b":authority", b"a b")), {PROTOCOL_ERROR}),
    *(
        (f"8.3.1 no {name.decode()}", request(1, without(name)), {PROTOCOL_ERROR})
        for name in (b":method", b":scheme", b":path")
    ),
    *((f"8.3.1 {name.decode()} twice", request(1, doubled(name)), {PROTOCOL_ERROR}) for name, _ in GET),
    ("8.3.1 host other than :authority", request(1, [*GET, (b"host", b"b.example")]), {PROTOCOL_ERROR}),
    ("8.3.1 two hosts", request(1, [*GET, (b"host", b"a.example"), (b"host", b"a.example")]), {PROTOCOL_ERROR}),
    ("8.5 CONNECT with :path", request(1, [(b":method", b"CONNECT"), *GET[1:]], end=False), {PROTOCOL_ERROR}),
    ("8.5 CONNECT without :authority", request(1, [(b":method", b"CONNECT")], end=False), {PROTOCOL_ERROR}),
    (
        "RFC 8441 :protocol unasked",
        request(1, [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]], end=False),
        {PROTOCOL_ERROR},
    ),
]

SERVED = [
    ("3.4 the handshake alone", b""),
    ("4.1 unknown frame type", frame(22, 0, 0, bytes(8))),
    ("4.1 undefined flag", frame(PING, 0x16, 0, bytes(8))),
    ("4.1 reserved bit", frame(PING, 0, 1 << 31, bytes(8))),
    ("4.2 DATA of 2^14 bytes", request(99, POST, end=False) + frame(DATA, END_STREAM, 99, bytes(16_384))),
    ("5.1 PRIORITY on an idle stream", frame(PRIORITY, 0, 99, uint32(0) + b"\xff")),
    ("5.1 WINDOW_UPDATE on a half-closed (remote) stream", request(99) + frame(WINDOW_UPDATE, 0, 99, uint32(100))),
    ("5.1 PRIORITY on a half-closed (remote) stream", request(99) + frame(PRIORITY, 0, 99, uint32(0) + b"\xff")),
    ("5.1 RST_STREAM on a half-closed (remote) stream", request(99) + frame(RST_STREAM, 0, 99, uint32(8))),
    ("5.1 RST_STREAM on an open stream", request(99, POST, end=False) + frame(RST_STREAM, 0, 99, uint32(8))),
    ("5.3 PRIORITY on another stream", frame(PRIORITY, 0, 105, uint32(0x80000063) + b"\x10")),
    ("5.5 unknown frame on a stream", frame(0xEE, 0, 99, b"x")),
    (
        "6.1 DATA in parts, padded",
        request(99, POST, end=False) + frame(DATA, 0, 99, b"te") + frame(DATA, 9, 99, b"\x03st\0\0\0"),
    ),
    (
        "6.2 HEADERS padded, with priority",
        frame(HEADERS, 5 | PADDED | HAS_PRIORITY, 99, b"\x02" + uint32(0) + b"\x10" + block(GET) + b"\0\0"),
    ),
    ("6.4 unknown error code", request(99) + frame(RST_STREAM, 0, 99, uint32(0xFF))),
    ("6.5.2 unknown setting", settings((0xFF, 1))),
    ("6.5.3 a setting twice", settings((4, 100), (4, 65_535))),
    ("6.7 PING with ACK", frame(PING, ACK, 0, b"invalid.")),
    ("6.8 GOAWAY with an unknown code", frame(GOAWAY, 0, 0, uint32(0) + uint32(0xFF))),
    ("6.9 window of the connection", frame(WINDOW_UPDATE, 0, 0, uint32(1))),
    (
        "6.10 many CONTINUATION frames",
        frame(HEADERS, 1, 99, block(GET))
        + frame(CONTINUATION, 0, 99, block([(b"x-a", b"1")])) * 5
        + frame(CONTINUATION, 4, 99),
    ),
    (
        "8.1 POST with trailers",
        request(99, POST, end=False) + frame(DATA, 0, 99, b"test") + request(99, [(b"x-a", b"1")]),
    ),
    ("8.1 HEAD", request(99, replaced(b":method", b"HEAD"))),
    ("8.2.2 te: trailers", request(99, [*GET, (b"te", b"trailers")])),
    ("8.3.1 host equal to :authority", request(99, [*GET, (b"host", b"A.example")])),
    (
        "8.3.1 OPTIONS *",
        request(
            99, [(b":method", b"OPTIONS"), (b":scheme", b"https"), (b":path", b"*"), (b":authority", b"a.example")]
        ),
    ),
    ("8.3.1 host alone", request(99, [*without(b":authority"), (b"host", b"a.example")])),
    ("HPACK 6.1 indexed fields", raw_headers(b"\x82\x87\x84\x41\x09a.example", 99)),
    ("HPACK 6.2.1 literal with indexing", raw_headers(block(GET) + b"\x40\x03x-a\x011\xbe", 99)),
    (
        "HPACK 6.2.1 Huffman coded",
        raw_headers(b"\x82\x87\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", 99),
    ),
    ("HPACK 6.2.3 never indexed", raw_headers(block(GET) + b"\x10\x03x-a\x011", 99)),
    ("HPACK 6.3 size updates", raw_headers(b"\x20\x3f\xe1\x1f" + block(GET), 99)),
]


@pytest.mark.parametrize(("data", "codes"), [case[1:] for case in CONNECTION], ids=[case[0] for case in CONNECTION])
def test_connection_errors(engine: str, data: bytes, codes: set[int]) -> None:
    """A violation of the connection's rules, at once or frame by frame, ends it with one GOAWAY that carries the right code."""
    for parts in ([data], _frames(data)):
        client = RawClient(engine, answer=reply)
        for part in parts:
            client.send(part)
        fatal = client.fatal()
        assert fatal is not None
        assert fatal.code in codes
        assert fatal is client.events[-1]
        [goaway] = client.found(GOAWAY)
        assert goaway is client.frames[-1]
        assert goaway.code == fatal.code
        assert client.engine.closed
        assert client.send(request(99)) == []


@pytest.mark.parametrize(("data", "codes"), [case[1:] for case in STREAM], ids=[case[0] for case in STREAM])
def test_stream_errors(engine: str, data: bytes, codes: set[int]) -> None:
    """A malformed message resets its stream (or the connection), with the right code, and is never told as complete."""
    for parts in ([data], _frames(data)):
        client = RawClient(engine, answer=reply)
        for part in parts:
            client.send(part)
        fatal = client.fatal()
        if fatal is not None:
            assert fatal.code in codes
            assert client.found(GOAWAY)
        else:
            assert [each.code in codes for each in client.found(RST_STREAM, 1)] == [True]
            client.send(request(99))
            assert client.found(HEADERS, 99)


@pytest.mark.parametrize("data", [case[1] for case in SERVED], ids=[case[0] for case in SERVED])
def test_served(engine: str, data: bytes) -> None:
    """What the protocol allows does no harm: requests and PINGs after it are answered."""
    client = RawClient(engine, answer=reply)
    client.send(data)
    client.send(request(101) + PING_FRAME)
    assert client.fatal() is None
    assert client.found(HEADERS, 101)
    assert [each.payload for each in client.found(DATA, 101)] == [b"data"]
    assert (PING, ACK, 0, b"question") in client.frames


def test_preface_first(engine: str) -> None:
    """3.4: bytes that are no preface end the connection before anything is parsed."""
    client = RawClient(engine, handshake=False)
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    assert client.found(SETTINGS)
    assert client.found(GOAWAY)[0].code == PROTOCOL_ERROR


@pytest.mark.parametrize("first", [PING_FRAME, frame(SETTINGS, ACK, 0), request(1)])
def test_settings_first(engine: str, first: bytes) -> None:
    """3.4: the first frame after the preface must be SETTINGS."""
    client = RawClient(engine, handshake=False)
    client.send(PREFACE + first)
    assert client.found(GOAWAY)[0].code == PROTOCOL_ERROR
    assert not any(isinstance(event, Request) for event in client.events)


def test_settings_are_acknowledged(engine: str) -> None:
    """6.5.3: SETTINGS are acknowledged at once, our own announce the limits."""
    client = RawClient(engine, handshake=False, header_bytes=1000, concurrent_streams=7, stream_window=70_000)
    client.send(PREFACE + settings())
    own, *_, ack = client.found(SETTINGS)
    announced = {
        int.from_bytes(own.payload[i : i + 2], "big"): int.from_bytes(own.payload[i + 2 : i + 6], "big")
        for i in range(0, len(own.payload), 6)
    }
    assert announced == {3: 7, 4: 70_000, 6: 1000}
    assert (ack.flags, ack.payload) == (ACK, b"")


def test_initial_window_of_one(engine: str) -> None:
    """6.9.2: a window of one byte lets one byte go, and a later change of the setting lets the rest go."""
    client = RawClient(engine, answer=reply)
    client.send(settings((4, 1)) + request(1))
    assert [each.payload for each in client.found(DATA, 1)] == [b"d"]
    client.send(settings((4, 3)))
    client.send(frame(WINDOW_UPDATE, 0, 1, uint32(1)))
    assert b"".join(each.payload for each in client.found(DATA, 1)) == b"data"


def test_negative_window(engine: str) -> None:
    """6.9.2: a window that a setting made negative must grow above 0 before a byte goes."""
    client = RawClient(engine, answer=reply)
    client.send(settings((4, 3)) + request(1))
    client.send(settings((4, 2)))
    client.send(frame(WINDOW_UPDATE, 0, 1, uint32(1)))
    assert [each.payload for each in client.found(DATA, 1)] == [b"dat"]
    client.send(frame(WINDOW_UPDATE, 0, 1, uint32(1)))
    assert [each.payload for each in client.found(DATA, 1)] == [b"dat", b"a"]


@pytest.mark.parametrize("chunk", [1, 10, 1 << 20])
def test_largest_window_of_a_stream(engine: str, chunk: int) -> None:
    """6.9.1: a window of 2^31-1 is allowed; one byte more ends that stream, told once, and no other."""
    client = RawClient(engine)
    sent = request(1, POST, end=False) + request(3, POST, end=False)
    sent += b"".join(frame(WINDOW_UPDATE, 0, stream, uint32(BIG - 65_535)) for stream in (1, 3))
    sent += frame(WINDOW_UPDATE, 0, 1, uint32(BIG)) * 2 + frame(DATA, END_STREAM, 1, b"late")
    sent += frame(DATA, END_STREAM, 3, b"data") + PING_FRAME
    for start in range(0, len(sent), chunk):
        client.send(sent[start : start + chunk])
    resets = client.found(RST_STREAM)
    assert resets[0].code == FLOW_CONTROL_ERROR
    assert {each.stream for each in resets} == {1}  # h2 answers what comes late with another
    assert [event for event in client.events if isinstance(event, Reset | Fatal | Data)] == [
        Reset(1, FLOW_CONTROL_ERROR, remote=False),
        Data(3, b"data", True),
    ]
    assert not client.found(GOAWAY)
    assert client.found(PING)


def test_concurrent_streams(engine: str) -> None:
    """5.1.2: a request above the announced limit is refused and never told."""
    client = RawClient(engine, concurrent_streams=2)
    client.send(b"".join(request(stream) for stream in (1, 3, 5)))
    assert [event.stream for event in client.events if isinstance(event, Request)] == [1, 3]
    fatal = client.fatal()
    if fatal is None:
        assert [each.code for each in client.found(RST_STREAM, 5)] == [REFUSED_STREAM]
    else:
        assert fatal.code == PROTOCOL_ERROR


def test_data_flow_control(engine: str) -> None:
    """6.9: a peer that sends more than the stream's window is in error."""
    client = RawClient(engine, stream_window=65_535)
    client.send(request(1, POST, end=False) + frame(DATA, 0, 1, bytes(16_384)) * 4)
    fatal = client.fatal()
    assert isinstance(fatal, Fatal) or client.found(RST_STREAM, 1)
    assert (fatal.code if fatal else client.found(RST_STREAM, 1)[0].code) == FLOW_CONTROL_ERROR


def _frames(data: bytes) -> list[bytes]:
    """Cut bytes into frames."""
    parts = []
    while data:
        end = 9 + int.from_bytes(data[:3], "big")
        parts.append(data[:end])
        data = data[end:]
    return parts
