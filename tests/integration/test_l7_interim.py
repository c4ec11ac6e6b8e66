"""A backend that only ever says "wait" is given up, whatever it speaks."""

import contextlib
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.http_backends import H2Peer, Kind, PlayedBackend
from tests.support.http_clients import client
from tests.support.l7 import l7_config, l7_route
from tests.support.proxy import Proxy

VERSIONS = ("http/1.1", "h2")
KINDS: tuple[Kind, ...] = ("http/1.1", "h2c")


class Site(NamedTuple):
    """A proxy, and a backend for each test."""

    proxy: Proxy
    backends: dict[str, PlayedBackend]


def name(version: str, kind: str) -> str:
    """Return the hostname of the route for clients and backends of these versions."""
    return f"from{version[-1]}.to{kind[-1]}.test"


@pytest.fixture(scope="module", params=["ngh2", "h2"])
def site(fleet: Fleet, request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        backends, routes = {}, []
        for version, kind in itertools.product(VERSIONS, KINDS):
            hostname = name(version, kind)
            backends[hostname] = stack.enter_context(PlayedBackend(kind, certs))
            protocol = kind.removesuffix("c")
            routes.append(l7_route(certs, backends[hostname].port, hostname, backend_protocol=protocol))
        yield Site(stack.enter_context(fleet.serve(l7_config(*routes, http2_engine=request.param))), backends)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", VERSIONS)
def test_endless_interim_responses_are_answered_502(site: Site, kind: Kind, version: str) -> None:
    """The client hears of a hundred at most, then of the error; the backend that it is to stop."""
    hostname = name(version, kind)
    backend = site.backends[hostname]
    with ThreadPoolExecutor(1) as pool, client(version, ("127.0.0.1", site.proxy.port()), hostname) as peer:
        answer = pool.submit(peer.request, "GET", "/")
        connection, request = backend.request()
        with contextlib.suppress(OSError):
            for _ in range(150):
                connection.inform(request, 103, [("link", "</a>")])
        response = answer.result(10)
        assert response.status == 502
        assert len(response.interim) <= 100
        if isinstance(connection, H2Peer):
            while request.reset is None:
                connection.receive()
