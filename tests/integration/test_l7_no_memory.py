"""A worker that has run out of memory leaves no request waiting, and goes on when there is some again."""

import contextlib
import resource
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import h2.exceptions
import h11
import psutil
import pytest

from tests.support.certificates import Certificates
from tests.support.http_clients import client
from tests.support.l4 import serve
from tests.support.l7 import l7_config, l7_route, start_hypercorn
from tests.support.processes import Processes

NAME = "l7.test"
CLIENTS = 24
PATIENCE = 40
"""Seconds in which every request must end, also on a busy machine."""
LONG = "10m"
"""The time limits of the proxy, far above that: none of them ends what hangs."""

Ended = (OSError, ssl.SSLError, h11.RemoteProtocolError, h2.exceptions.ProtocolError)


def ask(version: str, address: tuple[str, int], number: int) -> bool:
    """Make requests with large bodies until one fails; tell whether all were served. Raises `TimeoutError` if nothing comes."""
    body = bytes(200_000)
    try:
        with client(version, address, NAME, timeout=PATIENCE) as peer:
            return all(peer.request("POST", "/echo", body=body).status == 200 for _ in range(number))
    except TimeoutError:
        raise
    except Ended:
        return False


@pytest.fixture(scope="module")
def port(certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start a server that sends bodies back, in HTTP/1.1 and HTTP/2; return its port."""
    with Processes(tmp_path_factory.mktemp("server")) as processes:
        yield start_hypercorn(processes, certs).port


# Python's `wrap_socket` leaves a socket open that was reset ahead of the handshake, as when the worker has died.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("engine", "version", "backend"),
    [
        ("ngh2", "http/1.1", "h2"),
        ("ngh2", "h2", "http/1.1"),
        ("h2", "h2", "h2"),
        *(
            pytest.param(*row, marks=pytest.mark.soak)
            for row in (
                ("ngh2", "http/1.1", "http/1.1"),
                ("ngh2", "h2", "h2"),
                ("h2", "http/1.1", "http/1.1"),
                ("h2", "http/1.1", "h2"),
                ("h2", "h2", "http/1.1"),
            )
        ),
    ],
)
def test_no_request_hangs(certs: Certificates, port: int, version: str, backend: str, engine: str) -> None:
    """Whatever is under way when memory runs out ends soon, with an error if need be; what comes later is served."""
    route = l7_route(certs, port, NAME, backend_protocol=backend)
    limits = {"handshake_timeout": LONG, "connect_timeout": LONG, "idle_timeout": LONG, "client_hello_timeout": LONG}
    text = l7_config(route, http2_engine=engine, limits={"header_timeout": LONG}, **limits)
    with serve(text) as proxy, ThreadPoolExecutor(CLIENTS) as pool:
        address = ("127.0.0.1", proxy.port())
        assert ask(version, address, 3)
        for spare in (1 << 22, 1 << 20, 1 << 18, 0):
            [worker] = proxy.workers()
            limit = worker.memory_info().vms + spare
            resource.prlimit(worker.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            asked = [pool.submit(ask, version, address, 10) for _ in range(CLIENTS)]
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline and "MemoryError" not in proxy.stderr:
                time.sleep(0.02)
            with contextlib.suppress(ProcessLookupError):  # code in C may have ended the process
                resource.prlimit(worker.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            for answer in asked:
                answer.result(4 * PATIENCE)
            if "MemoryError" in proxy.stderr or not psutil.pid_exists(worker.pid):
                break
        else:
            pytest.fail("memory has never run out")
        assert ask(version, address, 3)
