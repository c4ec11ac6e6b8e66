"""A state that can't be made live leaves no trace."""

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mcproxy.control.files.assets import Assets
from mcproxy.control.reconcile import applier as module
from mcproxy.control.reconcile.applier import worker_count
from mcproxy.errors import ApplyError
from mcproxy.model.state.state import Upstream, UpstreamEndpoint
from mcproxy.policy.upstreams.maglev import build
from tests.support.descriptors import open_descriptors
from tests.support.ports import free_port
from tests.support.reconcile import Control
from tests.support.toml import listener, route, state


class Bench(Control):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.addrs = [f"127.0.0.1:{free_port()}" for _ in range(3)]

    def apply(self, *addrs: str, max_connections: int = 0) -> None:
        desired = state(*(listener(addr, route("app.test", 9000)) for addr in addrs))
        listeners = {
            addr: msgspec.structs.replace(one, max_connections=max_connections)
            for addr, one in desired.listeners.items()
        }
        desired = msgspec.structs.replace(desired, listeners=listeners)
        asyncio.run(self.applier.apply(desired, Assets(desired)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "mc-proxy.toml")
    yield made
    asyncio.run(made.close())


def test_what_the_workers_refuse_is_undone(bench: Bench) -> None:
    """Sockets, indices, generation, descriptors and state are those from before; the next attempt succeeds."""
    one, two, three = bench.addrs
    bench.apply(one)
    state_before, indices = bench.applier.state, dict(bench.counters.listeners.items())
    descriptors = open_descriptors()
    bench.workers.refuse = "a worker refused generation 2: no memory"
    with pytest.raises(ApplyError, match="no memory"):
        bench.apply(two, three)
    assert bench.applier.state is state_before
    assert bench.applier.generation == 1
    assert dict(bench.counters.listeners.items()) == indices
    assert set(bench.listeners.sizes()) == {one}
    assert open_descriptors() <= descriptors
    bench.workers.refuse = ""
    bench.apply(two)
    assert set(bench.listeners.sizes()) == {two}
    assert bench.workers.served == [1, 3], (
        "a number that was refused may still be acknowledged late: it is not used again"
    )


def test_connection_limits_are_set_back_after_a_refusal(bench: Bench) -> None:
    """They count as soon as they are written, before the workers have answered: also those of a refused state."""
    one, two, _ = bench.addrs
    bench.apply(one, max_connections=5)
    limits: list[int] = []
    bench.workers.on_commit = lambda: limits.append(bench.limit(one))
    bench.workers.refuse = "no memory"
    with pytest.raises(ApplyError, match="no memory"):
        bench.apply(one, two, max_connections=9)
    assert limits == [9]
    assert bench.limit(one) == 5
    bench.workers.refuse = ""
    bench.apply(one, max_connections=9)
    assert bench.limit(one) == 9


def test_a_snapshot_that_can_not_be_stored_is_an_error_of_the_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is short; what is live stays."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    one, two, _ = bench.addrs
    bench.apply(one)
    monkeypatch.setattr(module, "memory_file", full)
    with pytest.raises(ApplyError, match="the snapshot can't be stored: Cannot allocate memory"):
        bench.apply(one, two)
    assert set(bench.listeners.sizes()) == {one}
    assert bench.workers.served == [1]


def test_contents_that_are_not_live_any_more_are_closed(bench: Bench, tmp_path: Path) -> None:
    """Workers hold their own descriptors; those that stay live stay open."""
    before = open_descriptors()
    desired = state(listener(bench.addrs[0], route("app.test", 9000)))
    desired.settings["log.access"] = str(tmp_path / "access.log")
    first, second = Assets(desired), Assets(desired)
    for assets in (first, first, second):
        asyncio.run(bench.applier.apply(desired, assets))
        assert assets.access >= 0
    assert first.access == -1
    sockets = len(bench.listeners[bench.addrs[0]])
    core = bench.applier.data_path.library >= 0
    assert open_descriptors() - before == 2 + sockets + core, (
        "the snapshot, the access log, the sockets, the native core"
    )


def test_an_address_in_use_reaches_no_worker(bench: Bench) -> None:
    """What can fail is tried first."""
    one, two, _ = bench.addrs
    bench.apply(one)
    host, port = two.split(":")
    with socket.create_server((host, int(port))), pytest.raises(ApplyError, match="another process listens there"):
        bench.apply(one, two)
    assert bench.workers.served == [1]


def test_no_number_of_workers_means_one_per_cpu() -> None:
    """Those that this process may use."""
    assert worker_count(state(workers=0)) == len(os.sched_getaffinity(0))
    assert worker_count(state(workers=7)) == 7


def test_workers_get_the_table_of_an_upstream_that_needs_one(bench: Bench) -> None:
    """It takes a while to build, so they do not do it themselves."""
    desired = state(listener(bench.addrs[0], route("app.test", 9000)))
    endpoints = {
        (name, address): UpstreamEndpoint(upstream=name, address=address)
        for name in ("hashed", "turns")
        for address in ("10.0.0.1:80", "10.0.0.2:80")
    }
    upstreams = {"hashed": Upstream(name="hashed", balance="source_hash"), "turns": Upstream(name="turns")}
    desired = msgspec.structs.replace(desired, upstreams=upstreams, endpoints=endpoints)
    asyncio.run(bench.applier.apply(desired, Assets(desired)))
    tables = {entry.name: entry.maglev for entry in bench.applier.upstreams}
    assert tables == {"hashed": build((("10.0.0.1:80", 1), ("10.0.0.2:80", 1))), "turns": b""}
