"""One attack on one proxy: everything is started, the attack is played beside well-behaved clients, and measured."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import msgspec
import psutil

from tests.attacks.contestants import Contestant, Site
from tests.attacks.row import GOOD, H1_BACKEND, H2_BACKEND, LARGE, PAGE, TARGET, Row, Target
from tests.support.bystanders import Bystanders, Waits, percentile
from tests.support.certificates import Certificates
from tests.support.floods import h1_requests, h2_requests
from tests.support.hoses import EVERYTHING, Hose, closing_all, drive
from tests.support.hostile_site import start_nghttpd, start_page_server, start_passed
from tests.support.ports import free_port
from tests.support.processes import Process, Processes
from tests.support.proxy import ROOT

_LOOK = 0.02  # seconds between two looks at the processes
_WARM_UP = 0.5  # seconds
_BACK = 5.0  # seconds within which memory is to be given back


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


def play(row: Row, contestant: Contestant, seconds: float, certificates: Certificates) -> Outcome:
    """Play one row against one proxy.

    Raises:
        ProcessError: something could not be started; its text says what.
    """
    with TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Processes(folder) as processes, _serve(row, contestant, processes, folder, certificates) as (site, proxy):
            _warm_up(site)
            workers = _workers(contestant, proxy)
            with Bystanders(processes, site.l7, site.l4, row.beside, f"/bytes/{PAGE}") as others:
                watch = _Watch(workers)
                used, began = watch.cpu(), time.monotonic()
                with watch:
                    sent = row.play(Target(("127.0.0.1", site.l7), seconds))
                    cpu, lasted = watch.cpu() - used, time.monotonic() - began
                waits = others.leave()
            kept = _settle(watch)
            survived = {each.pid for each in workers} == {each.pid for each in _workers(contestant, proxy)}
            return _outcome(row, contestant, watch, kept, cpu, lasted, sent, waits, survived=survived)


def _warm_up(site: Site) -> None:
    """Use the proxy a little in both versions: what the first requests take once is no cost of an attack."""
    address = ("127.0.0.1", site.l7)
    path = f"/bytes/{PAGE}"
    requests = [(alpn, source) for alpn, source in (("h2", h2_requests), ("http/1.1", h1_requests)) for _ in range(10)]
    hoses = (Hose(address, GOOD, alpn, source(GOOD, path), reads=EVERYTHING, keep=0) for alpn, source in requests)
    with closing_all(hoses) as clients:
        drive(clients, _WARM_UP)


def _outcome(
    row: Row,
    contestant: Contestant,
    watch: _Watch,
    kept: int,
    cpu: float,
    lasted: float,
    sent: int,
    waits: Waits,
    *,
    survived: bool,
) -> Outcome:
    seen = (waits.kept, waits.new, waits.passed)
    return Outcome(
        row=row.name,
        contestant=contestant.name,
        grown=watch.peak - watch.before,
        kept=kept,
        cpu=cpu,
        seconds=lasted,
        sent=sent,
        p99=(percentile(seen[0], 0.99), percentile(seen[1], 0.99), percentile(seen[2], 0.99)),
        worst=waits.worst,
        failed=len(waits.failed),
        survived=survived,
    )


def _settle(watch: _Watch) -> int:
    """Return what is left of the memory that was taken, when no more comes back or the time for it is up."""
    until = time.monotonic() + _BACK
    while (left := watch.resident() - watch.before) > (watch.peak - watch.before) / 4 and time.monotonic() < until:
        time.sleep(_LOOK)
    return left


def _workers(contestant: Contestant, proxy: Process) -> list[psutil.Process]:
    members = [psutil.Process(proxy.pid), *proxy.descendants()]
    return contestant.workers(members)


@contextlib.contextmanager
def _serve(
    row: Row, contestant: Contestant, processes: Processes, folder: Path, certificates: Certificates
) -> Iterator[tuple[Site, Process]]:
    good = start_page_server(processes)
    if row.backend == H1_BACKEND:
        target = good
    elif row.backend == H2_BACKEND:
        target = start_nghttpd(processes, folder / "pages", sizes=(2, PAGE, LARGE))
    else:
        target = _start_hostile(processes, row.backend)
    leaf = certificates.server(GOOD, TARGET)
    h2 = row.backend.startswith("h2")
    ports = free_port(), free_port()
    site = Site(*ports, good, target, start_passed(processes), h2, leaf.certificate, leaf.key)
    home = folder / "proxy"
    home.mkdir()
    config = home / "config"
    config.write_text(contestant.config(site, home))
    proxy = processes.start(
        *contestant.command(config), folder=home, env={"PYTHONPATH": str(ROOT), "MCPROXY_CONFIG": ""}
    )
    for port in ports:
        proxy.wait_for_port("127.0.0.1", port, 20)
    yield site, proxy


def _start_hostile(processes: Processes, kind: str) -> int:
    backend = processes.start(
        *(sys.executable, "-m", "tests.attacks.hostile_backend", kind), env={"PYTHONPATH": str(ROOT)}, stdin=True
    )
    return int(backend.wait_for_line(r"^(\d+)$", 15)[1])
