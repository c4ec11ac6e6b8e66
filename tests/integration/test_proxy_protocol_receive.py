"""PROXY headers that come in: believed from the right senders only, consumed exactly, in any chunking."""

import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
import pytest

from tests.support.counters import counted
from tests.support.fleet import Fleet
from tests.support.l4 import HELLO, RawBackend, Totals
from tests.support.proxy import Proxy
from tests.support.proxy_header import LOCAL, SIGNATURE, Names, receive, tlv, v1, v2
from tests.support.settings import config, listener, route
from tests.support.tls import receive_exactly

FOUR = Names("203.0.113.77", 40_000, "198.51.100.2", 443)
SIX = Names("2001:db8::77", 40_006, "2001:db8::2", 443)
EDGES = Names("0.0.0.0", 0, "255.255.255.255", 65_535)
LONG = Names(":".join(["fedc"] * 8), 65_535, ":".join(["abcd"] * 8), 65_535)

# A header, and the client that it names; None: the connection's own address counts.
HEADERS: dict[str, tuple[bytes, Names | None]] = {
    "v1-tcp4": (v1(FOUR), FOUR),
    "v1-tcp6": (v1(SIX), SIX),
    "v1-shortest": (v1(Names("1.1.1.1", 1, "1.1.1.1", 1)), Names("1.1.1.1", 1, "1.1.1.1", 1)),
    "v1-longest": (v1(LONG), LONG),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1-unknown-longest": (b"PROXY UNKNOWN".ljust(105, b" ") + b"\r\n", None),
    "v2-tcp4": (v2(FOUR), FOUR),
    "v2-tcp6": (v2(SIX), SIX),
    "v2-edges": (v2(EDGES), EDGES),
    "v2-tlvs": (v2(FOUR, tlv(0x02, b"app.test") + tlv(0x04, bytes(300)), checksum=True), FOUR),
    "v2-largest": (v2(SIX, tlv(0x04, bytes(536 - 16 - 36 - 3))), SIX),
    "v2-local": (LOCAL, None),
    "v2-local-with-addresses": (b"".join((SIGNATURE, b"\x20", v2(FOUR)[13:])), None),
    "v2-unspec": (SIGNATURE + b"\x21\x00\x00\x00", None),
    "v2-unix": (SIGNATURE + b"\x21\x31\x00\xd8" + b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0"), None),
}


class Site(NamedTuple):
    """A proxy that takes PROXY headers on 127.0.0.1, ::1 and both, and passes on what it believes."""

    proxy: Proxy
    backend: RawBackend

    def port(self, name: str) -> int:
        return self.proxy.port(name)


@pytest.fixture(scope="module")
def site(fleet: Fleet) -> Iterator[Site]:
    with RawBackend() as backend:
        routes = [route(backend.port, send_proxy_protocol=True)]
        text = config(
            listener("127.0.0.1:PORT_FOUR", routes, proxy_protocol=True),
            listener("[::1]:PORT_SIX", routes, proxy_protocol=True),
            listener(":PORT_DUAL", routes, proxy_protocol=True),
            listener(
                ":PORT_TRUST", routes, proxy_protocol=True, trusted_proxies=["127.0.0.8/30", "127.1.0.1/32", "::1/128"]
            ),
        )
        with fleet.serve(text) as proxy:
            yield Site(proxy, backend)


def join(site: Site, client: socket.socket) -> tuple[Names | None, socket.socket]:
    """Return what the backend of a client is told, and its connection, once exactly the hello has come after it."""
    backend = site.backend.accept()
    names = receive(backend)
    assert receive_exactly(backend, len(HELLO)) == HELLO
    for sender, receiver in ((client, backend), (backend, client)):
        sender.sendall(b"then")
        assert receive_exactly(receiver, 4) == b"then"
    return names, backend


def own(client: socket.socket) -> tuple[str, int]:
    host, port = client.getsockname()[:2]
    return host, port


def check(site: Site, client: socket.socket, expected: Names | None) -> None:
    names, backend = join(site, client)
    assert names is not None
    told = names.source.removeprefix("::ffff:"), names.source_port
    assert told == (own(client) if expected is None else (expected.source, expected.source_port))
    client.close()
    backend.close()


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(("host", "listening"), [("127.0.0.1", "FOUR"), ("::1", "SIX"), ("127.0.0.1", "DUAL")])
def test_header_and_hello_in_one_segment(site: Site, name: str, host: str, listening: str) -> None:
    """The header is consumed to its last byte, and names the client to the backend whatever the families are."""
    header, expected = HEADERS[name]
    check(site, site.backend.connect((host, site.port(listening)), header + HELLO), expected)


@pytest.mark.parametrize("name", ["v1-tcp4", "v1-tcp6", "v1-unknown", "v2-tcp4", "v2-tlvs", "v2-local"])
def test_header_and_hello_byte_by_byte(site: Site, name: str) -> None:
    """Every byte is a segment of its own, most of them seen alone by the proxy."""
    header, expected = HEADERS[name]
    client = site.backend.connect(("127.0.0.1", site.port("FOUR")))
    for number in range(len(header) + 20):
        client.sendall((header + HELLO)[number : number + 1])
        time.sleep(0.0005)  # a chance for the proxy to look in between
    client.sendall(HELLO[20:])
    check(site, client, expected)


@pytest.mark.parametrize("name", HEADERS)
def test_header_cut_anywhere(site: Site, name: str) -> None:
    """Two segments, cut inside the header, behind it, and inside the hello."""
    header, expected = HEADERS[name]
    data = header + HELLO
    for cut in (1, 5, 11, 13, 15, 16, len(header) // 2, len(header) - 1, len(header), len(header) + 3):
        client = site.backend.connect(("127.0.0.1", site.port("FOUR")), data[:cut])
        time.sleep(0.002)  # a chance for the proxy to look in between
        client.sendall(data[cut:])
        check(site, client, expected)


def test_a_client_that_half_closes_behind_its_hello(site: Site) -> None:
    """Header, hello and the end of the stream in one turn: the backend gets all three."""
    client = site.backend.connect(("127.0.0.1", site.port("FOUR")), v2(FOUR) + HELLO)
    client.shutdown(socket.SHUT_WR)
    backend = site.backend.accept()
    assert receive(backend) is not None
    assert receive_exactly(backend, len(HELLO)) == HELLO
    assert backend.recv(1) == b""
    backend.sendall(b"late answer")
    assert receive_exactly(client, 11) == b"late answer"


def from_host(site: Site, host: str, data: bytes, to: str = "127.0.0.1") -> socket.socket:
    client = socket.create_connection((to, site.port("TRUST")), timeout=10, source_address=(host, 0))
    site.backend.keep(client).sendall(data)
    return client


@pytest.mark.parametrize(
    ("host", "to"),
    [("127.0.0.8", "127.0.0.1"), ("127.0.0.11", "127.0.0.1"), ("127.1.0.1", "127.0.0.1"), ("::1", "::1")],
)
def test_trusted_senders_are_believed(site: Site, host: str, to: str) -> None:
    """Networks of either family; on a dual-stack listener IPv4 senders come as mapped addresses."""
    for header, expected in (HEADERS["v1-tcp4"], HEADERS["v2-tcp6"], HEADERS["v2-local"]):
        check(site, from_host(site, host, header + HELLO, to), expected)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.7", "127.0.0.12"])
def test_untrusted_senders_are_reset(site: Site, host: str) -> None:
    """Whatever they send, and whether or not it is a header."""
    for data in (v2(FOUR) + HELLO, HELLO, LOCAL):
        client = from_host(site, host, data)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


LIMIT = 1.0
AT_ONCE = BUSY = 5.0  # seconds that a busy machine may take, or take longer; which limit it was says the counter


class Case(msgspec.Struct, frozen=True):
    """A sender that is refused: the counter it goes to, what it sends, how long it may live; ``fin``: it half-closes."""

    reason: str
    data: bytes
    within: float = AT_ONCE
    fin: bool = False
    not_before: float = 0.0


CASES = {
    "HTTP": Case("no_proxy_header", b"GET / HTTP/1.1\r\n\r\n"),
    "TLS": Case("no_proxy_header", HELLO),
    "ALMOST": Case("no_proxy_header", b"\r\n\r\n\x00\r\nQUIX\n"),
    "LOWER": Case("no_proxy_header", b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
    "FAMILY": Case("bad_proxy_header", b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n" + HELLO),
    "ADDRESS": Case("bad_proxy_header", b"PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n" + HELLO),
    "PORTNUMBER": Case("bad_proxy_header", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n" + HELLO),
    "SPACES": Case("bad_proxy_header", b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n" + HELLO),
    "COMMAND": Case("bad_proxy_header", SIGNATURE + b"\x22" + v2(FOUR)[13:] + HELLO),
    "VERSION": Case("bad_proxy_header", SIGNATURE + b"\x31" + v2(FOUR)[13:] + HELLO),
    "SHORTBLOCK": Case("bad_proxy_header", SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11) + HELLO),
    "CHECKSUM": Case("bad_proxy_header", v2(FOUR, checksum=True)[:-1] + b"\x00" + HELLO),
    "TLVS": Case("bad_proxy_header", v2(FOUR, b"\x02\x00\x09short") + HELLO),
    "LONGLINE": Case("proxy_header_too_large", b"PROXY UNKNOWN ".ljust(107, b"x")),
    "DECLARED": Case("proxy_header_too_large", SIGNATURE + b"\x21\x11\xff\xff"),
    "JUSTOVER": Case("proxy_header_too_large", SIGNATURE + b"\x21\x11" + (521).to_bytes(2, "big")),
    "CUTV1": Case("proxy_header_truncated", v1(FOUR)[:-1], fin=True),
    "CUTV2": Case("proxy_header_truncated", v2(FOUR)[:-1], fin=True),
    "ONEBYTE": Case("proxy_header_truncated", b"P", fin=True),
    "LATEV1": Case("proxy_header_timeout", v1(FOUR)[:-1], LIMIT + BUSY, not_before=LIMIT),
    "LATEV2": Case("proxy_header_timeout", v2(FOUR)[:-1], LIMIT + BUSY, not_before=LIMIT),
    "LATEBYTE": Case("proxy_header_timeout", b"\r", LIMIT + BUSY, not_before=LIMIT),
    "SILENT": Case("proxy_header_timeout", b"", LIMIT + 2 + BUSY, not_before=LIMIT),
    "NOHELLO": Case("hello_timeout", v2(FOUR), LIMIT + BUSY, not_before=LIMIT),
    "HALFHELLO": Case("hello_timeout", v1(FOUR) + HELLO[:40], LIMIT + BUSY, not_before=LIMIT),
    "ENDBEHIND": Case("client_gone", v2(FOUR), fin=True),
    "CUTHELLO": Case("hello_truncated", v2(FOUR) + HELLO[:40], fin=True),
    "TWICE": Case("unexpected_proxy_header", v1(FOUR) + v1(FOUR) + HELLO),
    "PLAIN": Case("plain_http", v2(FOUR) + b"GET / HTTP/1.1\r\n\r\n"),
    "STRANGER": Case("untrusted_proxy", v2(FOUR) + HELLO),
}


class Ending(NamedTuple):
    how: str
    seconds: float


@pytest.fixture(scope="module")
def ended(fleet: Fleet) -> tuple[Mapping[str, Ending], Mapping[str, Totals]]:
    """Run all cases at once, each on a listener of its own; return the endings and the final counters."""
    with RawBackend() as unused:
        listeners = [
            listener(
                f"127.0.0.1:PORT_{name}",
                [route(unused.port)],
                proxy_protocol=True,
                trusted_proxies=["192.0.2.1/32"] if name == "STRANGER" else [],
            )
            for name in CASES
        ]
        limit = f"{LIMIT:g}s"
        text = config(*listeners, workers=2, proxy_header_timeout=limit, client_hello_timeout=limit)
        with fleet.serve(text) as proxy, ThreadPoolExecutor(len(CASES)) as pool:
            futures = {name: pool.submit(run, case, proxy.port(name)) for name, case in CASES.items()}
            endings = {name: future.result() for name, future in futures.items()}
            counts = counted(proxy)
            totals = {name: counts[f"127.0.0.1:{proxy.port(name)}"] for name in CASES}
        unused.listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            unused.listening.accept()
        return endings, totals


def run(case: Case, port: int) -> Ending:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        began = time.monotonic()
        sock.sendall(case.data)
        if case.fin:
            sock.shutdown(socket.SHUT_WR)
        try:
            how = "sent something" if sock.recv(1) else "ended in order"
        except ConnectionResetError:
            how = "reset"
        return Ending(how, time.monotonic() - began)


@pytest.mark.parametrize("name", CASES)
def test_a_refused_sender_is_reset_in_time_and_counted_once(
    ended: tuple[Mapping[str, Ending], Mapping[str, Totals]], name: str
) -> None:
    """Never a proper end, never a backend; exactly one counter has gone up by one."""
    case, ending, totals = CASES[name], ended[0][name], ended[1][name]
    assert ending.how == "reset"
    assert case.not_before <= ending.seconds <= case.within
    assert totals == Totals(accepted=1, refused={case.reason: 1})
