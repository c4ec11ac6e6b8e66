"""Passive ejection: an endpoint where too much of the traffic fails is left out for a while.

Failures and attempts are counted elsewhere, as totals that only grow; here a window of the last 10 seconds is judged. What
checks say comes first: an endpoint whose checks fail is not ejected any more, and when they pass again it is judged by what it
does from then on. Else the failures by which everybody noticed that it was down would keep it out once it is up.
"""

from collections import deque
from collections.abc import Collection, Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

WINDOW = 10.0
LEAST_FAILURES = 5
BASE = 30.0
LONGEST = 300.0
QUIET = 300.0

K = TypeVar("K", bound=Hashable)


class Totals(NamedTuple):
    """What was counted at an endpoint since any time: all that were attempted there, and those that failed."""

    attempts: int
    failures: int


class Change(NamedTuple, Generic[K]):
    """An endpoint that is ejected from now on, or no longer."""

    endpoint: K
    ejected: bool
    reason: str


class _Record:
    """One endpoint: its samples of the last seconds, and its ejections."""

    __slots__ = ("count", "ended", "samples", "until")

    def __init__(self) -> None:
        self.samples: deque[tuple[float, Totals]] = deque()
        self.until: float | None = None  # ejected until then
        self.ended = 0.0
        self.count = 0

    def add(self, now: float, totals: Totals) -> None:
        samples = self.samples
        if samples and (totals.attempts < samples[-1][1].attempts or totals.failures < samples[-1][1].failures):
            samples.clear()  # counted by another endpoint, or from 0 again
        samples.append((now, totals))
        while len(samples) > 1 and samples[1][0] <= now - WINDOW:
            samples.popleft()

    def recent(self) -> Totals:
        first, last = self.samples[0][1], self.samples[-1][1]
        failures = last.failures - first.failures
        return Totals(max(last.attempts - first.attempts, failures), failures)

    def calm(self, now: float) -> None:
        """Forget one ejection for every quiet five minutes."""
        while self.until is None and self.count and now - self.ended >= QUIET:
            self.count -= 1
            self.ended += QUIET


class Ejections(Generic[K]):
    """The ejections of one upstream: never more than half of its endpoints, rounded down, and never the last usable one."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: dict[K, _Record] = {}

    def ejected(self) -> set[K]:
        """Return the endpoints that are ejected."""
        return {key for key, record in self._records.items() if record.until is not None}

    def count(self, endpoint: K) -> int:
        """Return how many ejections of an endpoint in a row make its next one longer."""
        record = self._records.get(endpoint)
        return record.count if record else 0

    def until(self, endpoint: K) -> float | None:
        """Return when an endpoint's ejection ends, None if it is not ejected."""
        record = self._records.get(endpoint)
        return record.until if record else None

    def restore(self, now: float, endpoint: K) -> None:
        """Go on with an ejection of which only the word is known, as after a restart: it lasts as long as a first one."""
        record = self._records.setdefault(endpoint, _Record())
        record.until = now + BASE
        record.count = max(record.count, 1)

    def update(
        self, now: float, totals: Mapping[K, Totals], passing: Collection[K], *, enabled: bool = True
    ) -> list[Change[K]]:
        """Judge the last seconds; to be called about once a second.

        Args:
            now: seconds on a clock that never goes back.
            totals: what was counted at each endpoint that the operator has ready; others are forgotten.
            passing: those of them that are usable but for an ejection.
            enabled: whether endpoints are ejected at all; if not, all come back.

        Returns:
            What has changed; those that come back are first.
        """
        records = {key: self._records.get(key) or _Record() for key in totals}
        self._records = records
        for key, record in records.items():
            if key not in passing:
                record.samples.clear()
            record.add(now, totals[key])
            record.calm(now)
        changes = self._release(now, passing, enabled=enabled)
        return changes + self._eject(now, passing) if enabled else changes

    def _release(self, now: float, passing: Collection[K], *, enabled: bool) -> list[Change[K]]:
        records = self._records
        out = sorted(
            (record.until, place, key)
            for place, (key, record) in enumerate(records.items())
            if record.until is not None
        )
        usable = sum(records[key].until is None for key in passing if key in records)
        too_many = len(out) - len(records) // 2
        changes = []
        for number, (until, _, key) in enumerate(out):
            if not enabled:
                reason = "ejection is off"
            elif until <= now:
                reason = "its time is over"
            elif key not in passing:
                reason = "its checks fail"
            elif number < too_many:
                reason = "more than half would be ejected"
            elif not usable:
                reason = "no other endpoint is usable"
            else:
                continue
            self._end(records[key], now)
            changes.append(Change(key, ejected=False, reason=reason))
        return changes

    def _end(self, record: _Record, now: float) -> None:
        record.until = None
        record.ended = now
        last = record.samples[-1]
        record.samples.clear()  # judged by what it does from now on
        record.samples.append(last)

    def _eject(self, now: float, passing: Collection[K]) -> list[Change[K]]:
        records = self._records
        usable = [key for key in passing if key in records and records[key].until is None]
        room = min(len(records) // 2 - sum(record.until is not None for record in records.values()), len(usable) - 1)
        failing = []
        for place, key in enumerate(usable):
            attempts, failures = records[key].recent()
            if failures >= LEAST_FAILURES and failures * 2 >= attempts:
                failing.append((-failures / attempts, -failures, place, key))
        changes = []
        for _, _, _, key in sorted(failing)[: max(room, 0)]:
            record = records[key]
            attempts, failures = record.recent()
            record.count = min(record.count + 1, int(LONGEST / BASE))
            record.until = now + min(BASE * record.count, LONGEST)
            changes.append(Change(key, ejected=True, reason=f"{failures} of {attempts} failed in {WINDOW:.0f} s"))
        return changes
