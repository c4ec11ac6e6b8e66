"""The receiving end of sd_notify: what a service manager hears from its service."""

import socket
import threading
import time
from pathlib import Path


class NotifySocket:
    """A Unix datagram socket that collects ``VARIABLE=value`` lines in a thread, so that no sender ever blocks on it.

    Attributes:
        path: for the service's ``NOTIFY_SOCKET``.
    """

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.path = path
        self._states: list[str] = []
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._receive, name="notify")
        self._thread.start()

    def states(self) -> list[str]:
        """Return all lines received so far, oldest first."""
        with self._changed:
            return list(self._states)

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

    def _receive(self) -> None:
        while message := self._socket.recv(65536):
            with self._changed:
                self._states += message.decode(errors="replace").splitlines()
                self._changed.notify_all()
