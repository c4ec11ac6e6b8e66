"""The PROXY protocol, versions 1 and 2: reading and writing both (haproxy's ``proxy-protocol.txt``).

The reader keeps no state: it gets everything peeked so far and answers with a `ProxyHeader`, a `Need`, or a
`ProtocolError`. What it has once concluded, more bytes never change. Reasons of its errors, used as counters:

==========================  =====================================================================
``no_proxy_header``         the first bytes are the signature of neither version
``bad_proxy_header``        a header, but a malformed one (its crc32c does not fit, for instance)
``proxy_header_too_large``  more bytes than allowed (version 1: `MAX_V1`), or declared to become so
==========================  =====================================================================

Addresses are packed: 4 or 16 bytes in network order, as everywhere on the data path.
"""

import ipaddress
import struct
from functools import cache
from typing import Literal, NoReturn, TypeAlias

import msgspec

from mcproxy.errors import ProtocolError
from mcproxy.wire.need import Need

__all__ = [
    "LOCAL_HEADER",
    "MAX_V1",
    "MAX_V2",
    "SIGNATURES",
    "Need",
    "PackedAddress",
    "ProxyHeader",
    "Tlvs",
    "encode_v1",
    "encode_v2",
    "parse",
]

MAX_V1 = 107
"""Bytes a version 1 line may have, CRLF included (section 2.1)."""

MAX_V2 = 536
"""Bytes a version 2 header may have unless told otherwise: what the specification promises to fit into one segment."""

PackedAddress: TypeAlias = tuple[bytes, int]
"""Packed IPv4 or IPv6 address, and port."""

Tlvs: TypeAlias = tuple[tuple[int, bytes], ...]
"""Type and value of each TLV, in order."""

Family: TypeAlias = Literal["TCP4", "TCP6", "UDP4", "UDP6", "UNIX", "UNIX_DGRAM", "UNSPEC", "UNKNOWN"]

_V1_SIGNATURE = b"PROXY "
_V1_PORTS = range(65536)
# The shortest line of each family ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1", ...), by the four bytes after the signature.
_V1_SHORTEST = {b"TCP4": 32, b"TCP6": 22, b"UNKN": 15}
_SHORTEST = 15  # of both versions

_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
SIGNATURES = (_V1_SIGNATURE, _V2_SIGNATURE)
"""What a header of each version begins with."""

_V2_HEADER = 16
_V2_LOCAL, _V2_PROXY = 0x20, 0x21
_V2_FAMILIES: dict[int, Family] = {
    0x00: "UNSPEC",
    0x11: "TCP4",
    0x12: "UDP4",
    0x21: "TCP6",
    0x22: "UDP6",
    0x31: "UNIX",
    0x32: "UNIX_DGRAM",
}
_V2_ADDRESSES = {0: 0, 1: 12, 2: 36, 3: 216}  # bytes, by the high nibble of the family
_TLV_CRC32C = 0x03
_TLV_NOOP = 0x04

_MAPPED = bytes(10) + b"\xff\xff"

_v2_fixed = struct.Struct(">12sBBH").unpack_from
_v2_ipv4 = struct.Struct(">4s4sHH").unpack_from
_v2_ipv6 = struct.Struct(">16s16sHH").unpack_from
_tlv = struct.Struct(">BH").unpack_from
_pack_tlv = struct.Struct(">BH").pack
_pack_ipv4 = struct.Struct(">12sBBH4s4sHH").pack
_pack_ipv6 = struct.Struct(">12sBBH16s16sHH").pack

LOCAL_HEADER = _V2_SIGNATURE + b"\x20\x00\x00\x00"
"""Says that the connection is the sender's own, or that its client has no IP address."""


class ProxyHeader(msgspec.Struct, frozen=True, gc=False):
    """A complete header.

    Attributes:
        version: 1 or 2.
        command: LOCAL says that the sender speaks for itself (a health check); version 1 is always PROXY.
        family: what the header names, whether or not addresses of it count.
        source: the client; None when the connection's own address counts (LOCAL, UNKNOWN, UNSPEC, Unix sockets).
        destination: where the client connected to; None together with ``source``.
        unix_paths: source and destination path when ``family`` is a Unix one and the command PROXY.
        length: bytes of the header; what follows belongs to the connection.
        tlvs: type and value of each TLV, in order.
    """

    version: Literal[1, 2]
    command: Literal["PROXY", "LOCAL"]
    family: Family
    source: PackedAddress | None
    destination: PackedAddress | None
    length: int
    tlvs: Tlvs = ()
    unix_paths: tuple[bytes, bytes] | None = None


def parse(data: bytes | bytearray | memoryview, most: int = MAX_V2) -> ProxyHeader | Need:
    """Read the header at the start of ``data``, which is everything peeked so far; what follows it is not looked at.

    A version 2 header may have ``most`` bytes.

    The result holds no reference to ``data``.

    Raises:
        ProtocolError: as the table above says.
    """
    head = bytes(data[:most])
    if head.startswith(_V2_SIGNATURE):
        return _parse_v2(head, most)
    if head.startswith(_V1_SIGNATURE):
        return _parse_v1(head)
    if _V1_SIGNATURE.startswith(head):
        return Need(_SHORTEST)
    if _V2_SIGNATURE.startswith(head):
        return Need(_V2_HEADER)
    raise ProtocolError("no_proxy_header")


def encode_v2(source: PackedAddress | None, destination: PackedAddress | None, tlvs: Tlvs = ()) -> bytes:
    """Return the version 2 header for a TCP connection from ``source`` to ``destination``.

    Addresses that both are IPv4, or IPv4-mapped IPv6 (as a dual-stack socket shows them), give TCP4; of a mixed pair
    the IPv4 one is mapped to IPv6. When either is None (its family is not an IP one) the header is `LOCAL_HEADER`.
    Of ``tlvs``, as received, checksum and padding are left out: they belong to the header that they came in.

    Raises:
        ValueError: an address is neither 4 nor 16 bytes long.
        struct.error: a port does not fit 16 bits, or the TLVs do not fit the header.
    """
    if source is None or destination is None:
        return LOCAL_HEADER
    client, server = _one_family(source[0], destination[0])
    more = b"".join(_pack_tlv(kind, len(value)) + value for kind, value in tlvs if kind not in (_TLV_CRC32C, _TLV_NOOP))
    code, pack = (0x11, _pack_ipv4) if len(client) == 4 else (0x21, _pack_ipv6)
    length = 2 * len(client) + 4 + len(more)
    return pack(_V2_SIGNATURE, _V2_PROXY, code, length, client, server, source[1], destination[1]) + more


def encode_v1(source: PackedAddress | None, destination: PackedAddress | None) -> bytes:
    """Return the version 1 line for a TCP connection, ``UNKNOWN`` when an address is None; families as `encode_v2`.

    Raises:
        ValueError: an address is neither 4 nor 16 bytes long.
    """
    if source is None or destination is None:
        return b"PROXY UNKNOWN\r\n"
    client, server = _one_family(source[0], destination[0])
    family = "TCP4" if len(client) == 4 else "TCP6"
    addresses = f"{ipaddress.ip_address(client)} {ipaddress.ip_address(server)}"
    return f"PROXY {family} {addresses} {source[1]} {destination[1]}\r\n".encode("ascii")


def _one_family(client: bytes, server: bytes) -> tuple[bytes, bytes]:
    """Return both addresses as IPv4 where both are (perhaps mapped), else as IPv6."""
    longer = len(client), len(server)
    if len(client) == 16 and client.startswith(_MAPPED):
        client = client[12:]
    if len(server) == 16 and server.startswith(_MAPPED):
        server = server[12:]
    if len(client) == 4 == len(server):
        return client, server
    if len(client) == 4:
        client = _MAPPED + client
    elif len(server) == 4:
        server = _MAPPED + server
    if len(client) != 16 or len(server) != 16:
        raise ValueError(f"packed addresses have 4 or 16 bytes, not {longer[0]} and {longer[1]}")
    return client, server


def _bad(what: str) -> NoReturn:
    raise ProtocolError("bad_proxy_header", what)


def _parse_v1(data: bytes) -> ProxyHeader | Need:
    size = len(data)
    shortest = _SHORTEST
    if size >= 10:
        known = _V1_SHORTEST.get(data[6:10])
        if known is None:
            _bad("family")
        shortest = known
    newline = data.find(b"\n", 0, MAX_V1)
    if newline < 0:
        if size >= MAX_V1:
            raise ProtocolError("proxy_header_too_large", f"no CRLF in {MAX_V1} bytes")
        # At least CRLF is still to come. Nothing more may be waited for: it could be the client's first bytes.
        return Need(min(max(shortest, size + (1 if data.endswith(b"\r") else 2)), MAX_V1))
    if data[newline - 1] != 13:
        _bad("line not ended by CRLF")
    fields = data[len(_V1_SIGNATURE) : newline - 1].split(b" ")
    family = fields[0]
    if family == b"UNKNOWN":  # whatever follows is to be ignored
        return ProxyHeader(1, "PROXY", "UNKNOWN", None, None, newline + 1)
    if len(fields) != 5:
        _bad("number of fields")
    _, client, server, client_port, server_port = fields
    if family == b"TCP4":
        return ProxyHeader(
            1,
            "PROXY",
            "TCP4",
            (_v1_ipv4(client), _v1_port(client_port)),
            (_v1_ipv4(server), _v1_port(server_port)),
            newline + 1,
        )
    if family == b"TCP6":
        return ProxyHeader(
            1,
            "PROXY",
            "TCP6",
            (_v1_ipv6(client), _v1_port(client_port)),
            (_v1_ipv6(server), _v1_port(server_port)),
            newline + 1,
        )
    _bad("family")


def _v1_ipv4(field: bytes) -> bytes:
    try:
        return ipaddress.IPv4Address(field.decode("ascii")).packed
    except ValueError:
        _bad("IPv4 address")


def _v1_ipv6(field: bytes) -> bytes:
    if b"%" in field:
        _bad("IPv6 address with a zone")
    try:
        return ipaddress.IPv6Address(field.decode("ascii")).packed
    except ValueError:
        _bad("IPv6 address")


def _v1_port(field: bytes) -> int:
    if not (field.isdigit() and len(field) <= 5 and (field[0] != 48 or field == b"0")):
        _bad("port")
    port = int(field)
    if port not in _V1_PORTS:
        _bad("port")
    return port


def _parse_v2(data: bytes, most: int) -> ProxyHeader | Need:
    if len(data) < _V2_HEADER:
        return Need(_V2_HEADER)
    _, command, code, length = _v2_fixed(data)
    local = command == _V2_LOCAL
    if not local and command != _V2_PROXY:
        _bad("version or command")
    family = _V2_FAMILIES.get(code)
    if family is None:
        if not local:
            _bad("address family")
        family = "UNSPEC"  # with LOCAL the family means nothing
    length += _V2_HEADER
    if length > most:
        raise ProtocolError("proxy_header_too_large", f"{length} bytes")
    start = _V2_HEADER + _V2_ADDRESSES[code >> 4 if family != "UNSPEC" else 0]
    if length < start and not local:
        _bad("address block too short")
    if len(data) < length:
        return Need(length)
    tlvs = _tlvs(data, start, length, lenient=local or family == "UNSPEC") if start < length else ()
    if local or family == "UNSPEC":
        return ProxyHeader(2, "LOCAL" if local else "PROXY", family, None, None, length, tlvs)
    if start == _V2_HEADER + 12:
        client, server, client_port, server_port = _v2_ipv4(data, _V2_HEADER)
    elif start == _V2_HEADER + 36:
        client, server, client_port, server_port = _v2_ipv6(data, _V2_HEADER)
    else:
        # A path fills 108 bytes, padded with NUL; one that starts with NUL is a name of the abstract namespace.
        paths = data[_V2_HEADER : _V2_HEADER + 108].rstrip(b"\0"), data[_V2_HEADER + 108 : start].rstrip(b"\0")
        return ProxyHeader(2, "PROXY", family, None, None, length, tlvs, paths)
    return ProxyHeader(2, "PROXY", family, (client, client_port), (server, server_port), length, tlvs)


def _tlvs(data: bytes, position: int, end: int, *, lenient: bool) -> Tlvs:
    """Split the TLVs of section 2.2 and verify the checksum, if there is one.

    The block of a LOCAL or UNSPEC header is to be ignored, so one that holds no TLVs is no error there (``lenient``).
    """
    found: list[tuple[int, bytes]] = []
    checksum = -1  # where its four bytes start
    while position + 3 <= end:
        kind, length = _tlv(data, position)
        position += 3
        value = data[position : position + length]
        if kind == _TLV_CRC32C and position + length <= end:
            if length != 4 or checksum >= 0:
                _bad("crc32c")
            checksum = position
        found.append((kind, value))
        position += length
    if position != end:
        if lenient:
            return ()
        _bad("TLVs")
    if checksum >= 0:
        expected = int.from_bytes(data[checksum : checksum + 4])
        if _crc32c(data[:checksum] + bytes(4) + data[checksum + 4 : end]) != expected:
            _bad("crc32c does not fit")
    return tuple(found)


@cache
def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


def _crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli, RFC 3720 appendix B.4) of ``data``."""
    table = _crc32c_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
