"""What surrounds a body passes in both directions and all versions: interim responses, trailers, early answers, ends."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.http_backends import Kind, PlayedBackend, receive_all
from tests.support.http_clients import H1Client, H2Client, Response, client, pieces
from tests.support.l7 import l7_config, l7_route, tls_backend
from tests.support.proxy import Proxy

KINDS: tuple[Kind, ...] = ("http/1.1", "h2c", "h2")
NAMES: dict[Kind, str] = {"http/1.1": "h1.test", "h2c": "h2c.test", "h2": "tls.test"}
PAIRS = [(version, kind) for version in ("http/1.1", "h2") for kind in KINDS]
pairs = pytest.mark.parametrize(("version", "kind"), PAIRS, ids=[f"{a}-{NAMES[b]}" for a, b in PAIRS])


class Stage:
    """A proxy in front of backends of all kinds that the test plays."""

    def __init__(self, proxy: Proxy, backends: dict[Kind, PlayedBackend]) -> None:
        self.address = ("127.0.0.1", proxy.port())
        self.backends = backends
        self.pool = ThreadPoolExecutor(4)

    def client(self, version: str, kind: Kind) -> H1Client | H2Client:
        return client(version, self.address, NAMES[kind])


@pytest.fixture(scope="module", params=["ngh2", "h2"])
def stage(fleet: Fleet, request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        backends = {kind: stack.enter_context(PlayedBackend(kind, certs)) for kind in KINDS}
        routes = [
            l7_route(
                certs,
                backends[kind].port,
                NAMES[kind],
                backend_protocol="http/1.1" if kind == "http/1.1" else "h2",
                **(tls_backend(certs) if kind == "h2" else {}),
            )
            for kind in KINDS
        ]
        stage = Stage(stack.enter_context(fleet.serve(l7_config(*routes, http2_engine=request.param))), backends)
        with stage.pool:
            yield stage


@pairs
def test_interim_responses(stage: Stage, version: str, kind: Kind) -> None:
    """102 and 103 arrive before the final response, in order, with their fields."""
    with stage.client(version, kind) as peer:
        answer = stage.pool.submit(peer.request, "GET", "/hints")
        backend, request = stage.backends[kind].request()
        backend.inform(request, 102)
        backend.inform(request, 103, [("link", "</a.css>; rel=preload")])
        backend.respond(request, 200, [("content-length", "0")], end=True)
        response = answer.result(10)
    assert response.interim == [(102, []), (103, [("link", "</a.css>; rel=preload")])]
    assert response.status == 200


@pairs
def test_expect_continue(stage: Stage, version: str, kind: Kind) -> None:
    """The backend sees the expectation; its 100 reaches the client, whose body then reaches the backend."""
    with stage.client(version, kind) as peer:
        head = [("expect", "100-continue"), ("content-length", "4")]
        stream = 0
        if isinstance(peer, H1Client):
            peer.send_head("POST", "/", head)
            response = Response()
        else:
            stream = peer.begin("POST", "/", head, end=False)
            response = peer.responses[stream]
        backend, request = stage.backends[kind].request()
        assert request.header("expect") == "100-continue"
        backend.inform(request, 100)
        while not response.interim:
            peer.step(response)
        assert [status for status, _ in response.interim] == [100]
        peer.send(stream, b"body", end=True)
        receive_all(backend, request)
        assert request.body == b"body"
        backend.respond(request, 204, end=True)
        while not response.ended:
            peer.step(response)
    assert response.status == 204


@pairs
def test_refused_expectation(stage: Stage, version: str, kind: Kind) -> None:
    """A final answer instead of 100 reaches a client that has not sent its body."""
    with stage.client(version, kind) as peer:
        head = [("expect", "100-continue"), ("content-length", "4")]
        stream = 0
        if isinstance(peer, H1Client):
            peer.send_head("POST", "/", head)
            response = Response()
        else:
            stream = peer.begin("POST", "/", head, end=False)
            response = peer.responses[stream]
        backend, request = stage.backends[kind].request()
        backend.respond(request, 403, [("content-length", "0")], end=True)
        while not response.ended:
            peer.step(response)
    assert (response.status, response.interim) == (403, [])
    stage.backends[kind].drop(backend)


@pairs
def test_trailers_both_ways(stage: Stage, version: str, kind: Kind) -> None:
    """Trailers of requests and responses arrive behind the bodies, and the connections go on."""
    with stage.client(version, kind) as peer:
        for _ in range(2):
            answer = stage.pool.submit(
                peer.request,
                "POST",
                "/",
                [("te", "trailers")],
                pieces(b"question"),
                [("x-sum", "1"), ("x-more", "a b")],
            )
            backend, request = stage.backends[kind].request()
            receive_all(backend, request)
            assert (request.body, request.trailers) == (b"question", [("x-sum", "1"), ("x-more", "a b")])
            assert request.header("te") == "trailers"
            backend.respond(request, 200, [("transfer-encoding", "chunked")] if kind == "http/1.1" else [])
            backend.send(request, b"answer")
            backend.end(request, [("x-checksum", "42")])
            response = answer.result(10)
            assert (response.body, response.trailers) == (b"answer", [("x-checksum", "42")])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_empty_frame_that_ends_a_request_is_no_body(stage: Stage, method: str, kind: Kind) -> None:
    """In HTTP/1.1 such a request has neither body nor Transfer-Encoding, also where the frame comes later."""
    with H2Client(stage.address, NAMES[kind]) as peer:
        for together in (True, False):
            stream = peer.begin(method, "/", end=False)
            if not together:
                peer.ping()
            peer.send(stream, b"", end=True)
            backend, request = stage.backends[kind].request()
            receive_all(backend, request)
            assert {"transfer-encoding", "content-length"}.isdisjoint(name for name, _ in request.fields)
            assert request.body == b""
            backend.respond(request, 200, [("content-length", "0")], end=True)
            assert peer.receive(stream).status == 200


@pairs
def test_early_answer_to_an_upload(stage: Stage, version: str, kind: Kind) -> None:
    """An answer that does not wait for the request's body arrives whole, while the client is still sending."""
    with stage.client(version, kind) as peer:
        answer = stage.pool.submit(peer.request, "POST", "/", [("content-length", str(4 << 20))], bytes(4 << 20))
        backend, request = stage.backends[kind].request()
        backend.respond(request, 413, [("content-length", "50000")])
        backend.send(request, b"x" * 50_000)
        backend.end(request)
        response = answer.result(10)
        stage.backends[kind].drop(backend)
    assert (response.status, response.body) == (413, b"x" * 50_000)


def test_chunks_that_are_cut_anywhere(stage: Stage) -> None:
    """An upload goes on wherever TLS records cut its chunks, their size lines and line ends included."""
    body = b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx-sum: 1\r\n\r\n"
    with H1Client(stage.address, NAMES["http/1.1"]) as peer:
        for cut in range(len(body)):
            head = f"POST /{cut} HTTP/1.1\r\nhost: {peer.hostname}\r\ntransfer-encoding: chunked\r\n\r\n"
            peer.sock.sendall(head.encode() + body[:cut])
            backend, request = stage.backends["http/1.1"].request()  # so what was sent has been read
            peer.sock.sendall(body[cut:])
            receive_all(backend, request)
            assert (request.path, request.body, request.trailers) == (f"/{cut}", b"hello world", [("x-sum", "1")])
            backend.respond(request, 204, end=True)
            assert peer.answer("POST").status == 204
