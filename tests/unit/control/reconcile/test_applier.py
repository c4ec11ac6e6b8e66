"""A state that can't be made live leaves no trace."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcproxy.control.counters.counters import Counters
from mcproxy.control.files.assets import Assets
from mcproxy.control.reconcile.applier import Applier, worker_count
from mcproxy.control.workers.listeners import Listeners
from mcproxy.control.workers.process import Live, WorkerSettings
from mcproxy.control.workers.supervisor import Workers
from mcproxy.errors import ApplyError
from mcproxy.net.memory.shared_memory import SharedMemory
from tests.support.ports import free_port
from tests.support.toml import listener, route, state


class Crew(Workers):
    """Workers that take or refuse what they are told to serve."""

    def __init__(self, counters: Counters) -> None:
        super().__init__(counters, WorkerSettings("nowhere", 0))
        self.refuse = ""
        self.served: list[int] = []

    async def commit(self, live: Live, drain_seconds: float) -> None:
        if self.refuse:
            raise ApplyError(self.refuse)
        self.served.append(live.generation)


class Bench:
    def __init__(self) -> None:
        self.memory = SharedMemory.create()
        self.counters = Counters(self.memory)
        self.listeners = Listeners()
        self.crew = Crew(self.counters)
        self.applier = Applier(self.listeners, self.counters, self.crew)
        self.addrs = [f"127.0.0.1:{free_port()}" for _ in range(3)]

    def apply(self, *addrs: str) -> None:
        desired = state(*(listener(addr, route("app.test", 9000)) for addr in addrs))
        asyncio.run(self.applier.apply(desired, Assets(desired)))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.listeners.release_others(())
    made.memory.close()


def test_what_the_workers_refuse_is_undone(bench: Bench) -> None:
    """Sockets, indices, generation, descriptors and state are those from before; the next attempt succeeds."""
    one, two, three = bench.addrs
    bench.apply(one)
    state_before, indices = bench.applier.state, dict(bench.counters.listeners.items())
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    bench.crew.refuse = "a worker refused generation 2: no memory"
    with pytest.raises(ApplyError, match="no memory"):
        bench.apply(two, three)
    assert bench.applier.state is state_before
    assert bench.applier.generation == 1
    assert dict(bench.counters.listeners.items()) == indices
    assert set(bench.listeners.sizes()) == {one}
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    bench.crew.refuse = ""
    bench.apply(two)
    assert set(bench.listeners.sizes()) == {two}
    assert bench.crew.served == [1, 3], "a number that was refused may still be acknowledged late: it is not used again"


def test_an_address_in_use_reaches_no_worker(bench: Bench) -> None:
    """What can fail is tried first."""
    one, two, _ = bench.addrs
    bench.apply(one)
    host, port = two.split(":")
    with socket.create_server((host, int(port))), pytest.raises(ApplyError, match="another process listens there"):
        bench.apply(one, two)
    assert bench.crew.served == [1]


def test_no_number_of_workers_means_one_per_cpu() -> None:
    """Those that this process may use."""
    assert worker_count(state(workers=0)) == len(os.sched_getaffinity(0))
    assert worker_count(state(workers=7)) == 7
