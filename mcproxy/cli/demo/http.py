"""The backend of the demo's L7 route, a cleartext web server, and clients of HTTP/1.1 and HTTP/2."""

import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mcproxy.cli.demo.site import Visitor
from mcproxy.errors import McproxyError
from mcproxy.wire.http2 import Data, Fatal, Limits, Reset, Response, engine_type

INTERVAL = 0.2
"""Seconds between the server's events."""

_EVENTS = 3
_READ = 65536


class WebServer:
    """A server of HTTP/1.1 without TLS, in a thread: a page that tells its client, and a stream of events.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/events":
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number in range(1, _EVENTS + 1):
                event = b"data: event %d\n\n" % number
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
                time.sleep(INTERVAL)
            self.wfile.write(b"0\r\n\r\n")
            return
        body = f"web answers for {self.headers['Host']} to the client {self.headers['X-Forwarded-For']}\n".encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Leave the terminal to the tour."""


def get_http2(visitor: Visitor, name: str, path: str = "/", agent: str = "demo") -> tuple[int, str]:
    """Return status and body of a page, asked for over HTTP/2; raises OSError or `McproxyError` when there is none."""
    with visitor.connect_tls(name, "h2") as tls:
        if tls.selected_alpn_protocol() != "h2":
            raise McproxyError("HTTP/2 was not agreed on")
        engine = engine_type()(client=True, limits=Limits())
        engine.open(
            [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", f"{name}:{visitor.port}".encode()),
                (b":path", path.encode()),
                (b"user-agent", agent.encode()),
            ],
            end=True,
        )
        tls.sendall(engine.output())
        status, body, ended = 0, b"", False
        while not ended:
            received = tls.recv(_READ)
            if not received:
                raise McproxyError("the connection ended early")
            for event in engine.feed(received, time.monotonic()):
                match event:
                    case Response(headers=headers, end=ended):
                        status = int(dict(headers)[b":status"])
                    case Data(data=data, end=ended):
                        body += data
                    case Reset() | Fatal():
                        raise McproxyError(f"the response ended early: {event}")
            tls.sendall(engine.output())
        return status, body.decode().strip()


def events(connection: http.client.HTTPSConnection) -> Iterator[tuple[float, str]]:
    """Yield each server-sent event, with the seconds since it was asked for, as it comes."""
    asked = time.monotonic()
    connection.request("GET", "/events")
    for line in connection.getresponse():
        if line.startswith(b"data: "):
            yield time.monotonic() - asked, line.removeprefix(b"data: ").decode().strip()
