"""Connections that an operator closes: those that are meant and no others, at once or when their requests are done."""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import h11
import pytest

from tests.conftest import StartProxy
from tests.support.bare_admin import Admin, unix
from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.http_backends import PlayedBackend
from tests.support.http_clients import client
from tests.support.l4 import HELLO, RawBackend
from tests.support.l7 import l7_config, l7_route
from tests.support.load import until
from tests.support.proxy import Proxy
from tests.support.settings import config, listener, route

pytestmark = pytest.mark.both_data_paths


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as backend:
        yield backend


@pytest.fixture(scope="module")
def served(fleet: Fleet, backend: RawBackend) -> Iterator[Proxy]:
    listeners = [listener(addr, [route(backend.port, "*")]) for addr in ("127.0.0.1:PORT", "[::1]:PORT_X")]
    with fleet.serve(config(*listeners, workers=2)) as proxy:
        yield proxy


@pytest.fixture
def admin(served: Proxy) -> Iterator[Admin]:
    with unix(served) as admin:
        yield admin
        admin.call("CloseConnections", all=True)


def is_over(client: socket.socket) -> bool:
    """Return True when the connection has ended, in one way or the other; raises `TimeoutError` if it does not."""
    client.settimeout(20)
    try:
        while client.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


def name(client: socket.socket) -> str:
    """Return the address and port of a client, as the API has it."""
    host, port, *_ = client.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def test_one_client_is_closed_and_no_other(served: Proxy, backend: RawBackend, admin: Admin) -> None:
    """By its address and port, whichever worker has it; its backend's side ends too. Who did is on record."""
    pairs = [backend.join(("127.0.0.1", served.port()), HELLO) for _ in range(6)]
    first, *others = pairs
    closed = admin.call("CloseConnections", client=name(first[0]), author="ann", reason="too long")
    assert (closed.closed, [one.client for one in closed.connections]) == (1, [name(first[0])])
    assert is_over(first[0])
    assert is_over(first[1])
    until(lambda: admin.call("ListConnections").total == 5, "the others are still there")
    for ours, theirs in others:
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"
    entry = admin.call("ListAudit", limit=1).entries[0]
    assert (entry.action, entry.target, entry.author, entry.reason, entry.outcome) == (
        "CloseConnections",
        name(first[0]),
        "ann",
        "too long",
        "accepted",
    )
    assert admin.call("CloseConnections", client="127.0.0.1").closed == 5
    assert all(is_over(ours) for ours, _ in others)
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_those_of_a_listener_are_closed(served: Proxy, backend: RawBackend, admin: Admin) -> None:
    """An IPv6 client in another spelling; the other listener's connections stay."""
    six, their_six = backend.join(("::1", served.port("X")), HELLO)
    four, their_four = backend.join(("127.0.0.1", served.port()), HELLO)
    with six, their_six, four, their_four:
        assert admin.call("CloseConnections", listener=f"[::1]:{served.port('X')}", client="192.0.2.1").closed == 0
        assert admin.call("CloseConnections", hostname="other.test").closed == 0
        assert admin.call("CloseConnections", listener=f"[0::1]:{served.port('X')}", client="0:0::1").closed == 1
        assert is_over(six)
        four.sendall(b"x")
        assert their_four.recv(1) == b"x"


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_requests_end_before_their_connection(reloaded: StartProxy, certs: Certificates, version: str) -> None:
    """With a time to finish: the response is whole, then the connection ends; without one it ends at once."""
    with PlayedBackend("http/1.1", certs) as backend, ThreadPoolExecutor(1) as pool:
        edge = reloaded(l7_config(l7_route(certs, backend.port, backend_protocol="http/1.1")))
        with unix(edge) as admin, client(version, ("127.0.0.1", edge.port()), "l7.test") as peer:
            asked = pool.submit(peer.request, "GET", "/")
            connection, request = backend.request()
            until(lambda: admin.call("ListConnections", hostname="l7.test").total == 1, "the connection is listed")
            assert admin.call("CloseConnections", hostname="l7.test", drain={"seconds": 30}).closed == 1
            connection.respond(request, 201, [("content-length", "0")], end=True)
            assert asked.result(20).status == 201
            assert is_over(peer.sock)
        with unix(edge) as admin, client(version, ("127.0.0.1", edge.port()), "l7.test") as peer:
            asked = pool.submit(peer.request, "GET", "/")
            backend.request()
            assert admin.call("CloseConnections", all=True).closed == 1
            with pytest.raises((ConnectionError, h11.RemoteProtocolError, ssl.SSLError)):
                asked.result(20)
