"""An answer reaches a client that is still sending, whoever gives it and however soon its backend closes behind it."""

import contextlib
import ssl
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.curl import curl
from tests.support.engines import default_engine
from tests.support.fleet import Fleet
from tests.support.hasty_backend import HastyBackend
from tests.support.http_clients import tls_socket
from tests.support.l7 import BACKEND_NAME, l7_config, l7_route, server_tls, tls_backend
from tests.support.proxy import Proxy

UPLOADS = 16
SIZE = 200_000


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    default_engine(metafunc, "served")


@pytest.fixture(scope="module")
def served(
    fleet: Fleet, request: pytest.FixtureRequest, certs: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    path = str(tmp_path_factory.mktemp("unix") / "socket")
    leaf = certs.server(BACKEND_NAME)
    context = server_tls(leaf.certificate, leaf.key, "http/1.1")
    with (
        HastyBackend() as plain,
        HastyBackend(http2=True) as multiplexed,
        HastyBackend(path),
        HastyBackend(context=context) as encrypted,
    ):
        config = l7_config(
            l7_route(certs, plain.port, "h1.test", backend_protocol="http/1.1"),
            l7_route(certs, multiplexed.port, "h2c.test", backend_protocol="h2"),
            l7_route(certs, f"unix:{path}", "unix.test", backend_protocol="http/1.1"),
            l7_route(certs, encrypted.port, "tls.test", **tls_backend(certs)),
            l7_route(certs, plain.port, "own.test", l7_policies=[{"type": "block_user_agent", "value": "curl"}]),
            http2_engine=request.param,
        )
        with fleet.serve(config) as proxy:
            yield proxy


@pytest.mark.parametrize(
    ("hostname", "status"), [("unix.test", 401), ("tls.test", 401), ("h2c.test", 401), ("own.test", 403)]
)
def test_curl_hears_the_answer_to_every_upload(
    served: Proxy, certs: Certificates, tmp_path: Path, hostname: str, status: int
) -> None:
    """Sixteen of sixteen uploads that are refused at once."""
    hears_every_answer(served, certs, tmp_path, "--http1.1", hostname, status)


@pytest.mark.parametrize("served", ["h2"], indirect=True)
@pytest.mark.parametrize(
    ("hostname", "status"), [("h1.test", 401), ("tls.test", 401), ("h2c.test", 401), ("own.test", 403)]
)
def test_curl_hears_it_over_http2_as_well(
    served: Proxy, certs: Certificates, tmp_path: Path, hostname: str, status: int
) -> None:
    """With the engine in Python, which is the slower one."""
    hears_every_answer(served, certs, tmp_path, "--http2", hostname, status)


def hears_every_answer(
    served: Proxy, certs: Certificates, folder: Path, version: str, hostname: str, status: int
) -> None:
    (folder / "body").write_bytes(bytes(SIZE))
    upload = (
        version,
        "-H",
        "Expect:",
        "--data-binary",
        f"@{folder / 'body'}",
        "-w",
        "%{http_code}",
        "-o",
        "/dev/null",
    )
    address = ("127.0.0.1", served.port())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: curl(hostname, address, certs.ca, *upload), range(UPLOADS)))
    assert Counter((each.status, each.body) for each in answers) == {(0, b"%d" % status): UPLOADS}


@pytest.mark.soak  # takes the 5 s that a client is given for its end
@pytest.mark.parametrize(
    ("framing", "block"),
    [
        ("content-length: 10000000000", bytes(1 << 16)),
        ("transfer-encoding: chunked", b"4000\r\n" + bytes(0x4000) + b"\r\n"),
    ],
)
def test_what_is_thrown_away_has_a_bound(served: Proxy, framing: str, block: bytes) -> None:
    """A client that goes on and on behind the answer is cut off, after a few seconds in which it gets little through."""
    with tls_socket(("127.0.0.1", served.port()), "own.test", "http/1.1", timeout=60) as sock:
        sock.sendall(f"POST / HTTP/1.1\r\nhost: own.test\r\nuser-agent: curl\r\n{framing}\r\n\r\n".encode())
        assert send_until_cut_off(sock, block) < 64 << 20  # what kernels hold is in it
        assert sock.recv(12) == b"HTTP/1.1 403"


def send_until_cut_off(sock: ssl.SSLSocket, block: bytes) -> int:
    """Send a block over and over; return how many bytes were taken."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < 1 << 30:
            sock.sendall(block)
            sent += len(block)
    return sent
