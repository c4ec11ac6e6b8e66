"""One client connection, from accept to its last byte.

    accept -> peek ClientHello -> route -> dial -> relay

Until the route is decided nothing is read, only peeked, so the relay later finds every byte in the kernel. Each stage
is a handler of the client socket's events; a refusal counts its reason and resets the client.
"""

import select
import socket

from mcproxy.errors import ProtocolError
from mcproxy.net.poller import HANGUP, READABLE
from mcproxy.net.relay import Relay
from mcproxy.net.shared_memory import reason_word
from mcproxy.net.sockets import reset_on_close
from mcproxy.wire.client_hello import MAX_HELLO, Need, parse
from mcproxy.worker.context import Context
from mcproxy.worker.dial import Dial
from mcproxy.worker.listener import LiveListener, LiveRoute

_NEVER = float("inf")
_GONE = select.EPOLLERR | select.EPOLLHUP  # not EPOLLRDHUP: a client may half-close right after its hello


class Connection:
    """A client's connection; lives in the worker's set of connections until both sockets are closed.

    Attributes:
        route: the route it was given, None before.
    """

    __slots__ = (
        "_client",
        "_context",
        "_dial",
        "_hangup",
        "_hello_limit",
        "_limit",
        "_listener",
        "_relay",
        "bucket",
        "route",
    )

    def __init__(self, context: Context, listener: LiveListener, client: socket.socket) -> None:
        self._context = context
        self._listener = listener
        self._client = client
        self._dial: Dial | None = None
        self._relay: Relay | None = None
        self._hangup = 0  # what epoll has told of the client's end; it tells it once
        self._hello_limit = _NEVER
        self._limit = _NEVER
        self.bucket = 0
        self.route: LiveRoute | None = None

    def start(self) -> None:
        """Begin with what has already arrived."""
        context = self._context
        context.connections.add(self)
        context.poller.watch(self._client.fileno(), self._on_hello_event)
        need = self._peek()
        if need:
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, need)
            self._hello_limit = context.poller.now + context.timeouts.client_hello
            context.deadlines.set(self, self._hello_limit)

    def on_deadline(self, now: float) -> float | None:
        """Enforce the time limit of the stage the connection is in."""
        relay = self._relay
        stage_limit = self._hello_limit if relay is None else relay.active_at + self._context.timeouts.idle
        at = min(stage_limit, self._limit)
        if now < at:
            return at if at < _NEVER else None
        if relay is not None or self.route is not None:
            self.close()
        else:
            self._refuse("hello_timeout")
        return None

    def close_by(self, limit: float) -> None:
        """Let the connection finish, until ``limit`` (monotonic seconds) at the latest."""
        self._limit = min(limit, self._limit)
        self._context.deadlines.set(self, self._limit)

    def close(self) -> None:
        """Close both sides now."""
        if self._relay is not None:
            self._relay.end(None)
        else:
            self._context.poller.close(self._client)
            self._leave()

    def _refuse(self, reason: str) -> None:
        self._context.words[reason_word(self._listener.index, reason)] += 1
        reset_on_close(self._client)
        self.close()

    def _leave(self) -> None:
        context = self._context
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        if self.route is not None:
            context.words[self.route.active_word] -= 1
        context.deadlines.cancel(self)
        context.connections.discard(self)
        if not context.connections:
            context.on_idle()

    # Stage 1: the ClientHello

    def _peek(self) -> int:
        """Peek, and go on to the next stage if that is enough; else return how many bytes must be there."""
        try:
            size = self._client.recv_into(self._context.buffer, MAX_HELLO, socket.MSG_PEEK)
        except BlockingIOError:
            return 1
        except OSError:
            size = 0
        if not size:
            self._refuse("client_gone")
            return 0
        try:
            hello = parse(self._context.buffer[:size])
        except ProtocolError as error:
            self._refuse(error.reason)
            return 0
        if isinstance(hello, Need):
            return hello.total
        route = self._listener.routes.find(hello.sni)
        if route is None:
            self._refuse("no_sni" if hello.sni is None else "no_route")
        else:
            self._begin_dial(route)
        return 0

    def _on_hello_event(self, mask: int) -> None:
        if not mask & READABLE:
            return
        self._hangup |= mask & HANGUP
        need = self._peek()
        if need and mask & HANGUP:
            self._refuse("hello_truncated" if need > 1 else "client_gone")
        else:
            # Wake up when the missing bytes are there, and after the hello for every byte.
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, need or 1)

    # Stage 2: the backend

    def _begin_dial(self, route: LiveRoute) -> None:
        context = self._context
        self.route = route
        self._hello_limit = _NEVER
        words = context.words
        words[route.connections_word] += 1
        words[route.active_word] += 1
        context.poller.redirect(self._client.fileno(), self._on_waiting_event)
        self._dial = Dial(context, self, route.targets)
        self._dial.start()

    def _on_waiting_event(self, mask: int) -> None:
        self._hangup |= mask & HANGUP
        if mask & _GONE:
            self._refuse("client_gone")

    def on_connected(self, sock: socket.socket, mask: int) -> None:
        """Stage 3: join the client and the backend."""
        route = self.route
        assert route is not None  # noqa: S101 - dialing began with a route
        self._dial = None
        context = self._context
        self._relay = Relay(context, self, self._client, sock, route.byte_words)
        context.deadlines.set(self, min(context.poller.now + context.timeouts.idle, self._limit))
        self._relay.start(self._hangup, mask)

    def on_dial_failed(self, reason: str) -> None:
        """Refuse the client when no backend can be reached."""
        self._dial = None
        self._refuse(reason)

    def on_relay_end(self, error: OSError | None) -> None:  # noqa: ARG002 - logs of later issues tell the error
        """Forget the connection; the relay has closed both sockets."""
        self._leave()
