"""A client's socket before its route is known: who the client is, and what it has sent."""

import socket
from typing import Any

import msgspec

from mcproxy.errors import ProtocolError
from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory.sparse_counters import SparseCounters, key
from mcproxy.net.sockets import PlainSocket, packed_address
from mcproxy.wire import opening, proxy_protocol
from mcproxy.wire.client_hello import MAX_HELLO, ClientHello, alpn_protocols
from mcproxy.wire.client_hello import parse as parse_hello
from mcproxy.wire.need import Need
from mcproxy.wire.opening import Opening
from mcproxy.wire.proxy_protocol import PackedAddress, ProxyHeader, Tlvs
from mcproxy.worker.backends.proxy_header import HeaderOptions, send_proxy_header
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.live.guards import Door
from mcproxy.worker.live.listener import LiveListener, LiveRoute
from mcproxy.worker.tools.access_log import client_text
from mcproxy.worker.tools.gate import ClientGate

_PEEK = int(socket.MSG_PEEK)
_DATAGRAMS = frozenset({"UDP4", "UDP6", "UNIX_DGRAM"})  # families that no connection of a stream socket has


class Client(msgspec.Struct, eq=False):
    """An accepted socket, of which nothing is consumed here but a PROXY header.

    Attributes:
        sock: the socket, non-blocking.
        peer: its peer's address as `socket.accept` returns it.
        unnamed: it is a proxy's, which has not named a client.
        counted: what the gate counts it by, None where it does not.
    """

    sock: PlainSocket
    peer: tuple[Any, ...]
    unnamed: bool = False
    counted: int | None = None
    _source: PackedAddress | None = None
    _header: ProxyHeader | None = None

    @property
    def local_header(self) -> bool:
        """Whether it is a proxy's own connection, as its header says (LOCAL): a health check."""
        return self._header is not None and self._header.command == "LOCAL"

    @property
    def _tlvs(self) -> Tlvs:
        """Those of the PROXY header received; with LOCAL everything else in a header is to be ignored."""
        return () if self._header is None or self.local_header else self._header.tlvs

    def peer_address(self) -> bytes:
        """Return the packed address of the peer, whatever a PROXY header says."""
        return packed_address(self.peer[0])

    def source(self) -> PackedAddress:
        """Return the client's address and port: the PROXY header's where one was received and names it."""
        if self._source is None:
            self._source = packed_address(self.peer[0]), self.peer[1]
        return self._source

    def local(self) -> PackedAddress:
        """Return the address and port where the client came in."""
        host, port = self.sock.getsockname()[:2]
        return packed_address(host), port

    def destination(self) -> PackedAddress:
        """Return where the client wanted to go: the PROXY header's destination where one was received, else `local`."""
        return (self._header and self._header.destination) or self.local()

    def enter(self, gate: ClientGate, now: float) -> str | None:
        """Return why the gate refuses the client (a counter's word); None if it lets it in, and `leave` is to follow.

        Args:
            gate: judges it.
            now: monotonic seconds.
        """
        verdict = gate.refusal(self.source()[0], now, rated=not self.local_header)
        if isinstance(verdict, int):
            self.counted = verdict
            return None
        return verdict

    def count(self, gate: ClientGate) -> None:
        """Have the gate count a client that it has let in uncounted; who is not named yet, or a health check, is none."""
        if self.counted is None and not self.unnamed:
            self.counted = gate.enter_late(self.source()[0])

    def leave(self, gate: ClientGate) -> None:
        """Have the gate count it no longer: the connection is over."""
        if self.counted is not None:
            gate.leave(self.counted)
            self.counted = None

    def refused_at(self, door: Door, route: int, sparse: SparseCounters) -> Failure | None:
        """Return why filters do not let the client in, None if they do.

        Args:
            door: what they say.
            route: the index of the route that they hold for.
            sparse: where refusals are counted.
        """
        refusal = door.judge(self.source()[0], rated=not self.local_header)
        if refusal is None:
            return None
        if not self.local_header:
            sparse.count(key(route, refusal.stage, refusal.filter))
        return Failure(refusal.reason, refusal.detail, filter=refusal.filter)

    def arrival(self, listener: LiveListener, route: LiveRoute | None, server_name: str | None) -> Arrival:
        """Return what HTTP sessions know of the client."""
        source, local, destination = self.source(), self.local(), self.destination()
        proxied, logged = self._header is not None, not self.local_header
        return Arrival(listener, route, source, local, server_name, destination, self._tlvs, proxied, logged)

    def name_to(self, backend: PlainSocket, header: HeaderOptions) -> bool:
        """Send a PROXY header to a backend; tell whether it was taken as a whole."""
        destination = None
        if header.original:
            destination = self.destination()
        elif backend.family == socket.AF_UNIX:
            destination = self.local()
        return send_proxy_header(backend, header, self.source(), destination, self._tlvs)

    def text(self) -> str:
        """Return address and port as lines of the access log tell them."""
        return peer_text(self.peer) if self._source is None else client_text(self._source)

    def peek(self, limit: int) -> bytes | None:
        """Return up to ``limit`` bytes that have arrived, empty if none have; None when the client is gone."""
        try:
            return self.sock.recv(limit, _PEEK) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def take_header(self, most: int) -> int | str:
        """Read the PROXY header if it is complete, and go by what it says.

        Args:
            most: bytes that one of version 2 may have.

        Returns:
            0; or how many bytes must be there; or why the client is refused (a counter's word).
        """
        data = self.peek(most)
        if not data:
            return "client_gone" if data is None else 1
        try:
            header = proxy_protocol.parse(data, most)
        except ProtocolError as error:
            return error.reason
        if type(header) is Need:  # isinstance takes longer: msgspec's metaclass has a say in it
            return header.total
        if header.command == "PROXY" and header.family in _DATAGRAMS:
            return "bad_proxy_header"
        self.sock.recv(header.length)
        self._header = header
        self._source = header.source
        self.unnamed = header.source is None or self._is_peer(header.source)
        self.wake_at(1)
        return 0

    def peek_hello(self) -> ClientHello | int | str:
        """Return the ClientHello if it is complete; else how many bytes must be there, or why the client is refused."""
        try:
            data = self.sock.recv(MAX_HELLO, _PEEK)
            if not data:
                return "client_gone"
            hello = parse_hello(data)
        except BlockingIOError:
            return 1
        except OSError:
            return "client_gone"
        except ProtocolError as error:
            return error.reason
        # isinstance takes longer: msgspec's metaclass has a say in it
        return hello.total if type(hello) is Need else hello

    def offers_only(self, protocol: str) -> bool:
        """Tell whether this protocol is all that the ClientHello offers, which is complete (ALPN, RFC 7301)."""
        try:
            return alpn_protocols(self.sock.recv(MAX_HELLO, _PEEK)) == (protocol.encode(),)
        except (OSError, ProtocolError):
            return False

    def peek_opening(self) -> Opening | int | str:
        """Return which version of HTTP begins; else how many bytes must be there, or why the client is refused."""
        data = self.peek(opening.LONGEST)
        if not data:
            return "client_gone" if data is None else 1
        try:
            found = opening.parse(data)
        except ProtocolError as error:
            return error.reason
        return found.total if isinstance(found, Need) else found

    def _is_peer(self, source: PackedAddress) -> bool:
        """Tell whether a header names its sender, as HAProxy's health checks with version 1 do."""
        return source[1] == self.peer[1] and self.peer_address().endswith(source[0])

    def wake_at(self, size: int) -> None:
        """Have the socket count as readable when ``size`` bytes are there (SO_RCVLOWAT), or at the end of the stream."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)


def peer_text(peer: tuple[Any, ...]) -> str:
    """Return a peer's address, as `socket.accept` returns it, and port as lines of the access log tell them."""
    host, port = peer[:2]
    # Its own text, unless it has to be put differently: an IPv6 address in brackets, a mapped one as IPv4.
    return client_text((packed_address(host), port)) if ":" in host else f"{host}:{port}"
