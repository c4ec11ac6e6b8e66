"""Time limits of many connections: coarse, lazy buckets.

A connection lies in one bucket (a tenth of a second wide) at a time. Putting a limit off costs nothing: the item is
asked when its bucket comes up and moved on then. Only a limit that comes closer moves the item at once.
"""

from collections.abc import Callable
from typing import Protocol

_PER_SECOND = 10


class Timed(Protocol):
    """Something with a time limit.

    Attributes:
        bucket: the number of the bucket the item lies in, 0 for none; written by `Deadlines` alone.
    """

    bucket: int

    def on_deadline(self, now: float) -> float | None:
        """Return when to be asked again (monotonic seconds), or None if the limit has struck and was dealt with."""

    def on_fault(self) -> None:
        """Close: `on_deadline` has raised an exception, so nobody else will."""


class Deadlines:
    """The buckets; time is an argument everywhere."""

    __slots__ = ("_buckets", "_next", "_report")

    def __init__(self, now: float, report: Callable[[Exception], object]) -> None:
        """Begin at ``now`` (monotonic seconds); ``report`` is told what an item's `on_deadline` raises."""
        self._report = report
        self._buckets: dict[int, set[Timed]] = {}
        self._next = int(now * _PER_SECOND)

    def set(self, item: Timed, at: float) -> None:
        """Have ``item.on_deadline`` called at ``at`` or up to 0.1 s later; a bucket that comes earlier is kept."""
        bucket = max(int(at * _PER_SECOND) + 1, self._next)
        if item.bucket:
            if item.bucket <= bucket:
                return
            self._buckets[item.bucket].discard(item)
        item.bucket = bucket
        items = self._buckets.get(bucket)
        if items is None:
            self._buckets[bucket] = {item}
        else:
            items.add(item)

    def cancel(self, item: Timed) -> None:
        """Forget an item, whether it was set or not."""
        if item.bucket:
            self._buckets[item.bucket].discard(item)
            item.bucket = 0

    def expire(self, now: float) -> None:
        """Ask every item whose bucket has come; one that raises is reported and closed, the others have their turn."""
        current = int(now * _PER_SECOND)
        while self._next <= current:
            bucket = self._next
            self._next += 1
            items = self._buckets.get(bucket)
            while items:  # one item's end may cancel others of its bucket
                item = items.pop()
                item.bucket = 0
                try:
                    at = item.on_deadline(now)
                    if at is not None:
                        self.set(item, at)
                except Exception as error:  # noqa: BLE001 - one item's bug must not take the others' limits along
                    self._close(item, error)
            self._buckets.pop(bucket, None)

    def _close(self, item: Timed, error: Exception) -> None:
        self._report(error)
        try:
            item.on_fault()
        except Exception as another:  # noqa: BLE001 - as above
            self._report(another)
