"""Addresses and routes in the form that the native core takes."""

import socket
import struct
import sys

from mcproxy.net.native import records
from mcproxy.net.sockets import SocketAddress

_route = struct.Struct(f"ddIHBBIIIII{records.ADDRESS}s6x")
_family = struct.Struct("=H")
_UNIX = int(socket.AF_UNIX)
_IPV4 = int(socket.AF_INET)
_SUN_PATH = 107  # bytes of a path, unix(7)

ROUTE_SIZE = _route.size
"""Bytes of a route of a table."""
SETTINGS = -1.0
"""Stands for a time limit of the settings."""


def sockaddr(destination: SocketAddress) -> bytes | None:
    """Return what connect(2) takes for an address; None for what only Python's `socket` can make one of: a long path, a zone."""
    family, address = destination
    start = _family.pack(family)
    if isinstance(address, str):
        path = address.encode("utf-8", "surrogateescape")
        return start + path + b"\0" if 0 < len(path) <= _SUN_PATH else None
    host, port = address[:2]
    try:
        packed = socket.inet_pton(family, host)
    except OSError:
        return None
    end = port.to_bytes(2, "big")
    if family == _IPV4:
        return start + end + packed + bytes(8)
    flowinfo, scope = address[2:] if len(address) == 4 else (0, 0)
    return start + end + flowinfo.to_bytes(4, "big") + packed + struct.pack("=I", scope)


def pack_route(
    name: int,
    name_length: int,
    kind: int,
    words: tuple[int, int, int, int],
    address: bytes = b"",
    connect_timeout: float | None = None,
    idle_timeout: float | None = None,
    upstream: int = 0,
) -> bytes:
    """Return a route of a table (``struct mcp_route``).

    Args:
        name: where its hostname pattern begins among the names, in bytes.
        name_length: bytes of it.
        kind: ``records.ROUTE_...``.
        words: those that count connections, open ones, bytes received and bytes sent.
        address: a `sockaddr`, for `records.ROUTE_ADDRESS`.
        connect_timeout: seconds; None for the settings' value.
        idle_timeout: the same, infinite for never.
        upstream: the number of one whose turns the core takes, for `records.ROUTE_UPSTREAM`; 0 for none.
    """
    return _route.pack(
        SETTINGS if connect_timeout is None else connect_timeout,
        SETTINGS if idle_timeout is None else idle_timeout,
        name,
        name_length,
        kind,
        len(address),
        *words,
        upstream,
        address,
    )


def packed_peer(record: records.Record) -> bytes:
    """Return the packed address of the peer: 4 or 16 bytes."""
    return record.ipv4.to_bytes(4, sys.byteorder) if record.family == _IPV4 else bytes(record.address)


def unpack_peer(record: records.Record) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return the peer's address as `socket.accept` does."""
    packed = packed_peer(record)
    if len(packed) == 4:
        return socket.inet_ntoa(packed), record.port
    return socket.inet_ntop(socket.AF_INET6, packed), record.port, record.flowinfo, record.scope


assert _route.size == records.SIZES[-1]  # noqa: S101 - of two constants
