"""What listeners refused, and which limits were hit, in the last minutes: counters since the start tell nothing of today. Pure."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from mcproxy.model.state.state import ListenerKey

RECENT = 300.0
"""Seconds that count as "lately"."""
_EVERY = 60.0


class Refusals(NamedTuple):
    """Counts of one moment, or of the time between two; what is zero may be left out.

    Attributes:
        listeners: connections that each listener refused, by reason.
        limits: how often each key of ``[limits]`` was hit.
    """

    listeners: Mapping[ListenerKey, Mapping[str, int]]
    limits: Mapping[str, int]


class RecentRefusals:
    """Keeps what was counted at some moments of the last `RECENT` seconds, to compare with what is counted now."""

    def __init__(self, start: Refusals) -> None:
        """Begin with the counts at the start, which are no news."""
        self._start = start
        self._kept: deque[tuple[float, Refusals]] = deque(maxlen=int(RECENT / _EVERY) + 1)

    def is_due(self, now: float) -> bool:
        """Tell whether a sample is to be kept (monotonic seconds): one a minute."""
        return not self._kept or now - self._kept[-1][0] >= _EVERY

    def keep(self, now: float, counted: Refusals) -> None:
        """Keep a sample; of the first one the time alone, since what was counted by then is news already."""
        self._kept.append((now, counted if self._kept else self._start))

    def since(self, now: float, counted: Refusals) -> Refusals:
        """Return what came on top in the last `RECENT` seconds, or since the start where these are not over."""
        before = next((kept for time, kept in self._kept if now - time <= RECENT), None)
        if before is None:
            before = self._kept[-1][1] if self._kept else self._start
        listeners = {
            addr: _more(refused, before.listeners.get(addr, {})) for addr, refused in counted.listeners.items()
        }
        return Refusals({addr: more for addr, more in listeners.items() if more}, _more(counted.limits, before.limits))


def _more(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Return by how much counts have grown; one that is lower than before has begun anew."""
    grown = {name: count - (old if (old := before.get(name, 0)) <= count else 0) for name, count in now.items()}
    return {name: count for name, count in grown.items() if count}
