"""What was counted up to a moment, and which earlier moment to compare it with."""

from typing import NamedTuple

from mcproxy.control.counters.totals import Totals

_BASELINE_AGE = 5.0  # seconds: rates are means over this long at least, so that they can be read
_OLDEST_BASELINE = 30.0  # seconds: nobody has looked for that long, and a mean over it would say little


class Sample(NamedTuple):
    """All counters at a moment (monotonic seconds)."""

    time: float
    totals: Totals


class Baseline:
    """Remembers earlier samples, two at most."""

    def __init__(self) -> None:
        self._used: Sample | None = None
        self._next: Sample | None = None

    def before(self, now: Sample) -> Sample | None:
        """Return the sample to compare ``now`` with, None if there is none of the last half minute; remember ``now``."""
        if self._next is None or now.time - self._next.time > _OLDEST_BASELINE:
            self._used, self._next = None, now
            return None
        if self._used is None:
            self._used = self._next
        before = self._used
        if now.time - self._next.time >= _BASELINE_AGE:
            self._used, self._next = self._next, now
        return before
