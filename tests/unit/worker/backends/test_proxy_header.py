"""Naming the client to a backend: the whole header, or the connection is no good."""

import socket
from typing import cast

import pytest

from mcproxy.net.sockets import PlainSocket
from mcproxy.wire.proxy_protocol import LOCAL_HEADER, encode_v2, parse
from mcproxy.worker.backends.proxy_header import send_proxy_header

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


def send(sock: FakeSocket, local: tuple[bytes, int] | None = HERE) -> bool:
    return send_proxy_header(cast("PlainSocket", sock), CLIENT, local)


def test_the_header_names_the_client_and_the_backend() -> None:
    """In one segment with what comes next."""
    sock = FakeSocket()
    assert send(sock)
    assert sock.sent == encode_v2(CLIENT, BACKEND)
    assert sock.flags == socket.MSG_MORE


def test_for_a_unix_socket_it_names_where_the_client_came_in() -> None:
    """Such a backend has no address; where there is none at all, the header names nobody."""
    sock = FakeSocket(socket.AF_UNIX)
    assert send(sock)
    header = parse(sock.sent)
    assert (getattr(header, "source", None), getattr(header, "destination", None)) == (CLIENT, HERE)
    assert send(sock, None)
    assert sock.sent == LOCAL_HEADER


@pytest.mark.parametrize("taken", [0, 1, 27])
def test_a_header_that_is_cut_off_is_told(taken: int) -> None:
    """The backend would take the client's bytes for the rest of it."""
    assert len(encode_v2(CLIENT, BACKEND)) == 28
    assert not send(FakeSocket(takes=taken))


def test_a_backend_that_is_gone_is_told() -> None:
    """As a header that was not taken, not as an exception."""
    assert not send(FakeSocket(error=ConnectionResetError()))
