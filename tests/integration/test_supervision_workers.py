"""Workers that die, hang or are told to leave: what it costs, and what it does not."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from tests.conftest import StartProxy
from tests.support.lifecycle import apply, client_ports, end, holder, totals, wait_gone, wait_workers
from tests.support.load import Load, Result, Traffic, until
from tests.support.proxy import ROOT
from tests.support.toml import config, listener, route

pytestmark = pytest.mark.both_data_paths(python="soak")

HOST = "127.0.0.1"


def errors(*traffic: Traffic) -> list[Result]:
    return [result for each in traffic for result in each.errors()]


def ports(results: Iterable[Result]) -> set[int]:
    return {result.port for result in results}


def wait_cut(traffic: Traffic, lost: set[int]) -> None:
    until(lambda: lost <= ports(traffic.errors()), "the dead worker's connections have ended")


def test_a_killed_worker_costs_its_own_connections_alone(proxy: StartProxy) -> None:
    """SIGKILL under load: its connections are cut, no other is, none that begins afterwards fails; the counts agree."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one")))))
        address = HOST, edge.port()
        held = load.hold(address, "app.test", count=16)
        arriving = load.arrive(address, "app.test", clients=4)
        for _ in range(3):
            victim = wait_workers(edge, 2)[0]
            before = ports(errors(held))
            victim.suspend()  # so that it takes no connection between the look and the kill
            own = client_ports(victim, address[1])
            killed = time.monotonic()
            victim.kill()
            lost = ports(held.results) & own - before
            wait_cut(held, lost)
            assert ports(errors(held)) == before | lost
            arriving.wait_finished(40)
            assert ports(result for result in errors(arriving) if result.ended >= killed) <= own
            edge.wait_for_log(rf"worker died, replacing it *how='was killed by SIGKILL' *pid={victim.pid}\b")
        assert not [result for result in errors(arriving) if "Refused" in result.error or "Timeout" in result.error]
        everything = held.stop() + arriving.stop()
        assert end(edge) == 0
        reached = [result for result in everything if result.backend]
        counted = totals(edge)[f"{HOST}:{address[1]}"]
        assert len(reached) <= counted <= len(everything)


def test_a_worker_that_never_served_ends_with_its_control(tmp_path: Path) -> None:
    """Control is gone before the first snapshot: there is nothing to go on serving, and no other control to wait for."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        command = [sys.executable, "-m", "mcproxy.worker", "--channel", str(theirs.fileno())]
        worker = subprocess.Popen(
            [*command, "--control", str(tmp_path / "nobody")], pass_fds=[theirs.fileno()], cwd=ROOT
        )
    try:
        assert worker.wait(timeout=20) == 1
    finally:
        worker.kill()
        worker.wait()


def test_a_worker_that_is_told_to_leave_is_replaced_at_once(proxy: StartProxy) -> None:
    """SIGTERM to a worker: a replacement serves, no connection is lost, the old one goes when its last has ended."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), shutdown_timeout="90s"))
        address = HOST, edge.port()
        held = load.hold(address, "app.test", count=8)
        arriving = load.arrive(address, "app.test", clients=4)
        leaving = holder(edge, address[1], held)
        leaving.terminate()
        edge.wait_for_log(rf"worker was told to leave, replacing it *pid={leaving.pid}\b")
        wait_workers(edge, 3)
        arriving.wait_finished(100)
        held.wait_messages(100)
        assert leaving.is_running()
        assert not [result.error for result in held.stop() + arriving.stop() if result.error]
        wait_gone(leaving)
        assert end(edge) == 0


def test_a_worker_that_dies_again_and_again_is_restarted_with_growing_pauses(proxy: StartProxy) -> None:
    """Each quick death makes the pause before the next start longer; a connection waits for it and is served."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), workers=1))
        pauses = []
        for _ in range(4):
            worker = edge.workers()[0]
            worker.kill()
            wait_gone(worker)
            died = time.monotonic()
            wait_workers(edge, 1)
            pauses.append(time.monotonic() - died)
        # the first may have lived long enough not to count
        assert all(pause >= 0.05 * 2**number - 0.02 for number, pause in enumerate(pauses)), pauses
        assert load.once((HOST, edge.port()), "app.test").error == ""


def test_a_reload_between_a_death_and_the_next_start_starts_one_worker(proxy: StartProxy) -> None:
    """A reload does not wait for the pause after a quick death, and the pause's end then starts no second worker."""
    with Load() as load:
        text = listener("PORT", route("app.test", load.backend("one")))
        edge = proxy(config(text, workers=1))
        for death in range(1, 5):
            worker = edge.workers()[0]
            worker.kill()
            wait_gone(worker)
            if death < 4:
                wait_workers(edge, 1)
        died = time.monotonic()
        apply(edge, config(text, listener("PORT_B", route("b.test", load.backend("two"))), workers=1))
        assert load.once((HOST, edge.port("B")), "b.test").backend == "two"
        running = edge.workers()
        while time.monotonic() < died + 1.5:  # the pause was 0.8 s
            psutil.wait_procs(running, 0.1)
            assert edge.workers() == running
        assert end(edge) == 0
