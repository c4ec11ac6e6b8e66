"""How many requests may be repeated at once, so that a failing upstream is not given several times the load; and which ones."""

REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""Methods that have the same effect once or twice (RFC 9110 section 9.2.2). Others are repeated only if surely not begun."""

_PART = 0.2
_ALWAYS = 3


class RetryBudget:
    """The retries of one upstream in one worker: 3, and a fifth of what is active there.

    A retry is under way from `take` until `give_back`, when the request has ended.
    """

    __slots__ = ("_under_way",)

    def __init__(self) -> None:
        self._under_way = 0

    def take(self, active: int) -> bool:
        """Tell whether a request may be repeated now, and count it if so.

        Args:
            active: requests of this upstream that are open in this worker, this one and other retries among them.
        """
        if self._under_way >= _ALWAYS + int(active * _PART):
            return False
        self._under_way += 1
        return True

    def give_back(self) -> None:
        """End a retry that was taken."""
        self._under_way -= 1
