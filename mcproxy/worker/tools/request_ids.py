"""Ids for requests that have none (`mcproxy.policy.headers.REQUEST_ID`)."""

import os

_DIGITS = 16
_AT_ONCE = 512  # ids that are drawn at a time: asking the system for each costs more than the rest


class RequestIds:
    """Makes ids: 16 hexadecimal digits that nobody can guess."""

    __slots__ = ("_at", "_digits")

    def __init__(self) -> None:
        self._digits = b""
        self._at = 0

    def next(self) -> bytes:
        """Return the next one."""
        at = self._at
        if at == len(self._digits):
            self._digits = os.urandom(_AT_ONCE * _DIGITS // 2).hex().encode()
            at = 0
        self._at = at + _DIGITS
        return self._digits[at : at + _DIGITS]
