"""The portable engine: pure Python h2, whose only home this module is.

What h2 leaves to its user, and how it is done here:

- It refuses everything after a GOAWAY of either side: GOAWAY frames never reach it, the base class reads and writes them.
- It loses the events of frames that came before a bad one in the same chunk: the gate hands it one frame at a time.
- It raises when a window is exhausted: bodies are queued here and framed as the windows allow.
- A malformed message is a connection error to it: its validation is off, our own checks reset the one stream.
- It ends the connection for a ``content-length`` that a body belies: its count is off, ours resets the one stream.
- More streams than announced, or extended CONNECT unasked, are judged here too; it is told to allow any number.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from struct import Struct

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, H2Connection
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import DenialOfServiceError, NoAvailableStreamIDError, ProtocolError
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream

from mcproxy.wire.http2.core import (
    DEFAULT_WINDOW,
    ENDED,
    INITIAL_WINDOW_SIZE,
    UNLIMITED_STREAMS,
    Stream,
)
from mcproxy.wire.http2.engine import Engine
from mcproxy.wire.http2.events import (
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Event,
    Fatal,
    Headers,
    Pong,
    Refused,
    Reset,
    Writable,
)
from mcproxy.wire.http2.headers import check_request, check_response, check_trailers, trimmed
from mcproxy.wire.opening import PREFACE

_settings_header = Struct(">HBBBL").pack
_setting = Struct(">HL").pack
_reset_frame = Struct(">HBBBLL").pack
_SETTINGS = 0x4


class _Connection(H2Connection):
    """h2's connection without its own idea of ``content-length``."""

    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        stream = super()._begin_new_stream(stream_id, allowed_ids)
        # There is no setting for it; the tests of both engines would tell of a version that did otherwise.
        stream._initialize_content_length = _ignore  # type: ignore[method-assign] # noqa: SLF001
        return stream


def _ignore(headers: object) -> None:
    """Leave it at that."""


class _Body:
    """What of a message waits for the window."""

    __slots__ = ("chunks", "ended", "size", "trailers")

    def __init__(self) -> None:
        self.chunks: deque[memoryview] = deque()
        self.size = 0
        self.ended = False
        self.trailers: Headers | None = None


class H2Engine(Engine):
    """An :class:`~.engine.Engine` on h2."""

    __slots__ = ("_connection", "_expected", "_heads", "_reset_by_h2", "_settled", "blocked")

    def _start(self, settings: dict[int, int]) -> None:
        self.blocked: dict[int, _Body] = {}
        self._expected: dict[int, int] = {}  # bytes that content-length still promises
        self._heads: set[int] = set()  # streams whose response has no body whatever its content-length says
        self._settled = False
        self._reset_by_h2 = False
        connection = _Connection(
            H2Configuration(
                client_side=self._client,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
            )
        )
        connection.local_settings = Settings(
            client=self._client, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: UNLIMITED_STREAMS}
        )
        connection.decoder.max_header_list_size = max(131_072, 4 * self._limits.header_bytes)
        connection.initiate_connection()
        connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: settings[INITIAL_WINDOW_SIZE]})
        connection.data_to_send()  # replaced by a SETTINGS frame of our own, which says what this class keeps
        self._out.append((PREFACE if self._client else b"") + _settings_frame(settings))
        if self._limits.connection_window > DEFAULT_WINDOW:
            connection.increment_flow_control_window(self._limits.connection_window - DEFAULT_WINDOW)
        self._connection = connection

    def _receive(self, frames: Sequence[bytes | memoryview], events: list[Event]) -> None:
        for frame in frames:
            try:
                happenings = self._connection.receive_data(frame)
            except ProtocolError as error:
                limit = "header_bytes" if isinstance(error, DenialOfServiceError) else ""
                reason, _, _ = str(error).partition(" from <memory at ")  # where the bytes lay is nobody's business
                events.append(Fatal(int(error.error_code), limit, reason or type(error).__name__))
                self._drain()  # h2's GOAWAY is in it
                self._finish()
                return
            for event in happenings:
                self._translate(event, events)
            if self._gate.violation is not None:
                return

    def _translate(self, event: object, events: list[Event]) -> None:
        """Turn one event of h2's into ours."""
        if isinstance(event, DataReceived):
            stream, data = event.stream_id, event.data or b""
            padding = event.flow_controlled_length - len(data)
            if padding:
                self._connection.acknowledge_received_data(padding, stream)
            end = event.stream_ended is not None
            if stream in self._expected:
                left = self._expected[stream] = self._expected[stream] - len(data)
                if left < 0 or (end and left):
                    if data:
                        self._submit_credit(stream, len(data))
                    self._malformed(stream, events)
                    return
            self._data_received(stream, data, events, end=end)
            if end:
                self._settle_stream(stream)
        elif isinstance(event, RequestReceived):
            self._headers_received(event.stream_id, trimmed(event.headers), events, end=event.stream_ended is not None)
        elif isinstance(event, ResponseReceived):
            self._final_received(event.stream_id, trimmed(event.headers), events, end=event.stream_ended is not None)
        elif isinstance(event, TrailersReceived):
            stream, headers = event.stream_id, trimmed(event.headers)
            if check_trailers(headers) or self._expected.get(stream):
                self._malformed(stream, events)
            else:
                self._trailers_received(stream, headers, events)
                self._settle_stream(stream)
        elif isinstance(event, InformationalResponseReceived):
            headers = trimmed(event.headers)
            if check_response(headers, interim=True):
                self._malformed(event.stream_id, events)
            else:
                self._interim_received(event.stream_id, headers, events)
        elif isinstance(event, StreamReset):
            if event.remote_reset:
                self._reset_received(event.stream_id, int(event.error_code), events)
            else:
                self._reset_by_h2 = True
                self._malformed(event.stream_id, events, int(event.error_code))
                self._reset_by_h2 = False
        elif isinstance(event, RemoteSettingsChanged):
            changed = {int(key): change.new_value for key, change in event.changed_settings.items()}
            self._settings_received(changed, events)
            self._settled = True
        elif isinstance(event, PingAckReceived):
            events.append(Pong())

    def _headers_received(self, stream: int, headers: Headers, events: list[Event], *, end: bool) -> None:
        """Judge a request as libnghttp2 does."""
        length = _content_length(headers)
        if (
            check_request(headers)
            or (not self._connect_protocol and any(name == b":protocol" for name, _ in headers))
            or (end and length)
        ):
            self._malformed(stream, events)
        elif len(self._streams) >= self._limits.concurrent_streams:
            self._malformed(stream, events, REFUSED_STREAM)
        else:
            if length is not None:
                self._expected[stream] = length
            self._request_received(stream, headers, events, end=end)

    def _final_received(self, stream: int, headers: Headers, events: list[Event], *, end: bool) -> None:
        """Judge a final response as libnghttp2 does."""
        length = _content_length(headers)
        bodiless = stream in self._heads or headers[:1] == [(b":status", b"304")]
        if check_response(headers, interim=False) or (end and length and not bodiless):
            self._malformed(stream, events)
            return
        if bodiless:
            self._expected[stream] = 0
        elif length is not None:
            self._expected[stream] = length
        self._response_received(stream, headers, events, end=end)
        if end:
            self._settle_stream(stream)

    def _malformed(self, stream: int, events: list[Event], code: int = PROTOCOL_ERROR) -> None:
        """Reset a stream for the peer's fault; tell so when the owner knows the stream."""
        record = self._streams.get(stream)
        if record is not None:
            self._fail(stream, record, code)
            events.append(Reset(stream, code, remote=False))
        else:
            self._dirty = True
            if code == REFUSED_STREAM:
                self._gate.refused(stream)
            else:
                self._gate.failed(stream)
            self._submit_reset(stream, code)
            if not self._client:
                events.append(Refused(stream, "concurrent_streams" if code == REFUSED_STREAM else ""))

    def _settle_stream(self, stream: int) -> None:
        """Forget a stream that both sides have ended."""
        record = self._streams.get(stream)
        if record is not None and record.local == ENDED and record.remote == ENDED and stream not in self.blocked:
            del self._streams[stream]
            self._release(stream, record)

    def _release(self, stream: int, record: Stream) -> None:
        self.blocked.pop(stream, None)
        self._expected.pop(stream, None)
        self._heads.discard(stream)
        super()._release(stream, record)

    def _settle(self, events: list[Event]) -> None:
        for stream, body in list(self.blocked.items()):
            size = body.size
            self._pump(stream, body)
            if size and not body.size and stream in self._streams:
                events.append(Writable(stream))
            elif body.size < size and stream in self.blocked:  # whoever was served goes to the end of the line
                self.blocked[stream] = self.blocked.pop(stream)
        self._drain()

    def _drain(self) -> None:
        data = self._connection.data_to_send()
        self._dirty = False
        if data:
            self._out.append(data)

    def _reap(self) -> None:
        """Nothing to do: a stream is forgotten as soon as it ends."""

    def _queued(self, stream: int) -> int:
        body = self.blocked.get(stream)
        return 0 if body is None else body.size

    def _held(self) -> int:
        return sum(body.size for body in self.blocked.values())

    def _settings_known(self) -> bool:
        return self._settled

    def _pump(self, stream: int, body: _Body) -> None:
        """Frame what the windows allow of a stream's body."""
        connection = self._connection
        self._dirty = True
        chunks = body.chunks
        ended = False
        if chunks:
            window = connection.local_flow_control_window(stream)
            while chunks:
                chunk = chunks[0]
                room = min(window, connection.max_outbound_frame_size, len(chunk))
                if room <= 0:
                    return
                if room < len(chunk):
                    chunks[0] = chunk[room:]
                else:
                    chunks.popleft()
                body.size -= room
                window -= room
                ended = body.ended and not chunks and body.trailers is None
                connection.send_data(stream, bytes(chunk[:room]), end_stream=ended)
        del self.blocked[stream]
        if body.ended:
            if body.trailers is not None:
                connection.send_headers(stream, body.trailers, end_stream=True)
            elif not ended:
                connection.end_stream(stream)
            self._settle_stream(stream)

    def _submit_request(self, headers: Headers, *, end: bool) -> int | None:
        connection = self._connection
        try:
            stream = connection.get_next_available_stream_id()
        except NoAvailableStreamIDError:
            self._peer_gone = True
            return None
        connection.send_headers(stream, headers, end_stream=end)
        if (b":method", b"HEAD") in headers:
            self._heads.add(stream)
        return stream

    def _submit_response(self, stream: int, headers: Headers, *, end: bool) -> None:
        self._connection.send_headers(stream, headers, end_stream=end)
        if end:
            self._settle_stream(stream)

    def _submit_interim(self, stream: int, headers: Headers) -> None:
        self._connection.send_headers(stream, headers)

    def _submit_data(self, stream: int, data: bytes, *, end: bool) -> None:
        body = self.blocked.get(stream)
        if body is None:
            body = self.blocked[stream] = _Body()
        if data:
            body.chunks.append(memoryview(data))
            body.size += len(data)
        body.ended = end
        self._pump(stream, body)

    def _submit_trailers(self, stream: int, headers: Headers) -> None:
        body = self.blocked.get(stream)
        if body is None:
            body = self.blocked[stream] = _Body()
        body.trailers = headers
        body.ended = True
        self._pump(stream, body)

    def _submit_reset(self, stream: int, code: int) -> None:
        connection = self._connection
        try:
            connection.reset_stream(stream, code)
        except ProtocolError:  # h2 has closed the stream, be it that both sides have ended it
            if not self._reset_by_h2:
                self._drain()
                self._out.append(_reset_frame(0, 4, 3, 0, stream, code))
        if self._client:
            # Counting them makes h2 forget closed streams; it would end the connection for a 1xx on one that it still knows.
            _ = connection.open_outbound_streams

    def _submit_ping(self) -> None:
        self._connection.ping(bytes(8))

    def _submit_credit(self, stream: int, amount: int) -> None:
        self._connection.acknowledge_received_data(amount, stream)
        self._dirty = True

    def _submit_window(self, stream: int, size: int, before: int) -> None:
        with suppress(ProtocolError):  # h2 has closed the stream itself
            self._connection.increment_flow_control_window(size - before, stream)


def _settings_frame(settings: dict[int, int]) -> bytes:
    payload = b"".join(_setting(key, value) for key, value in settings.items())
    return _settings_header(0, len(payload), _SETTINGS, 0, 0) + payload


def _content_length(headers: Headers) -> int | None:
    """Return the first content-length, or None; a malformed one is found by the checks of the whole list."""
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None
