"""How the requests of each route ended in the last ten minutes, from samples half a minute apart."""

from array import array
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from mcproxy.policy.guard.parts import Subject
from mcproxy.policy.guard.tally import Past, Tally

PERIOD = 30.0
"""Seconds between samples."""
SPAN = 600.0
"""Seconds that count as the past."""
_WIDTH = 3  # numbers of a tally


class _Sample(NamedTuple):
    """What was counted up to a moment: a row of numbers for each subject, `_WIDTH` of them."""

    time: float
    rows: Mapping[Subject, int]
    counts: "array[int]"

    def get(self, subject: Subject) -> Tally:
        """Return what was counted of a subject; one that was not there yet begins with nothing."""
        row = self.rows.get(subject)
        return Tally() if row is None else Tally(*self.counts[row * _WIDTH : (row + 1) * _WIDTH])


class History:
    """Remembers samples, and what of the past does not count: what was undone was not what is usual."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=int(SPAN / PERIOD) + 1)
        self._undone: dict[Subject, list[tuple[float, Tally]]] = {}

    def is_due(self, now: float) -> bool:
        """Tell whether it is time for a sample."""
        return not self._samples or now - self._samples[-1].time >= PERIOD

    def add(self, now: float, tallies: Mapping[Subject, Tally]) -> None:
        """Remember what the counters of all subjects say now."""
        rows: Mapping[Subject, int] = {subject: row for row, subject in enumerate(tallies)}
        if self._samples and self._samples[-1].rows == rows:
            rows = self._samples[-1].rows  # one table for all samples between changes
            ordered = [tallies[subject] for subject in rows]
        else:
            ordered = list(tallies.values())
        counts = array("Q", [number for one in ordered for number in (one.good, one.failed, one.turned)])
        self._samples.append(_Sample(now, rows, counts))
        for subject in list(self._undone):
            kept = [one for one in self._undone[subject] if now - one[0] < SPAN]
            if kept:
                self._undone[subject] = kept
            else:
                del self._undone[subject]

    def forget(self, now: float, subject: Subject, tally: Tally) -> None:
        """Have what came of a change that was undone not count as the past of the next one."""
        self._undone.setdefault(subject, []).append((now, tally))

    def past(self, now: float, subject: Subject, tally: Tally) -> Past:
        """Return the past of a subject whose counters say ``tally`` now."""
        seconds = 0.0
        first: Tally | None = None
        before: tuple[float, Tally] | None = None
        for sample in self._samples:
            if now - sample.time > SPAN + PERIOD:
                continue
            found = sample.get(subject)
            if first is None:
                first = found
            elif before is not None and found.answered != before[1].answered:
                seconds += sample.time - before[0]
            before = sample.time, found
        if first is None or before is None:
            return Past()
        if tally.answered != before[1].answered:
            seconds += now - before[0]
        whole = tally.since(first)
        for time, undone in self._undone.get(subject, ()):
            if now - time < SPAN:
                whole = whole.less(undone)
        return Past(whole, seconds)
