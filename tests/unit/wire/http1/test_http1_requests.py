"""The requests of one client connection."""

from typing import Any

import pytest

from mcproxy.wire.http1 import Bad, Data, End, Limits, Request, RequestParser, Trailers, known_fields
from tests.support.rows import each_row
from tests.unit.wire.http1.drive import LIMITS, cut, read_requests

GET = b"GET /a?b HTTP/1.1\r\nHost: a.example\r\n\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n" + KEY


def one(data: bytes) -> Request:
    """Return the one complete request in ``data``."""
    first, *middle, last = read_requests([data])
    assert isinstance(first, Request)
    assert all(isinstance(event, Data | Trailers) for event in middle)
    assert isinstance(last, End)
    return first


def get(*lines: str, version: str = "HTTP/1.1", method: str = "GET", target: str = "/") -> bytes:
    """Return a request with these header lines, on 1.1 with a Host unless there is one."""
    host = [] if version == "HTTP/1.0" or any(line.lower().startswith("host") for line in lines) else ["Host: a"]
    return "\r\n".join([f"{method} {target} {version}", *host, *lines, "", ""]).encode("latin-1")


def refusal(data: bytes) -> tuple[int, str]:
    """Return status and reason with which ``data`` is refused."""
    last = read_requests([data])[-1]
    assert isinstance(last, Bad)
    return last.status, last.reason


def test_request_is_told_whole() -> None:
    """Every part of a head arrives; names are in lower case, values without surrounding whitespace."""
    data = b"PUT /p HTTP/1.1\r\nHost: A.example:8443\r\nX-Two: \t a b \t\r\nX-Empty:\r\nx-two:c\r\nContent-Length: 2\r\n\r\nok"
    assert read_requests([data]) == [
        Request(
            method=b"PUT",
            target=b"/p",
            minor=1,
            headers=[
                (b"host", b"A.example:8443"),
                (b"x-two", b"a b"),
                (b"x-empty", b""),
                (b"x-two", b"c"),
                (b"content-length", b"2"),
            ],
            host=b"A.example:8443",
            length=2,
            keep_alive=True,
            expect_continue=False,
            websocket=False,
        ),
        Data(b"ok"),
        End(),
    ]


def test_incomplete_head_is_no_event() -> None:
    """Need-more is an empty list, until the very last byte of the head."""
    parser = RequestParser(LIMITS)
    assert [parser.feed(GET[at : at + 1]) for at in range(len(GET) - 1)] == [[]] * (len(GET) - 1)
    assert not parser.idle
    assert len(parser.feed(GET[-1:])) == 2


def test_parsing_stops_behind_a_message() -> None:
    """Pipelined requests are kept unparsed until the one before is answered."""
    parser = RequestParser(LIMITS)
    assert len(parser.feed(GET + GET + GET[:7])) == 2
    assert parser.feed(GET[7:]) == []
    assert parser.pending == 2 * len(GET)
    assert len(parser.resume()) == 2
    assert len(parser.resume()) == 2
    assert parser.resume() == []
    assert parser.idle


def test_error_behind_a_good_request_waits_for_its_turn() -> None:
    """A malformed pipelined request is told only after the good one is answered."""
    parser = RequestParser(LIMITS)
    assert [type(event) for event in parser.feed(GET + b"nonsense\r\n")] == [Request, End]
    assert [type(event) for event in parser.resume()] == [Bad]


def test_resume_within_a_request_is_misuse() -> None:
    """Going on before the end of a message is an error of the caller."""
    parser = RequestParser(LIMITS)
    parser.feed(GET[:-1])
    with pytest.raises(RuntimeError, match="not ended"):
        parser.resume()
    with pytest.raises(RuntimeError, match="not ended"):
        parser.release()


def test_nothing_behind_close_is_processed() -> None:
    """What follows a request with "close" is dropped."""
    parser = RequestParser(LIMITS)
    parser.feed(get("Connection: close") + GET)
    assert parser.resume() == []
    assert parser.feed(GET) == []


def test_body_is_streamed() -> None:
    """Body bytes are told as they come, not when all are there."""
    parser = RequestParser(LIMITS)
    parser.feed(get("Content-Length: 5", method="POST"))
    assert parser.feed(b"ab") == [Data(b"ab")]
    assert parser.feed(b"cde" + GET) == [Data(b"cde"), End()]
    assert parser.pending == len(GET)


def test_chunked_body_and_trailers() -> None:
    """Chunks lose their framing and their extensions; trailers come behind the data."""
    data = get("Transfer-Encoding: Chunked", method="POST") + (
        b'3;a=b;c="d;\\""\r\nabc\r\n00A\r\n0123456789\r\n0;last\r\nX-Sum: 9\r\nGrpc-Status: 0\r\n\r\n'
    )
    events = read_requests([data])
    assert events[1:] == [
        Data(b"abc0123456789"),
        Trailers([(b"x-sum", b"9"), (b"grpc-status", b"0")]),
        End(),
    ]
    assert read_requests(cut(data, range(len(data)))) == events


@pytest.mark.parametrize(
    "line",
    [
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Host: a",
        "Transfer_Encoding: chunked",
        "content_length: 0",
        "Content.Length: 0",
    ],
)
def test_trailers_that_frame_or_route_are_refused(line: str) -> None:
    """A trailer cannot change the length or the authority of what somebody behind us has read already."""
    data = get("Transfer-Encoding: chunked", method="POST") + f"0\r\nA: b\r\n{line}\r\n\r\n".encode()
    assert refusal(data)[0] == 400


@each_row(
    "tail",
    [
        b"0x3\r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b"3 \r\nabc\r\n",
        b" 3\r\nabc\r\n",
        b"\r\n",
        b"g\r\n",
        b";a\r\n",
        b"3\nabc\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"3;\r\nabc\r\n",
        b"3;a=\x01\r\nabc\r\n",
        b"3;a\rb\r\nabc\r\n",
        b"1000000000000000\r\n",
        b"3;" + b"a" * 300 + b"\r\nabc\r\n",
        b"3;" + b"a" * 300,
        b"0" * 300,
    ],
)
def test_bad_chunks(tail: bytes) -> None:
    """Whatever is not exactly a chunk is refused, and the size line is bounded, also before it ends."""
    assert refusal(get("Transfer-Encoding: chunked", method="POST") + tail) == (400, "bad_chunk")


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"0\r\nno colon\r\n\r\n", (400, "bad_header")),
        (b"0\r\nA: b\n\n", (400, "bad_header")),
        (b"0\r\nA : b\r\n\r\n", (400, "bad_header")),
        (b"0\r\nA: b\r\n c\r\n\r\n", (400, "bad_header")),
        (b"0\r\nA: " + b"b" * 2100, (431, "header_bytes")),
        (b"0\r\nA: " + b"b" * 2100 + b"\r\n\r\n", (431, "header_bytes")),
        (b"0\r\n" + b"A: b\r\n" * 21 + b"\r\n", (431, "header_count")),
    ],
)
def test_bad_trailers(tail: bytes, expected: tuple[int, str]) -> None:
    """The trailer section obeys the grammar and the limits of the head."""
    assert refusal(get("Transfer-Encoding: chunked", method="POST") + tail) == expected


@each_row(
    "lines",
    [
        ("Content-Length: 1", "Content-Length: 1"),
        ("Content-Length: 1, 1",),
        ("Content-Length: +1",),
        ("Content-Length: 1 1",),
        ("Content-Length: 0x1",),
        ("Content-Length:",),
        ("Content-Length: 1", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 1"),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: chunked, chunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: \x0bchunked",),
        ("Transfer-Encoding: chunked;a=b",),
        ("Transfer-Encoding:",),
        ("Transfer_Encoding: chunked",),
        ("Content_Length: 1",),
        ("CONTENT_length: 1",),
        *((f"Content{separator}Length: 1",) for separator in "!#$%&'*+.^`|~"),
        *((f"Transfer{separator}Encoding: chunked",) for separator in "!#$%&'*+.^`|~"),
    ],
)
def test_ambiguous_framing_is_refused(lines: tuple[str, ...]) -> None:
    """Whatever two readers could frame differently is 400."""
    assert refusal(get(*lines, method="POST"))[0] == 400


def test_transfer_encoding_on_http10_is_refused() -> None:
    """HTTP/1.0 has no transfer codings."""
    data = get("Transfer-Encoding: chunked", version="HTTP/1.0", method="POST")
    assert refusal(data) == (400, "bad_transfer_encoding")


def test_length_is_made_canonical() -> None:
    """Leading zeros are read as decimal and not passed on."""
    request = one(get("Content-Length: 003", method="POST") + b"abc")
    assert request.length == 3
    assert request.headers[-1] == (b"content-length", b"3")
    assert one(get("Content-Length: 000")).headers[-1] == (b"content-length", b"0")


def test_huge_length_is_too_large() -> None:
    """A length that no integer of the field's peers can hold is 413; the largest accepted has 18 digits."""
    assert refusal(get("Content-Length: " + "9" * 19, method="POST")) == (413, "bad_length")
    (request,) = read_requests([get("Content-Length: " + "9" * 18, method="POST")])
    assert isinstance(request, Request)
    assert request.length == 10**18 - 1


@each_row(
    "lines",
    [
        ("X : a",),
        ("X\t: a",),
        (" X: a",),
        ("X: a", " folded"),
        ("X:", "\tfolded"),
        ("X: a\nY: b",),
        ("X: a\rY: b",),
        ("X: a\x00",),
        ("X: a\x1f",),
        ("X: a\x7f",),
        ("X\x00: a",),
        ("X\xe9: a",),
        ("no colon",),
        (": a",),
    ],
)
def test_bad_fields(lines: tuple[str, ...]) -> None:
    """Fields that are not exactly ``name: value`` on one line are refused."""
    assert refusal(get(*lines)) == (400, "bad_header")


@each_row(
    "line",
    [
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET\t/ HTTP/1.1",
        b"GET / http/1.1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/11",
        b"GET /",
        b"GET",
        b"G(T / HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /\x01 HTTP/1.1",
        b"GET /\xe9 HTTP/1.1",
        b"GET /#a HTTP/1.1",
        b"\x16\x03\x01\x02",
        b"\r\nGET / HTTP/1.1",
    ],
)
def test_bad_request_lines(line: bytes) -> None:
    """A start line that is not one is refused as soon as it ends."""
    line = b"\r\n" * line.startswith(b"\r\n") + line
    assert refusal(line + b"\r\n") == (400, "bad_request_line")
    assert refusal(line + b"\nHost: a\r\n\r\n") == (400, "bad_request_line")


@pytest.mark.parametrize("target", ["/", "a.example:443", "a.example"])
def test_connect_is_not_implemented(target: str) -> None:
    """A tunnel to anywhere is not offered, whatever the target says; it is a method in capitals alone."""
    assert refusal(get(method="CONNECT", target=target)) == (501, "connect")
    assert one(get(method="connect")).method == b"connect"


@each_row(
    "method",
    [
        "GET",
        "LIST",
        "get",
        "FOO",
        "PRI",
        "SOURCE",
        "DESCRIBE",
        "G-T",
        "M-SEARCH",
        "x",
        "!#$%&'*+-.^_`|~09aZ",
        "A" * 300,
    ],
)
@each_row("body", [b"", b"abc"])
def test_every_token_is_a_method(method: str, body: bytes) -> None:
    """Also those that llhttp does not know (RFC 9110 section 9.1); they are as received, and their bodies theirs."""
    request, *rest = read_requests([get(f"Content-Length: {len(body)}", "X-A: b", method=method) + body])
    assert isinstance(request, Request)
    assert (request.method, request.headers[-1], request.length) == (method.encode(), (b"x-a", b"b"), len(body))
    assert [event.data for event in rest if isinstance(event, Data)] == ([body] if body else [])


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0"])
def test_other_versions_are_not_supported(version: str) -> None:
    """Only 1.0 and 1.1 are spoken here."""
    assert refusal(get(version=version)) == (505, "bad_version")


@each_row(
    "lines",
    [
        ("Host: a", "Host: a"),
        ("Host: a", "Host: b"),
        ("Host:",),
        ("Host: a/b",),
        ("Host: a b",),
        ("Host: a,b",),
        ("Host: u@a",),
        ("Host: a:x",),
        ("Host: a:123456",),
        ("Host: [::1",),
        ("Host: ::1",),
        ("Host: a\\b",),
        ("Host: a%41",),
    ],
)
def test_bad_hosts(lines: tuple[str, ...]) -> None:
    """Anything but one Host that is a host and port is refused, on 1.0 too."""
    assert refusal(get(*lines)) == (400, "bad_host")
    assert refusal(get(*lines, version="HTTP/1.0")) == (400, "bad_host")


def test_host_is_required_on_http11_only() -> None:
    """HTTP/1.1 without Host is 400; HTTP/1.0 has none."""
    assert refusal(b"GET / HTTP/1.1\r\nA: b\r\n\r\n") == (400, "bad_host")
    assert one(b"GET / HTTP/1.0\r\n\r\n").host == b""


@pytest.mark.parametrize("host", ["a", "A_b.example.", "127.0.0.1:1", "[::1]", "[2001:db8::1]:8443"])
def test_good_hosts(host: str) -> None:
    """Names, addresses and ports are kept as they are."""
    assert one(get(f"Host: {host}")).host == host.encode()


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/a?b", b"/a?b"),
        ("GET", "//a", b"//a"),
        ("GET", '/"{}|', b'/"{}|'),
        ("GET", "http://a.example/x?y", b"/x?y"),
        ("GET", "HTTPS://A.example:443", b"/"),
        ("GET", "https://a.example?y", b"/?y"),
        ("OPTIONS", "*", b"*"),
        ("OPTIONS", "https://a.example", b"*"),
        ("OPTIONS", "https://a.example/", b"/"),
    ],
)
def test_target_forms(method: str, target: str, expected: bytes) -> None:
    """An absolute-form target that agrees with Host is told in origin-form; ``*`` goes with OPTIONS alone."""
    assert one(get("Host: a.example", method=method, target=target)).target == expected


@pytest.mark.parametrize(
    "target",
    ["*", "a.example:443", "a", "ftp://a.example/", "https://b.example/", "https://a.example:444/", "https:///",
     "https://u@a.example/", "?a"],
)  # fmt: skip
def test_bad_targets(target: str) -> None:
    """Other forms, and an authority other than Host, are refused."""
    assert refusal(get("Host: a.example", target=target))[0] == 400


@pytest.mark.parametrize(
    ("version", "lines", "expected"),
    [
        ("HTTP/1.1", (), True),
        ("HTTP/1.1", ("Connection: close",), False),
        ("HTTP/1.1", ("Connection: x, Close ,y",), False),
        ("HTTP/1.1", ("Connection: keep-alive", "Connection: close"), False),
        ("HTTP/1.1", ("Connection: closed",), True),
        ("HTTP/1.0", (), False),
        ("HTTP/1.0", ("Connection: Keep-Alive",), True),
        ("HTTP/1.0", ("Connection: keep-alive, close",), False),
    ],
)
def test_keep_alive(version: str, lines: tuple[str, ...], expected: bool) -> None:  # noqa: FBT001 (parametrised)
    """1.1 goes on unless told to close, 1.0 closes unless told to go on; close wins."""
    assert one(get(*lines, version=version)).keep_alive is expected


def test_expect_continue() -> None:
    """The client waits for 100 only on 1.1 and only with a body; any other expectation is 417."""
    expect = "Expect: 100-Continue"
    (request,) = read_requests([get(expect, "Content-Length: 1", method="POST")])
    assert isinstance(request, Request)
    assert request.expect_continue
    assert not one(get(expect)).expect_continue
    assert not one(get(expect, "Content-Length: 1", version="HTTP/1.0", method="POST") + b"a").expect_continue
    assert refusal(get("Expect: 100-continued")) == (417, "bad_expectation")
    assert refusal(get("Expect: 100-continue, x")) == (417, "bad_expectation")


def test_websocket_upgrade() -> None:
    """A valid upgrade is marked; the bytes behind it are the tunnel's, or the next request's when it is refused."""
    data = GET[:-2] + WEBSOCKET + b"\r\n"
    parser = RequestParser(LIMITS)
    request, end = parser.feed(data + b"\x81\x80")
    assert isinstance(request, Request)
    assert request.websocket
    assert isinstance(end, End)
    assert parser.release() == b"\x81\x80"
    assert parser.feed(b"\x00") == []
    parser = RequestParser(LIMITS)
    parser.feed(data + GET)
    assert len(parser.resume()) == 2


def test_other_upgrades_are_ignored() -> None:
    """An upgrade to something else, not named in Connection, or on 1.0, is a plain request, and so is what follows."""
    for data in (
        get("Connection: upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAAA"),
        get("Connection: upgrade", "Upgrade: websocket, h2c"),
        get("Upgrade: websocket"),
        get("Connection: upgrade"),
        get("Host: a", "Connection: upgrade, keep-alive", "Upgrade: websocket", version="HTTP/1.0"),
    ):
        assert not one(data).websocket
        assert len(read_requests([data + GET])) == 4


@pytest.mark.parametrize(
    "data",
    [
        get("Connection: upgrade", "Upgrade: websocket", "Content-Length: 1", method="POST") + b"a",
        get("Connection: upgrade", "Upgrade: websocket", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n",
        GET[:-2] + WEBSOCKET + b"Content-Length: 1\r\n\r\na",
        GET.replace(b"GET", b"POST")[:-2] + WEBSOCKET + b"\r\n",
        GET[:-2] + WEBSOCKET + KEY + b"\r\n",
        GET[:-2] + WEBSOCKET.replace(KEY, b"") + b"\r\n",
        GET[:-2] + WEBSOCKET.replace(b"==", b"") + b"\r\n",
    ],
)
def test_bad_upgrades(data: bytes) -> None:
    """An upgrade with a body, or to WebSocket without GET or with a wrong key, is 400."""
    assert refusal(data) == (400, "bad_upgrade")


@pytest.mark.parametrize("protocol", ["tcp", "h2c", "TLS/1.0", "websocket, tcp"])
@pytest.mark.parametrize(
    ("framing", "body", "length"),
    [("Content-Length: 3", b"abc", 3), ("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n", None)],
)
def test_other_upgrades_with_a_body_are_ignored(protocol: str, framing: str, body: bytes, length: int | None) -> None:
    """As a server may (RFC 9110 section 7.8): the request is an ordinary one, as `docker exec` sends it."""
    events = read_requests([get("Connection: Upgrade", f"Upgrade: {protocol}", framing, method="POST") + body])
    assert isinstance(events[0], Request)
    assert (events[0].websocket, events[0].length) == (False, length)
    assert [event.data for event in events if isinstance(event, Data)] == [b"abc"]


@pytest.mark.parametrize("host", ["a.example:", "[::1]:", "a.example:443", "a.example"])
def test_an_empty_port_is_none(host: str) -> None:
    """RFC 3986 section 3.2.3; it agrees with an absolute target that has the scheme's port, or none."""
    assert one(get(f"Host: {host}")).host == host.encode()
    name = host.removesuffix("443").removesuffix(":")
    for target in (f"https://{name}/", f"https://{name}:/", f"https://{name}:443/"):
        assert one(get(f"Host: {host}", target=target)).target == b"/"
    assert refusal(get(f"Host: {host}", target=f"https://{name}:80/")) == (400, "bad_target")


def test_header_bytes_limit_is_exact() -> None:
    """A head of the limit passes, one byte more is 431, before it ends too, however it is cut."""
    limits = Limits(header_bytes=200, header_count=20)

    def head(size: int) -> bytes:
        start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
        return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"

    for step in (1, 7, 1000):
        assert len(read_requests(cut(head(200), range(0, 200, step)), limits)) == 2
        for data in (head(201), head(300)[:201], head(5000)):
            (event,) = read_requests(cut(data, range(0, len(data), step)), limits)
            assert isinstance(event, Bad)
            assert (event.status, event.reason) == (431, "header_bytes")


def test_bare_lf_counts_within_the_limit_alone() -> None:
    """A bare LF is told where it is within the limit; behind it the length is."""
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    limits = Limits(header_bytes=200, header_count=20)
    for size, expected in ((199, (400, "bad_header")), (200, (431, "header_bytes"))):
        data = start + b"x" * (size - len(start)) + b"\n\r\n\r\n"
        for step in (1, 1000):
            (event,) = read_requests(cut(data, range(0, len(data), step)), limits)
            assert isinstance(event, Bad)
            assert (event.status, event.reason) == expected


def test_short_request_behind_a_long_one_in_pieces() -> None:
    """Nothing of how far the first head was searched is left for the next one."""
    long = get("X: " + "x" * 200)
    parser = RequestParser(LIMITS)
    parser.feed(long[:-1])
    assert len(parser.feed(long[-1:])) == 2
    parser.resume()
    assert len(parser.feed(GET)) == 2


def test_header_count_limit_is_exact() -> None:
    """As many fields as the limit pass, one more is 431."""
    assert len(one(get(*["A: b"] * 20)).headers) == 21
    assert refusal(get(*["A: b"] * 21)) == (431, "header_count")


def test_host_and_further_cookies_do_not_count() -> None:
    """As over HTTP/2, where they are no fields, or crumbs of one."""
    assert len(one(get(*["Cookie: a=b"] * 50, *["A: b"] * 19)).headers) == 70
    assert refusal(get(*["Cookie: a=b"] * 50, *["A: b"] * 20)) == (431, "header_count")


def test_a_head_that_exceeds_a_limit_is_known_as_far_as_it_came() -> None:
    """Its line in the log names method, path and what else came whole."""
    head = get("User-Agent: probe/1 ", "X: " + "y" * 3000, target="/p?q", method="LIST")
    for data in (head, head[:2100], get(*["A: b"] * 30, "user-agent:probe/1", target="/p?q", method="LIST")):
        bad = read_requests([data])[-1]
        assert isinstance(bad, Bad)
        known = dict(known_fields(bad.start))
        assert (known[b":method"], known[b":path"], known[b":authority"]) == (b"LIST", b"/p?q", b"a")
        assert known[b"user-agent"] == b"probe/1"
    bad = read_requests([b"GET /" + b"p" * 3000])[-1]
    assert isinstance(bad, Bad)
    assert known_fields(bad.start)[0] == (b":method", b"GET")


def test_limits_hold_for_every_request() -> None:
    """A second request has the whole limit to itself."""
    data = get("X: " + "x" * 1900)
    assert len(read_requests([data * 3])) == 6


def test_one_empty_line_before_a_request_is_forgiven() -> None:
    """An empty line, as some clients send behind a body, is no request, and the connection stays idle."""
    parser = RequestParser(LIMITS)
    assert parser.feed(b"\r\n") == []
    assert parser.idle
    assert len(parser.feed(GET)) == 2


@pytest.mark.parametrize(
    ("data", "cuts_short"),
    [
        (b"", False),
        (b"\r\n", False),
        (GET, False),
        (b"G", True),
        (GET[:-1], True),
        (get("Content-Length: 2", method="POST") + b"a", True),
        (get("Transfer-Encoding: chunked", method="POST") + b"0\r\n", True),
        (b"nonsense\r\n", False),
    ],
)
def test_end_of_the_connection(data: bytes, cuts_short: bool) -> None:  # noqa: FBT001 (parametrised)
    """EOF within a request is told; between requests it is fine; behind `Bad` nothing is told any more."""
    parser = RequestParser(LIMITS)
    parser.feed(data)
    events: list[Any] = parser.eof()
    assert [(event.status, event.reason) for event in events] == [(400, "truncated")] * cuts_short
    assert parser.feed(GET) == []


def test_one_call_reads_a_bounded_number_of_chunks_of_a_request() -> None:
    """The rest is read by later calls; a pipelined request behind it waits until it is asked for."""
    parser = RequestParser(Limits())
    parser.feed(get("Transfer-Encoding: chunked", method="POST"))
    seen = [parser.feed(b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n" + GET)]
    while parser.unfinished:
        seen.append(parser.feed(b""))
    assert 3 <= len(seen) <= 4
    assert b"".join(event.data for events in seen for event in events if isinstance(event, Data)) == b"x" * 1000
    assert seen[-1][-1] == End()
    assert len(parser.resume()) == 2
