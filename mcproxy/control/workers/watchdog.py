"""How long each worker's event loop has not turned, counted only while control itself was running.

Every worker writes the time of its loop's last turn into the shared memory. A clock that has advanced since the last look
means that the loop turns, however late it is: a busy worker is not hung. Silence is summed up over control's own looks, and a
look that comes late adds at most two intervals: a time in which control was stopped, or the machine was suspended, is not
counted as the workers' silence.
"""

from collections.abc import Mapping

INTERVAL = 1.0  # seconds between looks


class Watchdog:
    """Adds up how long each worker has been silent."""

    def __init__(self) -> None:
        self._looked_at: float | None = None
        self._clocks: dict[int, int] = {}
        self._silent: dict[int, float] = {}

    def look(self, now: float, clocks: Mapping[int, int]) -> Mapping[int, float]:
        """Look at all workers.

        Args:
            now: the time (monotonic seconds).
            clocks: when each worker's loop turned last, by pid, in any unit; 0 before its first turn.

        Returns:
            Seconds of silence by pid.
        """
        elapsed = 0.0 if self._looked_at is None else min(now - self._looked_at, 2 * INTERVAL)
        self._looked_at = now
        before, silent = self._clocks, self._silent
        self._silent = {
            pid: silent.get(pid, 0.0) + elapsed if before.get(pid) == clock else 0.0 for pid, clock in clocks.items()
        }
        self._clocks = dict(clocks)
        return self._silent
