"""Header lists: what may be sent."""

import pytest

from mcproxy.wire.http2 import Header, Headers, Limits, check_request, check_response, check_trailers
from mcproxy.wire.http2.headers import exceeded_limit, host_differs
from tests.support.rows import each_row
from tests.unit.wire.http2.h2lab import GET, OK

FIELDS_REFUSED: list[Header] = [
    (b"", b"x"),
    (b"X-Upper", b"x"),
    (b"x y", b"x"),
    (b"x:y", b"x"),
    (b"x\x00", b"x"),
    (b"x\xe9", b"x"),
    (b":path", b"/"),
    (b"x-a", b"a\rb"),
    (b"x-a", b"a\nb"),
    (b"x-a", b"a\0b"),
    (b"cookie", b"a\r\n b"),
    (b"x-a", b" a"),
    (b"x-a", b"a\t"),
    (b"accept", b"*/* "),
    (b"connection", b"close"),
    (b"keep-alive", b"1"),
    (b"proxy-connection", b"close"),
    (b"transfer-encoding", b"chunked"),
    (b"upgrade", b"h2c"),
    (b"te", b"gzip"),
    (b"te", b"trailers, gzip"),
    (b"content-length", b""),
    (b"content-length", b"+1"),
    (b"content-length", b"1, 1"),
    (b"content-length", b"0x1"),
    (b"content-length", b"9" * 20),
]
FIELDS_TAKEN: list[Header] = [
    (b"x-a", b""),
    (b"x-a", b"in the\tmiddle"),
    (b"x-a", b"\xff\x80"),
    (b"!#$%&'*+-.^_`|~0a", b"x"),
    (b"te", b"trailers"),
    (b"content-length", b"0"),
    (b"cookie", b"a=b; c=d"),
    (b"grpc-status", b"0"),
]


@each_row("field", FIELDS_REFUSED)
def test_fields_refused(field: Header) -> None:
    """RFC 9113 8.2: a malformed or connection-specific field is refused in every kind of list."""
    assert check_request([*GET, field])
    assert check_response([*OK, field], interim=False)
    assert check_trailers([(b"x-before", b"1"), field])


@pytest.mark.parametrize("field", FIELDS_TAKEN)
def test_fields_taken(field: Header) -> None:
    """RFC 9113 8.2: everything else may be sent."""
    assert not check_request([*GET, field, field] if field[0] == b"cookie" else [*GET, field])
    assert not check_response([*OK, field], interim=False)
    assert not check_trailers([field])


def test_content_length_once() -> None:
    """Two content-lengths are refused, equal ones too."""
    assert check_response([*OK, (b"content-length", b"1"), (b"content-length", b"1")], interim=False)


def pseudo(method: bytes, **fields: bytes) -> Headers:
    return [(b":method", method), *((b":" + name.encode(), value) for name, value in fields.items())]


@pytest.mark.parametrize(
    "headers",
    [
        pseudo(b"GET", scheme=b"https", path=b"/", authority=b"a"),
        pseudo(b"GET", scheme=b"http", path=b"/a?b=%20&c=\xc3\xa9", authority=b"[::1]:8443"),
        pseudo(b"PROPFIND", scheme=b"https", path=b"/", authority=b"a"),
        pseudo(b"GET", scheme=b"coap+tcp", path=b"/"),
        pseudo(b"OPTIONS", scheme=b"https", path=b"*", authority=b"a"),
        pseudo(b"CONNECT", authority=b"a:443"),
        pseudo(b"CONNECT", protocol=b"websocket", scheme=b"https", path=b"/chat", authority=b"a"),
        pseudo(b"CONNECT", scheme=b"https", path=b"/chat", authority=b"a", protocol=b"websocket"),
    ],
)
def test_requests_taken(headers: Headers) -> None:
    """RFC 9113 8.3.1 and 8.5, RFC 8441: well-formed control data."""
    assert check_request(headers) == ""


@each_row(
    "headers",
    [
        [],
        [(b"x-a", b"1")],
        pseudo(b"GET", scheme=b"https", path=b"/") * 2,
        [(b"x-a", b"1"), *GET],
        pseudo(b"G T", scheme=b"https", path=b"/"),
        pseudo(b"GET", scheme=b"", path=b"/"),
        pseudo(b"GET", scheme=b"1http", path=b"/"),
        pseudo(b"GET", scheme=b"https", path=b""),
        pseudo(b"GET", scheme=b"https", path=b"a"),
        pseudo(b"GET", scheme=b"https", path=b"*"),
        pseudo(b"GET", scheme=b"https", path=b"/ HTTP/1.1"),
        pseudo(b"GET", scheme=b"https", path=b"/\x7f"),
        pseudo(b"GET", scheme=b"https", path=b"/", authority=b"user@a"),
        pseudo(b"GET", scheme=b"https", path=b"/", authority=b"a/b"),
        pseudo(b"GET", scheme=b"https", path=b"/", status=b"200"),
        pseudo(b"GET", scheme=b"https", path=b"/", authority=b"a", protocol=b"websocket"),
        pseudo(b"CONNECT", authority=b"a", path=b"/", scheme=b"https"),
        pseudo(b"CONNECT"),
        pseudo(b"CONNECT", protocol=b"", scheme=b"https", path=b"/", authority=b"a"),
        pseudo(b"CONNECT", protocol=b"websocket", scheme=b"https", path=b"/"),
    ],
)
def test_requests_refused(headers: Headers) -> None:
    """RFC 9113 8.3.1 and 8.5, RFC 8441: malformed control data."""
    assert check_request(headers)


@pytest.mark.parametrize(
    ("status", "final", "interim"),
    [(b"200", True, False), (b"599", True, False), (b"103", False, True), (b"100", False, True)],
)
def test_status(status: bytes, *, final: bool, interim: bool) -> None:
    """RFC 9113 8.3.2: 1xx is interim, everything else final."""
    assert (not check_response([(b":status", status)], interim=False)) is final
    assert (not check_response([(b":status", status)], interim=True)) is interim


@each_row(
    "headers",
    [
        [],
        [(b"x-a", b"1")],
        [(b":status", b"")],
        [(b":status", b"20")],
        [(b":status", b"2000")],
        [(b":status", b"101")],
        OK * 2,
        [*OK, (b":path", b"/")],
        [(b":status", b"0200")],
        [(b":status", b"000")],
    ],
)
def test_responses_refused(headers: Headers) -> None:
    """RFC 9113 8.3.2 and 8.6: exactly one :status of three digits, and no 101."""
    assert check_response(headers, interim=False)
    assert check_response(headers, interim=True)


def test_empty_trailers_are_well_formed() -> None:
    """A trailer section without fields breaks no rule."""
    assert check_trailers([]) == ""


def test_limits_count_as_announced() -> None:
    """A list's size is names, values and 32 for each field; the limits themselves are allowed."""
    headers = [(b"abc", b"defgh")] * 3
    assert exceeded_limit(headers, Limits(header_bytes=120, header_count=3)) == ""
    assert exceeded_limit(headers, Limits(header_bytes=119, header_count=3)) == "header_bytes"
    assert exceeded_limit(headers, Limits(header_bytes=120, header_count=2)) == "header_count"


def test_a_request_counts_as_over_http1() -> None:
    """Crumbs of a cookie are one field with what joins them; what is no field over HTTP/1.1, and Host, do not count."""
    pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/" + b"p" * 90)]
    crumbs = [(b"cookie", b"a=%02d" % number) for number in range(50)]  # joined: 50 * 4 + 49 * 2
    joined = 6 + 50 * 4 + 49 * 2 + 32
    headers = [*pseudo, (b"host", b"a.example"), *crumbs, (b"abc", b"defgh")]
    for size, count, limit in (
        (joined + 40, 2, ""),
        (joined + 39, 2, "header_bytes"),
        (joined + 40, 1, "header_count"),
    ):
        assert exceeded_limit(headers, Limits(header_bytes=size, header_count=count)) == limit
    assert exceeded_limit(pseudo, Limits(header_bytes=91, header_count=1)) == ""
    assert exceeded_limit(pseudo, Limits(header_bytes=90, header_count=1)) == "header_bytes"


def test_host() -> None:
    """A host field must name the authority, in any case, and only once."""
    assert not host_differs(GET)
    assert not host_differs([*GET, (b"host", b"A.EXAMPLE")])
    assert not host_differs([*GET[:3], (b"host", b"other.example")])
    assert host_differs([*GET, (b"host", b"a.example:443")])
    assert host_differs([*GET[:3], (b"host", b"a"), (b"host", b"a")])
