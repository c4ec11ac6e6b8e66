"""Small HTTP servers in the test's own process, at any address of this machine, whose status the test sets."""

import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_ATTEMPTS = 20


class PlainHttp:
    """A server that answers every request with its address; it closes each connection behind the response.

    Attributes:
        status: of the answers.
        host, port: where it listens.
    """

    def __init__(self, host: str, port: int = 0) -> None:
        """Listen at once; raises OSError."""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = f"{site.host}:{site.port}".encode()
                self.send_response(site.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.status = 200
        self.host = host
        self._server = ThreadingHTTPServer((host, port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more; closing twice does no harm."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def at_one_port(hosts: Sequence[str]) -> list[PlainHttp]:
    """Return a server at each of some addresses, all at one port."""
    for _ in range(_ATTEMPTS):
        started = [PlainHttp(hosts[0])]
        try:
            for host in hosts[1:]:
                started.append(PlainHttp(host, started[0].port))
        except OSError:
            for server in started:
                server.close()
        else:
            return started
    raise OSError("no port is free at all of these addresses")
