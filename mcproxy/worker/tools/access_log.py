"""The access log: one JSON line per L4 connection, refused connection and L7 request, written when it is over.

Lines are ASCII and of at most `MAX_LINE` bytes: what clients have sent is cut to a length, and whatever is not
printable is escaped, so that it can neither end a line nor reach a terminal as control characters. Nothing secret is
told: of a request's fields only the user agent and the trace, of its path nothing behind the ``?``.

Lines wait for a moment and are written together. When the file takes no more, a bounded number of them waits on;
beyond that they are dropped and counted, for traffic never waits for its log.
"""

import asyncio
import re
import time
from typing import TypeAlias

import msgspec

from mcproxy.net.line_file import LineFile
from mcproxy.net.loop.poller import Poller
from mcproxy.net.memory.shared_memory import PROCESS_LOG_LINES_DROPPED
from mcproxy.net.sockets import address_text
from mcproxy.policy.headers import RequestHead
from mcproxy.wire.proxy_protocol import PackedAddress
from mcproxy.worker.tools.line_shape import Origin
from mcproxy.worker.tools.request_ids import trace_id

_DELAY = 0.1  # seconds that a line waits for others
_BATCH = 100  # lines that are written without waiting any longer
_WAITING = 1 << 20  # bytes that may wait for a file that takes no more
_LONG, _PATH, _DETAIL = 256, 1024, 300  # characters of a name, method or user agent, of a path, of a reason in words
_KNOWN = 4096  # texts that are remembered

_is_plain = re.compile(rb"[ !#-\[\]-~]*").fullmatch


class ConnectionLine(msgspec.Struct, kw_only=True, gc=False):
    """A connection that was relayed or refused; `AccessLog.connection` completes the line, in place.

    Attributes:
        time: of the line: UTC, to the millisecond.
        listener: its address.
        route: the hostname of the route, "" for none.
        client: address and port of the client itself, as a trusted PROXY header tells it; its address where `real_ip` does.
        sni: what the ClientHello has asked for, "" for nothing.
        mode: of the route, "" without.
        protocol: "tls" for a connection of an l4 route, else "".
        received: bytes from the client that were passed on.
        sent: bytes to the client.
        dial: seconds until the backend was connected, 0.0 if it never was.
        total: seconds from accepting it to its end.
        reason: how it ended, a word of the table of reasons.
        detail: the reason in words, where the word does not say it all.
        upstream: the name of the one that the route leads to, "" for none.
        endpoint: the backend's address, "" for none.
        tries: sockets to backends that were begun for it.
    """

    time: str = ""
    listener: str
    route: str = ""
    client: str
    sni: str = ""
    mode: str = ""
    protocol: str = ""
    received: int = 0
    sent: int = 0
    dial: float = 0.0
    total: float = 0.0
    reason: str
    detail: str = ""
    upstream: str = ""
    endpoint: str = ""
    tries: int = 0

    def complete(self) -> None:
        """Work out what follows from the rest."""
        self.protocol = "tls" if self.mode == "l4" else ""
        self.dial = int(self.dial * 1e6) / 1e6  # without the digits that the clock does not mean
        self.total = int(self.total * 1e6) / 1e6


class RequestLine(msgspec.Struct, frozen=True, gc=False):
    """A request that is over.

    Attributes:
        time: of the line: UTC, to the millisecond.
        listener: its address.
        route: the hostname of the route.
        client: address and port of the client itself, as a trusted PROXY header tells it; its address where `real_ip` does.
        sni: what the ClientHello has asked for, "" for nothing.
        mode: of the route: "l7".
        protocol: "http/1.1" or "h2".
        method, authority, path: of the request, as far as it could be read; of the path nothing behind the ``?``.
        user_agent: what it says it comes from.
        status: what the client was told, 0 if nothing.
        received, sent: bytes of the request's body and of the response's, without what frames them.
        dial: seconds until it had a connection to a backend, new or kept; 0.0 without.
        handshake: seconds that TLS took with the client, for the first request of a connection; else 0.0.
        first_byte: seconds until the response's head was passed on, 0.0 if it never was.
        total: seconds until it was over.
        reason: how it ended, a word of the table of reasons.
        trace_id: of the ``traceparent`` field, "" for none.
        id: the ``X-Request-Id`` that its backend gets, and an error page of the proxy's own shows; "" where not even a head came.
        detail: the reason in words, where the word does not say it all.
        upstream: the name of the one that it went to, "" for none.
        endpoint: the backend's address, "" for none.
        tries: connections to backends that were made or used for it, in vain or not; 0 if no backend was to get it.
        grpc_status: the status of gRPC that the client was told ("0" to "16", "other", "none"), "" if it is no gRPC.
        tls_version, tls_cipher: what was negotiated with the client.
        case: the match of the route's case that it came to, "" for none.
        filter: the name of the filter that has refused it, "" for none.
        client_cert: the first DNS name, URI or e-mail address in the certificate that the client has shown, "" for none.
    """

    time: str
    listener: str
    route: str
    client: str
    sni: str
    mode: str
    protocol: str
    method: str
    authority: str
    path: str
    user_agent: str
    status: int
    received: int
    sent: int
    dial: float
    handshake: float
    first_byte: float
    total: float
    reason: str
    trace_id: str
    id: str
    detail: str
    upstream: str
    endpoint: str
    tries: int
    grpc_status: str
    tls_version: str
    tls_cipher: str
    case: str
    filter: str
    client_cert: str


_Line: TypeAlias = ConnectionLine | RequestLine | msgspec.Raw


class AccessLog:
    """Where a worker's lines are gathered and written.

    Attributes:
        is_open: there is a file; without one nothing is to be told.
    """

    __slots__ = (
        "_at",
        "_count",
        "_counters",
        "_encode_into",
        "_file",
        "_known",
        "_loop",
        "_poller",
        "_second",
        "_stamp",
        "_time",
        "_timer",
        "_waiting",
        "is_open",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, poller: Poller, counters: memoryview) -> None:
        """Have no file until `turn_to`; ``counters`` count what is lost."""
        self._loop = loop
        self._poller = poller
        self._counters = counters
        self._file: LineFile | None = None
        self.is_open = False
        self._waiting = bytearray()  # whole lines
        self._count = 0  # of them since the last attempt to write
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0  # when the time was last looked up
        self._time = ""
        self._second = 0
        self._stamp = ""
        self._known: dict[bytes, str] = {}

    def connection(self, line: ConnectionLine) -> None:
        """Tell of a connection that was relayed or refused."""
        line.time = self.now()
        line.complete()
        self._add(line)

    def written(self, lines: memoryview, count: int) -> None:
        """Tell of connections by lines, with their ends, as `connection` would make them (`line_shape`)."""
        self._add(lines, count)

    def request(
        self,
        origin: Origin,
        head: RequestHead | None,
        status: int,
        received: int = 0,
        sent: int = 0,
        dial: float = 0.0,
        handshake: float = 0.0,
        first_byte: float = 0.0,
        total: float = 0.0,
        reason: str = "",
        request_id: bytes = b"",
        detail: str = "",
        upstream: str = "",
        endpoint: str = "",
        tries: int = 0,
        grpc_status: str = "",
        case: str = "",
        by: str = "",
    ) -> None:
        """Tell of a request.

        Args:
            origin: that of its connection.
            head: None if it could not be read.
            status: what the client was told, 0 if nothing.
            received: bytes of its body, without what framed them.
            sent: bytes of the response's.
            dial: seconds until it had a connection to a backend, new or kept; 0.0 without.
            handshake: seconds that TLS took with the client, for the first request of a connection; else 0.0.
            first_byte: seconds until the response's head was passed on, 0.0 if it never was.
            total: seconds until it was over.
            reason: how it ended.
            request_id: its id, empty if it has none.
            detail: the reason in words, where it does not say it all.
            upstream: the name of the one that it went to, "" for none.
            endpoint: the backend's address, "" for none.
            tries: connections to backends that were made or used for it.
            grpc_status: the status of gRPC that the client was told, "" if it is none.
            case: the match of the case that it came to, "" for none.
            by: the name of the filter that has refused it, "" for none.
        """
        method = authority = path = agent = trace = ""
        if head is not None:
            # Nearly all of them are known. Calls would cost more here than what they do.
            known, text = self._known.get, self._text
            method = known(head.method) or text(head.method, _LONG)
            authority = known(head.authority) or text(head.authority, _LONG)
            bare = head.path.partition(b"?")[0]
            path = known(bare) or text(bare, _PATH)
            for name, value in head.headers:
                if name == b"user-agent":
                    agent = known(value) or text(value, _LONG)
                elif name == b"traceparent":
                    trace = trace_id(value)
        listener, route, client, sni, mode, protocol, tls_version, tls_cipher, client_cert = origin
        self._add(
            RequestLine(
                self._time if self._poller.now == self._at else self.now(),
                listener,
                route,
                client,
                sni,
                mode,
                protocol,
                method,
                authority,
                path,
                agent,
                status,
                received,
                sent,
                # without the digits that the clock does not mean; a kept connection waits for neither
                dial and int(dial * 1e6) / 1e6,
                handshake and int(handshake * 1e6) / 1e6,
                int(first_byte * 1e6) / 1e6,
                int(total * 1e6) / 1e6,
                reason,
                trace,
                request_id.decode("ascii"),
                detail and printable(detail.encode(), _DETAIL),
                upstream,
                endpoint,
                tries,
                grpc_status,
                tls_version,
                tls_cipher,
                case,
                by,
                client_cert and printable(client_cert.encode(), _DETAIL),
            )
        )

    def flush(self) -> None:
        """Write what waits, as far as the file takes it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._count = 0
        if self._file is None:
            return
        waiting = self._waiting
        del waiting[: self._file.take(waiting)]
        if waiting:
            self._timer = self._loop.call_later(_DELAY, self.flush)

    def turn_to(self, fd: int) -> None:
        """Write to ``fd`` from now on, which belongs to this object then: another file, or the same one opened anew."""
        self.flush()
        if self._file is not None:
            self._file.close()
        self._file = LineFile(fd)
        self._encode_into = msgspec.json.Encoder().encode_into  # here, as a worker without a log needs no JSON
        self.is_open = True

    def close(self) -> None:
        """Write what can be written, and have no file any more."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._counters[PROCESS_LOG_LINES_DROPPED] += self._waiting.count(b"\n")
        self._waiting.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
        self.is_open = False

    def _add(self, line: _Line | memoryview, count: int = 1) -> None:
        waiting = self._waiting
        if len(waiting) >= _WAITING:
            self._counters[PROCESS_LOG_LINES_DROPPED] += count
            return
        if type(line) is memoryview:
            waiting += line
        else:  # at once: a hundred lines as objects would take more room in the processor's caches than their text does
            self._encode_into(line, waiting, -1)
            waiting += b"\n"
        self._count += count
        if self._timer is None:
            self._timer = self._loop.call_later(_DELAY, self.flush)
        elif self._count >= _BATCH:
            self.flush()

    def now(self) -> str:
        """Return the time, as RFC 3339 says it, to the millisecond; it stands still within a batch of events."""
        if self._poller.now != self._at:
            self._at = self._poller.now
            now = time.time()
            second = int(now)
            if second != self._second:
                self._second = second
                self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._time = f"{self._stamp}{int((now - second) * 1000):03}Z"
        return self._time

    def _text(self, value: bytes, limit: int) -> str:
        """Return what `printable` does, remembered: values come again and again."""
        text = self._known.get(value)
        if text is None:
            text = printable(value, limit)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            if len(value) <= limit:
                self._known[value] = text
        return text


def client_text(client: PackedAddress) -> str:
    """Return an address and port as they are written in a line."""
    host = address_text(client[0])
    return f"[{host}]:{client[1]}" if ":" in host else f"{host}:{client[1]}"


def printable(value: bytes, limit: int) -> str:
    r"""Return bytes as ASCII, others as ``\xNN``, that take at most ``limit`` bytes in a line, where some are escaped."""
    if len(value) <= limit and _is_plain(value):
        return value.decode("ascii")
    text = value[:limit].decode("ascii", "backslashreplace").replace("\x7f", "\\x7f")
    return text if len(msgspec.json.encode(text)) <= limit else text[: limit // 6]
