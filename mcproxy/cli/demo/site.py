"""What the demo passes through to and asks with: real TLS backends on loopback, and a client that checks certificates."""

import http.client
import socket
import ssl
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mcproxy.control.files.certificates import Pair, issue

_TIMEOUT = 5.0  # seconds a request of the demo may take


class TlsBackend:
    """An HTTPS server in a thread, with a certificate of its own, that says who it is.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    def __init__(self, title: str, names: Sequence[str], ca: Pair, folder: Path) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = f"{title} answers for {self.headers['Host']}\n".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Leave the terminal to the tour."""

        self._handler = Handler
        pair = issue(ca, names)
        certificate, key = folder / f"{title}.crt", folder / f"{title}.key"
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self.port = 0
        self.start()

    def start(self) -> None:
        """Serve, on the same port as before if there was one."""
        self._server = _QuietServer(("127.0.0.1", self.port), self._handler)
        self._server.socket = self._context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """Stop serving; connections are refused then."""
        self._server.shutdown()
        self._server.server_close()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a client breaks off: the tour does that on purpose."""


class Visitor:
    """An HTTPS client that trusts the demo's CA and reaches every name through one port on loopback.

    Attributes:
        port: the proxy's.
    """

    def __init__(self, ca: Path, port: int) -> None:
        self._context = ssl.create_default_context(cafile=str(ca))
        self.port = port

    def connect_tls(self, name: str, protocol: str = "http/1.1") -> ssl.SSLSocket:
        """Open a connection to the proxy that asks for ``name``, offers a protocol and checks the certificate; raises OSError."""
        raw = socket.create_connection(("127.0.0.1", self.port), _TIMEOUT)
        self._context.set_alpn_protocols([protocol])
        try:
            return self._context.wrap_socket(raw, server_hostname=name)
        except OSError:
            raw.close()
            raise

    def connect(self, name: str) -> http.client.HTTPSConnection:
        """Open a connection for HTTP/1.1 to ``name``, as `connect_tls` does."""
        connection = http.client.HTTPSConnection(name, self.port, context=self._context)
        connection.sock = self.connect_tls(name)
        return connection

    def ask(self, name: str) -> str:
        """Return what answers for ``name``; raises OSError when nothing does."""
        connection = self.connect(name)
        try:
            return ask_on(connection)
        finally:
            connection.close()


def ask_on(connection: http.client.HTTPSConnection) -> str:
    """Send one request on an open connection, over HTTP/1.1, and return the answer's text."""
    connection.request("GET", "/")
    return connection.getresponse().read().decode().strip()
