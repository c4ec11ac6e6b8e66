"""HTTP/1.1 whatever the bytes are, and however they are cut."""

from http import HTTPStatus
from typing import Any

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcproxy.wire.http1 import (
    Bad,
    Data,
    End,
    Headers,
    Limits,
    Request,
    RequestParser,
    Response,
    ResponseParser,
    Trailers,
    UnsendableError,
    last_chunk,
    request_head,
    response_head,
)
from mcproxy.wire.http1.body_framing import Framing, framed
from mcproxy.wire.http1.fields import FieldError, response_fields
from mcproxy.wire.http1.lenient import head_end, status_line, strict_fields
from tests.support.examples import examples
from tests.unit.wire.http1.drive import (
    LIMITS,
    cut,
    forwarded,
    merged,
    messages,
    outcome,
    read_requests,
    read_response,
    smuggling_shapes,
)

SETTINGS = examples(100)

TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
FRAMING = ("host", "connection", "upgrade", "expect", "te", "trailer", "keep-alive", "proxy-connection")
NAMES = (
    st.text(TOKEN, min_size=1, max_size=12)
    .filter(lambda name: name not in FRAMING and name.replace("_", "-") not in ("content-length", "transfer-encoding"))
    .map(str.encode)
)
VALUES = st.binary(max_size=20).map(
    lambda value: bytes(byte for byte in value if byte == 9 or (byte >= 32 and byte != 127)).strip(b" \t")
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
TARGETS = st.text([chr(code) for code in range(0x21, 0x7F) if code != 0x23], max_size=20).map(
    lambda text: b"/" + text.encode()
)
BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=4)
CUTS = st.lists(st.integers(0, 600), max_size=12)
FRAGMENTS = st.sampled_from(
    [
        b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"GET / HTTP/1.1\r\n", b"POST /a HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n",
        b"FOO / HTTP/1.1\r\n", b"GET / HTTP/3.0\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 \r\n", b"HTTP/1.0 304\r\n",
        b"Host: a\r\n", b"Host: b:1\r\n", b"Content-Length: 3\r\n", b"Content-Length: 00\r\n", b"X: y\r\n", b"X : y\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n", b"Connection: close, upgrade\r\n",
        b"Upgrade: websocket\r\n", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", b"Expect: 100-continue\r\n",
        b" fold\r\n", b"content_length: 1\r\n", b"3\r\nabc\r\n", b'3;e="q"\r\nabc\r\n', b"0\r\n", b"0\r\n\r\n", b"5\r\nab",
        b"ffffffffffffffff\r\n", b"X: " + b"y" * 700 + b"\r\n", b"\x00", b"\xff", b"abc",
    ]
)  # fmt: skip
SHAPES = [shape.data for shape in smuggling_shapes() if len(shape.data) < 500]


@st.composite
def soups(draw: st.DrawFn) -> bytes:
    """Bytes that get deep: fragments of HTTP, or a smuggling shape, with a mutation here and there."""
    data = bytearray(
        draw(st.one_of(st.lists(FRAGMENTS, max_size=14).map(b"".join), st.sampled_from(SHAPES), st.binary(max_size=80)))
    )
    for _ in range(draw(st.integers(0, 2))):
        offset = draw(st.integers(0, len(data)))
        data[offset : offset + draw(st.integers(0, 2))] = draw(FRAGMENTS)
    return bytes(data)


@SETTINGS
@given(soups(), CUTS)
def test_requests_are_the_same_however_cut(data: bytes, cuts: list[int]) -> None:
    """The events of a connection do not depend on its segments, but for how data is divided; nothing is raised."""
    assert comparable(read_requests(cut(data, cuts))) == comparable(read_requests([data]))


@SETTINGS
@given(data=soups(), cuts=CUTS, method=st.sampled_from([b"GET", b"HEAD"]), websocket=st.booleans(), eof=st.booleans())
@example(data=b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", cuts=[42], method=b"GET", websocket=False, eof=False)
def test_responses_are_the_same_however_cut(
    *, data: bytes, cuts: list[int], method: bytes, websocket: bool, eof: bool
) -> None:
    """The events of a response do not depend on its segments; nothing is raised."""
    whole = read_response([data], method, websocket=websocket, eof=eof)
    assert comparable(read_response(cut(data, cuts), method, websocket=websocket, eof=eof)) == comparable(whole)
    heads = [index for index, event in enumerate(whole) if isinstance(event, Response)]
    ends = [index for index, event in enumerate(whole) if isinstance(event, End)]
    assert len(ends) <= len(heads) <= 1


@SETTINGS
@given(soups(), st.binary(max_size=20))
def test_bad_is_the_last_event(data: bytes, more: bytes) -> None:
    """Whatever follows `Bad` is ignored, and it ends the list that has it."""
    parser = RequestParser(LIMITS)
    events = parser.feed(data)
    assert not any(isinstance(event, Bad) for event in events[:-1])
    if events and isinstance(events[-1], Bad):
        assert parser.feed(more) == []
        assert parser.pending == 0
        assert parser.eof() == []


@SETTINGS
@given(soups())
def test_little_is_kept(data: bytes) -> None:
    """Before the end of a message no more than one section is kept, whatever is sent."""
    parser = RequestParser(LIMITS)
    for piece in cut(data, range(0, len(data), 7)):
        if any(isinstance(event, End) for event in parser.feed(piece)):
            return
        assert parser.pending <= LIMITS.header_bytes


class Witness:
    """llhttp's own reading of a connection."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.complete = 0

    def on_message_begin(self) -> None:
        self.bodies.append(b"")

    def on_body(self, data: bytes) -> None:
        self.bodies[-1] += data

    def on_message_complete(self) -> None:
        self.complete += 1


@SETTINGS
@given(soups())
def test_forwarded_requests_have_one_reading(data: bytes) -> None:
    """Every complete request, written for a backend, is one message of the same body to llhttp's own framing."""
    for message in messages(read_requests([data])):
        if message.complete:
            witness = Witness()
            try:
                httptools.HttpRequestParser(witness).feed_data(forwarded(message))
            except httptools.HttpParserUpgrade:
                assert message.request.websocket
            assert (witness.complete, witness.bodies) == (1, [message.body])


@SETTINGS
@given(
    method=st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True).filter(
        lambda method: method != b"CONNECT"
    ),
    target=TARGETS,
    fields=FIELDS,
    body=BODIES,
    trailers=FIELDS,
    chunked=st.booleans(),
    cuts=CUTS,
)
def test_request_round_trip(
    *,
    method: bytes,
    target: bytes,
    fields: Headers,
    body: list[bytes],
    trailers: Headers,
    chunked: bool,
    cuts: list[int],
) -> None:
    """What is serialised is parsed to the same, and a second request behind it too."""
    headers = [(b"host", b"a.example:8443"), *fields]
    whole = b"".join(body)
    if chunked:
        data = request_head(method, target, headers, chunked=True)
        data += b"".join(framed(Framing.CHUNKED, piece, end=False) for piece in body) + last_chunk(trailers)
        headers.append((b"transfer-encoding", b"chunked"))
    else:
        headers.append((b"content-length", b"%d" % len(whole)))
        data = request_head(method, target, headers) + whole
    expected: list[Any] = [
        Request(
            method=method,
            target=target,
            minor=1,
            headers=headers,
            host=b"a.example:8443",
            length=None if chunked else len(whole),
            keep_alive=True,
            expect_continue=False,
            websocket=False,
        )
    ]
    expected += [Data(whole)] if whole else []
    expected += [Trailers(trailers)] if chunked and trailers else []
    expected += [End()]
    assert read_requests(cut(data + data, cuts)) == expected * 2


@SETTINGS
@given(
    status=st.integers(200, 599),
    fields=FIELDS,
    body=BODIES,
    trailers=FIELDS,
    framing=st.sampled_from(["length", "chunked", "close"]),
    cuts=CUTS,
)
def test_response_round_trip(
    *, status: int, fields: Headers, body: list[bytes], trailers: Headers, framing: str, cuts: list[int]
) -> None:
    """What is serialised is parsed to the same, whichever way its body ends."""
    whole = b"".join(body)
    length = [(b"content-length", b"%d" % len(whole))] if framing == "length" else []
    data = response_head(
        status,
        fields + length,
        chunked=framing == "chunked",
        connection=b"close" if framing == "close" else b"",
    )
    content = whole
    if status in (204, 304):
        content = b""
    elif framing == "chunked":
        content = b"".join(framed(Framing.CHUNKED, piece, end=False) for piece in body) + last_chunk(trailers)
    events = read_response(cut(data + content, cuts), eof=framing == "close")
    head = events[0]
    assert isinstance(head, Response)
    assert (head.status, head.headers[: len(fields)]) == (status, fields)
    expected: list[Any] = [head]
    if content:
        expected += [Data(whole)] if whole else []
        expected += [Trailers(trailers)] if framing == "chunked" and trailers else []
    assert events == [*expected, End()]


@SETTINGS
@given(st.binary(max_size=12), st.binary(max_size=12), st.binary(max_size=6), st.binary(max_size=6))
def test_no_field_breaks_out(method: bytes, target: bytes, name: bytes, value: bytes) -> None:
    """Whatever bytes are to be sent, they are refused or come back as they are, as one request."""
    headers = [(b"host", b"a"), (name, value)]
    try:
        data = request_head(method, target, headers)
    except UnsendableError:
        return
    assert data.count(b"\n") == 4 + (name == b"te")  # and its connection option
    assert data.startswith(b"%b %b HTTP/1.1\r\nhost: a\r\n%b: %b\r\n" % (method, target, name, value))


def comparable(events: list[Any]) -> list[Any]:
    """Return the events without the operator's detail, which may name the first of several faults."""
    return [(event.status, event.reason) if isinstance(event, Bad) else event for event in events]


def test_soups_reach_every_outcome() -> None:
    """The fragments above suffice for requests that are served, wait, and are refused."""
    get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert [outcome(read_requests([data])) for data in (get, get[:-1], b" fold" + get, get * 2)] == [
        "clean",
        "waiting",
        "rejected",
        "two",
    ]
    parser = ResponseParser(b"GET", Limits())
    assert merged(parser.feed(b"HTTP/1.1 200 OK\r\n" + b"Content-Length: 3\r\n\r\nabc"))[-1] == End()


HEAD_PARTS = st.lists(
    st.sampled_from(
        [
            b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b" ", b"\t", b"A: b", b"B:c", b"C : d", b"content-length: 3",
            b"transfer-encoding: chunked", b"connection: upgrade", b"upgrade: x", b"\0", b"\x80", b":",
        ]
    ),
    max_size=14,
)  # fmt: skip
STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200\r\n", b"HTTP/1.1 101 x\r\n", b"HTTP/1.1 204 \r\n", b"HTTP/1.1  200 OK\n"]
)


@examples(500)
@given(start=STATUS_LINES, parts=HEAD_PARTS)
@example(start=b"HTTP/1.1 200 OK\r\n", parts=[b"A: b", b"\n\n", b"\r\n\r\n"])
@example(start=b"HTTP/1.1 200 OK\r\n", parts=[b"A: b", b"\r\n", b" ", b"B:c", b"\r\n\r\n"])
@example(start=b"HTTP/1.1  200 OK\n", parts=[b"A: b", b"\r\n\r\n"])
def test_what_is_read_strictly_would_be_read_leniently_alike(start: bytes, parts: list[bytes]) -> None:
    """Every head that is read leniently is refused by llhttp, so one that it takes as it is needs no second look."""
    head = start + b"".join(parts) + b"\r\n\r\n"
    head = head[: head.find(b"\r\n\r\n") + 4]
    try:
        strictly = response_fields(head)
    except FieldError:
        return
    assert head_end(head, 0, len(head)) == len(head)
    *_, behind = status_line(head)
    assert strict_fields(head, behind).endswith(head[behind:])
    assert response_fields(strict_fields(head, behind)) == strictly


@pytest.mark.parametrize("status", [*HTTPStatus])
def test_usual_status_lines(status: HTTPStatus) -> None:
    """A status line is read alike whether it is one of those that are looked up or not."""
    phrase = status.phrase.encode()
    usual = b"HTTP/1.1 %d %b\r\n" % (status, phrase)
    assert status_line(usual + b"A: b\r\n\r\n") == (1, status, phrase, len(usual))
    assert status_line(b"HTTP/1.1 %d  %b\n\r\n" % (status, phrase)) == (1, status, phrase, len(usual))
