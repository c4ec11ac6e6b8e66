"""Counts of what is cheap for a peer to send and expensive to process, compared with :class:`~.events.Limits`.

A stream can end before its time in two ways that are the peer's doing: by its RST_STREAM, and by an error of its own for which we
reset the stream (a window made too large, a body longer than it says, malformed trailers). Both cancel work that was begun for
it, so both count alike. The rates are of fixed windows of one second each.
"""

from mcproxy.wire.http2.events import ENHANCE_YOUR_CALM, Fatal, LimitKey, Limits

_BYTES_PER_IDLE_FRAME = 4  # that were sent to the peer: naive ones answer each DATA frame of a byte with two grants


class Floods:
    """The counts of one connection.

    Args:
        limits: the limits to count against.

    Attributes:
        owing: whether there are streams, cancelled or refused, that answers make up for.
        steering: frames that only steer, ahead of what was sent.
    """

    __slots__ = (
        "_cancelled",
        "_limits",
        "_most_refused",
        "_pings",
        "_refused",
        "_resets",
        "_second",
        "_settings",
        "owing",
        "steering",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._second = 0.0
        self._resets = self._pings = self._settings = 0
        self._cancelled = 0
        self.steering = 0
        self.owing = False
        self._refused = 0
        # A client that does not know our SETTINGS yet, or our GOAWAY, may open streams in vain.
        self._most_refused = 4 * limits.concurrent_streams + 100

    def reset(self, now: float, *, waiting: bool) -> Fatal | None:
        """Count the end of a stream by the peer's doing; return what that means for the connection.

        Args:
            now: a monotonic clock, seconds.
            waiting: whether it was a request whose response had not begun.
        """
        self._turn(now)
        self._resets += 1
        if self._resets > self._limits.stream_resets_per_second:
            return flood("stream_resets_per_second")
        if waiting:
            self._cancelled += 1
            self.owing = True
            if self._cancelled > self._limits.resets_before_response:
                return flood("resets_before_response")
        return None

    def refused(self) -> Fatal | None:
        """Count a stream that was refused because there were too many, or because a GOAWAY was sent."""
        self._refused += 1
        self.owing = True
        return flood("concurrent_streams") if self._refused > self._most_refused else None

    def answered(self) -> None:
        """Note that a response was begun: that is what honest clients wait for."""
        self._cancelled = max(0, self._cancelled - 1)
        self._refused = max(0, self._refused - 1)
        self.owing = self._cancelled + self._refused > 0

    def idle(self) -> Fatal | None:
        """Count a frame that only steers (WINDOW_UPDATE, PRIORITY, unknown types)."""
        self.steering += 1
        return flood("idle_frames") if self.steering > self._limits.idle_frames else None

    def sent(self, amount: int) -> None:
        """Note that ``amount`` bytes were sent: the peer may answer them with frames that only steer (grants)."""
        self.steering = max(0, self.steering - amount // _BYTES_PER_IDLE_FRAME)

    def ping(self, now: float) -> Fatal | None:
        """Count a PING frame."""
        self._turn(now)
        self._pings += 1
        return flood("pings_per_second") if self._pings > self._limits.pings_per_second else None

    def settings(self, now: float) -> Fatal | None:
        """Count a SETTINGS frame."""
        self._turn(now)
        self._settings += 1
        return flood("settings_per_second") if self._settings > self._limits.settings_per_second else None

    def _turn(self, now: float) -> None:
        if not 0 <= now - self._second < 1:
            self._second = now
            self._resets = self._pings = self._settings = 0


def flood(limit: LimitKey) -> Fatal:
    """Return the end of a connection whose peer has exceeded a limit."""
    return Fatal(ENHANCE_YOUR_CALM, limit, f"limits.{limit} exceeded")
