"""A relay of the native core on a workbench, with the same handles as `RelayBench`."""

import os
import socket
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from mcproxy.net.native import records
from mcproxy.net.native.records import Record
from tests.support.core_bench import CoreBench, Lead
from tests.support.relay_bench import Family


class NativeRelayBench:
    """One relay between a client's socket, which is TCP, and a backend's.

    Attributes:
        bench: the core.
        client: the client's end.
        backend: the backend's end.
        ended: the record of its end, None before.
    """

    def __init__(self, *, family: Family = "tcp", buffer_size: int = 0) -> None:
        """Connect everything; ``buffer_size`` is SO_SNDBUF and SO_RCVBUF of all but the socket to the backend."""
        self._stack = ExitStack()
        self.bench = self._stack.enter_context(CoreBench())
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        listening = self.bench.backend(folder / "backend" if family == "unix" else None)
        for sock in (listening.sock, self.bench.listening) if buffer_size else ():
            set_buffers(sock, buffer_size)
        self.bench.lead([Lead("*", listening.address)], blind=True)
        self.bench.settings(tell=records.TELL_ENDED)
        self.client = self.bench.client()
        if buffer_size:
            set_buffers(self.client, buffer_size)
        self.backend = listening.accept()
        self.bench.until(self._is_joined)
        self.ended: Record | None = None
        [self._conn] = [each.conn for each in self.bench.core.listed()]

    @property
    def ends(self) -> list[OSError | None]:
        """What the end was told with, an item each time."""
        ended = [record for record in self.bench.told if record.kind == records.ENDED]
        return [OSError(record.error, os.strerror(record.error)) if record.error else None for record in ended]

    @property
    def client_first(self) -> bool:
        """Whether it was told that the client had ended first."""
        return bool(self._end().flags & records.CLIENT_FIRST)

    @property
    def late_reset(self) -> bool:
        """Whether the backend had closed, and reset what still came."""
        return bool(self._end().flags & records.LATE_RESET)

    def turn(self, times: int = 1) -> None:
        """Run the core."""
        for _ in range(times):
            self.bench.turn()

    def until_ended(self) -> None:
        """Run the core until the relay has ended."""
        self.bench.until(lambda: self.ends)

    def describe(self) -> Record | None:
        """Return what is told of the connection, None at its end."""
        return self.bench.core.describe(self._conn)

    def counted(self) -> tuple[int, int]:
        """Return the counters."""
        _, _, received, sent = self.bench.route()
        return received, sent

    def end(self) -> None:
        """Close it."""
        self.bench.core.close(self._conn, records.REASONS)
        self.bench.core.flush()
        self.bench.collect()

    def _end(self) -> Record:
        return next(record for record in self.bench.told if record.kind == records.ENDED)

    def _is_joined(self) -> bool:
        return any(each.stage == records.RELAY for each in self.bench.core.listed())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.backend.close()
        self._stack.close()


def set_buffers(sock: socket.socket, size: int) -> None:
    """Set the sizes of a socket's buffers."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def pipes_open() -> int:
    """Return how many ends of pipes this process has."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the folder's own, which is closed by now
            found += str(link.readlink()).startswith("pipe:")
    return found
