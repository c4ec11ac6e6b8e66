"""PROXY headers that go out: in front of the hello, in the same segment, with the true client and the backend's address."""

import contextlib
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.counters import counted
from tests.support.fleet import Fleet
from tests.support.l4 import HELLO, HELLOS, RawBackend
from tests.support.l7 import l7_route
from tests.support.proxy import Proxy
from tests.support.proxy_header import LOCAL, Names, read, receive, tlv, v1, v2
from tests.support.settings import config, listener, route
from tests.support.tls import client_context, client_hello, receive_exactly

FOUR = Names("203.0.113.77", 40_000, "198.51.100.2", 443)
NAME = "named.test"
SIX = Names("2001:db8::77", 40_006, "2001:db8::2", 443)


class Site(NamedTuple):
    """A proxy with listeners of every family, each with routes to a backend of every kind."""

    proxy: Proxy
    backends: dict[str, RawBackend]

    def connect(self, name: str, host: str, data: bytes) -> socket.socket:
        return self.backends["v4"].connect((host, self.proxy.port(name)), data)


@pytest.fixture(scope="module")
def site(fleet: Fleet) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcp-"))) / "backend"
        backends = {
            "v4": stack.enter_context(RawBackend("127.0.0.1")),
            "v6": stack.enter_context(RawBackend("::1")),
            "unix": stack.enter_context(RawBackend(path=path)),
        }
        addresses = {
            "v4": f"127.0.0.1:{backends['v4'].port}",
            "v6": f"[::1]:{backends['v6'].port}",
            "unix": f"unix:{path}",
        }
        listeners = []
        for kind, address in addresses.items():
            routes = [route(address, send_proxy_protocol=True)]
            upper = kind.upper()
            listeners += [
                listener(f"127.0.0.1:PORT_FOUR{upper}", routes),
                listener(f"[::1]:PORT_SIX{upper}", routes),
                listener(f":PORT_DUAL{upper}", routes),
                listener(f"127.0.0.1:PORT_BEHIND{upper}", routes, proxy_protocol=True),
            ]
        off = listener("127.0.0.1:PORT_OFF", [route(addresses["v4"])], proxy_protocol=True)
        yield Site(stack.enter_context(fleet.serve(config(*listeners, off))), backends)


def data_segments(sock: socket.socket) -> int:
    """Return how many segments with data have come in (``tcpi_data_segs_in`` of linux/tcp.h)."""
    return int(struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160), 152)[0])


@pytest.mark.parametrize(
    ("listening", "host", "kind", "source", "destination"),
    [
        ("FOURV4", "127.0.0.1", "v4", "127.0.0.1", "127.0.0.1"),
        ("SIXV6", "::1", "v6", "::1", "::1"),
        ("DUALV4", "127.0.0.1", "v4", "127.0.0.1", "127.0.0.1"),
        ("DUALV6", "::1", "v6", "::1", "::1"),
        ("FOURV6", "127.0.0.1", "v6", "::ffff:127.0.0.1", "::1"),
        ("SIXV4", "::1", "v4", "::1", "::ffff:127.0.0.1"),
        ("DUALV6", "127.0.0.1", "v6", "::ffff:127.0.0.1", "::1"),
        ("DUALV4", "::1", "v4", "::1", "::ffff:127.0.0.1"),
    ],
)
@pytest.mark.parametrize("hello", ["go1.19", "curl_cffi_chrome99", "split_every_16_bytes"])
def test_the_first_segment_holds_header_and_hello(
    site: Site, listening: str, host: str, kind: str, source: str, destination: str, hello: str
) -> None:
    """One read of one segment gives the backend both, for every mix of families; an IPv4 address beside an IPv6 one is mapped."""
    client = site.connect(listening, host, HELLOS[hello])
    server = site.backends[kind].accept()
    names, rest = read(server.recv(65_536))
    assert names == Names(source, client.getsockname()[1], destination, site.backends[kind].port)
    assert rest == HELLOS[hello]
    assert data_segments(server) == 1
    server.sendall(b"answer")
    assert receive_exactly(client, 6) == b"answer"


def test_a_hello_in_two_segments_goes_out_behind_the_header(site: Site) -> None:
    """The backend gets header, hello and what was sent early behind it without a gap."""
    client = site.connect("FOURV4", "127.0.0.1", HELLO[:100])
    client.sendall(HELLO[100:] + b"early" * 50_000)
    server = site.backends["v4"].accept()
    assert receive(server) is not None
    assert receive_exactly(server, len(HELLO) + 250_000) == HELLO + b"early" * 50_000


def test_no_header_is_sent_unless_asked_for(site: Site) -> None:
    """The default: the backend's first byte is the client's, even when the client itself was named by a header."""
    site.connect("OFF", "127.0.0.1", v2(FOUR) + HELLO)
    assert receive_exactly(site.backends["v4"].accept(), len(HELLO)) == HELLO


@pytest.mark.parametrize(
    ("listening", "host", "header", "source"),
    [
        ("FOURUNIX", "127.0.0.1", b"", None),
        ("SIXUNIX", "::1", b"", None),
        ("DUALUNIX", "127.0.0.1", b"", None),
        ("BEHINDUNIX", "127.0.0.1", v2(FOUR), (FOUR.source, FOUR.source_port)),
    ],
)
def test_a_unix_backend_is_told_where_the_client_came_in(
    site: Site, listening: str, host: str, header: bytes, source: tuple[str, int] | None
) -> None:
    """A Unix socket has no address to name, so the listener's stands as the destination."""
    client = site.connect(listening, host, header + HELLO)
    server = site.backends["unix"].accept()
    client_host, client_port = source or client.getsockname()[:2]
    assert receive(server) == Names(client_host, client_port, host, site.proxy.port(listening))
    assert receive_exactly(server, len(HELLO)) == HELLO


@pytest.mark.parametrize(
    ("header", "kind", "source", "source_port", "destination"),
    [
        (v2(FOUR), "v4", FOUR.source, FOUR.source_port, "127.0.0.1"),
        (v2(SIX), "v4", SIX.source, SIX.source_port, "::ffff:127.0.0.1"),
        (v2(FOUR), "v6", f"::ffff:{FOUR.source}", FOUR.source_port, "::1"),
        (v2(SIX), "v6", SIX.source, SIX.source_port, "::1"),
        (LOCAL, "v4", "127.0.0.1", 0, "127.0.0.1"),
    ],
)
def test_the_client_of_a_received_header_is_passed_on(
    site: Site, header: bytes, kind: str, source: str, source_port: int, destination: str
) -> None:
    """The client stays the client; a sender that speaks for itself is named itself, with its own port."""
    client = site.connect(f"BEHIND{kind.upper()}", "127.0.0.1", header + HELLO)
    backend = site.backends[kind]
    port = source_port or client.getsockname()[1]
    assert receive(backend.accept()) == Names(source, port, destination, backend.port)


@pytest.mark.parametrize("kind", ["v4", "v6", "unix"])
@pytest.mark.parametrize("mode", ["l4", "l7"])
def test_the_original_destination_is_kept(
    reloaded: StartProxy, site: Site, certs: Certificates, kind: str, mode: str
) -> None:
    """With proxy_protocol_destination = "original": the received header's, whatever the backend's own address is."""
    backend = site.backends[kind]
    address = {"v4": f"127.0.0.1:{backend.port}", "v6": f"[::1]:{backend.port}"}.get(kind)
    address = address or f"unix:{backend.listening.getsockname()}"
    keys = {"send_proxy_protocol": True, "proxy_protocol_destination": "original"}
    if mode == "l4":
        only = route(address, NAME, **keys)
    else:
        only = l7_route(certs, address, NAME, backend_protocol="http/1.1", **keys)
    served = reloaded(config(listener(":PORT", [only], proxy_protocol=True), workers=2))
    for host, header, expected in (
        ("127.0.0.1", v2(FOUR), FOUR),
        ("::1", v1(FOUR), FOUR),
        ("127.0.0.1", v2(SIX), SIX),
        ("::1", LOCAL, None),
    ):
        sock = backend.connect((host, served.port()), header)
        if mode == "l4":
            sock.sendall(client_hello(NAME))
        else:
            tls = backend.keep(client_context(certs.ca).wrap_socket(sock, server_hostname=NAME))
            tls.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        client = sock.getsockname() if mode == "l4" else tls.getsockname()
        names = receive(backend.accept())
        assert names == (expected or Names(host, client[1], host, served.port()))


def test_a_header_of_version_1_and_tlvs(reloaded: StartProxy) -> None:
    """Each where the route says so."""
    passed = tlv(0xEA, b"vpce-1") + tlv(0xEE, b"\0" * 100)
    with RawBackend() as backend:
        first = route(
            backend.port,
            "l4.test",
            send_proxy_protocol=True,
            proxy_protocol_version="v1",
            proxy_protocol_destination="original",
        )
        second = route(backend.port, NAME, send_proxy_protocol=True, proxy_protocol_tlvs=True)
        served = reloaded(config(listener("127.0.0.1:PORT", [first, second], proxy_protocol=True)))
        address = ("127.0.0.1", served.port())
        backend.connect(address, v2(SIX, passed) + HELLO)
        assert receive_exactly(backend.accept(), len(v1(SIX) + HELLO)) == v1(SIX) + HELLO
        hello = client_hello(NAME)
        backend.connect(address, v2(FOUR, passed, checksum=True) + hello)
        expected = v2(Names(*FOUR[:2], "127.0.0.1", backend.port), passed) + hello
        assert receive_exactly(backend.accept(), len(expected)) == expected


def test_a_backend_that_resets_at_once_harms_nobody(reloaded: StartProxy) -> None:
    """A backend that takes connections only to reset them: its clients end, the proxy goes on and counts right."""
    with RawBackend() as backend:
        served = reloaded(config(listener("127.0.0.1:PORT", [route(backend.port, send_proxy_protocol=True)])))
        for _ in range(20):
            client = backend.connect(("127.0.0.1", served.port()), HELLO)
            server = backend.accept()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            server.close()
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
        client = backend.connect(("127.0.0.1", served.port()), HELLO)
        assert receive(backend.accept()) is not None
        client.close()
        totals = counted(served, still_open=1)[f"127.0.0.1:{served.port()}"]
        assert totals.accepted == 21
        assert set(totals.refused) <= {"backend_refused", "backend_no_answer"}
