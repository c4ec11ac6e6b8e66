"""Listeners behind balancers: how these look whether a listener is there, who comes past them, and their long headers."""

import contextlib
import json
import socket
import urllib.request

from tests.conftest import StartProxy
from tests.support.l4 import HELLO, RawBackend, Totals, reset, stop_and_count, wait_for
from tests.support.proxy_header import LOCAL, Names, receive, tlv, v2
from tests.support.settings import config, listener, route
from tests.support.tls import receive_exactly

FOUR = Names("203.0.113.77", 40_000, "198.51.100.2", 443)


def test_health_checks_and_untrusted_clients(proxy: StartProxy) -> None:
    """Checks of proxies are counted apart, are not logged and have no rate; others come without a header where they may."""
    with RawBackend() as backend:
        keys = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.9/32"], "untrusted": "direct"}
        text = config(listener("127.0.0.1:PORT", [route(backend.port)], **keys), firewall={"rate_limit": 2}, workers=2)
        text = text.replace('format = "json"', 'format = "json"\naccess = "access.log"')
        served = proxy(f'{text}\n[metrics]\naddr = "127.0.0.1:PORT_M"\n')
        address = ("127.0.0.1", served.port())

        def connect(source: str, data: bytes) -> socket.socket:
            sock = backend.keep(socket.create_connection(address, timeout=10, source_address=(source, 0)))
            sock.sendall(data)
            return sock

        for data in (b"", LOCAL, b"PROXY UNKNOWN\r\n", b"", LOCAL):
            sock = connect("127.0.0.9", data)
            sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
        for _ in range(3):
            sock = connect("127.0.0.9", LOCAL + HELLO)
            server = backend.accept()
            assert receive_exactly(server, len(HELLO)) == HELLO
            server.close()
            sock.close()
        client = connect("127.0.0.5", HELLO)
        assert receive_exactly(backend.accept(), len(HELLO)) == HELLO
        reset(client)
        port = served.port("M")

        def count() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                return str(answer.read().decode())

        wait_for(lambda: f'mcproxy_health_checks_total{{listener="127.0.0.1:{served.port()}"}} 8.0' in count())
        assert "mcproxy_connection_errors_total{" not in count()
        log = served.folder / "access.log"
        wait_for(lambda: bool(log.read_text()))
        assert [json.loads(line)["client"].partition(":")[0] for line in log.read_text().splitlines()] == ["127.0.0.5"]
        assert stop_and_count(served)[f"127.0.0.1:{served.port()}"] == Totals(accepted=9, refused={})


def test_a_long_header_where_it_is_allowed(reloaded: StartProxy) -> None:
    """`limits.proxy_header_bytes`: TLVs of a cloud's balancer in several segments."""
    with RawBackend() as backend:
        text = config(listener("127.0.0.1:PORT", [route(backend.port, send_proxy_protocol=True)], proxy_protocol=True))
        served = reloaded(text + "\n[limits]\nproxy_header_bytes = 4096\n")
        data = v2(FOUR, tlv(0xEE, bytes(4096 - 28 - 3))) + HELLO
        client = backend.connect(("127.0.0.1", served.port()), data[:1500])
        client.sendall(data[1500:])
        names = receive(backend.accept())
        assert names is not None
        assert names.source == FOUR.source
