"""A proxy between hostile clients and honest backends, all in processes of their own, and what it does to its workers."""

import contextlib
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import tomlkit

from tests.support.bystanders import Bystanders
from tests.support.certificates import Certificates
from tests.support.http_clients import Address
from tests.support.l7 import l7_route
from tests.support.ports import free_port
from tests.support.processes import Process, Processes
from tests.support.proxy import ROOT, Proxy
from tests.support.settings import listener, route

H1, H2 = "h1.test", "h2.test"
"""The hostnames of the L7 routes: to a backend of HTTP/1.1, and of HTTP/2 in cleartext."""
POLICIES = [{"type": "block_user_agent", "value": "BadBot"}]
"""What the route of `H1` refuses with 403."""
MB = 1_000_000
PAGE = 30_000
"""Bytes of the page that both backends serve as ``/bytes/30000``."""
LARGE = 10_000_000
"""Bytes of the largest one."""
_SIZES = (2, PAGE, LARGE)
_LOOK = 0.02  # seconds between two looks at a worker's memory


class Site:
    """What is attacked.

    Attributes:
        proxy: the proxy.
        address: where it serves the L7 routes.
        worker: its one worker.
    """

    def __init__(self, processes: Processes, proxy: Proxy) -> None:
        self._processes = processes
        self.proxy = proxy
        self.address: Address = ("127.0.0.1", proxy.port())
        (self.worker,) = proxy.workers()

    def bystanders(self, path: str = f"/bytes/{PAGE}", hostname: str = H1) -> Bystanders:
        """Have well-behaved clients beside what follows."""
        ports = self.proxy.port(), self.proxy.port("L4")
        return Bystanders(self._processes, *ports, hostname, path, [self.worker.pid])

    @property
    def resident(self) -> int:
        """The worker's memory (bytes); raises `psutil.NoSuchProcess` when it was killed."""
        return self.worker.memory_info().rss


class Peak:
    """Watches a worker's memory within a ``with`` block.

    Attributes:
        grown: by how much it has grown at most (bytes).
        before: what it was at first.
    """

    def __init__(self, worker: psutil.Process) -> None:
        self._worker = worker
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.before = worker.memory_info().rss
        self.grown = 0

    def _watch(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while not self._over.wait(_LOOK):
                self.grown = max(self.grown, self._worker.memory_info().rss - self.before)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


def start_page_server(processes: Processes) -> int:
    """Start `tests.support.page_server` and return its port."""
    process = processes.start(
        sys.executable, "-m", "tests.support.page_server", env={"PYTHONPATH": str(ROOT)}, stdin=True
    )
    return int(process.wait_for_line(r"^(\d+)$", 15)[1])


def start_nghttpd(processes: Processes, folder: Path, *options: str, sizes: Sequence[int] = _SIZES) -> int:
    """Start nghttpd on the same pages, in cleartext, and return its port."""
    pages = folder / "bytes"
    pages.mkdir(parents=True, exist_ok=True)
    for size in sizes:
        (pages / str(size)).write_bytes(bytes(size))
    port = free_port()
    process = processes.start("nghttpd", "--no-tls", "--address=127.0.0.1", f"--htdocs={folder}", *options, str(port))
    process.wait_for_port("127.0.0.1", port)
    return port


def start_passed(processes: Processes) -> int:
    """Start a backend of the L4 route, which answers a ClientHello with a byte, and return its port."""
    process: Process = processes.start(
        sys.executable, "-m", "tests.bench.backend", "answer", env={"PYTHONPATH": str(ROOT)}, stdin=True
    )
    return int(process.wait_for_line(r"^(\d+)$", 15)[1])


@contextlib.contextmanager
def site(
    certs: Certificates, *, limits: Mapping[str, object] | None = None, trailers: Sequence[str] = (), **proxy: object
) -> Iterator[Site]:
    """Serve both backends.

    Args:
        certs: who signs.
        limits: keys of ``[limits]``.
        trailers: fields that the HTTP/2 backend adds behind its bodies.
        proxy: keys of ``[proxy]``; there is one worker.
    """
    with tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Processes(folder) as processes:
            pages = start_nghttpd(processes, folder / "pages", *(f"--trailer={field}" for field in trailers))
            routes = [
                l7_route(certs, start_page_server(processes), H1, backend_protocol="http/1.1", l7_policies=POLICIES),
                l7_route(certs, pages, H2, backend_protocol="h2"),
            ]
            tables = {
                "proxy": {"workers": 1, "shutdown_timeout": "1s", **proxy},
                "limits": dict(limits or {}),
                "listeners": [
                    listener("127.0.0.1:PORT", routes),
                    listener("127.0.0.1:PORT_L4", [route(start_passed(processes))]),
                ],
            }
            with contextlib.closing(Proxy(processes, folder, tomlkit.dumps(tables))) as served:
                served.start()
                yield Site(processes, served)
