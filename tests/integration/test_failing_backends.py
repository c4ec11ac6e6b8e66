"""Why a backend is of no use, in words: the line of the access log has the address, the reason, and what was seen."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import tomlkit
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.endpoint import get
from tests.support.http_clients import client
from tests.support.l4 import full, wait_for
from tests.support.l7 import l7_route, server_tls, tls_backend
from tests.support.proxy import Proxy
from tests.support.settings import listener
from tests.support.useless_backend import frame

SETTINGS, GOAWAY = frame(4), 7
H1, H2 = {"backend_protocol": "http/1.1"}, {"backend_protocol": "h2"}

Case: TypeAlias = tuple[str | int, Mapping[str, object], int, str, str]
"""Backend, further keys of the route; status, reason and words that are expected."""
Deal: TypeAlias = Callable[[socket.socket], None]
"""What a backend does on a connection; then it closes it."""


def says(text: bytes) -> Deal:
    """Return what reads once, and says something."""

    def deal(sock: socket.socket) -> None:
        sock.recv(1 << 16)
        sock.sendall(text)

    return deal


def goaway(last: int, code: int, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug)


def leaves_amid(sock: socket.socket) -> None:
    """Take a request over HTTP/2, and give up on it."""
    sock.sendall(SETTINGS)
    received = b""
    while b"l7.test" not in received and b"\x00\x00\x01\x05\x00\x00\x00\x01" not in received and len(received) < 100:
        received += sock.recv(1 << 16)
    sock.sendall(goaway(1, 2, b"out of\nmemory"))


def drain(sock: ssl.SSLSocket) -> None:
    """Read what the client sends behind a failed handshake: closing before would reset it, and it might lose the alert."""
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(4096):
        pass


class Servers:
    """Listening sockets whose connections are dealt with in threads."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def add(self, deal: Deal, tls: ssl.SSLContext | None = None) -> int:
        """Serve in one way; return the port."""
        listening = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    one(listening.accept()[0])

        def one(sock: socket.socket) -> None:
            sock.settimeout(20)
            with sock, contextlib.suppress(OSError):
                if tls is None:
                    deal(sock)
                    return
                with tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) as inner:
                    try:
                        inner.do_handshake()
                    except OSError:
                        drain(inner)
                        raise
                    deal(inner)

        thread = threading.Thread(target=run)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(listening.close)
        self._stack.callback(listening.shutdown, socket.SHUT_RDWR)
        return int(listening.getsockname()[1])


@pytest.fixture
def servers() -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(stack)


def told(served: Any, path: Path, hostnames: set[str]) -> dict[str, tuple[int, str, str, str]]:
    """Return what the access log says of each route, when it has a line of all of them."""

    def lines() -> dict[str, tuple[int, str, str, str]]:
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return {one["route"]: (one["status"], one["reason"], one["detail"], one["endpoint"]) for one in found}

    wait_for(lambda: lines().keys() >= hostnames, timeout=20)
    return lines()


TLS_CAUSES = {
    "early.test": "not_yet_valid",
    "other-name.test": "wrong_name",
    "other-ca.test": "unknown_ca",
    "ciphers.test": "no_shared_cipher",
    "demanding.test": "client_certificate",
    "demanding-old.test": "client_certificate",
    "no-tls.test": "no_tls",
}
"""What the metrics say of those routes whose backends TLS fails with."""


def counted(served: Proxy) -> dict[str, str]:
    """Return why TLS with backends has failed, by route; the causes of one route are joined."""
    found: dict[str, list[str]] = {}
    for family in text_string_to_metric_families(get(served.port("M"), "/metrics").text):
        for sample in family.samples:
            if sample.name == "mcproxy_backend_tls_failures_total":
                found.setdefault(sample.labels["route"], []).append(sample.labels["cause"])
    return {route: " ".join(sorted(causes)) for route, causes in found.items()}


def test_each_way_to_fail_is_told(
    proxy: StartProxy, certs: Certificates, other_certs: Certificates, servers: Servers, short_folder: Path
) -> None:
    """Names, sockets, certificates, versions, protocols that do not fit, and backends that leave."""
    now = datetime.now(UTC)
    answer = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def tls(authority: Certificates = certs, name: str = "backend.test", **dates: Any) -> ssl.SSLContext:
        leaf = authority.server(name, **dates)
        return server_tls(leaf.certificate, leaf.key, "http/1.1")

    demanding, demanding_old, modern = tls(), tls(), tls()
    for context in demanding, demanding_old:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certs.ca)
    demanding_old.maximum_version = ssl.TLSVersion.TLSv1_2
    modern.set_ciphers("AES256-SHA")  # of TLS 1.2, and none that anybody offers today
    modern.maximum_version = ssl.TLSVersion.TLSv1_2
    behind = tls_backend(certs)
    future = tls(not_before=now + timedelta(3, 60), not_after=now + timedelta(30))
    (short_folder / "file.sock").write_text("")
    with full() as silent:
        port = silent.getsockname()[1]
        cases: dict[str, Case] = {
            "dns": ("nosuch.invalid:80", H1, 502, "backend_dns", "the name has no address"),
            "no-socket": (f"unix:{short_folder}/none", H1, 502, "backend_refused", "there is no such socket"),
            "file": (f"unix:{short_folder}/file.sock", H1, 502, "backend_refused", "connection refused"),
            "silent": (port, {**H1, "connect_timeout": "200ms"}, 504, "backend_timeout", "timed out after 0.2 s"),
            "early": (
                servers.add(answer, future),
                behind,
                502,
                "backend_certificate",
                "its certificate is not valid yet, it begins in 3 days",
            ),
            "other-name": (
                servers.add(answer, tls(name="other.test")),
                behind,
                502,
                "backend_certificate",
                "its certificate is for other.test, not for backend.test",
            ),
            "other-ca": (
                servers.add(answer, tls(other_certs)),
                behind,
                502,
                "backend_certificate",
                "its certificate is of an unknown CA (other CA)",
            ),
            "ciphers": (
                servers.add(answer, modern),
                behind,
                502,
                "backend_tls",
                "it refuses the handshake: handshake failure",
            ),
            "demanding": (
                servers.add(answer, demanding),
                behind,
                502,
                "backend_error",
                "it ended the connection before it had answered: it refuses the handshake: certificate required",
            ),
            "demanding-old": (
                servers.add(answer, demanding_old),
                behind,
                502,
                "backend_tls",
                "it refuses the handshake: it seems to require a certificate (handshake failure)",
            ),
            "no-tls": (servers.add(answer), behind, 502, "backend_tls", "it does not speak TLS"),
            "no-http": (
                servers.add(says(b"SSH-2.0-x\r\n")),
                H1,
                502,
                "bad_response",
                "the status line is malformed: 'SSH-2.0-x'",
            ),
            "h1-only": (
                servers.add(says(b"HTTP/1.1 505 no\r\n\r\n")),
                H2,
                502,
                "backend_no_stream",
                "it does not speak HTTP/2",
            ),
            "dumb": (servers.add(says(b"")), H2, 502, "backend_no_stream", "it does not answer in HTTP/2"),
            "leaves": (
                servers.add(says(SETTINGS + goaway(0, 0))),
                H2,
                502,
                "backend_no_stream",
                "it ends the connection with GOAWAY before a request: NO_ERROR",
            ),
            "leaves-angrily": (
                servers.add(says(SETTINGS + goaway(0, 11, b"calm down"))),
                H2,
                502,
                "backend_no_stream",
                "it ends the connection with GOAWAY before a request: ENHANCE_YOUR_CALM (calm down)",
            ),
            "leaves-amid": (
                servers.add(leaves_amid),
                H2,
                502,
                "backend_error",
                r"it ended the connection before it had answered: GOAWAY, INTERNAL_ERROR (out of\nmemory)",
            ),
        }
        routes = [l7_route(certs, backend, f"{name}.test", **keys) for name, (backend, keys, *_) in cases.items()]
        metrics = {"addr": "127.0.0.1:PORT_M"}
        tables = {"log": {"access": "access.log"}, "proxy": {"workers": 1}, "metrics": metrics}
        served = proxy(tomlkit.dumps({**tables, "listeners": [listener("127.0.0.1:PORT", routes)]}))
        for name, (*_, status, _, _) in cases.items():
            with client("http/1.1", ("127.0.0.1", served.port()), f"{name}.test") as opened:
                assert opened.request("GET", "/").status == status, name
        found = told(served, served.folder / "access.log", {f"{name}.test" for name in cases})
        wait_for(lambda: counted(served) == TLS_CAUSES)
    for name, (backend, _, status, reason, detail) in cases.items():
        assert found[f"{name}.test"][:3] == (status, reason, detail)
        where = f"127.0.0.1:{backend}" if isinstance(backend, int) else backend
        assert found[f"{name}.test"][3] == where, name
