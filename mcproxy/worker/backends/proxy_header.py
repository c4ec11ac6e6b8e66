"""The PROXY header that a backend's connection begins with (PROXY protocol specification, version 2)."""

import socket

from mcproxy.net.sockets import PlainSocket, packed_address
from mcproxy.wire.proxy_protocol import PackedAddress, encode_v2


def send_proxy_header(backend: PlainSocket, source: PackedAddress, local: PackedAddress | None) -> bool:
    """Name a client to a backend that has just been connected; tell whether the whole header was taken.

    Args:
        backend: its socket.
        source: the client's address and port.
        local: where the client came in: for a Unix socket, which has no address of its own; else not looked at.
    """
    try:
        there = local
        if backend.family != socket.AF_UNIX:
            host, port = backend.getpeername()[:2]
            there = packed_address(host), port
        header = encode_v2(source, there)
        # MSG_MORE: in one segment with what comes next. A new connection has room for both.
        return backend.send(header, socket.MSG_MORE) == len(header)
    except OSError:
        return False
