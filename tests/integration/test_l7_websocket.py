"""WebSocket through both kinds of upgrade: whatever a client sends, it hears what it would hear without the proxy."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import websockets.sync.client
import websockets.sync.server
from websockets.exceptions import ConnectionClosed

from tests.support.certificates import Certificates
from tests.support.engines import default_engine, engines
from tests.support.fleet import Fleet
from tests.support.http_backends import H2Peer, PlayedBackend
from tests.support.http_clients import H1Client, H2Client
from tests.support.l4 import RawBackend, reset
from tests.support.l7 import accept_tls, l7_config, l7_route, read_head, tls_backend
from tests.support.proxy import Proxy
from tests.support.tls import client_context
from tests.support.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    EchoServer,
    Frame,
    Reader,
    SocketTunnel,
    Tunnel,
    close,
    extended_connect,
    frame,
    opened,
    switching,
    upgrade,
)

SIZES = (0, 1, 125, 126, 127, 128, 65_535, 65_536, 200_000)
ROUTES = [
    ("http/1.1", "ws.test"),
    ("h2", "ws.test"),
    ("h2", "auto.test"),
    ("http/1.1", "case.test"),
    ("h2", "case.test"),
]
SHORT = ["upgrade", "connect", "connect-auto", "upgrade-case", "connect-case"]
REWRITING = {"match": "/*", "filter": {"rewrite": {"from": "/", "to": "/moved"}, "max_body": "1KiB"}}
"""A case whose limit for bodies is none for tunnels."""

GOOD_TEXTS = {
    "greek": "κόσμε".encode(),
    "mixed": "Hello-µ@ßöäüàá-UTF-8!!".encode(),
    "four-bytes": "\U0001f600\U0010ffff".encode(),
    "smallest": b"\x00\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80",
    "largest": b"\x7f\xdf\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf",
    "around-surrogates": b"\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd",
    "non-characters": b"\xef\xbf\xbe\xef\xbf\xbf\xf0\x9f\xbf\xbe",
}
BAD_TEXTS = {
    "lone-continuation": b"\x80",
    "lone-start": b"\xc2",
    "overlong-2": b"\xc0\xaf",
    "overlong-3": b"\xe0\x80\xaf",
    "overlong-4": b"\xf0\x80\x80\xaf",
    "surrogate": b"abc\xed\xa0\x80def",
    "surrogate-pair": b"\xed\xa0\x80\xed\xb0\x80",
    "beyond": b"\xf4\x90\x80\x80",
    "five-bytes": b"\xf8\x88\x80\x80\x80",
    "fe-ff": b"\xfe\xff",
}


def cases() -> dict[str, tuple[list[bytes], list[Frame], int]]:
    """Return what to send (one piece after the other), the frames to come, and the code of the last, a Close."""
    done = close()
    found: dict[str, tuple[list[bytes], list[Frame], int]] = {}
    # 1 framing
    for size in SIZES:
        for opcode in (TEXT, BINARY):
            payload = b"*" * size if opcode == TEXT else b"\xfe" * size
            found[f"1-{opcode}-{size}"] = [frame(opcode, payload), done], [Frame(opcode, payload)], 1000
    chopped = frame(TEXT, b"*" * 65_536)
    found["1-chopped"] = (
        [*(chopped[at : at + 997] for at in range(0, len(chopped), 997)), done],
        [Frame(TEXT, b"*" * 65_536)],
        1000,
    )
    # 2 pings and pongs
    for payload in (b"", b"hello", bytes(range(125))):
        found[f"2-ping-{len(payload)}"] = [frame(PING, payload), done], [Frame(PONG, payload)], 1000
    found["2-ping-bytes"] = (
        [*(bytes([byte]) for byte in frame(PING, b"\xfe" * 125)), done],
        [Frame(PONG, b"\xfe" * 125)],
        1000,
    )
    found["2-ping-too-long"] = [frame(PING, b"\xfe" * 126)], [], 1002
    found["2-pong-unasked"] = [frame(PONG, b"unasked"), frame(PING, b"p"), done], [Frame(PONG, b"p")], 1000
    found["2-ten-pings"] = (
        [*(frame(PING, b"%d" % n) for n in range(10)), done],
        [Frame(PONG, b"%d" % n) for n in range(10)],
        1000,
    )
    # 3 reserved bits
    for reserved in range(1, 8):
        found[f"3-reserved-{reserved}"] = (
            [frame(TEXT, b"a") + frame(TEXT, b"b", reserved=reserved) + frame(PING)],
            [Frame(TEXT, b"a")],
            1002,
        )
    # 4 opcodes
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        found[f"4-opcode-{opcode}"] = [frame(TEXT, b"a"), frame(opcode, b"b"), frame(PING)], [Frame(TEXT, b"a")], 1002
    # 5 fragmentation
    parts = [frame(TEXT, b"frag", fin=False), frame(CONTINUATION, b"ment")]
    found["5-ping-fragmented"] = [frame(PING, b"a", fin=False), frame(CONTINUATION, b"b")], [], 1002
    found["5-two"] = [*parts, done], [Frame(TEXT, b"fragment")], 1000
    found["5-two-at-once"] = [b"".join([*parts, done])], [Frame(TEXT, b"fragment")], 1000
    found["5-ping-between"] = (
        [parts[0], frame(PING, b"p"), parts[1], done],
        [Frame(PONG, b"p"), Frame(TEXT, b"fragment")],
        1000,
    )
    found["5-bytes"] = [*(bytes([byte]) for byte in b"".join(parts)), done], [Frame(TEXT, b"fragment")], 1000
    found["5-continuation-first"] = [frame(CONTINUATION, b"x"), frame(TEXT, b"y")], [], 1002
    found["5-text-within"] = [parts[0], frame(TEXT, b"y")], [], 1002
    found["5-many"] = (
        [
            frame(TEXT, b"a", fin=False),
            *(frame(CONTINUATION, b"b", fin=False) for _ in range(50)),
            frame(CONTINUATION, b"c"),
            done,
        ],
        [Frame(TEXT, b"a" + b"b" * 50 + b"c")],
        1000,
    )
    # 6 UTF-8
    for name, text in GOOD_TEXTS.items():
        found[f"6-{name}"] = [frame(TEXT, text), done], [Frame(TEXT, text)], 1000
        split = [frame(TEXT, text[:1], fin=False)]
        split += [frame(CONTINUATION, text[at : at + 1], fin=False) for at in range(1, len(text))]
        found[f"6-{name}-split"] = [*split, frame(CONTINUATION), done], [Frame(TEXT, text)], 1000
    for name, text in BAD_TEXTS.items():
        found[f"6-{name}"] = [frame(TEXT, text)], [], 1007
    # 7 closing
    found["7-close"] = [done], [], 1000
    found["7-message-after-close"] = [done + frame(TEXT, b"late")], [], 1000
    found["7-two-closes"] = [done + done], [], 1000
    found["7-close-amid-message"] = [parts[0] + done], [], 1000
    found["7-large-then-close"] = [frame(TEXT, b"x" * 262_144) + done], [Frame(TEXT, b"x" * 262_144)], 1000
    found["7-one-byte"] = [frame(CLOSE, b"\x03")], [], 1002
    found["7-long-reason"] = [close(1000, b"r" * 123)], [], 1000
    found["7-reason-too-long"] = [close(1000, b"r" * 124)], [], 1002
    found["7-reason-not-utf8"] = [close(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80")], [], 1007
    for code in (1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        found[f"7-code-{code}"] = [close(code)], [], code
    for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000):
        found[f"7-code-{code}"] = [close(code)], [], 1002
    found["7-unmasked"] = [frame(TEXT, b"a", masked=False)], [], 1002
    # 10 a message that is sent in pieces of all sizes
    found["10-auto"] = (
        [frame(TEXT, b"*" * 65_536, fin=False), frame(CONTINUATION, b"*" * 1300), done],
        [Frame(TEXT, b"*" * 66_836)],
        1000,
    )
    return found


CASES = cases()
both_engines = engines("served")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    default_engine(metafunc, "served")


@pytest.fixture(scope="module")
def echo_port() -> Iterator[int]:
    with EchoServer() as server:
        yield server.port


@pytest.fixture(scope="module")
def other_echo_port() -> Iterator[int]:
    """A server of another make, which also compresses."""

    def echo(connection: websockets.sync.server.ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for message in connection:
                connection.send(message)

    with websockets.sync.server.serve(echo, "127.0.0.1", 0, max_size=None, close_timeout=1) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as backend:
        yield backend


@pytest.fixture(scope="module")
def multiplexed(certs: Certificates) -> Iterator[PlayedBackend]:
    """A backend that speaks HTTP/2 and takes extended CONNECT."""
    with PlayedBackend("h2c", certs, websockets=True) as backend:
        yield backend


@pytest.fixture(scope="module")
def served(
    fleet: Fleet,
    request: pytest.FixtureRequest,
    certs: Certificates,
    echo_port: int,
    other_echo_port: int,
    backend: RawBackend,
    multiplexed: PlayedBackend,
) -> Iterator[Proxy]:
    config = l7_config(
        l7_route(certs, echo_port, "ws.test", backend_protocol="http/1.1"),
        l7_route(certs, echo_port, "auto.test"),
        l7_route(certs, echo_port, "case.test", backend_protocol="http/1.1", cases=[REWRITING]),
        l7_route(certs, other_echo_port, "deflate.test"),
        l7_route(certs, backend.port, "raw.test", backend_protocol="http/1.1"),
        l7_route(certs, backend.port, "rawtls.test", **tls_backend(certs)),
        l7_route(certs, multiplexed.port, "h2.test", backend_protocol="h2"),
        http2_engine=request.param,
    )
    with fleet.serve(config) as proxy:
        yield proxy


@pytest.fixture
def address(served: Proxy) -> tuple[str, int]:
    return "127.0.0.1", served.port()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def messages(frames: list[Frame]) -> list[Frame]:
    """Join the fragments of messages."""
    joined: list[Frame] = []
    for each in frames:
        if each.opcode == CONTINUATION:
            joined[-1] = Frame(joined[-1].opcode, joined[-1].payload + each.payload)
        else:
            joined.append(Frame(each.opcode, each.payload))
    return joined


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("version", "hostname"), ROUTES[:2], ids=["upgrade", "connect"])
def test_conformance(address: tuple[str, int], version: str, hostname: str, case: str) -> None:
    """Messages, pongs and the Close that a case asks for come through, then the orderly end."""
    sent, expected, code = CASES[case]
    with opened(version, address, hostname) as tunnel:
        reader = Reader(tunnel)
        with contextlib.suppress(OSError):  # the server may have closed in the middle, as it should
            for piece in sent:
                tunnel.send(piece)
        *frames, last = reader.to_end()
    assert messages(frames) == expected
    assert (last.opcode, int.from_bytes(last.payload[:2])) == (CLOSE, code)


def test_the_cases_hold_without_the_proxy(echo_port: int) -> None:
    """What the cases expect is what the server does by itself."""
    for sent, expected, code in CASES.values():
        with socket.create_connection(("127.0.0.1", echo_port), timeout=10) as sock:
            tunnel = upgrade(sock, "ws.test")
            with contextlib.suppress(OSError):
                for piece in sent:
                    tunnel.send(piece)
            *frames, last = Reader(tunnel).to_end()
        assert messages(frames) == expected
        assert int.from_bytes(last.payload[:2]) == code


@both_engines
@pytest.mark.parametrize(("version", "hostname"), ROUTES, ids=SHORT)
def test_large_messages(address: tuple[str, int], version: str, hostname: str) -> None:
    """A message of 3 MiB, larger than all windows on its way, comes back as it was."""
    message = bytes(range(256)) * (3 << 12)
    with opened(version, address, hostname) as tunnel:
        tunnel.send(frame(BINARY, message))  # and take what comes meanwhile
        assert Reader(tunnel).frame() == Frame(BINARY, message)


@both_engines
def test_many_on_one_connection(address: tuple[str, int]) -> None:
    """50 WebSockets share one HTTP/2 connection."""
    with H2Client(address, "ws.test") as peer:
        tunnels = [extended_connect(peer, f"/{number}") for number in range(50)]
        for number, tunnel in enumerate(tunnels):
            tunnel.send(frame(TEXT, b"%d" % number))
        for number, tunnel in enumerate(tunnels):
            assert Reader(tunnel).frame() == Frame(TEXT, b"%d" % number)


def test_a_real_client(address: tuple[str, int], certs: Certificates) -> None:
    """A client that negotiates compression with the server gets it, unseen by the proxy."""
    with (
        socket.create_connection(address) as sock,
        websockets.sync.client.connect(
            "wss://deflate.test/",
            sock=sock,
            ssl=client_context(certs.ca),
            server_hostname="deflate.test",
            max_size=None,
        ) as connection,
    ):
        assert [type(extension).__name__ for extension in connection.protocol.extensions] == ["PerMessageDeflate"]
        for message in ("hello", b"\x00" * 1_000_000, "x" * 100_000):
            connection.send(message)
            assert connection.recv(timeout=10) == message


@both_engines
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_the_request_arrives(
    address: tuple[str, int], backend: RawBackend, pool: ThreadPoolExecutor, version: str
) -> None:
    """The backend gets a valid upgrade with the client's fields, and its answer's fields come back."""
    hello = [("sec-websocket-protocol", "chat"), ("cookie", "a=b"), ("origin", "https://raw.test")]
    with H2Client(address, "raw.test") if version == "h2" else H1Client(address, "raw.test") as peer:
        opening = (
            pool.submit(extended_connect, peer, "/chat?x=1", hello)
            if isinstance(peer, H2Client)
            else pool.submit(upgrade, peer.sock, "raw.test", "/chat?x=1", hello)
        )
        sock = backend.accept()
        head = read_head(sock).decode().lower()
        lines = head.split("\r\n")
        assert lines[0] == "get /chat?x=1 http/1.1"
        for line in ("host: raw.test", "upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13"):
            assert lines.count(line) == 1
        assert {"sec-websocket-protocol: chat", "cookie: a=b", "origin: https://raw.test"} <= {*lines}
        assert ":protocol" not in head
        key = next(line for line in lines if line.startswith("sec-websocket-key: "))
        assert len(key) == len("sec-websocket-key: ") + 24
        sock.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nx-why: no\r\n\r\nno")
        with pytest.raises(ConnectionError, match="403"):
            opening.result(10)
        if isinstance(peer, H2Client):
            response = peer.receive(1)
            assert (response.header("x-why"), response.body) == ("no", b"no")


@both_engines
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
@pytest.mark.parametrize("hostname", ["raw.test", "rawtls.test"])
def test_ends(
    address: tuple[str, int],
    certs: Certificates,
    backend: RawBackend,
    pool: ThreadPoolExecutor,
    version: str,
    hostname: str,
) -> None:
    """Both sides see how the other one has ended: in an orderly way, or by a reset."""

    def accept() -> socket.socket:
        sock = backend.accept()
        if hostname == "rawtls.test":
            sock = backend.keep(accept_tls(sock, certs, "http/1.1"))
        sock.sendall(switching(read_head(sock)))
        return sock

    for who, orderly in (("backend", True), ("backend", False), ("client", True)):
        accepting = pool.submit(accept)
        with contextlib.ExitStack() as stack:
            tunnel = stack.enter_context(opened(version, address, hostname))
            sock = accepting.result(10)
            sock.sendall(b"said")
            assert tunnel.receive() == b"said"
            if who == "backend" and orderly:
                sock.sendall(b"last words")
                if isinstance(sock, ssl.SSLSocket):
                    with contextlib.suppress(OSError):
                        sock = sock.unwrap()
                sock.close()
                assert _all(tunnel) == b"last words"
            elif who == "backend":
                reset(sock)
                with pytest.raises(OSError, match=r"reset|EOF"):
                    tunnel.receive()
            else:
                tunnel.send(b"goodbye")
                tunnel.end()
                assert _all(SocketTunnel(sock)) == b"goodbye"


def _all(tunnel: Tunnel) -> bytes:
    return b"".join(iter(tunnel.receive, b""))


@both_engines
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_to_a_backend_of_http2(
    address: tuple[str, int], multiplexed: PlayedBackend, pool: ThreadPoolExecutor, version: str
) -> None:
    """A backend that has announced extended CONNECT is asked by it, also for a client's upgrade."""

    def talk() -> bytes:
        with opened(version, address, "h2.test") as tunnel:
            tunnel.send(b"question")
            return tunnel.receive() + tunnel.receive()

    talking = pool.submit(talk)
    peer, request = multiplexed.request()
    assert isinstance(peer, H2Peer)
    assert (request.method, request.header(":protocol")) == ("CONNECT", "websocket")
    assert request.header("sec-websocket-key") is None
    peer.respond(request, 200)
    while request.body != b"question":
        peer.receive()
    peer.send(request, b"answer")
    peer.end(request)
    assert talking.result(10) == b"answer"
