"""Requests and responses arrive unchanged between all versions: HTTP/1.1 and HTTP/2 clients, three kinds of backends."""

import contextlib
import hashlib
from collections.abc import Iterator

import pytest

from tests.support.asgi_app import BLOCK
from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.http_clients import H1Client, H2Client, Response, client, pieces
from tests.support.l7 import AppServer, l7_config, l7_route, start_hypercorn, tls_backend
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.tls import receive_all

BIG = 5 << 20
BACKENDS = {"h1.test": "1.1", "h2c.test": "2", "tls.test": "2", "auto.test": "2", "tls1.test": "1.1"}
PAIRS = [(version, backend) for version in ("http/1.1", "h2") for backend in ("h1.test", "h2c.test", "tls.test")]
pairs = pytest.mark.parametrize(("version", "backend"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])


@pytest.fixture(scope="module")
def app(certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    with Processes(tmp_path_factory.mktemp("hypercorn")) as processes:
        yield start_hypercorn(processes, certs)


@pytest.fixture(scope="module", params=["ngh2", "h2"])
def served(fleet: Fleet, request: pytest.FixtureRequest, app: AppServer, certs: Certificates) -> Iterator[Proxy]:
    tls = tls_backend(certs)
    config = l7_config(
        l7_route(certs, app.port, "h1.test", backend_protocol="http/1.1"),
        l7_route(certs, app.port, "h2c.test", backend_protocol="h2"),
        l7_route(certs, app.tls_port, "tls.test", **tls, backend_protocol="h2"),
        l7_route(certs, app.port, "auto.test"),
        l7_route(certs, app.tls_port, "tls1.test", **tls, backend_protocol="http/1.1"),
        http2_engine=request.param,
    )
    with fleet.serve(config) as proxy:
        yield proxy


@pytest.fixture
def address(served: Proxy) -> tuple[str, int]:
    return "127.0.0.1", served.port()


def content(size: int) -> bytes:
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_the_backend_gets_the_request(address: tuple[str, int], version: str, backend: str) -> None:
    """Method, path, query, fields and authority arrive; the backend is spoken to as configured, or as found out."""
    with client(version, address, backend) as peer:
        response = peer.request("GET", "/echo/a%20b?q=1&r=%2F", [("x-thing", "a"), ("x-thing", "b"), ("cookie", "c=d")])
    seen = response.json()
    assert response.status == 200
    assert (seen["version"], seen["method"], seen["query"]) == (BACKENDS[backend], "GET", "q=1&r=%2F")
    headers = [(name, value) for name, value in seen["headers"]]
    assert [value for name, value in headers if name == "x-thing"] == ["a", "b"]
    assert ("x-forwarded-for", "127.0.0.1") in headers
    assert ("x-forwarded-proto", "https") in headers
    assert {value for name, value in headers if name in ("host", ":authority")} == {backend}


@pairs
@pytest.mark.parametrize("size", [0, 1, 70_000, BIG])
def test_bodies_both_ways(address: tuple[str, int], version: str, backend: str, size: int) -> None:
    """A body of announced length arrives whole at the backend; one of unknown length too, and comes back."""
    data = content(size)
    with client(version, address, backend) as peer:
        seen = peer.request("POST", "/echo", [("content-length", str(size))], data).json()
        assert (seen["size"], seen["sha256"]) == (size, hashlib.sha256(data).hexdigest())
        seen = peer.request("PUT", "/echo", (), pieces(data)).json()
        assert (seen["method"], seen["size"]) == ("PUT", size)
        sized = peer.request("GET", f"/bytes/{size}")
        assert (sized.header("content-length"), sized.body) == (str(size), data)
        streamed = peer.request("GET", f"/stream/{size}")
        assert streamed.body == data


@pairs
def test_head_has_no_body(address: tuple[str, int], version: str, backend: str) -> None:
    """The response to HEAD says what GET would have, has no body, and the connection goes on."""
    with client(version, address, backend) as peer:
        for path, length in (("/bytes/5000", "5000"), ("/stream/5000", None)):
            response = peer.request("HEAD", path)
            assert (response.status, response.header("content-length"), response.body) == (200, length, b"")
        assert peer.request("GET", "/bytes/3").body == content(3)


@pairs
@pytest.mark.parametrize("status", [204, 304, 205])
def test_statuses_without_body(address: tuple[str, int], version: str, backend: str, status: int) -> None:
    """204 and 304 have no body and no framing of one, and the connection goes on."""
    with client(version, address, backend) as peer:
        for _ in range(2):
            response = peer.request("GET", f"/status/{status}")
            assert (response.status, response.body) == (status, b"")
            assert response.header("x-status") == str(status)
            assert status == 205 or response.header("transfer-encoding") is None
        assert peer.request("GET", "/bytes/3").body == content(3)


@pairs
def test_streams_while_the_request_still_comes(address: tuple[str, int], version: str, backend: str) -> None:
    """Both directions flow at once: what was sent comes back before the request ends."""
    with client(version, address, backend) as peer:
        if isinstance(peer, H2Client):
            stream = peer.begin("POST", "/mirror", end=False)
            response = peer.responses[stream]
            for count in range(1, 4):
                peer.send(stream, b"part")
                while len(response.body) < 4 * count:
                    peer.step()
            peer.send(stream, b"", end=True)
            assert peer.receive(stream).body == b"part" * 3
        else:
            peer.send_head("POST", "/mirror", body=iter(()))
            response = Response()
            for count in range(1, 4):
                peer.send(0, b"part")
                while len(response.body) < 4 * count:
                    peer.step(response)
            peer.send(0, b"", end=True)
            while not response.ended:
                peer.step(response)
            assert response.body == b"part" * 3


def test_large_mirror(address: tuple[str, int]) -> None:
    """5 MB go in while they come out, over HTTP/2 on both sides."""
    with H2Client(address, "h2c.test") as peer:
        data = content(BIG)
        response = peer.request("POST", "/mirror", (), pieces(data))
        assert response.body == data


@pytest.mark.parametrize("backend", ["h1.test", "h2c.test", "tls.test"])
def test_many_streams_at_once(address: tuple[str, int], backend: str) -> None:
    """100 streams of one connection are served at the same time, each with its own answer."""
    with H2Client(address, backend) as peer:
        streams = {peer.begin("GET", f"/echo?n={number}"): number for number in range(100)}
        for stream, number in streams.items():
            assert peer.receive(stream).json()["query"] == f"n={number}"


@pytest.mark.parametrize("backend", ["h1.test", "h2c.test", "tls.test"])
def test_pipelining(address: tuple[str, int], backend: str) -> None:
    """Requests sent in one go are answered in their order."""
    with H1Client(address, backend) as peer:
        peer.sock.sendall(
            b"".join(
                b"POST /echo?n=%d HTTP/1.1\r\nhost: %b\r\ncontent-length: 3\r\n\r\nabc" % (n, backend.encode())
                for n in range(8)
            )
        )
        for number in range(8):
            assert peer.answer().json()["query"] == f"n={number}"


@pytest.mark.parametrize("backend", ["h1.test", "h2c.test"])
@pytest.mark.parametrize("page", ["bytes/100000", "stream/100000"])
def test_http10(address: tuple[str, int], backend: str, page: str) -> None:
    """A client of HTTP/1.0 without Host gets a body without chunks, ended by the connection's end."""
    with H1Client(address, backend) as peer:
        peer.sock.sendall(f"GET /{page} HTTP/1.0\r\n\r\n".encode())
        data = receive_all(peer.sock)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"chunked" not in head.lower()
    assert body == content(100_000)


def test_http10_keep_alive(address: tuple[str, int]) -> None:
    """A client of HTTP/1.0 that asks for it may send another request."""
    with H1Client(address, "h1.test") as peer:
        for _ in range(2):
            peer.sock.sendall(b"GET /bytes/3 HTTP/1.0\r\nhost: h1.test\r\nconnection: keep-alive\r\n\r\n")
            response = peer.answer()
            assert (response.header("connection"), response.body) == ("keep-alive", content(3))


def test_connection_close_is_kept(address: tuple[str, int]) -> None:
    """A client that asks for the end of the connection gets it, after the response."""
    with H1Client(address, "h2c.test") as peer:
        response = peer.request("GET", "/bytes/100", [("connection", "close")])
        assert (response.header("connection"), len(response.body)) == ("close", 100)
        with contextlib.suppress(ConnectionError):
            assert peer.sock.recv(1) == b""
