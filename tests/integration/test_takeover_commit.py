"""Control dies at any moment of a reload; the next one always ends in what the file says."""

import os
import random
import signal
import time

import pytest

from tests.conftest import StartProxy
from tests.support.lifecycle import end, operations, totals
from tests.support.load import Load
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"
ROUNDS = 4
# From the save to the last acknowledgement a reload takes some 50 ms, a new worker included 300 ms.
LATEST = 0.25


@pytest.mark.soak
def test_a_control_that_is_killed_in_a_reload_leaves_no_mixture(proxy: StartProxy) -> None:
    """Routes, listeners and workers change, control is killed at random moments: the next one serves the file's state."""
    moments = random.Random(4)
    with Load() as load:
        ports = {name: load.backend(name) for name in ("stays", "even", "odd")}

        def text(number: int) -> str:
            name = ("even", "odd")[number % 2]
            return config(
                listener("PORT", route("stays.test", ports["stays"]), route(f"{name}.test", ports[name])),
                listener(f"PORT_{name.upper()}", route("app.test", ports[name])),
                workers=(2, 3, 1)[number % 3],
                shutdown_timeout="1m",
            )

        edge = proxy(text(0))
        main = HOST, edge.port()
        held = load.hold(main, "stays.test", count=4)
        arriving = load.arrive(main, "stays.test")
        for number in range(1, ROUNDS + 1):
            edge.save(text(number))
            time.sleep(moments.uniform(0, LATEST))  # the moment is what is drawn; none is waited for
            os.kill(edge.pid, signal.SIGKILL)
            edge.process.wait()
            edge.start()
            name, other = (("even", "odd"), ("odd", "even"))[number % 2]
            assert load.once(main, f"{name}.test").backend == name
            assert load.once(main, f"{other}.test").error.startswith("ConnectionReset")
            assert load.once((HOST, edge.port(name.upper())), "app.test").backend == name
            assert load.once((HOST, edge.port(other.upper())), "app.test").error.startswith("ConnectionRefused")
            since = edge.mark()
            edge.signal(signal.SIGHUP)
            edge.wait_for_log("read again: no changes", since=since)
            assert not operations(edge.stderr[since:])
        results = [*held.stop(), *arriving.stop()]
        assert not [result for result in results if result.error]
        assert end(edge) == 0
        # and the two connections that each round has opened on the same listener
        assert totals(edge)[f"{HOST}:{main[1]}"] == len(results) + 2 * ROUNDS
