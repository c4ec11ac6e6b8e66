"""One HTTP/2 connection, sans-I/O: what both engines have in common.

An :class:`Engine` is fed with received bytes and the time, returns events, and collects what is to be written until
``output`` is called. All of this module's own state is a record per open stream: how far each side has come, and how many
received bytes the owner has not consumed. Whatever can be decided on that record, or written without the engine's state
(GOAWAY), is decided and written here, so that the engines cannot differ in it; a subclass adds framing, HPACK, flow control
and the validation of what it receives.

When a stream is gone, for whatever reason, the connection's credit for what nobody consumed is given back at once, and every
later call about it does nothing: the owner need not know whether its last call or the peer's reset came first.

Events are born in ``feed`` alone. ``send`` frames what the windows allow before it returns, so ``queued`` is exact and a
stream with nothing queued will never announce :class:`~.events.Writable`.
"""

from abc import ABC, abstractmethod
from struct import Struct

from mcproxy.wire.http2.events import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Data,
    Event,
    Fatal,
    GoAway,
    Headers,
    HeadersTooLarge,
    Informational,
    Limits,
    PeerSettings,
    Request,
    Reset,
    Response,
    Trailers,
)
from mcproxy.wire.http2.gate import Gate
from mcproxy.wire.http2.headers import (
    InvalidHeaders,
    check_request,
    check_response,
    check_trailers,
    exceeded_limit,
    host_differs,
)

# SETTINGS identifiers (RFC 9113 section 6.5.2, RFC 8441 section 3).
ENABLE_PUSH = 0x2
MAX_CONCURRENT_STREAMS = 0x3
INITIAL_WINDOW_SIZE = 0x4
MAX_HEADER_LIST_SIZE = 0x6
ENABLE_CONNECT_PROTOCOL = 0x8

DEFAULT_WINDOW = 65_535
UNLIMITED_STREAMS = 2**31 - 1
ASSUMED_STREAMS = (
    100  # what a peer surely takes before its SETTINGS are known (RFC 9113 section 6.5.2 recommends as much)
)
_HIGHEST_STREAM = 2**31 - 1

_goaway_frame = Struct(">HBBBLLL").pack

IDLE, OPEN, ENDED = range(3)


class MisuseError(RuntimeError):
    """The owner broke the order of calls (a response twice, data after the end); the connection is as it was."""


class Stream:
    """One open stream.

    Attributes:
        local: IDLE before our headers, OPEN while more may be sent, ENDED after.
        remote: the same of the peer's side.
        unconsumed: bytes told in Data events and not consumed yet.
        swallow: whether the rest of what the peer sends is thrown away.
    """

    __slots__ = ("local", "remote", "swallow", "unconsumed")

    def __init__(self, local: int, remote: int) -> None:
        self.local = local
        self.remote = remote
        self.unconsumed = 0
        self.swallow = False


class Engine(ABC):
    """One end of an HTTP/2 connection.

    Args:
        client: whether this end opens streams.
        limits: what the peer may ask.
        connect_protocol: whether a server announces extended CONNECT (RFC 8441).
    """

    __slots__ = (
        "_backlog",
        "_client",
        "_connect_protocol",
        "_dirty",
        "_gate",
        "_last_request",
        "_limits",
        "_max_streams",
        "_out",
        "_over",
        "_peer_connect",
        "_peer_gone",
        "_peer_max_streams",
        "_refuse_above",
        "_streams",
    )

    def __init__(self, *, client: bool, limits: Limits, connect_protocol: bool = False) -> None:
        self._client = client
        self._limits = limits
        self._connect_protocol = connect_protocol and not client
        self._gate = Gate(limits, server=not client)
        self._streams: dict[int, Stream] = {}
        self._out: list[bytes] = []
        self._backlog: list[Event] = []
        self._dirty = True  # the preface and SETTINGS wait
        self._over = False
        self._last_request = 0
        self._refuse_above = _HIGHEST_STREAM
        self._max_streams = limits.concurrent_streams
        self._peer_gone = False
        self._peer_max_streams = ASSUMED_STREAMS
        self._peer_connect = False
        settings = {INITIAL_WINDOW_SIZE: limits.stream_window, MAX_HEADER_LIST_SIZE: limits.header_bytes}
        if client:
            settings[ENABLE_PUSH] = 0
        else:
            settings[MAX_CONCURRENT_STREAMS] = limits.concurrent_streams
            if connect_protocol:
                settings[ENABLE_CONNECT_PROTOCOL] = 1
        self._start(settings)

    # -- what the owner asks ------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the connection is over: write what ``output`` still gives, then close the transport.

        True after a Fatal event or ``abort``, and after a GOAWAY of either side once no stream is open.
        """
        if self._over:
            return True
        if not self._peer_gone and self._refuse_above == _HIGHEST_STREAM:
            return False
        return self.streams == 0

    @property
    def streams(self) -> int:
        """Streams that are open in either direction."""
        if self._streams:
            self._reap()
        return len(self._streams)

    @property
    def peer_max_streams(self) -> int:
        """Streams the peer lets a client have open at once."""
        return self._peer_max_streams

    @property
    def peer_connect_protocol(self) -> bool:
        """Whether the peer has announced extended CONNECT (RFC 8441)."""
        return self._peer_connect

    def queued(self, stream: int) -> int:
        """Return the bytes of a stream that were given to ``send`` and are held back by flow control."""
        return self._queued(stream) if stream in self._streams else 0

    # -- in and out ---------------------------------------------------------------------------------------------------

    def feed(self, data: bytes | bytearray | memoryview, now: float) -> list[Event]:
        """Take received bytes.

        Args:
            data: the bytes; not kept.
            now: a monotonic clock, seconds.

        Returns:
            What they meant, in the order of the wire, Writable last. Never raises, whatever the bytes are; after the end
            of the connection (:class:`~.events.Fatal`, ``abort``) they are ignored.
        """
        over = self._over
        if over:
            return []
        if self._dirty:
            self._drain()  # what was asked for before these bytes came goes out whatever they are
        events = self._backlog
        self._backlog = []
        pieces, violation = self._gate.feed(data, now)
        for piece in pieces:
            if isinstance(piece, GoAway):
                self._settle(events)
                if not self._over:
                    self._goaway_received(piece, events)
            else:
                self._receive(piece, events)
            if self._over:
                return events
        self._settle(events)  # also tells a violation that the engine has found: it came before the gate's
        if violation is not None and not self._over:
            self._die(violation, events)
        return events

    def output(self) -> bytes:
        """Return everything that is to be written, and forget it. To be called once per turn of the event loop."""
        if self._dirty:
            self._drain()
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    # -- messages -----------------------------------------------------------------------------------------------------

    def open(self, headers: Headers, *, end: bool = False) -> int | None:
        """Send a request.

        Args:
            headers: pseudo-header fields first, names in lower case.
            end: whether there is no body.

        Returns:
            The new stream, or None when the peer's stream limit is reached or the connection takes no more (GOAWAY).

        Raises:
            InvalidHeaders: the list is malformed, or asks for extended CONNECT that the peer has not announced.
            MisuseError: this end is a server.
        """
        if not self._client:
            raise MisuseError("a server opens no streams")
        problem = check_request(headers)
        if not problem and not self._peer_connect and headers[0] == (b":method", b"CONNECT"):
            problem = _unannounced(headers)
        if problem:
            raise InvalidHeaders(problem)
        if self._over or self._peer_gone or self._refuse_above != _HIGHEST_STREAM:
            return None
        if len(self._streams) >= self._peer_max_streams:
            self._reap()
            if len(self._streams) >= self._peer_max_streams:
                return None
        stream = self._submit_request(headers, end=end)
        if stream is None:
            return None
        self._dirty = True
        self._streams[stream] = Stream(ENDED if end else OPEN, IDLE)
        self._gate.opened(stream)
        return stream

    def respond(self, stream: int, headers: Headers, *, end: bool = False) -> None:
        """Send the final response's headers.

        Args:
            stream: the request's stream.
            headers: ``:status`` first, names in lower case.
            end: whether there is no body.

        Raises:
            InvalidHeaders: the list is malformed.
            MisuseError: there was a response already, or this end is a client.
        """
        record = self._streams.get(stream)
        if record is None:
            return
        if record.local != IDLE:
            raise MisuseError("the response was sent before")
        problem = check_response(headers, interim=False)
        if problem:
            raise InvalidHeaders(problem)
        record.local = ENDED if end else OPEN
        self._dirty = True
        self._gate.answered(stream)
        self._submit_response(stream, headers, end=end)

    def inform(self, stream: int, headers: Headers) -> None:
        """Send an interim response (1xx).

        Raises:
            InvalidHeaders: the list is malformed.
            MisuseError: the final response was sent before, or this end is a client.
        """
        record = self._streams.get(stream)
        if record is None:
            return
        if record.local != IDLE:
            raise MisuseError("an interim response after the final one")
        problem = check_response(headers, interim=True)
        if problem:
            raise InvalidHeaders(problem)
        self._dirty = True
        self._submit_interim(stream, headers)

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send a part of a body: framed now as far as the windows allow, the rest is queued.

        Args:
            stream: the stream.
            data: bytes, or nothing when only the end is to be told.
            end: whether this was the last part, and no trailers follow.

        Raises:
            MisuseError: the headers were not sent yet, or the message has ended.
        """
        record = self._streams.get(stream)
        if record is None:
            return
        if record.local != OPEN:
            raise MisuseError("no message is open on this stream")
        if end:
            record.local = ENDED
        elif not data:
            return
        self._submit_data(stream, data, end=end)

    def trailers(self, stream: int, headers: Headers) -> None:
        """Send the fields that end a message, after what is queued of its body.

        Raises:
            InvalidHeaders: the list is malformed.
            MisuseError: the headers were not sent yet, or the message has ended.
        """
        record = self._streams.get(stream)
        if record is None:
            return
        if record.local != OPEN:
            raise MisuseError("no message is open on this stream")
        problem = check_trailers(headers)
        if problem:
            raise InvalidHeaders(problem)
        record.local = ENDED
        self._dirty = True
        if headers:
            self._submit_trailers(stream, headers)
        else:
            self._submit_data(stream, b"", end=True)

    def consumed(self, stream: int, amount: int) -> None:
        """Give back credit for received bytes, on the stream and on the connection.

        Args:
            stream: the stream.
            amount: bytes, at most as many as its Data events told and were not given back yet.

        Raises:
            MisuseError: ``amount`` is more than that.
        """
        record = self._streams.get(stream)
        if record is None or not amount:
            return
        if not 0 < amount <= record.unconsumed:
            raise MisuseError(f"{amount} bytes consumed of {record.unconsumed}")
        record.unconsumed -= amount
        self._dirty = True
        self._submit_credit(stream, amount)

    def reset(self, stream: int, code: int = CANCEL) -> None:
        """End a stream at once (RST_STREAM). What was framed before still goes out, what is queued does not."""
        record = self._streams.get(stream)
        if record is None:
            return
        self._drain()  # a queued response is dropped by the reset that follows it
        if record.local == ENDED and record.remote == ENDED and not self._queued(stream):
            self._reap()  # all is said: both sides have closed the stream, a reset would be one frame too much
            return
        self._abandon(stream, record, code)

    # -- the connection -----------------------------------------------------------------------------------------------

    def set_max_streams(self, maximum: int) -> None:
        """Change how many streams the client may have open (RFC 9113 section 5.1.2)."""
        if self._over or self._client or maximum == self._max_streams:
            return
        self._max_streams = maximum
        self._dirty = True
        self._submit_max_streams(maximum)

    def shutdown_notice(self) -> None:
        """Tell a client that a GOAWAY will come: it should open no more streams, those on their way are still taken."""
        if not (self._over or self._client or self._refuse_above != _HIGHEST_STREAM):
            self._write_goaway(_HIGHEST_STREAM, NO_ERROR)

    def goaway(self, code: int = NO_ERROR) -> None:
        """Take no more streams, and finish the open ones; ``closed`` tells when that is done."""
        if self._over:
            return
        self._refuse_above = self._last_request
        self._write_goaway(self._last_request, code)

    def abort(self, code: int = NO_ERROR) -> None:
        """End the connection now: GOAWAY, and nothing after it."""
        if not self._over:
            self._end(code, drain=True)

    # -- for subclasses: what came from the wire ------------------------------------------------------------------------

    def _request_received(self, stream: int, headers: Headers, events: list[Event], *, end: bool) -> None:
        """Tell a well-formed request, unless it must be refused."""
        if stream > self._refuse_above:
            self._dirty = True
            self._gate.closed(stream)
            self._submit_reset(stream, REFUSED_STREAM)
            return
        self._last_request = stream
        record = self._streams[stream] = Stream(IDLE, ENDED if end else OPEN)
        limit = exceeded_limit(headers, self._limits)
        if limit:
            record.swallow = True
            events.append(HeadersTooLarge(stream, limit))
        elif host_differs(headers):
            self._abandon(stream, record, PROTOCOL_ERROR)
        else:
            events.append(Request(stream, headers, end))

    def _response_received(self, stream: int, headers: Headers, events: list[Event], *, end: bool) -> None:
        """Tell a well-formed final response."""
        record = self._streams.get(stream)
        if record is None or record.swallow:
            return
        record.remote = ENDED if end else OPEN
        limit = exceeded_limit(headers, self._limits)
        if limit:
            record.swallow = True
            events.append(HeadersTooLarge(stream, limit))
        else:
            events.append(Response(stream, headers, end))

    def _interim_received(self, stream: int, headers: Headers, events: list[Event]) -> None:
        """Tell a well-formed interim response."""
        record = self._streams.get(stream)
        if record is None or record.swallow:
            return
        limit = exceeded_limit(headers, self._limits)
        if limit:
            record.swallow = True
            events.append(HeadersTooLarge(stream, limit))
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
            self._abandon(stream, record, ENHANCE_YOUR_CALM)
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

    # -- for subclasses: ends -------------------------------------------------------------------------------------------

    def _abandon(self, stream: int, record: Stream, code: int) -> None:
        """Reset a stream and forget it."""
        del self._streams[stream]
        self._dirty = True
        self._gate.closed(stream)
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
        self._dirty = False
        self._streams.clear()

    def _write_goaway(self, last: int, code: int) -> None:
        self._drain()
        self._out.append(_goaway_frame(0, 8, 7, 0, 0, last, code))

    # -- what an engine does --------------------------------------------------------------------------------------------

    @abstractmethod
    def _start(self, settings: dict[int, int]) -> None:
        """Set the engine up, with the preface and these settings as its first output."""

    @abstractmethod
    def _receive(self, data: bytes | memoryview, events: list[Event]) -> None:
        """Take a run of whole frames."""

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
    def _submit_credit(self, stream: int, amount: int) -> None: ...

    @abstractmethod
    def _submit_max_streams(self, maximum: int) -> None: ...


def _unannounced(headers: Headers) -> str:
    return (
        "extended CONNECT, which the peer has not announced" if any(name == b":protocol" for name, _ in headers) else ""
    )
