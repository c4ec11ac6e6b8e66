"""Certificates of L7 routes change under a running proxy: new connections get the new one, open ones stay as they are."""

import http.client
import shutil
import socket
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.conftest import StartProxy
from tests.support.certificates import Certificates, Leaf
from tests.support.lifecycle import applied, apply, end, wait_workers
from tests.support.load import until
from tests.support.proxy import Proxy
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"
NAME = "app.test"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Leave the test's output alone."""


@pytest.fixture
def backend() -> Iterator[int]:
    """Return the port of a cleartext HTTP backend."""
    server = ThreadingHTTPServer((HOST, 0), _Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def leaves(certs: Certificates) -> tuple[Leaf, Leaf]:
    """Return two certificates for the same name, which their further names tell apart."""
    return certs.server(NAME, "one.test"), certs.server(NAME, "two.test")


@pytest.fixture
def edge(reloaded: StartProxy, backend: int, leaves: tuple[Leaf, Leaf]) -> Proxy:
    """Return a proxy with one L7 route, which serves the first certificate."""
    first, _ = leaves
    edge = reloaded(_text(backend, first.certificate, first.key))
    for name, source in (("app.crt", first.certificate), ("app.key", first.key)):
        shutil.copy(source, edge.folder / name)
    apply(edge, _text(backend))
    return edge


def _text(backend: int, certificate: Path | str = "app.crt", key: Path | str = "app.key", **options: str) -> str:
    files = {"tls_cert": str(certificate), "tls_key": str(key)}
    return config(listener("PORT", route(NAME, backend, mode="l7", **files, **options)))


def connect(edge: Proxy, ca: Path) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(ca))
    connection = http.client.HTTPSConnection(NAME, edge.port(), context=context)
    connection.sock = context.wrap_socket(socket.create_connection((HOST, edge.port()), 5), server_hostname=NAME)
    return connection


def answers(connection: http.client.HTTPSConnection) -> bool:
    connection.request("GET", "/")
    return connection.getresponse().read() == b"ok\n"


def presented(edge: Proxy, ca: Path) -> str:
    """Return the name that tells the certificates of a new connection apart; a request on it is answered."""
    connection = connect(edge, ca)
    try:
        assert answers(connection)
        certificate: Any = connection.sock.getpeercert()
        return str(certificate["subjectAltName"][1][1])
    finally:
        connection.close()


def presented_by_all(edge: Proxy, ca: Path) -> set[str]:
    """As `presented`, over enough connections to meet every worker."""
    return {presented(edge, ca) for _ in range(16)}


def put(edge: Proxy, name: str, source: Path) -> None:
    """Replace a file beside the config by a rename."""
    shutil.copy(source, edge.folder / f".{name}")
    (edge.folder / f".{name}").replace(edge.folder / name)


def renewed(edge: Proxy, since: int) -> list[str]:
    """Wait until a change is live, and return the files that were said to be renewed."""
    log = applied(edge, since)
    return [word for line in log.splitlines() if "] renewed: " in line for word in line.split() if "app." in word]


def test_a_renewed_pair_is_for_new_connections(edge: Proxy, certs: Certificates, leaves: tuple[Leaf, Leaf]) -> None:
    """Certificate first, then key: no error in between, the renewal is logged, and an open connection goes on."""
    _, second = leaves
    before = connect(edge, certs.ca)
    assert answers(before)
    since, notified = edge.mark(), len(edge.notifications())
    put(edge, "app.crt", second.certificate)
    until(lambda: "RELOADING=1" in edge.notifications()[notified:], "the certificate without its key is seen")
    assert presented(edge, certs.ca) == "one.test"
    put(edge, "app.key", second.key)
    assert renewed(edge, since) == ["app.crt", "app.key"]
    assert presented_by_all(edge, certs.ca) == {"two.test"}
    assert answers(before)
    assert "one.test" in str(before.sock.getpeercert())
    assert "] error" not in edge.stderr[since:]
    assert "] ~ " not in edge.stderr[since:]
    before.close()
    assert end(edge) == 0


def test_a_pair_that_does_not_fit_changes_nothing(edge: Proxy, certs: Certificates, leaves: tuple[Leaf, Leaf]) -> None:
    """It is told with the line of the key once it lasts; the old certificate goes on, also in a worker started since."""
    _, second = leaves
    before = connect(edge, certs.ca)
    since = edge.mark()
    put(edge, "app.key", second.key)
    line = edge.config.read_text().splitlines().index('tls_key = "app.key"') + 1
    edge.wait_for_log(
        rf"mc-proxy\.toml:{line}:11: error: listeners\[0\]\.routes\[0\]\.tls_key: .*do not belong together", since=since
    )
    assert presented_by_all(edge, certs.ca) == {"one.test"}
    killed = wait_workers(edge, 2)[0]
    before.close()
    killed.kill()
    edge.wait_for_log("worker died, replacing it", since=since)
    until(lambda: killed.pid not in [worker.pid for worker in wait_workers(edge, 2)], "a worker takes its place")
    assert presented_by_all(edge, certs.ca) == {"one.test"}
    since = edge.mark()
    put(edge, "app.crt", second.certificate)
    assert renewed(edge, since) == ["app.crt", "app.key"]
    assert presented_by_all(edge, certs.ca) == {"two.test"}


def test_a_switched_folder_is_a_renewal(
    edge: Proxy, backend: int, certs: Certificates, leaves: tuple[Leaf, Leaf]
) -> None:
    """A secret's way: the files are links into `..data`, which is switched to a new folder, the old one removed."""
    data = edge.folder / "..data"
    for number, leaf in enumerate((*leaves, leaves[0])):
        since = edge.mark()
        version = edge.folder / f"..version{number}"
        version.mkdir()
        shutil.copy(leaf.certificate, version / "app.crt")
        shutil.copy(leaf.key, version / "app.key")
        (edge.folder / "..data_tmp").symlink_to(version.name)
        (edge.folder / "..data_tmp").replace(data)
        if not number:
            (edge.folder / "tls").mkdir()
            for name in ("app.crt", "app.key"):
                (edge.folder / "tls" / name).symlink_to(f"../..data/{name}")
            apply(edge, _text(backend, "tls/app.crt", "tls/app.key"))
            continue
        assert renewed(edge, since) == ["tls/app.crt", "tls/app.key"]
        shutil.rmtree(edge.folder / f"..version{number - 1}")
        assert presented_by_all(edge, certs.ca) == {("one.test", "two.test", "one.test")[number]}
    assert "] error" not in edge.stderr


def test_an_unreadable_certificate_changes_nothing(edge: Proxy, certs: Certificates) -> None:
    """A certificate that vanishes is missed for a second, then told with its line; the old one goes on."""
    since = edge.mark()
    (edge.folder / "app.crt").rename(edge.folder / "away")
    edge.wait_for_log(
        r"mc-proxy\.toml:\d+:12: error: listeners\[0\]\.routes\[0\]\.tls_cert: .*No such file or directory", since=since
    )
    assert presented(edge, certs.ca) == "one.test"
    since = edge.mark()
    (edge.folder / "away").rename(edge.folder / "app.crt")
    edge.wait_for_log("read again: no changes", since=since)


def test_doubts_about_a_certificate_are_logged(edge: Proxy, certs: Certificates) -> None:
    """A renewed certificate for another name is used, as asked, and warned of."""
    other = certs.server("other.test", "third.test")
    since = edge.mark()
    put(edge, "app.crt", other.certificate)
    put(edge, "app.key", other.key)
    applied(edge, since)
    edge.wait_for_log(
        r"warning: .*tls_cert: the certificate does not cover app\.test; it is for other\.test", since=since
    )
