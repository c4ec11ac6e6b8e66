"""Conversations of the load: each opens one connection, goes on for a while, ends in order, and notes what it has seen.

They look at every byte of an answer. `Talk.over` says when to end; a connection that the proxy ends as its protocol
allows (``Connection: close``, GOAWAY) ends in order, too.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

import msgspec

from tests.support import websocket
from tests.support.asgi_app import BLOCK
from tests.support.grpc_service import Stub
from tests.support.http_clients import Address, H1Client, H2Client, Response
from tests.support.load import Result

PATIENCE = 20.0
"""Seconds without an answer until a connection counts as lost."""
_LARGEST = 40_000  # bytes of a body or message
_STREAMS = 4  # requests at a time of an HTTP/2 connection


class Talk(msgspec.Struct):
    """One conversation under way.

    Attributes:
        result: what becomes of it.
        stopping: set when all are to end.
        ends: when this one is to end (monotonic seconds).
        pause: seconds between two requests or messages.
    """

    result: Result
    stopping: threading.Event
    ends: float
    pause: float

    def over(self) -> bool:
        """Pause, and tell whether it is time to end."""
        return self.stopping.wait(self.pause) or time.monotonic() >= self.ends


Conversation: TypeAlias = Callable[[Talk], None]


class IdleCloseError(ConnectionError):
    """A kept HTTP/1.1 connection was closed as a request was sent: the client can't know whether it was read (RFC 9112, 9.3.1)."""


def http1(address: Address, hostname: str) -> Conversation:
    """Return requests of one kept HTTP/1.1 connection."""

    def converse(talk: Talk) -> None:
        with H1Client(address, hostname, timeout=PATIENCE) as client:
            talk.result.port = client.sock.getsockname()[1]
            while True:
                size = random.randint(0, _LARGEST)
                response = _asked(client, talk.result, size)
                _check(response, size)
                talk.result.messages += 1
                if response.header("connection") == "close" or talk.over():
                    return

    return converse


def _asked(client: H1Client, result: Result, size: int) -> Response:
    response = Response()
    try:
        client.send_head("GET", f"/bytes/{size}", end=True)
        while not response.ended:
            client.step(response)
    except (OSError, EOFError) as error:
        if result.messages and not response.status:
            raise IdleCloseError(str(error)) from error
        raise
    return response


def http2(address: Address, hostname: str) -> Conversation:
    """Return requests of one HTTP/2 connection, some at a time; those that a GOAWAY leaves out are no loss (RFC 9113, 6.8)."""

    def converse(talk: Talk) -> None:
        with H2Client(address, hostname, timeout=PATIENCE) as client:
            talk.result.port = client.sock.getsockname()[1]
            while not client.goaways:
                sizes = {_begun(client, size): size for size in (random.randint(0, _LARGEST) for _ in range(_STREAMS))}
                for stream, size in sizes.items():
                    while not _settled(client, stream):
                        client.step()
                    if not client.goaways or stream <= client.goaways[-1]:
                        _check(client.responses[stream], size)
                        talk.result.messages += 1
                client.responses.clear()
                if talk.over():
                    return

    return converse


def _begun(client: H2Client, size: int) -> int:
    return client.begin("GET", f"/bytes/{size}")


def _settled(client: H2Client, stream: int) -> bool:
    response = client.responses[stream]
    left_out = bool(client.goaways) and stream > client.goaways[-1]
    return response.ended or response.reset is not None or left_out


def websockets(address: Address, hostname: str) -> Conversation:
    """Return messages of one WebSocket that come back, and its Close."""

    def converse(talk: Talk) -> None:
        with H1Client(address, hostname, timeout=PATIENCE) as client:
            talk.result.port = client.sock.getsockname()[1]
            tunnel = websocket.upgrade(client.sock, hostname)
            reader = websocket.Reader(tunnel)
            while True:
                message = random.randbytes(random.randint(0, _LARGEST))
                tunnel.send(websocket.frame(websocket.BINARY, message))
                got = reader.frame()
                if got is None or (got.opcode, got.payload) != (websocket.BINARY, message):
                    raise ValueError(f"not what was sent: {got and (got.opcode, len(got.payload))}")
                talk.result.messages += 1
                if talk.over():
                    break
            tunnel.send(websocket.close())
            got = reader.frame()
            if got is None or got.opcode != websocket.CLOSE:
                raise ValueError(f"no Close came back: {got}")

    return converse


def rpc(address: Address, hostname: str, ca: bytes) -> Conversation:
    """Return calls of one gRPC channel, unary ones and streams; its connection is the library's."""
    own = [("grpc.use_local_subchannel_pool", 1)]

    def converse(talk: Talk) -> None:
        with Stub(address[1], hostname, ca, own) as stub:
            echo, chat = stub.unary("Echo"), stub.chat("Chat")
            while True:
                message = random.randbytes(random.randint(0, _LARGEST))
                if echo(message, timeout=PATIENCE) != message:
                    raise ValueError("another message came back")
                if [*chat(_said(talk), timeout=PATIENCE)] != [b"re: %d" % number for number in range(3)]:
                    raise ValueError("other messages came back")
                talk.result.messages += 2
                if talk.over():
                    return

    return converse


def _said(talk: Talk) -> Iterator[bytes]:
    for number in range(3):
        yield b"%d" % number
        talk.stopping.wait(talk.pause)


def _check(response: Response, size: int) -> None:
    """Raise unless a response has come whole, with the bytes that `tests.support.asgi_app` sends."""
    if response.status != 200 or not response.ended:
        raise ConnectionError(f"status {response.status}, reset {response.reset}, {len(response.received)} bytes")
    if response.received != BLOCK[:size]:
        raise ValueError(f"{len(response.received)} bytes came, they are not the {size} that were asked for")
