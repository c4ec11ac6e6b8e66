"""What a server has said before it broke a connection off is heard, though a write fails first."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from mcproxy.net.loop import transports
from mcproxy.net.loop.transports import Loop, unread
from mcproxy.net.tls import client_context
from tests.support.certificates import Certificates
from tests.support.l4 import reset
from tests.support.l7 import BACKEND_NAME, accept_tls

LAST_WORDS = b"401, and no more of this" * 100


class Listener(asyncio.Protocol):
    """Keeps what it is given, and at the end what it was not given.

    Attributes:
        given: what was read.
        rest: what was not.
    """

    def __init__(self) -> None:
        self.given = b""
        self.rest = b""
        self.made: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.made.set_result(cast("asyncio.Transport", transport))  # uvloop's are of no class of asyncio

    def data_received(self, data: bytes) -> None:
        self.given += data

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.rest = b"".join(unread(self.transport))
        self.lost.set_result(exc)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    with ThreadPoolExecutor(1) as pool, contextlib.closing(loop):
        loop.set_default_executor(pool)
        yield loop


async def break_off(
    client: socket.socket,
    accept: Callable[[], socket.socket],
    context: ssl.SSLContext | None,
    *,
    words: bytes = LAST_WORDS,
    paused: bool = False,
) -> Listener:
    """Have the server say its words and reset the connection, then write: the loop learns of the reset by that."""
    loop = asyncio.get_running_loop()
    listener = Listener()
    accepted = loop.run_in_executor(None, accept)
    options = {} if context is None else {"ssl": context, "server_hostname": BACKEND_NAME, "ssl_handshake_timeout": 10}
    await loop.create_connection(lambda: listener, sock=client, **options)  # type: ignore[call-overload]  # as `Loop` takes them
    server, transport = await accepted, await listener.made
    if paused:
        transport.pause_reading()
    server.sendall(words)
    reset(server)
    transport.write(b"more of the upload" * 1000)
    assert isinstance(await listener.lost, OSError)
    return listener


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("tls", [False, True])
def test_the_last_words_are_there(loop: Loop, certs: Certificates, *, tls: bool, paused: bool) -> None:
    """They are given to the protocol, or can be had when the connection is lost, all of them and once."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())

        def accept() -> socket.socket:
            sock = listening.accept()[0]
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return accept_tls(sock, certs) if tls else sock

        context = client_context(certs.ca.read_bytes(), ("http/1.1",)) if tls else None
        listener = loop.run_until_complete(break_off(client, accept, context, paused=paused))
    assert listener.given + listener.rest == LAST_WORDS
    assert not (paused and listener.given)


def test_over_a_unix_socket(loop: Loop, tmp_path: Path) -> None:
    """A connection of AF_UNIX is no exception."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(tmp_path / "s"))
        listener = loop.run_until_complete(break_off(client, lambda: listening.accept()[0], None))
    assert listener.rest == LAST_WORDS


def test_much_is_left_alone(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is read at once than a bound."""
    monkeypatch.setattr(transports, "MOST_UNREAD", 1 << 16)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        client.connect(listening.getsockname())
        words = bytes(1 << 17)
        listener = loop.run_until_complete(
            break_off(client, lambda: listening.accept()[0], None, words=words, paused=True)
        )
    assert len(listener.rest) == 1 << 16


def test_a_handshake_that_fails(loop: Loop, certs: Certificates, other_certs: Certificates) -> None:
    """Its error is raised, and the transport closed."""

    async def connect(port: int) -> None:
        client = socket.create_connection(("127.0.0.1", port))
        context = client_context(other_certs.ca.read_bytes(), ())
        await loop.create_connection(Listener, sock=client, ssl=context, server_hostname=BACKEND_NAME)

    def serve(listening: socket.socket) -> bytes:
        sock = listening.accept()[0]
        with contextlib.suppress(OSError), sock:
            accept_tls(sock, certs)
        return b"refused"

    with socket.create_server(("127.0.0.1", 0)) as listening:
        served = loop.run_in_executor(None, serve, listening)
        with pytest.raises(ssl.SSLCertVerificationError):
            loop.run_until_complete(connect(listening.getsockname()[1]))
        assert loop.run_until_complete(served) == b"refused"
