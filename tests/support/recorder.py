"""A backend in the test's own process that keeps every byte, and answers each message that h11 makes of them."""

import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import h11
import msgspec


class Recorded(msgspec.Struct):
    """A request.

    Attributes:
        head: as h11 has read it.
        body: what has come of its body.
        complete: it has come to its end.
        gone: its connection is closed.
    """

    head: h11.Request
    body: bytearray = msgspec.field(default_factory=bytearray)
    complete: bool = False
    gone: bool = False

    @property
    def target(self) -> str:
        """Path and query as they came."""
        return self.head.target.decode()

    def fields(self) -> dict[str, str]:
        """Return its header fields, names in lower case."""
        return {name.decode().lower(): value.decode("latin-1") for name, value in self.head.headers}


def empty(_request: Recorded) -> tuple[int, bytes]:
    """Answer with nothing."""
    return 200, b""


class Recorder:
    """A backend of HTTP/1.1.

    Attributes:
        received: the bytes of each connection.
        requests: in the order in which their heads came.
        refused: what h11 could not read.
        port: of 127.0.0.1.
    """

    def __init__(self, answer: Callable[[Recorded], tuple[int, bytes]] = empty) -> None:
        """Listen; ``answer`` returns the status and body for a request that has come in full."""
        self._answer_to = answer
        self.received: list[bytearray] = []
        self.requests: list[Recorded] = []
        self.refused: list[str] = []
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def heads(self) -> list[h11.Request]:
        """The heads of the requests."""
        return [request.head for request in self.requests]

    def _serve(self) -> None:
        with ThreadPoolExecutor(128) as pool, contextlib.suppress(OSError):
            while True:
                sock = self._listening.accept()[0]
                self._open.add(sock)
                pool.submit(self._talk, sock)

    def _talk(self, sock: socket.socket) -> None:
        connection = h11.Connection(h11.SERVER)
        record = bytearray()
        self.received.append(record)
        requests: list[Recorded] = []
        with sock, contextlib.suppress(OSError):
            sock.settimeout(20)
            while data := sock.recv(1 << 16):
                record += data
                connection.receive_data(data)
                try:
                    self._take(connection, sock, requests)
                except h11.RemoteProtocolError as error:
                    self.refused.append(str(error))
                    break
        self._open.discard(sock)
        for request in requests:
            request.gone = True

    def _take(self, connection: h11.Connection, sock: socket.socket, requests: list[Recorded]) -> None:
        while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                requests.append(Recorded(event))
                self.requests.append(requests[-1])
            elif isinstance(event, h11.Data):
                requests[-1].body += event.data
            elif isinstance(event, h11.EndOfMessage):
                requests[-1].complete = True
                status, body = self._answer_to(requests[-1])
                head = h11.Response(status_code=status, headers=[("content-length", str(len(body)))])
                data = b"" if requests[-1].head.method == b"HEAD" else body
                events = head, h11.Data(data=data), h11.EndOfMessage()
                sock.sendall(b"".join(connection.send(each) or b"" for each in events))
                connection.start_next_cycle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        while self._thread.is_alive():  # the proxy may keep its connections, and have opened another just now
            for sock in self._open.copy():
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            self._thread.join(0.01)
