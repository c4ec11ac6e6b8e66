"""What happens to the proxy during the load: reloads, kills of workers, kills of control."""

import time

import msgspec
import psutil

from tests.endurance.site import WORKERS, Site
from tests.support.lifecycle import applied, listening, wait_workers
from tests.support.load import until


class Kill(msgspec.Struct, frozen=True):
    """A worker that was killed.

    Attributes:
        time: when (monotonic seconds).
        clients: ports of the clients whose connections it had, by the proxy's port.
    """

    time: float
    clients: dict[int, set[int]]


class Events:
    """Makes things happen, one after the other.

    Attributes:
        reloads: how many files have been made live.
        kills: the workers that were killed.
        control_kills: when control was killed (monotonic seconds).
        left: workers of controls that were killed.
    """

    def __init__(self, site: Site) -> None:
        self._edge = site.edge
        self._edits = site.edits
        self.reloads = 0
        self.kills: list[Kill] = []
        self.control_kills: list[float] = []
        self.left: list[psutil.Process] = []

    def reload(self) -> None:
        """Change the file, and return when every worker serves it."""
        since = self._edge.mark()
        self._edge.save(self._edits.step())
        applied(self._edge, since)
        self.reloads += 1

    def kill_worker(self) -> None:
        """Kill the youngest worker while a changed file is applied, and return when its replacement serves.

        The youngest, so that the others live from one kill of control to the next, and show what grows in them.
        """
        edge = self._edge
        victim = max(wait_workers(edge, WORKERS), key=lambda worker: (worker.create_time(), worker.pid))
        since = edge.mark()
        victim.suspend()  # now it takes no more connections, so what it has can be told exactly
        clients: dict[int, set[int]] = {}
        for one in victim.net_connections("tcp"):
            if one.raddr:
                clients.setdefault(one.laddr.port, set()).add(one.raddr.port)
        edge.save(self._edits.step())
        self.kills.append(Kill(time.monotonic(), clients))
        victim.kill()
        applied(edge, since)
        self.reloads += 1
        self._wait_serving()

    def kill_control(self) -> None:
        """Kill control while a changed file waits for it, start another, and return when that one's workers serve."""
        edge = self._edge
        self.left = [process for process in self.left if process.is_running()] + edge.workers()
        edge.save(self._edits.step())
        edge.kill_control()
        self.control_kills.append(time.monotonic())
        edge.start(timeout=60)
        self.reloads += 1
        self._wait_serving()

    def _wait_serving(self) -> None:
        until(lambda: all(_serves(worker) for worker in wait_workers(self._edge, WORKERS)), "all workers serve", 30)

    def wait_drained(self, seconds: float) -> list[int]:
        """Wait until the workers of earlier controls have ended; return those that have not within the time."""
        _, alive = psutil.wait_procs(self.left, seconds)
        return [process.pid for process in alive]


def listener_of(kind: str) -> str:
    """Return what kind of listener a kind of client goes to."""
    return kind.split(maxsplit=1)[0]


def _serves(worker: psutil.Process) -> bool:
    try:
        return listening(worker) > 0
    except psutil.NoSuchProcess:
        return False
