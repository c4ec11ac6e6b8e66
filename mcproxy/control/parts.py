"""The parts of control, put together: what exists from the start to the end of serving."""

import asyncio
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mcproxy import __version__
from mcproxy.control.admin.queries import Admin
from mcproxy.control.admin.server import AdminServer
from mcproxy.control.certificates.ordered import OrderedCertificates
from mcproxy.control.certificates.shared import SharedCertificates
from mcproxy.control.counters.counters import Counters
from mcproxy.control.fleet.facts import Gathering
from mcproxy.control.fleet.presence import Presence
from mcproxy.control.fleet.rollout import Driver
from mcproxy.control.guard.guard import Guard
from mcproxy.control.guard.trial import Trial
from mcproxy.control.guard.undoing import Undoing
from mcproxy.control.health.names import Names, answers_of
from mcproxy.control.health.probes.lookup import Lookup
from mcproxy.control.health.probes.probe import Prober
from mcproxy.control.health.watch import HealthWatch
from mcproxy.control.observe.metrics_server import MetricsServer
from mcproxy.control.observe.observer import Observer
from mcproxy.control.reconcile.applier import Applier
from mcproxy.control.reconcile.changes import ChangeHandler
from mcproxy.control.reconcile.current import AT_START, Current
from mcproxy.control.reconcile.events import Events
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.control.reconcile.route_watch import RouteWatch
from mcproxy.control.reconcile.runtime_edits import RuntimeEdits
from mcproxy.control.reconcile.services import PreparedService, Service
from mcproxy.control.reconcile.shared.settling import Settling
from mcproxy.control.reconcile.shared.standing import Standing
from mcproxy.control.system.socket_store import Passed, SocketStore
from mcproxy.control.workers.listeners import Group, Listeners
from mcproxy.control.workers.orphans import OrphanedWorker
from mcproxy.control.workers.predecessor import Predecessor
from mcproxy.control.workers.process import WorkerProcess, WorkerSettings
from mcproxy.control.workers.supervisor import Workers
from mcproxy.control.workers.ticket_secrets import TicketSecrets
from mcproxy.errors import ApplyError
from mcproxy.model.state.snapshot import decode
from mcproxy.model.state.state import EndpointKey
from mcproxy.net import ipc
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.resolver import Resolver
from mcproxy.net.sockets import read_memory_file

_PYTHONHASHSEED_LIMIT = 2**32


class Earlier(NamedTuple):
    """What is left of another control, or offered by it, for this one to go on with.

    Attributes:
        version: of its program.
        generation: that its workers serve.
        hash_seed: their PYTHONHASHSEED.
        memory: descriptor of their shared memory.
        snapshot: descriptor of what they serve.
        groups: listening sockets, from each who holds any.
        slots: those that it uses itself until it is replaced; None if it is gone.
        metrics: the listening socket of its metrics endpoint, by address.
        endpoints: the words of those that get no new connections, by upstream and address.
    """

    version: str
    generation: int
    hash_seed: int
    memory: int
    snapshot: int
    groups: Sequence[Mapping[str, Group]]
    slots: Sequence[int] | None
    metrics: Mapping[str, socket.socket]
    endpoints: Mapping[EndpointKey, int] = {}


def survived(orphans: Sequence[OrphanedWorker]) -> Earlier | None:
    """Return what a control has left that was killed; ``orphans`` are its workers, the newest generation first."""
    if not orphans:
        return None
    newest = orphans[0]
    told = newest.handover
    # sockets from each of them: one may be draining already, or be behind and hold what others have just given up
    groups = [orphan.groups for orphan in orphans]
    return Earlier(
        told.version, told.generation, told.hash_seed, newest.memory, newest.snapshot, groups, slots=None, metrics={}
    )


def offered(predecessor: Predecessor) -> Earlier:
    """Return what a control offers that is to be replaced."""
    told, memory, snapshot = predecessor.offer, predecessor.memory, predecessor.snapshot
    groups = [predecessor.groups]
    return Earlier(
        told.version,
        told.generation,
        told.hash_seed,
        memory,
        snapshot,
        groups,
        told.slots,
        predecessor.metrics,
        {(upstream, address): word for upstream, address, word in told.endpoints},
    )


class Parts:
    """All parts of a control, which may go on with those of an earlier one.

    Attributes:
        at_start: the settings that this control keeps as long as it runs, as it has found them at its start.
        hash_seed: the PYTHONHASHSEED of its workers: unknown to clients, and the same as that of surviving ones.
    """

    def __init__(
        self,
        path: Path,
        control_path: str,
        user: str,
        edits: RuntimeEdits,
        generation: int,
        earlier: Earlier | None,
        passed: Passed,
    ) -> None:
        """Put them together.

        Args:
            path: of the config file.
            control_path: where surviving workers find this control.
            user: whom workers run as, "" for whoever this is.
            edits: the runtime edits.
            generation: the newest in the history.
            earlier: what is left of another control, or offered by one.
            passed: what the service manager holds.
        """
        # another version may lay out the memory and the snapshot in another way: its sockets are what counts
        fits = earlier is not None and earlier.version == __version__ and SharedMemory.fits(earlier.memory)
        same = earlier if fits else None
        self.at_start = dict(zip(AT_START, (str(edits.path), user), strict=True))
        self.hash_seed = secrets.randbelow(_PYTHONHASHSEED_LIMIT) if earlier is None else earlier.hash_seed
        self.counters = Counters(SharedMemory.create() if same is None else SharedMemory(os.dup(same.memory)))
        self.tickets = TicketSecrets(self.counters.memory.ticket_secret())
        self.listeners = Listeners()
        self.events = Events()
        provisional = earlier is not None and earlier.slots is not None
        settings = WorkerSettings(control_path, self.hash_seed, user, provisional)
        self.workers = Workers(self.counters, settings, self._on_worker_event, self._on_failures)
        self._slots: Sequence[int] = () if same is None or same.slots is None else same.slots
        left = None if same is None else decode(read_memory_file(same.snapshot))
        if same is not None and left is not None:
            self.counters.seed(left, same.slots)
        if earlier is not None:
            generation = max(generation, earlier.generation)
            for groups in earlier.groups:
                self.listeners.adopt(groups)
        self.listeners.adopt(passed.groups)
        self.store = SocketStore(passed)
        self.applier = Applier(self.listeners, self.counters, self.workers, generation)
        self.current = Current(self.applier, self.counters, edits, self.events)
        self.resolver = Resolver(asyncio.get_running_loop())
        told = {} if earlier is None or same is not None else earlier.endpoints
        self.health = HealthWatch(self.counters, Prober(Lookup(self.resolver)), self._contents, self._on_endpoint, told)
        self.names = Names(self.current, self.resolver)
        self.applier.watcher = self.health
        if left is not None:
            self.applier.answers = answers_of(left)
        self.reconciler = Reconciler(path, self.current)
        self.watch = RouteWatch(self.current, self.workers)
        self.changes = ChangeHandler(self.current, self.reconciler)
        self.fleet = edits.shared.fleet
        trial = Trial(self.fleet, lambda: self.current.document, lambda: self.reconciler.last)
        undoing = Undoing(self.changes, self.reconciler)
        self.guard = Guard(self.current, undoing, self.health.facts, trial=trial)
        self.current.guard = self.guard
        self.shared = SharedCertificates(self.fleet, lambda: self.workers.challenges)
        self.certificates = OrderedCertificates(self.current, self.reconciler, self.workers, self.shared)
        orders = self.certificates.facts
        self.fleet.tell = self._on_fleet
        standing = Standing(self.current, self.reconciler, lambda: trial.report, lambda: self.shared.answered)
        self.presence = Presence(self.fleet, standing.record)
        self.driver = Driver(self.fleet)
        self.shared.poke = self.presence.poke
        self.fleet.heard += (self.presence.poke, self.driver.poke, self.shared.hear, self.certificates.hear)
        of_fleet = Gathering(self.fleet, self.presence, lambda: self.current.document).facts
        self.settling = Settling(self.current)
        observer = Observer(
            self.current, self.reconciler, self.workers, self.health, self.guard.facts, orders, of_fleet
        )
        self.admin = Admin(
            self.current,
            self.reconciler,
            self.changes,
            self.workers,
            observer.expiries,
            lambda: self.health.facts().endpoints,
            self.certificates,
            self.guard.facts,
            orders,
            of_fleet,
        )
        self.admin_server = AdminServer(self.admin)
        self.metrics_server = MetricsServer(observer, {} if earlier is None else earlier.metrics)
        self.services: list[Service] = [self.admin_server, self.metrics_server]

    def _on_worker_event(self, message: str) -> None:
        self.events.publish("worker", message, self.applier.generation)

    def _on_fleet(self, message: str) -> None:
        self.events.publish("fleet", message, self.applier.generation)

    def _on_endpoint(self, message: str) -> None:
        self.events.publish("endpoint", message, self.applier.generation)

    def _contents(self) -> Mapping[str, bytes]:
        return {} if self.applier.assets is None else self.applier.assets.contents()

    def _on_failures(self, report: ipc.Failures) -> None:
        self.watch.hear(report)

    def adopt(self, orphan: OrphanedWorker) -> None:
        """Watch a worker that an earlier control started."""
        handover = orphan.handover
        shared = orphan.memory >= 0 and os.path.sameopenfile(orphan.memory, self.counters.memory.fd)
        slot = self.counters.take_slot(handover.slot if shared else None)
        for fd in (orphan.memory, orphan.snapshot):
            if fd >= 0:
                os.close(fd)
        try:
            worker = WorkerProcess(-1, slot, handover.pid, orphan.channel, self.workers)
        except ProcessLookupError:  # it has ended since
            orphan.channel.close()
            self.counters.free_slot(slot)
            return
        except OSError as error:
            raise ApplyError(f"the worker {handover.pid} of an earlier control can't be watched: {error}") from error
        worker.generation = handover.generation
        worker.leaving = handover.leaving
        worker.shares_memory = shared
        self.workers.adopt(worker)

    async def prepare_services(self) -> list[PreparedService]:
        """Bind what control itself serves of the live state; return what is to be committed. Raises `ApplyError`."""
        found = [await service.prepare(self.applier.state) for service in self.services]
        self.current.services += self.services
        return [change for change in found if change is not None]

    async def receive_workers(self, predecessor: Predecessor) -> None:
        """Watch the workers of a control that is replaced, and look after their slots; raises `ApplyError`."""
        for orphan in await asyncio.to_thread(predecessor.receive_workers):
            self.adopt(orphan)
        self.counters.take_over(self._slots, [worker.slot for worker, _ in self.workers.members()])
