"""The bytes that are sent."""

from collections.abc import Callable

import pytest

from mcproxy.wire.http1 import (
    END_OF_CHUNKS,
    Headers,
    UnsendableError,
    last_chunk,
    request_head,
    response_head,
    switching_head,
)
from tests.support.rows import each_row

HOST = (b"host", b"a")


def test_request_heads() -> None:
    """The start line, the fields as given, and the framing that was asked for."""
    assert request_head(b"GET", b"/a?b", [HOST, (b"x", b"y z")]) == b"GET /a?b HTTP/1.1\r\nhost: a\r\nx: y z\r\n\r\n"
    assert request_head(b"POST", b"*", [HOST], chunked=True) == (
        b"POST * HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    assert request_head(b"GET", b"/", [HOST], websocket=True) == (
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    )


def test_te_comes_with_its_connection_option() -> None:
    """HTTP/1.1 wants TE named in Connection."""
    te = (b"te", b"trailers")
    assert request_head(b"GET", b"/", [HOST, te]).endswith(b"te: trailers\r\nconnection: te\r\n\r\n")
    assert request_head(b"GET", b"/", [HOST, te], chunked=True).endswith(
        b"te: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\r\n"
    )


def test_response_heads() -> None:
    """The usual phrase stands in for one that is missing or malformed; an unknown status has none."""
    assert response_head(404, [(b"a", b"b")]) == b"HTTP/1.1 404 Not Found\r\na: b\r\n\r\n"
    assert response_head(404, [], reason=b"Nope") == b"HTTP/1.1 404 Nope\r\n\r\n"
    assert response_head(404, [], reason=b"No\r\npe") == b"HTTP/1.1 404 Not Found\r\n\r\n"
    assert response_head(299, []) == b"HTTP/1.1 299 \r\n\r\n"
    assert response_head(299, [], reason=b"\x00") == b"HTTP/1.1 299 \r\n\r\n"
    assert response_head(200, [], chunked=True, connection=b"close") == (
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    assert response_head(103, [(b"link", b"</a>")]) == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    assert switching_head([(b"a", b"b")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\na: b\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    )


def test_the_last_chunk() -> None:
    """The last chunk carries the trailers."""
    assert last_chunk([]) == END_OF_CHUNKS
    assert last_chunk([(b"grpc-status", b"0")]) == b"0\r\ngrpc-status: 0\r\n\r\n"


@each_row(
    "header",
    [
        (b"", b"a"),
        (b"X", b"a"),
        (b"x y", b"a"),
        (b"x:", b"a"),
        (b"x\r\ny", b"a"),
        (b"x\xe9", b"a"),
        (b":path", b"/"),
        (b"x", b"a\r\ny: b"),
        (b"x", b"a\n"),
        (b"x", b"a\r"),
        (b"x", b"a\x00"),
        (b"x", b"\x7f"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"websocket"),
        (b"keep-alive", b"timeout=5"),
    ],
)
def test_bad_fields_are_refused_everywhere(header: tuple[bytes, bytes]) -> None:
    """Nothing that would break out of its field, or speak for this connection, is sent."""
    writers: list[Callable[[], bytes]] = [
        lambda: request_head(b"GET", b"/", [HOST, header]),
        lambda: response_head(200, [header]),
        lambda: switching_head([header]),
        lambda: last_chunk([header]),
    ]
    for write in writers:
        with pytest.raises(UnsendableError):
            write()


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"G T", b"/"),
        (b"", b"/"),
        (b"GET", b""),
        (b"GET", b"/ b"),
        (b"GET", b"/\r\n"),
        (b"GET", b"/#"),
        (b"GET", b"/\xe9"),
    ],
)
def test_bad_start_lines_are_refused(method: bytes, target: bytes) -> None:
    """Method and target are one token each."""
    with pytest.raises(UnsendableError, match="bad_request_line"):
        request_head(method, target, [HOST])


@pytest.mark.parametrize("headers", [[], [(b"a", b"b")], [HOST, HOST]])
def test_requests_have_one_host(headers: Headers) -> None:
    """No request leaves without an authority or with two."""
    with pytest.raises(UnsendableError, match="bad_host"):
        request_head(b"GET", b"/", headers)


def test_two_framings_are_refused() -> None:
    """A length goes with no other length and with no chunks."""
    length = (b"content-length", b"1")
    with pytest.raises(UnsendableError, match="ambiguous"):
        response_head(200, [length, length])
    with pytest.raises(UnsendableError, match="ambiguous"):
        response_head(200, [length], chunked=True)
    with pytest.raises(UnsendableError, match="ambiguous"):
        request_head(b"POST", b"/", [HOST, length], chunked=True)


@pytest.mark.parametrize("name", [b"content-length", b"host", b"te", b"trailer", b"expect"])
def test_trailers_cannot_frame_or_route(name: bytes) -> None:
    """The trailers that a recipient could merge into the head do harm there, and are refused."""
    with pytest.raises(UnsendableError, match="bad_trailers"):
        last_chunk([(name, b"1")])
