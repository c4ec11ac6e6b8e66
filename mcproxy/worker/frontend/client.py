"""A client's socket before its route is known: who the client is, and what it has sent."""

import socket
from typing import Any

from mcproxy.net.sockets import PlainSocket, packed_address
from mcproxy.wire.proxy_protocol import PackedAddress, ProxyHeader, Tlvs
from mcproxy.worker.tools.access_log import client_text

_PEEK = int(socket.MSG_PEEK)


class Client:
    """An accepted socket, of which nothing is consumed here but a PROXY header.

    Attributes:
        sock: the socket, non-blocking.
        tlvs: those of the PROXY header received.
    """

    __slots__ = ("_destination", "_peer", "_source", "sock", "tlvs")

    def __init__(self, sock: PlainSocket, peer: tuple[Any, ...]) -> None:
        """Take a socket, and its peer's address as `socket.accept` returns it."""
        self.sock = sock
        self._peer = peer
        self._source: PackedAddress | None = None
        self._destination: PackedAddress | None = None
        self.tlvs: Tlvs = ()

    def peer_address(self) -> bytes:
        """Return the packed address of the peer, whatever a PROXY header says."""
        return packed_address(self._peer[0])

    def source(self) -> PackedAddress:
        """Return the client's address and port: the PROXY header's where one was received and names it."""
        if self._source is None:
            self._source = packed_address(self._peer[0]), self._peer[1]
        return self._source

    def local(self) -> PackedAddress:
        """Return the address and port where the client came in."""
        host, port = self.sock.getsockname()[:2]
        return packed_address(host), port

    def destination(self) -> PackedAddress:
        """Return where the client wanted to go: the PROXY header's destination where one was received, else `local`."""
        return self._destination or self.local()

    def text(self) -> str:
        """Return address and port as lines of the access log tell them."""
        host, port = self._peer[:2]
        # The peer's own text, unless it has to be put differently: an IPv6 address in brackets, a mapped one as IPv4.
        return f"{host}:{port}" if self._source is None and ":" not in host else client_text(self.source())

    def peek(self, limit: int) -> bytes | None:
        """Return up to ``limit`` bytes that have arrived, empty if none have; None when the client is gone."""
        try:
            return self.sock.recv(limit, _PEEK) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def consume_header(self, header: ProxyHeader) -> None:
        """Read the PROXY header that was peeked, and go by what it says."""
        self.sock.recv(header.length)
        self._source, self._destination = header.source, header.destination
        if header.command == "PROXY":  # with LOCAL everything else in a header is to be ignored
            self.tlvs = header.tlvs

    def wake_at(self, size: int) -> None:
        """Have the socket count as readable when ``size`` bytes are there (SO_RCVLOWAT), or at the end of the stream."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
