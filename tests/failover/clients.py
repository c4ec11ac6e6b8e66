"""Connections of clients, each with one request after another (HTTP/1.1) or many at a time (HTTP/2)."""

import asyncio
import ssl
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import h11

_HOST = "127.0.0.1"
_READ = 65_536


class FailedError(OSError):
    """An answer that is not the backend's, or none."""


class Http1:
    """A connection of HTTP/1.1 over TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._state = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, port: int, hostname: str, tls: ssl.SSLContext) -> Self:
        """Connect to a port of this machine."""
        return cls(*await asyncio.open_connection(_HOST, port, ssl=tls, server_hostname=hostname))

    def is_free(self) -> bool:
        """Tell whether another request can be sent."""
        return self._state.our_state is h11.IDLE and not self._reader.at_eof()

    async def ask(self, hostname: str, *, last: bool = False) -> str:
        """Send a GET, and return the body of its answer, which is the backend's name.

        Raises:
            FailedError: the answer's status is not 200, or the connection ended.
        """
        headers = [("host", hostname), *([("connection", "close")] if last else [])]
        send = self._state.send
        first = send(h11.Request(method="GET", target="/", headers=headers))
        self._writer.write((first or b"") + (send(h11.EndOfMessage()) or b""))
        status, body = 0, b""
        while True:
            match self._state.next_event():
                case h11.NEED_DATA:
                    data = await self._reader.read(_READ)
                    if not data and not status:
                        raise FailedError("closed without an answer")
                    self._state.receive_data(data)
                case h11.Response(status_code=status):
                    pass
                case h11.Data(data=data):
                    body += data
                case h11.EndOfMessage():
                    break
        if self._state.their_state is h11.DONE and self._state.our_state is h11.DONE:
            self._state.start_next_cycle()
        if status != 200:
            raise FailedError(f"status {status}")
        return body.decode()

    def close(self) -> None:
        """Close it at once."""
        self._writer.transport.abort()


class Http2:
    """A connection of HTTP/2; it is opened by the first request that needs it."""

    def __init__(self) -> None:
        self.ended = False
        self._state = h2.connection.H2Connection(h2.config.H2Configuration())
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._answers: dict[int, list[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, port: int, hostname: str, tls: ssl.SSLContext) -> None:
        """Connect to a port of this machine."""
        try:
            reader, self._writer = await asyncio.open_connection(_HOST, port, ssl=tls, server_hostname=hostname)
        except OSError:
            self.ended = True
            raise
        self._state.initiate_connection()
        self._writer.write(self._state.data_to_send())
        self._task = asyncio.create_task(self._read(reader, self._writer))

    async def ask(self, hostname: str) -> str:
        """Send a GET, and return the body of its answer, which is the backend's name.

        Raises:
            FailedError: the answer's status is not 200, or stream or connection ended.
        """
        if self.ended or self._writer is None:
            raise FailedError("the connection has ended")
        stream = self._state.get_next_available_stream_id()
        headers = [(":method", "GET"), (":scheme", "https"), (":authority", hostname), (":path", "/")]
        self._state.send_headers(stream, headers, end_stream=True)
        self._writer.write(self._state.data_to_send())
        self._waiting[stream] = asyncio.get_running_loop().create_future()
        self._answers[stream] = [0, b""]
        return await self._waiting[stream]

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_READ):
                for event in self._state.receive_data(data):
                    self._handle(event)
                writer.write(self._state.data_to_send())
        finally:
            self.ended = True
            for stream in list(self._waiting):
                self._end(stream, "closed without an answer")
            writer.transport.abort()

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(stream_id=int(stream), headers=headers):
                fields = dict(headers or [])
                self._answers[stream][0] = int(fields[b":status"])
            case h2.events.DataReceived(stream_id=int(stream), data=data, flow_controlled_length=length):
                self._answers[stream][1] += data
                self._state.acknowledge_received_data(length or 0, stream)
            case h2.events.StreamEnded(stream_id=int(stream)):
                self._end(stream)
            case h2.events.StreamReset(stream_id=int(stream), error_code=code):
                self._end(stream, f"reset with {code}")
            case h2.events.ConnectionTerminated():
                self.ended = True

    def _end(self, stream: int, error: str = "") -> None:
        future = self._waiting.pop(stream, None)
        status, body = self._answers.pop(stream, (0, b""))
        if future is None or future.done():
            return
        if error or status != 200:
            future.set_exception(FailedError(error or f"status {status}"))
        else:
            future.set_result(body.decode())

    def close(self) -> None:
        """Close it at once."""
        if self._task is not None:
            self._task.cancel()
