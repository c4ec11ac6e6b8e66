"""Stop and start by a service manager that holds the listening sockets: its descriptor store, or a .socket unit."""

import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lifecycle import listening, wait_gone
from tests.support.load import Load, until
from tests.support.ports import free_port
from tests.support.processes import Process, Processes
from tests.support.proxy import ROOT
from tests.support.require import require
from tests.support.service_manager import ServiceManager
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    with Load() as load:
        yield load


def command(file: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "mcproxy", "serve", "--config", str(file), *options]


def stop(run: Process) -> None:
    """End control as a service manager does with KillMode=process, and wait for that process alone."""
    run.signal(signal.SIGTERM)
    assert run.wait(20) == 0


def names(manager: ServiceManager) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, _ in manager.told.kept():
        found[name] = found.get(name, 0) + 1
    return found


def test_sockets_in_the_store_outlive_control(processes: Processes, short_folder: Path, load: Load) -> None:
    """Between stop and start connections wait and none is refused; what was open drains meanwhile, and is counted on.

    What is stored follows the file; a restart without a gap in between changes nothing about it.
    """
    ports = {name: free_port() for name in "ab"}
    backend = load.backend("one")
    file = short_folder / "mc-proxy.toml"
    addrs = {name: f"{HOST}:{port}" for name, port in ports.items()}
    both = config(*(listener(addr, route("app.test", backend)) for addr in addrs.values()), shutdown_timeout="1m")
    one = config(listener(addrs["a"], route("app.test", backend)), shutdown_timeout="1m")
    file.write_text(both, encoding="utf-8")
    stored = {f"listener {addr.replace(':', ';')}": 12 for addr in addrs.values()}
    address = HOST, ports["a"]
    with ServiceManager(processes, short_folder) as manager:
        first = manager.start(*command(file, "--managed"))
        until(lambda: names(manager) == stored, "all sockets are stored")
        held = [load.hold(address, "app.test", count=3)]
        arriving = load.arrive(address, "app.test", pause=0.02)
        arriving.wait_finished(5)
        stop(first)
        assert manager.told.states()[-1] == "STOPPING=1"
        waiting = load.arrive((HOST, ports["b"]), "app.test", clients=1)
        second = manager.start(*command(file, "--managed"))
        waiting.wait_finished(1)
        waiting.stop()
        second.wait_for_line("took over from an earlier control", 10)
        assert names(manager) == stored

        second.signal(signal.SIGUSR2)
        assert second.wait(30) == 0
        until(lambda: manager.told.states()[-1] == "READY=1", "the next serves")
        assert names(manager) == stored
        held.append(load.hold(address, "app.test"))
        file.write_text(one, encoding="utf-8")
        until(lambda: len(names(manager)) == 1, "the sockets of a listener that is gone are not stored any more")
        until(lambda: not _connects(ports["b"]), "nobody listens there")
        arriving.wait_finished(5)
        assert not [result for traffic in (*held, arriving, waiting) for result in traffic.stop() if result.error]


def _connects(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=5):
        return True
    return False


def test_a_socket_of_the_service_manager_is_shared_by_all_workers(
    processes: Processes, short_folder: Path, load: Load
) -> None:
    """Systemd's own tool binds it and starts the proxy with the first connection, which is served; others are closed."""
    activate = require("systemd-socket-activate", "systemd")
    port, other = free_port(), free_port()
    file = short_folder / "mc-proxy.toml"
    text = config(listener(f"{HOST}:{port}", route("app.test", load.backend("one"))), workers=3)
    file.write_text(text, encoding="utf-8")
    run = processes.start(
        *(
            activate,
            "-l",
            f"{HOST}:{port}",
            "-l",
            f"[::1]:{other}",
            "-E",
            "PYTHONPATH",
            "-E",
            "MCPROXY_TEST_TOKEN",
            "-E",
            "PATH",
        ),
        *command(file),
        folder=short_folder,
        env={"PYTHONPATH": str(ROOT)},
    )
    run.wait_for_port("::1", other)
    assert not load.once((HOST, port), "app.test").error
    run.wait_for_line(r"\] serving ")
    workers = run.descendants()
    assert [listening(worker) for worker in workers] == [1, 1, 1]
    with socket.socket(socket.AF_INET6) as client:
        assert client.connect_ex(("::1", other))
    held = load.hold((HOST, port), "app.test", count=3)
    workers[0].suspend()  # the others accept all the same
    assert not [one.error for one in (load.once((HOST, port), "app.test") for _ in range(5)) if one.error]
    workers[0].resume()
    assert not [result for result in held.stop() if result.error]
    run.signal(signal.SIGTERM)
    assert run.wait(20) == 0
    for worker in workers:
        wait_gone(worker)
