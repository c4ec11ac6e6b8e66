r"""The first bytes of a connection without TLS: which version of HTTP they begin (RFC 9113 section 3.3).

The parser keeps no state: it gets everything peeked so far and answers with a version, a `Need`, or a `ProtocolError`. What
it has once concluded, more bytes never change. Whatever is neither HTTP/2's preface nor one of these is left to the parser of
HTTP/1.1, which answers it:

===========================  ===================================================================
``unexpected_tls``           a TLS handshake record (``\x16\x03``)
``unexpected_proxy_header``  a PROXY protocol header, which this listener does not expect
===========================  ===================================================================
"""

from typing import final

import msgspec

from mcproxy.errors import ProtocolError
from mcproxy.wire.need import Need
from mcproxy.wire.proxy_protocol import SIGNATURES

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What every client of HTTP/2 begins with (RFC 9113 section 3.4)."""
LONGEST = len(PREFACE)
"""Bytes that always decide."""

_TLS = b"\x16\x03"
_STARTS = (PREFACE, _TLS, *SIGNATURES)
_FIRST = frozenset(start[0] for start in _STARTS)


@final
class Opening(msgspec.Struct, frozen=True, gc=False):
    """What is spoken.

    Attributes:
        http2: HTTP/2, by a client that knows beforehand that the server speaks it; else HTTP/1.1, or nothing that is known.
    """

    http2: bool


_HTTP1, _HTTP2 = Opening(http2=False), Opening(http2=True)


def parse(data: bytes) -> Opening | Need:
    """Return what is spoken, of ``data`` that is everything peeked so far.

    Raises:
        ProtocolError: as the table above says.
    """
    if not data:
        return Need(1)
    if data[0] not in _FIRST:
        return _HTTP1
    if data.startswith(PREFACE):
        return _HTTP2
    if data.startswith(_TLS):
        raise ProtocolError("unexpected_tls")
    if data.startswith(SIGNATURES):
        raise ProtocolError("unexpected_proxy_header")
    if any(start.startswith(data) for start in _STARTS):
        return Need(len(data) + 1)
    return _HTTP1
