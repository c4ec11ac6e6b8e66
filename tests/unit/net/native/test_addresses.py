"""Addresses and routes in the form that the native core takes; the kernel knows the former, the core the latter."""

import socket
import struct

import pytest

from mcproxy.net.native.addresses import SETTINGS, pack_route, sockaddr, unpack_peer
from mcproxy.net.native.records import ADDRESS, ROUTE_ADDRESS, SIZES, Record, Route
from mcproxy.net.sockets import SocketAddress

_UNIX = int(socket.AF_UNIX)
_IPV6 = int(socket.AF_INET6)


@pytest.mark.parametrize(
    ("address", "rest"),
    [
        ((int(socket.AF_INET), ("192.0.2.7", 8443)), bytes.fromhex("20fb c0000207") + bytes(8)),
        ((_IPV6, ("2001:db8::1", 80)), bytes.fromhex("0050 00000000 20010db8") + bytes(11) + b"\1" + bytes(4)),
        (
            (_IPV6, ("fe80::1", 80, 5, 2)),
            bytes.fromhex("0050 00000005 fe80") + bytes(13) + b"\1" + struct.pack("=I", 2),
        ),
        ((_UNIX, "/run/\udcffapp.sock"), b"/run/\xffapp.sock\0"),
    ],
)
def test_addresses_as_connect_takes_them(address: SocketAddress, rest: bytes) -> None:
    """Family in the machine's order, all else in that of the network."""
    assert sockaddr(address) == struct.pack("=H", address[0]) + rest


@pytest.mark.parametrize("address", [(_UNIX, "x" * 108), (_UNIX, ""), (_IPV6, ("fe80::1%lo", 80))])
def test_addresses_that_only_python_can_connect_to(address: SocketAddress) -> None:
    """Paths that are too long, and zones, which have to be looked up."""
    assert sockaddr(address) is None


def test_the_longest_path_fits() -> None:
    """A path of 107 bytes and its end take what a route has room for."""
    address = sockaddr((_UNIX, "x" * 107))
    assert address
    assert len(address) == ADDRESS


def test_a_route_is_laid_out_as_its_structure() -> None:
    """Every argument is where the core reads it; limits that are not given are negative."""
    packed = pack_route(7, 11, ROUTE_ADDRESS, (1, 2, 3, 4), b"address", None, 2.5)
    assert len(packed) == SIZES[-1]
    route = Route.from_buffer_copy(packed)
    assert (route.name, route.name_length, route.kind) == (7, 11, ROUTE_ADDRESS)
    assert (route.connections, route.active, route.received, route.sent) == (1, 2, 3, 4)
    assert bytes(route.address[: route.address_length]) == b"address"
    assert (route.connect_timeout, route.idle_timeout) == (SETTINGS, 2.5)
    assert SETTINGS < 0


def test_peers_are_told_as_accept_tells_them() -> None:
    """Two items for IPv4, four for IPv6, mapped addresses as such."""
    record = Record(family=socket.AF_INET, port=1234)
    record.address[:4] = [192, 0, 2, 7]
    assert unpack_peer(record) == ("192.0.2.7", 1234)
    record = Record(family=socket.AF_INET6, port=5, flowinfo=6, scope=7)
    record.address[:] = list(socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.7"))
    assert unpack_peer(record) == ("::ffff:192.0.2.7", 5, 6, 7)
