"""The receiving end of sd_notify: what a service manager hears from its service."""

import os
import socket
import threading
import time
from pathlib import Path


class NotifySocket:
    """A Unix datagram socket that collects ``VARIABLE=value`` lines in a thread, so that no sender ever blocks on it.

    Descriptors that come with ``FDSTORE=1`` are kept by their ``FDNAME`` until ``FDSTOREREMOVE=1`` comes with it.

    Attributes:
        path: for the service's ``NOTIFY_SOCKET``.
    """

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.path = path
        self._states: list[str] = []
        self._kept: list[tuple[str, int]] = []
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._receive, name="notify")
        self._thread.start()

    def states(self) -> list[str]:
        """Return all lines received so far, oldest first."""
        with self._changed:
            return list(self._states)

    def kept(self) -> list[tuple[str, int]]:
        """Return the descriptors that are kept, with their names."""
        with self._changed:
            return list(self._kept)

    def wait_for_count(self, state: str, count: int, timeout: float) -> None:
        """Wait until a line has arrived so often; raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._states.count(state) >= count, timeout):
                raise TimeoutError(f"{state} has not come {count} times: {self._states}")

    def wait_for(self, state: str, timeout: float) -> bool:
        """Return whether a line arrives within ``timeout`` seconds, or has arrived."""
        deadline = time.monotonic() + timeout
        with self._changed:
            return self._changed.wait_for(lambda: state in self._states, max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """End the thread and remove the socket; `states` stay. May be called again."""
        if self._socket.fileno() < 0:
            return
        self._socket.shutdown(socket.SHUT_RD)  # ends the thread's recv with an empty message
        self._thread.join()
        self._socket.close()
        self.path.unlink(missing_ok=True)
        for _, fd in self._kept:
            os.close(fd)
        self._kept.clear()

    def _receive(self) -> None:
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._socket, 65536, 253)
            if not message:
                return
            lines = message.decode(errors="replace").splitlines()
            with self._changed:
                self._states += lines
                self._store(lines, descriptors)
                self._changed.notify_all()

    def _store(self, lines: list[str], descriptors: list[int]) -> None:
        name = next((line.removeprefix("FDNAME=") for line in lines if line.startswith("FDNAME=")), "stored")
        if "FDSTORE=1" in lines:
            self._kept += [(name, fd) for fd in descriptors]
        else:
            gone = [fd for kept, fd in self._kept if kept == name and "FDSTOREREMOVE=1" in lines]
            for fd in (*descriptors, *gone):
                os.close(fd)
            self._kept = [(kept, fd) for kept, fd in self._kept if fd not in gone]
