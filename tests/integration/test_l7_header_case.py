"""Names of header fields between HTTP/1.1 and HTTP/1.1: in lower case, or as received where the route says so."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.http_clients import H2Client, tls_socket
from tests.support.l4 import RawBackend
from tests.support.l7 import accept_tls, l7_config, l7_route, read_head, tls_backend
from tests.support.proxy import Proxy

FIELDS = b"User-Agent: Old\r\nSOAPAction: x\r\nX-Two: 1\r\nx-TWO: 2\r\nTransfer-Encoding: chunked\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nETag: 1\r\nWWW-authenticate: x\r\nContent-LENGTH: 2\r\nset-Cookie: a=b\r\n\r\nok"


class Stage:
    """One backend, cleartext and TLS, behind routes that keep the names and one that does not."""

    def __init__(self, proxy: Proxy, plain: RawBackend, tls: RawBackend, certs: Certificates) -> None:
        self.address = ("127.0.0.1", proxy.port())
        self._plain, self._tls, self._certs = plain, tls, certs

    def ask(self, hostname: str, method: bytes = b"POST") -> tuple[bytes, bytes]:
        """Send a request; return its head as the backend gets it, and the response's as the client gets it."""
        with tls_socket(self.address, hostname, "http/1.1") as client:
            head = b"%b / HTTP/1.1\r\nHost: %b\r\n" % (method, hostname.encode()) + FIELDS
            client.sendall(head + b"Upgrade-Insecure-Requests: 1\r\n\r\n0\r\n\r\n")
            with self.accepts(hostname) as backend:
                received = read_head(backend)
                backend.sendall(ANSWER)
                return received, read_head(client)

    def accepts(self, hostname: str) -> socket.socket | ssl.SSLSocket:
        if hostname == "tls.test":
            return accept_tls(self._tls.accept(), self._certs, "http/1.1")
        return self._plain.accept()


@pytest.fixture(scope="module")
def stage(fleet: Fleet, certs: Certificates) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        plain, tls = stack.enter_context(RawBackend()), stack.enter_context(RawBackend())
        keep = {"preserve_header_case": True, "backend_protocol": "http/1.1"}
        config = l7_config(
            l7_route(certs, plain.port, "kept.test", **keep),
            l7_route(certs, tls.port, "tls.test", **keep, **tls_backend(certs)),
            l7_route(certs, plain.port, "lower.test", backend_protocol="http/1.1"),
        )
        yield Stage(stack.enter_context(fleet.serve(config)), plain, tls, certs)


@pytest.mark.parametrize("hostname", ["kept.test", "tls.test"])
def test_names_pass_as_they_were_received(stage: Stage, hostname: str) -> None:
    """In both directions, those of the connection among them; what the proxy adds has its own spelling."""
    request, response = stage.ask(hostname)
    for name in (b"Host: ", b"User-Agent: ", b"SOAPAction: ", b"X-Two: 1", b"x-TWO: 2", b"Transfer-Encoding: chunked"):
        assert b"\r\n" + name in request
    assert b"\r\nx-forwarded-for: " in request
    for name in (b"ETag: ", b"WWW-authenticate: ", b"Content-LENGTH: 2", b"set-Cookie: a=b"):
        assert b"\r\n" + name in response


def test_names_are_in_lower_case_without_the_key(stage: Stage) -> None:
    """As they are in HTTP/2."""
    for head in stage.ask("lower.test"):
        names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:]]
        assert names == [name.lower() for name in names]


def test_names_of_http2_stay_in_lower_case(stage: Stage) -> None:
    """Nothing else was received; and a client of HTTP/2 gets nothing else."""
    with H2Client(stage.address, "kept.test") as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.request, "GET", "/", [("x-two", "1")])
        with stage.accepts("kept.test") as backend:
            request = read_head(backend)
            backend.sendall(ANSWER)
            assert answer.result(10).header("etag") == "1"
    assert b"\r\nx-two: 1" in request
