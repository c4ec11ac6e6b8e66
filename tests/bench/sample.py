"""One round: the proxies of a load, each between a backend and a driver of its own, do their work in turns.

The turns are short, so that a moment in which the machine is slow strikes all of them: it may run at half its speed for
seconds. Only who has its turn is busy, and only what its processes use in it counts. Everything is started anew for
each round, so that no peer profits or suffers from what ran before: memory pools that an earlier load has filled, ports
in TIME_WAIT, connections not yet closed.
"""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import msgspec

from mcproxy.control.files.certificates import issue, make_ca
from tests.bench.loads import Load
from tests.bench.measure import cpu_ns
from tests.bench.peer import Peer, Processes, find
from tests.bench.processes import BenchError, Child
from tests.bench.site import Site

HOSTNAME = "app.example.com"
_START_SECONDS = 60.0
_WORK_SECONDS = 180.0
# Client connections a proxy must be able to hold; twice as many descriptors are its share.
_CONNECTIONS = 4_000


class Sample(msgspec.Struct, frozen=True):
    """What one peer needed for one load, once.

    Attributes:
        load: the load's name.
        peer: the peer's name.
        round: counted from 1; in one round the peers have taken turns.
        value: the data processes' cost, in the load's unit.
        control: the other processes' cost, in the load's unit.
        seconds: how long its turns took.
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


def take_round(
    load: Load, peers: Sequence[Peer], number: int, units: int, turns: int, cpus: Cpus
) -> dict[str, Sample | BenchError]:
    """Put each peer under ``units`` of ``load``, in ``turns`` parts, and return by name what that cost or why it failed."""
    outcome: dict[str, Sample | BenchError] = {}
    with contextlib.ExitStack() as stack:
        runs: dict[str, _Run] = {}
        for peer in peers:
            try:
                runs[peer.name] = stack.enter_context(_run(load, peer, units // turns, cpus))
            except BenchError as error:
                outcome[peer.name] = error
        for _ in range(turns):
            for name, run in list(runs.items()):
                try:
                    run.take_turn()
                except BenchError as error:
                    outcome[name] = error
                    del runs[name]
        for name, run in runs.items():
            outcome[name] = run.sample(number)
    return outcome


@contextlib.contextmanager
def _run(load: Load, peer: Peer, units: int, cpus: Cpus) -> Iterator["_Run"]:
    """Start a backend, the proxy and a driver that is ready for turns of ``units``; end them at last."""
    with (
        TemporaryDirectory(prefix="mcproxy-bench-") as name,
        Child(load.backend(), cpus=cpus.others, log=Path(name, "backend.log"), lines=True) as backend,
    ):
        folder = Path(name, "peer")
        folder.mkdir()
        site = _site(Path(name), int(backend.hear(_START_SECONDS)), rsa=load.rsa)
        config = folder / peer.config_name
        config.write_text(peer.config(site, folder))
        with Child(peer.command(config), cpus=cpus.proxy, log=Path(name, "proxy.log")) as proxy:
            _await_listening(proxy, site.listen)
            command = load.driver(site, units)
            with Child(command, cpus=cpus.others, log=Path(name, "driver.log"), lines=True) as driver:
                yield _Run(load, peer, units, driver=driver, proxy=proxy)


class _Run:
    """A proxy that has its turns, and what they have cost so far."""

    def __init__(self, load: Load, peer: Peer, units: int, *, driver: Child, proxy: Child) -> None:
        """Wait until the driver is ready; the proxy is found out about then."""
        self._load = load
        self._peer = peer
        self._units = units
        self._driver = driver
        self._proxy = proxy
        self._done = 0
        self._data = self._control = self._cpu = 0
        self._seconds = 0.0
        self._hear(_START_SECONDS)
        self._processes = peer.processes(proxy.members())
        if not self._processes.data:
            raise BenchError("the proxy answers, but none of its processes is known to move data")
        _settle(self._processes)

    def take_turn(self) -> None:
        """Have the driver do its units, and add up what that costs the proxy.

        Raises:
            BenchError: the proxy, the driver or the backend failed.
        """
        meter, processes = self._load.meter, self._processes
        data, control, cpu = meter(processes.data), meter(processes.control), cpu_ns(processes.data)
        start = time.monotonic()
        self._driver.say("go")
        self._hear(_WORK_SECONDS)
        self._seconds += time.monotonic() - start
        self._cpu += cpu_ns(processes.data) - cpu
        _settle(processes)
        self._data += meter(processes.data) - data
        self._control += meter(processes.control) - control
        self._done += self._units

    def sample(self, number: int) -> Sample:
        """Return what all turns have cost."""
        return Sample(
            load=self._load.name,
            peer=self._peer.name,
            round=number,
            value=self._data / self._done / self._load.scale,
            control=self._control / self._done / self._load.scale,
            seconds=self._seconds,
            busy=self._cpu / 1e9 / self._seconds,
        )

    def _hear(self, within: float) -> None:
        try:
            self._driver.hear(within)
        except BenchError as error:
            raise BenchError(f"{error}\nthe proxy's log: {self._proxy.said()}") from error


def _site(folder: Path, backend: int, *, rsa: bool) -> Site:
    """Return the site of a sample; its certificates are new and lie in ``folder``."""
    ca = make_ca("benchmark CA")
    leaf = issue(ca, [HOSTNAME])
    files = {"ca.crt": ca.certificate, "site.crt": leaf.certificate, "site.key": leaf.key}
    for file, content in files.items():
        (folder / file).write_bytes(content)
    certificate, key, issuer = (folder / file for file in ("site.crt", "site.key", "ca.crt"))
    if rsa:
        (folder / "ca.key").write_bytes(ca.key)
        names = ("-subj", f"/CN={HOSTNAME}", "-addext", f"subjectAltName=DNS:{HOSTNAME}", "-days", "2")
        made = ("-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate)
        by = ("-CA", issuer, "-CAkey", folder / "ca.key")
        subprocess.run([find("openssl"), "req", "-x509", *names, *made, *by], check=True, capture_output=True)
    return Site(HOSTNAME, _free_port(), backend, _CONNECTIONS, certificate, key, issuer)


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
