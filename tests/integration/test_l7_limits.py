"""Every limit of ``[limits]`` protects, answers as it should, and is counted by its key; all on one proxy per engine."""

import contextlib
import re
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.certificates import Certificates
from tests.support.http_clients import H1Client, H2Client, tls_socket
from tests.support.l4 import serve
from tests.support.l7 import l7_config, l7_route
from tests.support.proxy import Proxy
from tests.support.tls import receive_all

NAME = "l7.test"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, UNKNOWN = 0, 1, 3, 4, 6, 7, 8, 9, 0xFA
ENHANCE_YOUR_CALM = 0xB
# A request by static table entries alone (RFC 7541 appendix A): GET, https, /, and :authority as a literal.
BLOCK = b"\x82\x87\x84\x41" + bytes([len(NAME)]) + NAME.encode()
LIMITS = {
    "header_timeout": "1s",
    "stalled_window_timeout": "1s",
    "header_bytes": 8192,
    "header_count": 50,
    "pings_per_second": 10,
    "settings_per_second": 10,
    "stream_resets_per_second": 20,
    "resets_before_response": 10,
    "continuation_frames": 5,
    "empty_frames": 10,
    "idle_frames": 500,
}


class Handler(socketserver.StreamRequestHandler):
    """Answers every request of a connection with 1,000 bytes; requests to other paths than ``/`` not at all."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            if line.startswith(b"GET / "):
                self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + bytes(1000))


class Backend(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the proxy resets requests that floods leave behind."""


@pytest.fixture(scope="module", params=["ngh2", "h2"])
def served(request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Proxy]:
    with Backend(("127.0.0.1", 0), Handler) as backend:
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        route = l7_route(certs, backend.server_address[1], NAME, backend_protocol="http/1.1")
        with serve(l7_config(route, limits=LIMITS, http2_engine=request.param)) as proxy:
            yield proxy
            assert proxy.stop() == 0
            # What the tests below have provoked, each by its own key, is what was counted.
            counted = re.search(r"limits hit (.*)", proxy.stderr)
            assert counted is not None
            assert set(re.findall(r"(\w+)=[1-9]", counted[1])) == set(LIMITS)
        backend.shutdown()


@pytest.fixture
def address(served: Proxy) -> tuple[str, int]:
    return "127.0.0.1", served.port()


@pytest.fixture
def raw(address: tuple[str, int]) -> Iterator[ssl.SSLSocket]:
    """Return a connection on which HTTP/2 has been settled by ALPN; nothing was sent on it."""
    with tls_socket(address, NAME, "h2") as sock:
        yield sock


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def goaway_code(sock: socket.socket) -> int | None:
    """Return the error code of the GOAWAY that the proxy's last bytes hold, None without one."""
    return goaway_in(receive_all(sock))


def goaway_in(data: bytes) -> int | None:
    code = None
    while len(data) >= 9:
        length = int.from_bytes(data[:3])
        if data[3] == GOAWAY:
            code = int.from_bytes(data[13:17])
        data = data[9 + length :]
    return code


def test_a_head_that_stops_half_way_is_answered_408(address: tuple[str, int]) -> None:
    """A slow HTTP/1.1 client does not hold its connection for longer than header_timeout."""
    with tls_socket(address, NAME, "http/1.1") as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: l7.test\r\nX-Slow: ")
        assert receive_all(sock).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_says_nothing_is_let_go(raw: ssl.SSLSocket) -> None:
    """The HTTP/2 preface is due within header_timeout."""
    with contextlib.suppress(OSError):
        assert goaway_code(raw) is None


def test_a_header_block_that_never_ends_is_cut(raw: ssl.SSLSocket) -> None:
    """HEADERS without END_HEADERS, and then nothing: header_timeout counts."""
    raw.sendall(PREFACE + frame(SETTINGS) + frame(HEADERS, 1, BLOCK))
    with contextlib.suppress(OSError):
        goaway_code(raw)


FLOODS: dict[str, Callable[[], bytes]] = {
    "pings_per_second": lambda: frame(PING, 0, bytes(8)) * 11,
    "settings_per_second": lambda: frame(SETTINGS) * 11,
    "stream_resets_per_second": lambda: frame(HEADERS, 1, BLOCK, flags=5) + frame(RST_STREAM, 1, bytes(4)) * 21,
    "resets_before_response": lambda: b"".join(
        frame(HEADERS, number, BLOCK, flags=5) + frame(RST_STREAM, number, bytes(4)) for number in range(1, 24, 2)
    ),
    "continuation_frames": lambda: frame(HEADERS, 1, BLOCK) + frame(CONTINUATION, 1, b"\x82") * 6,
    "empty_frames": lambda: frame(HEADERS, 1, BLOCK, flags=4) + frame(DATA, 1) * 11,
    "idle_frames": lambda: frame(UNKNOWN) * 501,
}


@pytest.mark.parametrize("key", FLOODS)
def test_a_flood_ends_with_enhance_your_calm(raw: ssl.SSLSocket, key: str) -> None:
    """Frames that cost the proxy more than the client are limited; the GOAWAY says why (RFC 9113 section 10.5)."""
    raw.sendall(PREFACE + frame(SETTINGS) + FLOODS[key]())
    assert goaway_code(raw) == ENHANCE_YOUR_CALM


def errors(make: Callable[[int], bytes]) -> Callable[[], bytes]:
    return lambda: b"".join(make(stream) for stream in range(1, 80, 2))


POST = BLOCK.replace(b"\x82", b"\x83", 1)
LENGTH_1 = POST + b"\x0f\x0d\x011"  # content-length: 1
PROVOKED: dict[str, Callable[[], bytes]] = {
    "a window too large": errors(
        lambda stream: frame(HEADERS, stream, BLOCK, flags=5) + frame(WINDOW_UPDATE, stream, b"\x7f\xff\xff\xff")
    ),
    "a body longer than it says": errors(
        lambda stream: frame(HEADERS, stream, LENGTH_1, flags=4) + frame(DATA, stream, b"abc")
    ),
    "a pseudo-header field in trailers": errors(
        lambda stream: frame(HEADERS, stream, POST, flags=4) + frame(HEADERS, stream, b"\x82", flags=5)
    ),
    "trailers that the backend's version cannot say": errors(
        lambda stream: frame(HEADERS, stream, POST, flags=4) + frame(HEADERS, stream, b"\0\x03x-a\x01\x01", flags=5)
    ),
}


@pytest.mark.parametrize("kind", PROVOKED)
def test_errors_that_a_client_provokes_end_as_its_resets(raw: ssl.SSLSocket, kind: str) -> None:
    """Whoever makes the proxy reset streams is limited as one who resets them, and told so; nobody works for it any more."""
    raw.sendall(PREFACE + frame(SETTINGS) + PROVOKED[kind]())
    raw.settimeout(0.1)
    received = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        for _ in range(100):
            raw.sendall(frame(UNKNOWN))  # ignored; errors that came out later count when something comes
            with contextlib.suppress(TimeoutError):
                received += raw.recv(1 << 16)
    assert goaway_in(received) == ENHANCE_YOUR_CALM


@pytest.mark.parametrize("client", [H1Client, H2Client])
@pytest.mark.parametrize("headers", [[("x-big", "a" * 9000)], [(f"x-{number}", "a") for number in range(60)]])
def test_too_many_headers_are_answered_431(
    address: tuple[str, int], client: type[H1Client] | type[H2Client], headers: list[tuple[str, str]]
) -> None:
    """header_bytes and header_count, in both versions."""
    with client(address, NAME) as peer:
        assert peer.request("GET", "/", headers).status == 431


def test_a_response_that_nobody_takes_is_given_up(raw: ssl.SSLSocket) -> None:
    """A client that keeps its window closed loses the stream, or the connection, after stalled_window_timeout."""
    no_window = frame(SETTINGS, payload=b"\x00\x04\x00\x00\x00\x00")
    raw.sendall(PREFACE + no_window + frame(HEADERS, 1, BLOCK, flags=5))
    seen = b""
    with contextlib.suppress(OSError):
        while bytes([RST_STREAM, 0, 0, 0, 0, 1]) not in seen and (data := raw.recv(1 << 16)):
            seen += data
    assert bytes([HEADERS, 4, 0, 0, 0, 1]) in seen, "the response had begun"
