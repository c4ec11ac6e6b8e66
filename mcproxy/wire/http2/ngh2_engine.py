"""The fast engine: libnghttp2 by way of ngh2, whose only home this module is.

What ngh2 and libnghttp2 leave to their user, and how it is done here:

- A fatal error raises and takes the output along: GOAWAY is then written by the base class, which knows the last stream.
- Their own limits answer in ways of their own (a closed connection, INTERNAL_ERROR), so they are set far above ours; the
  gate and the header checks strike first.
- Credit of a closed stream stays with ngh2 until somebody gives it back: the base class does.
- Requests above the peer's stream limit would be queued inside: the base class counts streams and never offers one too many.
- Streams close when their last frame is serialized, and ngh2 tells so with the next batch of events; until then a call about
  such a stream is refused by ngh2, which means the same as our forgetting it.
- A field value with a blank at an end is refused with its message, and there is no switch: they are taken off before.
- A WINDOW_UPDATE that lifts one stream's window above 2^31-1 ends the connection there, where RFC 9113 section 6.9.1 has the
  stream reset: such a frame is found before libnghttp2 sees it. Only many smaller ones, which no honest peer sends, still
  end the connection, as section 5.4.1 allows.
- A stream above MAX_CONCURRENT_STREAMS, from a client that has not acknowledged it yet, is refused without an event: it is
  known by the RST_STREAM. From one that has acknowledged it the connection is ended, as section 5.4.1 allows too.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from struct import Struct

from ngh2 import (
    Configuration,
    Connection,
    ConnectionClosed,
    ConnectionClosingError,
    ConnectionStateError,
    DataReceived,
    DenialOfServiceError,
    InformationalResponseReceived,
    NeverIndexedHeader,
    NGH2Error,
    NoAvailableStreamIDError,
    PingAcknowledged,
    RequestReceived,
    ResponseReceived,
    Role,
    SettingsAcknowledged,
    SettingsReceived,
    StreamClosed,
    StreamReset,
    TrailersReceived,
)

from mcproxy.wire.http2.core import ASSUMED_STREAMS, DEFAULT_WINDOW, ENDED
from mcproxy.wire.http2.engine import Engine
from mcproxy.wire.http2.events import (
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Data,
    Event,
    Fatal,
    Grant,
    Headers,
    Limits,
    Pong,
    Refused,
    Reset,
    Writable,
)
from mcproxy.wire.http2.outer_blanks import BLOCK_FRAMES, Trimmer

_MAX_WINDOW = 2**31 - 1  # RFC 9113 section 6.9.1
_RST_STREAM = 0x3
_TOO_MANY = "max concurrent streams exceeded"  # in what libnghttp2 says of a client that knows the limit
_header = Struct(">BHBBL").unpack_from
_uint32 = Struct(">L").unpack_from


@lru_cache(maxsize=8)  # connections share one object per Limits
def _configuration(limits: Limits) -> Configuration:
    """Return a configuration whose limits lie far above ours."""
    return Configuration(
        auto_window_update=False,
        peer_max_concurrent_streams=ASSUMED_STREAMS,
        max_send_header_block_length=1 << 20,
        max_outbound_ack=10_000,
        stream_reset_rate_limit=(10_000, 10_000),
        max_continuations=max(64, 2 * limits.continuation_frames),
        max_inbound_header_list_size=max(131_072, 4 * limits.header_bytes),
        max_inbound_header_count=max(1_000, 4 * limits.header_count),
    )


class Ngh2Engine(Engine):
    """An :class:`~.engine.Engine` on ngh2."""

    __slots__ = ("_acknowledged", "_connection", "_ended", "_settled", "_trimmer", "blocked")

    UNINDEXED = NeverIndexedHeader

    def _start(self, settings: dict[int, int]) -> None:
        self.blocked: dict[int, None] = {}  # streams with queued bytes, in the order they were blocked
        self._ended: list[int] = []  # streams whose last bytes were sent since the output was drained
        self._settled = False
        self._acknowledged = self._client  # only clients of ours have a limit to acknowledge
        self._trimmer = Trimmer()
        connection = Connection(Role.CLIENT if self._client else Role.SERVER, _configuration(self._limits))
        connection.initiate_connection(settings)
        if self._limits.connection_window > DEFAULT_WINDOW:
            connection.set_local_window_size(self._limits.connection_window)
        self._connection = connection

    def _receive(self, frames: Sequence[bytes | memoryview], events: list[Event]) -> None:
        connection = self._connection
        try:
            for frame in frames:
                connection.receive_data(self._trimmer.trim(frame) if frame[3] in BLOCK_FRAMES else frame)
                if connection.want_write:
                    # A stream that libnghttp2 resets is told when its RST_STREAM is framed, and never once a GOAWAY is queued:
                    # so before the next frame. Else what is told and counted would depend on what comes together.
                    self._translate(events)
                    before = len(self._out)
                    self._drain()
                    self._translate(events)
                    if not self._acknowledged:
                        for output in self._out[before:]:
                            self._tell_refused(output, events)
                    if self._over or self._gate.violation is not None:
                        return
        except DenialOfServiceError as error:
            self._translate(events)
            limit = "header_count" if "count" in str(error) else "header_bytes" if "header" in str(error) else ""
            self._die(Fatal(ENHANCE_YOUR_CALM, limit, str(error)), events, drain=False)
        except NGH2Error as error:
            self._translate(events)
            self._die(Fatal(PROTOCOL_ERROR, "", str(error)), events, drain=False)

    def _receive_grant(self, grant: Grant, events: list[Event]) -> None:
        self._translate(events)
        stream = grant.stream
        record = self._streams.get(stream)
        if record is not None and self._connection.stream_remote_window_size(stream) + grant.increment > _MAX_WINDOW:
            self._fail(stream, record, FLOW_CONTROL_ERROR)
            self._drain()  # now the stream is closed for libnghttp2 too, and another such frame harmless
            events.append(Reset(stream, FLOW_CONTROL_ERROR, remote=False))
        else:
            self._receive((grant.frame,), events)

    def _translate(self, events: list[Event]) -> None:
        """Turn ngh2's events into ours."""
        streams = self._streams
        # The types are final, and comparing them costs a fraction of isinstance: this runs for every frame.
        for event in self._connection.events():
            if type(event) is DataReceived:
                stream, data, end = event.stream_id, event.data, event.end_stream
                record = streams.get(stream)
                if record is None or record.swallow:
                    self._data_received(stream, data, events, end=end)
                elif data or end:
                    record.unconsumed += len(data)
                    if end:
                        record.remote = ENDED
                    events.append(Data(stream, data, end))
            elif type(event) is StreamClosed:
                stream = event.stream_id
                record = streams.pop(stream, None)
                if record is not None:
                    if record.unconsumed:  # as `_release`, but there is nothing to write unless the credit says so
                        self._submit_credit(stream, record.unconsumed)
                    if event.error_code != NO_ERROR or record.local != ENDED or record.remote != ENDED:
                        self._gate.failed(stream)
                        events.append(Reset(stream, event.error_code, remote=False))
                elif event.error_code != NO_ERROR and not self._client and self._is_new(stream):
                    self._gate.failed(stream)  # else one side had reset it, which was counted
                    events.append(Refused(stream))
            elif type(event) is RequestReceived:
                if self._gate.violation is not None:
                    return  # the connection ends with that: nothing more is begun
                self._request_received(event.stream_id, list(event.headers), events, end=event.end_stream)
            elif type(event) is ResponseReceived:
                self._response_received(event.stream_id, list(event.headers), events, end=event.end_stream)
            elif type(event) is TrailersReceived:
                self._trailers_received(event.stream_id, list(event.headers), events)
            elif type(event) is StreamReset:
                self._reset_received(event.stream_id, event.error_code, events)
            elif type(event) is InformationalResponseReceived:
                self._interim_received(event.stream_id, list(event.headers), events)
            elif type(event) is SettingsReceived:
                self._settings_received(dict(event.settings), events)
                self._settled = True
            elif type(event) is PingAcknowledged:
                events.append(Pong())
            elif type(event) is ConnectionClosed:
                # libnghttp2 has found a violation; its GOAWAY, with its reason as debug data, is in the output.
                reason = event.debug_data.decode("latin-1") or "protocol violation"
                events.append(Fatal(event.error_code, "concurrent_streams" if _TOO_MANY in reason else "", reason))
                self._finish()
            elif type(event) is SettingsAcknowledged:
                self._acknowledged = True

    def _tell_refused(self, output: bytes, events: list[Event]) -> None:
        """Tell the streams above the limit that are refused in what was written just now, but not those after our GOAWAY."""
        position = 0
        while position < len(output):
            high, low, kind, _, stream = _header(output, position)
            if (
                kind == _RST_STREAM
                and self._last_request < stream <= self._refuse_above
                and _uint32(output, position + 9)[0] == REFUSED_STREAM
            ):
                self._gate.refused(stream)
                events.append(Refused(stream, "concurrent_streams"))
            position += 9 + (high << 16 | low)

    def _is_new(self, stream: int) -> bool:
        """Tell whether a stream was never told of; what the gate knows of it may be ahead by some frames."""
        return self._last_request < stream != self._turned_away

    def _settle(self, events: list[Event]) -> None:
        self._translate(events)
        if self._connection.want_write:
            self._drain()  # acknowledgements, what a larger window lets go, and the GOAWAY of a violation
            self._translate(events)
        if self.blocked and not self._over:
            size = self._connection.queued_body_size
            for stream in list(self.blocked):
                if not size(stream):
                    del self.blocked[stream]
                    if stream in self._streams:
                        events.append(Writable(stream))

    def _drain(self) -> None:
        try:
            data = self._connection.data_to_send()
        except ConnectionStateError:  # it has broken, as when memory ran out; who was in charge then was told
            self._finish()
            return
        self._dirty = False
        if data:
            self._out.append(data)
        ended = self._ended
        if ended:
            size = self._connection.queued_body_size
            if size():  # of one or the other the end is held back by flow control
                for stream in ended:
                    if size(stream):
                        self.blocked[stream] = None
            ended.clear()

    def _reap(self) -> None:
        self._translate(self._backlog)

    def _queued(self, stream: int) -> int:
        if self._ended:
            self._drain()
        return self._connection.queued_body_size(stream)

    def _held(self) -> int:
        return self._connection.queued_body_size()

    def _settings_known(self) -> bool:
        return self._settled

    def _submit_request(self, headers: Headers, *, end: bool) -> int | None:
        try:
            return self._connection.send_request(headers, end_stream=end)
        except (ConnectionClosingError, NoAvailableStreamIDError):
            self._peer_gone = True
            return None

    def _submit_response(self, stream: int, headers: Headers, *, end: bool) -> None:
        try:
            self._connection.send_response(stream, headers, end_stream=end)
        except NGH2Error:
            return  # closed meanwhile

    def _submit_interim(self, stream: int, headers: Headers) -> None:
        try:
            self._connection.send_informational_response(stream, headers)
        except NGH2Error:
            return  # closed meanwhile

    def _submit_data(self, stream: int, data: bytes, *, end: bool) -> None:
        connection = self._connection
        try:
            connection.send_data(stream, data, end_stream=end)
        except NGH2Error:
            return  # closed meanwhile
        if end:
            # Nothing of the message follows, so it can wait to be framed together with what else the turn produces.
            self._dirty = True
            self._ended.append(stream)
            return
        output = connection.data_to_send()
        self._dirty = False
        if output:
            self._out.append(output)
        if connection.queued_body_size(stream):
            self.blocked[stream] = None

    def _submit_trailers(self, stream: int, headers: Headers) -> None:
        try:
            self._connection.send_trailers(stream, headers)
        except NGH2Error:
            return  # closed meanwhile

    def _submit_reset(self, stream: int, code: int) -> None:
        self.blocked.pop(stream, None)  # what is queued is dropped
        with suppress(NGH2Error):  # a failed connection has nothing left to reset
            self._connection.reset_stream(stream, code)

    def _submit_ping(self) -> None:
        with suppress(NGH2Error):  # a failed connection asks nothing
            self._connection.ping()

    def _submit_credit(self, stream: int, amount: int) -> None:
        connection = self._connection
        try:
            connection.acknowledge_received_data(amount, stream)
        except NGH2Error:
            return  # a failed connection has no windows
        if connection.want_write:  # the window is told only when much of it was used
            self._dirty = True

    def _submit_window(self, stream: int, size: int, before: int) -> None:  # noqa: ARG002 - of use to the other engine
        with suppress(NGH2Error):  # closed meanwhile
            self._connection.set_local_window_size(size, stream_id=stream)
