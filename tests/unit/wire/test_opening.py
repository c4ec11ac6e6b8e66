"""The first bytes of a connection without TLS: what is spoken, whatever pieces they come in."""

import pytest

from mcproxy.errors import ProtocolError
from mcproxy.wire.need import Need
from mcproxy.wire.opening import LONGEST, Opening, parse

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HTTP1 = Opening(http2=False)
HTTP2 = Opening(http2=True)
STARTS = {
    PREFACE + b"\x00\x00\x00\x04": HTTP2,
    b"GET / HTTP/1.1\r\n": HTTP1,
    b"POST / HTTP/1.1\r\n": HTTP1,
    b"PUT / HTTP/1.1\r\n": HTTP1,
    b"PROPFIND / HTTP/1.1\r\n": HTTP1,
    b"PRI * HTTP/1.1\r\n": HTTP1,
    b"PROXYING / HTTP/1.1\r\n": HTTP1,
    b"\r\nGET / HTTP/1.1\r\n": HTTP1,
    b"\r\n\r\nGET / HTTP/1.1\r\n": HTTP1,
    b"\x00\x01\x02": HTTP1,
    b"\x16\x02\x00": HTTP1,
    b"SSH-2.0-OpenSSH_9.2\r\n": HTTP1,
    b"\x16\x03\x01\x02\x00\x01\x00": "unexpected_tls",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n": "unexpected_proxy_header",
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c": "unexpected_proxy_header",
}


def read(data: bytes) -> Opening | Need | str:
    try:
        return parse(data)
    except ProtocolError as error:
        return error.reason


@pytest.mark.parametrize(("data", "found"), STARTS.items())
def test_what_begins(data: bytes, found: Opening | str) -> None:
    """Every prefix either says how much more is needed, or what the whole does; nobody waits for what may never come."""
    assert read(data) == found
    for size in range(1, len(data)):
        told = read(data[:size])
        if isinstance(told, Need):
            assert size < told.total <= min(len(data), LONGEST)
        else:
            assert told == found
