"""When a certificate is due for renewal: by the CA's window (RFC 9773) where it has one, else by what is left of its lifetime.

lifetime of 10 days or more   when a third of it is left
less                          when half of it is left
a window of the CA            at a moment of it that is chosen at random, so that not all clients come at once; yet never
                              later than when a tenth of the lifetime is left, and in the first two hours not at all
"""

from typing import TypeAlias

Window: TypeAlias = tuple[float, float]
"""Its start and end."""

_SHORT = 10 * 86400.0
_LAST = 0.1  # of the lifetime, for tries that fail
_FIRST = 7200.0  # seconds; a CA whose windows are always over would be asked for one certificate after the other


def renewal_time(not_before: float, not_after: float, window: Window | None = None, moment: float = 0.0) -> float:
    """Return when a certificate is to be renewed; what lies in the past is due now.

    Args:
        not_before: start of its validity.
        not_after: end of its validity.
        window: what the CA suggests; one that ends before it starts counts for nothing.
        moment: from 0 to 1, where in the window; the same for a certificate each time it is asked.
    """
    lifetime = max(not_after - not_before, 0.0)
    if window is None or window[1] < window[0]:
        return not_after - lifetime / (3 if lifetime >= _SHORT else 2)
    start, end = window
    return min(max(min(start + moment * (end - start), end), not_before + _FIRST), not_after - _LAST * lifetime)
