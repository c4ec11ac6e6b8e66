"""Whether an HTTP/2 peer is still there: when to ask it by a PING; time (monotonic seconds) is an argument.

A connection whose other end has gone without a word (a host that lost its power, a NAT entry that expired) looks like one
whose peer takes its time. So a peer that owes an answer and is silent for `SILENCE`, or was late with one, is doubted: it
is asked, and whoever shares the connection among requests gives it none until it answers.

PINGs are spared: a server of gRPC closes a connection with more than two for which it has sent no message in between,
unless they are five minutes apart. A peer that is doubted after these is trusted again when it sends a message.
"""

SILENCE = 10.0  # seconds without a byte from a peer that owes something
_PINGS = 2  # without a message of the peer's in between
_APART = 310.0  # seconds from one PING to another where so many have been sent


class Liveness:
    """What is known of one peer.

    Attributes:
        silent_since: since when the peer owes something and nothing has come, 0.0 while it owes nothing.
        doubted_at: since when it is doubted, 0.0 if it is not.
        pings: how many were sent since its last message.
    """

    __slots__ = ("_asked", "_asked_at", "doubted_at", "pings", "silent_since")

    def __init__(self) -> None:
        self.silent_since = 0.0
        self.doubted_at = 0.0
        self.pings = 0
        self._asked = False
        self._asked_at = 0.0

    def due_at(self) -> float:
        """Return when silence becomes a reason for doubt; inf while it does not."""
        if self.doubted_at or not self.silent_since:
            return float("inf")
        due = self.silent_since + SILENCE
        return due if self.pings < _PINGS else max(due, self._asked_at + _APART)

    def doubt(self, now: float) -> bool:
        """Doubt a peer that is not doubted yet; tell whether to send a PING."""
        self.doubted_at = now
        self._asked = self.pings < _PINGS or now >= self._asked_at + _APART
        if self._asked:
            self._asked_at = now
            self.pings += 1
        return self._asked

    def on_message(self) -> bool:
        """Take note of a message of the peer's; tell whether that ends its being doubted."""
        self.pings = 0
        return not self._asked and self._trust()

    def on_pong(self) -> bool:
        """Take an answer to a PING; tell whether that ends its being doubted."""
        asked, self._asked = self._asked, False
        return asked and self._trust()

    def _trust(self) -> bool:
        doubted, self.doubted_at = self.doubted_at > 0.0, 0.0
        return doubted
