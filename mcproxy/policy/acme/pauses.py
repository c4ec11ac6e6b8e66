"""How long is waited before the next order: after failures, and where too many came within an hour."""

from collections.abc import Sequence

AN_HOUR = 10
"""Orders an hour that are begun for one account."""

_PAUSES = (60.0, 300.0, 1800.0, 7200.0, 21600.0, 43200.0)
_JITTER = 0.1
_LONGEST_RETRY_AFTER = 7 * 86400.0
LONGEST = _LONGEST_RETRY_AFTER * (1 + _JITTER)
"""Seconds of the longest pause there is."""

_HOUR = 3600.0


def pause_after(failures: int, jitter: float, retry_after: float = 0.0) -> float:
    """Return for how many seconds nothing is tried after that many failures in a row (one or more).

    Args:
        failures: 1 m, 5 m, 30 m, 2 h, 6 h, and 12 h from the sixth on.
        jitter: from 0 to 1; the pause becomes up to a tenth longer by it.
        retry_after: seconds that the CA asks to wait; obeyed where it is longer, up to a week.
    """
    base = _PAUSES[min(max(failures, 1), len(_PAUSES)) - 1]
    return max(base, min(retry_after, _LONGEST_RETRY_AFTER)) * (1 + _JITTER * jitter)


def order_allowed_at(orders: Sequence[float], now: float) -> float:
    """Return from when on the next order may be begun, at most an hour from now.

    Args:
        orders: when earlier ones were begun; those of the future (the clock was set back) count as begun now.
        now: the time.
    """
    recent = sorted(min(at, now) for at in orders if at > now - _HOUR)
    return now if len(recent) < AN_HOUR else recent[-AN_HOUR] + _HOUR
