"""What a reload does to open HTTP connections, and what stands around L7 routes: L4 ones, PROXY headers, other proxies."""

import hashlib
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import StartNginx, StartProxy
from tests.support.certificates import Certificates, Leaf
from tests.support.http_backends import H1Peer, H2Peer, Kind, PlayedBackend
from tests.support.http_clients import H1Client, H2Client, Response, client, tls_socket
from tests.support.l4 import RawBackend
from tests.support.l7 import l7_config, l7_route, read_head
from tests.support.lifecycle import apply
from tests.support.proxy import Proxy
from tests.support.proxy_header import Names, receive
from tests.support.settings import config, listener, route
from tests.support.tls import client_context, connect, get_json

versions = pytest.mark.parametrize("version", ["http/1.1", "h2"])
NAME = "l7.test"


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def ask(
    pool: ThreadPoolExecutor, peer: H1Client | H2Client, backend: PlayedBackend, answer: int = 200
) -> tuple[Response, H1Peer | H2Peer]:
    """Send a request that ``backend`` has to answer; return the response and the backend's connection."""
    asked = pool.submit(peer.request, "GET", "/")
    connection, request = backend.request()
    connection.respond(request, answer, [("content-length", "0")], end=True)
    return asked.result(10), connection


@versions
@pytest.mark.parametrize("kind", ["http/1.1", "h2c"])
def test_a_changed_backend_serves_the_next_request(
    reloaded: StartProxy, certs: Certificates, pool: ThreadPoolExecutor, version: str, kind: Kind
) -> None:
    """An open connection's next request goes to the new backend; one under way ends at the old, which is then left."""
    protocol = "http/1.1" if kind == "http/1.1" else "h2"
    with PlayedBackend(kind, certs) as old, PlayedBackend(kind, certs) as new:
        edge = reloaded(l7_config(l7_route(certs, old.port, NAME, backend_protocol=protocol)))
        with client(version, ("127.0.0.1", edge.port()), NAME) as peer:
            assert ask(pool, peer, old, 201)[0].status == 201
            under_way = pool.submit(peer.request, "GET", "/")
            connection, request = old.request()
            apply(edge, l7_config(l7_route(certs, new.port, NAME, backend_protocol=protocol)))
            connection.respond(request, 202, [("content-length", "0")], end=True)
            assert under_way.result(10).status == 202
            assert ask(pool, peer, new, 203)[0].status == 203
        if isinstance(connection, H1Peer):
            assert connection.sock.recv(1) == b""
        else:
            connection.run_until_closed()


def test_a_removed_route_lets_http2_go(reloaded: StartProxy, certs: Certificates, pool: ThreadPoolExecutor) -> None:
    """GOAWAY comes in two steps, the stream that is open ends as it should, then the connection closes."""
    with PlayedBackend("http/1.1", certs) as backend:
        routes = [l7_route(certs, backend.port, name, backend_protocol="http/1.1") for name in (NAME, "stays.test")]
        edge = reloaded(l7_config(*routes, shutdown_timeout="20s"))
        address = "127.0.0.1", edge.port()
        with H2Client(address, NAME) as peer, H2Client(address, "stays.test") as other:
            stream = peer.begin("GET", "/")
            connection, request = backend.request()
            apply(edge, l7_config(routes[1], shutdown_timeout="20s"))
            while len(peer.goaways) < 2:
                peer.step()
            assert peer.goaways == [2**31 - 1, stream]
            connection.respond(request, 200, [("content-length", "4")])
            connection.send(request, b"last")
            connection.end(request)
            assert peer.receive(stream).body == b"last"
            peer.run_until_closed()
            assert peer.closed
            assert ask(pool, other, backend)[0].status == 200
        with pytest.raises(OSError, match="reset"):
            H2Client(address, NAME)


@pytest.mark.parametrize("kind", ["http/1.1", "h2c"])
def test_what_crosses_the_notice_is_served(
    reloaded: StartProxy, certs: Certificates, pool: ThreadPoolExecutor, kind: Kind
) -> None:
    """A stream that the client opens between the first GOAWAY and the last is answered by the route's backend."""
    protocol = "http/1.1" if kind == "http/1.1" else "h2"
    with PlayedBackend(kind, certs) as backend:
        edge = reloaded(
            l7_config(l7_route(certs, backend.port, NAME, backend_protocol=protocol), shutdown_timeout="20s")
        )
        with H2Client(("127.0.0.1", edge.port()), NAME) as peer:
            ask(pool, peer, backend)
            apply(edge, l7_config(l7_route(certs, 9, "other.test"), shutdown_timeout="20s"))
            while not peer.goaways:
                peer.step()
            stream, misdirected = peer.begin("GET", "/"), peer.begin("GET", "/", authority="other.test")
            connection, request = backend.request()
            connection.respond(request, 201, end=True)
            assert (peer.receive(stream).status, peer.receive(misdirected).status) == (201, 421)
            peer.run_until_closed()
            assert peer.goaways == [2**31 - 1, 5]


def test_a_removed_route_lets_http1_go(reloaded: StartProxy, certs: Certificates) -> None:
    """A response under way says that it is the last, and so does that to a request on its way; who stays idle is closed."""
    with PlayedBackend("http/1.1", certs) as backend:
        edge = reloaded(
            l7_config(l7_route(certs, backend.port, NAME, backend_protocol="http/1.1"), shutdown_timeout="20s")
        )
        address = "127.0.0.1", edge.port()
        with H1Client(address, NAME) as peer, H1Client(address, NAME) as late, H1Client(address, NAME) as idle:
            peer.send_head("GET", "/", end=True)
            connection, request = backend.request()
            for each in (late, idle):
                each.send_head("GET", "/", end=True)
                second, other = backend.request()
                second.respond(other, 204, end=True)
                assert each.receive().status == 204
            apply(edge, l7_config(l7_route(certs, backend.port, "other.test"), shutdown_timeout="20s"))
            began = time.monotonic()
            late.send_head("GET", "/", end=True)
            second, other = backend.request()
            second.respond(other, 204, end=True)
            response = late.receive()
            assert (response.status, response.header("connection")) == (204, "close")
            assert late.sock.recv(1) == b""
            assert idle.sock.recv(1) == b""
            assert time.monotonic() - began < 12  # told to go within two seconds, long before shutdown_timeout
            connection.respond(request, 200, [("content-length", "4")])
            connection.send(request, b"last")
            connection.end(request)
            response = peer.receive()
            assert (response.body, response.header("connection")) == (b"last", "close")
            assert peer.sock.recv(1) == b""


@pytest.mark.parametrize("way", ["keep", "close"])
def test_on_remove(reloaded: StartProxy, certs: Certificates, pool: ThreadPoolExecutor, way: str) -> None:
    """keep: open connections go on, with new requests too. close: they end at once."""
    with PlayedBackend("http/1.1", certs) as backend:
        gone = l7_route(certs, backend.port, NAME, on_remove=way, backend_protocol="http/1.1")
        stays = l7_route(certs, 9, "stays.test")
        edge = reloaded(l7_config(gone, stays))
        with H2Client(("127.0.0.1", edge.port()), NAME) as peer:
            ask(pool, peer, backend)
            apply(edge, l7_config(stays))
            if way == "keep":
                assert ask(pool, peer, backend, 204)[0].status == 204
                assert peer.goaways == []
            else:
                with pytest.raises(OSError, match=r"."):
                    peer.step()


@versions
def test_policies_change_under_open_connections(
    reloaded: StartProxy, certs: Certificates, pool: ThreadPoolExecutor, version: str
) -> None:
    """The next request of an open connection is judged by the new policies."""
    with PlayedBackend("http/1.1", certs) as backend:
        free = l7_route(certs, backend.port, NAME, backend_protocol="http/1.1")
        strict = {**free, "l7_policies": [{"type": "require_header", "value": "X-Key"}]}
        edge = reloaded(l7_config(free))
        with client(version, ("127.0.0.1", edge.port()), NAME) as peer:
            assert ask(pool, peer, backend)[0].status == 200
            apply(edge, l7_config(strict))
            assert peer.request("GET", "/").status == 403
            apply(edge, l7_config(free))
            assert ask(pool, peer, backend, 204)[0].status == 204


def test_certificates_change_under_open_connections(
    reloaded: StartProxy, certs: Certificates, pool: ThreadPoolExecutor
) -> None:
    """A new certificate in the same files serves new connections, once its key fits; open ones go on."""
    first = certs.server(NAME)
    second = certs.server(NAME, not_after=datetime.now(UTC).replace(microsecond=0) + timedelta(days=99))
    with PlayedBackend("http/1.1", certs) as backend:
        edge = reloaded(l7_config(l7_route(certs, backend.port, NAME, backend_protocol="http/1.1")))
        pair = Leaf(edge.folder / "site.crt", edge.folder / "site.key")
        pair.certificate.write_bytes(first.certificate.read_bytes())
        pair.key.write_bytes(first.key.read_bytes())
        files = {"tls_cert": str(pair.certificate), "tls_key": str(pair.key)}
        apply(edge, l7_config({**l7_route(certs, backend.port, NAME, backend_protocol="http/1.1"), **files}))
        with H2Client(("127.0.0.1", edge.port()), NAME) as peer:
            assert _certificate(peer.sock) == _digest(first)
            pair.certificate.write_bytes(second.certificate.read_bytes())
            pair.key.write_bytes(second.key.read_bytes())
            deadline = time.monotonic() + 10
            while True:
                with tls_socket(("127.0.0.1", edge.port()), NAME, "h2") as sock:
                    if _certificate(sock) == _digest(second):
                        break
                    assert _certificate(sock) == _digest(first)
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert ask(pool, peer, backend)[0].status == 200
            assert peer.goaways == []


def _certificate(sock: socket.socket) -> str:
    assert isinstance(sock, ssl.SSLSocket)
    return hashlib.sha256(sock.getpeercert(binary_form=True) or b"").hexdigest()


def _digest(leaf: Leaf) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.certificate.read_text())).hexdigest()


def test_l4_and_l7_routes_on_one_listener(
    reloaded: StartProxy, nginx: StartNginx, certs: Certificates, pool: ThreadPoolExecutor
) -> None:
    """The name decides whether TLS ends here: one route's certificate is the backend's, the other's the proxy's own."""
    passed = nginx("passed", certs.server("l4.test"))
    with PlayedBackend("http/1.1", certs) as backend:
        routes = [route(passed.port, "l4.test"), l7_route(certs, backend.port, NAME, backend_protocol="http/1.1")]
        edge = reloaded(l7_config(*routes))
        address = "127.0.0.1", edge.port()
        with H2Client(address, NAME) as peer:
            with connect(address, "l4.test", client_context(certs.ca)) as sock:
                assert get_json(sock, "l4.test")["backend"] == "passed"
            assert ask(pool, peer, backend)[0].status == 200
            assert peer.receive(peer.begin("GET", "/", authority="l4.test")).status == 421


@versions
def test_the_true_client_over_two_proxies(
    reloaded: StartProxy, certs: Certificates, pool: ThreadPoolExecutor, version: str
) -> None:
    """An origin that ends TLS behind an edge that does not tells backends the client's own address, not a claimed one."""
    with PlayedBackend("http/1.1", certs) as backend:
        there = listener(
            "127.0.0.1:PORT",
            [l7_route(certs, backend.port, NAME, backend_protocol="http/1.1")],
            proxy_protocol=True,
            trusted_proxies=["127.0.0.1/32"],
        )
        origin = reloaded(config(there))
        edge = reloaded(config(listener(":PORT", [route(origin.port(), send_proxy_protocol=True)])))
        with client(version, ("127.0.0.1", edge.port()), NAME, source="127.0.0.40") as peer:
            asked = pool.submit(
                peer.request, "GET", "/", [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")]
            )
            connection, request = backend.request()
            connection.respond(request, 204, end=True)
            assert asked.result(10).status == 204
        assert [value for name, value in request.fields if name == "x-forwarded-for"] == ["127.0.0.40"]
        assert request.header("x-real-ip") == "127.0.0.40"
        assert request.header("forwarded") == f'for=127.0.0.40;proto=https;host="{NAME}"'
        assert request.header("x-forwarded-proto") == "https"


def test_the_backend_is_told_the_client_by_proxy_header(
    reloaded: StartProxy, certs: Certificates, pool: ThreadPoolExecutor
) -> None:
    """With send_proxy_protocol a connection to the backend begins with the client's address, and ends with the client."""
    with RawBackend() as backend:
        edge = reloaded(
            l7_config(
                l7_route(certs, backend.port, NAME, backend_protocol="http/1.1", send_proxy_protocol=True), addr=":PORT"
            )
        )
        for source in ("127.0.0.41", "127.0.0.42"):
            with H1Client(("127.0.0.1", edge.port()), NAME, source=source) as peer:
                asked = pool.submit(peer.request, "GET", "/one")
                sock = backend.accept()
                assert receive(sock) == Names(source, peer.sock.getsockname()[1], "127.0.0.1", backend.port)
                for path in ("/one", "/two"):
                    assert read_head(sock).startswith(f"GET {path} ".encode())
                    sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                    assert asked.result(10).status == 204
                    if path == "/one":
                        asked = pool.submit(peer.request, "GET", "/two")
            assert sock.recv(1) == b"", "the client is gone, and its connection kept"


@versions
def test_shutdown_finishes_what_is_under_way(
    proxy: StartProxy, certs: Certificates, pool: ThreadPoolExecutor, version: str
) -> None:
    """SIGTERM: the response under way ends as it should, then the process does."""
    with PlayedBackend("h2c", certs) as backend:
        edge: Proxy = proxy(l7_config(l7_route(certs, backend.port, NAME), shutdown_timeout="20s"))
        with client(version, ("127.0.0.1", edge.port()), NAME) as peer:
            asked = pool.submit(peer.request, "GET", "/")
            connection, request = backend.request()
            connection.respond(request, 200)
            stopping = pool.submit(edge.stop)
            edge.wait_for_notification("STOPPING=1")
            connection.send(request, b"last words")
            connection.end(request)
            assert asked.result(10).body == b"last words"
            if isinstance(peer, H2Client):
                peer.run_until_closed()
                assert len(peer.goaways) == 2
            else:
                assert peer.sock.recv(1) == b""
        assert stopping.result(15) == 0
