"""PROXY headers that go out: in front of the hello, in the same segment, with the true client and the backend's address."""

import contextlib
import socket
from pathlib import Path

import pytest

from tests.conftest import StartProxy
from tests.support.l4 import HELLO, HELLOS, RawBackend, Totals, stop_and_count
from tests.support.proxy_header import LOCAL, Names, read, receive, v2
from tests.support.settings import config, listener, route
from tests.support.tls import receive_exactly

FOUR = Names("203.0.113.77", 40_000, "198.51.100.2", 443)
SIX = Names("2001:db8::77", 40_006, "2001:db8::2", 443)


@pytest.mark.parametrize(
    ("addr", "host", "backend_host", "source", "destination"),
    [
        ("127.0.0.1:PORT", "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("[::1]:PORT", "::1", "::1", "::1", "::1"),
        (":PORT", "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"),
        (":PORT", "::1", "::1", "::1", "::1"),
        ("127.0.0.1:PORT", "127.0.0.1", "::1", "::ffff:127.0.0.1", "::1"),
        ("[::1]:PORT", "::1", "127.0.0.1", "::1", "::ffff:127.0.0.1"),
        (":PORT", "127.0.0.1", "::1", "::ffff:127.0.0.1", "::1"),
    ],
)
def test_the_first_segment_holds_header_and_hello(
    proxy: StartProxy, addr: str, host: str, backend_host: str, source: str, destination: str
) -> None:
    """One read at the backend gives both, for every mix of families; an IPv4 address beside an IPv6 one is mapped."""
    with RawBackend(backend_host) as backend:
        shown = f"[{backend_host}]" if ":" in backend_host else backend_host
        served = proxy(config(listener(addr, [route(f"{shown}:{backend.port}", send_proxy_protocol=True)])))
        for hello in (HELLO, HELLOS["minimal_hello"] if "minimal_hello" in HELLOS else HELLO):
            client = backend.connect((host, served.port()), hello)
            server = backend.accept()
            server.recv(1, socket.MSG_PEEK)  # something is there; what the first segment brought is all there is
            names, rest = read(server.recv(65_536))
            assert names == Names(source, client.getsockname()[1], destination, backend.port)
            assert rest == hello
            server.sendall(b"answer")
            assert receive_exactly(client, 6) == b"answer"


def test_a_hello_in_two_segments_goes_out_behind_the_header(proxy: StartProxy) -> None:
    """A hello longer than a segment, sent in two: the backend gets header, hello and what follows without a gap."""
    with RawBackend() as backend:
        served = proxy(config(listener("127.0.0.1:PORT", [route(backend.port, send_proxy_protocol=True)])))
        client = backend.connect(("127.0.0.1", served.port()), HELLO[:100])
        client.sendall(HELLO[100:] + b"early" * 50_000)
        server = backend.accept()
        assert receive(server) is not None
        assert receive_exactly(server, len(HELLO) + 250_000) == HELLO + b"early" * 50_000


def test_no_header_is_sent_unless_asked_for(proxy: StartProxy) -> None:
    """The default: the backend's first byte is the client's, even when the client itself was named by a header."""
    with RawBackend() as backend:
        served = proxy(config(listener("127.0.0.1:PORT", [route(backend.port)], proxy_protocol=True)))
        backend.connect(("127.0.0.1", served.port()), v2(FOUR) + HELLO)
        assert receive_exactly(backend.accept(), len(HELLO)) == HELLO


@pytest.mark.parametrize("behind_proxy", [False, True])
def test_a_unix_backend_is_told_where_the_client_came_in(
    proxy: StartProxy, short_folder: Path, *, behind_proxy: bool
) -> None:
    """A Unix socket has no address to name, so the listener's stands as the destination."""
    with RawBackend(path=short_folder / "backend") as backend:
        routes = [route(f"unix:{short_folder / 'backend'}", send_proxy_protocol=True)]
        served = proxy(config(listener("127.0.0.1:PORT", routes, proxy_protocol=behind_proxy)))
        client = backend.connect(("127.0.0.1", served.port()), (v2(FOUR) if behind_proxy else b"") + HELLO)
        server = backend.accept()
        names = receive(server)
        source = (FOUR.source, FOUR.source_port) if behind_proxy else client.getsockname()
        assert names == Names(*source, "127.0.0.1", served.port())
        assert receive_exactly(server, len(HELLO)) == HELLO


@pytest.mark.parametrize(
    ("header", "backend_host", "expected"),
    [
        (v2(FOUR), "127.0.0.1", (FOUR.source, FOUR.source_port, "127.0.0.1")),
        (v2(SIX), "127.0.0.1", (SIX.source, SIX.source_port, "::ffff:127.0.0.1")),
        (v2(FOUR), "::1", (f"::ffff:{FOUR.source}", FOUR.source_port, "::1")),
        (v2(SIX), "::1", (SIX.source, SIX.source_port, "::1")),
        (LOCAL, "127.0.0.1", ("127.0.0.1", None, "127.0.0.1")),
    ],
)
def test_the_client_of_a_received_header_is_passed_on(
    proxy: StartProxy, header: bytes, backend_host: str, expected: tuple[str, int | None, str]
) -> None:
    """Over two hops the client stays the client; a sender that speaks for itself is named itself."""
    with RawBackend(backend_host) as backend:
        shown = f"[{backend_host}]" if ":" in backend_host else backend_host
        routes = [route(f"{shown}:{backend.port}", send_proxy_protocol=True)]
        served = proxy(config(listener("127.0.0.1:PORT", routes, proxy_protocol=True)))
        client = backend.connect(("127.0.0.1", served.port()), header + HELLO)
        source, port, destination = expected
        names = receive(backend.accept())
        assert names == Names(source, port or client.getsockname()[1], destination, backend.port)


def test_a_backend_that_resets_at_once_harms_nobody(proxy: StartProxy) -> None:
    """A backend that takes connections only to reset them: its clients end, the proxy goes on and counts right."""
    with RawBackend() as backend:
        served = proxy(config(listener("127.0.0.1:PORT", [route(backend.port, send_proxy_protocol=True)])))
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
        totals = stop_and_count(served)[f"127.0.0.1:{served.port()}"]
        assert totals.accepted == 21
        assert set(totals.refused) <= {"backend_refused"}
        assert totals == Totals(21, totals.refused)
