"""A worker process: `python -m mcproxy.worker --channel FD --control PATH`, started by control alone.

Exec'd fresh, it holds nothing but its end of the control channel until messages bring the shared memory, a snapshot
and listening sockets.
"""

import asyncio
import faulthandler
import gc
import importlib
import itertools
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from mcproxy import __version__, late_modules
from mcproxy.errors import ChannelError, McproxyError
from mcproxy.model.state import snapshot as snapshots
from mcproxy.net import ipc, log_stream
from mcproxy.net.loop.transports import Loop
from mcproxy.net.memory.shared_memory import PROCESS_LOOP_CLOCK, SharedMemory
from mcproxy.net.native.sources import digest_later
from mcproxy.net.process import held_signals, privileges
from mcproxy.net.sockets import memory_file, read_memory_file
from mcproxy.net.told import LiveConnection, Pending
from mcproxy.worker.assembly import Assembly, assemble, native_path
from mcproxy.worker.control_link import ControlLink
from mcproxy.worker.serving import Serving

LATE = (
    "maxminddb",
    "hashlib",
    "mcproxy.net.native.loading",
    "mcproxy.policy.cases.paths",
    "mcproxy.policy.filters.error_pages",
    "mcproxy.policy.filters.forward_auth",
    "mcproxy.policy.filters.scope",
    "mcproxy.worker.auth.forward",
    "mcproxy.worker.auth.guards",
    "mcproxy.worker.auth.hashing",
    "mcproxy.worker.challenges",
    "mcproxy.worker.http_assembly",
    "mcproxy.worker.live.balancer",
    "mcproxy.worker.live.cases",
    "mcproxy.worker.live.upstream",
    "mcproxy.worker.native.path",
    "mcproxy.worker.requests.passage",
    "urllib.parse",
)
"""What is imported when a snapshot needs it: few do, and all of it takes a tenth of a start."""
_TICK = 0.1  # seconds between looks at the deadlines
# Connections are freed by reference counts (their cycles are broken when they end), so the collector seldom helps.
_GC_THRESHOLD = 50_000
_log = logging.getLogger(__name__)


class Worker:
    """Handles the messages of control."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, channel: socket.socket, control_path: str, sources: Callable[[], str]
    ) -> None:
        """Serve nothing until control says so.

        Args:
            loop: the event loop.
            channel: to control.
            control_path: where the next control is found.
            sources: returns the digest of the C sources of this version: no other native core is used.
        """
        self._loop = loop
        self._sources = sources
        self._staged: dict[tuple[str, int], socket.socket] = {}
        self._memory: SharedMemory | None = None
        self._slot = 0
        self._assembly: Assembly | None = None
        self._serving: Serving | None = None
        self._snapshot_fd = -1
        self._draining = False
        self._provisional = False
        self._link = ControlLink(loop, self, channel, control_path)

    def on_message(self, message: ipc.Message, descriptors: Sequence[tuple[ipc.Descriptor, int]]) -> None:
        """Handle one message of control."""
        others: dict[str, int] = {}
        for what, fd in descriptors:
            if what.kind == "socket":
                self._staged[what.addr, what.index] = socket.socket(fileno=fd)
            else:
                others[what.kind] = fd
        match message:
            case ipc.Start():
                self._start(message, others["memory"])
            case ipc.Stay():
                self._provisional = False
            case ipc.Apply():
                self._apply(message, others)
            case ipc.AccessLog():
                self._log_to(others["access"])
            case ipc.Challenges():
                self._challenge(message, others["challenges"])
            case ipc.Owners():
                self._share(message.positions)
            case ipc.Drain():
                self._drain(message.seconds)
            case ipc.Failing():
                if self._assembly is not None and self._serving is not None:
                    self._assembly.frontend.errors.failing = frozenset(message.routes)
                    self._serving.note_wishes()
            case ipc.Ask():
                self._tell(message)
            case ipc.AskRefusals():
                self._tell_refusals(message)
            case _:  # sockets are staged above, the rest is not for workers, or of a newer control
                pass

    def handover(self) -> Sequence[tuple[ipc.Message, Sequence[tuple[ipc.Descriptor, int]]]]:
        """Introduce this worker and hand over copies of everything it holds."""
        if self._serving is None or self._memory is None:
            os._exit(1)  # control died before this worker served anything: there is nothing to survive for
        sockets = [
            (ipc.Descriptor("socket", addr, number), sock.fileno()) for addr, number, sock in self._serving.sockets()
        ]
        introduction = ipc.Handover(
            os.getpid(), self._slot, self._serving.generation, _hash_seed(), __version__, leaving=self._draining
        )
        own = [(ipc.Descriptor("memory"), self._memory.fd), (ipc.Descriptor("snapshot"), self._snapshot_fd)]
        return [*((ipc.Sockets(), packet) for packet in ipc.in_packets(sockets)), (introduction, own)]

    def on_orphaned(self) -> None:
        """Drain if control has ended before it had taken over from an earlier one, whose workers still serve."""
        if self._provisional:
            self.on_sigterm()

    def on_sigterm(self) -> None:
        """Drain when the operator asks this process alone; control starts a replacement."""
        if self._assembly is not None and self._serving is not None and self._serving.generation and not self._draining:
            self._drain(self._assembly.frontend.settings.timeouts.shutdown)
        else:
            self._loop.stop()

    def close(self) -> None:
        """Give back what the process holds."""
        if self._serving is not None:
            self._serving.expire()  # what the native core has counted and not told yet
        if self._assembly is not None:
            self._assembly.close()

    def _start(self, message: ipc.Start, memory_fd: int) -> None:
        self._slot = message.slot
        self._provisional = message.provisional
        self._memory = SharedMemory(memory_fd)
        self._memory.hold(message.slot, os.getpid())
        self._assembly = assembly = assemble(self._loop, self._memory, message.slot, self._on_idle, self._link.send)
        native = partial(native_path, self._loop, assembly.frontend, self._memory, message.slot, self._sources)
        self._serving = Serving(self._loop, assembly.frontend, assembly.upstreams, self._memory, message.slot, native)

    def _apply(self, message: ipc.Apply, descriptors: Mapping[str, int]) -> None:
        staged, self._staged = self._staged, {}
        snapshot_fd, access = descriptors["snapshot"], descriptors.get("access")
        countries, files, native = (descriptors.get(kind) for kind in ("countries", "files", "native"))
        try:
            if self._serving is None or self._assembly is None:
                raise ChannelError("a snapshot came before the start")
            snapshot = snapshots.decode(read_memory_file(snapshot_fd))
            contents = _contents(files)
            self._serving.apply(snapshot, staged, countries, contents, message.position, message.workers, native)
        except (McproxyError, msgspec.MsgspecError) as error:
            for sock in staged.values():
                sock.close()
            os.close(snapshot_fd)
            if access is not None:
                os.close(access)
            self._link.send(ipc.Refused(message.generation, str(error) or type(error).__name__))
            return
        finally:
            for fd in (countries, files, native):
                if fd is not None:
                    os.close(fd)
        if access is None:
            self._assembly.frontend.log.close()
        else:
            self._assembly.frontend.log.turn_to(access)
        self._serving.note_wishes()
        if self._snapshot_fd < 0:
            self._tick()
        else:
            os.close(self._snapshot_fd)
        self._snapshot_fd = snapshot_fd
        # What the snapshot brought stays until reference counts free it: no collection need look at it. Not collecting
        # before spares every reload the time it takes to look at all open connections.
        gc.freeze()
        self._link.send(ipc.Applied(snapshot.generation, self._serving.python))

    def _challenge(self, message: ipc.Challenges, fd: int) -> None:
        """Answer other challenges of CAs than before, and say so; where that can't be, the CA will say so, too."""
        try:
            pending = msgspec.msgpack.decode(read_memory_file(fd), type=Pending)
            if self._serving is not None:
                self._serving.answer(pending)
        except (McproxyError, msgspec.MsgspecError) as error:
            _log.error("the challenges of a CA can't be answered: %s", error)
        finally:
            os.close(fd)
        self._link.send(ipc.Challenged(message.number))

    def _tell(self, asked: ipc.Ask) -> None:
        """Describe the live connections, and close them if that is asked; as a file, since they don't fit into a message."""
        found: list[LiveConnection] = []
        total = 0
        if self._assembly is not None:
            now = self._assembly.frontend.poller.tick()
            for connection in self._assembly.frontend.registry.all():
                if not connection.belongs_to(asked.listener, asked.hostname):
                    continue
                described = connection.describe(now) if asked.client or total < asked.limit else None
                if described is not None and asked.client and not _is_of(described, asked.client):
                    continue
                total += 1
                if described is not None and total <= asked.limit:
                    found.append(described)
                if asked.close is None:
                    continue
                if asked.close:
                    connection.drain(now + asked.close)
                else:
                    connection.close("closed")
        self._answer(ipc.Told(asked.number, total), "connections", found)

    def _tell_refusals(self, asked: ipc.AskRefusals) -> None:
        """Tell the newest of what was refused to a client, or of a request."""
        if self._assembly is None:
            return
        kept = self._assembly.frontend.refusals
        found = list(itertools.islice(kept.find(asked.id, asked.client), asked.limit))
        self._answer(ipc.ToldRefusals(asked.number, len(kept), kept.goes_back(), kept.since), "refusals", found)

    def _answer(self, message: ipc.Told | ipc.ToldRefusals, kind: ipc.DescriptorKind, listed: object) -> None:
        """Answer control, with a list that does not fit into a message as a file."""
        try:
            fd = memory_file(f"mcproxy-{kind}", msgspec.msgpack.encode(listed))
        except OSError:
            return  # control waits no longer than it has to
        self._link.send(message, [(ipc.Descriptor(kind), fd)])
        os.close(fd)

    def _log_to(self, fd: int) -> None:
        """Go on in the access log that control has opened anew."""
        if self._assembly is not None and self._assembly.frontend.log.is_open:
            self._assembly.frontend.log.turn_to(fd)
        else:
            os.close(fd)

    def _share(self, owners: Sequence[int]) -> None:
        """Serve the listening sockets of workers whose loop does not turn, or leave them to those that turn again."""
        if self._serving is not None and not self._draining:
            self._serving.share(owners)

    def _tick(self) -> None:
        if self._assembly is not None:
            self._loop.call_later(_TICK, self._tick)  # first: an error below must not end all time limits
            tools = self._assembly.frontend
            now = tools.poller.tick()
            tools.counters[PROCESS_LOOP_CLOCK] = int(now * 1000)
            self._assembly.upstreams.write_counts()
            tools.deadlines.expire(now)
            if self._serving is not None:
                self._serving.expire()

    def _drain(self, seconds: float) -> None:
        self._draining = True
        if self._assembly is None or self._serving is None:
            self._loop.stop()
            return
        self._serving.stop_accepting()
        self._link.send(ipc.Leaving())
        tools = self._assembly.frontend
        limit = tools.poller.tick() + seconds
        for connection in tools.registry.all():
            connection.drain(limit)
        self._on_idle()

    def _on_idle(self) -> None:
        if self._draining and self._assembly is not None and self._assembly.frontend.registry.is_empty():
            self._loop.stop()


def _contents(files: int | None) -> dict[str, bytes]:
    """Return the contents by digest of the files that came with a snapshot."""
    return {} if files is None else msgspec.msgpack.decode(read_memory_file(files), type=dict[str, bytes])


def _hash_seed() -> int:
    """Return the PYTHONHASHSEED that control has given this worker."""
    return int(os.environ["PYTHONHASHSEED"])


class _Options(msgspec.Struct, forbid_unknown_fields=True):
    """The command line; control alone writes it, so it needs no help.

    Attributes:
        channel: descriptor of the channel to control.
        control: path of the socket where a new control listens.
        user: user to drop to; empty to stay.
    """

    channel: int
    control: str
    user: str = ""


def _options(arguments: Sequence[str]) -> _Options:
    """Read options, each with its value; without argparse, whose import is a hundredth of a worker's start."""
    given = zip(arguments[::2], arguments[1::2], strict=True)
    return msgspec.convert({name.removeprefix("--"): value for name, value in given}, _Options, strict=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a worker until control or a signal ends it."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    log_stream.install()
    logging.basicConfig(format=f"mcproxy worker {os.getpid()}: %(message)s")
    faulthandler.register(signal.SIGQUIT)  # also when the loop does not turn: control asks for it before it kills
    gc.set_threshold(_GC_THRESHOLD, 50, 50)
    gc.freeze()
    gc.enable()
    sources = digest_later()
    if options.user:
        # What this process may need of the package, or of others, is loaded while it may read it.
        for name in LATE:
            importlib.import_module(name)
        from mcproxy.worker.http_assembly import load_rest  # noqa: PLC0415 - see `LATE`

        load_rest()
        late_modules.load()
        sources = partial(str, sources())
        privileges.become(options.user)
    privileges.give_up()
    loop = Loop()
    asyncio.set_event_loop(loop)
    worker = Worker(loop, socket.socket(fileno=options.channel), options.control, sources)
    loop.add_signal_handler(signal.SIGTERM, worker.on_sigterm)
    # These reach whole process groups, from terminals and service managers; what they mean is for control to decide.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    held_signals.let_go()
    loop.run_forever()
    worker.close()
    os._exit(0)  # lookups may still hang in their threads; everything that matters is done


def _is_of(connection: LiveConnection, client: str) -> bool:
    """Tell whether a connection is one of a client, which is named with its port or without."""
    return client in (connection.client, connection.client.rpartition(":")[0].strip("[]"))
