"""What must hold for every PROXY header: round trips, chunking and damage."""

import ipaddress
import struct
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.errors import ProtocolError
from mcproxy.wire.proxy_protocol import MAX_V2, Need, PackedAddress, ProxyHeader, encode_v2, parse
from tests.support.examples import examples

FEW = examples(200)
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

ports = st.integers(0, 65535)
v4 = st.binary(min_size=4, max_size=4)
v6 = st.binary(min_size=16, max_size=16)
tlv_lists = st.lists(st.tuples(st.integers(0, 255).filter(lambda kind: kind != 3), st.binary(max_size=40)), max_size=6)


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, ProxyHeader]:
    """A valid header on the wire and what it says."""
    four = draw(st.booleans())
    host, code = (v4, 0x11) if four else (v6, 0x21)
    family: Literal["TCP4", "TCP6"] = "TCP4" if four else "TCP6"
    source, destination = (draw(host), draw(ports)), (draw(host), draw(ports))
    kind = draw(st.sampled_from(["v1", "v1 unknown", "v2", "v2 local"]))
    if kind == "v1":
        hosts = [str(ipaddress.ip_address(packed)) for packed, _ in (source, destination)]
        line = f"PROXY {family} {hosts[0]} {hosts[1]} {source[1]} {destination[1]}\r\n".encode()
        return line, ProxyHeader(1, "PROXY", family, source, destination, len(line))
    if kind == "v1 unknown":
        junk = draw(st.binary(max_size=90).map(lambda text: text.replace(b"\n", b"").rstrip(b"\r")))
        line = b"PROXY UNKNOWN" + (b" " + junk if junk else b"") + b"\r\n"
        return line, ProxyHeader(1, "PROXY", "UNKNOWN", None, None, len(line))
    tlvs = tuple(draw(tlv_lists))
    block = source[0] + destination[0] + struct.pack(">HH", source[1], destination[1])
    block += b"".join(struct.pack(">BH", kind, len(value)) + value for kind, value in tlvs)
    command = 0x20 if kind == "v2 local" else 0x21
    data = SIGNATURE + struct.pack(">BBH", command, code, len(block)) + block
    if kind == "v2 local":
        return data, ProxyHeader(2, "LOCAL", family, None, None, len(data), tlvs)
    return data, ProxyHeader(2, "PROXY", family, source, destination, len(data), tlvs)


@FEW
@given(headers(), st.binary(max_size=50))
def test_every_prefix(header: tuple[bytes, ProxyHeader], payload: bytes) -> None:
    """Any prefix waits for some more, never for payload; any payload behind the header leaves the answer alone."""
    data, expected = header
    for length in range(len(data)):
        answer = parse((data + payload)[:length])
        assert isinstance(answer, Need)
        assert length < answer.total <= len(data)
    assert parse(data) == parse(data + payload) == expected


@FEW
@given(st.tuples(v4 | v6, ports), st.tuples(v4 | v6, ports))
def test_written_headers_are_read_back(source: PackedAddress, destination: PackedAddress) -> None:
    """Reading what was written gives the same addresses, a mapped and a plain IPv4 address being the same."""
    written = encode_v2(source, destination)
    header = parse(written)
    assert isinstance(header, ProxyHeader)
    assert header.length == len(written) <= MAX_V2
    assert header.source is not None
    assert header.destination is not None
    assert [as_v6(header.source), as_v6(header.destination)] == [as_v6(source), as_v6(destination)]


def as_v6(address: PackedAddress) -> PackedAddress:
    host, port = address
    return (bytes(10) + b"\xff\xff" + host if len(host) == 4 else host), port


def outcome(data: bytes) -> ProxyHeader | Need | str:
    try:
        return parse(data)
    except ProtocolError as error:
        return error.reason


def check_prefixes(data: bytes) -> None:
    """More bytes never change a conclusion, and every need is more than there is."""
    final = outcome(data)
    for length in range(len(data) + 1):
        answer = outcome(data[:length])
        if isinstance(answer, Need):
            assert answer.total > length
        else:
            assert answer == final


@FEW
@given(
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY UNKNOWN", SIGNATURE, SIGNATURE + b"\x21\x11\0\x20"]),
    st.binary(max_size=120),
)
def test_arbitrary_bytes(start: bytes, tail: bytes) -> None:
    """No bytes make the reader raise anything but ProtocolError, nor change its mind."""
    check_prefixes(start + tail)


@FEW
@given(headers(), st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=3))
def test_damaged_headers(header: tuple[bytes, ProxyHeader], changes: list[tuple[int, int]]) -> None:
    """The same holds for headers with some bytes changed."""
    data = bytearray(header[0])
    for at, value in changes:
        data[at % len(data)] = value
    check_prefixes(bytes(data))
