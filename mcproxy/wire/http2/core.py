"""The state of one HTTP/2 connection that both engines share, and what they do with it when frames arrive.

All of it is a record per open stream: how far each side has come, and how many received bytes the owner has not consumed.
Whatever can be decided on that record, or written without the engine's own state (GOAWAY), is decided and written here and
in :mod:`~.engine`, so that the engines cannot differ in it. A subclass adds framing, HPACK, flow control and the validation
of what it receives; it calls the ``_..._received`` methods with well-formed messages.

When a stream is gone, for whatever reason, the connection's credit for what nobody consumed is given back at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from struct import Struct

import msgspec

from mcproxy.wire.http2.events import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Data,
    Event,
    Fatal,
    GoAway,
    Grant,
    Headers,
    HeadersTooLarge,
    Informational,
    Limits,
    PeerSettings,
    Refused,
    Request,
    Reset,
    Response,
    Trailers,
)
from mcproxy.wire.http2.gate import FrameGate
from mcproxy.wire.http2.headers import exceeded_limit, host_differs
from mcproxy.wire.http2.last_list import LastList

# SETTINGS identifiers (RFC 9113 section 6.5.2, RFC 8441 section 3).
ENABLE_PUSH = 0x2
MAX_CONCURRENT_STREAMS = 0x3
INITIAL_WINDOW_SIZE = 0x4
MAX_HEADER_LIST_SIZE = 0x6
ENABLE_CONNECT_PROTOCOL = 0x8

DEFAULT_WINDOW = 65_535
UNLIMITED_STREAMS = 2**31 - 1
ASSUMED_STREAMS = 100  # until the peer's SETTINGS are known; section 6.5.2 recommends to allow as much
HIGHEST_STREAM = 2**31 - 1

TABLE = 4_096  # bytes of the dynamic table of a peer's header blocks (RFC 9113 section 6.5.2); no other size is offered

_goaway_frame = Struct(">HBBBLLL").pack

IDLE, OPEN, ENDED = range(3)

_MAX_INFORMATIONAL = 100  # a backend that only ever says "wait" is at fault


class Stream(msgspec.Struct, gc=False, eq=False):
    """One open stream.

    Attributes:
        local: IDLE before our headers, OPEN while more may be sent, ENDED after.
        remote: the same of the peer's side.
        unconsumed: bytes told in Data events and not consumed yet.
        wide: whether the peer may send a whole ``stream_window`` on it.
        window: what the peer may send ahead on it since that has grown; 0 before, negative once it may not grow any more.
        taken: bytes consumed since the window has grown last.
        swallow: whether the rest of what the peer sends is thrown away.
        interim: interim responses received.
    """

    local: int
    remote: int
    unconsumed: int = 0
    wide: bool = True
    swallow: bool = False
    interim: int = 0
    window: int = 0
    taken: int = 0


class Core(ABC):
    """One end's state.

    Args:
        client: whether this end opens streams.
        limits: what the peer may ask.
        connect_protocol: whether a server announces extended CONNECT (RFC 8441).

    Attributes:
        awaits_headers: whether the peer owes us bytes: its preface and SETTINGS, or the rest of a header block.
        blocked: the streams that have bytes which flow control holds back.
        pending: whether received bytes wait here for the next turn: `feed` again, with nothing if nothing more has come.
    """

    blocked: Mapping[int, object]

    __slots__ = (
        "_backlog",
        "_client",
        "_connect_protocol",
        "_dirty",
        "_few",
        "_first_window",
        "_gate",
        "_grows",
        "_last_list",
        "_last_request",
        "_limits",
        "_out",
        "_over",
        "_peer_connect",
        "_peer_gone",
        "_peer_max_streams",
        "_refuse_above",
        "_streams",
        "_turned_away",
        "_wide",
        "awaits_headers",
        "pending",
    )

    def __init__(self, *, client: bool, limits: Limits, connect_protocol: bool = False) -> None:
        self._client = client
        self._limits = limits
        self._connect_protocol = connect_protocol and not client
        self._gate = FrameGate(limits, server=not client)
        self._streams: dict[int, Stream] = {}
        self._out: list[bytes] = []
        self._backlog: list[Event] = []
        self._dirty = True  # the preface and SETTINGS wait
        self._over = False
        self.awaits_headers = True
        self.pending = False
        # So many fields are within the limits if they come in a short block: each is at most as large as the whole table, and what
        # the block itself has of them, all together, at most as large again.
        self._few = min(limits.header_count, limits.header_bytes // TABLE - 1)
        self._last_list = LastList(limits)
        self._last_request = 0
        self._refuse_above = HIGHEST_STREAM
        self._turned_away = 0  # the last stream that was refused because of our GOAWAY
        self._peer_gone = False
        self._peer_max_streams = ASSUMED_STREAMS
        self._peer_connect = False
        self._first_window = min(limits.first_window or limits.stream_window, limits.stream_window)
        self._grows = not client and limits.grown_window > limits.stream_window
        self._wide = self._first_window == limits.stream_window
        settings = {INITIAL_WINDOW_SIZE: self._first_window, MAX_HEADER_LIST_SIZE: limits.header_bytes}
        if client:
            settings[ENABLE_PUSH] = 0
        else:
            settings[MAX_CONCURRENT_STREAMS] = limits.concurrent_streams
            if connect_protocol:
                settings[ENABLE_CONNECT_PROTOCOL] = 1
        self._start(settings)

    # -- what came from the wire ------------------------------------------------------------------------

    def _request_received(self, stream: int, headers: Headers, events: list[Event], *, end: bool) -> None:
        """Tell a well-formed request, unless it must be refused."""
        if stream > self._refuse_above:
            self._dirty = True
            self._turned_away = stream
            self._gate.refused(stream)
            self._submit_reset(stream, REFUSED_STREAM)
            return
        self._last_request = stream
        record = self._streams[stream] = Stream(IDLE, ENDED if end else OPEN)
        path = self._last_list.repeated(headers)
        if path or self._last_list.take(headers):
            events.append(Request(stream, headers, end, path))
            return
        limit = exceeded_limit(headers, self._limits)
        if limit:
            record.swallow = True
            events.append(HeadersTooLarge(stream, limit, headers))
        elif host_differs(headers):
            self._fail(stream, record, PROTOCOL_ERROR)
            events.append(Refused(stream))
        else:
            events.append(Request(stream, headers, end))

    def _response_received(self, stream: int, headers: Headers, events: list[Event], *, end: bool) -> None:
        """Tell a well-formed final response."""
        record = self._streams.get(stream)
        if record is None or record.swallow:
            return
        record.remote = ENDED if end else OPEN
        if len(headers) <= self._few and self._gate.short_blocks:
            events.append(Response(stream, headers, end))  # by far the most
            return
        limit = exceeded_limit(headers, self._limits)
        if limit:
            record.swallow = True
            events.append(HeadersTooLarge(stream, limit, headers))
        else:
            events.append(Response(stream, headers, end))

    def _interim_received(self, stream: int, headers: Headers, events: list[Event]) -> None:
        """Tell a well-formed interim response."""
        record = self._streams.get(stream)
        if record is None or record.swallow:
            return
        record.interim += 1
        if record.interim > _MAX_INFORMATIONAL:
            self._fail(stream, record, ENHANCE_YOUR_CALM)
            events.append(Reset(stream, ENHANCE_YOUR_CALM, remote=False))
            return
        limit = exceeded_limit(headers, self._limits)
        if limit:
            record.swallow = True
            events.append(HeadersTooLarge(stream, limit, headers))
        else:
            events.append(Informational(stream, headers))

    def _trailers_received(self, stream: int, headers: Headers, events: list[Event]) -> None:
        """Tell well-formed trailers."""
        record = self._streams.get(stream)
        if record is None:
            return
        record.remote = ENDED
        if record.swallow:
            return
        limit = exceeded_limit(headers, self._limits)
        if limit:
            self._fail(stream, record, ENHANCE_YOUR_CALM)
            events.append(Reset(stream, ENHANCE_YOUR_CALM, remote=False, limit=limit))
        else:
            events.append(Trailers(stream, headers))

    def _data_received(self, stream: int, data: bytes, events: list[Event], *, end: bool) -> None:
        """Tell a part of a body, or give its credit back when nobody wants it."""
        record = self._streams.get(stream)
        if record is None or record.swallow:
            if data:
                self._submit_credit(stream, len(data))
            if end and record is not None:
                record.remote = ENDED
            return
        if end:
            record.remote = ENDED
        elif not data:
            return
        record.unconsumed += len(data)
        events.append(Data(stream, data, end))

    def _reset_received(self, stream: int, code: int, events: list[Event]) -> None:
        """Tell the peer's RST_STREAM."""
        record = self._streams.pop(stream, None)
        if record is not None:
            self._release(stream, record)
            events.append(Reset(stream, code, remote=True))

    def _settings_received(self, settings: dict[int, int], events: list[Event]) -> None:
        """Tell the peer's SETTINGS; a limit it never named does not exist."""
        maximum = settings.get(MAX_CONCURRENT_STREAMS)
        if maximum is not None:
            self._peer_max_streams = min(maximum, UNLIMITED_STREAMS)
        elif not self._settings_known():
            self._peer_max_streams = UNLIMITED_STREAMS
        if ENABLE_CONNECT_PROTOCOL in settings:
            self._peer_connect = settings[ENABLE_CONNECT_PROTOCOL] == 1
        events.append(PeerSettings(self._peer_max_streams, self._peer_connect))

    def _goaway_received(self, event: GoAway, events: list[Event]) -> None:
        """Tell the peer's GOAWAY, and give up the streams it leaves out (RFC 9113 section 6.8)."""
        self._peer_gone = True
        events.append(event)
        if self._client:
            for stream in [stream for stream in self._streams if stream > event.last_stream]:
                self._abandon(stream, self._streams[stream], CANCEL)
                events.append(Reset(stream, REFUSED_STREAM, remote=True))

    # -- ends -------------------------------------------------------------------------------------------

    def _fail(self, stream: int, record: Stream, code: int) -> None:
        """Reset a stream for the peer's fault, and forget it."""
        self._gate.failed(stream)
        self._abandon(stream, record, code)

    def _abandon(self, stream: int, record: Stream, code: int) -> None:
        """Reset a stream and forget it."""
        del self._streams[stream]
        self._dirty = True
        self._gate.streams.closed(stream)
        self._submit_reset(stream, code)
        self._release(stream, record)

    def _release(self, stream: int, record: Stream) -> None:
        """Give back the connection's credit for what was never consumed of a stream that is gone."""
        if record.unconsumed:
            self._dirty = True
            self._submit_credit(stream, record.unconsumed)

    def _die(self, fatal: Fatal, events: list[Event], *, drain: bool = True) -> None:
        """End the connection for the peer's fault; without ``drain`` the engine's own output is lost already."""
        events.append(fatal)
        self._end(fatal.code, drain=drain)

    def _end(self, code: int, *, drain: bool) -> None:
        if drain:
            self._drain()
        self._out.append(_goaway_frame(0, 8, 7, 0, 0, self._last_request, code))
        self._finish()

    def _finish(self) -> None:
        """Stop: the last bytes are in the output."""
        self._over = True
        self._dirty = self.pending = False
        self._streams.clear()

    def _write_goaway(self, last: int, code: int) -> None:
        self._drain()
        self._out.append(_goaway_frame(0, 8, 7, 0, 0, last, code))

    # -- what an engine does --------------------------------------------------------------------------------------------

    @abstractmethod
    def _start(self, settings: dict[int, int]) -> None:
        """Set the engine up, with the preface and these settings as its first output."""

    @abstractmethod
    def _receive(self, frames: Sequence[bytes | memoryview], events: list[Event]) -> None:
        """Take whole frames, the preface among them, up to the first that ends the connection."""

    def _receive_grant(self, grant: Grant, events: list[Event]) -> None:
        """Take a large WINDOW_UPDATE of a stream."""
        self._receive((grant.frame,), events)

    @abstractmethod
    def _settle(self, events: list[Event]) -> None:
        """After the last piece of a chunk: frame what larger windows allow, and tell Writable."""

    @abstractmethod
    def _drain(self) -> None:
        """Move the engine's output to ``_out``."""

    @abstractmethod
    def _reap(self) -> None:
        """Forget the streams that closed when their last bytes were framed."""

    @abstractmethod
    def _queued(self, stream: int) -> int: ...

    @abstractmethod
    def _held(self) -> int: ...

    @abstractmethod
    def _settings_known(self) -> bool:
        """Whether the peer's SETTINGS came before."""

    @abstractmethod
    def _submit_request(self, headers: Headers, *, end: bool) -> int | None: ...

    @abstractmethod
    def _submit_response(self, stream: int, headers: Headers, *, end: bool) -> None: ...

    @abstractmethod
    def _submit_interim(self, stream: int, headers: Headers) -> None: ...

    @abstractmethod
    def _submit_data(self, stream: int, data: bytes, *, end: bool) -> None: ...

    @abstractmethod
    def _submit_trailers(self, stream: int, headers: Headers) -> None: ...

    @abstractmethod
    def _submit_reset(self, stream: int, code: int) -> None: ...

    @abstractmethod
    def _submit_ping(self) -> None: ...

    @abstractmethod
    def _submit_credit(self, stream: int, amount: int) -> None: ...

    @abstractmethod
    def _submit_window(self, stream: int, size: int, before: int) -> None:
        """Raise a stream's receive window to a size."""
