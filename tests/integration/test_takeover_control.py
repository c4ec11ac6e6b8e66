"""Control dies, its workers go on; a new control takes over from them without anybody noticing."""

import contextlib
import os
import signal
import socket
import sys
import time

import psutil
import pytest

from tests.conftest import StartProxy
from tests.support.lifecycle import apply, end, listening, totals, wait_gone, wait_workers
from tests.support.load import Load, until
from tests.support.processes import Process, Processes
from tests.support.proxy import ROOT, Proxy
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"


def launch(processes: Processes, edge: Proxy) -> Process:
    """Start another `mcproxy serve` on the proxy's file, and do not wait for it."""
    return processes.start(
        *(sys.executable, "-m", "mcproxy", "serve", "--config", edge.config),
        folder=edge.folder,
        env={"PYTHONPATH": str(ROOT)},
    )


def start_second(processes: Processes, edge: Proxy) -> tuple[int, str]:
    """Start another `mcproxy serve` on the proxy's file; return its exit status and what it says."""
    second = launch(processes, edge)
    status = second.wait()
    assert not second.descendants()
    return status, second.stderr


def listens(control: Process) -> bool:
    """Tell whether a control has opened its socket for survivors."""
    return any(".control" in str(one.laddr) for one in psutil.Process(control.pid).net_connections("unix"))


def serving(edge: Proxy) -> list[int]:
    """Return the workers that control has logged as its own."""
    return [int(pid) for pid in edge.wait_for_log(r"\] serving .*workers=\[(.*)\]")[1].split(", ")]


@pytest.mark.both_data_paths
@pytest.mark.soak
def test_a_restarted_control_takes_over_under_load(proxy: StartProxy) -> None:
    """Killed twice: new connections are served all the time, none is refused, open ones go on, all of them are counted.

    The second time the file changes while there is no control: what it says by then is served.
    """
    with Load() as load:
        one, two = load.backend("one"), load.backend("two")
        stays = listener("PORT_A", route("app.test", one))
        before = config(stays, listener("PORT_B", route("b.test", one)), shutdown_timeout="1m")
        added = listener("PORT_C", route("c.test", two))
        after = config(stays, added, workers=3, shutdown_timeout="1m")
        edge = proxy(before)
        address = HOST, edge.port("A")
        held = [load.hold(address, "app.test", count=4)]
        arriving = load.arrive(address, "app.test", clients=4)
        for text in (before, after):
            workers = edge.workers()
            edge.kill_control()
            arriving.wait_finished(100)
            held[0].wait_messages(50)
            edge.save(text)
            edge.start()
            edge.wait_for_log(r"took over from an earlier control")
            assert not {worker.pid for worker in workers} & set(serving(edge))
            held.append(load.hold(address, "app.test", count=2))
        assert len(serving(edge)) == 3
        assert load.once((HOST, edge.port("C")), "c.test").backend == "two"
        assert load.once((HOST, edge.port("B")), "b.test").error.startswith("ConnectionRefused")
        results = [result for traffic in (*held, arriving) for result in traffic.stop()]
        assert not [result for result in results if result.error]
        for worker in workers:
            wait_gone(worker)
        assert end(edge) == 0
        assert totals(edge)[f"{HOST}:{address[1]}"] == len(results)


@pytest.mark.both_data_paths
@pytest.mark.soak
def test_a_control_that_can_not_start_harms_nobody(proxy: StartProxy, processes: Processes) -> None:
    """Refused beside a living one, stopped by an invalid file or an address in use: exit 1, and the workers serve on."""
    with Load() as load, socket.create_server((HOST, 0)) as taken:
        backend = load.backend("one")
        # long enough for the connections of a route that goes for a moment: what is tested here is slow on a busy machine
        good = config(listener("PORT", route("app.test", backend)), shutdown_timeout="2m")
        edge = proxy(good)
        held = load.hold((HOST, edge.port()), "app.test", count=4)

        status, said = start_second(processes, edge)
        assert (status, said.count("\n")) == (1, 1)
        assert f"another mcproxy (pid {edge.pid}) serves with this database" in said
        apply(edge, good.replace("app.test", "other.test"))
        assert load.once((HOST, edge.port()), "other.test").backend == "one"
        apply(edge, good)

        edge.kill_control()
        edge.save(good + "[prox]\n")
        status, said = start_second(processes, edge)
        assert status == 1
        assert f"mc-proxy.toml:{good.count(chr(10)) + 1}:2: error: prox: unknown key" in said
        assert load.once((HOST, edge.port()), "app.test").backend == "one"

        edge.save(good + listener(f"{HOST}:{taken.getsockname()[1]}", route("b.test", backend)))
        status, said = start_second(processes, edge)
        assert status == 1
        assert "another process listens there" in said
        assert load.once((HOST, edge.port()), "app.test").backend == "one"

        edge.save(good)
        edge.start()
        edge.wait_for_log("took over from an earlier control")
        assert not [result for result in held.stop() if result.error]
        assert end(edge) == 0


def wait_serving(worker: psutil.Process) -> None:
    until(lambda: listening(worker) > 0, "the worker serves")


def serves_soon(worker: psutil.Process) -> bool:
    with contextlib.suppress(AssertionError):
        until(lambda: listening(worker) > 0, "the worker serves", timeout=2)
        return True
    return False


def wait_started(control: Process, workers: int) -> None:
    until(lambda: listens(control) and len(control.descendants()) >= workers, f"{workers} workers are started")


@pytest.mark.both_data_paths
@pytest.mark.soak
def test_a_control_that_is_killed_while_taking_over_is_no_loss(proxy: StartProxy, processes: Processes) -> None:
    """The new control is killed at several moments of its start; the one after it takes over from all who are left."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), shutdown_timeout="1m"))
        address = HOST, edge.port()
        held = load.hold(address, "app.test", count=4)
        arriving = load.arrive(address, "app.test")
        everyone = edge.workers()
        edge.kill_control()
        for workers in (0, 2):
            control = launch(processes, edge)
            # none: it waits for survivors; two: they have just been started, and may have served or not
            wait_started(control, workers)
            everyone += control.descendants()
            os.kill(control.pid, signal.SIGKILL)
            control.wait()
        edge.start()
        edge.wait_for_log("took over from an earlier control")
        assert not [result for result in (*held.stop(), *arriving.stop()) if result.error]
        for worker in everyone:
            wait_gone(worker)
        assert end(edge) == 0


def test_workers_that_drain_are_no_obstacle_to_a_takeover(proxy: StartProxy) -> None:
    """Workers that were told to leave hold no sockets any more, yet offer themselves: the serving one's sockets count."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), workers=1, shutdown_timeout="1m"))
        address = HOST, edge.port()
        held = []
        for leaving in range(1, 5):
            held.append(load.hold(address, "app.test"))
            edge.workers()[-1].terminate()
            wait_serving(wait_workers(edge, leaving + 1)[-1])
        edge.kill_control()
        edge.start()
        edge.wait_for_log("took over from an earlier control")
        assert load.once(address, "app.test").backend == "one"
        assert not [result for traffic in held for result in traffic.stop() if result.error]
        assert end(edge) == 0


def test_a_listener_that_only_some_workers_have_given_up_can_come_back(proxy: StartProxy) -> None:
    """Control dies when one worker has applied a removal and the others have not; the file then has it again."""
    with Load() as load:
        first, second = (listener(f"PORT_{name}", route("app.test", load.backend(name))) for name in ("A", "B"))
        edge = proxy(config(first, second))
        before = edge.workers()
        edge.save(config(first, workers=3))
        wait_workers(edge, 3)
        edge.signal(signal.SIGSTOP)  # it will not hear of the new worker's success
        (third,) = set(edge.workers()) - set(before)
        while not serves_soon(third):  # it was stopped before it had sent that worker all it needs
            edge.signal(signal.SIGCONT)
            time.sleep(0.01)
            edge.signal(signal.SIGSTOP)
        edge.kill_control()
        edge.save(config(first, second))
        edge.start()
        for name in ("A", "B"):
            assert load.once((HOST, edge.port(name)), "app.test").backend == name
        assert end(edge) == 0


def test_counts_go_on_when_a_worker_dies_between_two_controls(proxy: StartProxy) -> None:
    """What a worker had counted when it died without a control is kept, and what it had open is not open any more."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one")))))
        address = HOST, edge.port()
        held = load.hold(address, "app.test", count=8)
        done = [load.once(address, "app.test") for _ in range(10)]
        edge.kill_control()
        edge.workers()[0].kill()
        edge.start()
        done += [load.once(address, "app.test") for _ in range(10)]
        lost = [result for result in held.stop() if result.error]
        assert lost
        assert not [result for result in done if result.error]
        assert end(edge) == 0
        assert "] draining connections=0 " in edge.stderr
        assert totals(edge)[f"{HOST}:{address[1]}"] == 8 + 20


def test_a_worker_that_comes_late_keeps_its_own_counters(proxy: StartProxy) -> None:
    """A worker that was stopped during a takeover offers itself afterwards: it drains, and all counts stay exact."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one")))))
        address = HOST, edge.port()
        early = load.hold(address, "app.test", count=8)
        late = edge.workers()[1]
        edge.kill_control()
        late.suspend()
        edge.start()
        held = load.hold(address, "app.test", count=8)
        late.resume()
        edge.wait_for_log(rf"an earlier control's worker came late, draining it *pid={late.pid}\b")
        results = [*early.stop(), *(load.once(address, "app.test") for _ in range(10))]
        wait_gone(late)
        results += held.stop()
        assert not [result for result in results if result.error]
        assert end(edge) == 0
        assert "Traceback" not in edge.stderr
        assert totals(edge)[f"{HOST}:{address[1]}"] == len(results)


def test_a_new_route_does_not_inherit_the_counters_of_one_that_went_before(proxy: StartProxy) -> None:
    """After a takeover the place of a removed route's counters, with connections still open, goes to no other route."""
    with Load() as load:
        one, two = load.backend("one"), load.backend("two")
        edge = proxy(config(listener("PORT", route("app.test", one), route("old.test", one, on_remove="keep"))))
        address = HOST, edge.port()
        kept = load.hold(address, "old.test", count=3)
        apply(edge, config(listener("PORT", route("app.test", one))))
        edge.kill_control()
        edge.start()
        apply(edge, config(listener("PORT", route("app.test", one), route("new.test", one))))
        log = apply(edge, config(listener("PORT", route("app.test", one), route("new.test", two))))
        assert "new.test  endpoints" in log
        assert "live connection" not in log
        assert not [result for result in kept.stop() if result.error]
        assert end(edge) == 0
