"""HTTP on one client connection: the TLS handshake, if there is one, then the session in the version that is spoken."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Protocol

from mcproxy.model.values.reasons import Failure
from mcproxy.net.failure_words import client_tls_failure
from mcproxy.net.memory.sparse_counters import CLIENT_CERTIFICATE, HANDSHAKE, key
from mcproxy.net.tls import AlertingContext, alert_of
from mcproxy.worker.http.client_certificates import objection, shown_by
from mcproxy.worker.http.h1_session import H1Session
from mcproxy.worker.http.h2_session import H2Session
from mcproxy.worker.http.session import Session
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.requests.interfaces import SessionOwner, SessionTools
from mcproxy.worker.stream.http_connection import HttpConnection, ProtocolSelector

_ALERT_TIME = 1.0  # seconds for a client to take an alert
_ALERT_READ, _ALERT_READS = 1 << 12, 16  # bytes that are thrown away meanwhile
_SHUTDOWN = 5.0  # seconds for the client's close_notify


class TerminationOwner(SessionOwner, Protocol):
    """Who handed the client over."""

    def on_handshake_failed(self, failure: Failure) -> None:
        """TLS could not be established, or the client has gone; the socket is closed."""


class _Proof(asyncio.Protocol):
    """What is spoken after a handshake that was all that was wanted: nothing."""

    def __init__(self, owner: SessionOwner) -> None:
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close."""
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it is over in any case
        """Tell that it is over."""
        self._owner.on_session_end()


class Termination:
    """Owns the client's socket from its untouched first byte on."""

    __slots__ = ("_arrival", "_began_at", "_draining", "_leaving", "_owner", "_session", "_task", "_tools")

    def __init__(self, tools: SessionTools, owner: TerminationOwner, arrival: Arrival) -> None:
        self._tools = tools
        self._owner = owner
        self._arrival = arrival
        self._draining = False
        self._began_at = tools.poller.now
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._leaving: dict[int, float] = {}  # streams of routes that are gone, and when they end at the latest

    def start(self, client: socket.socket, tls: ssl.SSLContext) -> None:
        """Begin the handshake; nothing of the client's bytes has been read."""
        self._task = self._tools.tasks.start(self._handshake(client, tls, self._choose))

    def prove(self, client: socket.socket, tls: ssl.SSLContext) -> None:
        """Begin a handshake that is all its client wants: a CA that looks whether a name is ours (RFC 8737 section 3)."""
        self._task = self._tools.tasks.start(self._handshake(client, tls, lambda _: _Proof(self._owner)))

    def start_clear(self, client: socket.socket, *, http2: bool) -> None:
        """Begin a session without TLS; likewise."""
        self._task = self._tools.tasks.start(self._serve(client, H2Session if http2 else H1Session))

    def check(self, now: float) -> float:
        """Enforce the session's time limits; return when to check again (the handshake has a limit of its own)."""
        session = self._session
        if session is None:
            return float("inf")
        if session.lingering is not None:
            return session.lingering.check(now)
        again = session.check(now)
        return min(again, self._end_leaving(session, now)) if self._leaving else again

    def serves(self, hostname: str) -> bool:
        """Tell whether a request of the session was for the route of a name."""
        return self._session is not None and self._session.ledgers.serves(hostname)

    def hostname(self) -> str:
        """Return the name of the route of the latest request, "" for none."""
        latest = None if self._session is None else self._session.ledgers.latest
        return "" if latest is None else latest.route.entry.route.hostname

    def leave_routes(self, gone: Mapping[int, str], limit: float) -> None:
        """End the requests of routes that are gone, where each request has its own.

        Args:
            gone: the routes' ``on_remove`` by the indices of their counters.
            limit: until when those may go on that are drained (monotonic seconds).
        """
        session = self._session
        if session is None or session.ledgers.own is not None:
            return
        for stream, exchange in list(session.exchanges.items()):
            fate = gone.get(exchange.route)
            if fate == "close":
                session.cut(stream, exchange, "route_removed")
            elif fate == "drain":
                self._leaving[stream] = limit
                self._tools.deadlines.set(self._owner, limit)

    def _end_leaving(self, session: Session, now: float) -> float:
        """Cut off what was to be over by now; return when to look again."""
        for stream, limit in list(self._leaving.items()):
            exchange = session.exchanges.get(stream)
            if exchange is None or now >= limit:
                del self._leaving[stream]
                if exchange is not None:
                    session.cut(stream, exchange, "drained")
        return min(self._leaving.values(), default=float("inf"))

    def describe(self) -> tuple[str, int]:
        """Return the stage, for operators, and how many requests are under way."""
        if self._session is None:
            return "handshake", 0
        return "h2" if isinstance(self._session, H2Session) else "http/1.1", len(self._session.exchanges)

    def drain(self) -> None:
        """Let what is under way finish."""
        self._draining = True
        if self._session is not None:
            self._session.drain()

    def close(self, reason: str) -> None:
        """Close now; ``reason`` tells the access log why."""
        session = self._session
        if session is not None and session.lingering is not None:
            session.lingering.abort()
        elif session is not None:
            session.end_reason = reason
            session.abort()
        elif self._task is not None:
            self._task.cancel()

    async def _handshake(
        self,
        client: socket.socket,
        tls: ssl.SSLContext,
        choose: Callable[[asyncio.BaseTransport], asyncio.BaseProtocol],
    ) -> None:
        failure: Failure | None = None
        # A second descriptor, since the event loop closes its own before the client has been told why.
        told_by: socket.socket | None = None
        if isinstance(tls, AlertingContext):
            with contextlib.suppress(OSError):  # where there is none left, the client is told nothing
                told_by = client.dup()
        try:
            await self._tools.loop.connect_accepted_socket(
                lambda: ProtocolSelector(choose),
                client,
                ssl=tls,
                ssl_handshake_timeout=self._tools.settings.timeouts.handshake,
                ssl_shutdown_timeout=_SHUTDOWN,
            )
        except (TimeoutError, asyncio.CancelledError, ConnectionAbortedError):  # the last one is uvloop's at the limit
            failure = Failure("tls_timeout")
        except OSError as error:  # ssl.SSLError is one
            failure = self._failed(error)
            if told_by is not None:
                await self._tell(told_by, alert_of(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must not wait
            self._tools.poller.report(error)
            failure = Failure("tls_failed", "an error of mcproxy itself, which its log tells")
        finally:
            if told_by is not None:
                told_by.close()
        if failure is not None and self._session is None:
            client.close()
            self._owner.on_handshake_failed(failure)

    async def _tell(self, client: socket.socket, alert: bytes) -> None:
        """Send an alert, and wait a little for the client to take it: what it has sent meanwhile would reset the connection."""
        loop = self._tools.loop
        with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
            client.setblocking(False)
            client.send(alert)
            client.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(_ALERT_TIME):
                for _ in range(_ALERT_READS):
                    if not await loop.sock_recv(client, _ALERT_READ):
                        break

    async def _serve(self, client: socket.socket, kind: type[H1Session | H2Session]) -> None:
        session = kind(self._tools, self._owner, self._arrival)
        try:
            await self._tools.loop.connect_accepted_socket(lambda: self._begin(session), client)
        except (OSError, asyncio.CancelledError):
            failure = Failure("client_gone")
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must not wait
            self._tools.poller.report(error)
            failure = Failure("failed", "an error of mcproxy itself, which its log tells")
        else:
            return
        if self._session is None:
            client.close()
            self._owner.on_handshake_failed(failure)

    def _choose(self, transport: asyncio.BaseTransport) -> HttpConnection:
        tls = transport.get_extra_info("ssl_object")
        alpn = tls.selected_alpn_protocol()
        kind = H2Session if alpn == "h2" else H1Session
        session = kind(self._tools, self._owner, self._arrival)
        route = self._arrival.route
        if route is not None:
            self._tools.sparse.count(route.session_keys[tls.session_reused])
            if route.client_auth != "off":
                self._identify(session, route, tls)
        session.accounts.tls = tls.version() or "", (tls.cipher() or ("",))[0]
        session.accounts.handshake = session.seen_at - self._began_at
        return self._begin(session)

    def _failed(self, error: OSError) -> Failure:
        """Count why a handshake has failed, and return it."""
        failure, word = client_tls_failure(error)
        route = self._arrival.route
        if route is not None:
            kind = CLIENT_CERTIFICATE if failure.reason == "client_certificate" else HANDSHAKE
            self._tools.sparse.count(key(route.index, kind, word))
            self._tools.handshakes.failed(self._arrival, failure, word)
        return failure

    def _identify(self, session: Session, route: LiveRoute, tls: ssl.SSLObject) -> None:
        """Take note of the certificate that a client was asked for."""
        shown = shown_by(tls)
        session.identify(shown)
        objects = objection(route, shown) is not None
        result = "none" if shown is None else "wrong_name" if objects else "accepted"
        self._tools.sparse.count(key(route.index, CLIENT_CERTIFICATE, result))

    def _begin(self, session: Session) -> Session:
        self._session = session
        if self._draining:
            self._tools.loop.call_soon(session.drain)
        self._tools.deadlines.set(self._owner, self._tools.poller.tick() + self._tools.settings.timeouts.idle)
        return session
