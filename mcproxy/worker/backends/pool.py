"""The connections to one backend: multiplexed (HTTP/2) or kept for the next exchange (HTTP/1.1)."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable

import msgspec

from mcproxy.net.loop.deadlines import Deadlines
from mcproxy.net.loop.poller import Poller
from mcproxy.net.sockets import PlainSocket, for_transport
from mcproxy.net.tls import ALPN_BOTH, client_context
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.dial import Dial, DialTools
from mcproxy.worker.backends.h1_backend import H1Backend
from mcproxy.worker.backends.h2_backend import H2Backend
from mcproxy.worker.backends.proxy_header import send_proxy_header
from mcproxy.worker.backends.target import Target
from mcproxy.worker.stream.exchange import Exchange
from mcproxy.worker.stream.http_connection import HttpConnection, HttpTools, ProtocolSelector
from mcproxy.worker.tools.settings import Settings
from mcproxy.worker.tools.tasks import Tasks

_PROBE = 1.0  # seconds for a cleartext backend to answer an HTTP/2 preface
_UNUSED = 60.0  # seconds that an idle connection is kept
_LOOK = 10.0  # seconds between looks for such connections
_STATUS = {"backend_timeout": 504, "no_resources": 503}


class PoolTools(msgspec.Struct, frozen=True, eq=False):
    """What all pools of a worker share.

    Attributes:
        poller: dispatches socket events.
        deadlines: time limits.
        settings: of the live snapshot.
        loop: the event loop.
        tasks: runs TLS handshakes.
        dial: for dials.
        http: for the connections.
    """

    poller: Poller
    deadlines: Deadlines
    settings: Settings
    loop: asyncio.AbstractEventLoop
    tasks: Tasks
    dial: DialTools
    http: HttpTools


class BackendPool:
    """Finds a connection for each exchange."""

    def __init__(self, context: PoolTools, backend: Backend, on_empty: Callable[[], None]) -> None:
        """Start without connections; ``on_empty`` is called whenever the last one has gone and nobody waits.

        It is not called any more once the pool is retired.
        """
        self._context = context
        self._backend = backend
        self._on_empty = on_empty
        self._targets = tuple(Target(endpoint) for endpoint in backend.endpoints)
        self._speaks = None if backend.protocol == "auto" else backend.protocol
        self._tls: ssl.SSLContext | None = None
        self._tls_alone: ssl.SSLContext | None = None  # for connections that must speak HTTP/1.1
        if backend.tls:
            protocols = ALPN_BOTH if backend.protocol == "auto" else (backend.protocol,)
            self._tls = client_context(backend.ca, protocols)
            self._tls_alone = client_context(backend.ca, ("http/1.1",))
        self._waiting: deque[Exchange] = deque()
        self._connecting = 0
        self._multiplexed: list[H2Backend] = []
        self._idle: list[H1Backend] = []
        self._open: dict[H1Backend | H2Backend, float] = {}  # and when it was used last
        self._retired = False
        self.bucket = 0

    # What exchanges ask

    def acquire(self, exchange: Exchange) -> None:
        """Have the exchange attached to a connection, now or when there is one."""
        if not self._place(exchange):
            self._waiting.append(exchange)
            self._grow()

    def abandon(self, exchange: Exchange) -> None:
        """Forget an exchange that waits."""
        if exchange in self._waiting:
            self._waiting.remove(exchange)

    def retire(self) -> None:
        """Close what is idle, and everything else when it is done: no route leads here any more."""
        self._retired = True
        for connection in list(self._open):
            connection.retire()
        self._multiplexed.clear()
        self._idle.clear()

    def on_deadline(self, now: float) -> float | None:
        """Close connections that nobody has used for a while."""
        unused: list[H1Backend | H2Backend] = [*self._idle, *self._multiplexed]
        for connection in unused:
            if isinstance(connection, H2Backend) and not connection.idle:
                self._open[connection] = now
            elif now - self._open[connection] > _UNUSED:
                self._withdraw(connection)
                connection.retire()
        return now + _LOOK if self._open else None

    def on_fault(self) -> None:
        """Look again later; what is in use must not end with the look."""
        self._context.deadlines.set(self, self._context.poller.now + _LOOK)

    # What connections tell

    def on_settled(self, connection: H2Backend) -> None:
        """Multiplex from now on."""
        self._speaks = self._speaks or "h2"
        self._connecting -= 1
        self._multiplexed.append(connection)
        self._serve_waiting()
        if self._retired:
            self._withdraw(connection)
            connection.retire()

    def on_room(self, connection: H2Backend) -> None:  # noqa: ARG002 - any room is good
        """Let those that wait in."""
        if self._waiting:
            self._serve_waiting()

    def on_idle(self, connection: H1Backend) -> None:
        """Use the connection again, or keep it."""
        if self._retired and not self._waiting:
            connection.retire()
            return
        self._open[connection] = self._context.poller.now
        self._idle.append(connection)
        if self._waiting:
            self._serve_waiting()

    def on_goaway(self, connection: H2Backend) -> None:
        """Open no more streams there."""
        self._withdraw(connection)

    def on_lost(self, connection: H1Backend | H2Backend) -> None:
        """Forget it; a cleartext backend that closed on the HTTP/2 preface speaks HTTP/1.1."""
        self._withdraw(connection)
        self._open.pop(connection, None)
        if isinstance(connection, H2Backend) and not connection.settled:
            self._connecting -= 1
            if self._speaks is None and self._tls is None:
                self._speaks = "http/1.1"
            elif not self._connecting:
                self._fail_waiting(502, "backend_error")
        elif isinstance(connection, H1Backend) and not connection.proven:
            self._forget_protocol()
        self._serve_waiting()
        self._tell_if_empty()

    def on_dial_failed(self, reason: str) -> None:
        """Tell those that wait, unless another connection is on its way; what it speaks has to be found out again."""
        self._connecting -= 1
        self._forget_protocol()
        if not self._connecting:
            self._fail_waiting(_STATUS.get(reason, 502), reason)
        self._tell_if_empty()

    def on_connected(self, sock: PlainSocket, mask: int) -> None:  # noqa: ARG002 - the transport looks itself
        """Speak TLS and HTTP on a connection that has been dialed."""
        self._context.poller.forget(sock.fileno())
        self._context.tasks.start(self._open_transport(for_transport(sock)))

    # How it is done

    def _place(self, exchange: Exchange) -> bool:
        if exchange.head.websocket:
            return any(c.takes_websockets and c.open(exchange) for c in self._multiplexed) or self._place_alone(
                exchange
            )
        for connection in self._multiplexed:
            if connection.open(exchange):
                return True
        return self._place_alone(exchange)

    def _place_alone(self, exchange: Exchange) -> bool:
        while self._idle:
            if self._idle.pop().open(exchange):
                return True
        return False

    def _serve_waiting(self) -> None:
        while self._waiting:
            exchange = self._waiting.popleft()
            if not self._place(exchange):
                self._waiting.appendleft(exchange)
                self._grow()
                return
            exchange.attached_at = self._context.poller.now

    def _grow(self) -> None:
        """Dial: one connection at a time to multiplex on, or as many as there are exchanges waiting."""
        while self._connecting < self._wanted():  # a dial may fail at once, and nobody waits any more
            self._connecting += 1
            Dial(self._context.dial, self, self._targets, self._waiting[0].client.dial_seconds).start()

    def _wanted(self) -> int:
        alone = self._speaks == "http/1.1" or self._only_websockets()
        return len(self._waiting) if alone else min(1, len(self._waiting))

    def _only_websockets(self) -> bool:
        return bool(self._multiplexed) and all(exchange.head.websocket for exchange in self._waiting)

    async def _open_transport(self, sock: socket.socket) -> None:
        alone = self._only_websockets()
        tls = self._tls_alone if alone else self._tls
        name = self._backend.server_name or self._backend.endpoints[0].host
        try:
            source = self._backend.source
            if source is not None and not send_proxy_header(sock, source, self._backend.local):
                raise ConnectionError("the PROXY header was not taken")
            await asyncio.get_running_loop().create_connection(
                lambda: ProtocolSelector(lambda transport: self._choose(transport, alone=alone)),
                sock=sock,
                ssl=tls,
                server_hostname=name if tls else None,
                ssl_handshake_timeout=self._context.settings.timeouts.handshake if tls else None,
            )
        except (OSError, ssl.SSLError, TimeoutError) as error:
            sock.close()
            self.on_dial_failed("backend_timeout" if isinstance(error, TimeoutError) else "backend_tls")

    def _choose(self, transport: asyncio.BaseTransport, *, alone: bool) -> HttpConnection:
        """Return what speaks the backend's protocol: as configured, as ALPN says, or as a probe shows.

        A connection that is to be used ``alone``, for a WebSocket that no multiplexed one takes, speaks HTTP/1.1.
        """
        alpn = None
        if self._tls is not None:
            alpn = transport.get_extra_info("ssl_object").selected_alpn_protocol() or "http/1.1"
        speaks = alpn or ("http/1.1" if alone else self._speaks or "h2")
        connection: H1Backend | H2Backend
        if speaks == "h2":
            connection = H2Backend(self._context.http, self, b"https" if self._tls else b"http")
            self._context.loop.call_later(
                _PROBE if alpn is None else self._context.settings.timeouts.handshake, _give_up, connection
            )
        else:
            connection = H1Backend(self._context.http, self)
            self._context.loop.call_soon(self._settle_alone, connection)
        if not self._open:
            self._context.deadlines.set(self, self._context.poller.now + _LOOK)
        self._open[connection] = self._context.poller.now
        return connection

    def _settle_alone(self, connection: H1Backend) -> None:
        self._connecting -= 1
        if self._tls is not None:
            self._speaks = self._speaks or "http/1.1"
        if not connection.transport.is_closing():
            self.on_idle(connection)

    def _withdraw(self, connection: H1Backend | H2Backend) -> None:
        if connection in self._multiplexed:
            self._multiplexed.remove(connection)
        elif connection in self._idle:
            self._idle.remove(connection)

    def _forget_protocol(self) -> None:
        """Find out again what the backend speaks, unless that is configured: it may be another program by now."""
        if self._backend.protocol == "auto":
            self._speaks = None

    def _tell_if_empty(self) -> None:
        if not (self._open or self._waiting or self._connecting or self._retired):
            self._on_empty()

    def _fail_waiting(self, status: int, reason: str) -> None:
        waiting, self._waiting = self._waiting, deque()
        for exchange in waiting:
            exchange.fail(status, reason)


def _give_up(connection: H2Backend) -> None:
    if not connection.settled and not connection.transport.is_closing():
        connection.abort()
