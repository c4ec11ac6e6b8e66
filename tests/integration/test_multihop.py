"""Two proxies in a row: the edge names the client, the origin judges and passes on who it really is."""

import socket
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.counters import counted
from tests.support.l4 import HELLO, RawBackend, Totals, wait_for
from tests.support.nginx_proxy_protocol import start_nginx_receiver
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.proxy_header import Names, receive
from tests.support.settings import config, listener, route
from tests.support.tls import client_context, connect, get_json, receive_exactly

NAME = "app.test"
# The test's clients come from addresses of their own on loopback; the edge reaches the origin from 127.0.0.1.
GOOD, BLOCKED, IN_NETWORK = "127.0.0.40", "127.0.0.66", "127.7.0.1"


class Chain(NamedTuple):
    """Client -> edge -> origin -> backend."""

    edge: Proxy
    origin: Proxy

    @classmethod
    def start(cls, reloaded: StartProxy, backend: int, *, trusted: str = "127.0.0.1/32", **firewall: object) -> "Chain":
        rules = {"blocked_ips": [BLOCKED], "blocked_cidrs": ["127.7.0.0/16", "::1/128"], **firewall}
        routes = [route(backend, name, send_proxy_protocol=True) for name in (NAME, "l4.test")]
        there = listener("127.0.0.1:PORT", routes, proxy_protocol=True, trusted_proxies=[trusted])
        origin = reloaded(config(there, firewall=rules, workers=2))
        edge = reloaded(config(listener(":PORT", [route(origin.port(), send_proxy_protocol=True)]), workers=2))
        return cls(edge, origin)

    def connect(self, backend: RawBackend, source: str) -> socket.socket:
        host = "::1" if ":" in source else "127.0.0.1"
        client = socket.create_connection((host, self.edge.port()), timeout=10, source_address=(source, 0))
        backend.keep(client).sendall(HELLO)
        return client


def test_the_true_client_is_judged_at_the_origin_and_named_to_the_backend(reloaded: StartProxy) -> None:
    """Blocked by address or network over two hops, on either family; who passes arrives under his own name."""
    with RawBackend() as backend:
        chain = Chain.start(reloaded, backend.port)
        client = chain.connect(backend, GOOD)
        server = backend.accept()
        assert receive(server) == Names(GOOD, client.getsockname()[1], "127.0.0.1", backend.port)
        assert receive_exactly(server, len(HELLO)) == HELLO
        for sender, receiver in ((client, server), (server, client)):
            sender.sendall(b"both ways")
            assert receive_exactly(receiver, 9) == b"both ways"
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        server.close()
        assert client.recv(1) == b""
        for source in (BLOCKED, IN_NETWORK, "::1"):
            blocked = chain.connect(backend, source)
            with pytest.raises(ConnectionResetError):
                blocked.recv(1)
        edge = counted(chain.edge)[f":{chain.edge.port()}"]
        origin = counted(chain.origin)[f"127.0.0.1:{chain.origin.port()}"]
        assert edge == Totals(4, {"backend_no_answer": 3}), "to the edge, the origin is a backend that says nothing"
        assert origin == Totals(4, {"ip": 1, "cidr": 2})


def test_clients_have_a_rate_of_their_own_at_the_origin(reloaded: StartProxy) -> None:
    """All of them come by the same edge; one that has used up its share takes nothing from another."""
    with RawBackend() as backend:
        # one window since the machine was started
        chain = Chain.start(reloaded, backend.port, rate_limit=3, rate_window="8760h")
        for source in (GOOD, "127.0.0.41"):
            for _ in range(3):
                client = chain.connect(backend, source)
                assert receive(backend.accept()) is not None
                client.close()
            with pytest.raises(ConnectionResetError):
                chain.connect(backend, source).recv(1)
        totals = counted(chain.origin, still_open=6)[f"127.0.0.1:{chain.origin.port()}"]
        assert totals == Totals(8, {"rate_limit": 2})


def test_tls_over_both_hops(reloaded: StartProxy, processes: Processes, certs: Certificates, tmp_path: Path) -> None:
    """The client verifies nginx' certificate through two proxies, and nginx logs the client."""
    backend = start_nginx_receiver(processes, tmp_path / "backend", certs.server(NAME))
    chain = Chain.start(reloaded, backend.port)
    with connect(("127.0.0.1", chain.edge.port()), NAME, client_context(certs.ca)) as tls:
        own = tls.getsockname()
        told = get_json(tls, NAME, "/two-hops")
    assert (told["address"], int(told["port"]), told["sni"]) == (*own, NAME)
    wait_for(lambda: backend.access_log() == [f"{own[0]} {own[1]} {backend.port} /two-hops"])


def test_an_edge_that_is_not_trusted_reaches_nobody(reloaded: StartProxy) -> None:
    """The origin resets it, which the client gets to feel; nothing arrives at the backend."""
    with RawBackend() as backend:
        chain = Chain.start(reloaded, backend.port, trusted="192.0.2.1/32")
        with pytest.raises(ConnectionResetError):
            chain.connect(backend, GOOD).recv(1)
        totals = counted(chain.origin)[f"127.0.0.1:{chain.origin.port()}"]
        assert totals == Totals(1, {"untrusted_proxy": 1})
