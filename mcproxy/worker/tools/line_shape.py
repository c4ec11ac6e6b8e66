"""What is alike in lines of the access log: those of one connection, and those that differ in little.

These differ in who, how much, how long; the rest is encoded once for all of them.

A line that is encoded as a whole takes five times as long.
"""

from typing import NamedTuple

import msgspec

_VARYING = {
    "time": b'"%b"',
    "client": b'"%b"',
    "sni": b'"%b"',
    "received": b"%d",
    "sent": b"%d",
    "dial": b"%b",
    "total": b"%b",
}
"""The fields of `ConnectionLine` that differ, in their order."""

_encode = msgspec.json.Encoder().encode


class Origin(NamedTuple):
    """Where a connection came from and went to, as its lines tell it.

    Attributes:
        listener: its address.
        route: the hostname of the route, "" for none.
        client: address and port of the client itself, as a trusted PROXY header tells it; its address where `real_ip` does.
        sni: what the ClientHello has asked for, "" for nothing.
        mode: of the route, "" without.
        protocol: "http/1.1" or "h2"; of lines without requests "tls" for a connection that is not terminated, else "".
        tls_version, tls_cipher: what was negotiated with the client, "" where TLS is not terminated.
        client_cert: the first name in the certificate that the client has shown, "" for none.
    """

    listener: str
    route: str
    client: str
    sni: str
    mode: str
    protocol: str
    tls_version: str = ""
    tls_cipher: str = ""
    client_cert: str = ""


class LineShape:
    """What is alike in the lines of connections that came in at one listener, had one route and ended alike."""

    __slots__ = ("_text",)

    def __init__(self, line: msgspec.Struct) -> None:
        """Take a complete `ConnectionLine`, which the others are like."""
        fields = msgspec.structs.asdict(line)
        parts = (
            b'"%b":' % name.encode() + (_VARYING.get(name) or _encode(value).replace(b"%", b"%%"))
            for name, value in fields.items()
        )
        self._text = b"{" + b",".join(parts) + b"}"

    def filled(self, time: str, client: str, sni: bytes, received: int, sent: int, dial: float, total: float) -> bytes:
        """Return a line without its end; ``sni`` is a canonical host name, and times are in seconds."""
        # without the digits that the clock does not mean
        dialed, whole = _encode(int(dial * 1e6) / 1e6), _encode(int(total * 1e6) / 1e6)
        return self._text % (time.encode(), client.encode(), sni, received, sent, dialed, whole)
