"""When a backend may be dialed again after dials that brought nothing.

Pure: time (monotonic seconds) and chance are arguments. One `Backoff` belongs to all pools that lead to one backend.

Dials are counted in rounds. The first failure of a round ends it: the next dial has to wait for a pause, and what else
fails of the round that has ended (a hundred dials may have been under way) changes nothing more. The pause doubles from
round to round until a dial succeeds. After it one dial is made; others follow when that one has

- failed, after the next pause;
- carried a response: all is forgotten;
- merely lasted for the length of a pause, so a slow response holds nobody up; the next failure still doubles the pause.

How long: `BRIEF` where the backend could not be reached or has broken off a request, which is over as soon as it is
there again; `LONG` where it takes connections and no streams, which costs both sides more.
"""

from collections.abc import Callable

import msgspec


class Pause(msgspec.Struct, frozen=True):
    """How long to wait, in seconds: ``first``, doubled from failure to failure up to ``most``; each a tenth off at most."""

    first: float
    most: float


BRIEF = Pause(0.1, 1.0)
LONG = Pause(1.0, 4.0)
_SPREAD = 0.2  # of a pause: workers that failed together don't dial together


class Backoff:
    """The failures of one backend, and what follows from them.

    Attributes:
        round: the number of the round that a dial belongs to which begins now.
        failures: rounds that have failed since the last success; 0 while all is well.
        not_before: when the pause ends.
    """

    __slots__ = ("_chance", "_lasting", "_pause", "_under_way", "failures", "not_before", "round")

    def __init__(self, chance: Callable[[], float]) -> None:
        """Begin without failures; ``chance`` returns numbers from 0 to 1."""
        self._chance = chance
        self._pause = 0.0
        self._under_way = 0  # dials of this round
        self._lasting = 0  # connections of this round that have a request on them
        self.round = 0
        self.failures = 0
        self.not_before = 0.0

    def may_dial(self, now: float) -> bool:
        """Tell whether a dial may begin."""
        if not self.failures:
            return True
        return now >= self.not_before and (self._lasting > 0 or not self._under_way)

    def began(self) -> int:
        """Take note of a dial; return its round."""
        self._under_way += 1
        return self.round

    def settled(self, number: int, now: float) -> None:
        """A dial of a round has brought a connection, which gets a request now if there is one."""
        if number == self.round:
            self._under_way -= 1
            self._lasting += 1
            self.not_before = now + self._pause

    def given_up(self, number: int) -> None:
        """A dial of a round has ended, or its connection, and nothing follows from that."""
        if number == self.round:
            self._under_way -= 1

    def lost(self, number: int) -> None:
        """A settled connection of a round is closed, and nothing follows from that."""
        if number == self.round:
            self._lasting -= 1

    def succeeded(self) -> None:
        """The backend has answered."""
        self.failures = 0
        self._pause = self.not_before = 0.0

    def failed(self, number: int, now: float, pause: Pause) -> bool:
        """A dial of a round has failed, or what it has brought; tell whether that has ended the round."""
        if number != self.round:
            return False
        self.round += 1
        self.failures += 1
        self._under_way = self._lasting = 0
        length = min(pause.first * 2 ** min(self.failures - 1, 16), pause.most)
        self._pause = length * (1 + _SPREAD * (self._chance() - 0.5))
        self.not_before = now + self._pause
        return True
