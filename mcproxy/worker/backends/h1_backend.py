"""A backend's HTTP/1.1 connection: one exchange at a time, kept for the next one."""

import base64
import os
from typing import Protocol

from mcproxy.errors import ProtocolError
from mcproxy.policy.headers import Headers, to_http1
from mcproxy.wire import http1
from mcproxy.worker.stream.exchange import Exchange
from mcproxy.worker.stream.http_connection import HttpConnection, HttpTools

_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})


class H1Pool(Protocol):
    """The pool, as its HTTP/1.1 connections see it."""

    def on_idle(self, connection: "H1Backend") -> None:
        """The connection is free for another exchange."""

    def on_lost(self, connection: "H1Backend") -> None:
        """The connection is closed."""


class H1Backend(HttpConnection):
    """Bridges one exchange after another to a parser each; the stream is the number of the request.

    Attributes:
        proven: the backend has answered in HTTP/1.1.
    """

    __slots__ = (
        "_chunked",
        "_exchange",
        "_half_closing",
        "_keep_alive",
        "_out",
        "_over",
        "_parser",
        "_pool",
        "_stream",
        "_tunnel",
        "_unconsumed",
        "_used",
        "proven",
    )

    def __init__(self, context: HttpTools, pool: H1Pool) -> None:
        super().__init__(context)
        self._pool = pool
        self._out: list[bytes] = []
        self._parser: http1.ResponseParser | None = None
        self._exchange: Exchange | None = None
        self._stream = 0
        self._chunked = False
        self._keep_alive = True
        self._over = False
        self._tunnel = False
        self._half_closing = False
        self._unconsumed = 0
        self._used = False  # the response under way has begun
        self.proven = False

    def open(self, exchange: Exchange) -> bool:
        """Start an exchange on this connection; tell whether that was possible."""
        if self._over or self._exchange is not None or self.transport.is_closing():
            return False
        head = exchange.head
        key = b""
        if head.websocket and not any(name == b"sec-websocket-key" for name, _ in head.headers):
            key = base64.b64encode(os.urandom(16))
        fields = to_http1(head, exchange.forwarding, websocket_key=key)
        announced = any(name == b"content-length" for name, _ in fields)
        self._chunked = not (announced or exchange.bodiless or head.websocket)
        if exchange.bodiless and not announced and head.method in _WITH_BODY:
            fields.append((b"content-length", b"0"))
        try:
            data = http1.request_head(head.method, head.path, fields, chunked=self._chunked, websocket=head.websocket)
        except ProtocolError:
            exchange.fail(400, "bad_request")
            self._pool.on_idle(self)
            return True
        self._parser = http1.ResponseParser(head.method, self.context.settings.http.http1, websocket=head.websocket)
        self._exchange = exchange
        self._stream += 1
        self._used = False
        self._write(data)
        exchange.attach(self, self._stream)
        return True

    def data_received(self, data: bytes) -> None:
        """Handle what the backend has sent."""
        now = self.context.poller.tick()
        exchange = self._exchange
        if self._tunnel:
            if exchange is not None:
                self._unconsumed += len(data)
                exchange.on_response_data(data, now, end=False)
                self._regulate()
            return
        if self._parser is None:
            self._close()  # bytes that nobody has asked for
            return
        self._used = True
        self._handle(self._parser.feed(data), now)
        self._regulate()

    def eof_received(self) -> bool:
        """Take the end of the backend's bytes; over TLS this comes only with close_notify."""
        now = self.context.poller.tick()
        if self._tunnel and self._exchange is not None:
            exchange, self._exchange = self._exchange, None
            exchange.on_response_data(b"", now, end=True)
        elif self._parser is not None:
            self._handle(self._parser.eof(), now)
        self._close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way, or try it again if the connection was dead before the request reached it."""
        super().connection_lost(exc)
        exchange, self._exchange = self._exchange, None
        self._pool.on_lost(self)
        if exchange is None:
            return
        if self._tunnel and exchange.ended:
            exchange.on_response_data(b"", self.context.poller.now, end=True)
        else:
            stale = self._stream > 1 and not self._used
            exchange.on_backend_lost(502, unprocessed=stale and exchange.safe_to_repeat)

    def _handle(self, events: list[http1.ResponseEvent], now: float) -> None:
        for event in events:
            exchange = self._exchange
            if exchange is None:  # the response is complete: its End may follow, bytes behind it may not
                self._keep_alive = self._keep_alive and isinstance(event, http1.End)
                continue
            match event:
                case http1.Data():
                    self._unconsumed += len(event.data)
                    exchange.on_response_data(event.data, now, end=False)
                case http1.Response():
                    self._keep_alive = event.keep_alive
                    self.proven = True
                    end = event.length == 0
                    if end:
                        self._exchange = None
                    exchange.on_response(event.status, event.headers, now, end=end)
                case http1.End():
                    self._exchange = None
                    exchange.on_response_data(b"", now, end=True)
                case http1.Trailers():
                    self._exchange = None
                    exchange.on_response_trailers(event.headers, now)
                case http1.Informational():
                    exchange.on_inform(event.status, event.headers, now)
                case http1.Switched():
                    self._switch(exchange, event, now)
                case http1.Bad():
                    self._exchange = None
                    self._keep_alive = False
                    stale = self._stream > 1 and not self._used
                    exchange.on_backend_lost(event.status, unprocessed=stale and exchange.safe_to_repeat)
        if self._exchange is None:
            self._next()

    def _switch(self, exchange: Exchange, event: http1.Switched, now: float) -> None:
        self._tunnel = True
        exchange.on_response(101, event.headers, now, end=False)
        early = self._parser.release() if self._parser is not None else b""
        if early:
            self._unconsumed += len(early)
            exchange.on_response_data(early, now, end=False)

    def _next(self) -> None:
        """Be there for another exchange, or close."""
        self._parser = None
        self._unconsumed = 0
        if self._keep_alive and not self._tunnel and not self._over:
            self._pool.on_idle(self)
        else:
            self._close()

    # BackendSide

    def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """Send a part of the request's body."""
        if stream != self._stream or self._exchange is None:
            return
        if self._tunnel or not self._chunked:
            if data:
                self._write(data)
            if end and self._tunnel:
                self._half_closing = True
                self.touch()
        elif data:
            self._write(http1.chunk(data) + http1.END_OF_CHUNKS if end else http1.chunk(data))
        elif end:
            self._write(http1.END_OF_CHUNKS)

    def trailers(self, stream: int, headers: Headers) -> None:
        """Send the request's trailers, if the body's framing allows any."""
        if stream == self._stream and self._exchange is not None and self._chunked:
            self._write(http1.last_chunk(headers))

    def reset(self, stream: int, code: int) -> None:  # noqa: ARG002 - HTTP/1.1 can't say why
        """Break off the connection: there is no other way to cancel."""
        if stream != self._stream or self.transport.is_closing():
            return
        exchange, self._exchange = self._exchange, None
        self._over = True
        if exchange is None or (self._tunnel and exchange.ended):
            self.touch()  # one side has ended in an orderly way, so the connection may
        else:
            self.abort()

    def consumed(self, stream: int, amount: int) -> None:
        """Read on when all that came is passed on."""
        if stream == self._stream:
            self._unconsumed -= amount
            self._regulate()

    def holds(self, stream: int) -> bool:  # noqa: ARG002 - there is but one
        """Tell whether the transport is full."""
        return self.full

    def _regulate(self) -> None:
        if self.transport.is_closing():
            return
        if self._unconsumed > 0 and self.transport.is_reading():
            self.transport.pause_reading()
        elif self._unconsumed <= 0 and not self.transport.is_reading():
            self.transport.resume_reading()

    def _write(self, data: bytes) -> None:
        self._out.append(data)
        self.unwritten += len(data)
        self.touch()

    def _close(self) -> None:
        self._over = True
        self.touch()

    # HttpConnection

    def flush(self) -> None:
        """Write, and pass on the end of a tunnel's one direction where the transport can say it: TLS can't."""
        super().flush()
        if self._half_closing and not (self.paused or self.transport.is_closing()):
            self._half_closing = False
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()

    def take_output(self) -> bytes:
        """Return what is to be written."""
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def is_over(self) -> bool:
        """Tell whether the connection is to be closed."""
        return self._over

    def on_room(self) -> None:
        """Let the client go on whose data waited for the transport."""
        if self._exchange is not None:
            self._exchange.on_backend_room(self.context.poller.tick())

    def retire(self) -> None:
        """Finish what is under way, then close."""
        self._keep_alive = False
        if self._exchange is None:
            self._close()
