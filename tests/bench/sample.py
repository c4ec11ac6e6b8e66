"""One sample: a fresh proxy between a fresh backend and a fresh driver, read before and after the work.

Everything is started anew for each sample, so that no peer profits or suffers from what ran before: memory pools that an
earlier load has filled, ports in TIME_WAIT, connections not yet closed.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import msgspec

from mcproxy.control.certs import issue, make_ca
from tests.bench.loads import Load
from tests.bench.measure import cpu_ns
from tests.bench.peer import Peer, Processes
from tests.bench.processes import BenchError, Child
from tests.bench.site import Site

HOSTNAME = "app.example.com"
_START_SECONDS = 20.0
_WORK_SECONDS = 180.0
# Client connections a proxy must be able to hold; twice as many descriptors are its share.
_CONNECTIONS = 4_000


class Sample(msgspec.Struct, frozen=True):
    """What one peer needed for one load, once.

    Attributes:
        load: the load's name.
        peer: the peer's name.
        round: counted from 1; samples of one round lie close together in time.
        value: the data processes' cost, in the load's unit.
        control: the other processes' cost, in the load's unit.
        seconds: how long the work took.
        busy: the data processes' CPU time over ``seconds``.
    """

    load: str
    peer: str
    round: int
    value: float
    control: float
    seconds: float
    busy: float


class Cpus(msgspec.Struct, frozen=True):
    """Where the proxy runs, and where its driver and backend do."""

    proxy: frozenset[int]
    others: frozenset[int]

    @classmethod
    def one(cls) -> Self:
        """Put all of them on the last CPU of this process's own.

        Wake-ups over CPUs cost more than the work they announce, and how many there are is the scheduler's whim; without
        them a figure repeats within a few per cent.
        """
        last = frozenset(sorted(os.sched_getaffinity(0))[-1:])
        return cls(proxy=last, others=last)

    @classmethod
    def split(cls) -> Self:
        """Give the proxy the last CPU alone and the others the rest, if there is more than one."""
        cpus = sorted(os.sched_getaffinity(0))
        return cls(proxy=frozenset(cpus[-1:]), others=frozenset(cpus[:-1] or cpus))

    @classmethod
    def free(cls) -> Self:
        """Leave the choice to the kernel."""
        cpus = frozenset(os.sched_getaffinity(0))
        return cls(proxy=cpus, others=cpus)


PLACEMENTS: dict[str, Callable[[], Cpus]] = {"one": Cpus.one, "split": Cpus.split, "free": Cpus.free}


def take_sample(load: Load, peer: Peer, number: int, units: int, cpus: Cpus) -> Sample:
    """Put ``peer`` under ``units`` of ``load`` and return what that cost.

    Raises:
        BenchError: the proxy, the driver or the backend failed.
    """
    with (
        TemporaryDirectory(prefix="mcproxy-bench-") as name,
        Child(load.backend(), cpus=cpus.others, log=Path(name, "backend.log"), lines=True) as backend,
    ):
        folder = Path(name, "peer")
        folder.mkdir()
        site = _site(Path(name), int(backend.hear(_START_SECONDS)))
        config = folder / peer.config_name
        config.write_text(peer.config(site, folder))
        with Child(peer.command(config), cpus=cpus.proxy, log=Path(name, "proxy.log")) as proxy:
            _await_listening(proxy, site.listen)
            command = load.driver(site, units)
            with Child(command, cpus=cpus.others, log=Path(name, "driver.log"), lines=True) as driver:
                try:
                    return _work(load, peer, number, units, driver=driver, proxy=proxy)
                except BenchError as error:
                    raise BenchError(f"{error}\nthe proxy's log: {proxy.said()}") from error


def _site(folder: Path, backend: int) -> Site:
    """Return the site of a sample; its certificates are new and lie in ``folder``."""
    ca = make_ca("benchmark CA")
    leaf = issue(ca, [HOSTNAME])
    files = {"ca.crt": ca.certificate, "site.crt": leaf.certificate, "site.key": leaf.key}
    for file, content in files.items():
        (folder / file).write_bytes(content)
    certificate, key, issuer = (folder / file for file in ("site.crt", "site.key", "ca.crt"))
    return Site(HOSTNAME, _free_port(), backend, _CONNECTIONS, certificate, key, issuer)


def _work(load: Load, peer: Peer, number: int, units: int, *, driver: Child, proxy: Child) -> Sample:
    driver.hear(_START_SECONDS)
    processes = peer.processes(proxy.members())
    if not processes.data:
        raise BenchError("the proxy answers, but none of its processes is known to move data")
    _settle(processes)
    data, control, cpu = load.meter(processes.data), load.meter(processes.control), cpu_ns(processes.data)
    start = time.monotonic()
    driver.say("go")
    driver.hear(_WORK_SECONDS)
    seconds = time.monotonic() - start
    busy = (cpu_ns(processes.data) - cpu) / 1e9 / seconds
    _settle(processes)
    return Sample(
        load=load.name,
        peer=peer.name,
        round=number,
        value=(load.meter(processes.data) - data) / units / load.scale,
        control=(load.meter(processes.control) - control) / units / load.scale,
        seconds=seconds,
        busy=busy,
    )


def _settle(processes: Processes) -> None:
    """Wait, at most a second, until the proxy has done what its last connections left to do."""
    before = cpu_ns(processes.data)
    for _ in range(50):
        time.sleep(0.02)
        now = cpu_ns(processes.data)
        if now - before < 200_000:
            return
        before = now


def _await_listening(proxy: Child, port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while proxy.running and time.monotonic() < deadline:
        proxy.members()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    what = "does not listen" if proxy.running else "ended at once"
    raise BenchError(f"{proxy.describe()} {what}: {proxy.said()}")


def _free_port() -> int:
    """Return a port that was free a moment ago; a peer that finds it taken ends, which fails the sample and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
