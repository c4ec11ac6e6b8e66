"""A server of HTTP/1.1 made of Python's own http.server, with a thread for each connection."""

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class Handler(BaseHTTPRequestHandler):
    """One connection: its requests come one after another, and it keeps what it learns of its client."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def body(self) -> bytes:
        """Return the request's body, of known length or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # a trailer field
        return b"".join(pieces)

    def answer(self, status: int, data: bytes, kind: str = "text/plain", *fields: tuple[str, str]) -> None:
        """Send a whole response."""
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(data))), *fields):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def serve(self) -> None:
        """Answer a request, of whatever method."""
        raise NotImplementedError

    def _any_method(self) -> None:
        self.serve()

    do_GET = do_HEAD = do_POST = _any_method  # noqa: N815 - http.server's names

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class HttpThread:
    """The running server; its connections are cut at the end of the ``with`` block.

    Attributes:
        port: where it listens on 127.0.0.1.
        open: the connections that are open, by number.
    """

    def __init__(self, handler: type[Handler]) -> None:
        self.open: dict[int, socket.socket] = {}
        site = self

        class Server(ThreadingHTTPServer):
            daemon_threads = False  # so that closing waits for them
            request_queue_size = 64
            accepted = 0

            def process_request(self, request: object, client_address: object) -> None:
                assert isinstance(request, socket.socket)
                self.accepted += 1
                site.open[self.accepted] = request
                super().process_request(request, client_address)

            def shutdown_request(self, request: object) -> None:
                assert isinstance(request, socket.socket)
                for number in [number for number, sock in site.open.items() if sock is request]:
                    del site.open[number]
                super().shutdown_request(request)

            def handle_error(self, request: object, client_address: object) -> None:
                """Say nothing: clients may leave when they like."""

        self._server = Server(("127.0.0.1", 0), handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def number(self, handler: Handler) -> int:
        """Return the number of a handler's connection: they count from 1."""
        return next(number for number, sock in self.open.items() if sock is handler.connection)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        for sock in list(self.open.values()):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
