"""What signals do, and what the service manager hears of it."""

import signal
import threading
import time

import pytest

from tests.conftest import StartProxy
from tests.support.lifecycle import apply, end
from tests.support.load import Load, until
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"
BOTH = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
def test_a_signal_drains_and_ends_with_0(proxy: StartProxy, number: signal.Signals) -> None:
    """Nothing new is accepted, what is open goes on to its end, and with the last connection the proxy ends with 0."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), shutdown_timeout="1m"))
        address = HOST, edge.port()
        held = load.hold(address, "app.test", count=6)
        edge.signal(number)
        edge.wait_for_log(r"draining *connections=6 limit_seconds=60")
        until(lambda: load.once(address, "app.test").error.startswith("ConnectionRefused"), "nothing new is accepted")
        held.wait_messages(100)
        assert edge.process.returncode is None
        assert not [result for result in held.stop() if result.error]
        assert edge.process.wait(20) == 0
        assert not edge.process.descendants()
        assert edge.notifications() == ["READY=1", "STOPPING=1"]


def test_connections_that_waited_to_be_accepted_are_served_in_a_drain(proxy: StartProxy) -> None:
    """Under load SIGTERM resets none of those that were connected before: what was in the queues is served."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one")))))
        arriving = load.arrive((HOST, edge.port()), "app.test", clients=8, pause=0)
        arriving.wait_finished(200)
        assert end(edge) == 0
        failed = [result.error for result in arriving.stop() if result.error]
        assert failed
        assert {error.partition(":")[0] for error in failed} <= {"ConnectionRefusedError", "ConnectionResetError"}
        # A connection that the kernel completes between the last accept and the close is reset; there are few.
        assert len([error for error in failed if "Reset" in error]) <= 8


def test_a_drain_ends_at_shutdown_timeout(proxy: StartProxy) -> None:
    """Connections that do not end by themselves are cut then, and the exit status is 0 all the same."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), shutdown_timeout="1s"))
        held = load.hold((HOST, edge.port()), "app.test", count=6)
        began = time.monotonic()
        assert end(edge) == 0
        results = held.stop()
        assert all(result.error for result in results)
        assert all(result.ended - began >= 1.0 for result in results)


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
def test_a_second_signal_ends_at_once(proxy: StartProxy, number: signal.Signals) -> None:
    """The drain may last an hour: a second signal cuts what is open, ends with 0 and leaves no process behind."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), shutdown_timeout="1h"))
        held = load.hold((HOST, edge.port()), "app.test", count=6)
        edge.signal(number)
        edge.wait_for_log("draining")
        held.wait_messages(20)
        assert end(edge, number) == 0
        assert all(result.error for result in held.stop())


def test_a_worker_that_hangs_does_not_hold_up_the_end(proxy: StartProxy) -> None:
    """A stopped worker can't drain: it is killed soon after shutdown_timeout."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), shutdown_timeout="1s"))
        edge.workers()[0].suspend()
        assert end(edge) == 0


def test_a_signal_in_a_reload_ends_in_order(proxy: StartProxy) -> None:
    """SIGTERM while workers are being started for a new generation: exit 0, nothing is left."""
    with Load() as load:
        text = listener("PORT", route("app.test", load.backend("one")))
        edge = proxy(config(text, workers=1))
        edge.save(config(text, workers=4))
        until(lambda: len(edge.workers()) >= 2, "the reload has begun")
        assert end(edge) == 0


def test_the_service_manager_hears_of_every_reload(proxy: StartProxy) -> None:
    """READY at the start, RELOADING with its time and READY for each reload, good or bad, STOPPING at the end."""
    with Load() as load:
        text = config(listener("PORT", route("app.test", load.backend("one"))))
        edge = proxy(text)
        apply(edge, text.replace("app.test", "b.test"))
        until(lambda: edge.notifications().count("READY=1") == 2, "the first reload is over")
        edge.save("nonsense")
        until(lambda: edge.notifications().count("READY=1") == 3, "the second reload is over")
        assert end(edge) == 0
        heard = edge.notifications()
        times = [int(state.partition("=")[2]) for state in heard if state.startswith("MONOTONIC_USEC=")]
        assert times == sorted(times)
        assert [state.partition("=")[0] for state in heard] == [
            "READY",
            *("RELOADING", "MONOTONIC_USEC", "READY") * 2,
            "STOPPING",
        ]


def test_hang_ups_that_come_all_at_once_are_one_reload_or_few(proxy: StartProxy) -> None:
    """Wake-ups carry nothing: many of them at once ask for one more look, not for as many."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), workers=1))
        senders = [threading.Thread(target=edge.signal, args=[signal.SIGHUP]) for _ in range(50)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        edge.wait_for_log("no changes")
        assert end(edge) == 0
        assert 1 <= edge.stderr.count("no changes") < 50
