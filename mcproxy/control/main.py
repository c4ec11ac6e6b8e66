"""The control process, from its first look at the file to its last worker's exit."""

import asyncio
import contextlib
import faulthandler
import gc
import os
import pwd
import resource
import signal
import time
from pathlib import Path

from mcproxy import __version__
from mcproxy.control.files import config_file
from mcproxy.control.files.assets import Assets
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.files.last_good_files import LastGood
from mcproxy.control.files.look import look
from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.parts import Parts, offered, survived
from mcproxy.control.reconcile import last_good as last_good_state
from mcproxy.control.reconcile.applier import seconds
from mcproxy.control.reconcile.current import AT_START
from mcproxy.control.reconcile.runtime_edits import RuntimeEdits
from mcproxy.control.restart.restarter import Restarter
from mcproxy.control.store.ledger import Mutation
from mcproxy.control.system import log
from mcproxy.control.system.lock import Lock
from mcproxy.control.system.notify import notify
from mcproxy.control.system.socket_store import Passed, passed_sockets
from mcproxy.control.workers.orphans import ControlSocket, OrphanedWorker
from mcproxy.control.workers.predecessor import Predecessor, predecessor
from mcproxy.control.workers.supervisor import Workers
from mcproxy.errors import ApplyError, ConfigError, McproxyError
from mcproxy.net import ipc
from mcproxy.net.process import held_signals, privileges

# What a file says is many objects that stay: at the usual 700 new ones the collector looks at them again and again while they
# are made, and takes a tenth of the time of a reload. Cycles, which it is for, are few here.
_GC_THRESHOLD = 50_000
_ANSWER_LIMIT = 2.0  # seconds for answers to callers of the admin API when another control has taken over


def serve(path: Path, *, last_good: bool = False, strict_tests: bool = False, managed: bool = False) -> int:
    """Serve a config file until a signal ends it; return the exit status.

    Args:
        path: the main file.
        last_good: if it is invalid, serve the last state that was live until it is mended.
        strict_tests: a test in it that fails makes it invalid; else it is told of, and the file served.
        managed: the service manager keeps the listening sockets, and what this control leaves behind.

    Raises:
        ConfigError: the file is invalid, and so is not served.
        ApplyError: it can't be made live, or there is no last good state.
        StoreError: the database is not for this version of mcproxy.
    """
    gc.set_threshold(_GC_THRESHOLD, 10, 10)
    gc.freeze()
    gc.enable()
    log.configure("info", "console")
    _raise_descriptor_limit()
    privileges.keep_from_children()
    earlier = predecessor()
    try:
        return _serve_file(path, earlier, last_good=last_good, strict_tests=strict_tests, managed=managed)
    except McproxyError as error:
        if earlier is not None:
            earlier.fail(str(error))
        raise


def _serve_file(path: Path, earlier: Predecessor | None, *, last_good: bool, strict_tests: bool, managed: bool) -> int:
    fleet = Fleet()
    try:
        loaded = config_file.load(path, last_good=LastGood(), documents=fleet.documents)
        if strict_tests:
            loaded.require_tests()
    except ConfigError as error:
        if not last_good:
            raise
        return asyncio.run(_serve(path, last_good_state.database_path(path), error, earlier, fleet, managed=managed))
    database = str(loaded.resolution.state.settings["database.path"])
    return asyncio.run(_serve(path, database, loaded, earlier, fleet, managed=managed))


async def _serve(
    path: Path, database: str, found: Loaded | ConfigError, earlier: Predecessor | None, fleet: Fleet, *, managed: bool
) -> int:
    """Serve what the file says, or instead of one that is invalid what was live last."""
    if earlier is not None:
        earlier.check({"database.path": database})
    lock = Lock(database, -1 if earlier is None else earlier.lock)
    edits = RuntimeEdits(Path(database), fleet=fleet)
    following = asyncio.get_running_loop().create_task(fleet.run())
    try:
        if isinstance(found, Loaded) and found.fleet is not None:
            found = await _newest(path, found, fleet, database)
        await (edits.open() if earlier is None else edits.open_copy())
        problems = found.problems if isinstance(found, ConfigError) else ()
        loaded = await last_good_state.load(path, edits.store) if isinstance(found, ConfigError) else found
        settings = loaded.resolution.state.settings
        if earlier is not None:
            earlier.check({name: str(settings[name]) for name in AT_START})
        log.configure(str(settings["log.level"]), str(settings["log.format"]))
        control_socket = ControlSocket(database, _worker_uid(loaded), None if earlier is None else earlier.control)
        control = Control(path, lock, control_socket, edits, earlier, managed=managed)
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
        following.cancel()
        await asyncio.wait({following})
        await edits.close()
        lock.release()


async def _newest(path: Path, loaded: Loaded, fleet: Fleet, database: str) -> Loaded:
    """Return what a node should run by what its fleet's store says, if that answers soon, else by what was known of it last."""
    fleet.configure(loaded.fleet, database)
    await fleet.first_look()
    known, wanted = loaded.document, fleet.wanted.document
    if wanted is None or (known is not None and known.version == wanted.version):
        return loaded
    try:
        return await look(config_file.load, path, last_good=LastGood(), documents=fleet.documents)
    except (ConfigError, ApplyError) as error:
        log.logger().error("the fleet's document is invalid on this node; what was known of it before is served")
        for problem in error.problems if isinstance(error, ConfigError) else (error,):
            log.tell(problem)
        return loaded


class Control:
    """Serves, with the parts that it puts together."""

    def __init__(
        self,
        path: Path,
        lock: Lock,
        control_socket: ControlSocket,
        edits: RuntimeEdits,
        predecessor: Predecessor | None = None,
        *,
        managed: bool = False,
    ) -> None:
        """Serve nothing yet; there may be a control that is to be replaced, and a service manager that keeps what is left."""
        self._managed = managed
        self._leaves = False
        self._path = path
        self._lock = lock
        self._socket = control_socket
        self._edits = edits
        self._predecessor = predecessor
        self._log = log.logger()
        self._ending = asyncio.Event()
        self._impatient = asyncio.Event()
        self._parts: Parts | None = None
        self._restarter: Restarter | None = None
        self._told_to_end = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, loaded: Loaded, problems: tuple[object, ...] = ()) -> None:
        """Take over from orphans or another control, if any, and make live what the file says, or is served because of ``problems``.

        Raises:
            ApplyError: it can't be made live.
        """
        generation = await self._edits.last_generation()
        earlier = self._predecessor
        orphans = await self._socket.orphans() if earlier is None and self._socket.expects_orphans else []
        user = str(loaded.resolution.state.settings["proxy.user"])
        left = survived(orphans) if earlier is None else offered(earlier)
        offer = None if earlier is None else earlier.offer
        passed = passed_sockets() if offer is None else Passed({}, offer.stored, offer.units)
        parts = self._parts = Parts(self._path, self._socket.path, user, self._edits, generation, left, passed)
        restarter = self._restarter = Restarter(parts, self._socket, self._lock, self._ending.set)
        parts.admin.restart = restarter.restart
        for orphan in orphans:
            parts.adopt(orphan)
        self._handle_signals(parts, restarter)
        if problems:
            for problem in problems:
                log.tell(problem)
            self._log.error("invalid configuration, serving the last good state", problems=len(problems))
        if earlier is None:
            parts.current.services += parts.services
            await parts.reconciler.start(loaded, problems=tuple(map(str, problems)))
        else:
            await self._replace(earlier, parts, loaded, problems)
        if orphans:
            self._log.info("took over from an earlier control", workers=[one.handover.pid for one in orphans])
        if orphans or earlier is not None:
            await parts.workers.retire_adopted(self._drain_seconds())
        self._socket.watch(self._on_late_orphan)
        if self._managed:
            parts.listeners.keep_with(parts.store)
        else:
            parts.store.keep({})
        state = parts.applier.state
        for addr in sorted(parts.store.units - state.listeners.keys()):
            self._log.warning("the service manager listens where no listener is; nobody accepts there", addr=addr)
        self._log.info(
            "serving",
            listeners=" ".join(state.listeners),
            routes=len(state.routes),
            workers=parts.workers.pids(),
            generation=parts.applier.generation,
            version=__version__,
            data_path=parts.applier.data_path.name,
        )
        notify("READY=1" if earlier is None else f"MAINPID={os.getpid()}\nREADY=1")
        if earlier is not None:
            earlier.dismiss(__version__, parts.applier.generation)

    async def _replace(self, earlier: Predecessor, parts: Parts, loaded: Loaded, problems: tuple[object, ...]) -> None:
        """Serve beside another control, then take over from it."""
        await parts.reconciler.start(loaded, problems=tuple(map(str, problems)))
        await parts.receive_workers(earlier)
        prepared = await parts.prepare_services()
        earlier.take()
        parts.workers.stay()
        with contextlib.suppress(OSError):  # who holds the lock is told in an error message alone
            self._lock.sign()
        await parts.current.keep(_restarted(earlier.offer))
        for change in prepared:
            await change.commit()
        parts.reconciler.wake()  # edits, files and database may have changed since they were read
        self._log.info("took over from an earlier control", version=earlier.offer.version)

    async def run(self) -> int:
        """Follow the file until a signal comes, or another control has taken over; then drain."""
        parts, restarter = self._parts, self._restarter
        assert parts is not None and restarter is not None  # noqa: S101, PT018 - start came before
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(parts.reconciler.run()), group.create_task(parts.workers.supervise())]
            services = (
                *(parts.watch, parts.health, parts.names, parts.guard, parts.tickets),
                *(parts.certificates, parts.shared, parts.presence, parts.driver, parts.settling),
            )
            tasks += [group.create_task(one.run()) for one in services]
            await self._ending.wait()
            await restarter.stop()
            parts.presence.handed_over = restarter.handed_over
            parts.resolver.close()
            for task in tasks:
                task.cancel()
        if restarter.handed_over:
            if self._told_to_end:
                restarter.pass_on_end()
            parts.events.publish("restart", "another control has taken over", parts.applier.generation)
            parts.events.end()
            await parts.admin_server.finish(_ANSWER_LIMIT)
            return 0
        await parts.changes.finish()
        parts.events.publish("shutdown", "stopping", parts.applier.generation)
        parts.events.end()
        await parts.admin_server.stop()
        limit = self._drain_seconds()
        self._log.info("draining", connections=sum(parts.counters.active().values()), limit_seconds=limit)
        notify("STOPPING=1")
        if self._managed:
            self._leaves = await parts.workers.leave(limit)
            self._log_totals(parts)
            return 0
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
        """Leave nothing behind, except for what another control has taken over."""
        if self._parts is None or self._restarter is None:
            return
        if self._restarter.handed_over:
            await self._parts.metrics_server.stop()
            self._socket.close()
            return
        if not self._leaves:
            await self._parts.workers.stop(0)
        await self._parts.current.stop_services()
        (self._socket.close if self._leaves else self._socket.remove)()

    async def give_up(self) -> None:
        """After a failed start: end the workers it began with, and leave an earlier control's to the next, or to itself."""
        if self._parts is not None:
            await self._parts.current.stop_services()
            self._parts.workers.release_adopted()
            if self._predecessor is None:
                await self._parts.workers.stop(0)
        (self._socket.close if self._socket.expects_orphans else self._socket.remove)()

    def _handle_signals(self, parts: Parts, restarter: Restarter) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_end)
        held_signals.handle(loop, signal.SIGHUP, parts.reconciler.wake)
        held_signals.handle(loop, signal.SIGUSR1, self._reopen_access_log)
        held_signals.handle(loop, signal.SIGUSR2, restarter.on_signal)
        faulthandler.register(signal.SIGQUIT)  # writes where all threads are to standard error, and goes on
        held_signals.let_go()

    def _on_end(self) -> None:
        self._told_to_end = True
        if self._restarter is not None and self._restarter.handed_over:
            self._restarter.pass_on_end()
        (self._impatient if self._ending.is_set() else self._ending).set()

    def _reopen_access_log(self) -> None:
        parts = self._parts
        if parts is None or parts.applier.assets is None:
            return
        reopening = asyncio.get_running_loop().create_task(self._reopened(parts.applier.assets, parts.workers))
        self._tasks.add(reopening)
        reopening.add_done_callback(self._tasks.discard)

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

    def _log_totals(self, parts: Parts) -> None:
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


def _restarted(offer: ipc.Offer) -> Mutation:
    """Return the restart for which a control was started, as the audit has it."""
    versions = f"mcproxy {offer.version} -> {__version__}"
    author, reason = offer.author, offer.reason
    return Mutation(
        time=time.time(), action="Restart", target=versions, author=author, verified=offer.verified, reason=reason
    )


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


def _raise_descriptor_limit() -> None:
    """Use as many descriptors as the system grants; workers inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
