"""Processes that stand still for a while, and what that costs: nothing but the time of those who stood still."""

import signal
import time

import psutil
import pytest

from tests.conftest import StartProxy
from tests.support.lifecycle import apply, client_ports, end, holder, wait_gone, wait_workers
from tests.support.load import Load, Result, until
from tests.support.proxy import Proxy
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"


def stand_still(processes: list[psutil.Process], seconds: float) -> None:
    """Stop processes all at once and let them go on after a while: that while is the matter of the test."""
    for process in processes:
        process.suspend()
    resume_at = time.monotonic() + seconds
    while (left := resume_at - time.monotonic()) > 0:
        time.sleep(left)
    for process in processes:
        process.resume()


def unharmed(edge: Proxy, workers: list[psutil.Process]) -> None:
    """Wait until control has looked at its workers often enough to judge them; they are the ones there were."""
    looked = time.monotonic() + 3.5
    until(lambda: time.monotonic() > looked, "control has looked three times")
    assert edge.workers() == workers
    assert "killing it" not in edge.stderr
    assert "is late" not in edge.stderr


def failed(results: list[Result]) -> list[str]:
    return [result.error for result in results if result.error]


@pytest.mark.parametrize(
    ("everybody", "seconds"),
    [
        pytest.param(False, 8, id="control"),
        pytest.param(True, 8, id="all processes"),
        pytest.param(False, 60, marks=pytest.mark.soak, id="control for a minute"),
    ],
)
def test_an_absence_of_control_is_nobodys_silence(proxy: StartProxy, *, everybody: bool, seconds: float) -> None:
    """Control alone, or all processes (a paused container, a laptop's lid), stop for longer than a worker may be silent."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one")))))
        held = load.hold((HOST, edge.port()), "app.test", count=8)
        workers = wait_workers(edge, 2)
        control = psutil.Process(edge.process.pid)
        stand_still([control, *workers] if everybody else [control], seconds)
        unharmed(edge, workers)
        held.wait_messages(50)
        assert not failed(held.stop())
        assert end(edge) == 0


def test_the_others_accept_for_a_worker_whose_loop_does_not_turn(proxy: StartProxy) -> None:
    """After 5 s new connections find another worker; a change is live without it; when it turns it catches up and accepts."""
    with Load() as load:
        text = listener("PORT", route("app.test", load.backend("one")))
        edge = proxy(config(text))
        address = HOST, edge.port()
        held = load.hold(address, "app.test", count=8, pause=0.1)
        workers = wait_workers(edge, 2)
        stuck = holder(edge, address[1], held)
        stuck.suspend()
        stopped = time.monotonic()
        arriving = load.arrive(address, "app.test", clients=12)
        edge.wait_for_log(rf"worker is late, the others accept in its stead *pid={stuck.pid}\b", timeout=20)
        until(lambda: all(r.ended for r in arriving.results if r.began < stopped + 4), "what waited is served")
        results = arriving.stop()
        assert [result for result in results if result.ended - result.began > 2]  # some went to the stuck one's sockets
        assert not failed(results)
        assert not failed([load.once(address, "app.test") for _ in range(50)])
        since = edge.mark()
        apply(edge, config(text, listener("PORT_B", route("b.test", load.backend("two")))))
        assert not failed([load.once((HOST, edge.port("B")), "b.test") for _ in range(50)])
        stuck.resume()
        edge.wait_for_log(rf"worker is back, it accepts again *pid={stuck.pid}\b", timeout=20, since=since)
        until(
            lambda: _accepts(stuck, edge.port("B"), load),
            "the worker serves the listener that was added while it stood still",
        )
        assert edge.workers() == workers
        held.wait_messages(50)
        assert not failed(held.stop())
        assert end(edge) == 0


def _accepts(worker: psutil.Process, port: int, load: Load) -> bool:
    """Tell whether a worker holds connections of a listener, of which some are made."""
    held = load.hold((HOST, port), "b.test", count=16)
    held.wait_messages(16)
    found = bool(client_ports(worker, port))
    held.stop()
    return found


@pytest.mark.soak
def test_a_worker_that_hangs_for_good_writes_its_stacks_and_is_replaced(proxy: StartProxy) -> None:
    """Half a minute without a turn is the end: where it stood is in the log, and another serves in its place."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one")))))
        hung, _ = wait_workers(edge, 2)
        hung.suspend()
        edge.wait_for_log(rf"worker hangs, killing it *pid={hung.pid}\b", timeout=60)
        hung.resume()  # it was asked for its stacks before: now it can write them
        wait_gone(hung)
        edge.wait_for_log(rf"worker died, replacing it *how='was killed by SIGKILL' *pid={hung.pid}\b")
        assert "most recent call first" in edge.stderr
        wait_workers(edge, 2)
        assert end(edge, signal.SIGTERM) == 0
