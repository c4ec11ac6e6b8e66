"""Slow start: an endpoint that has become usable gets its share little by little."""

from mcproxy.policy.upstreams.words import FULL

_BEGIN = 0.1


def withheld(elapsed: float, length: float) -> int:
    """Return what is withheld from an endpoint, 0 to `words.FULL`: its share rises linearly from 10 to 100 %.

    Args:
        elapsed: seconds since it became usable.
        length: seconds until it gets its whole share; 0: at once.
    """
    if elapsed >= length:
        return 0
    return round(FULL * (1.0 - _BEGIN) * (1.0 - max(elapsed, 0.0) / length))


class SlowStart:
    """The clock of one endpoint. It begins when the endpoint becomes usable, and nothing but its ceasing to be stops it.

    Args:
        settled: whether the endpoint has its whole share from the start, as those of a process that starts.
    """

    __slots__ = ("_began", "_usable")

    def __init__(self, *, settled: bool = True) -> None:
        self._usable = settled
        self._began: float | None = None

    def withheld(self, now: float, length: float, *, usable: bool) -> int:
        """Return what is withheld at a moment, 0 to `words.FULL`.

        Args:
            now: seconds on a clock that never goes back.
            length: seconds of slow start; may change between calls, the moment of the begin does not.
            usable: whether new connections and requests may go there now: by its verdict and by the operator.
        """
        if usable and not self._usable:
            self._began = now
        self._usable = usable
        if not usable or self._began is None:
            return 0
        return withheld(now - self._began, length)
