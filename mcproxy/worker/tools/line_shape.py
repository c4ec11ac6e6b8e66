"""What is alike in lines of the access log: those of one connection, and those that differ in little.

These differ in who, how much, how long. The native core writes them, by what is alike in them.
"""

from typing import NamedTuple

import msgspec

_VARYING = {"time": b'"', "client": b'"', "sni": b'"', "received": b"", "sent": b"", "dial": b"", "total": b""}
"""The fields of `ConnectionLine` that differ, in their order, with the quotation mark at either end."""


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


def parts_of(line: msgspec.Struct) -> list[bytes]:
    """Return the texts of a complete `ConnectionLine` that are in front of, between and behind what differs in lines like it."""
    parts, text, start = [], b"", b"{"
    for name, value in msgspec.structs.asdict(line).items():
        text += b'%b"%b":' % (start, name.encode())
        start = b","
        if name in _VARYING:
            mark = _VARYING[name]
            parts.append(text + mark)
            text = mark
        else:
            text += msgspec.json.encode(value)
    return [*parts, text + b"}"]
