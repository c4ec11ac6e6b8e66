"""The firewall: who is blocked is reset before a byte of TLS is read, by the address that really counts."""

import socket
import time

import pytest

from tests.conftest import StartProxy
from tests.support.counters import counted
from tests.support.l4 import HELLO, RawBackend, Totals
from tests.support.proxy import Proxy
from tests.support.proxy_header import LOCAL, Names, v1, v2
from tests.support.settings import Table, config, listener, route
from tests.support.tls import receive_exactly

pytestmark = pytest.mark.both_data_paths

RULES = {
    "blocked_ips": ["203.0.113.7", "2001:db8::7", "127.0.0.66", "::ffff:203.0.113.8"],
    "blocked_cidrs": ["198.51.100.0/24", "2001:db8:bad::/48", "::ffff:192.0.2.0/120"],
}


def header(source: str, *, version: int = 2) -> bytes:
    names = Names(source, 1234, "2001:db8::2" if ":" in source else "198.51.100.2", 443)
    return v2(names) if version == 2 else v1(names)


def assert_reset(client: socket.socket, within: float = 5) -> None:
    client.settimeout(within)
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def one(backend: RawBackend, addr: str = "127.0.0.1:PORT", **keys: object) -> Table:
    return listener(addr, [route(backend.port)], **keys)


def count(served: Proxy, *, still_open: int) -> Totals:
    return counted(served, still_open=still_open)[f"127.0.0.1:{served.port()}"]


@pytest.mark.parametrize("version", [1, 2])
def test_the_address_in_the_header_is_judged(reloaded: StartProxy, version: int) -> None:
    """Single addresses and networks of both families, also as mapped ones; their neighbours pass."""
    blocked = {
        "203.0.113.7": "ip",
        "::ffff:203.0.113.7": "ip",
        "203.0.113.8": "ip",
        "2001:db8::7": "ip",
        "198.51.100.0": "cidr",
        "198.51.100.255": "cidr",
        "::ffff:198.51.100.9": "cidr",
        "192.0.2.200": "cidr",
        "2001:db8:bad:ffff::": "cidr",
    }
    passing = ["203.0.113.6", "198.51.101.0", "198.51.99.255", "2001:db8::8", "2001:db8:bae::", "127.0.0.1"]
    with RawBackend() as backend:
        served = reloaded(config(one(backend, proxy_protocol=True), firewall=RULES, workers=2))
        address = ("127.0.0.1", served.port())
        for source in blocked:
            assert_reset(backend.connect(address, header(source, version=version) + HELLO))
        for source in passing:
            client = backend.connect(address, header(source, version=version) + HELLO)
            assert receive_exactly(backend.accept(), len(HELLO)) == HELLO, source
            client.close()
        reasons = list(blocked.values())
        expected = {reason: reasons.count(reason) for reason in ("ip", "cidr")}
        assert count(served, still_open=len(passing)) == Totals(len(blocked) + len(passing), expected)


def test_the_connections_own_address_is_judged_without_a_header(reloaded: StartProxy) -> None:
    """On IPv4, and on a dual-stack listener, where it comes as a mapped address; LOCAL means the sender itself."""
    with RawBackend() as backend:
        text = config(
            one(backend, ":PORT"),
            one(backend, "127.0.0.1:PORT_LOCAL", proxy_protocol=True),
            one(backend, "[::1]:PORT_SIX"),
            firewall={"blocked_ips": ["127.0.0.66", "203.0.113.7"], "blocked_cidrs": ["127.9.0.0/16", "::1/128"]},
        )
        served = reloaded(text)

        def connect(source: str, name: str, data: bytes = HELLO) -> socket.socket:
            host = "::1" if ":" in source else "127.0.0.1"
            sock = socket.create_connection((host, served.port(name)), timeout=10, source_address=(source, 0))
            backend.keep(sock).sendall(data)
            return sock

        for source in ("127.0.0.66", "127.9.8.7", "::1"):
            assert_reset(connect(source, ""))
        assert_reset(connect("::1", "SIX"))
        assert_reset(connect("127.0.0.66", "LOCAL", LOCAL + HELLO))
        assert_reset(connect("127.0.0.66", "LOCAL", b"PROXY UNKNOWN\r\n" + HELLO))
        for source, name, data in (
            ("127.0.0.65", "", HELLO),
            ("127.8.8.7", "", HELLO),
            ("127.0.0.65", "LOCAL", LOCAL + HELLO),
            # the sender is blocked itself, but it speaks for somebody who is not
            ("127.0.0.66", "LOCAL", header("203.0.113.6") + HELLO),
        ):
            connect(source, name, data)
            assert receive_exactly(backend.accept(), len(HELLO)) == HELLO
        totals = counted(served, still_open=4)
        assert totals[f":{served.port()}"].refused == {"ip": 1, "cidr": 2}
        assert totals[f"[::1]:{served.port('SIX')}"].refused == {"cidr": 1}
        # LOCAL is a health check's, refused all the same but counted as one; UNKNOWN is a client's without an address
        assert totals[f"127.0.0.1:{served.port('LOCAL')}"].refused == {"ip": 1}


def test_a_blocked_client_is_reset_before_its_hello(reloaded: StartProxy) -> None:
    """Neither silence, nor half a hello, nor something that is no TLS at all changes the reason or the time."""
    with RawBackend() as backend:
        served = reloaded(
            config(one(backend, proxy_protocol=True), firewall=RULES, client_hello_timeout="60s"),
        )
        address = ("127.0.0.1", served.port())
        began = time.monotonic()
        for rest in (b"", HELLO[:1], HELLO[:50], b"GET / HTTP/1.1\r\n\r\n", HELLO + bytes(100_000)):
            client = backend.connect(address)
            client.sendall(header("203.0.113.7"))
            if rest:
                try:
                    client.sendall(rest)
                except OSError:
                    continue  # it was reset before it could say more
            assert_reset(client)
        assert time.monotonic() - began < 30  # long before client_hello_timeout
        assert count(served, still_open=0) == Totals(5, {"ip": 5})


def test_a_rule_that_is_added_strikes_new_connections_only(reloaded: StartProxy) -> None:
    """An edit blocks, another lifts it; what was open goes on through both, without a restart."""
    with RawBackend() as backend:
        table = one(backend, proxy_protocol=True)
        served = reloaded(config(table, workers=2))
        address = ("127.0.0.1", served.port())
        data = header("203.0.113.7") + HELLO
        old, server = backend.connect(address, data), backend.accept()
        assert receive_exactly(server, len(HELLO)) == HELLO

        def edit(firewall: Table) -> None:
            since = served.mark()
            served.save(config(table, firewall=firewall, workers=2))
            served.wait_for_log('"event": "applied"', since=since)

        for rules in (RULES, {"blocked_cidrs": ["203.0.113.0/24"]}):
            edit(rules)
            for _ in range(8):
                assert_reset(backend.connect(address, data))
            old.sendall(b"still")
            assert receive_exactly(server, 5) == b"still"
        edit({})
        client = backend.connect(address, data)
        assert receive_exactly(backend.accept(), len(HELLO)) == HELLO
        client.close()
        server.sendall(b"here")
        assert receive_exactly(old, 4) == b"here"
        assert count(served, still_open=2) == Totals(18, {"ip": 8, "cidr": 8})
