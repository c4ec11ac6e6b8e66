"""How requests ended, in the three ways that count for the guard."""

import msgspec


class Tally(msgspec.Struct, frozen=True):
    """Requests of an l7 route, connections of an l4 route or of a listener.

    Attributes:
        good: answered below 400, or served (l4).
        failed: 5xx, whoever answered it, failed dials and handshakes, resets by the backend, and what the proxy had not what it takes for.
        turned: 4xx, refused by a rule, or left by the client: its own doing, as a rule.
    """

    good: int = 0
    failed: int = 0
    turned: int = 0

    @property
    def answered(self) -> int:
        """All of them."""
        return self.good + self.failed + self.turned

    def plus(self, other: "Tally") -> "Tally":
        """Return the sum of both."""
        return Tally(self.good + other.good, self.failed + other.failed, self.turned + other.turned)

    def since(self, before: "Tally") -> "Tally":
        """Return what has come since then; counters that began anew meanwhile are taken as they are."""
        found = Tally(self.good - before.good, self.failed - before.failed, self.turned - before.turned)
        if self.answered < before.answered:
            return self
        return Tally(max(found.good, 0), max(found.failed, 0), max(found.turned, 0))

    def less(self, part: "Tally") -> "Tally":
        """Return this without a part of it."""
        return Tally(
            max(self.good - part.good, 0), max(self.failed - part.failed, 0), max(self.turned - part.turned, 0)
        )


class Past(msgspec.Struct, frozen=True):
    """What went before a change.

    Attributes:
        tally: how requests ended.
        seconds: in which there were any.
    """

    tally: Tally = Tally()
    seconds: float = 0.0

    @property
    def failing(self) -> float:
        """The share that failed; 0 without a past."""
        return self.tally.failed / self.tally.answered if self.tally.answered else 0.0

    @property
    def turning(self) -> float:
        """The share that was turned away; 0 without a past."""
        return self.tally.turned / self.tally.answered if self.tally.answered else 0.0

    @property
    def rate(self) -> float:
        """Good ones per second; 0 without a past."""
        return self.tally.good / self.seconds if self.seconds > 0 else 0.0
