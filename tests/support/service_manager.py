"""What systemd does for a service, where none runs: it hears of it, keeps its descriptors, and passes them to the next start.

As a program, `python -m tests.support.service_manager SOCKET PROGRAM ...`, it becomes PROGRAM with the descriptors that it receives
at a Unix socket, as sd_listen_fds(3) describes.
"""

import fcntl
import os
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.notify import NotifySocket
from tests.support.processes import Process, Processes
from tests.support.proxy import ROOT

_FIRST = 3
_MOST = 253  # descriptors in a message


class ServiceManager:
    """Starts a service again and again, and keeps between two starts what it was given to keep.

    Attributes:
        told: what the service has said.
        run: the service as started last.
    """

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._folder = folder
        self.told = NotifySocket(folder / "notify")
        self.run: Process | None = None

    def start(self, *command: str) -> Process:
        """Start the service with all that is kept, and wait until it is ready."""
        before = self.told.states().count("READY=1")
        kept = self.told.kept()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = self._folder / f"pass-{before}"
        with listening:
            listening.bind(str(path))
            listening.listen()
            run = self.run = self._processes.start(
                *(sys.executable, "-m", "tests.support.service_manager", str(path), *command),
                folder=self._folder,
                env={"NOTIFY_SOCKET": str(self.told.path), "PYTHONPATH": str(ROOT), "MCPROXY_CONFIG": ""},
            )
            with listening.accept()[0] as channel:
                for start in range(0, len(kept), _MOST):
                    part = kept[start : start + _MOST]
                    names = "\n".join(name for name, _ in part)
                    socket.send_fds(channel, [names.encode()], [fd for _, fd in part])
        self.told.wait_for_count("READY=1", before + 1, 20)
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.told.close()


def _become(path: str, *command: str) -> None:
    names: list[str] = []
    fds: list[int] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        channel.connect(path)
        while True:
            data, received, _, _ = socket.recv_fds(channel, 1 << 16, _MOST)
            if not data:
                break
            names += data.decode().split("\n")
            fds += received
    high = [
        fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST + len(fds)) for fd in fds
    ]  # out of the way of their final numbers
    for number, fd in enumerate(high):
        os.dup2(fd, _FIRST + number, inheritable=True)
    if fds:
        os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(names)}
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(*sys.argv[1:])
