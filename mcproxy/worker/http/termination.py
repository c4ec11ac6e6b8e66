"""Terminating TLS for one client connection: the handshake, then the session that ALPN has chosen."""

import asyncio
import socket
import ssl
from typing import Protocol

from mcproxy.model.values.reasons import Failure
from mcproxy.worker.http.h1_session import H1Session
from mcproxy.worker.http.h2_session import H2Session
from mcproxy.worker.http.interfaces import SessionOwner, SessionTools
from mcproxy.worker.http.session import Session
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.stream.http_connection import HttpConnection, ProtocolSelector

_SHUTDOWN = 5.0  # seconds for the client's close_notify


class TerminationOwner(SessionOwner, Protocol):
    """Who handed the client over."""

    def on_handshake_failed(self, failure: Failure) -> None:
        """TLS could not be established; the socket is closed."""


class Termination:
    """Owns the client's socket from its untouched ClientHello on."""

    __slots__ = ("_arrival", "_began_at", "_draining", "_owner", "_session", "_task", "_tools")

    def __init__(self, tools: SessionTools, owner: TerminationOwner, arrival: Arrival) -> None:
        self._tools = tools
        self._owner = owner
        self._arrival = arrival
        self._draining = False
        self._began_at = tools.poller.now
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, client: socket.socket, tls: ssl.SSLContext) -> None:
        """Begin the handshake; nothing of the client's bytes has been read."""
        self._task = self._tools.tasks.start(self._handshake(client, tls))

    def check(self, now: float) -> float:
        """Enforce the session's time limits; return when to check again (the handshake has a limit of its own)."""
        return float("inf") if self._session is None else self._session.check(now)

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
        if self._session is not None:
            self._session.end_reason = reason
            self._session.abort()
        elif self._task is not None:
            self._task.cancel()

    async def _handshake(self, client: socket.socket, tls: ssl.SSLContext) -> None:
        failure: Failure | None = None
        try:
            await self._tools.loop.connect_accepted_socket(
                lambda: ProtocolSelector(self._choose),
                client,
                ssl=tls,
                ssl_handshake_timeout=self._tools.settings.timeouts.handshake,
                ssl_shutdown_timeout=_SHUTDOWN,
            )
        except (TimeoutError, asyncio.CancelledError, ConnectionAbortedError):  # the last one is uvloop's at the limit
            failure = Failure("tls_timeout")
        except OSError as error:  # ssl.SSLError is one
            failure = Failure("tls_failed", _words(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must not wait
            self._tools.poller.report(error)
            failure = Failure("tls_failed", "an error of mcproxy itself, which its log tells")
        if failure is not None and self._session is None:
            client.close()
            self._owner.on_handshake_failed(failure)

    def _choose(self, transport: asyncio.BaseTransport) -> HttpConnection:
        tls = transport.get_extra_info("ssl_object")
        alpn = tls.selected_alpn_protocol()
        kind = H2Session if alpn == "h2" else H1Session
        self._session = kind(self._tools, self._owner, self._arrival)
        self._session.accounts.tls = tls.version() or "", (tls.cipher() or ("",))[0]
        self._session.accounts.handshake = self._session.seen_at - self._began_at
        if self._draining:
            self._tools.loop.call_soon(self._session.drain)
        self._tools.deadlines.set(self._owner, self._tools.poller.tick() + self._tools.settings.timeouts.idle)
        return self._session


def _words(error: OSError) -> str:
    """Return what the client, or OpenSSL, says of a handshake that failed."""
    reason = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    if reason:
        return str(reason).lower().replace("_", " ")
    return "the client closed the connection"
