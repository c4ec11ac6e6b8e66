"""How much longer something takes because the machine is busy with something else."""

import os
import time
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import msgspec

_KEPT = 20_000  # looks; at 200 a second, those of the last 100 s


class _Look(msgspec.Struct, frozen=True):
    """Seconds, up to some moment, for which processes have run, and for which they were ready to and had no processor."""

    at: float
    ran: list[float]
    starved: list[float]


class Machine:
    """Tells what part of a time was not the machine's doing, of something that this process waits for from workers.

    A worker that would run and is not let takes longer, and so does this process; neither is a fault of the worker's. A
    time for which it does run is its own, whatever it does then, and so is one for which it sleeps.
    """

    def __init__(self, workers: Sequence[int]) -> None:
        """Watch the main threads of this process and of workers, by their ids."""
        self._processes = [os.getpid(), *workers]
        self._looks: list[_Look] = []
        self.look()

    def look(self) -> None:
        """Take note of the present; to be called now and then, and at the beginning of each wait."""
        times = [_times(process) for process in self._processes]
        self._looks.append(_Look(time.monotonic(), [ran for ran, _ in times], [starved for _, starved in times]))
        if len(self._looks) > _KEPT:
            del self._looks[: _KEPT // 2]

    def without(self, since: float) -> float:
        """Return the seconds from ``since`` (`time.monotonic`) until now, less those for which the machine was elsewhere."""
        self.look()
        now = self._looks[-1]
        before = self._looks[max(0, bisect_right(self._looks, since, key=lambda look: look.at) - 1)]
        own, *starved = _between(before.starved, now.starved)
        _, *ran = _between(before.ran, now.ran)
        length = now.at - since
        return max(length - own - max(starved, default=0.0), min(length, max(ran, default=0.0)))


def _between(before: Sequence[float], now: Sequence[float]) -> list[float]:
    """Return what was added, zero where a process has gone meanwhile."""
    return [max(0.0, b - a) for a, b in zip(before, now, strict=True)]


def _times(process: int) -> tuple[float, float]:
    """Return the times of a process, zero for one that is gone (Linux, Documentation/scheduler/sched-stats.rst)."""
    try:
        ran, starved, _ = Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0.0, 0.0
    return int(ran) / 1e9, int(starved) / 1e9
