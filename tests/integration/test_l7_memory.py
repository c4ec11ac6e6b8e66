"""What a client's connection has taken is free again as soon as it is closed."""

import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial

import psutil
import pytest

from tests.support.certificates import Certificates
from tests.support.http_clients import Address, client, tls_socket
from tests.support.l4 import serve
from tests.support.l7 import l7_config, l7_route
from tests.support.proxy import Proxy
from tests.support.status_backend import StatusBackend

HOSTNAME = "app.test"
VISITS = 120
DISTRUSTFUL = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # knows no CA


@pytest.fixture
def served(certs: Certificates) -> Iterator[Proxy]:
    """A proxy of the test's own: memory that another one has left free would hide what is lost."""
    with StatusBackend() as backend:
        route = l7_route(certs, backend.port, HOSTNAME, backend_protocol="http/1.1")
        with serve(l7_config(route)) as proxy:
            yield proxy


def ask(version: str, address: Address) -> None:
    with client(version, address, HOSTNAME) as peer:
        assert peer.request("GET", "/status/200").status == 200


def shake_hands(address: Address) -> None:
    tls_socket(address, HOSTNAME, "h2").close()


def distrust(address: Address) -> None:
    with socket.create_connection(address, 10) as sock, pytest.raises(ssl.SSLCertVerificationError):
        DISTRUSTFUL.wrap_socket(sock, server_hostname=HOSTNAME)


@pytest.mark.parametrize(
    "visit",
    [partial(ask, "http/1.1"), partial(ask, "h2"), shake_hands, distrust],
    ids=["http/1.1", "h2", "no request", "failed handshake"],
)
def test_closed_connections_leave_nothing_to_the_collector(served: Proxy, visit: Callable[[Address], None]) -> None:
    """It runs seldom, and until then TLS and HTTP of each connection would hold some 50 KB."""
    address = ("127.0.0.1", served.port())
    (worker,) = served.workers()
    for _ in range(VISITS // 3):
        visit(address)
    before = resident(worker)
    for _ in range(VISITS):
        visit(address)
    grown = (resident(worker) - before) / VISITS
    assert grown < 10 * 1024, f"{grown:.0f} bytes a connection"


def resident(worker: psutil.Process) -> int:
    return worker.memory_info().rss
