"""The last quarter of an hour as curves, from samples that control keeps.

A sample every `PERIOD` is reduced to a few sums; whole ones, to tell what each route did lately, are kept `RECENT` far back.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from mcproxy.control.counters.quantiles import Histogram, added, difference, quantile
from mcproxy.control.counters.refusals import RECENT
from mcproxy.control.counters.sample import Sample
from mcproxy.control.counters.totals import Totals

PERIOD = 10.0
"""Seconds from one point of a curve to the next."""
POINTS = 90
"""Points of a curve: a quarter of an hour."""
_WHOLE_EVERY = 60.0


class Curves(msgspec.Struct, frozen=True):
    """Values from the oldest to the newest, `PERIOD` apart.

    Attributes:
        open: connections that were open.
        accepted: connections per second.
        requests: HTTP requests per second.
        errors: connections and requests per second that a backend, or the proxy itself, failed.
        p99: seconds that 99 of 100 requests took at most; 0.0 where there were none.
    """

    open: tuple[float, ...] = ()
    accepted: tuple[float, ...] = ()
    requests: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()
    p99: tuple[float, ...] = ()


class _Point(NamedTuple):
    time: float
    open: int
    accepted: int
    requests: int
    errors: int
    durations: Histogram


class Trend:
    """Remembers samples."""

    def __init__(self) -> None:
        self._points: deque[_Point] = deque(maxlen=POINTS + 1)
        self._whole: deque[Sample] = deque(maxlen=int(RECENT / _WHOLE_EVERY) + 1)

    def add(self, sample: Sample) -> None:
        """Remember a sample; they come `PERIOD` apart."""
        self._points.append(_point(sample))
        if not self._whole or sample.time - self._whole[-1].time >= _WHOLE_EVERY:
            self._whole.append(sample)

    def recent(self, now: float) -> Sample | None:
        """Return the oldest sample that is not older than `RECENT`, None if there is none (monotonic seconds)."""
        return next((sample for sample in self._whole if now - sample.time <= RECENT), None)

    def curves(self) -> Curves:
        """Return what there is to draw; counters that began anew count as nothing for once."""
        pairs = list(pairwise(self._points))
        return Curves(
            tuple(float(point.open) for point in self._points),
            _rates(pairs, lambda point: point.accepted),
            _rates(pairs, lambda point: point.requests),
            _rates(pairs, lambda point: point.errors),
            tuple(quantile(difference(new.durations, old.durations), 0.99) or 0.0 for old, new in pairs),
        )


def _rates(pairs: Sequence[tuple[_Point, _Point]], count: Callable[[_Point], int]) -> tuple[float, ...]:
    return tuple(max(0, count(new) - count(old)) / max(new.time - old.time, 1e-3) for old, new in pairs)


def _point(sample: Sample) -> _Point:
    totals: Totals = sample.totals
    listeners, routes = totals.listeners.values(), totals.routes.values()
    return _Point(
        sample.time,
        sum(one.open for one in listeners),
        sum(one.accepted for one in listeners),
        sum(one.requests for one in routes),
        sum(sum(one.failures.values()) for one in routes if one.errors),
        added([*(one.requests for one in listeners), *(one.durations for one in routes if one.durations)]),
    )
