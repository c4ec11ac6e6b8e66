"""The response to one request."""

import pytest

from mcproxy.wire.http1 import (
    Bad,
    Data,
    End,
    Informational,
    Limits,
    Response,
    ResponseEvent,
    ResponseParser,
    Switched,
    Trailers,
)
from tests.support.rows import each_row
from tests.unit.wire.http1.drive import LIMITS, cut, read_response

OK = b"HTTP/1.1 200 OK\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def kinds(events: list[ResponseEvent]) -> list[str]:
    """Return the events' kinds, of `Bad` its reason."""
    return [event.reason if isinstance(event, Bad) else type(event).__name__ for event in events]


def head_of(data: bytes, method: bytes = b"GET") -> Response:
    """Return the head of the response in ``data``."""
    first = read_response([data], method)[0]
    assert isinstance(first, Response)
    return first


def test_response_is_told_whole() -> None:
    """Every part of a head arrives, then the body, then the end."""
    data = b"HTTP/1.1 404 Not  here\xe9\r\nX-A: \tb \r\nContent-Length: 03\r\n\r\nabc"
    assert read_response([data]) == [
        Response(404, b"Not  here\xe9", 1, [(b"x-a", b"b"), (b"content-length", b"3")], 3, True),
        Data(b"abc"),
        End(),
    ]


def test_chunked_response() -> None:
    """A chunked body has no length; its trailers follow the data."""
    data = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nGrpc-Status: 0\r\n\r\n"
    events = read_response([data])
    assert head_of(data).length is None
    assert events[1:] == [Data(b"abc"), Trailers([(b"grpc-status", b"0")]), End()]


def test_data_is_told_at_once() -> None:
    """A server-sent event is not held back for the next one."""
    parser = ResponseParser(b"GET", LIMITS)
    parser.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    assert parser.feed(b"7\r\ndata: 1\r\n") == [Data(b"data: 1")]
    assert parser.feed(b"7\r\ndata") == [Data(b"data")]


def test_body_that_the_connection_ends() -> None:
    """Without a length the end of the connection completes the body, and the connection cannot be used again."""
    parser = ResponseParser(b"GET", LIMITS)
    head, data = parser.feed(OK + b"\r\nabc")
    assert isinstance(head, Response)
    assert (head.length, head.keep_alive) == (None, False)
    assert data == Data(b"abc")
    assert parser.eof() == [End()]
    assert parser.eof() == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP",
        OK + b"A: b\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        OK + b"Content-Length: 3\r\n\r\nab",
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ],
)
def test_truncation_is_told(data: bytes) -> None:
    """A connection that ends before its response never makes a short body look complete."""
    events = read_response([data], eof=True)
    assert kinds(events)[-1] == "truncated"
    assert "End" not in kinds(events)


@pytest.mark.parametrize(
    ("method", "status", "lines"),
    [
        (b"HEAD", 200, b"Content-Length: 5\r\n"),
        (b"HEAD", 200, b"Transfer-Encoding: chunked\r\n"),
        (b"HEAD", 404, b""),
        (b"GET", 204, b""),
        (b"GET", 204, b"Content-Length: 5\r\n"),
        (b"GET", 304, b"Content-Length: 5\r\n"),
        (b"GET", 304, b""),
        (b"GET", 200, b"Content-Length: 0\r\n"),
    ],
)
def test_responses_without_body(method: bytes, status: int, lines: bytes) -> None:
    """They end with their head, and a byte behind it is an error of the connection."""
    data = b"HTTP/1.1 %d \r\n%b\r\n" % (status, lines)
    parser = ResponseParser(method, LIMITS)
    head, end = parser.feed(data)
    assert isinstance(head, Response)
    assert (head.length, head.keep_alive, end) == (0, True, End())
    done = [parser.done]
    assert kinds(parser.feed(b"x")) == ["excess"]
    assert [*done, parser.done] == [True, False]
    assert kinds(read_response([data + b"x"], method)) == ["Response", "End", "excess"]


def test_length_is_kept_where_there_is_no_body() -> None:
    """HEAD and 304 describe the body that GET would have; 204 describes none."""
    length = (b"content-length", b"5")
    assert length in head_of(OK + b"Content-Length: 5\r\n\r\n", b"HEAD").headers
    assert length in head_of(b"HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n").headers
    assert head_of(b"HTTP/1.1 204 \r\nContent-Length: 5\r\n\r\n").headers == []


def test_excess_behind_a_body() -> None:
    """Bytes behind a complete body belong to no request; the response itself is good."""
    data = OK + b"Content-Length: 3\r\n\r\nabcd"
    assert kinds(read_response([data])) == ["Response", "Data", "End", "excess"]
    data = OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + OK
    assert kinds(read_response([data])) == ["Response", "End", "excess"]


def test_informational_responses() -> None:
    """Interim responses are told one by one before the final one, without framing fields."""
    data = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 3\r\n\r\n"
        + OK
        + b"Content-Length: 0\r\n\r\n"
    )
    events = read_response([data])
    assert events[:2] == [Informational(100, []), Informational(103, [(b"link", b"</a>")])]
    assert kinds(events[2:]) == ["Response", "End"]
    assert read_response(cut(data, range(len(data)))) == events


def test_endless_informational_responses_are_refused() -> None:
    """A backend that never comes to a final response is at fault."""
    assert kinds(read_response([b"HTTP/1.1 102 \r\n\r\n" * 101]))[-1] == "informational"


def test_switch_to_websocket() -> None:
    """A granted upgrade ends HTTP; the bytes behind it are the tunnel's."""
    parser = ResponseParser(b"GET", LIMITS, websocket=True)
    (event,) = parser.feed(SWITCH + b"\x81")
    assert isinstance(event, Switched)
    assert parser.feed(b"\x00") == []
    assert parser.release() == b"\x81\x00"
    assert parser.feed(b"\x00") == []


def test_refused_websocket_is_a_response() -> None:
    """A backend may answer an upgrade with anything else, and HTTP goes on."""
    data = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"
    assert kinds(read_response([data], websocket=True)) == ["Response", "Data", "End"]
    parser = ResponseParser(b"GET", LIMITS, websocket=True)
    with pytest.raises(RuntimeError, match="not switched"):
        parser.release()


def test_wrong_switch_is_refused() -> None:
    """101 that was not asked for, or to something else, is an error."""
    assert kinds(read_response([SWITCH])) == ["bad_upgrade"]
    assert kinds(read_response([SWITCH.replace(b"websocket", b"h2c")], websocket=True)) == ["bad_upgrade"]
    assert isinstance(read_response([SWITCH.replace(b"Connection: Upgrade\r\n", b"")], websocket=True)[0], Bad)


@each_row(
    "head",
    [
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 1000 OK\r\n\r\n",
        b"HTTP/1.1\t200 OK\r\n\r\n",
        b"HTTP /1.1 200 OK\r\n\r\n",
        b" HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
    ],
)
def test_bad_status_lines(head: bytes) -> None:
    """A start line that is not one is refused, before the head ends where it can be."""
    (event,) = read_response([head])
    assert isinstance(event, Bad)
    assert (event.status, event.reason) == (502, "bad_status_line")


@each_row(
    ("lines", "reason"),
    [
        (b"A : b\r\n", "bad_header"),
        (b" folded: into the status line\r\n", "bad_header"),
        (b"A: b\rC: d\r\n", "bad_header"),
        (b"Content-Length: 1\r\n 2\r\n", "bad_header"),
        (b"Content-Length: 1\nContent-Length: 2\n", "bad_header"),
        (b"Content-Length: 3\nTransfer-Encoding: chunked\n", "bad_header"),
        (b"Transfer-Encoding: gzip,\r\n chunked\r\n", "bad_transfer_encoding"),
        (b"A: \x00\r\n", "bad_header"),
        (b"Content-Length: 1\r\nContent-Length: 1\r\n", "bad_header"),
        (b"Content-Length: x\r\n", "bad_header"),
        (b"Content-Length: 9999999999999999999\r\n", "bad_length"),
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "bad_header"),
        (b"Transfer-Encoding: gzip, chunked\r\n", "bad_transfer_encoding"),
        (b"Transfer-Encoding: gzip\r\n", "bad_transfer_encoding"),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", "bad_transfer_encoding"),
        (b"A: b\r\n" * 21, "header_count"),
        (b"A: " + b"b" * 2100 + b"\r\n", "header_bytes"),
    ],
)
def test_bad_heads(lines: bytes, reason: str) -> None:
    """The backend's fault is always 502."""
    (event,) = read_response([OK + lines + b"\r\n"])
    assert isinstance(event, Bad)
    assert (event.status, event.reason) == (502, reason)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\nA: b\nC: d e\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nA: b\nC: d e\r\nContent-Length: 2\n\r\nok",
        b"HTTP/1.1 200 OK\r\nA: b\r\nC: d e\r\nContent-Length: 2\r\n\nok",
        b"HTTP/1.1 200 OK\r\nA:\r\n b\r\nC: d\r\n\te\r\nContent-Length:\r\n  2\r\n\r\nok",
        b"HTTP/1.1 200 OK\nA: b\nC: d \n \t e\nContent-Length: 2\n\nok",
        b"HTTP/1.1  200   OK\r\nA: b\r\nC: d e\r\nContent-Length: 2\r\n\r\nok",
        b"\r\nHTTP/1.1 200 OK\r\nA: b\r\nC: d e\r\nContent-Length: 2\r\n\r\nok",
        b"\n\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nC: d e\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_heads_that_others_read_too(data: bytes) -> None:
    """Bare LF, folded fields, blanks and empty lines mean what they mean to everybody, however the bytes are cut."""
    for pieces in ([data], cut(data, range(1, len(data)))):
        head, body, end = read_response(pieces)
        assert isinstance(head, Response)
        assert (head.status, head.reason) == (200, b"OK")
        assert head.headers == [(b"a", b"b"), (b"c", b"d e"), (b"content-length", b"2")]
        assert (body, end) == (Data(b"ok"), End())


@pytest.mark.parametrize("status", [600, 720, 999])
def test_statuses_above_599(status: int) -> None:
    """They have no class (RFC 9110 section 15), and pass."""
    assert head_of(b"HTTP/1.1 %d Odd\r\nContent-Length: 0\r\n\r\n" % status).status == status


@pytest.mark.parametrize("size", [b"5   ", b"5\t", b"05 ;a=b", b"5 ; a = b ", b'5;a="b" '])
def test_padded_chunk_sizes(size: bytes) -> None:
    """Blanks behind a size are passed over, in one piece or many; in a request they are refused."""
    data = OK + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nhello\r\n0  \r\n\r\n"
    for pieces in ([data], cut(data, range(1, len(data)))):
        assert read_response(pieces)[1:] == [Data(b"hello"), End()]


@pytest.mark.parametrize("size", [b" 5", b"5 5", b"5 x", b"0x5", b"+5", b"5 \r", b"5\n"])
def test_sizes_that_could_be_read_in_two_ways(size: bytes) -> None:
    """They are refused in responses too."""
    data = OK + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nhello\r\n0\r\n\r\n"
    assert kinds(read_response([data]))[-1] == "bad_chunk"


@pytest.mark.parametrize(
    ("response", "detail"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", "its line too long, at byte 55"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", "longer than it says, at byte 53"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", "the end of the response, at byte 40"),
        (b"SSH-2.0-Open\x01SSH\r\n", "the status line is malformed: 'SSH-2.0-Open\\x01SSH'"),
    ],
)
def test_a_fault_is_told_with_its_place(response: bytes, detail: str) -> None:
    """However the bytes come: counted from the first one of the response."""
    for chunks in ([response], [response[at : at + 1] for at in range(len(response))]):
        event = read_response(chunks)[-1]
        assert isinstance(event, Bad)
        assert event.detail.endswith(detail)


def test_bad_chunk_in_a_response() -> None:
    """A malformed chunk is 502 too, behind the data before it."""
    events = read_response([OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n"])
    assert kinds(events) == ["Response", "Data", "bad_chunk"]
    assert isinstance(events[-1], Bad)
    assert events[-1].status == 502


@pytest.mark.parametrize(
    ("version", "lines", "expected"),
    [
        (b"HTTP/1.1", b"", True),
        (b"HTTP/1.1", b"Connection: close\r\n", False),
        (b"HTTP/1.1", b"Connection: upgrade, Close\r\n", False),
        (b"HTTP/1.0", b"", False),
        (b"HTTP/1.0", b"Connection: keep-alive\r\n", True),
    ],
)
def test_keep_alive(version: bytes, lines: bytes, expected: bool) -> None:  # noqa: FBT001 (parametrised)
    """The backend decides whether its connection is used again."""
    assert head_of(version + b" 200 OK\r\nContent-Length: 0\r\n" + lines + b"\r\n").keep_alive is expected


def test_transfer_encoding_on_http10_is_refused() -> None:
    """HTTP/1.0 has no transfer codings, from backends either."""
    data = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert kinds(read_response([data])) == ["bad_transfer_encoding"]


def test_limit_counts_each_head_by_itself() -> None:
    """Interim responses do not eat up the final one's limit."""
    parser = ResponseParser(b"GET", Limits(header_bytes=60, header_count=2))
    events = parser.feed(b"HTTP/1.1 102 Processing\r\n\r\n" * 5 + OK + b"Content-Length: 0\r\n\r\n")
    assert kinds(events) == ["Informational"] * 5 + ["Response", "End"]


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_one_call_reads_a_bounded_number_of_chunks(cut: int) -> None:
    """Thousands of chunks of one byte are read in several calls, with whatever comes meanwhile behind them."""
    parser = ResponseParser(b"GET", Limits())
    assert kinds(parser.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n")) == ["Response"]
    flood = b"".join(b"1\r\n%c\r\n" % (number % 256) for number in range(3000)) + b"0\r\n\r\n"
    seen = [parser.feed(flood[: len(flood) - cut])]
    seen.append(parser.feed(flood[len(flood) - cut :]))
    while parser.unfinished:
        seen.append(parser.feed(b""))
    pieces = [event.data for events in seen for event in events if isinstance(event, Data)]
    assert b"".join(pieces) == bytes(number % 256 for number in range(3000))
    assert max(map(len, pieces)) <= 400
    assert seen[-1][-1] == End()
    assert parser.done
