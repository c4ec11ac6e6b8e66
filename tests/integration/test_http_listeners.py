"""Listeners with ``protocol = "http"``: real clients of both versions without TLS, and what is none."""

import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import websockets.sync.client

from mcproxy.client.errors import InvalidArgumentError
from tests.conftest import StartProxy
from tests.support import proxy_header
from tests.support.admin import client as admin_client
from tests.support.certificates import Certificates
from tests.support.counters import counted
from tests.support.curl import curl
from tests.support.fleet import Fleet
from tests.support.grpc_service import NAME, OPTIONS, GrpcServer
from tests.support.http_clients import H2Client
from tests.support.l4 import HELLO, RawBackend, wait_for
from tests.support.l7 import BACKEND_NAME, l7_config, l7_route, read_head, tls_backend
from tests.support.nginx import Nginx, start_nginx
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.require import require
from tests.support.settings import Table, config, listener, route
from tests.support.websocket import TEXT as TEXT_FRAME
from tests.support.websocket import EchoServer, Reader, close, extended_connect, frame

VERSIONS = ["--http1.0", "--http1.1", "--http2", "--http2-prior-knowledge"]
REDIRECT: Table = {"hostname": "old.test", "redirect": "https://{host}{uri}"}
TEXT: Table = {"hostname": "text.test", "respond": "hello\n"}


def http(*routes: Table, addr: str = ":PORT", **keys: object) -> str:
    return config(listener(addr, routes, protocol="http", **keys), workers=2)


def plain_curl(hostname: str, address: tuple[str, int], *args: str, path: str = "/") -> str:
    """Return what curl prints of an exchange without TLS."""
    host, port = address
    target = f"[{host}]" if ":" in host else host
    command = [
        *(require("curl"), "--silent", "--show-error", "--noproxy", "*", "--max-time", "30"),
        *("--resolve", f"{hostname}:{port}:{target}", *args, f"http://{hostname}:{port}{path}"),
    ]
    return subprocess.run(command, capture_output=True, timeout=40, check=True, text=True).stdout


def ask(address: tuple[str, int], data: bytes, *, half_close: bool = False) -> bytes:
    """Return all that comes back."""
    with socket.create_connection(address, timeout=30) as sock:
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        got = bytearray()
        while piece := sock.recv(65_536):
            got += piece
        return bytes(got)


def get(host: str, *fields: str) -> bytes:
    return "\r\n".join(("GET / HTTP/1.1", f"host: {host}", *fields, "", "")).encode()


@pytest.fixture(scope="module")
def server(certs: Certificates) -> Iterator[GrpcServer]:
    with GrpcServer(certs.server(BACKEND_NAME)) as server:
        yield server


@pytest.fixture(scope="module")
def nginx(certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    with Processes(folder) as processes:
        yield start_nginx(processes, folder, "nginx", certs.server(BACKEND_NAME))


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


@pytest.fixture(scope="module", params=["ngh2", "h2"])
def served(
    request: pytest.FixtureRequest,
    fleet: Fleet,
    certs: Certificates,
    server: GrpcServer,
    nginx: Nginx,
    echo: EchoServer,
) -> Iterator[Proxy]:
    routes = (
        REDIRECT,
        TEXT,
        route(nginx.port, "nginx.test", **tls_backend(certs)),
        route(server.port, "grpc.test"),
        route(echo.port, "ws.test"),
    )
    text = config(listener(":PORT", routes, protocol="http"), workers=2, http2_engine=request.param)
    with fleet.serve(text) as proxy:
        yield proxy


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("version", VERSIONS)
def test_curl(served: Proxy, host: str, version: str) -> None:
    """A redirect to https keeps path and query; a backend, a text, and a name that nobody serves."""
    address = host, served.port()
    heads = plain_curl("old.test", address, version, "--head", path="/a/b?c=d&e=%2f").lower()
    assert " 308" in heads.splitlines()[0]
    assert "location: https://old.test/a/b?c=d&e=%2f\n" in heads
    assert '"backend": "nginx"' in plain_curl("nginx.test", address, version, path="/x")
    assert plain_curl("text.test", address, version, "--data", "x" * 10_000) == "hello\n"
    status = plain_curl("other.test", address, version, "--output", "/dev/null", "--write-out", "%{http_code}")
    assert status == "421"


@pytest.mark.parametrize("version", ["h2c", "http/1.1"])
def test_h2load(served: Proxy, version: str) -> None:
    """Hundreds of requests on many connections and streams all succeed."""
    result = subprocess.run(
        [
            *(require("h2load", "nghttp2-client"), "-n", "500", "-c", "10", "-m", "10", f"--no-tls-proto={version}"),
            *(f"--connect-to=127.0.0.1:{served.port()}", f"http://nginx.test:{served.port()}/x"),
        ],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    assert re.search(r"500 done, 500 succeeded, 0 failed, 0 errored, 0 timeout", result.stdout), result.stdout


def test_grpc(served: Proxy) -> None:
    """Calls of all kinds, without TLS on either side."""
    options = [*OPTIONS, ("grpc.default_authority", "grpc.test"), ("grpc.enable_http_proxy", 0)]
    channel: Any
    with grpc.insecure_channel(f"127.0.0.1:{served.port()}", options) as channel:
        assert channel.unary_unary(f"/{NAME}/Echo")(b"hello", timeout=30) == b"hello"
        assert list(channel.stream_stream(f"/{NAME}/Chat")(iter([b"a", b"b"]), timeout=30))
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/Nothing/None")(b"", timeout=30)
        error: Any = caught.value  # a Call too, which the type stubs don't know
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_websocket(served: Proxy) -> None:
    """Messages go both ways, and either side's end is an orderly one."""
    with (
        socket.create_connection(("127.0.0.1", served.port()), timeout=30) as sock,
        websockets.sync.client.connect("ws://ws.test/chat", sock=sock, open_timeout=30) as peer,
    ):
        for message in ("hello", b"\x00" * 100_000):
            peer.send(message)
            assert peer.recv(timeout=30) == message


def test_websocket_over_http2(served: Proxy) -> None:
    """By an extended CONNECT, which the proxy has offered."""
    with H2Client(("127.0.0.1", served.port()), "ws.test", tls=False) as peer:
        tunnel = extended_connect(peer, "/chat")
        tunnel.send(frame(TEXT_FRAME, b"hello") + close())
        answer = Reader(tunnel).to_end()[0]
        assert (answer.opcode, answer.payload) == (TEXT_FRAME, b"hello")


@pytest.mark.parametrize("host", ["nginx.test", "old.test", "text.test"])
def test_a_client_may_half_close_behind_its_request(served: Proxy, host: str) -> None:
    """It gets the whole response, and the end."""
    answer = ask(("127.0.0.1", served.port()), get(host), half_close=True)
    assert answer.startswith(b"HTTP/1.1 308 " if host == "old.test" else b"HTTP/1.1 200 ")
    assert answer.endswith((b"}", b"\r\n\r\n", b"hello\n"))


def test_an_answer_amid_an_upload_is_not_lost(served: Proxy) -> None:
    """The client sends on for a while, more than is read of it; there is no reset before it ends."""
    head = b"POST / HTTP/1.1\r\nhost: text.test\r\ncontent-length: 100000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port()), timeout=30) as sock:
        sock.sendall(head)
        for _ in range(10):
            sock.sendall(bytes(50_000))
        got = bytearray()
        while piece := sock.recv(65_536):
            got += piece
        assert got.startswith(b"HTTP/1.1 200 ")
        assert got.endswith(b"hello\n")


def test_backends_are_told_that_clients_speak_http(reloaded: StartProxy) -> None:
    """Whatever the client claims; behind a proxy that names the client, it is that client."""
    names = proxy_header.Names("192.0.2.7", 40_000, "192.0.2.1", 80)
    with RawBackend() as backend:
        routes = [route(backend.port, backend_protocol="http/1.1")]
        served = reloaded(
            config(
                listener("127.0.0.1:PORT", routes, protocol="http"),
                listener("127.0.0.1:PORT_B", routes, protocol="http", proxy_protocol=True),
            )
        )
        claims = get("a.test", "x-forwarded-proto: https", "x-forwarded-for: 203.0.113.1")
        for port, header, client in (
            (served.port(), b"", "127.0.0.1"),
            (served.port("B"), proxy_header.v2(names), "192.0.2.7"),
        ):
            peer = backend.connect(("127.0.0.1", port), header + claims)
            with backend.accept() as accepted:
                head = read_head(accepted).decode().lower()
                accepted.sendall(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
            assert f"x-forwarded-for: {client}\r\n" in head
            assert "x-forwarded-proto: http\r\n" in head
            assert "x-forwarded-port: 80\r\n" in head
            assert f'forwarded: for={client};proto=http;host="a.test"\r\n' in head
            assert head.count("x-forwarded-proto") == 1
            assert read_head(peer).startswith(b"HTTP/1.1 204 ")


def test_what_is_no_http_is_told_apart(reloaded: StartProxy, certs: Certificates) -> None:
    """TLS is reset with a reason that says so, a slow head and garbage are answered; http on a port for TLS stays a reset."""
    text = l7_config(
        l7_route(certs, 1, "l7.test"), addr="127.0.0.1:PORT_TLS", limits={"header_timeout": "200ms"}
    ).replace(
        "[[listeners]]",
        '[[listeners]]\naddr = "127.0.0.1:PORT"\nprotocol = "http"\n\n[[listeners.routes]]\nhostname = "*"\nrespond = "x"\n\n[[listeners]]',
        1,
    )
    served = reloaded(text.replace("[proxy]", '[log]\nformat = "json"\n\n[proxy]', 1))
    address = "127.0.0.1", served.port()
    assert curl("l7.test", address, certs.ca).status == 35
    with pytest.raises(ConnectionResetError):
        ask(address, proxy_header.v1(proxy_header.Names("192.0.2.7", 4, "192.0.2.1", 5)))
    assert ask(address, b"GET / HT").startswith(b"HTTP/1.1 408 ")
    assert ask(address, b"garbage\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    with pytest.raises(ConnectionResetError):
        ask(("127.0.0.1", served.port("TLS")), get("l7.test"))
    totals = counted(served)
    assert totals[f"127.0.0.1:{served.port()}"].refused == {"unexpected_tls": 1, "unexpected_proxy_header": 1}
    assert totals[f"127.0.0.1:{served.port('TLS')}"].refused == {"plain_http": 1}


def test_routes_are_added_without_a_mode(served: Proxy) -> None:
    """By the admin API; a route for TLS is refused."""
    with RawBackend() as backend, admin_client(served) as admin:
        addr, to = f":{served.port()}", f"127.0.0.1:{backend.port}"
        with pytest.raises(InvalidArgumentError, match="tls_cert"):
            admin.add_route(addr, "new.test", to, tls_cert="a.crt", tls_key="a.key")
        admin.add_route(addr, "new.test", to, backend_protocol="http/1.1")
        peer = backend.connect(("127.0.0.1", served.port()), get("new.test"))
        with backend.accept() as accepted:
            assert read_head(accepted).startswith(b"GET / HTTP/1.1\r\n")
            accepted.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert read_head(peer).startswith(b"HTTP/1.1 204 ")
        admin.remove_route(addr, "new.test")


class Clients:
    """Clients that connect one after the other, each in one of the two protocols in turn."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._stopping = threading.Event()
        self.served = {"tls": 0, "http": 0}
        self.resets = 0
        self.errors: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for protocol, data, answer in (("tls", HELLO, HELLO), ("http", get("text.test"), b"HTTP/1.1 200 ")):
                try:
                    with socket.create_connection(self._address, timeout=30) as sock:
                        sock.sendall(data)
                        got = sock.recv(len(answer), socket.MSG_WAITALL)
                    assert got in (answer, b"HTTP/1.1 421 ")  # 421: it was accepted just before the change
                except ConnectionResetError:  # the other protocol is served
                    self.resets += 1
                except Exception as error:  # noqa: BLE001 - told by the test
                    self.errors.append(f"{protocol}: {error!r}")
                else:
                    self.served[protocol] += got == answer

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


def test_a_change_of_the_protocol_refuses_no_connection(reloaded: StartProxy) -> None:
    """The sockets stay, clients of the protocol of the time are served at once, and open connections go on."""
    with RawBackend() as backend:
        stop = threading.Event()
        sinks = threading.Thread(target=_echo, args=(backend, stop), daemon=True)
        sinks.start()
        texts = {
            "tls": config(listener("127.0.0.1:PORT", [route(backend.port)], protocol="tls"), workers=2),
            "http": http(TEXT, addr="127.0.0.1:PORT"),
        }
        served = reloaded(texts["tls"])
        address = "127.0.0.1", served.port()
        clients = [Clients(address) for _ in range(2)]
        for protocol in ("http", "tls") * 2:
            before = [each.served[protocol] for each in clients]
            since = served.mark()
            served.save(texts[protocol])
            served.wait_for_log('"event": "applied"', since=since)
            wait_for(
                lambda: all(each.served[protocol] > past + 3 for each, past in zip(clients, before, strict=True)),  # noqa: B023
                timeout=60,
            )
        for each in clients:
            each.stop()
        assert [each.errors for each in clients] == [[], []]
        refused = counted(served)[f"127.0.0.1:{served.port()}"].refused
        assert refused.keys() <= {"unexpected_tls", "plain_http"}
        assert sum(refused.values()) == sum(each.resets for each in clients)
        stop.set()


def _echo(backend: RawBackend, stop: threading.Event) -> None:
    """Send back what the first read of each connection brings."""
    while not stop.is_set():
        try:
            with backend.accept() as accepted:
                accepted.sendall(accepted.recv(65_536))
        except OSError:
            continue


def test_explain_over_the_admin_api(served: Proxy) -> None:
    """The host of a request chooses the route; no handshake is told of."""
    with admin_client(served) as admin:
        steps = admin.explain(sni="old.test", method="GET", path="/a?b=c").steps
    assert [step.step for step in steps] == ["listener", "route", "authority", "action"]
    assert steps[-1].detail == "answered with 308, to https://old.test/a?b=c"
