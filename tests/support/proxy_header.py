"""PROXY headers, written and read by the specification's tables, without the code under test."""

import ipaddress
import socket
import struct
from typing import NamedTuple

from tests.support.tls import receive_exactly

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
CRC32C = 0x03


class Names(NamedTuple):
    """The addresses and ports that a header names."""

    source: str
    source_port: int
    destination: str
    destination_port: int


def v1(names: Names) -> bytes:
    """Return a version 1 header."""
    family = "TCP6" if ":" in names.source else "TCP4"
    line = f"PROXY {family} {names.source} {names.destination} {names.source_port} {names.destination_port}\r\n"
    return line.encode()


def v2(names: Names, tlvs: bytes = b"", *, checksum: bool = False) -> bytes:
    """Return a version 2 header for a stream connection; with ``checksum`` a crc32c comes last."""
    hosts = [ipaddress.ip_address(host).packed for host in (names.source, names.destination)]
    family = 0x11 if len(hosts[0]) == 4 else 0x21
    block = b"".join(hosts) + struct.pack(">HH", names.source_port, names.destination_port) + tlvs
    if not checksum:
        return SIGNATURE + struct.pack(">BBH", 0x21, family, len(block)) + block
    start = SIGNATURE + struct.pack(">BBH", 0x21, family, len(block) + 7) + block + struct.pack(">BH", CRC32C, 4)
    return start + crc32c(start + bytes(4)).to_bytes(4, "big")


def tlv(kind: int, value: bytes) -> bytes:
    """Return one TLV."""
    return struct.pack(">BH", kind, len(value)) + value


def crc32c(data: bytes) -> int:
    """Return the checksum, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def read(data: bytes) -> tuple[Names | None, bytes]:
    """Split received bytes into what their version 2 header names (None: LOCAL) and what follows."""
    if not data.startswith(SIGNATURE):
        raise ValueError(f"no header: {data[:40]!r}")
    command, family, size = struct.unpack_from(">BBH", data, 12)
    rest = data[16 + size :]
    if command == 0x20:
        return None, rest
    if (command, size) not in ((0x21, 12), (0x21, 36)) or family != {12: 0x11, 36: 0x21}[size]:
        raise ValueError(f"unexpected header {data[:16]!r}")
    source, destination, *ports = struct.unpack_from(f">{(size - 4) // 2}s{(size - 4) // 2}sHH", data, 16)
    version = socket.AF_INET if size == 12 else socket.AF_INET6
    hosts = [socket.inet_ntop(version, packed) for packed in (source, destination)]
    return Names(hosts[0], ports[0], hosts[1], ports[1]), rest


def receive(sock: socket.socket) -> Names | None:
    """Receive exactly one version 2 header and return what it names."""
    head = receive_exactly(sock, 16)
    (size,) = struct.unpack_from(">H", head, 14)
    names, rest = read(head + receive_exactly(sock, size))
    assert rest == b""
    return names
