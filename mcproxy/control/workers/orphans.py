"""Workers that outlived an earlier control, and the socket at which they handover what they hold.

The socket's file, `<database>.control`, is there while a control runs, and stays when one is killed. A new control
that finds it waits a second for the orphans; one that starts cleanly does not have to.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mcproxy.control.system.log import logger
from mcproxy.control.workers.listeners import Group
from mcproxy.errors import ChannelError
from mcproxy.net import ipc
from mcproxy.net.sockets import peer_credentials, short_path

_WAIT = 1.0  # seconds for handovers; workers try ten times a second
_PATIENCE = 1.0  # seconds that one handover may take


class OrphanedWorker(NamedTuple):
    """One worker's handover, its descriptors ours."""

    handover: ipc.Handover
    channel: socket.socket
    memory: int
    snapshot: int
    groups: dict[str, Group]

    def close_sockets(self) -> None:
        """Close the sockets handed over: others are served by now."""
        for sock in (sock for group in self.groups.values() for sock in group):
            sock.close()


class ControlSocket:
    """Where surviving workers find a new control.

    Attributes:
        path: of the socket.
        expects_orphans: an earlier control was killed, and its workers may have survived.
    """

    def __init__(self, database: str, worker_uid: int, inherited: socket.socket | None = None) -> None:
        """Listen beside ``database``, under the lock; only processes of ``worker_uid``, ours or root are heard.

        Args:
            database: its path.
            worker_uid: whom workers run as.
            inherited: the socket of a control that is to be replaced.

        Raises:
            OSError: the socket can't be made.
        """
        self.path = f"{database}.control"
        self._accept: Callable[[], None] | None = None
        self._uids = {0, os.getuid(), worker_uid}
        if inherited is not None:
            self.expects_orphans = True
            self._socket = inherited
            self._socket.setblocking(False)
            return
        self.expects_orphans = Path(self.path).exists()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        fresh = f"{self.path}.new"
        with contextlib.suppress(FileNotFoundError):
            Path(fresh).unlink()
        with short_path(fresh) as path:
            self._socket.bind(path)
            if worker_uid != os.getuid():
                os.chown(path, worker_uid, -1)
        self._socket.listen(128)
        Path(fresh).replace(self.path)  # so that the file is there at any moment, should this control be killed
        self._socket.setblocking(False)

    async def orphans(self) -> list[OrphanedWorker]:
        """Wait a second for handovers; return them, the newest generation first."""
        found: list[OrphanedWorker] = []
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT):
                while True:
                    channel, _ = await loop.sock_accept(self._socket)
                    orphan = await loop.run_in_executor(None, self._receive, channel)
                    if orphan is not None:
                        found.append(orphan)
        return sorted(found, key=lambda orphan: orphan.handover.generation, reverse=True)

    def watch(self, on_orphan: Callable[[OrphanedWorker], None]) -> None:
        """Go on listening, for workers that come late."""

        def accept() -> None:
            with contextlib.suppress(BlockingIOError):
                channel, _ = self._socket.accept()
                orphan = self._receive(channel)
                if orphan is not None:
                    on_orphan(orphan)

        self._accept = accept
        self.watch_again()

    def watch_again(self) -> None:
        """Go on after `look_away`."""
        if self._accept is not None:
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._accept)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def look_away(self) -> None:
        """Leave workers that come to another control which listens at the same socket; `watch_again` ends that."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def close(self) -> None:
        """Hear of no more handovers; the file stays for the next control to know that there are orphans."""
        self.look_away()
        self._socket.close()

    def remove(self) -> None:
        """Close, and remove the file: this control ends in an orderly way and leaves no orphans."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            Path(self.path).unlink()

    def _receive(self, channel: socket.socket) -> OrphanedWorker | None:
        _, uid = peer_credentials(channel)
        if uid not in self._uids:
            logger().warning("refused a connection of another user to the control socket", uid=uid)
            channel.close()
            return None
        channel.settimeout(_PATIENCE)
        held: list[tuple[ipc.Descriptor, int]] = []
        try:
            return self._read_handover(channel, held)
        except (ChannelError, OSError) as error:
            logger().warning("a worker's handover was refused", error=str(error))
            for _, fd in held:
                os.close(fd)
            channel.close()
            return None

    def _read_handover(self, channel: socket.socket, held: list[tuple[ipc.Descriptor, int]]) -> OrphanedWorker:
        while True:
            received = ipc.receive(channel)
            if received is None:
                raise ChannelError("it ended before the handover was complete")
            message, descriptors = received
            held += descriptors
            if isinstance(message, ipc.Handover):
                break
        by_kind = {what.kind: fd for what, fd in held}
        if "memory" not in by_kind or "snapshot" not in by_kind:
            raise ChannelError("the handover lacks the shared memory or the snapshot")
        return OrphanedWorker(message, channel, by_kind["memory"], by_kind["snapshot"], groups_of(held))


def groups_of(held: Sequence[tuple[ipc.Descriptor, int]]) -> dict[str, Group]:
    """Return the listening sockets among descriptors, by the address of their listener."""
    groups: dict[str, list[socket.socket]] = {}
    for what, fd in sorted(held, key=lambda item: item[0].index):
        if what.kind == "socket":
            groups.setdefault(what.addr, []).append(socket.socket(fileno=fd))
    return dict(groups)
