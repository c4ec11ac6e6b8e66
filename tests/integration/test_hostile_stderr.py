"""Standard error that nobody reads, or that is closed: control and workers go on."""

import fcntl
import os
import signal
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
import tomlkit

from tests.support.bare_admin import Admin
from tests.support.load import Load, until
from tests.support.ports import free_port
from tests.support.processes import Process, Processes
from tests.support.proxy import ROOT
from tests.support.settings import listener, route


class Edge:
    """A proxy whose standard error goes where a shell's redirection says."""

    def __init__(self, processes: Processes, folder: Path, redirection: str, log_format: str, backend: int) -> None:
        self.port, self._metrics = free_port(), free_port()
        self._config = folder / "mc-proxy.toml"
        self._format = log_format
        self._backend = backend
        self.save("first.test")
        command = f"exec {sys.executable} -m mcproxy serve --config {self._config} 2>{redirection}"
        self.process: Process = processes.start("sh", "-c", command, env={"PYTHONPATH": str(ROOT)})
        self.admin = Admin(f"unix:{folder / 'mc-proxy.sock'}")
        until(lambda: self.says("readyz"), "it serves")

    def save(self, hostname: str, **more: object) -> None:
        tables = {
            "proxy": {"workers": 1, "shutdown_timeout": "1s"},
            "log": {"format": self._format},
            "metrics": {"addr": f"127.0.0.1:{self._metrics}"},
            "listeners": [listener(f"127.0.0.1:{self.port}", [route(self._backend, hostname)])],
            **more,
        }
        self._config.write_text(tomlkit.dumps(tables), encoding="utf-8")

    def says(self, check: str) -> bool:
        """Tell whether a health check, "healthz" or "readyz", is answered well."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/{check}", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def succeeded(self) -> bool:
        return bool(self.admin.call("GetStatus", timeout=5).last_reload.succeeded)

    def wait_live(self, hostname: str) -> None:
        def live() -> list[str]:
            return [each.hostname for each in self.admin.call("ListRoutes", timeout=5).routes]

        until(lambda: live() == [hostname], "the file is live", timeout=10)

    def worker(self) -> psutil.Process:
        (found,) = [each for each in self.process.descendants() if "mcproxy.worker" in each.cmdline()]
        return found

    def end(self) -> int:
        self.admin.__exit__(None, None, None)
        self.process.signal(signal.SIGTERM)
        return self.process.wait(15)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_standard_error_that_nobody_reads_stops_nobody(
    processes: Processes, short_folder: Path, log_format: str
) -> None:
    """Reloads, health, the API and the workers go on though the pipe is full; SIGTERM ends control."""
    fifo = short_folder / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    with Load() as load:
        edge = Edge(processes, short_folder, str(fifo), log_format, load.backend("backend"))
        worker = edge.worker()
        for number in range(3):
            edge.save("wrong.test", **{f"unknown{number}_{count}": 1 for count in range(300)})
            until(lambda: not edge.succeeded(), "the problems are told", timeout=10)
            edge.save(f"number{number}.test")
            edge.wait_live(f"number{number}.test")
            assert edge.says("healthz")
        worker.send_signal(signal.SIGQUIT)  # it tells its stacks
        assert load.once(("127.0.0.1", edge.port), "number2.test").backend == "backend"
        assert edge.worker() == worker
        assert edge.end() == 0
    os.close(reader)


def test_it_starts_with_standard_error_closed(processes: Processes, short_folder: Path) -> None:
    """And none of its files gets that number."""
    with Load() as load:
        edge = Edge(processes, short_folder, "&-", "console", load.backend("backend"))
        for pid in (edge.process.pid, edge.worker().pid):
            assert os.readlink(f"/proc/{pid}/fd/2") == "/dev/null"  # noqa: PTH115 - these links lead nowhere
        edge.save("second.test")
        edge.wait_live("second.test")
        assert load.once(("127.0.0.1", edge.port), "second.test").backend == "backend"
        assert edge.end() == 0
