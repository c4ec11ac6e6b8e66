"""What surrounds a body passes in both directions and all versions: interim responses, trailers, early answers, ends."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.certificates import Certificates
from tests.support.http_backends import H1Peer, H2Peer, Kind, Peer, accept, receive_all
from tests.support.http_clients import H1Client, H2Client, Response, client, pieces
from tests.support.l4 import RawBackend, serve
from tests.support.l7 import l7_config, l7_route, tls_backend
from tests.support.proxy import Proxy

VERSIONS = ("http/1.1", "h2")
PROTOCOLS: dict[Kind, str] = {"http/1.1": "http/1.1", "h2c": "h2", "h2": "h2"}


class Stage:
    """A proxy in front of backends of all kinds that the test plays."""

    def __init__(self, proxy: Proxy, backends: dict[Kind, RawBackend], certs: Certificates) -> None:
        self.address = ("127.0.0.1", proxy.port())
        self._backends = backends
        self._certs = certs
        self.pool = ThreadPoolExecutor(4)

    def client(self, version: str, kind: Kind) -> H1Client | H2Client:
        return client(version, self.address, name(kind))

    def accept(self, kind: Kind) -> H1Peer | H2Peer:
        return accept(self._backends[kind], kind, self._certs)


def name(kind: Kind) -> str:
    return {"http/1.1": "h1.test", "h2c": "h2c.test", "h2": "tls.test"}[kind]


@pytest.fixture(scope="module", params=["ngh2", "h2"])
def stage(request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        backends = {kind: stack.enter_context(RawBackend()) for kind in PROTOCOLS}
        routes = [
            l7_route(
                certs,
                backends[kind].port,
                name(kind),
                backend_protocol=protocol,
                # a client's own backend connection: each test gets a new one
                send_proxy_protocol=False,
                **(tls_backend(certs) if kind == "h2" else {}),
            )
            for kind, protocol in PROTOCOLS.items()
        ]
        stage = Stage(stack.enter_context(serve(l7_config(*routes, http2_engine=request.param))), backends, certs)
        with stage.pool:
            yield stage
