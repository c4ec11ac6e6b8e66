"""The frame gate: every inbound byte passes it before an engine sees it.

The gate walks frame headers (RFC 9113 section 4.1) and nothing deeper, so it costs a fraction of a microsecond a frame. It
does what the engines leave out, once and alike for both:

- it lets only whole frames through, and one at a time: so an engine never holds half of a DATA frame when its stream is
  reset, tells the error of one frame before it sees the next, and gives the same events for any chunking of the input;
- it counts the frames that are cheap to send and dear to receive, against :class:`~.events.Limits`, and with them the stream
  errors that the engine finds: a peer that makes us reset a stream is limited like one that resets it;
- it knows which streams the peer may still send on, and so catches frames on closed streams, ids that go backwards and
  idle streams. A stream that *we* reset is tolerated for a while: what the peer had in flight is no fault of its;
- it hands over a bounded amount of work at a time, by a price per kind of frame, and keeps the rest for the next `feed`: so
  the frames of one peer, however small, do not hold up the other connections of the process;
- it takes GOAWAY frames out, since engines disagree about what one means for open streams, and hands over WINDOW_UPDATE
  frames one by one that may make a stream's window too large, since one engine ends the whole connection for it.
"""

from struct import Struct

from mcproxy.wire.http2.events import (
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    Fatal,
    GoAway,
    Grant,
    Limits,
)
from mcproxy.wire.http2.floods import Floods, flood
from mcproxy.wire.http2.peer_streams import SENDING, WAITING, PeerStreams
from mcproxy.wire.opening import PREFACE

MAX_FRAME = 16_384  # the protocol's default for SETTINGS_MAX_FRAME_SIZE, which we never raise

_header = Struct(">HBBBL").unpack_from  # length (16 high bits, 8 low bits), type, flags, stream id
_uint32 = Struct(">L").unpack_from
_goaway = Struct(">LL").unpack_from

_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = (
    range(10)
)
_END_STREAM = _ACK = 0x1
_END_HEADERS, _PADDED, _HAS_PRIORITY = 0x4, 0x8, 0x20
_WHOLE_REQUEST = _END_STREAM | _END_HEADERS  # one without a body
_WHOLE_WITH_PRIORITY = _WHOLE_REQUEST | _HAS_PRIORITY  # as browsers send it
_LARGE_GRANT = 0x40  # in the first byte of a WINDOW_UPDATE's increment: 2^30 or more

# What one `feed` may hand over, in units of some 2 microseconds for the whole way of a frame through the process.
_WORK = 512
_REQUEST_COST = 16  # HEADERS of a client, and a reset, which may cancel what they began
_DATA_COST = 3  # of a client
# Of a backend; less than a page of small responses, whose heads may come ahead of all bodies, so that none of them is split.
_RESPONSE_COST, _RESET_COST, _BODY_COST = 1, 2, 2

SHORT_BLOCK = 2_048
"""Bytes of a short header block; Huffman coding makes at most 8/5 times as many of its literals."""


Piece = bytes | memoryview | GoAway | Grant


class FrameGate:
    """One connection's inbound side.

    Args:
        limits: the limits to count against.
        server: whether the peer is a client: it sends the preface and opens streams.

    Attributes:
        floods: the counts.
        frames_only: whether the last `feed` has returned nothing but frames (and the preface).
        short_blocks: whether all header blocks in them are of at most `SHORT_BLOCK` bytes.
        streams: which streams the peer may send on.
        violation: what a stream error that was noted has led to, if that is the end of the connection.
    """

    __slots__ = (
        "_block",
        "_continuations",
        "_empty",
        "_expect",
        "_first",
        "_held",
        "_limits",
        "_max_known",
        "_needed",
        "_now",
        "_rest",
        "_server",
        "floods",
        "frames_only",
        "pending",
        "short_blocks",
        "streams",
        "violation",
    )

    def __init__(self, limits: Limits, *, server: bool) -> None:
        self._limits = limits
        self._server = server
        self._expect = PREFACE if server else b""
        self._first = True
        self._held = bytearray()
        self._needed = 0
        self.streams = PeerStreams(limits)
        self._block = 0
        self._continuations = 0
        self._empty = 0
        self.floods = Floods(limits)
        self._rest = memoryview(b"")  # received, and above the work of one feed
        self.pending = False
        self.frames_only = True
        self.short_blocks = True
        self._now = 0.0
        self.violation: Fatal | None = None
        self._max_known = 4 * limits.concurrent_streams + 100

    def feed(self, data: bytes | bytearray | memoryview, now: float) -> tuple[list[Piece], Fatal | None]:
        """Judge received bytes.

        Args:
            data: the bytes, in any chunking.
            now: a monotonic clock, seconds.

        Returns:
            What an engine may see, in order (the preface; whole frames; GOAWAY frames and large grants parsed), and the
            violation that comes after it, if any; the gate must not be fed again after one. When `pending` is true then,
            the gate holds more, and is to be fed again, with nothing if nothing more has come. HEADERS frames are `bytes`,
            since they are compared and looked into; others are views of ``data``.
        """
        pieces: list[Piece] = []
        self._now = now
        self.frames_only = self.short_blocks = True
        if self.pending:
            self.pending = False
            data = bytes(self._rest) + bytes(data) if data else self._rest
        if self._expect:
            expect = self._expect
            part = bytes(data[: len(expect)])
            if not expect.startswith(part):
                return pieces, Fatal(PROTOCOL_ERROR, "", "no HTTP/2 connection preface")
            self._expect = expect[len(part) :]
            if self._expect:
                return pieces, None
            pieces.append(PREFACE)
            data = memoryview(data)[len(part) :]
        held = self._held
        while held:
            if len(held) + len(data) < self._needed:
                held += data
                return pieces, None
            # Only the frame that was cut is put together; the rest of the chunk is walked where it lies.
            part_length = self._needed - len(held)
            held += data[:part_length]
            data = memoryview(data)[part_length:]
            whole = bytes(held)
            held.clear()
            end, violation = self._walk(whole, pieces, now)
            if violation is not None:
                return pieces, violation
            if end < len(whole):  # it was only the frame's header that was complete
                held += whole
        end, violation = self._walk(data, pieces, now)
        if violation is None and end < len(data):
            if self._needed:
                held += data[end:]
            else:
                self._rest = memoryview(data)[end:]
                self.pending = True
        return pieces, violation

    @property
    def untouched(self) -> bool:
        """Whether not a byte of the client's preface has come."""
        return len(self._expect) == len(PREFACE)

    def awaits_headers(self) -> bool:
        """Whether the first SETTINGS, or the end of a header block, has not come yet."""
        return self._first or self._block != 0

    def opened(self, stream: int) -> None:
        """Note a stream of our own: the peer may send on it."""
        self.streams.open[stream] = SENDING
        self.streams.highest = stream

    def answered(self, stream: int) -> None:
        """Note that a response was begun: a later reset of this stream is ordinary."""
        streams = self.streams.open
        if streams.pop(stream, 0) & SENDING:
            streams[stream] = SENDING
        floods = self.floods
        if floods.owing:
            floods.answered()

    def blame(self, stream: int) -> None:
        """Count that the peer has made us break a stream off, as if it had done so itself.

        A backend's errors are not counted: each of them answers a request of ours.
        """
        if self._server and self.violation is None:
            waiting = self.streams.open.get(stream, 0) & WAITING != 0
            self.violation = self.floods.reset(self._now, waiting=waiting)

    def failed(self, stream: int) -> None:
        """Note that we have reset a stream for an error of the peer's."""
        self.blame(stream)
        self.streams.closed(stream)

    def refused(self, stream: int) -> None:
        """Note that we have refused a new stream: there were too many, or a GOAWAY was sent."""
        self.violation = self.violation or self.floods.refused()
        self.streams.closed(stream)

    def _walk(self, data: bytes | bytearray | memoryview, pieces: list[Piece], now: float) -> tuple[int, Fatal | None]:
        """Walk frame headers from the start of ``data``; return how far, and a violation.

        Where it stops short of the end, ``_needed`` tells why: the length of the frame that is cut there, or 0 when the
        work for one turn is done.
        """
        position = 0
        end = len(data)
        view: memoryview | None = None
        work = _WORK
        server = self._server
        head_cost, reset_cost, data_cost = _REQUEST_COST, _REQUEST_COST, _DATA_COST
        if not server:
            head_cost, reset_cost, data_cost = _RESPONSE_COST, _RESET_COST, _BODY_COST
        peer = self.streams
        streams = peer.open
        violation: Fatal | None = None
        while end - position >= 9:
            if work <= 0:
                self._needed = 0
                break
            high, low, kind, flags, stream = _header(data, position)
            length = high << 8 | low
            after = position + 9 + length
            if length > MAX_FRAME:
                violation = Fatal(FRAME_SIZE_ERROR, "", "frame longer than SETTINGS_MAX_FRAME_SIZE")
                break
            if self._first:
                if kind != _SETTINGS or flags & _ACK:
                    violation = Fatal(PROTOCOL_ERROR, "", "first frame is not SETTINGS")
                    break
                if after <= end:
                    self._first = False
            if after > end:
                self._needed = 9 + length
                break
            stream &= 0x7FFFFFFF
            if self._block and (kind != _CONTINUATION or stream != self._block):
                violation = Fatal(PROTOCOL_ERROR, "", "header block not continued")
                break
            work -= 1
            if kind == _DATA:
                work -= data_cost
                state = streams.get(stream, 0)
                if not state & SENDING:
                    violation = peer.not_sending(stream)
                    if violation is not None:
                        break
                if flags & _END_STREAM:
                    if state == SENDING:
                        del streams[stream]
                    else:
                        peer.ended(stream, state)
                elif length == 0 or (flags & _PADDED and data[position + 9] + 1 >= length):
                    violation = self._count_empty()
                    if violation is not None:
                        break
                else:
                    self._empty = 0
            elif kind == _HEADERS:
                work -= head_cost
                if length > SHORT_BLOCK:
                    self.short_blocks = False
                usual = flags == _WHOLE_REQUEST or (
                    flags == _WHOLE_WITH_PRIORITY
                    and length >= 5
                    and _uint32(data, position + 9)[0] & 0x7FFFFFFF != stream
                )
                if usual and server and stream & 1 and stream == peer.highest + 2 and len(streams) < self._max_known:
                    peer.highest = stream  # as `_headers` would note it
                    streams[stream] = WAITING
                elif flags != _END_HEADERS or not streams.get(stream, 0) & SENDING:  # else there is nothing to note
                    violation = self._headers(data, position, length, flags, stream)
                    if violation is not None:
                        break
                frame = data[position:after]
                pieces.append(frame if isinstance(frame, bytes) else bytes(frame))
                position = after
                continue
            elif kind == _GOAWAY:
                if stream or length < 8:
                    violation = Fatal(FRAME_SIZE_ERROR if length < 8 else PROTOCOL_ERROR, "", "malformed GOAWAY")
                    break
                last, code = _goaway(data, position + 9)
                self.frames_only = False
                pieces.append(GoAway(last & 0x7FFFFFFF, code, bytes(data[position + 17 : after])))
                position = after
                continue
            elif kind == _WINDOW_UPDATE:
                violation = self.floods.idle()
                if violation is not None:
                    break
                if stream and length == 4 and data[position + 9] & _LARGE_GRANT:
                    increment = _uint32(data, position + 9)[0] & 0x7FFFFFFF
                    self.frames_only = False
                    pieces.append(Grant(stream, increment, bytes(data[position:after])))
                    position = after
                    continue
            else:
                if kind == _RST_STREAM:
                    work -= reset_cost
                violation = self._control(kind, flags, stream, bytes(data[position + 9 : after]), now)
                if violation is not None:
                    break
            if view is None:
                view = memoryview(data)
            pieces.append(view[position:after])
            position = after
        else:
            self._needed = 9
        return position, violation

    def _headers(
        self, data: bytes | bytearray | memoryview, position: int, length: int, flags: int, stream: int
    ) -> Fatal | None:
        """Judge a HEADERS frame: a new stream, an interim or final response, or trailers."""
        peer = self.streams
        streams = peer.open
        state = streams.get(stream, 0)
        if not state & SENDING:
            if self._server and stream > peer.highest:
                if not stream & 1:
                    return Fatal(PROTOCOL_ERROR, "", "client opened a stream with an even id")
                if stream != peer.highest + 2 and stream != 1:
                    peer.skip(peer.highest + 1, stream)
                if len(streams) >= self._max_known:
                    return Fatal(ENHANCE_YOUR_CALM, "concurrent_streams", "too many streams")
                peer.highest = stream
                streams[stream] = state = SENDING | WAITING
            else:
                violation = peer.not_sending(stream)
                if violation is not None:
                    return violation
        if flags & _END_STREAM:
            peer.ended(stream, state)
        if flags & _HAS_PRIORITY:
            offset = position + 9 + (1 if flags & _PADDED else 0)
            if length >= 5 + (1 if flags & _PADDED else 0) and _uint32(data, offset)[0] & 0x7FFFFFFF == stream:
                return Fatal(PROTOCOL_ERROR, "", "stream depends on itself")
        if not flags & _END_HEADERS:
            self._block = stream
            self._continuations = 0
            if length == 0:
                return self._count_empty()
        return None

    def _control(self, kind: int, flags: int, stream: int, payload: bytes, now: float) -> Fatal | None:
        """Judge a frame that is neither of a message nor WINDOW_UPDATE nor GOAWAY."""
        if kind == _RST_STREAM:
            if stream > self.streams.highest:
                return Fatal(PROTOCOL_ERROR, "", "RST_STREAM on an idle stream")
            self.streams.tolerated.pop(stream, None)
            return self.floods.reset(now, waiting=self.streams.open.pop(stream, 0) & WAITING != 0)
        if kind == _CONTINUATION:
            if not self._block:
                return Fatal(PROTOCOL_ERROR, "", "CONTINUATION without a header block")
            self.short_blocks = False
            self._continuations += 1
            if self._continuations > self._limits.continuation_frames:
                return flood("continuation_frames")
            if flags & _END_HEADERS:
                self._block = 0
            elif not payload:
                return self._count_empty()
        elif kind == _PING:
            return self.floods.ping(now)
        elif kind == _SETTINGS:
            if flags & _ACK and payload:
                return Fatal(FRAME_SIZE_ERROR, "", "SETTINGS acknowledgement with a payload")
            return self.floods.settings(now)
        elif kind == _PRIORITY:
            if stream == 0:
                return Fatal(PROTOCOL_ERROR, "", "PRIORITY on stream 0")
            if len(payload) == 5 and _uint32(payload)[0] & 0x7FFFFFFF == stream:
                return Fatal(PROTOCOL_ERROR, "", "stream depends on itself")
            return self.floods.idle()
        elif kind == _PUSH_PROMISE:
            return Fatal(PROTOCOL_ERROR, "", "PUSH_PROMISE, which nobody allowed")
        else:  # a type that nobody knows is ignored (RFC 9113 section 4.1)
            return self.floods.idle()
        return None

    def _count_empty(self) -> Fatal | None:
        self._empty += 1
        return flood("empty_frames") if self._empty > self._limits.empty_frames else None
