"""The verdict about one endpoint, from the results of its checks.

::

               passes                    `fall` failures in a row
    WAITING ───────────▶ UP ────────────────────────────────────────▶ DOWN
                         ▲ ◀──────────────────────────────────────────┘
                  passes │            `rise` passes in a row            ▲
                      UNKNOWN ──────────────────────────────────────────┘ fails

The first result says what nobody knew, so one is enough at a start; later one result among others changes nothing. An
endpoint that was added waits for its first pass however often it fails.
"""

from mcproxy.policy.upstreams import words


def first_verdict(known: int | None, *, checked: bool, added: bool, others_usable: bool) -> int:
    """Return what to say about an endpoint before its first result.

    Args:
        known: the verdict of the endpoint's word, if it was already there: another control has written it. It stays.
        checked: whether the upstream has a check.
        added: whether it is added to an upstream that is served already.
        others_usable: whether one of the others there is usable: the endpoint can wait.
    """
    if not checked:
        return words.UNKNOWN
    if known is not None:
        return words.UP if known == words.EJECTED else known  # ejected ones are those whose checks pass
    return words.WAITING if added and others_usable else words.UNKNOWN


def shown(verdict: int, *, ejected: bool) -> int:
    """Return the verdict for the endpoint's word: what checks say comes before what its traffic says."""
    return words.EJECTED if ejected and words.is_usable(verdict) else verdict


class CheckRun:
    """The checks of one endpoint, one after another.

    A check is begun and ended under a number. Only the one that was begun last counts, so that results that come late, of
    an earlier check or an earlier definition of it, do not mix with the others.

    Args:
        verdict: what is known (`first_verdict`).
        fall: failures in a row until an endpoint is down, at least 1.
        rise: passes in a row until it is up again, at least 1.
    """

    __slots__ = ("_fall", "_number", "_open", "_rise", "row", "verdict")

    def __init__(self, verdict: int = words.UNKNOWN, fall: int = 3, rise: int = 2) -> None:
        self.verdict = verdict
        self.row = 0
        """Results in a row that speak against the verdict."""
        self._fall = fall
        self._rise = rise
        self._number = 0
        self._open = False

    def change(self, fall: int, rise: int) -> None:
        """Go on with another check: counting begins anew, from the verdict that is known; a check under way counts nothing."""
        self._fall = fall
        self._rise = rise
        self.row = 0
        self._open = False

    def begin(self) -> int:
        """Begin a check, and return its number."""
        self._number += 1
        self._open = True
        return self._number

    def end(self, number: int, *, passed: bool) -> bool:
        """Count the result of a check; tell whether it changed the verdict."""
        if not self._open or number != self._number:
            return False
        self._open = False
        before = self.verdict
        match before, passed:
            case (words.UNKNOWN | words.WAITING, True):
                self.verdict = words.UP
            case (words.UNKNOWN, False):
                self.verdict = words.DOWN
            case (words.UP, False):
                self.row += 1
                if self.row >= self._fall:
                    self.verdict = words.DOWN
            case (words.DOWN, True):
                self.row += 1
                if self.row >= self._rise:
                    self.verdict = words.UP
            case _:
                self.row = 0
        if self.verdict != before:
            self.row = 0
        return self.verdict != before
