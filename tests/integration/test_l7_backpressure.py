"""How much of a body waits in the worker when its receiver stops reading: counted from the kernel's queues, to the byte."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from mcproxy.worker.tools.http_settings import GROWN_WINDOW
from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.http_backends import H1Peer, H2Peer, Kind, PlayedBackend, Received
from tests.support.http_clients import H1Client, H2Client, client
from tests.support.l7 import l7_config, l7_route, tls_backend
from tests.support.proxy import Proxy

KINDS: tuple[Kind, ...] = ("http/1.1", "h2c", "h2")
NAMES: dict[Kind, str] = {"http/1.1": "h1.test", "h2c": "h2c.test", "h2": "tls.test"}
PAIRS = [(version, kind) for version in ("http/1.1", "h2") for kind in KINDS]
pairs = pytest.mark.parametrize(("version", "kind"), PAIRS, ids=[f"{a}-{NAMES[b]}" for a, b in PAIRS])

STREAMS = 3
WIDE = 2**31 - 1 - 65_535  # makes the largest window there is of the first one: only TCP holds a sender back
BLOCK = bytes(16_384)
STILL = 0.2
"""Seconds in which a connection takes nothing, until its sender counts as stopped."""

LOOKS = 6
"""How many looks in a row, `STILL` / 4 apart, must tell the same."""

PIECE = 64 << 10
"""What is read, held, or handed to a transport at once. A transport of TLS is two, and the kernel gets what is left."""
FRAME = 16_384 + 512
"""Each of the three stops once it holds a piece, so by up to a frame later: DATA or a record, and its overhead."""
MOST = 3 * (PIECE + FRAME)
TLS_READ = 256 << 10
"""What the event loop's TLS reads of a connection at once, still encrypted."""

Ports: TypeAlias = tuple[int, int]


@pytest.fixture(scope="module")
def backends(certs: Certificates) -> Iterator[dict[Kind, PlayedBackend]]:
    with contextlib.ExitStack() as stack:
        yield {kind: stack.enter_context(PlayedBackend(kind, certs)) for kind in KINDS}


@pytest.fixture(scope="module")
def served(fleet: Fleet, certs: Certificates, backends: dict[Kind, PlayedBackend]) -> Iterator[Proxy]:
    routes = [
        l7_route(
            certs,
            backends[kind].port,
            NAMES[kind],
            backend_protocol="http/1.1" if kind == "http/1.1" else "h2",
            **(tls_backend(certs) if kind == "h2" else {}),
        )
        for kind in KINDS
    ]
    with fleet.serve(l7_config(*routes)) as proxy:
        yield proxy


class Scene:
    """Streams that are open from clients to backends; the clients have sent heads, and nothing has been answered."""

    def __init__(self, proxy: Proxy, backend: PlayedBackend, version: str, hostname: str, method: str) -> None:
        self.backend = backend
        self.clients: list[tuple[H1Client | H2Client, int]] = []
        address = "127.0.0.1", proxy.port()
        for number in range(STREAMS):
            if version == "h2":
                peer = self.clients[0][0] if number else client(version, address, hostname)
                assert isinstance(peer, H2Client)
                stream = peer.begin(method, "/", end=method == "GET")
                peer.open_window(WIDE, stream)
                if not number:
                    peer.open_window(WIDE)
            else:
                peer, stream = client(version, address, hostname), 0
                assert isinstance(peer, H1Client)
                peer.send_head(method, "/", [("content-length", str(1 << 30))] if method == "POST" else [])
            self.clients.append((peer, stream))
        self.requests: list[tuple[H1Peer | H2Peer, Received]] = [backend.request() for _ in range(STREAMS)]

    @property
    def client_socks(self) -> set[socket.socket]:
        return {peer.sock for peer, _ in self.clients}

    @property
    def backend_socks(self) -> set[socket.socket]:
        return {peer.sock for peer, _ in self.requests}

    def close(self) -> None:
        for sock in self.client_socks | self.backend_socks:
            sock.close()
        for peer in {id(peer): peer for peer, _ in self.requests}.values():
            self.backend.drop(peer)


def pour(senders: list[tuple[socket.socket, Callable[[], object]]]) -> int:
    """Send blocks in turn until no connection takes any more, and return the bytes of those that went out whole."""
    sent = 0
    for sock, _ in senders:
        sock.settimeout(STILL)
    while senders:
        for sock, send in list(senders):
            try:
                send()
                sent += len(BLOCK)
            except TimeoutError:
                senders = [sender for sender in senders if sender[0] is not sock]
        assert sent < 256 << 20, "the sender was never stopped"
    return sent


def held(sent: int, senders: set[socket.socket], receivers: set[socket.socket]) -> int:
    """Return the bytes of ``sent`` that are in no queue of the kernel: the worker has read and not written them."""
    queues: dict[Ports, tuple[int, int]] = {}
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, here, there, _, queued, *_ = line.split()
        to_send, to_read = (int(part, 16) for part in queued.split(":"))
        queues[int(here.split(":")[1], 16), int(there.split(":")[1], 16)] = to_send, to_read
    for socks, near, far in ((senders, 0, 1), (receivers, 1, 0)):
        for sock in socks:
            ports = sock.getsockname()[1], sock.getpeername()[1]
            sent -= queues[ports][near] + queues[ports[::-1]][far]
    return sent


def settled(look: Callable[[], int]) -> int:
    """Return what ``look`` tells several times in a row: the worker may have to wait for the processor in between."""
    now, same = look(), 0
    while same < LOOKS:
        time.sleep(STILL / 4)
        before, now = now, look()
        same = same + 1 if now == before else 0
    return now


@pairs
def test_client_that_reads_nothing(
    served: Proxy, backends: dict[Kind, PlayedBackend], version: str, kind: Kind
) -> None:
    """A backend sends as fast as it can: of each response little is read beyond what TCP takes."""
    with contextlib.closing(Scene(served, backends[kind], version, NAMES[kind], "GET")) as scene:
        for peer, request in scene.requests:
            peer.respond(request, 200, [("content-length", str(1 << 30))])
        sent = pour([(peer.sock, partial(send_response, peer, request)) for peer, request in scene.requests])
        left = settled(lambda: held(sent, scene.backend_socks, scene.client_socks))
    assert left < STREAMS * MOST


def send_response(peer: H1Peer | H2Peer, request: Received) -> None:
    if isinstance(peer, H2Peer):
        while peer.connection.local_flow_control_window(request.stream) < len(BLOCK):
            peer.receive()
    peer.send(request, BLOCK)


@pairs
def test_backend_that_reads_nothing(
    served: Proxy, backends: dict[Kind, PlayedBackend], version: str, kind: Kind
) -> None:
    """A client uploads as fast as it can; over HTTP/1.1 its TLS may have been read ahead, once.

    Over HTTP/2 a window may have grown while the kernel's buffers towards the backend took all that came.
    """
    with contextlib.closing(Scene(served, backends[kind], version, NAMES[kind], "POST")) as scene:
        for peer, request in scene.requests:
            if isinstance(peer, H2Peer):
                if request.stream == 1:
                    peer.connection.increment_flow_control_window(WIDE)
                peer.connection.increment_flow_control_window(WIDE, request.stream)
                peer.flush()
        sent = pour([(peer.sock, partial(peer.send, stream, BLOCK)) for peer, stream in scene.clients])
        left = settled(lambda: held(sent, scene.client_socks, scene.backend_socks))
    assert left < STREAMS * (MOST + (GROWN_WINDOW if version == "h2" else TLS_READ))
