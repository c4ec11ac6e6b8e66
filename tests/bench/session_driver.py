"""The clients of the loads of TLS sessions: ``python -m tests.bench.session_driver --port P --hostname H --ca FILE --body N ...``.

Holds the conversation of `tests.bench.driver`. Unit: a connection with one request over HTTP/2, its response whole. Every client
either makes a full handshake or offers the session of the connection before, and what the proxy made of it is checked: one
that does not resume where it should, or resumes where nothing was offered, fails the sample.
"""

import argparse
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h2.config
import h2.connection
import h2.events

from tests.bench.driver import converse
from tests.bench.http_driver import Clients
from tests.bench.http_exchange import body, path

_READ = 65536
_ROUTED_SECONDS = 10.0
_WARM_UP = 64
_AT_ONCE = 16
_CONFIG = h2.config.H2Configuration(client_side=True, header_encoding=None)


class Sessions:
    """Clients that come one after the other, some at once; each of these goes on with its own last session.

    Attributes:
        context: what all have in common; it verifies the proxy's certificate.
    """

    def __init__(self, port: int, hostname: str, ca: Path, size: int, *, resume: bool) -> None:
        self.context = ssl.create_default_context(cafile=str(ca))
        self.context.set_alpn_protocols(["h2"])
        self._address = ("127.0.0.1", port)
        self._hostname = hostname
        self._resume = resume
        self._last: list[ssl.SSLSession | None] = [None] * _AT_ONCE
        self._body = body(size)
        self._head = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", hostname),
            (":path", f"/{path(size)}"),
        ]

    def run(self, units: int) -> None:
        """Make ``units`` connections; raises ConnectionError for one that was not as it should be."""
        shares = [units // _AT_ONCE + (number < units % _AT_ONCE) for number in range(_AT_ONCE)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._visit, range(_AT_ONCE), shares))

    def _visit(self, number: int, times: int) -> None:
        for _ in range(times):
            offered = self._last[number] if self._resume else None
            with (
                socket.create_connection(self._address, 10) as plain,
                self.context.wrap_socket(plain, server_hostname=self._hostname, session=offered) as sock,
            ):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if sock.session_reused != (offered is not None):
                    raise ConnectionError(f"resumed: {sock.session_reused}, offered: {offered is not None}")
                if self._fetch(sock) != self._body:
                    raise ConnectionError("the body is another one")
                self._last[number] = sock.session

    def _fetch(self, sock: ssl.SSLSocket) -> bytes:
        connection = h2.connection.H2Connection(_CONFIG)
        connection.initiate_connection()
        connection.send_headers(1, self._head, end_stream=True)
        sock.sendall(connection.data_to_send())
        received = bytearray()
        while data := sock.recv(_READ):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    received += event.data
                if isinstance(event, h2.events.StreamEnded):
                    return bytes(received)
        raise ConnectionError("the proxy ended the connection before the response")


def main() -> None:
    """Drive the clients named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.session_driver")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--hostname", required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--body", type=int, required=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--units", type=int, required=True)
    options = parser.parse_args()
    Clients(options.port, options.hostname, options.body, 1, 1, fresh=True).verify(options.ca, _ROUTED_SECONDS)
    sessions = Sessions(options.port, options.hostname, options.ca, options.body, resume=options.resume)
    sessions.run(_WARM_UP)
    converse(lambda: sessions.run(options.units))


if __name__ == "__main__":
    main()
