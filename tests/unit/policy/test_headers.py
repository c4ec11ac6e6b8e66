"""Which header fields pass the proxy."""

from itertools import permutations

import pytest

from mcproxy.policy.headers import (
    Forwarding,
    Headers,
    RefusedError,
    RequestHead,
    authority_host,
    error_response,
    from_http1,
    from_http2,
    grpc_status,
    grpc_timeout,
    is_grpc,
    join_cookies,
    response_fields,
    to_http1,
    to_http2,
    trailer_fields,
    websocket_accept,
)

ACCEPT = (b"accept", b"*/*")
PSEUDO = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/x?y")]
SOCKET = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *PSEUDO[1:], (b"sec-websocket-version", b"13")]


def passed(*headers: tuple[bytes, bytes]) -> Headers:
    """Return what is left of a request's fields, which must not depend on its version."""
    of_http1 = from_http1(b"GET", b"/", b"a", [(b"host", b"a"), *headers]).headers
    assert from_http2([*PSEUDO, *headers]).headers == of_http1
    return of_http1


@pytest.mark.parametrize(
    "header",
    [
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"proxy-authorization", b"Basic eA=="),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"AAAA"),
        (b"connection", b"keep-alive"),
        (b"te", b"gzip"),
        (b"forwarded", b"for=1.1.1.1"),
        (b"x-real-ip", b"1.1.1.1"),
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"b"),
        (b"x-forwarded-port", b"1"),
        (b"x-forwarded-prefix", b"/b"),
        (b"x-forwarded", b"for=1.1.1.1"),
        (b"x_forwarded_for", b"1.1.1.1"),
        (b"x-forwarded_for", b"1.1.1.1"),
        (b"x_real_ip", b"1.1.1.1"),
    ],
)
def test_dropped_from_requests(header: tuple[bytes, bytes]) -> None:
    """Fields of the client's connection, and what it claims about itself however spelt, reach no backend."""
    assert passed(ACCEPT, header, (b"x", b"y")) == [ACCEPT, (b"x", b"y")]


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer x"),
        (b"trailer", b"x"),
        (b"expect", b"100-continue"),
        (b"content-length", b"3"),
        (b"x-forward", b"x"),
        (b"x-real-ip-2", b"x"),
        (b"x-unreal", b"x"),
        (b"not-forwarded", b"x"),
        (b"sec-websocket-version", b"13"),
    ],
)
def test_kept_in_requests(header: tuple[bytes, bytes]) -> None:
    """End-to-end fields pass as they are, those whose names only resemble a forwarding header too."""
    assert passed(header, ACCEPT) == [header, ACCEPT]


def test_fields_named_in_connection_go() -> None:
    """What Connection names goes with it, in any case and number, but never the length of the body."""
    headers = [
        (b"host", b"a"),
        (b"connection", b"X-One, content-length"),
        (b"x-one", b"1"),
        (b"x-two", b"2"),
        (b"connection", b" x-two ,close"),
        (b"content-length", b"3"),
        ACCEPT,
    ]
    assert from_http1(b"GET", b"/", b"a", headers).headers == [(b"content-length", b"3"), ACCEPT]
    assert response_fields(headers[1:]) == [(b"content-length", b"3"), ACCEPT]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([b"trailers"], True), ([b"gzip, Trailers"], True), ([b"gzip", b"trailers"], True), ([b"trailers2"], False)],
)
def test_te_trailers_is_kept(values: list[bytes], expected: bool) -> None:  # noqa: FBT001 (parametrised)
    """That the client takes trailers is passed on, as exactly that."""
    assert passed(ACCEPT, *((b"te", value) for value in values)) == [ACCEPT] + [(b"te", b"trailers")] * expected


def test_responses_lose_the_backends_connection() -> None:
    """Hop-by-hop and pseudo-header fields of a response go; a response without any is not copied."""
    headers = [(b":status", b"200"), (b"keep-alive", b"5"), (b"set-cookie", b"a"), (b"set-cookie", b"b")]
    assert response_fields(headers) == headers[2:]
    assert response_fields(headers[2:]) == headers[2:]
    assert response_fields([(b"x-forwarded-for", b"kept")]) == [(b"x-forwarded-for", b"kept")]


def test_trailers_cannot_change_the_head() -> None:
    """Framing, routing, authentication and claims cannot come late; gRPC's trailers pass."""
    late = [
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"te",
        b"connection",
        b":path",
        b"authorization",
        b"cookie",
    ]
    late += [b"x-forwarded-for", b"transfer_encoding", b"content-type", b"trailer"]
    kept = [(b"grpc-status", b"0"), (b"grpc-message", b"ok"), (b"x-bin", b"AA==")]
    assert trailer_fields([*((name, b"x") for name in late), *kept]) == kept


def test_http1_request() -> None:
    """The authority is Host's, or the fallback where HTTP/1.0 has none."""
    head = from_http1(b"PUT", b"/p", b"A.example:1", [(b"host", b"A.example:1"), ACCEPT], fallback=b"b")
    assert head == RequestHead(b"PUT", b"A.example:1", b"/p", [ACCEPT])
    assert from_http1(b"GET", b"/", b"", [ACCEPT], fallback=b"b").authority == b"b"


def test_http2_request() -> None:
    """The pseudo-header fields become the head; Host may repeat the authority, or stand in for it."""
    expected = RequestHead(b"GET", b"a.example", b"/x?y", [ACCEPT], checked=True)
    assert from_http2([*PSEUDO, ACCEPT]) == expected
    assert from_http2([*PSEUDO, (b"host", b"A.example"), ACCEPT]) == expected
    without = [field for field in PSEUDO if field[0] != b":authority"]
    assert from_http2([*without, (b"host", b"a.example"), ACCEPT]) == expected
    asterisk = [(b":method", b"OPTIONS"), *PSEUDO[1:3], (b":path", b"*")]
    assert from_http2(asterisk).path == b"*"


def test_pseudo_header_fields_in_any_order() -> None:
    """Whatever their order, and whether all of them are there, none of them is taken for a field, nor a field for one."""
    expected = RequestHead(b"GET", b"a.example", b"/x?y", [ACCEPT, ACCEPT], checked=True)
    for order in permutations(PSEUDO):
        assert from_http2([*order, ACCEPT, ACCEPT]) == expected
    without = [field for field in PSEUDO if field[0] != b":scheme"]
    assert from_http2([*without, ACCEPT, ACCEPT]) == expected
    assert from_http2(PSEUDO).headers == []


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ([*PSEUDO, (b"host", b"b.example")], 400, "bad_authority"),
        ([*PSEUDO, (b"host", b"a.example"), (b"host", b"b.example")], 400, "bad_authority"),
        ([*PSEUDO[:2], PSEUDO[3]], 400, "bad_authority"),
        ([*PSEUDO[:2], (b":authority", b"u@a"), PSEUDO[3]], 400, "bad_authority"),
        ([*PSEUDO[:2], (b":authority", b"a/b"), PSEUDO[3]], 400, "bad_authority"),
        (PSEUDO[:3], 400, "bad_path"),
        ([*PSEUDO[:3], (b":path", b"x")], 400, "bad_path"),
        ([*PSEUDO[:3], (b":path", b"*")], 400, "bad_path"),
        ([*PSEUDO[:3], (b":path", b"/a b")], 400, "bad_path"),
        ([*PSEUDO[:3], (b":path", b"/a HTTP/1.1\r\nx: y")], 400, "bad_path"),
        ([*PSEUDO[:3], (b":path", b"/#a")], 400, "bad_path"),
        ([*PSEUDO, (b"transfer_encoding", b"chunked")], 400, "ambiguous_framing"),
        ([*PSEUDO, (b"content_length", b"3")], 400, "ambiguous_framing"),
        ([(b":method", b"CONNECT"), (b":authority", b"a:443")], 501, "connect"),
        ([(b":protocol", b"webtransport"), (b":method", b"CONNECT"), *PSEUDO[1:]], 501, "connect"),
    ],
)
def test_refused_http2_requests(fields: Headers, status: int, reason: str) -> None:
    """What HTTP/1.1 could not say, or could say in two ways, is refused with a status."""
    with pytest.raises(RefusedError, match=reason) as refused:
        from_http2(fields)
    assert refused.value.status == status


def test_to_http1_backend() -> None:
    """Host comes first, crumbs are one cookie, and the truth comes last."""
    head = from_http2([*PSEUDO, (b"cookie", b"a=1"), ACCEPT, (b"cookie", b"b=2")])
    assert to_http1(head, [(b"x-real-ip", b"1.1.1.1")]) == [
        (b"host", b"a.example"),
        (b"cookie", b"a=1; b=2"),
        ACCEPT,
        (b"x-real-ip", b"1.1.1.1"),
    ]


def test_to_http2_backend() -> None:
    """Pseudo-header fields come first, with the scheme of the backend's own connection, and no Host."""
    head = from_http1(b"GET", b"/x?y", b"a.example", [(b"host", b"a.example"), (b"te", b"trailers"), ACCEPT])
    assert to_http2(head, [(b"x-real-ip", b"1.1.1.1")], b"http") == [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"a.example"),
        (b":path", b"/x?y"),
        ACCEPT,
        (b"te", b"trailers"),
        (b"x-real-ip", b"1.1.1.1"),
    ]


def test_websocket_from_http2_to_http1() -> None:
    """An extended CONNECT becomes GET with a key of the proxy's own."""
    head = from_http2(SOCKET)
    assert (head.method, head.websocket) == (b"GET", True)
    assert to_http1(head, [], websocket_key=b"key") == [
        (b"host", b"a.example"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b"key"),
    ]


def test_websocket_from_http1() -> None:
    """The client's own key goes on to HTTP/1.1, and not to HTTP/2."""
    key = (b"sec-websocket-key", b"k")
    head = from_http1(b"GET", b"/x?y", b"a.example", [(b"connection", b"upgrade"), key], websocket=True)
    assert to_http1(head, []) == [(b"host", b"a.example"), key]
    assert dict(to_http2(head, [], b"https")) == dict(SOCKET[:5])


def test_websocket_accept() -> None:
    """The answer to a key is the one of RFC 6455 section 1.3."""
    assert websocket_accept(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_forwarding_headers_tell_the_truth() -> None:
    """Address, scheme, port and authority are the connection's own."""
    assert dict(Forwarding("192.0.2.1", 8443).fields(b"a.example:8443")) == {
        b"x-forwarded-for": b"192.0.2.1",
        b"x-real-ip": b"192.0.2.1",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-port": b"8443",
        b"x-forwarded-host": b"a.example:8443",
        b"forwarded": b'for=192.0.2.1;proto=https;host="a.example:8443"',
    }


def test_forwarding_of_ipv6_and_without_authority() -> None:
    """An IPv6 address is bracketed and quoted in Forwarded alone; without authority none is claimed."""
    fields = dict(Forwarding("2001:db8::1", 80, b"http").fields(b""))
    assert fields[b"x-forwarded-for"] == b"2001:db8::1"
    assert fields[b"forwarded"] == b'for="[2001:db8::1]";proto=http'
    assert b"x-forwarded-host" not in fields


def test_forwarding_follows_the_authority() -> None:
    """Each request of a connection is told its own authority."""
    forwarding = Forwarding("192.0.2.1", 443)
    hosts = [dict(forwarding.fields(name))[b"x-forwarded-host"] for name in (b"a", b"a", b"b", b"a")]
    assert hosts == [b"a", b"a", b"b", b"a"]


def test_cookies_are_joined_at_the_first() -> None:
    """One cookie stays as it is; several become one."""
    assert join_cookies([(b"cookie", b"a"), ACCEPT]) == [(b"cookie", b"a"), ACCEPT]
    crumbs = [ACCEPT, (b"cookie", b"a"), (b"x", b"y"), (b"cookie", b"b"), (b"cookie", b"c")]
    assert join_cookies(crumbs) == [ACCEPT, (b"cookie", b"a; b; c"), (b"x", b"y")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a.example", "a.example"),
        (b"A.Example.:8443", "a.example"),
        (b"127.0.0.1:80", "127.0.0.1"),
        (b"[2001:DB8:0::1]:443", "2001:db8::1"),
        (b"[::1]", "::1"),
        (b"a_b", "a_b"),
        (b"", None),
        (b".", None),
        (b"a:", None),
        (b"a:65536", None),
        (b"a:b", None),
        (b"u@a", None),
        (b"a b", None),
        (b"[::1", None),
        (b"[1.2.3]", None),
        (b"::1", None),
        (b"\xc3\xa4", None),
    ],
)
def test_authority_host(value: bytes, expected: str | None) -> None:
    """Authorities that lead to the same route have the same host."""
    assert authority_host(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"application/grpc", True),
        (b"Application/gRPC+proto", True),
        (b"application/grpc;charset=utf-8", True),
        (b"application/grpc-web", False),
        (b"application/grpc-web+proto", False),
        (b"application/grpcx", False),
        (b"text/html", False),
    ],
)
def test_is_grpc(value: bytes, expected: bool) -> None:  # noqa: FBT001 (parametrised)
    """The content type tells gRPC; gRPC-Web has another wire format."""
    assert is_grpc([ACCEPT, (b"content-type", value)]) is expected
    assert not is_grpc([ACCEPT])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"10S", 10.0),
        (b"250m", 0.25),
        (b"5u", 5e-6),
        (b"0n", 0.0),
        (b"99999999H", 99999999 * 3600.0),
        (b"999999999S", None),
        (b"S", None),
        (b"1", None),
        (b"1s", None),
        (b"-1S", None),
        (b"1.5S", None),
        (b" 1S", None),
        (b"", None),
    ],
)
def test_grpc_timeout(value: bytes, expected: float | None) -> None:
    """At most eight digits and a unit; anything else states no timeout."""
    result = grpc_timeout(value)
    assert result == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, 13),
        (401, 16),
        (403, 7),
        (404, 12),
        (429, 14),
        (502, 14),
        (503, 14),
        (504, 14),
        (413, 2),
        (421, 2),
        (500, 2),
    ],
)
def test_grpc_status(status: int, expected: int) -> None:
    """HTTP statuses map to gRPC's as its specification says."""
    assert grpc_status(status) == expected


@pytest.mark.parametrize("status", [400, 403, 408, 413, 417, 421, 431, 501, 502, 503, 504, 505])
def test_error_response(status: int) -> None:
    """The proxy's own errors name the status and nothing else, with their exact length."""
    response = error_response(status)
    assert response.status == status
    assert response.body.startswith(b"%d " % status)
    assert dict(response.headers)[b"content-length"] == b"%d" % len(response.body)


def test_error_response_to_grpc() -> None:
    """A gRPC client is told by a trailers-only response with HTTP status 200."""
    response = error_response(403, grpc=True)
    assert (response.status, response.body) == (200, b"")
    assert dict(response.headers) == {
        b"content-type": b"application/grpc",
        b"grpc-status": b"7",
        b"grpc-message": b"Forbidden",
    }
