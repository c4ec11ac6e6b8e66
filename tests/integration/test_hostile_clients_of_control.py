"""Many connections that say nothing, where descriptors are few: everybody else is served."""

import contextlib
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import tomlkit

from tests.support.bare_admin import Admin, mutual_tls
from tests.support.certificates import Certificates
from tests.support.load import Load, until
from tests.support.ports import free_port
from tests.support.processes import Process, Processes
from tests.support.proxy import ROOT
from tests.support.settings import listener, route
from tests.support.tls import client_hello

DESCRIPTORS = 256
HOST = "127.0.0.1"


class Edge:
    """A proxy whose processes may have few descriptors."""

    def __init__(self, processes: Processes, folder: Path, certs: Certificates, backend: int) -> None:
        self.port, self.metrics, self.grpc = free_port(), free_port(), free_port()
        server = certs.server("localhost", HOST)
        tables = {
            "proxy": {"workers": 1, "shutdown_timeout": "1s", "client_hello_timeout": "1m"},
            "metrics": {"addr": f"{HOST}:{self.metrics}"},
            "grpc": {
                "addr": f"{HOST}:{self.grpc}",
                "tls_cert": str(server.certificate),
                "tls_key": str(server.key),
                "client_ca": str(certs.ca),
            },
            "listeners": [listener(f"{HOST}:{self.port}", [route(backend, "app.test")])],
        }
        config = folder / "mc-proxy.toml"
        config.write_text(tomlkit.dumps(tables), encoding="utf-8")
        command = f"ulimit -n {DESCRIPTORS}; exec {sys.executable} -m mcproxy serve --config {config}"
        self.process: Process = processes.start("sh", "-c", command, env={"PYTHONPATH": str(ROOT)})
        self.socket = f"unix:{folder / 'mc-proxy.sock'}"
        until(lambda: self.status("/healthz") == 200, "it is healthy")

    def status(self, path: str, timeout: float = 8) -> int:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.metrics}{path}", timeout=timeout) as answer:
                return int(answer.status)
        except OSError:
            return 0

    def connections(self) -> int:
        """Return how many connections the worker has, none before it is seen."""
        worker = self.worker()
        if worker is None:
            return 0
        return len([one for one in worker.net_connections("tcp") if one.status == "ESTABLISHED"])

    def end(self) -> None:
        self.process.signal(signal.SIGTERM)
        assert self.process.wait(15) == 0

    def worker(self) -> psutil.Process | None:
        for each in self.process.descendants():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "mcproxy.worker" in each.cmdline():
                    return each
        return None


@pytest.fixture
def load() -> Iterator[Load]:
    with Load() as load:
        yield load


@pytest.fixture
def edge(processes: Processes, short_folder: Path, certs: Certificates, load: Load) -> Edge:
    return Edge(processes, short_folder, certs, load.backend("backend"))


@contextlib.contextmanager
def silent(port: int, count: int) -> Iterator[None]:
    """Open connections and say nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect((HOST, port))
        time.sleep(1.5)  # they are accepted now, and what is wrong would happen
        yield


def test_silent_connections_to_the_admin_api_take_nothing_from_others(
    edge: Edge, certs: Certificates, load: Load
) -> None:
    """Health, the other listener of the API and the replacement of workers go on; then it is there for its clients too."""
    with silent(edge.grpc, 400), Admin(edge.socket) as admin:
        assert edge.status("/healthz") == 200
        assert admin.call("AddFirewallRule", timeout=5, type="ip", value="192.0.2.1").edits
        worker = edge.worker()
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)
        until(lambda: edge.worker() not in (None, worker) and edge.status("/readyz") == 200, "it is replaced", 15)
        assert load.once((HOST, edge.port), "app.test").backend == "backend"
        with mutual_tls(edge.grpc, certs.ca, certs.client("ops")) as remote:
            until(lambda: answers(remote), "those who say nothing are let go", 15)
    edge.end()


def test_silent_connections_to_the_metrics_endpoint_take_it_from_nobody(edge: Edge) -> None:
    """Whoever asks is answered."""
    with silent(edge.metrics, 250):
        for path in ("/metrics", "/healthz", "/readyz", "/"):
            assert edge.status(path) == 200
        with Admin(edge.socket) as admin:
            assert admin.call("AddFirewallRule", timeout=5, type="ip", value="192.0.2.1").edits
    edge.end()


def test_clients_that_say_nothing_leave_descriptors_for_backends(edge: Edge, load: Load) -> None:
    """Who was accepted reaches the backend, whoever came after; and control is not concerned."""
    with socket.create_connection((HOST, edge.port), timeout=10) as early:
        until(lambda: edge.connections() == 1, "it is accepted")
        with silent(edge.port, 400):
            until(lambda: edge.connections() > DESCRIPTORS // 2, "many are accepted")
            early.sendall(client_hello("app.test") + b"x")
            assert early.recv(7) == b"backend"
            with Admin(edge.socket) as admin:
                assert admin.call("AddFirewallRule", timeout=5, type="ip", value="192.0.2.1").edits
    until(lambda: load.once((HOST, edge.port), "app.test").backend == "backend", "new clients are served again")
    edge.end()


def answers(admin: Admin) -> bool:
    try:
        return bool(admin.call("GetStatus", timeout=2).generation)
    except Exception:  # noqa: BLE001 - whatever it is, it does not answer
        return False
