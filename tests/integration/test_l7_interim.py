"""A backend that only ever says "wait" is given up, whatever it speaks."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.certificates import Certificates
from tests.support.http_backends import H2Peer, Kind, PlayedBackend
from tests.support.http_clients import client
from tests.support.l4 import serve
from tests.support.l7 import l7_config, l7_route


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
@pytest.mark.parametrize("kind", ["http/1.1", "h2c"])
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_endless_interim_responses_are_answered_502(certs: Certificates, engine: str, kind: Kind, version: str) -> None:
    """The client hears of a hundred at most, then of the error; the backend that it is to stop."""
    with PlayedBackend(kind, certs) as backend:
        route = l7_route(certs, backend.port, "l7.test", backend_protocol=kind.removesuffix("c"))
        with (
            serve(l7_config(route, http2_engine=engine)) as proxy,
            ThreadPoolExecutor(1) as pool,
            client(version, ("127.0.0.1", proxy.port()), "l7.test") as peer,
        ):
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
