"""Which streams a peer may still send on.

Streams are kept as bits: `SENDING` while the peer's side is open, `WAITING` while a request has no response. A stream
with no bit left is forgotten, so that an idle connection holds nothing.
"""

from mcproxy.wire.http2.events import PROTOCOL_ERROR, STREAM_CLOSED, Fatal, Limits

SENDING = 1
WAITING = 2

_SKIPPED_RANGES = 16  # how many gaps in a client's stream ids are remembered
_TOLERATED_STREAMS = 8  # per stream the peer may have open: how many of our resets are remembered


class PeerStreams:
    """The streams of one connection.

    Attributes:
        open: the bits of each stream that has any.
        tolerated: streams that we have reset while the peer might send: what was on its way is no fault.
        skipped: ranges of ids that a client has passed over.
        highest: the highest id that was opened.
    """

    __slots__ = ("_most_tolerated", "highest", "open", "skipped", "tolerated")

    def __init__(self, limits: Limits) -> None:
        self.open: dict[int, int] = {}
        self.tolerated: dict[int, None] = {}
        self.skipped: list[tuple[int, int]] = []
        self.highest = 0
        self._most_tolerated = _TOLERATED_STREAMS * limits.concurrent_streams

    def closed(self, stream: int) -> None:
        """Note that we have reset a stream: frames of it that are already on their way are to be tolerated."""
        if self.open.pop(stream, 0) & SENDING:
            tolerated = self.tolerated
            tolerated[stream] = None
            if len(tolerated) > self._most_tolerated:
                del tolerated[next(iter(tolerated))]

    def ended(self, stream: int, state: int) -> None:
        """Note that the peer has ended its side of a stream."""
        if state & WAITING:
            self.open[stream] = WAITING
        else:
            self.open.pop(stream, None)
            self.tolerated.pop(stream, None)

    def not_sending(self, stream: int) -> Fatal | None:
        """Judge a frame on a stream that the peer may not send on (RFC 9113 sections 5.1 and 5.1.1)."""
        if stream in self.tolerated:
            return None
        if stream > self.highest or not stream & 1:  # clients open all streams, with odd ids: nobody may push
            return Fatal(PROTOCOL_ERROR, "", "frame on an idle stream")
        if any(low <= stream < high for low, high in self.skipped):
            return Fatal(PROTOCOL_ERROR, "", "stream id lower than an earlier one")
        return Fatal(STREAM_CLOSED, "", "frame on a closed stream")

    def skip(self, low: int, high: int) -> None:
        """Remember stream ids that were never used: they are closed, but not by anybody's END_STREAM."""
        self.skipped.append((low, high))
        if len(self.skipped) > _SKIPPED_RANGES:
            del self.skipped[0]
