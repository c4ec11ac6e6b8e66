"""One HTTP/2 connection, sans-I/O: what its owner calls.

An :class:`Engine` is fed with received bytes and the time, returns events, and collects what is to be written until
``output`` is called. Events are born in ``feed`` alone: ``send`` frames what the windows allow before it returns, so
``queued`` is exact, and a stream with nothing queued will never announce :class:`~.events.Writable`.

Every call about a stream that is gone does nothing: the owner need not know whether its last call or the peer's reset came
first.
"""

from typing import ClassVar

from mcproxy.wire.http2.core import ENDED, HIGHEST_STREAM, IDLE, OPEN, Core, Stream
from mcproxy.wire.http2.events import CANCEL, NO_ERROR, Event, GoAway, Grant, Headers
from mcproxy.wire.http2.headers import InvalidHeaders, check_request, check_response, check_trailers


class MisuseError(RuntimeError):
    """The owner broke the order of calls (a response twice, data after the end); the connection is as it was."""


class Engine(Core):
    """One end of an HTTP/2 connection.

    Args:
        client: whether this end opens streams.
        limits: what the peer may ask.
        connect_protocol: whether a server announces extended CONNECT (RFC 8441).

    Attributes:
        UNINDEXED: the type of fields that are to enter no table (RFC 7541 section 6.2.3), where it can be told to do so.
    """

    __slots__ = ()

    UNINDEXED: ClassVar[type[tuple[bytes, bytes]]] = tuple

    # -- what the owner asks ------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the connection is over: write what ``output`` still gives, then close the transport.

        True after a Fatal event or ``abort``, and after a GOAWAY of either side once no stream is open.
        """
        if self._over:
            return True
        if not self._peer_gone and self._refuse_above == HIGHEST_STREAM:
            return False
        return self.streams == 0

    @property
    def streams(self) -> int:
        """Streams that are open in either direction."""
        if self._streams:
            self._reap()
        return len(self._streams)

    @property
    def peer_connect_protocol(self) -> bool:
        """Whether the peer has announced extended CONNECT (RFC 8441)."""
        return self._peer_connect

    def queued(self, stream: int) -> int:
        """Return the bytes of a stream that were given to ``send`` and are held back by flow control."""
        return self._queued(stream) if stream in self._streams else 0

    @property
    def held(self) -> int:
        """How many bytes are held back by flow control, on all streams."""
        return self._held() if self.blocked else 0

    @property
    def unsent(self) -> int:
        """How many bytes wait here, for windows or for `output`."""
        return self.held + sum(map(len, self._out))

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
        gate = self._gate
        pieces, violation = gate.feed(data, now)
        self.pending = gate.pending
        self.awaits_headers = gate.awaits_headers()
        if gate.frames_only:
            self._receive(pieces, events)  # type: ignore[arg-type]  # frames, as nearly always
            if self._over:
                return events
        else:
            for piece in pieces:
                if gate.violation is not None:
                    break
                if isinstance(piece, GoAway):
                    self._settle(events)
                    if not self._over:
                        self._goaway_received(piece, events)
                elif isinstance(piece, Grant):
                    self._receive_grant(piece, events)
                else:
                    self._receive((piece,), events)
                if self._over:
                    return events
        if gate.violation is None:
            self._settle(events)  # also tells a violation that the engine has found: it came before the gate's
        violation = gate.violation or violation  # as do stream errors
        if violation is not None and not self._over:
            self._die(violation, events)
        return events

    @property
    def untouched(self) -> bool:
        """Whether not a byte has come from the client."""
        return self._gate.untouched

    def wants_write(self) -> bool:
        """Whether ``output`` has something to give, or the connection is to be closed."""
        return self._dirty or bool(self._out) or self._over or self._peer_gone or self._refuse_above != HIGHEST_STREAM

    def output(self) -> bytes:
        """Return everything that is to be written, and forget it. To be called once per turn of the event loop."""
        if self._dirty:
            self._drain()
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        floods = self._gate.floods
        if floods.steering:
            floods.sent(len(data))
        return data

    # -- messages -----------------------------------------------------------------------------------------------------

    def open(self, headers: Headers, *, end: bool = False, checked: bool = False) -> int | None:
        """Send a request.

        Args:
            headers: pseudo-header fields first, names in lower case.
            end: whether there is no body.
            checked: the list was made of fields that an engine has received, by leaving some out and adding none but
                well-formed ones, with ``:method`` first: it is not checked a second time.

        Returns:
            The new stream, or None when the peer's stream limit is reached or the connection takes no more (GOAWAY).

        Raises:
            InvalidHeaders: the list is malformed, or asks for extended CONNECT that the peer has not announced.
            MisuseError: this end is a server.
        """
        if not self._client:
            raise MisuseError("a server opens no streams")
        if not checked and (problem := check_request(headers)):
            raise InvalidHeaders(problem)
        if not self._peer_connect:
            connects = headers[0][1] == b"CONNECT" if checked else (b":method", b"CONNECT") in headers[:5]
            if connects and (problem := _unannounced(headers)):
                raise InvalidHeaders(problem)
        if self._over or self._peer_gone or self._refuse_above != HIGHEST_STREAM:
            return None
        if len(self._streams) >= self._peer_max_streams:
            self._reap()
            if len(self._streams) >= self._peer_max_streams:
                return None
        stream = self._submit_request(headers, end=end)
        if stream is None:
            return None
        self._dirty = True
        self._streams[stream] = Stream(ENDED if end else OPEN, IDLE, 0, self._wide)
        self._gate.opened(stream)
        return stream

    def respond(self, stream: int, headers: Headers, *, end: bool = False, checked: bool = False) -> None:
        """Send the final response's headers.

        Args:
            stream: the request's stream.
            headers: ``:status`` first, names in lower case.
            end: whether there is no body.
            checked: as for `open`.

        Raises:
            InvalidHeaders: the list is malformed.
            MisuseError: there was a response already, or this end is a client.
        """
        record = self._streams.get(stream)
        if record is None:
            return
        if record.local != IDLE:
            raise MisuseError("the response was sent before")
        if not checked and (problem := check_response(headers, interim=False)):
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

    def consumed(self, stream: int, amount: int, *, prompt: bool = False) -> None:
        """Give back credit for received bytes, on the stream and on the connection.

        Args:
            stream: the stream.
            amount: bytes, at most as many as its Data events told and were not given back yet.
            prompt: whether they were taken as soon as they had come; as long as all of a client's stream are, its window grows.

        Raises:
            MisuseError: ``amount`` is more than that.
        """
        record = self._streams.get(stream)
        if record is None or not amount:
            return
        if not 0 < amount <= record.unconsumed:
            raise MisuseError(f"{amount} bytes consumed of {record.unconsumed}")
        record.unconsumed -= amount
        self._submit_credit(stream, amount)
        if self._grows and record.window >= 0:
            self._grow(stream, record, amount, prompt=prompt)

    def _grow(self, stream: int, record: Stream, amount: int, *, prompt: bool) -> None:
        """Double the window of a stream whose whole window was taken as it came: its sender waits for the way, not for us."""
        limits = self._limits
        window = record.window or limits.stream_window
        if not prompt or window >= limits.grown_window:
            record.window = -1
            return
        record.taken += amount
        if record.taken < window or record.unconsumed or record.remote == ENDED:
            return
        record.taken = 0
        record.window = min(2 * window, limits.grown_window)
        self._dirty = True
        self._submit_window(stream, record.window, window)

    def widen(self, stream: int) -> None:
        """Let the peer send a whole ``stream_window`` on a stream of our own that began with ``first_window``.

        So a response is held back to its first part until its receiver is known to take it.
        """
        record = self._streams.get(stream)
        if record is None or record.wide or record.remote == ENDED:
            return
        record.wide = True
        self._dirty = True
        self._submit_window(stream, self._limits.stream_window, self._first_window)

    def reset(self, stream: int, code: int = CANCEL) -> None:
        """End a stream at once (RST_STREAM). What was framed before still goes out, what is queued does not."""
        record = self._streams.get(stream)
        if record is None:
            return
        self._drain()  # a queued response is dropped by the reset that follows it
        if self._over:
            return
        if record.local == ENDED and record.remote == ENDED and not self._queued(stream):
            self._reap()  # all is said: both sides have closed the stream, a reset would be one frame too much
            return
        self._abandon(stream, record, code)

    def blame(self, stream: int) -> None:
        """Count that a client has made its owner break a stream's work off; too many end the connection with the next `feed`."""
        self._gate.blame(stream)

    # -- the connection -----------------------------------------------------------------------------------------------

    def ping(self) -> None:
        """Ask the peer whether it is there; :class:`~.events.Pong` tells its answer."""
        if not self._over:
            self._dirty = True
            self._submit_ping()

    def shutdown_notice(self) -> None:
        """Tell a client that a GOAWAY will come: it should open no more streams, those on their way are still taken."""
        if not (self._over or self._client or self._refuse_above != HIGHEST_STREAM):
            self._write_goaway(HIGHEST_STREAM, NO_ERROR)

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


def _unannounced(headers: Headers) -> str:
    return (
        "extended CONNECT, which the peer has not announced" if any(name == b":protocol" for name, _ in headers) else ""
    )
