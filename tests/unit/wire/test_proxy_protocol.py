"""The PROXY protocol reader and writer against known headers."""

import ipaddress
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from mcproxy.errors import ProtocolError
from mcproxy.wire.proxy_protocol import (
    LOCAL_HEADER,
    MAX_V1,
    MAX_V2,
    Need,
    PackedAddress,
    ProxyHeader,
    encode_v1,
    encode_v2,
    parse,
)
from tests.support.rows import each_row

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "data" / "proxy_protocol.json").read_text())

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed


def conclude(data: bytes | memoryview) -> dict[str, object]:
    try:
        result = parse(data)
    except ProtocolError as error:
        return {"error": error.reason}
    return {"need": result.total} if isinstance(result, Need) else {"header": result}


def expected_of(vector: dict[str, Any]) -> dict[str, object]:
    """Return the vector's conclusion, its header as the parser would give it."""
    fields = vector["expected"].get("header")
    if fields is None:
        return dict(vector["expected"])
    source: PackedAddress | None = None
    destination: PackedAddress | None = None
    paths: tuple[bytes, bytes] | None = None
    if fields["family"].startswith("UNIX"):
        paths = fields["src"].encode(), fields["dst"].encode()
    elif "src" in fields:
        source = packed(fields["src"]), fields["sport"]
        destination = packed(fields["dst"]), fields["dport"]
    tlvs = tuple(
        (int(kind, 16), bytes.fromhex(value)) for kind, value in (t.split(":") for t in fields.get("tlvs", []))
    )
    version, command, family, length = (fields[key] for key in ("version", "command", "family", "length"))
    return {"header": ProxyHeader(version, command, family, source, destination, length, tlvs, paths)}


def v2(block: bytes = b"", command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, family, len(block)) + block


ADDRESSES = packed("192.0.2.1") + packed("192.0.2.2") + struct.pack(">HH", 1000, 443)


@each_row("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vector(vector: dict[str, Any]) -> None:
    """Every known header leads to what is on record for it."""
    data = bytes.fromhex(vector["hex"])
    assert conclude(data) == expected_of(vector)
    assert conclude(memoryview(bytearray(data))) == expected_of(vector)


@each_row("vector", VECTORS, ids=lambda vector: vector["name"])
def test_every_prefix_waits_or_concludes_the_same(vector: dict[str, Any]) -> None:
    """A prefix asks for more than there is, but never for the first byte behind the header, or gives the answer."""
    data = bytes.fromhex(vector["hex"])[:700]
    final = conclude(data)
    header = final.get("header")
    for length in range(len(data)):
        answer = conclude(data[:length])
        if "need" in answer:
            total = answer["need"]
            assert isinstance(total, int)
            assert total > length
            assert not isinstance(header, ProxyHeader) or total <= header.length
        else:
            assert answer == final


@pytest.mark.parametrize(
    ("source", "destination", "family", "read"),
    [
        ("192.0.2.1", "198.51.100.2", "TCP4", ("192.0.2.1", "198.51.100.2")),
        ("2001:db8::1", "2001:db8::2", "TCP6", ("2001:db8::1", "2001:db8::2")),
        ("::ffff:192.0.2.1", "::ffff:198.51.100.2", "TCP4", ("192.0.2.1", "198.51.100.2")),
        ("192.0.2.1", "2001:db8::2", "TCP6", ("::ffff:192.0.2.1", "2001:db8::2")),
        ("2001:db8::1", "198.51.100.2", "TCP6", ("2001:db8::1", "::ffff:198.51.100.2")),
        ("::ffff:192.0.2.1", "198.51.100.2", "TCP4", ("192.0.2.1", "198.51.100.2")),
        ("::ffff:192.0.2.1", "2001:db8::2", "TCP6", ("::ffff:192.0.2.1", "2001:db8::2")),
    ],
)
def test_written_header_names_both_ends(source: str, destination: str, family: str, read: tuple[str, str]) -> None:
    """Families that agree are written as they are, mixed ones as IPv6 with the IPv4 address mapped."""
    written = encode_v2((packed(source), 51000), (packed(destination), 443))
    header = parse(written + b"\x16\x03\x01")
    assert isinstance(header, ProxyHeader)
    assert (header.family, header.command, header.length) == (family, "PROXY", len(written))
    assert header.source == (packed(read[0]), 51000)
    assert header.destination == (packed(read[1]), 443)


def test_written_bytes() -> None:
    """The wire form is that of the specification, byte by byte."""
    assert encode_v2((packed("192.0.2.1"), 1000), (packed("192.0.2.2"), 443)) == v2(ADDRESSES)


@pytest.mark.parametrize("pair", [(None, None), ((b"\x7f\0\0\1", 1), None), (None, (b"\x7f\0\0\1", 1))])
def test_no_ip_address_gives_a_local_header(pair: tuple[PackedAddress | None, PackedAddress | None]) -> None:
    """A connection without IP addresses is announced as LOCAL, which readers take as the sender's own."""
    assert encode_v2(*pair) == LOCAL_HEADER
    assert parse(LOCAL_HEADER) == ProxyHeader(2, "LOCAL", "UNSPEC", None, None, 16)


def test_writer_refuses_addresses_that_are_none() -> None:
    """A wrong length is the caller's mistake and raises."""
    with pytest.raises(ValueError, match="4 or 16 bytes, not 5 and 4"):
        encode_v2((b"12345", 1), (b"1234", 1))
    with pytest.raises(ValueError, match="4 or 16 bytes, not 4 and 0"):
        encode_v2((b"1234", 1), (b"", 1))


def with_checksum(crc: bytes, tail: bytes = b"") -> bytes:
    return v2(ADDRESSES + b"\x03\x00\x04" + crc + tail)


def crc32c(data: bytes) -> int:
    """The checksum bit by bit, straight from its definition."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize("tail", [b"", b"\x02\x00\x03abc"])
def test_checksum_is_verified(tail: bytes) -> None:
    """A header whose crc32c fits is read, one with any other is refused."""
    assert crc32c(b"123456789") == 0xE3069283  # the published check value
    right = crc32c(with_checksum(bytes(4), tail)).to_bytes(4)
    header = parse(with_checksum(right, tail))
    assert isinstance(header, ProxyHeader)
    assert header.tlvs[0] == (3, right)
    for at in range(4):
        wrong = bytearray(right)
        wrong[at] ^= 1
        assert conclude(with_checksum(bytes(wrong), tail)) == {"error": "bad_proxy_header"}


@pytest.mark.parametrize("tlvs", [b"\x03\x00\x03abc", b"\x03\x00\x00", b"\x03\x00\x04abcd" * 2])
def test_malformed_checksums(tlvs: bytes) -> None:
    """A checksum has four bytes and there is one of it."""
    assert conclude(v2(ADDRESSES + tlvs)) == {"error": "bad_proxy_header"}


def test_local_block_is_skipped_whatever_it_holds() -> None:
    """With LOCAL neither family nor block mean anything; the connection's own address counts."""
    for family in (0x00, 0x11, 0x21, 0x31, 0x99):
        for block in (b"", b"\xaa", b"\xaa\xbb\xcc\xdd\xee", ADDRESSES, ADDRESSES + b"\x01\x00"):
            header = parse(v2(block, 0x20, family))
            assert isinstance(header, ProxyHeader)
            assert (header.command, header.source, header.length) == ("LOCAL", None, 16 + len(block))


def test_abstract_unix_name_keeps_its_leading_nul() -> None:
    """A Unix path is read up to its padding; a name of the abstract namespace starts with NUL."""
    header = parse(v2(b"\0hidden".ljust(108, b"\0") + b"/run/x".ljust(108, b"\0"), family=0x31))
    assert isinstance(header, ProxyHeader)
    assert header.unix_paths == (b"\0hidden", b"/run/x")
    assert header.source is None


def test_largest_v2_header() -> None:
    """MAX_V2 bytes are read; one more is refused as soon as the length is there."""
    room = MAX_V2 - 16 - len(ADDRESSES) - 3
    largest = v2(ADDRESSES + b"\x04" + struct.pack(">H", room) + bytes(room))
    assert len(largest) == MAX_V2
    assert isinstance(parse(largest), ProxyHeader)
    over = v2(ADDRESSES + b"\x04" + struct.pack(">H", room + 1) + bytes(room + 1))
    assert conclude(over[:16]) == {"error": "proxy_header_too_large"}


def test_longest_v1_line() -> None:
    """MAX_V1 bytes with CRLF are read; a line that is longer is refused at MAX_V1 bytes."""
    line = b"PROXY UNKNOWN " + b"x" * (MAX_V1 - 16)
    assert parse(line + b"\r\n") == ProxyHeader(1, "PROXY", "UNKNOWN", None, None, MAX_V1)
    assert conclude((line + b"x\r\n")[: MAX_V1 - 1]) == {"need": MAX_V1}
    assert conclude(line + b"x\r\n") == {"error": "proxy_header_too_large"}
    assert conclude((line + b"x\r\n")[:MAX_V1]) == {"error": "proxy_header_too_large"}


@each_row(
    ("data", "need"),
    [
        (b"", 15),
        (b"PROX", 15),
        (b"PROXY ", 15),
        (b"PROXY UNKN", 15),
        (b"PROXY UNKNOWN", 15),
        (b"PROXY UNKNOWN\r", 15),
        (b"PROXY UNKNOWN ff", 18),
        (b"PROXY TCP4", 32),
        (b"PROXY TCP6 ", 22),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1", 34),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r", 36),
        (b"\r", 16),
        (SIGNATURE, 16),
        (v2(ADDRESSES)[:16], 28),
    ],
)
def test_need(data: bytes, need: int) -> None:
    """The wait is for the shortest header that begins like this."""
    assert conclude(data) == {"need": need}


@pytest.mark.parametrize(
    "shortest", [b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n", b"PROXY TCP6 :: :: 0 0\r\n", b"PROXY UNKNOWN\r\n"]
)
def test_shortest_lines_are_never_waited_past(shortest: bytes) -> None:
    """Not even the shortest line of a family makes the reader wait for bytes of the client."""
    for length in range(len(shortest)):
        answer = parse(shortest[:length])
        assert isinstance(answer, Need)
        assert answer.total <= len(shortest)
    assert isinstance(parse(shortest), ProxyHeader)


@each_row(
    "line",
    [
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 100000\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1 1 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.\xb2 1 1\r\n",
        b"PROXY TCP6 ::1 fe80::1%lo 1 1\r\n",
        b"PROXY TCP4\r\n" + b" " * 20,
        b"PROXY UNKNOWNX\r\n",
        b"PROXY TCP44 1.1.1.1 1.1.1.1 1 1\r\n",
        b"PROXY UNKNOWN x\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\r\n",
    ],
)
def test_malformed_v1(line: bytes) -> None:
    """Version 1 is read exactly as it is specified."""
    assert conclude(line) == {"error": "bad_proxy_header"}


@pytest.mark.parametrize(
    ("source", "destination", "line"),
    [
        ("192.0.2.1", "192.0.2.2", b"PROXY TCP4 192.0.2.1 192.0.2.2 51000 443\r\n"),
        ("::ffff:192.0.2.1", "192.0.2.2", b"PROXY TCP4 192.0.2.1 192.0.2.2 51000 443\r\n"),
        ("2001:db8::1", "2001:db8::2", b"PROXY TCP6 2001:db8::1 2001:db8::2 51000 443\r\n"),
    ],
)
def test_version_1_is_written(source: str, destination: str, line: bytes) -> None:
    """As version 2 chooses the family; the line is read back as what was written."""
    assert encode_v1((packed(source), 51000), (packed(destination), 443)) == line
    header = parse(line)
    assert isinstance(header, ProxyHeader)
    assert (header.version, header.length) == (1, len(line))


def test_version_1_of_mixed_families_is_ipv6() -> None:
    """The IPv4 address is mapped, as in version 2; the longest line fits the specification's bound."""
    client, server = (packed("192.0.2.1"), 51000), (packed("2001:db8::2"), 443)
    header = parse(encode_v1(client, server))
    assert isinstance(header, ProxyHeader)
    assert header.source == (bytes(10) + b"\xff\xff" + client[0], 51000)
    assert header.destination == server
    assert len(encode_v1((b"\xff" * 16, 65535), (b"\xff" * 16, 65535))) <= MAX_V1


def test_version_1_without_addresses_names_nobody() -> None:
    """What a receiver then counts is the connection itself."""
    assert encode_v1(None, (packed("192.0.2.2"), 443)) == encode_v1((packed("192.0.2.1"), 1), None)
    assert encode_v1(None, None) == b"PROXY UNKNOWN\r\n"


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_tlvs_are_written_without_checksum_and_padding(host: str) -> None:
    """These belong to the header that was received, and would be wrong in another."""
    kept = (0x01, b"h2"), (0xEA, b""), (0xEE, bytes(300))
    address = packed(host), 1000
    data = encode_v2(address, address, (*kept[:1], (0x03, b"1234"), (0x04, bytes(9)), *kept[1:]))
    header = parse(data)
    assert isinstance(header, ProxyHeader)
    assert header.tlvs == kept
    assert header.length == len(data)
    assert header.source == address
    with pytest.raises(struct.error):
        encode_v2(address, address, ((0xEE, bytes(65536)),))
    assert encode_v2(None, None, kept) == LOCAL_HEADER
