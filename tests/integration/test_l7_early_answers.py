"""An answer reaches a client that is still sending, whoever gives it and however soon its backend closes behind it."""

import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from tests.support.certificates import Certificates
from tests.support.curl import curl
from tests.support.engines import default_engine
from tests.support.http_clients import tls_socket
from tests.support.l4 import serve
from tests.support.l7 import l7_config, l7_route, read_head
from tests.support.proxy import Proxy

UPLOADS = 16
SIZE = 200_000
BODY = b"x" * 2000
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    default_engine(metafunc, "served")


def answer_http1(sock: socket.socket) -> None:
    """Answer 401 as soon as the head has come, and close: what has come of the body makes that a reset."""
    read_head(sock)
    sock.sendall(UNAUTHORIZED)


def answer_http2(sock: socket.socket) -> None:
    """The same."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    one_at_a_time = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    connection.local_settings = h2.settings.Settings(client=False, initial_values=one_at_a_time)
    connection.initiate_connection()
    sock.sendall(connection.data_to_send())
    while data := sock.recv(1 << 16):
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                assert event.stream_id is not None
                connection.send_headers(event.stream_id, [(b":status", b"401")])
                connection.send_data(event.stream_id, BODY, end_stream=True)
                connection.close_connection()
                sock.sendall(connection.data_to_send())
                return
        sock.sendall(connection.data_to_send())


class HastyBackend:
    """Serves one request per connection, and closes."""

    def __init__(self, address: str | tuple[str, int] = ("127.0.0.1", 0), *, http2: bool = False) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.listening = socket.socket(family)
        self.listening.bind(address)
        self.listening.listen(64)
        self._answer = answer_http2 if http2 else answer_http1
        self._pool = ThreadPoolExecutor(8)

    @property
    def port(self) -> int:
        return int(self.listening.getsockname()[1])

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.listening.accept()
            except OSError:
                return
            self._pool.submit(self._serve_one, sock)

    def _serve_one(self, sock: socket.socket) -> None:
        sock.settimeout(10)
        with sock, contextlib.suppress(OSError, EOFError):
            self._answer(sock)

    def __enter__(self) -> Self:
        self._pool.submit(self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)  # wakes accept(2), which `close` does not
        self._pool.shutdown()
        self.listening.close()


@pytest.fixture(scope="module")
def served(
    request: pytest.FixtureRequest, certs: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    path = str(tmp_path_factory.mktemp("unix") / "socket")
    with HastyBackend() as plain, HastyBackend(http2=True) as multiplexed, HastyBackend(path):
        config = l7_config(
            l7_route(certs, plain.port, "h1.test", backend_protocol="http/1.1"),
            l7_route(certs, multiplexed.port, "h2c.test", backend_protocol="h2"),
            l7_route(certs, f"unix:{path}", "unix.test", backend_protocol="http/1.1"),
            l7_route(certs, plain.port, "own.test", l7_policies=[{"type": "block_user_agent", "value": "curl"}]),
            http2_engine=request.param,
        )
        with serve(config) as proxy:
            yield proxy


@pytest.mark.parametrize(
    ("version", "hostname", "status", "served"),
    [
        ("--http1.1", "unix.test", 401, "ngh2"),
        ("--http1.1", "h2c.test", 401, "ngh2"),
        ("--http1.1", "own.test", 403, "ngh2"),
        ("--http2", "h1.test", 401, "h2"),
        ("--http2", "h2c.test", 401, "h2"),
        ("--http2", "own.test", 403, "h2"),
    ],
    indirect=["served"],
)
def test_curl_hears_the_answer_to_every_upload(
    served: Proxy, certs: Certificates, tmp_path: Path, version: str, hostname: str, status: int
) -> None:
    """Sixteen of sixteen uploads that are refused at once."""
    (tmp_path / "body").write_bytes(bytes(SIZE))
    upload = (
        version,
        "-H",
        "Expect:",
        "--data-binary",
        f"@{tmp_path / 'body'}",
        "-w",
        "%{http_code}",
        "-o",
        "/dev/null",
    )
    address = ("127.0.0.1", served.port())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: curl(hostname, address, certs.ca, *upload), range(UPLOADS)))
    assert Counter((each.status, each.body) for each in answers) == {(0, b"%d" % status): UPLOADS}


@pytest.mark.soak  # takes the 5 s that a client is given for its end
@pytest.mark.parametrize(
    ("framing", "block"),
    [
        ("content-length: 10000000000", bytes(1 << 16)),
        ("transfer-encoding: chunked", b"4000\r\n" + bytes(0x4000) + b"\r\n"),
    ],
)
def test_what_is_thrown_away_has_a_bound(served: Proxy, framing: str, block: bytes) -> None:
    """A client that goes on and on behind the answer is cut off, after a few seconds in which it gets little through."""
    with tls_socket(("127.0.0.1", served.port()), "own.test", "http/1.1", timeout=60) as sock:
        sock.sendall(f"POST / HTTP/1.1\r\nhost: own.test\r\nuser-agent: curl\r\n{framing}\r\n\r\n".encode())
        assert send_until_cut_off(sock, block) < 64 << 20  # what kernels hold is in it
        assert sock.recv(12) == b"HTTP/1.1 403"


def send_until_cut_off(sock: ssl.SSLSocket, block: bytes) -> int:
    """Send a block over and over; return how many bytes were taken."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < 1 << 30:
            sock.sendall(block)
            sent += len(block)
    return sent
