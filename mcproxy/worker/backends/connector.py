"""Makes the connections of one pool: dialed, through TLS where the backend is reached so, with the HTTP version chosen."""

import asyncio
import socket
import ssl
from typing import Protocol, TypeAlias

import msgspec

from mcproxy.model.values.reasons import Failure
from mcproxy.net.failure_words import TlsClient, endpoint_text, tls_failure
from mcproxy.net.loop.poller import Poller
from mcproxy.net.sockets import PlainSocket, end_unacknowledged, for_transport
from mcproxy.net.tls import ALPN_BOTH, client_context
from mcproxy.worker.backends import decisions
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.dial import Dial, DialTools
from mcproxy.worker.backends.h1_backend import H1Backend, H1Pool
from mcproxy.worker.backends.h2_backend import H2Backend, H2Pool
from mcproxy.worker.backends.proxy_header import send_proxy_header
from mcproxy.worker.backends.target import Target
from mcproxy.worker.stream.exchange import Exchange
from mcproxy.worker.stream.http_connection import HttpConnection, HttpTools, ProtocolSelector
from mcproxy.worker.tools.settings import Settings
from mcproxy.worker.tools.tasks import Tasks

_UNACKNOWLEDGED = 30.0  # seconds without an acknowledgement of what was sent, until a connection counts as lost
OWN_ERROR = Failure("no_resources", "an error of mcproxy itself, which its log tells")
_PROBE = 1.0  # seconds for a cleartext backend to answer an HTTP/2 preface

BackendConnection: TypeAlias = H1Backend | H2Backend
DialOfPool: TypeAlias = decisions.Dial[Exchange]


class ConnectorTools(msgspec.Struct, frozen=True, eq=False):
    """What all connectors of a worker share.

    Attributes:
        poller: dispatches socket events.
        settings: of the live snapshot.
        loop: the event loop.
        tasks: runs TLS handshakes.
        dial: for dials.
        http: for the connections.
    """

    poller: Poller
    settings: Settings
    loop: asyncio.AbstractEventLoop
    tasks: Tasks
    dial: DialTools
    http: HttpTools


class Owner(H1Pool, H2Pool, Protocol):
    """The pool that the connections are made for."""

    def on_dial_failed(self, dial: DialOfPool, failure: Failure) -> None:
        """There is no connection."""

    def on_connection(self, dial: DialOfPool, connection: BackendConnection) -> None:
        """There is one; `on_settled` or `on_lost` will tell whether it can be used."""

    def on_settled(self, connection: BackendConnection) -> None:
        """The backend speaks on it."""

    def on_proven(self, connection: BackendConnection) -> None:
        """The first response has come."""

    def on_lost(self, connection: BackendConnection, *, broken: bool) -> None:
        """It is closed; ``broken``: before a response that was due, for no doing of this side."""


class Connector:
    """Carries out a pool's dials."""

    def __init__(self, tools: ConnectorTools, backend: Backend, owner: Owner) -> None:
        self.tools = tools
        self.backend = backend
        self.owner = owner
        self.tls: ssl.SSLContext | None = None
        self.tls_alone: ssl.SSLContext | None = None  # for connections that must speak HTTP/1.1
        self._targets = tuple(Target(endpoint) for endpoint in backend.endpoints)
        if backend.tls:
            protocols = ALPN_BOTH if backend.protocol == "auto" else (backend.protocol,)
            self.tls = client_context(backend.ca, protocols, backend.own)
            self.tls_alone = client_context(backend.ca, ("http/1.1",), backend.own)
            self.tls.sslobject_class = self.tls_alone.sslobject_class = TlsClient

    def start(self, dial: DialOfPool) -> None:
        """Begin; the owner is notified of the end once, perhaps before this returns."""
        histogram, timeout = dial.request.client.dial_seconds, self.backend.connect_timeout
        attempt = _Attempt(self, dial)
        attempt.dialing = Dial(self.tools.dial, attempt, self._targets, histogram, connect_timeout=timeout)
        attempt.dialing.start()


class _Attempt:
    """One connection on its way.

    Attributes:
        dialing: what brings it.
    """

    dialing: Dial

    def __init__(self, connector: Connector, dial: DialOfPool) -> None:
        self._connector = connector
        self._dial = dial

    def on_connected(self, sock: PlainSocket, mask: int) -> None:  # noqa: ARG002 - the transport looks itself
        """Speak TLS and HTTP on a connection that has been dialed."""
        tools = self._connector.tools
        try:
            tools.poller.forget(sock.fileno())
            end_unacknowledged(sock, _UNACKNOWLEDGED)
            tools.tasks.start(self._open_transport(for_transport(sock)))
        except Exception as error:  # noqa: BLE001 - those that wait must hear of whatever it is
            tools.poller.report(error)
            self.on_dial_failed(OWN_ERROR)

    def on_dial_failed(self, failure: Failure) -> None:
        """Pass on that no address has answered."""
        self._connector.owner.on_dial_failed(self._dial, failure)

    def _endpoint(self) -> str:
        address = self.dialing.address
        return "" if address is None else endpoint_text(address)

    async def _open_transport(self, sock: socket.socket) -> None:
        connector, backend = self._connector, self._connector.backend
        tls = connector.tls_alone if self._dial.alone else connector.tls
        name = backend.server_name or backend.endpoints[0].host
        seconds = connector.tools.settings.timeouts.handshake
        try:
            header, source = backend.proxy_header, backend.source
            if (
                header is not None
                and source is not None
                and not send_proxy_header(sock, header, source, backend.destination, backend.tlvs)
            ):
                sock.close()
                self.on_dial_failed(Failure("backend_refused", "it did not take the PROXY header", self._endpoint()))
                return
            await connector.tools.loop.create_connection(
                lambda: ProtocolSelector(self._choose),
                sock=sock,
                ssl=tls,
                server_hostname=name if tls else None,
                ssl_handshake_timeout=seconds if tls else None,
            )
        except OSError as error:  # ssl.SSLError and TimeoutError are such
            sock.close()
            where = self._endpoint()
            cut = Failure("backend_refused", "it ended the connection at once", where)
            if tls:
                connector.tools.http.count_tls_failure(self._dial.request.route, error)
            self.on_dial_failed(tls_failure(error, name, seconds, where) if tls else cut)
        except Exception as error:  # noqa: BLE001 - as above
            sock.close()
            connector.tools.poller.report(error)
            self.on_dial_failed(OWN_ERROR)

    def _choose(self, transport: asyncio.BaseTransport) -> HttpConnection:
        """Return what speaks the backend's protocol: as ALPN says, as it is known to, or HTTP/2 to try it."""
        tools, owner, route = self._connector.tools, self._connector.owner, self._dial.request.route
        alpn = None
        if self._connector.tls is not None:
            alpn = transport.get_extra_info("ssl_object").selected_alpn_protocol() or "http/1.1"
        speaks = alpn or ("http/1.1" if self._dial.alone else self._dial.speaks or "h2")
        connection: BackendConnection
        if speaks == "h2":
            connection = H2Backend(tools.http, owner, b"http" if alpn is None else b"https", self._endpoint(), route)
            patience = _PROBE if alpn is None else tools.settings.timeouts.handshake
            tools.loop.call_later(patience, _give_up, connection)
        else:
            connection = H1Backend(tools.http, owner, self._endpoint(), route)
            tools.loop.call_soon(owner.on_settled, connection)
        owner.on_connection(self._dial, connection)
        return connection


def _give_up(connection: H2Backend) -> None:
    if not connection.settled and not connection.transport.is_closing():
        connection.abort()
