"""No spelling of what a client claims about itself reaches a backend, in a request or its trailers, over either version."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec
import pytest

from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.http_backends import PlayedBackend, Received, receive_all
from tests.support.http_clients import H2Client, client
from tests.support.l4 import RawBackend
from tests.support.l7 import l7_config, l7_route, read_head
from tests.support.websocket import extended_connect, upgrade

NAME = "l7.test"
EVIL = "evil.example"
CLAIMS = ("x-forwarded-user", "x-forwarded-for", "x-forwarded", "x-real-ip", "forwarded", "proxy", "x-client-ip")
SPELLINGS = sorted({name.replace("-", separator) for name in CLAIMS for separator in "!#$%&'*+-.^_`|~"})
CLAIMING = [(name, EVIL) for name in SPELLINGS]
SEPARATE = 60
"""Fields in one request; the rest is sent in the next one."""


class Stage(msgspec.Struct, frozen=True):
    """A proxy in front of a backend that the test plays."""

    address: tuple[str, int]
    backend: PlayedBackend
    pool: ThreadPoolExecutor


@pytest.fixture(scope="module", params=[("ngh2", "http/1.1"), ("h2", "http/1.1"), ("ngh2", "h2c")], ids="-".join)
def stage(fleet: Fleet, request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Stage]:
    engine, kind = request.param
    with PlayedBackend(kind, certs) as backend:
        route = l7_route(certs, backend.port, NAME, backend_protocol=kind.removesuffix("c"))
        limits = {"remove_request_headers": ["Proxy", "X_Client_IP"]}
        with fleet.serve(l7_config(route, limits=limits, http2_engine=engine)) as proxy, ThreadPoolExecutor(2) as pool:
            yield Stage(("127.0.0.1", proxy.port()), backend, pool)


def served(stage: Stage, version: str, claims: list[tuple[str, str]], trailers: list[tuple[str, str]]) -> Received:
    """Send a request and answer it; return what the backend has received of it."""
    with client(version, stage.address, NAME) as peer:
        headers = [*claims, ("x-honest", "1")]
        answer = stage.pool.submit(peer.request, "POST", "/", headers, iter([b"body"]), trailers)
        backend, request = stage.backend.request()
        receive_all(backend, request)
        backend.respond(request, 200, [("content-length", "0")], end=True)
        assert answer.result(10).status == 200
    return request


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_no_claim_of_a_client_reaches_the_backend(stage: Stage, version: str) -> None:
    """In head and trailers alike, all that folds to a claim or to a header to be removed is gone; the rest has come."""
    for start in range(0, len(CLAIMING), SEPARATE):
        claims = CLAIMING[start : start + SEPARATE]
        request = served(stage, version, claims, [*claims, ("x-late", "2")])
        assert not [field for field in (*request.fields, *request.trailers) if EVIL in field[1]]
        assert request.header("x-honest") == "1"
        assert request.header("x-forwarded-for") == "127.0.0.1"
        assert ("x-late", "2") in request.trailers


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
@pytest.mark.parametrize("name", ["content.length", "transfer!encoding", "content_length", "transfer~encoding"])
def test_a_name_like_a_framing_field_is_refused(stage: Stage, version: str, name: str) -> None:
    """A backend that folds names would read it as the length of the body."""
    with client(version, stage.address, NAME) as peer:
        assert peer.request("GET", "/", [(name, "0")]).status == 400


@pytest.fixture(scope="module", params=["ngh2", "h2"])
def tunnelled(
    fleet: Fleet, request: pytest.FixtureRequest, certs: Certificates
) -> Iterator[tuple[tuple[str, int], RawBackend]]:
    with RawBackend() as backend:
        route = l7_route(certs, backend.port, NAME, backend_protocol="http/1.1")
        with fleet.serve(l7_config(route, http2_engine=request.param)) as proxy:
            yield ("127.0.0.1", proxy.port()), backend


def answered(backend: RawBackend) -> bytes:
    """Accept a WebSocket and return the head of its request."""
    with backend.accept() as sock:
        head = read_head(sock)
        sock.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        return head


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_an_upgrade_carries_no_claim(tunnelled: tuple[tuple[str, int], RawBackend], version: str) -> None:
    """A request for a WebSocket loses the same fields as any other."""
    address, backend = tunnelled
    claims = [(name, EVIL) for name in ("x.forwarded.user", "x_real!ip", "proxy", "x-forwarded-for")]
    with client(version, address, NAME) as peer, ThreadPoolExecutor(1) as pool:
        heard = pool.submit(answered, backend)
        ask = partial(extended_connect, peer) if isinstance(peer, H2Client) else partial(upgrade, peer.sock, NAME)
        with pytest.raises(ConnectionError, match="503"):
            ask(headers=[*claims, ("x-honest", "1")])
        head = heard.result(10).lower()
    assert b"\r\nupgrade: websocket\r\n" in head
    assert b"\r\nx-honest: 1\r\n" in head
    assert EVIL.encode() not in head
