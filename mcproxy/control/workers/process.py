"""Control's view of one worker process."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

import mcproxy
from mcproxy.control.system.log import logger
from mcproxy.control.workers.listeners import Group
from mcproxy.errors import ChannelError
from mcproxy.net import ipc
from mcproxy.net.process import held_signals
from mcproxy.net.sockets import memory_file, read_memory_file
from mcproxy.net.told import KeptRefusal, LiveConnection

_PACKAGE_PARENT = str(Path(mcproxy.__file__).resolve().parent.parent)


_Told = TypeVar("_Told", LiveConnection, KeptRefusal)
DescribedConnection: TypeAlias = tuple[int, LiveConnection]
"""A live connection, with the pid of the worker that has it."""


class Live(NamedTuple):
    """What every worker is to serve.

    Attributes:
        generation: of the snapshot.
        snapshot: descriptor of the encoded snapshot.
        countries: descriptor of the country database it names, -1 for none.
        files: descriptor of the other files it names, as MessagePack of contents by digest; -1 for none.
        access: descriptor of the access log, -1 for none.
        workers: how many workers share the listening sockets.
        groups: the listening sockets of every listener of the snapshot.
        native: descriptor of the native core, -1 for the Python data path.
    """

    generation: int
    snapshot: int
    countries: int
    files: int
    access: int
    workers: int
    groups: dict[str, Group]
    native: int = -1


class WorkerSettings(NamedTuple):
    """What all workers of a control have in common.

    Attributes:
        control_path: where they look for a new control when this one is gone.
        hash_seed: their PYTHONHASHSEED; rate limits add up only if it is the same.
        user: the user they drop to, "" for control's own.
        provisional: they do not outlive control until they are told to stay: workers of another one still serve.
    """

    control_path: str
    hash_seed: int
    user: str = ""
    provisional: bool = False


class Watcher(Protocol):
    """Who is told what happens to a worker."""

    def on_message(self, worker: "WorkerProcess", message: ipc.Message) -> None:
        """Handle a message of the worker."""

    def on_exit(self, worker: "WorkerProcess", how: str) -> None:
        """Handle the end of the process; ``how`` says it in words."""


class WorkerProcess:
    """A worker: started here, or adopted from an earlier control.

    Attributes:
        position: its share of the listening sockets.
        slot: of the counter block it counts in.
        pid: its process.
        generation: the one it has acknowledged last, 0 for none.
        offered: the one it was sent last, 0 for none.
        refusal: why it refused the generation it was sent last, "" if it did not.
        python: it was to use the native core, and can't.
        leaving: it drains and accepts no more.
        late: its loop does not turn, or it has not acknowledged in time; the others accept in its place.
        shares_memory: its loop's clock can be read in this control's shared memory.
        told: its last answer to `ask`: the number of the question, how many connections it has, and those it described.
        refusals: its last answer about refusals: the number of the question, what it has said, and those that it has found.
        followed: the routes that fail, as it was told last.
        challenged: the number of the challenges that it answers, 0 for none.
        started_at: when it was started or adopted (monotonic seconds).
    """

    def __init__(self, position: int, slot: int, pid: int, channel: socket.socket, watcher: Watcher) -> None:
        """Watch a running worker; `spawn` starts a new one."""
        self.position = position
        self.slot = slot
        self.pid = pid
        self.generation = 0
        self.offered = 0
        self.refusal = ""
        self.python = False
        self.leaving = False
        self.told: tuple[int, int, list[LiveConnection]] = (0, 0, [])
        self.refusals: tuple[int, ipc.ToldRefusals | None, list[KeptRefusal]] = (0, None, [])
        self.late = False
        self.followed: tuple[int, ...] = ()
        self.challenged = 0
        self.shares_memory = True
        self.started_at = time.monotonic()
        self._known: set[str] = set()
        self._room = asyncio.Event()
        self._serving = asyncio.Lock()  # the packets of one snapshot are not to be mixed with those of the next
        self._channel = channel
        self._child: subprocess.Popen[bytes] | None = None
        self._watcher = watcher
        self._loop = asyncio.get_running_loop()
        channel.setblocking(False)
        self._pidfd = os.pidfd_open(pid)  # also for workers that are no children; a reused pid can't be mistaken
        self.watch()

    @classmethod
    def spawn(cls, position: int, slot: int, settings: WorkerSettings, watcher: Watcher) -> "WorkerProcess":
        """Start a worker process; raises OSError when the system can't."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        path = os.pathsep.join(filter(None, (_PACKAGE_PARENT, os.environ.get("PYTHONPATH"))))
        # what the service manager hears is for control alone to say
        inherited = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        try:
            with held_signals.held_in_children():
                child = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "mcproxy.worker"),
                        *("--channel", str(theirs.fileno())),
                        *("--control", settings.control_path),
                        *("--user", settings.user),
                    ],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env={**inherited, "PYTHONPATH": path, "PYTHONHASHSEED": str(settings.hash_seed)},
                )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        worker = cls(position, slot, child.pid, ours, watcher)
        worker._child = child
        return worker

    async def start(
        self, memory: int, live: Live, challenges: tuple[int, bytes] = (0, b""), *, provisional: bool = False
    ) -> None:
        """Give a fresh worker its slot and what it is to serve.

        Args:
            memory: descriptor of the shared memory.
            live: what to serve.
            challenges: their number and what they are, as `challenge` takes them; a number of 0 stands for none.
            provisional: it is not to outlive control until `stay`.
        """
        self.offered = live.generation
        async with self._serving:
            await self._send(ipc.Start(self.slot, provisional), [(ipc.Descriptor("memory"), memory)])
            if challenges[0]:
                await self.challenge(*challenges)
            await self._serve(live)

    def serve(self, live: Live) -> Coroutine[Any, Any, None]:
        """Send a snapshot and the sockets that this worker does not have yet; the answer comes as a message.

        What it has said about another snapshot counts no more from this call on, not only when the work is awaited.
        """
        self.refusal = ""
        self.offered = live.generation
        return self._send_snapshot(live)

    async def _send_snapshot(self, live: Live) -> None:
        async with self._serving:
            await self._serve(live)

    async def _serve(self, live: Live) -> None:
        sockets = [
            (ipc.Descriptor("socket", addr, number), sock.fileno())
            for addr, group in live.groups.items()
            if addr not in self._known
            for number, sock in enumerate(group)
        ]
        for packet in ipc.in_packets(sockets):
            await self._send(ipc.Sockets(), packet)
        contents = [(ipc.Descriptor("snapshot"), live.snapshot)]
        if live.countries >= 0:
            contents.append((ipc.Descriptor("countries"), live.countries))
        if live.files >= 0:
            contents.append((ipc.Descriptor("files"), live.files))
        if live.access >= 0:
            contents.append((ipc.Descriptor("access"), live.access))
        if live.native >= 0:
            contents.append((ipc.Descriptor("native"), live.native))
        await self._send(ipc.Apply(live.generation, self.position, live.workers), contents)
        self._known = set(live.groups)

    async def stay(self) -> None:
        """Have a provisional worker outlive its control, as others do."""
        await self._send(ipc.Stay())

    async def ask(self, question: ipc.Ask | ipc.AskRefusals) -> None:
        """Have it tell its live connections, or what it has refused; the answer comes as a message."""
        await self._send(question)

    async def challenge(self, number: int, pending: bytes) -> None:
        """Have it answer other challenges of CAs: a `told.Pending` as MessagePack."""
        descriptor = memory_file("mcproxy-challenges", pending)
        try:
            await self._send(ipc.Challenges(number), [(ipc.Descriptor("challenges"), descriptor)])
        finally:
            os.close(descriptor)

    async def log_to(self, access: int) -> None:
        """Let it go on in the access log that was opened anew."""
        await self._send(ipc.AccessLog(), [(ipc.Descriptor("access"), access)])

    async def share(self, owners: Sequence[int]) -> None:
        """Tell it which worker serves whose share of the listening sockets, by position."""
        await self._send(ipc.Owners(tuple(owners)))

    def follow(self, failing: tuple[int, ...]) -> Coroutine[Any, Any, None]:
        """Tell it whose recovery is awaited."""
        self.followed = failing
        return self._send(ipc.Failing(failing))

    async def drain(self, seconds: float) -> None:
        """Tell it to accept no more and to exit when its connections have ended, after ``seconds`` at the latest."""
        await self._send(ipc.Drain(seconds))

    def watch(self) -> None:
        """Take note of what it says, and of its end."""
        self._loop.add_reader(self._pidfd, self._on_exit)
        self._loop.add_reader(self._channel.fileno(), self._on_readable)

    def look_away(self) -> int:
        """Leave what it says to another control, which gets a copy of the channel that is returned; `watch` ends that."""
        for fd in (self._pidfd, self._channel.fileno()):
            self._loop.remove_reader(fd)
        self._loop.remove_writer(self._channel.fileno())
        return self._channel.fileno()

    def release(self) -> None:
        """Watch it no more: a worker that finds its channel closed goes on and looks for the next control."""
        self.look_away()
        os.close(self._pidfd)
        self._pidfd = -1
        self._channel.close()
        self._room.set()  # whoever waits to send finds the channel closed

    def dump_stacks(self) -> None:
        """Have it write where its threads are to the log: it does so even when its loop does not turn."""
        self._signal(signal.SIGQUIT)

    def kill(self) -> None:
        """End the process at once; its exit is reported as any other."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):  # it has just gone; its exit is about to be reported
                signal.pidfd_send_signal(self._pidfd, number)

    async def _send(self, message: ipc.Message, descriptors: Sequence[tuple[ipc.Descriptor, int]] = ()) -> None:
        while self._channel.fileno() >= 0:
            try:
                ipc.send(self._channel, message, descriptors)
            except BlockingIOError:
                await self._writable()
            except OSError:
                return  # it is dying; its exit is reported by the pidfd
            else:
                return

    async def _writable(self) -> None:
        fd = self._channel.fileno()
        self._room.clear()
        self._loop.add_writer(fd, self._room.set)
        try:
            await self._room.wait()
        finally:
            if self._channel.fileno() >= 0:
                self._loop.remove_writer(fd)

    def _on_readable(self) -> None:
        while self._channel.fileno() >= 0:
            try:
                received = ipc.receive(self._channel)
            except BlockingIOError:
                return
            except ChannelError:
                self.kill()
                received = None
            if received is None:
                self._loop.remove_reader(self._channel.fileno())
                return
            message, descriptors = received
            match message:
                case ipc.Told():
                    self.told = (message.number, message.total, _listed(descriptors, LiveConnection))
                case ipc.ToldRefusals():
                    self.refusals = (message.number, message, _listed(descriptors, KeptRefusal))
                case ipc.Applied():
                    self.generation, self.python = message.generation, message.python
                case ipc.Refused() if message.generation == self.offered:  # else it concerns an older one
                    self.refusal = message.error
                case ipc.Challenged():
                    self.challenged = message.number
                case ipc.Leaving():
                    self.leaving = True
                case ipc.Unknown():
                    logger().info(
                        "a worker of another version says what is not known here", pid=self.pid, what=message.name
                    )
            for _, fd in descriptors:
                os.close(fd)
            self._watcher.on_message(self, message)

    def _on_exit(self) -> None:
        self._on_readable()  # what it said before it went still counts
        self.release()
        self._watcher.on_exit(self, self._how_it_ended())

    def _how_it_ended(self) -> str:
        if self._child is None:
            return "exited"  # only a parent learns how
        code = self._child.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"


def _listed(descriptors: Sequence[tuple[ipc.Descriptor, int]], kind: type[_Told]) -> list[_Told]:
    """Return what stands in the file that came with an answer; nothing if that makes no sense."""
    with contextlib.suppress(OSError, IndexError, msgspec.MsgspecError):
        return msgspec.msgpack.decode(read_memory_file(descriptors[0][1]), type=list[kind])  # type: ignore[valid-type]
    return []
