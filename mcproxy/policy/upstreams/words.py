"""The words about endpoints in shared memory, as decisions read them: a verdict, and the share that is withheld.

::

    63         16 15        8 7         0
    [ any       ][ withheld ][ verdict  ]

A word of 0 says: nothing is known, usable with all of its share.
"""

from typing import Protocol

UNKNOWN, UP, DOWN, EJECTED, WAITING = range(5)
"""Not checked yet, or not at all; the check passes; the check fails; too much of the traffic failed; added to endpoints of which
some were usable, and not yet passed its check. Up to `UP` an endpoint is usable."""

FULL = 255
"""The whole share; what is withheld is a part of that."""


class Words(Protocol):
    """A word for each index of an endpoint."""

    def __getitem__(self, index: int, /) -> int:
        """Return the word of an endpoint."""


def pack(verdict: int, withheld: int = 0) -> int:
    """Return the word of a verdict and a share that is withheld, 0 to `FULL`."""
    return withheld << 8 | verdict


def is_usable(word: int) -> bool:
    """Tell whether new connections and requests may go there."""
    return word & 0xFF <= UP


def share(word: int) -> float:
    """Return which part of its weight a usable endpoint gets, above 0 and at most 1."""
    return max(FULL - (word >> 8 & 0xFF), 1) / FULL


class _Always:
    """The words of endpoints that are all usable, with the whole share: for choices that do not ask for verdicts."""

    def __getitem__(self, index: int, /) -> int:
        return 0


ALWAYS = _Always()
