"""A proxy and what it serves, on which attacks are played beside well-behaved clients, and measured."""

import contextlib
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import msgspec
import psutil

from tests.attacks.contestant import Contestant, Door, Site
from tests.attacks.row import GOOD, H1_BACKEND, H2_BACKEND, LARGE, PAGE, TARGET, Row, Target
from tests.support.bystanders import Bystanders, percentile
from tests.support.certificates import Certificates
from tests.support.floods import h1_requests, h2_requests
from tests.support.hoses import EVERYTHING, Hose, closing_all, drive
from tests.support.hostile_site import start_nghttpd, start_page_server, start_passed
from tests.support.http_clients import Address
from tests.support.ports import free_port
from tests.support.processes import Process, Processes
from tests.support.proxy import ROOT

_LOOK = 0.02  # seconds between two looks at the processes
_WARM_UP = 0.5  # seconds
BACK = 5.0
"""Seconds within which memory is to be given back."""


class Outcome(msgspec.Struct, frozen=True):
    """What an attack did to a proxy.

    Attributes:
        row, contestant: which one, to which one.
        grown: by how much its processes' memory has grown at most (bytes).
        kept: what of that was left some seconds after the attack (bytes).
        cpu: seconds of CPU time during the attack, that for the others included.
        seconds: how long it lasted.
        sent: bytes that the attackers sent.
        p99: seconds that others waited, all but a hundredth: on kept and on new connections, L7 and L4.
        worst: seconds that one of them waited at most.
        starved: seconds that the proxy could have run meanwhile and had no CPU for.
        failed: how many waits ended in an error.
        survived: whether the same processes serve on.
    """

    row: str
    contestant: str
    grown: int
    kept: int
    cpu: float
    seconds: float
    sent: int
    p99: tuple[float, float, float]
    worst: float
    starved: float
    failed: int
    survived: bool


class _Watch:
    """Looks at the memory of processes within a ``with`` block."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = processes
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.before = self.resident()
        self.peak = self.before

    def resident(self) -> int:
        """Return their memory now, that of processes that are gone as nothing."""
        total = 0
        for process in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def cpu(self) -> float:
        """Return the CPU time they have used, in seconds."""
        total = 0.0
        for process in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def starved(self) -> float:
        """Return how long they have waited for a CPU, in seconds: the one of them that has most; 0.0 if the kernel does not tell."""
        waited = [0.0]
        for process in self._processes:
            with contextlib.suppress(OSError):
                waited.append(int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9)
        return max(waited)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK):
            self.peak = max(self.peak, self.resident())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


class Stage:
    """One proxy that serves the backends of some rows; see `staged`."""

    def __init__(
        self, contestant: Contestant, processes: Processes, proxy: Process, site: Site, doors: Mapping[str, Door]
    ) -> None:
        """Take over what was started.

        Args:
            contestant: what kind of proxy it is.
            processes: starts the well-behaved clients, when they are needed.
            proxy: the program.
            site: what it serves.
            doors: where to find which backend behind `TARGET`.
        """
        self._contestant = contestant
        self._processes = processes
        self._proxy = proxy
        self._site = site
        self._doors = doors
        self._others: dict[tuple[int, str], Bystanders] = {}

    def play(self, row: Row, seconds: float, *, patience: float) -> Outcome:
        """Play a row for so many seconds, then wait for so many that memory comes back."""
        door = self._doors[row.backend]
        workers = self._workers()
        others = self._beside(row, door)
        watch = _Watch(workers)
        others.look()
        used, starved, began = watch.cpu(), watch.starved(), time.monotonic()
        with watch:
            sent = row.play(Target(("127.0.0.1", door.port), ("127.0.0.1", door.clear), seconds))
            cpu, lasted = watch.cpu() - used, time.monotonic() - began
        waits = others.look()
        starved = watch.starved() - starved
        kept = _settle(watch, patience)
        survived = {each.pid for each in workers} == {each.pid for each in self._workers()}
        return Outcome(
            row=row.name,
            contestant=self._contestant.name,
            grown=watch.peak - watch.before,
            kept=kept,
            cpu=cpu,
            seconds=lasted,
            sent=sent,
            p99=(percentile(waits.kept, 0.99), percentile(waits.new, 0.99), percentile(waits.passed, 0.99)),
            worst=waits.worst,
            starved=starved,
            failed=len(waits.failed),
            survived=survived,
        )

    def _beside(self, row: Row, door: Door) -> Bystanders:
        """Return those who are beside a row; all that are for `GOOD` are the same."""
        if row.beside == GOOD:
            door = next(iter(self._doors.values()))
        key = door.port, row.beside
        if key not in self._others:
            workers = [each.pid for each in self._workers()]
            path = f"/bytes/{PAGE}"
            self._others[key] = Bystanders(self._processes, door.port, self._site.l4, row.beside, path, workers)
        return self._others[key]

    def _workers(self) -> list[psutil.Process]:
        members = [psutil.Process(self._proxy.pid), *self._proxy.descendants()]
        return self._contestant.workers(members)


@contextlib.contextmanager
def staged(rows: Sequence[Row], contestant: Contestant, certificates: Certificates) -> Iterator[Stage]:
    """Start one proxy with the backends of some rows, use it a little, and end everything with the block.

    The rows give the proxy the same number of descriptors.

    Raises:
        ProcessError: something could not be started; its text says what.
    """
    leaf = certificates.server(GOOD, TARGET)
    with TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Processes(folder) as processes:
            good = start_page_server(processes)
            targets = _start_targets(processes, {row.backend for row in rows}, good, folder)
            doors = {
                kind: Door(free_port(), free_port(), port, kind.startswith("h2")) for kind, port in targets.items()
            }
            site = Site(list(doors.values()), free_port(), good, start_passed(processes), leaf.certificate, leaf.key)
            limited: list[str] = []
            if descriptors := rows[0].descriptors:
                site = msgspec.structs.replace(site, descriptors=descriptors)
                limited = ["prlimit", f"--nofile={descriptors}"]
            home = folder / "proxy"
            home.mkdir()
            config = home / "config"
            config.write_text(contestant.config(site, home))
            proxy = processes.start(
                *limited, *contestant.command(config), folder=home, env={"PYTHONPATH": str(ROOT), "MCPROXY_CONFIG": ""}
            )
            for port in [site.l4, *(door.port for door in site.doors)]:
                proxy.wait_for_port("127.0.0.1", port, 20)
            _warm_up(("127.0.0.1", site.doors[0].port))
            yield Stage(contestant, processes, proxy, site, doors)


def _start_targets(processes: Processes, kinds: Collection[str], good: int, folder: Path) -> dict[str, int]:
    """Return the port of each kind of backend."""
    targets: dict[str, int] = {}
    if H1_BACKEND in kinds:
        targets[H1_BACKEND] = good
    if H2_BACKEND in kinds:
        targets[H2_BACKEND] = start_nghttpd(processes, folder / "pages", sizes=(2, PAGE, LARGE))
    if hostile := sorted(set(kinds) - targets.keys()):
        ports = start_hostile(processes)
        targets.update((kind, ports[kind]) for kind in hostile)
    return targets


def start_hostile(processes: Processes) -> dict[str, int]:
    """Start all hostile backends, and return their ports by kind."""
    backend = processes.start(
        *(sys.executable, "-m", "tests.attacks.hostile_backend"), env={"PYTHONPATH": str(ROOT)}, stdin=True
    )
    return msgspec.json.decode(backend.wait_for_line(r"^\{.*\}$", 15)[0], type=dict[str, int])


def _warm_up(address: Address) -> None:
    """Use the proxy a little in both versions: what the first requests take once is no cost of an attack."""
    path = f"/bytes/{PAGE}"
    requests = [(alpn, source) for alpn, source in (("h2", h2_requests), ("http/1.1", h1_requests)) for _ in range(10)]
    hoses = (Hose(address, GOOD, alpn, source(GOOD, path), reads=EVERYTHING, keep=0) for alpn, source in requests)
    with closing_all(hoses) as clients:
        drive(clients, _WARM_UP)


def _settle(watch: _Watch, patience: float) -> int:
    """Return what is left of the memory that was taken, when no more comes back or the time for it is up."""
    until = time.monotonic() + patience
    while (left := watch.resident() - watch.before) > (watch.peak - watch.before) / 4 and time.monotonic() < until:
        time.sleep(_LOOK)
    return left
