"""Which header fields pass the proxy."""

import pytest

from mcproxy.policy.headers import (
    Forwarding,
    error_response,
    grpc_status,
    is_grpc,
    join_cookies,
    response_fields,
    to_http1,
    to_http2,
    trailer_fields,
    websocket_accept,
)
from mcproxy.policy.requests import RequestRules
from tests.support.rows import each_row

ACCEPT = (b"accept", b"*/*")
PSEUDO = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/x?y")]
RULES = RequestRules()
SOCKET = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *PSEUDO[1:], (b"sec-websocket-version", b"13")]


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
    assert RULES.from_http1(b"GET", b"/", b"a", headers).headers == [(b"content-length", b"3"), ACCEPT]
    assert response_fields(headers[1:]) == [(b"content-length", b"3"), ACCEPT]


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


def test_to_http1_backend() -> None:
    """Host comes first, crumbs are one cookie, and the truth comes last."""
    head = RULES.from_http2([*PSEUDO, (b"cookie", b"a=1"), ACCEPT, (b"cookie", b"b=2")])
    assert to_http1(head, [(b"x-real-ip", b"1.1.1.1")]) == [
        (b"host", b"a.example"),
        (b"cookie", b"a=1; b=2"),
        ACCEPT,
        (b"x-real-ip", b"1.1.1.1"),
    ]


def test_to_http2_backend() -> None:
    """Pseudo-header fields come first, with the scheme of the backend's own connection, and no Host."""
    head = RULES.from_http1(b"GET", b"/x?y", b"a.example", [(b"host", b"a.example"), (b"te", b"trailers"), ACCEPT])
    assert to_http2(head, [(b"x-real-ip", b"1.1.1.1")], b"http") == [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"a.example"),
        (b":path", b"/x?y"),
        (b"te", b"trailers"),
        ACCEPT,
        (b"x-real-ip", b"1.1.1.1"),
    ]


def test_websocket_from_http2_to_http1() -> None:
    """An extended CONNECT becomes GET with a key of the proxy's own."""
    head = RULES.from_http2(SOCKET)
    assert (head.method, head.websocket) == (b"GET", True)
    assert to_http1(head, [], websocket_key=b"key") == [
        (b"host", b"a.example"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b"key"),
    ]


def test_websocket_from_http1() -> None:
    """The client's own key goes on to HTTP/1.1, and not to HTTP/2."""
    key = (b"sec-websocket-key", b"k")
    head = RULES.from_http1(b"GET", b"/x?y", b"a.example", [(b"connection", b"upgrade"), key], websocket=True)
    assert to_http1(head, []) == [(b"host", b"a.example"), key]
    assert dict(to_http2(head, [], b"https")) == dict(SOCKET[:5])


def test_websocket_accept() -> None:
    """The answer to a key is the one of RFC 6455 section 1.3."""
    assert websocket_accept(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_forwarding_headers_tell_the_truth() -> None:
    """Address, scheme, port and authority are the connection's own."""
    assert dict(Forwarding("192.0.2.1").fields(b"a.example:8443")) == {
        b"x-forwarded-for": b"192.0.2.1",
        b"x-real-ip": b"192.0.2.1",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-port": b"8443",
        b"x-forwarded-host": b"a.example:8443",
        b"forwarded": b'for=192.0.2.1;proto=https;host="a.example:8443"',
    }


@each_row(
    ("authority", "scheme", "port"),
    [
        (b"a.example:8443", b"https", b"8443"),
        (b"a.example", b"https", b"443"),
        (b"a.example:", b"https", b"443"),
        (b"a.example:0443", b"https", b"443"),
        (b"[2001:db8::1]", b"https", b"443"),
        (b"[2001:db8::1]:444", b"https", b"444"),
        (b"", b"https", b"443"),
        (b"a.example", b"http", b"80"),
        (b"a.example:", b"http", b"80"),
        (b"a.example:8080", b"http", b"8080"),
    ],
)
def test_the_forwarded_port_is_that_of_the_browsers_url(authority: bytes, scheme: bytes, port: bytes) -> None:
    """It agrees with X-Forwarded-Host and X-Forwarded-Proto, wherever the client has come in."""
    assert dict(Forwarding("192.0.2.1", scheme).fields(authority))[b"x-forwarded-port"] == port


def test_forwarding_of_ipv6_and_without_authority() -> None:
    """An IPv6 address is bracketed and quoted in Forwarded alone; without authority none is claimed."""
    fields = dict(Forwarding("2001:db8::1", b"http").fields(b""))
    assert fields[b"x-forwarded-for"] == b"2001:db8::1"
    assert fields[b"forwarded"] == b'for="[2001:db8::1]";proto=http'
    assert b"x-forwarded-host" not in fields


def test_forwarding_follows_the_authority() -> None:
    """Each request of a connection is told its own authority."""
    forwarding = Forwarding("192.0.2.1")
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


@each_row(
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


@each_row("status", [400, 403, 408, 413, 417, 421, 431, 501, 502, 503, 504, 505])
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
