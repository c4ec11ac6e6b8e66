"""Naming the client to a backend: the whole header, or the connection is no good."""

import socket
from typing import cast

import pytest

from mcproxy.net.sockets import PlainSocket
from mcproxy.wire.proxy_protocol import LOCAL_HEADER, Tlvs, encode_v1, encode_v2, parse
from mcproxy.worker.backends.proxy_header import HeaderOptions, send_proxy_header

CLIENT = bytes([192, 0, 2, 1]), 5000
BACKEND = bytes([192, 0, 2, 2]), 443
HERE = bytes([192, 0, 2, 3]), 8443


class FakeSocket:
    """A connected socket that takes so many bytes, or fails."""

    def __init__(self, family: int = socket.AF_INET, takes: int = 1000, error: OSError | None = None) -> None:
        self.family = family
        self.sent = b""
        self.flags = 0
        self._takes = takes
        self._error = error

    def getpeername(self) -> tuple[str, int]:
        return "192.0.2.2", 443

    def send(self, data: bytes, flags: int) -> int:
        if self._error is not None:
            raise self._error
        self.sent, self.flags = data[: self._takes], flags
        return len(self.sent)


V2 = HeaderOptions()


def send(
    sock: FakeSocket, destination: tuple[bytes, int] | None = None, options: HeaderOptions = V2, tlvs: Tlvs = ()
) -> bool:
    return send_proxy_header(cast("PlainSocket", sock), options, CLIENT, destination, tlvs)


def test_the_header_names_the_client_and_the_backend() -> None:
    """In one segment with what comes next."""
    sock = FakeSocket()
    assert send(sock)
    assert sock.sent == encode_v2(CLIENT, BACKEND)
    assert sock.flags == socket.MSG_MORE


def test_for_a_unix_socket_it_names_where_the_client_came_in() -> None:
    """Such a backend has no address; where there is none at all, the header names nobody."""
    sock = FakeSocket(socket.AF_UNIX)
    assert send(sock, HERE)
    header = parse(sock.sent)
    assert (getattr(header, "source", None), getattr(header, "destination", None)) == (CLIENT, HERE)
    assert send(sock)
    assert sock.sent == LOCAL_HEADER


def test_another_destination_than_the_backend() -> None:
    """Whatever family its socket has."""
    for family in (socket.AF_INET, socket.AF_UNIX):
        sock = FakeSocket(family)
        assert send(sock, HERE)
        assert sock.sent == encode_v2(CLIENT, HERE)


def test_a_header_of_version_1() -> None:
    """A line; TLVs have no place in it."""
    sock = FakeSocket()
    assert send(sock, options=HeaderOptions("v1", tlvs=True), tlvs=((0xEA, b"x"),))
    assert sock.sent == encode_v1(CLIENT, BACKEND) == b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\n"


def test_tlvs_are_passed_on_where_the_route_says_so() -> None:
    """Those that were received."""
    tlvs = (0xEA, b"vpce-1"), (0x02, b"app.example")
    sock = FakeSocket()
    assert send(sock, tlvs=tlvs)
    assert sock.sent == encode_v2(CLIENT, BACKEND)
    assert send(sock, options=HeaderOptions(tlvs=True), tlvs=tlvs)
    assert getattr(parse(sock.sent), "tlvs", None) == tlvs


def test_tlvs_that_fit_no_header_are_told() -> None:
    """As a header that was not taken."""
    assert not send(FakeSocket(), options=HeaderOptions(tlvs=True), tlvs=((0xEA, bytes(65535)),))


@pytest.mark.parametrize("taken", [0, 1, 27])
def test_a_header_that_is_cut_off_is_told(taken: int) -> None:
    """The backend would take the client's bytes for the rest of it."""
    assert len(encode_v2(CLIENT, BACKEND)) == 28
    assert not send(FakeSocket(takes=taken))


def test_a_backend_that_is_gone_is_told() -> None:
    """As a header that was not taken, not as an exception."""
    assert not send(FakeSocket(error=ConnectionResetError()))
