"""The control process, from its first look at the file to its last worker's exit."""

import asyncio
import contextlib
import faulthandler
import os
import pwd
import resource
import secrets
import signal
from pathlib import Path

from mcproxy import __version__
from mcproxy.control.admin.queries import Admin
from mcproxy.control.admin.server import AdminServer
from mcproxy.control.counters.counters import Counters
from mcproxy.control.files import config_file
from mcproxy.control.files.assets import Assets
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.files.last_good_files import LastGood
from mcproxy.control.files.look import look
from mcproxy.control.observe.metrics_server import MetricsServer
from mcproxy.control.observe.observer import Observer
from mcproxy.control.reconcile import last_good as last_good_state
from mcproxy.control.reconcile.applier import Applier, seconds
from mcproxy.control.reconcile.changes import ChangeHandler
from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.events import Events
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.control.reconcile.runtime_edits import RuntimeEdits
from mcproxy.control.system import log
from mcproxy.control.system.lock import Lock
from mcproxy.control.system.notify import notify
from mcproxy.control.workers.listeners import Listeners
from mcproxy.control.workers.orphans import ControlSocket, OrphanedWorker
from mcproxy.control.workers.process import WorkerProcess, WorkerSettings
from mcproxy.control.workers.supervisor import Workers
from mcproxy.errors import ApplyError, ConfigError
from mcproxy.model.state.snapshot import decode
from mcproxy.net import held_signals, privileges
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.sockets import read_memory_file

_PYTHONHASHSEED_LIMIT = 2**32


def serve(path: Path, *, last_good: bool = False) -> int:
    """Serve a config file until a signal ends it; return the exit status.

    Args:
        path: the main file.
        last_good: if it is invalid, serve the last state that was live until it is mended.

    Raises:
        ConfigError: the file is invalid, and so is not served.
        ApplyError: it can't be made live, or there is no last good state.
        StoreError: the database is not for this version of mcproxy.
    """
    log.configure("info", "console")
    _raise_descriptor_limit()
    privileges.keep_from_children()
    try:
        loaded = config_file.load(path, last_good=LastGood())
    except ConfigError as error:
        if not last_good:
            raise
        return asyncio.run(_serve(path, last_good_state.database_path(path), error))
    return asyncio.run(_serve(path, str(loaded.resolution.state.settings["database.path"]), loaded))


async def _serve(path: Path, database: str, found: Loaded | ConfigError) -> int:
    """Serve what the file says, or instead of one that is invalid what was live last."""
    lock = Lock(database)
    edits = RuntimeEdits(Path(database))
    try:
        await edits.open()
        problems = tuple(map(str, found.problems)) if isinstance(found, ConfigError) else ()
        loaded = await last_good_state.load(path, edits.store) if isinstance(found, ConfigError) else found
        settings = loaded.resolution.state.settings
        log.configure(str(settings["log.level"]), str(settings["log.format"]))
        control_socket = ControlSocket(database, _worker_uid(loaded))
        control = Control(path, control_socket, edits)
        try:
            await control.start(loaded, problems)
        except BaseException:
            await control.give_up()
            raise
        # Should an error of its own end the next step, the workers go on: they outlive a control that fails.
        status = await control.run()
        await control.stop()
        return status
    finally:
        held_signals.ignore()
        await edits.close()
        lock.release()


class Control:
    """Puts the parts together."""

    def __init__(self, path: Path, control_socket: ControlSocket, edits: RuntimeEdits) -> None:
        self._path = path
        self._socket = control_socket
        self._edits = edits
        self._log = log.logger()
        self._ending = asyncio.Event()
        self._impatient = asyncio.Event()
        self._parts: _Parts | None = None
        self._reopening: set[asyncio.Task[None]] = set()

    async def start(self, loaded: Loaded, problems: tuple[str, ...] = ()) -> None:
        """Take over from orphans, if any, and make the file live, or what is taken for it because of ``problems``.

        Raises:
            ApplyError: it can't be made live.
        """
        generation = await self._edits.last_generation()
        orphans = await self._socket.orphans() if self._socket.expects_orphans else []
        user = str(loaded.resolution.state.settings["proxy.user"])
        parts = self._parts = _Parts(self._path, self._socket.path, user, orphans, self._edits, generation)
        self._handle_signals()
        if problems:
            for problem in problems:
                self._log.error(log.relative(problem))
            self._log.error("invalid configuration, serving the last good state", problems=len(problems))
        await parts.reconciler.start(loaded, problems=problems)
        if orphans:
            self._log.info("took over from an earlier control", workers=[s.handover.pid for s in orphans])
            await parts.workers.retire_adopted(self._drain_seconds())
        self._socket.watch(self._on_late_orphan)
        state = parts.applier.state
        self._log.info(
            "serving",
            listeners=" ".join(state.listeners),
            routes=len(state.routes),
            workers=parts.workers.pids(),
            generation=parts.applier.generation,
            version=__version__,
        )
        notify("READY=1")

    async def run(self) -> int:
        """Follow the file until a signal comes; then drain."""
        parts = self._parts
        assert parts is not None  # noqa: S101 - start came before
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(parts.reconciler.run()), group.create_task(parts.workers.supervise())]
            await self._ending.wait()
            for task in tasks:
                task.cancel()
        await parts.changes.finish()
        parts.events.publish("shutdown", "stopping", parts.applier.generation)
        parts.events.end()
        await parts.admin_server.stop()
        limit = self._drain_seconds()
        self._log.info("draining", connections=sum(parts.counters.active().values()), limit_seconds=limit)
        notify("STOPPING=1")
        parts.listeners.release_others(())
        draining = asyncio.create_task(parts.workers.stop(limit))
        impatient = asyncio.create_task(self._impatient.wait())
        await asyncio.wait([draining, impatient], return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            self._log.warning("second signal, closing what is open")
            draining.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await draining
        impatient.cancel()
        self._log_totals(parts)
        return 0

    async def stop(self) -> None:
        """Leave nothing behind."""
        if self._parts is not None:
            await self._parts.workers.stop(0)
            await self._parts.current.stop_services()
        self._socket.remove()

    async def give_up(self) -> None:
        """After a failed start: end the workers it began with, and leave an earlier control's to the next."""
        if self._parts is not None:
            await self._parts.current.stop_services()
            self._parts.workers.release_adopted()
            await self._parts.workers.stop(0)
        (self._socket.close if self._socket.expects_orphans else self._socket.remove)()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_end)
        assert self._parts is not None  # noqa: S101 - made before
        held_signals.handle(loop, signal.SIGHUP, self._parts.reconciler.wake)
        held_signals.handle(loop, signal.SIGUSR1, self._reopen_access_log)
        held_signals.handle(
            loop, signal.SIGUSR2, lambda: self._log.warning("SIGUSR2 is ignored: it has no meaning yet")
        )
        faulthandler.register(signal.SIGQUIT)  # writes where all threads are to standard error, and goes on
        held_signals.let_go()

    def _on_end(self) -> None:
        (self._impatient if self._ending.is_set() else self._ending).set()

    def _reopen_access_log(self) -> None:
        parts = self._parts
        if parts is None or parts.applier.assets is None:
            return
        reopening = asyncio.get_running_loop().create_task(self._reopened(parts.applier.assets, parts.workers))
        self._reopening.add(reopening)
        reopening.add_done_callback(self._reopening.discard)

    async def _reopened(self, assets: Assets, workers: Workers) -> None:
        try:
            await look(assets.reopen_access_log)
        except ApplyError as error:
            self._log.error(f"{error}; it goes on where it is")
        else:
            workers.renew_access_log()
            self._log.info("the access log was opened anew")

    def _on_late_orphan(self, orphan: OrphanedWorker) -> None:
        """Drain a worker that hands over when its sockets have already been taken over from another."""
        assert self._parts is not None  # noqa: S101 - watched after the start
        orphan.close_sockets()
        self._parts.adopt(orphan)
        self._log.info("an earlier control's worker came late, draining it", pid=orphan.handover.pid)
        retiring = asyncio.ensure_future(self._parts.workers.retire_adopted(self._drain_seconds()))
        retiring.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _drain_seconds(self) -> float:
        assert self._parts is not None  # noqa: S101 - asked only while serving
        return seconds(self._parts.applier.state, "proxy.shutdown_timeout")

    def _log_totals(self, parts: "_Parts") -> None:
        totals = parts.counters.totals()
        refused, failed, broken_off = totals.ended("refused"), totals.ended("backend", "proxy"), totals.ended("client")
        for addr, listener in totals.listeners.items():
            ends = {"refused": refused[addr], "failed": failed[addr], "broken_off": broken_off[addr]}
            self._log.info(
                "totals",
                listener=addr,
                accepted=listener.accepted,
                **{name: counted or 0 for name, counted in ends.items()},
            )
        for (addr, hostname), blocked in parts.counters.policy_blocks().items():
            self._log.info("requests blocked by policy", listener=addr, route=hostname, **blocked)
        hits = parts.counters.limits_hit()
        if hits:
            self._log.info("limits hit", **hits)


class _Parts:
    """What exists from the start to the end of serving."""

    def __init__(
        self,
        path: Path,
        control_path: str,
        user: str,
        orphans: list[OrphanedWorker],
        edits: RuntimeEdits,
        generation: int,
    ) -> None:
        newest = orphans[0] if orphans else None
        # another version may lay out the memory and the snapshot in another way: its sockets are what counts
        adoptable = newest is not None and newest.handover.version == __version__ and SharedMemory.fits(newest.memory)
        same = newest if adoptable else None
        self.counters = Counters(SharedMemory.create() if same is None else SharedMemory(os.dup(same.memory)))
        self.listeners = Listeners()
        self.events = Events()
        self.workers = Workers(
            self.counters, WorkerSettings(control_path, _hash_seed(newest), user), self._on_worker_event
        )
        if same is not None:
            self.counters.seed(decode(read_memory_file(same.snapshot)))
        for orphan in orphans:
            # from each of them: one may be draining already, or be behind and hold what others have just given up
            self.listeners.adopt(orphan.groups)
            self.adopt(orphan)
        generation = max(generation, 0 if newest is None else newest.handover.generation)
        self.applier = Applier(self.listeners, self.counters, self.workers, generation)
        self.current = Current(self.applier, self.counters, edits, self.events)
        self.reconciler = Reconciler(path, self.current)
        self.changes = ChangeHandler(self.current, self.reconciler)
        self.admin_server = AdminServer(Admin(self.current, self.reconciler, self.changes, self.workers))
        endpoint = MetricsServer(Observer(self.current, self.reconciler, self.workers))
        self.current.services += [self.admin_server, endpoint]

    def _on_worker_event(self, message: str) -> None:
        self.events.publish("worker", message, self.applier.generation)

    def adopt(self, orphan: OrphanedWorker) -> None:
        """Watch a worker that an earlier control started."""
        handover = orphan.handover
        shared = os.path.sameopenfile(orphan.memory, self.counters.memory.fd)
        slot = self.counters.take_slot(handover.slot if shared else None)
        os.close(orphan.memory)
        os.close(orphan.snapshot)
        try:
            worker = WorkerProcess(-1, slot, handover.pid, orphan.channel, self.workers)
        except OSError as error:
            raise ApplyError(f"the worker {handover.pid} of an earlier control can't be watched: {error}") from error
        worker.generation = handover.generation
        worker.shares_memory = shared
        self.workers.adopt(worker)


def _worker_uid(loaded: Loaded) -> int:
    """Return whom workers run as; raises `ApplyError` if that user does not exist, or only root could switch to it."""
    user = str(loaded.resolution.state.settings["proxy.user"])
    if not user:
        return os.getuid()
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        raise ApplyError(f"proxy.user: there is no user {user} on this machine") from None
    if os.getuid() not in (0, uid):
        raise ApplyError(f"proxy.user: only root can start workers as {user}; leave the key out to stay as you are")
    return uid


def _hash_seed(orphan: OrphanedWorker | None) -> int:
    """Return the PYTHONHASHSEED of all workers: unknown to clients, and the same as that of surviving ones."""
    return secrets.randbelow(_PYTHONHASHSEED_LIMIT) if orphan is None else orphan.handover.hash_seed


def _raise_descriptor_limit() -> None:
    """Use as many descriptors as the system grants; workers inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
