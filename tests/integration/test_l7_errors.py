"""What goes wrong is told to the other side, as an error or as a reset, never as success; and nothing internal with it."""

import contextlib
import datetime as dt
import re
import select
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus

import pytest

from tests.support.certificates import Certificates, Leaf
from tests.support.engines import default_engine, engines
from tests.support.fleet import Fleet
from tests.support.http_backends import H1Peer, H2Peer, Kind, PlayedBackend, Received, receive_all
from tests.support.http_clients import H1Client, H2Client, Response, client
from tests.support.l4 import RawBackend, full, reset
from tests.support.l7 import BACKEND_NAME, accept_tls, l7_config, l7_route, read_head, server_tls, tls_backend
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.tls import receive_all as receive_to_end

VERSIONS = ("http/1.1", "h2")
KINDS: tuple[Kind, ...] = ("http/1.1", "h2c", "h2")
NAMES: dict[Kind, str] = {"http/1.1": "h1.test", "h2c": "h2c.test", "h2": "tls.test"}
versions = pytest.mark.parametrize("version", VERSIONS)
pairs = pytest.mark.parametrize(
    ("version", "kind"), [(version, kind) for version in VERSIONS for kind in KINDS], ids=lambda value: value
)
PATIENCE = 0.5
"""The time limits of the impatient proxy (seconds)."""
both_engines = engines("stage")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    default_engine(metafunc, "stage")


class Stage:
    """Proxies in front of backends that the test plays, and one that listens and is never served."""

    def __init__(self, proxy: Proxy, backends: dict[Kind, PlayedBackend], raw: RawBackend, other: Proxy) -> None:
        self.proxy = proxy
        self.address = ("127.0.0.1", proxy.port())
        self.impatient = ("127.0.0.1", other.port())
        self.backends = backends
        self.raw = raw
        self.pool = ThreadPoolExecutor(8)

    def client(self, version: str, kind: Kind) -> H1Client | H2Client:
        return client(version, self.address, NAMES[kind])


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, fleet: Fleet, certs: Certificates) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        backends = {kind: stack.enter_context(PlayedBackend(kind, certs)) for kind in KINDS}
        raw = stack.enter_context(RawBackend())
        tls = tls_backend(certs)
        routes = [
            l7_route(
                certs,
                backends[kind].port,
                NAMES[kind],
                backend_protocol="http/1.1" if kind == "http/1.1" else "h2",
                **(tls if kind == "h2" else {}),
            )
            for kind in KINDS
        ]
        refused = l7_route(certs, raw.port, "policy.test")
        refused["l7_policies"] = [
            {"type": "block_user_agent", "value": "BadBot"},
            {"type": "require_header", "value": "X-Key: secret"},
        ]
        raw_routes = [
            l7_route(certs, raw.port, "raw.test", backend_protocol="http/1.1"),
            l7_route(certs, raw.port, "rawtls.test", backend_protocol="http/1.1", **tls),
        ]
        down = [
            l7_route(certs, free_port(), "down.test"),
            l7_route(certs, free_port(), "downtls.test", **tls),
            l7_route(certs, "unix:/nonexistent/socket", "downunix.test"),
            l7_route(certs, "no-such-host.invalid:80", "downdns.test"),
        ]
        config = l7_config(*routes, *raw_routes, *down, refused, http2_engine=request.param)
        impatient = l7_config(
            *routes,
            *raw_routes,
            l7_route(certs, stack.enter_context(full()).getsockname()[1], "full.test"),
            limits={"header_timeout": "500ms", "stalled_window_timeout": "500ms"},
            idle_timeout="500ms",
            connect_timeout="500ms",
            http2_engine=request.param,
        )
        stage = Stage(
            stack.enter_context(fleet.serve(config)), backends, raw, stack.enter_context(fleet.serve(impatient))
        )
        with stage.pool:
            yield stage


# Backends that can't be reached, or not be trusted


@versions
@pytest.mark.parametrize("hostname", ["down.test", "downtls.test", "downunix.test", "downdns.test"])
def test_backend_down(stage: Stage, version: str, hostname: str) -> None:
    """502 with a minimal body, and the connection goes on."""
    with client(version, stage.address, hostname) as peer:
        for method in ("GET", "POST", "HEAD"):
            response = peer.request(method, "/", body=b"x" if method == "POST" else None)
            assert response.status == 502
            assert own_text(response, 502) if method != "HEAD" else response.body == b""
            assert {name for name, _ in response.headers} <= {"content-type", "content-length", "x-request-id"}


@pytest.fixture
def expired(certs: Certificates) -> Leaf:
    now = dt.datetime.now(dt.UTC)
    return certs.server(BACKEND_NAME, not_before=now - dt.timedelta(days=9), not_after=now - dt.timedelta(days=1))


@pytest.mark.parametrize("fault", ["expired", "name", "ca"])
def test_backend_certificates(
    stage: Stage, certs: Certificates, other_certs: Certificates, expired: Leaf, fault: str
) -> None:
    """A backend whose certificate is expired, for another name, or of another CA gets no request: 502."""
    leaf = {"expired": expired, "name": certs.server("other.test"), "ca": other_certs.server(BACKEND_NAME)}[fault]

    def serve_once() -> bytes:
        context = server_tls(leaf.certificate, leaf.key, "http/1.1")
        try:
            with stage.raw.accept() as sock, context.wrap_socket(sock, server_side=True) as tls:
                return tls.recv(100)
        except OSError:
            return b""

    with client("h2", stage.address, "rawtls.test") as peer:
        received = stage.pool.submit(serve_once)
        assert peer.request("GET", "/").status == 502
        assert received.result(10) == b""


@versions
def test_connect_timeout(stage: Stage, version: str) -> None:
    """A backend that does not take connections is given up: 504."""
    with client(version, stage.impatient, "full.test") as peer:
        assert peer.request("GET", "/").status == 504


# Backends that stop in the middle


@pairs
def test_backend_slow(stage: Stage, version: str, kind: Kind) -> None:
    """A backend that does not answer within idle_timeout: 504, and the backend's request is cancelled."""
    with client(version, stage.impatient, NAMES[kind]) as peer:
        answer = stage.pool.submit(peer.request, "GET", "/")
        backend, request = stage.backends[kind].request()
        response = answer.result(10)
        assert own_text(response, 504)
        if isinstance(backend, H2Peer):
            while request.reset is None:
                backend.receive()
        else:
            with pytest.raises(ConnectionError):
                backend.request()
            stage.backends[kind].drop(backend)


@both_engines
@versions
@pytest.mark.parametrize("kind", ["h2c", "h2"])
def test_a_backend_of_http2_that_was_late_is_asked_whether_it_is_there(stage: Stage, version: str, kind: Kind) -> None:
    """It gets no more requests on that connection until it answers the PING; in the meantime they go to another one."""
    backends = stage.backends[kind]
    with client(version, stage.impatient, NAMES[kind]) as peer:
        answer = stage.pool.submit(peer.request, "GET", "/in-time")
        silent, request = backends.request()
        silent.respond(request, 204, end=True)
        assert answer.result(10).status == 204
        answer = stage.pool.submit(peer.request, "GET", "/late")
        same, _ = backends.request()
        assert same is silent
        assert answer.result(10).status == 504
        backends.mute(silent)
        answer = stage.pool.submit(peer.request, "GET", "/elsewhere")
        other, request = backends.request()
        other.respond(request, 204, end=True)
        assert answer.result(10).status == 204
        backends.unmute(silent)
        assert isinstance(silent, H2Peer)
        pings = silent.pings
        while silent.pings == pings:
            silent.receive()
        backends.drop(other)
        answer = stage.pool.submit(peer.request, "GET", "/again")
        again, request = backends.request()
        assert again is silent
        again.respond(request, 204, end=True)
        assert answer.result(10).status == 204


@pairs
def test_backend_stops_in_its_body(stage: Stage, version: str, kind: Kind) -> None:
    """A response that stands still for idle_timeout is broken off."""
    took = PATIENCE
    while took >= PATIENCE:  # else the response came too late to be one that stands still
        with client(version, stage.impatient, NAMES[kind]) as peer:
            began = time.monotonic()
            answer = stage.pool.submit(peer.request, "GET", "/")
            backend, request = stage.backends[kind].request()
            with contextlib.suppress(ConnectionError):
                backend.respond(request, 200, [("content-length", "10")])
                backend.send(request, b"12345")
            took = time.monotonic() - began
            error = answer.exception(10)
            if took < PATIENCE:
                broken_off(peer, error)
        if kind == "http/1.1":
            stage.backends[kind].drop(backend)


@both_engines
@pairs
@pytest.mark.parametrize("framing", ["length", "unknown"])
def test_backend_dies_in_its_body(stage: Stage, version: str, kind: Kind, framing: str) -> None:
    """The client of a response that the backend does not end sees a reset, never a complete shorter body."""
    with stage.client(version, kind) as peer:
        answer = stage.pool.submit(peer.request, "GET", "/")
        backend, request = stage.backends[kind].request()
        head = [("content-length", "10")] if framing == "length" else []
        if framing == "unknown" and kind == "http/1.1":
            head = [("transfer-encoding", "chunked")]
        backend.respond(request, 200, head)
        backend.send(request, b"12345")
        time.sleep(0.05)  # the body's part is to be on its way; were it not, the client would see less, not more
        stage.backends[kind].drop(backend)
        broken_off(peer, answer.exception(10))


def own_text(response: Response, status: int) -> bool:
    """Tell whether a response is the proxy's own error with this status, whose text tells the id that its field tells."""
    number = dict(response.headers).get("x-request-id", "")
    text = f"{status} {HTTPStatus(status).phrase}\nrequest id: {number}\n".encode()
    return (response.status, response.body) == (status, text) and re.fullmatch("[0-9a-f]{16}", number) is not None


def broken_off(peer: H1Client | H2Client, error: BaseException | None) -> None:
    """Assert that a client's request has ended visibly incomplete."""
    if isinstance(peer, H2Client):
        (response,) = peer.responses.values()
        assert error is None
        assert response.reset not in (None, 0)
        assert not response.ended
    else:
        assert isinstance(error, OSError | ConnectionError) or "peer" in str(error), error


@versions
@pytest.mark.parametrize("hostname", ["raw.test", "rawtls.test"])
def test_backend_dies_in_an_endless_body(stage: Stage, certs: Certificates, version: str, hostname: str) -> None:
    """A body that the connection's end ends is whole only with an orderly end: FIN, or over TLS close_notify."""
    for orderly in (True, False):
        with client(version, stage.address, hostname) as peer:
            answer = stage.pool.submit(peer.request, "GET", "/")
            sock = stage.raw.accept()
            if hostname == "rawtls.test":
                leaf = certs.server(BACKEND_NAME)
                tls = server_tls(leaf.certificate, leaf.key, "http/1.1").wrap_socket(sock, server_side=True)
                read_head(tls)
                tls.sendall(b"HTTP/1.1 200 OK\r\n\r\n12345")
                if orderly:
                    with contextlib.suppress(OSError):
                        tls.unwrap()
                tls.close()
            else:
                read_head(sock)
                sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n12345")
                time.sleep(0.05)  # a reset would take back what was not read yet
                if orderly:
                    sock.close()
                else:
                    reset(sock)
            if orderly:
                assert answer.result(10).body == b"12345"
            else:
                broken_off(peer, answer.exception(10))


def test_http10_client_of_a_dead_backend(stage: Stage) -> None:
    """A client that can only see the connection's end sees a reset, not an orderly one."""
    with H1Client(stage.address, "raw.test") as peer:
        peer.sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        sock = stage.raw.accept()
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")
        sock.close()
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            receive_to_end(peer.sock)


def test_backend_ends_before_the_client_has_read(stage: Stage, certs: Certificates) -> None:
    """A response that a TLS backend ends, and closes behind, is whole however long its client lets it wait."""
    size = 300_000

    def serve_once() -> None:
        with stage.raw.accept() as sock, accept_tls(sock, certs, "http/1.1") as tls:
            read_head(tls)
            tls.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size))
            tls.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):  # it says close_notify, and awaits none
                tls.unwrap()

    served = stage.pool.submit(serve_once)
    with H2Client(stage.address, "rawtls.test") as peer:
        peer.auto_credit = False
        response = peer.responses[peer.begin("GET", "/")]
        served.result(10)
        while len(response.body) < 65_535:
            peer.step()
        peer.open_window(size)
        peer.open_window(size, 1)
        while not response.ended and response.reset is None:
            peer.step()
        assert (len(response.body), response.reset) == (size, None)


@versions
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-large: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "partial", "nonsense", "bad-name", "two-lengths", "two-framings", "unasked-101", "large"],
)
def test_backend_talks_nonsense(stage: Stage, version: str, answer: bytes) -> None:
    """What is no HTTP, or can be read in two ways, becomes 502."""
    with client(version, stage.address, "raw.test") as peer:
        response = stage.pool.submit(peer.request, "POST", "/", [], b"x")
        sock = stage.raw.accept()
        read_head(sock)
        sock.sendall(answer)
        sock.close()
        assert response.result(10).status == 502


@both_engines
@pytest.mark.parametrize("kind", ["h2c", "h2"])
@versions
def test_backend_resets_a_stream(stage: Stage, version: str, kind: Kind) -> None:
    """A stream that the backend resets before its response is 502; one reset amid it is reset at the client."""
    with stage.client(version, kind) as peer:
        answer = stage.pool.submit(peer.request, "GET", "/")
        backend, request = stage.backends[kind].request()
        assert isinstance(backend, H2Peer)
        backend.reset(request, 0x2)
        assert answer.result(10).status == 502
    with stage.client(version, kind) as peer:
        answer = stage.pool.submit(peer.request, "GET", "/")
        backend, request = stage.backends[kind].request()
        assert isinstance(backend, H2Peer)
        backend.respond(request, 200)
        backend.send(request, b"12345")
        time.sleep(0.05)  # what was not taken yet, a reset takes back
        backend.reset(request, 0xB)
        broken_off(peer, answer.exception(10))
        if isinstance(peer, H2Client):
            assert peer.responses[1].reset == 0xB


@both_engines
@pytest.mark.parametrize("kind", ["h2c", "h2"])
def test_refused_streams_are_tried_again(stage: Stage, kind: Kind) -> None:
    """A stream that the backend refuses is tried again; a request that can't be repeated too, if none of it was sent."""
    for method in ("GET", "POST"):
        with stage.client("h2", kind) as peer:
            answer = stage.pool.submit(peer.request, method, "/")
            backend, request = stage.backends[kind].request()
            assert isinstance(backend, H2Peer)
            backend.reset(request, 0x7)
            backend, request = stage.backends[kind].request()
            backend.respond(request, 200, end=True)
            assert answer.result(10).status == 200


@both_engines
def test_goaway_of_the_backend(stage: Stage) -> None:
    """Streams that a GOAWAY leaves out go to another connection, the others end where they are."""
    with stage.client("h2", "h2c") as peer:
        assert isinstance(peer, H2Client)
        first = peer.begin("GET", "/first")
        backend, one = stage.backends["h2c"].request()
        second = peer.begin("POST", "/second")
        same, _ = stage.backends["h2c"].request()
        assert isinstance(backend, H2Peer)
        assert same is backend
        backend.goaway(one.stream)
        other, two = stage.backends["h2c"].request()
        assert other is not backend
        assert two.path == "/second"
        other.respond(two, 202, end=True)
        backend.respond(one, 201, end=True)
        assert (peer.receive(first).status, peer.receive(second).status) == (201, 202)


@versions
def test_idle_connection_that_died(stage: Stage, version: str) -> None:
    """An idempotent request on a kept connection that the backend closes just then is sent again on another one."""
    with client(version, stage.address, "raw.test") as peer:
        answer = stage.pool.submit(peer.request, "GET", "/")
        first = stage.raw.accept()
        read_head(first)
        first.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert answer.result(10).status == 204
        answer = stage.pool.submit(peer.request, "GET", "/again")
        read_head(first)
        first.close()
        second = stage.raw.accept()
        assert read_head(second).startswith(b"GET /again ")
        second.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert answer.result(10).status == 204
        answer = stage.pool.submit(peer.request, "POST", "/once", (), b"")
        assert read_head(second).startswith(b"POST /once ")
        second.close()
        assert answer.result(10).status == 502


@both_engines
@versions
@pytest.mark.parametrize("kind", ["h2c", "h2"])
def test_idle_multiplexed_connection_that_died(stage: Stage, version: str, kind: Kind) -> None:
    """The same where the backend speaks HTTP/2 and says no GOAWAY; what has begun to be answered is not sent again."""
    backends = stage.backends[kind]

    def ask(method: str, path: str) -> tuple[Future[Response], H1Peer | H2Peer, Received]:
        answer = stage.pool.submit(peer.request, method, path, (), None if method == "GET" else b"")
        backend, request = backends.request()
        assert request.path == path
        return answer, backend, request

    with stage.client(version, kind) as peer:
        answer, first, request = ask("GET", "/")
        first.respond(request, 204, end=True)
        assert answer.result(10).status == 204
        answer, same, _ = ask("GET", "/again")
        assert same is first
        backends.drop(first)
        second, request = backends.request()
        assert request.path == "/again"
        second.respond(request, 204, end=True)
        assert answer.result(10).status == 204
        answer, _, _ = ask("POST", "/once")
        backends.drop(second)
        assert answer.result(10).status == 502
        answer, third, _ = ask("GET", "/first-of-a-new-one")
        backends.drop(third)
        assert answer.result(10).status == 502


# Clients that stop in the middle


@both_engines
@pairs
def test_client_dies_in_its_upload(stage: Stage, version: str, kind: Kind) -> None:
    """The backend of a request that is not ended sees a reset, or an end that can't be taken for the body's."""
    for framing in ([("content-length", "10")], []):
        with stage.client(version, kind) as peer:
            stream = begin_upload(peer, framing)
            peer.send(stream, b"12345")
            backend, request = stage.backends[kind].request()
            while request.body != b"12345":
                backend.step(request)
        if isinstance(backend, H2Peer):
            while request.reset is None:
                backend.step(request)
            assert request.reset == 0x8
            assert not request.ended
        else:
            with pytest.raises(ConnectionError):
                receive_all(backend, request)
            stage.backends[kind].drop(backend)


@pairs
def test_client_stops_in_its_upload(stage: Stage, version: str, kind: Kind) -> None:
    """A body whose rest does not come within idle_timeout: 408, and the backend's request is cancelled."""
    with client(version, stage.impatient, NAMES[kind]) as peer:
        stream = begin_upload(peer, [("content-length", "10")])
        peer.send(stream, b"12345")
        backend, request = stage.backends[kind].request()
        while request.body != b"12345":
            backend.step(request)
        response = peer.receive(stream) if isinstance(peer, H2Client) else peer.receive()
        assert own_text(response, 408)
        if isinstance(peer, H1Client):
            assert response.header("connection") == "close"
        if isinstance(backend, H2Peer):
            while request.reset is None:
                backend.step(request)
        else:
            with pytest.raises(ConnectionError):
                receive_all(backend, request)
            stage.backends[kind].drop(backend)


@both_engines
@versions
@pytest.mark.parametrize("reason", ["stops-reading", "invites-no-body"])
def test_backend_lets_an_upload_wait(stage: Stage, version: str, reason: str) -> None:
    """A body that the backend does not take, or has not asked for by 100 Continue: 504."""
    with client(version, stage.impatient, "h2c.test") as peer:
        if reason == "stops-reading":
            stream = begin_upload(peer, [("content-length", "200000")])
            sent = stage.pool.submit(
                peer.send, stream, bytes(100_000)
            )  # more than the backend's window, which nobody widens
        else:
            stream = begin_upload(peer, [("content-length", "10"), ("expect", "100-continue")])
            sent = stage.pool.submit(bool)
        stage.backends["h2c"].request()
        sent.result(10)
        response = peer.receive(stream) if isinstance(peer, H2Client) else peer.receive()
        assert response.status == 504


def begin_upload(peer: H1Client | H2Client, headers: list[tuple[str, str]]) -> int:
    if isinstance(peer, H2Client):
        return peer.begin("POST", "/", headers, end=False)
    peer.send_head("POST", "/", headers, body=iter(()))
    return 0


@both_engines
@pairs
def test_client_cancels(stage: Stage, version: str, kind: Kind) -> None:
    """A client that goes, or resets its stream, ends the backend's work at once."""
    with stage.client(version, kind) as peer:
        if isinstance(peer, H1Client):
            peer.send_head("GET", "/")
        else:
            stream = peer.begin("GET", "/")
        backend, request = stage.backends[kind].request()
        backend.respond(request, 200, [("content-length", "10")])
        if isinstance(peer, H2Client):
            peer.connection.reset_stream(stream, 0x8)
            peer.flush()
        else:
            peer.sock.close()
        if isinstance(backend, H2Peer):
            while request.reset is None:
                backend.receive()
        else:
            with contextlib.suppress(ConnectionResetError):
                assert backend.sock.recv(1) == b""
            stage.backends[kind].drop(backend)


@both_engines
@versions
@pytest.mark.parametrize("kind", ["http/1.1", "h2c"])
def test_client_stops_reading(stage: Stage, version: str, kind: Kind) -> None:
    """A client that reads nothing stops the backend too; the worker's memory stays as it is."""
    (worker,) = stage.proxy.workers()
    sent = 0
    block = bytes(16_384)
    with stage.client(version, kind) as peer:
        if isinstance(peer, H1Client):
            peer.send_head("GET", "/")
        else:
            # the widest windows there are: only TCP holds the server back
            peer.open_window(2**31 - 1 - 65_535)
            peer.open_window(2**31 - 1 - 65_535, peer.begin("GET", "/"))
        backend, request = stage.backends[kind].request()
        backend.respond(request, 200, [("content-length", str(1 << 30))])
        before = worker.memory_info().rss
        backend.sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < 256 << 20:
                if isinstance(backend, H2Peer):
                    while backend.connection.local_flow_control_window(request.stream) < len(block):
                        backend.receive()
                backend.send(request, block)
                sent += len(block)
        assert sent < 64 << 20, "the backend was never stopped"
        assert (
            worker.memory_info().rss - before < 16 << 20
        )  # what the allocator keeps of 256 KiB reads; without back-pressure it were 256 MiB
        backend.sock.settimeout(10)
        stage.backends[kind].drop(backend)


@both_engines
@versions
@pytest.mark.parametrize("kind", ["http/1.1", "h2c"])
def test_backend_stops_reading(stage: Stage, version: str, kind: Kind) -> None:
    """A backend that reads nothing stops the client too; the worker's memory stays as it is."""
    (worker,) = stage.proxy.workers()
    sent = 0
    block = bytes(16_384)
    with stage.client(version, kind) as peer:
        if isinstance(peer, H1Client):
            peer.send_head("POST", "/", [("content-length", str(1 << 30))])
            stream = 0
        else:
            stream = peer.begin("POST", "/", end=False)
        backend, _ = stage.backends[kind].request()
        before = worker.memory_info().rss
        peer.sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < 256 << 20:
                peer.send(stream, block)
                sent += len(block)
        assert sent < 64 << 20, "the client was never stopped"
        assert (
            worker.memory_info().rss - before < 16 << 20
        )  # what the allocator keeps of 256 KiB reads; without back-pressure it were 256 MiB
        stage.backends[kind].drop(backend)


@both_engines
def test_client_grants_windows_without_reading(stage: Stage) -> None:
    """WINDOW_UPDATEs of a client that does not read TCP make the worker hold no more than before."""
    (worker,) = stage.proxy.workers()
    with H2Client(stage.address, "h2c.test", buffer=4096) as peer:
        stream = peer.begin("GET", "/")
        backend, request = stage.backends["h2c"].request()
        assert isinstance(backend, H2Peer)
        backend.respond(request, 200)
        before = worker.memory_info().rss
        sent = 0
        for _ in range(150):
            peer.open_window(65_535)
            peer.open_window(65_535, stream)
            if window := backend.connection.local_flow_control_window(request.stream):
                backend.send(request, bytes(window))
                sent += window
            if select.select([backend.sock], [], [], 0.01)[0]:
                backend.receive()
        assert sent < 8 << 20, "the backend was never stopped"
        assert worker.memory_info().rss - before < 8 << 20


@both_engines
def test_stalled_client(stage: Stage) -> None:
    """A client that leaves a response waiting for stalled_window_timeout loses that stream, and no other."""
    with H2Client(stage.impatient, "h2c.test") as peer:
        peer.auto_credit = False
        stream = peer.begin("GET", "/")
        backend, request = stage.backends["h2c"].request()
        backend.respond(request, 200)
        backend.send(request, bytes(65_535))
        time.sleep(0.1)  # the proxy's own credit comes back meanwhile
        while not isinstance(backend, H2Peer) or backend.connection.local_flow_control_window(request.stream) < 1000:
            backend.step(request)
        backend.send(request, bytes(1000))
        assert peer.receive(stream).reset is not None


# Requests that are refused


@both_engines
@versions
def test_misdirected(stage: Stage, version: str) -> None:
    """A request for another route's name gets 421; the connection goes on."""
    with client(version, stage.address, "h2c.test") as peer:
        if isinstance(peer, H2Client):
            stream = peer.begin("GET", "/", authority="down.test")
            assert peer.receive(stream).status == 421
            assert peer.receive(peer.begin("GET", "/", authority="nobody.test")).status == 421
        else:
            assert peer.request("GET", "/", [("host", "down.test")]).status == 421
            response = peer.request("POST", "/", [("host", "nobody.test")], b"body")
            assert own_text(response, 421)
        answer = stage.pool.submit(peer.request, "GET", "/")
        backend, request = stage.backends["h2c"].request()
        backend.respond(request, 204, end=True)
        assert answer.result(10).status == 204


@versions
@pytest.mark.parametrize(
    "headers",
    [[("x-key", "secret"), ("user-agent", "a badbot/1")], [("x-key", "Secret")], []],
    ids=["agent", "value", "missing"],
)
def test_policies(stage: Stage, version: str, headers: list[tuple[str, str]]) -> None:
    """What a route's policies forbid gets 403 and nothing else, and the connection goes on."""
    with client(version, stage.address, "policy.test") as peer:
        for _ in range(2):
            response = peer.request("GET", "/", headers)
            assert own_text(response, 403)
            assert {name for name, _ in response.headers} == {"content-type", "content-length", "x-request-id"}


@both_engines
@versions
@pytest.mark.parametrize("what", ["count", "bytes"])
def test_header_limits(stage: Stage, version: str, what: str) -> None:
    """Too many header fields, or too much of them: 431."""
    headers = [(f"x-{number}", "a") for number in range(120)] if what == "count" else [("x-large", "a" * 40_000)]
    with client(version, stage.address, "h2c.test") as peer:
        response = peer.request("GET", "/", headers)
        assert own_text(response, 431)


def test_slow_head(stage: Stage) -> None:
    """A head that does not come whole within header_timeout: 408 and the end; without a byte of it the end alone."""
    for start, answer in ((b"", b""), (b"GET / HTTP/1.1\r\nhost", b"HTTP/1.1 408 ")):
        with H1Client(stage.impatient, "h2c.test") as peer:
            peer.sock.sendall(start)
            began = time.monotonic()
            assert receive_to_end(peer.sock)[: len(b"HTTP/1.1 408 ")] == answer
            assert PATIENCE * 0.9 < time.monotonic() - began < PATIENCE + 8  # not by the time limit of something else


@both_engines
@versions
def test_idle_connections_end(stage: Stage, version: str) -> None:
    """A connection without requests ends after idle_timeout, in an orderly way."""
    with client(version, stage.impatient, "h2c.test") as peer:
        if isinstance(peer, H2Client):
            peer.run_until_closed()
            assert peer.goaways == [0]
        else:
            answer = stage.pool.submit(peer.request, "GET", "/")
            backend, request = stage.backends["h2c"].request()
            backend.respond(request, 204, end=True)
            assert answer.result(10).status == 204
            assert receive_to_end(peer.sock) == b""
