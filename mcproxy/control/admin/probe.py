"""Dialing the backend of a route, to see what it says: ``explain --probe``.

As far as it goes this is what a worker does: every address of the backend's name, the PROXY header (that of a health check), TLS with the
same verification. No request is sent.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import UnsetType

from mcproxy.control.files.look import look
from mcproxy.control.reconcile.applier import Applier, seconds
from mcproxy.model.state.state import Route
from mcproxy.model.state.upstream_entries import entry_name
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.reasons import Failure
from mcproxy.net.failure_words import TlsClient, dial_failure, endpoint_text, refused_later, tls_failure
from mcproxy.net.sockets import SocketAddress
from mcproxy.net.tls import ALPN_BOTH, Pair, TlsError, client_context
from mcproxy.policy.explain.backend import dialed_as

_AT_ONCE = 16  # endpoints of an upstream that are dialed at a time
_MOST_ENDPOINTS = 64  # of these in all
_MOST = 4  # addresses of a name that are dialed
_PATIENCE = 0.25  # seconds for what comes behind a handshake of TLS 1.3, if anything does
_LOCAL_V2 = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"  # PROXY protocol specification, section 2.2
_LOCAL_V1 = b"PROXY UNKNOWN\r\n"


class Limits(msgspec.Struct, frozen=True):
    """How long a probe may take for each address, in seconds."""

    connect: float
    handshake: float


class Finding(msgspec.Struct, frozen=True):
    """What one address said: whether a worker could use it, and what happened in words."""

    good: bool
    words: str


async def probe_route(route: Route, applier: Applier, server_name: str) -> list[Finding]:
    """Dial each address of the backend of a live route, of an upstream each endpoint; ``server_name`` is what the client asks for."""
    state, assets = applier.state, applier.assets
    limits = Limits(seconds(state, "proxy.connect_timeout"), seconds(state, "proxy.handshake_timeout"))
    listener = state.listeners.get(route.listener)
    asked = None if listener is not None and listener.protocol == "tcp" else server_name
    name = entry_name(route)
    entry = next((entry for entry in applier.upstreams if entry.name == name), None)
    routes = [route]
    if entry is not None:
        way = dialed_as(route, entry.upstream)
        routes = [
            msgspec.structs.replace(
                way, endpoints=(one.endpoint,), upstream="", backend_server_name=way.backend_server_name or one.name
            )
            for one in entry.endpoints
        ]
    contents = {} if assets is None else assets.contents()
    free = asyncio.Semaphore(_AT_ONCE)

    async def ask(one: Route) -> list[Finding]:
        async with free:
            return await look(lambda: list(probe(one, contents, asked, limits)))

    found = [finding for each in await asyncio.gather(*map(ask, routes[:_MOST_ENDPOINTS])) for finding in each]
    if len(routes) > _MOST_ENDPOINTS:
        found.append(Finding(good=False, words=f"{len(routes) - _MOST_ENDPOINTS} more endpoints were not dialed"))
    return found


def probe(route: Route, contents: Mapping[str, bytes], server_name: str | None, limits: Limits) -> Iterator[Finding]:
    """Dial each address of a route's backend.

    Args:
        route: whose backend.
        contents: what the files hold that the route names for its backend, by path; without CAs those of the system count.
        server_name: what a client asks for; a backend that TLS is passed through to is asked for it. None
            stands for clients that need not speak TLS: the backend is only connected to.
        limits: of each address.
    """
    connect = route.connect_timeout
    if not isinstance(connect, UnsetType):
        limits = msgspec.structs.replace(limits, connect=connect)
    for endpoint in route.endpoints:
        try:
            addresses = _addresses(endpoint)
        except OSError as error:
            yield Finding(good=False, words=str(Failure("backend_dns", error.strerror or str(error), str(endpoint))))
            continue
        for address in addresses[:_MOST]:
            yield _dial(route, address, contents, server_name, limits)


def _addresses(endpoint: Endpoint) -> list[SocketAddress]:
    if endpoint.path:
        return [(int(socket.AF_UNIX), endpoint.path)]
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((int(each[0]), each[4]) for each in found))  # type: ignore[misc] # of these two families


def _dial(
    route: Route, address: SocketAddress, contents: Mapping[str, bytes], server_name: str | None, limits: Limits
) -> Finding:
    where = endpoint_text(address)
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        try:
            sock = stack.enter_context(socket.socket(address[0], socket.SOCK_STREAM))
            sock.settimeout(limits.connect)
            sock.connect(address[1])
        except TimeoutError:
            failure = Failure("backend_timeout", f"timed out after {limits.connect:g} s", where)
            return Finding(good=False, words=str(failure))
        except OSError as error:
            return Finding(good=False, words=str(dial_failure(error.errno or 0, address, limits.connect)))
        words = f"{where}: connected in {(time.monotonic() - began) * 1000:.1f} ms"
        sock.settimeout(limits.handshake)
        if route.send_proxy_protocol:
            with contextlib.suppress(OSError):  # the next step meets it, too
                sock.sendall(_LOCAL_V1 if route.proxy_protocol_version == "v1" else _LOCAL_V2)
        if server_name is None:
            return Finding(good=True, words=words)
        if route.mode == "l4":
            return _passed_through(sock, server_name or route.hostname, words)
        return (
            _terminated(route, sock, contents, where, words, limits)
            if route.backend_tls
            else Finding(good=True, words=words)
        )


def _terminated(
    route: Route, sock: socket.socket, contents: Mapping[str, bytes], where: str, words: str, limits: Limits
) -> Finding:
    """Do the handshake of an l7 route whose backend is reached through TLS."""
    name = route.backend_server_name or route.endpoints[0].host
    ca = contents.get(route.backend_ca, b"")
    has_own = route.backend_cert in contents and route.backend_key in contents
    own = Pair(contents[route.backend_cert], contents[route.backend_key]) if has_own else None
    protocols = ALPN_BOTH if route.backend_protocol == "auto" else (route.backend_protocol,)
    try:
        context = client_context(ca, protocols, own)
        tls, incoming = _handshake(context, sock, name)
        _hear_refusal(tls, incoming, sock)
    except TlsError as error:
        return Finding(good=False, words=f"{words}; {error}")
    except OSError as error:
        return Finding(good=False, words=str(tls_failure(error, name, limits.handshake, where)))
    speaks = tls.selected_alpn_protocol() or "http/1.1"
    return Finding(
        good=True, words=f"{words}; {tls.version()}, its certificate is valid for {name}; it speaks {speaks}"
    )


def _passed_through(sock: socket.socket, name: str, words: str) -> Finding:
    """See whether a backend that TLS is passed through to speaks it; whether its certificate is good, clients judge."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        tls, _ = _handshake(context, sock, None if "*" in name else name)
    except OSError as error:
        failure = tls_failure(error, name, 0.0, "")
        told = "no TLS handshake in time" if failure.reason == "backend_timeout" else failure.detail
        return Finding(good=False, words=f"{words}; {told}")
    return Finding(good=True, words=f"{words}; it speaks {tls.version()}")


def _hear_refusal(tls: ssl.SSLObject, incoming: ssl.MemoryBIO, sock: socket.socket) -> None:
    """Wait a little for what a backend says of the certificate that it was shown; in TLS 1.3 that comes behind the handshake.

    Raises:
        ssl.SSLError: it refuses.
    """
    if tls.version() != "TLSv1.3":
        return
    sock.settimeout(_PATIENCE)
    try:
        incoming.write(sock.recv(1 << 16))
        tls.read(1)
    except OSError as error:  # "want read": session tickets have come
        if refused_later(error):
            raise


def _handshake(context: ssl.SSLContext, sock: socket.socket, name: str | None) -> tuple[ssl.SSLObject, ssl.MemoryBIO]:
    """Do a client's handshake; through an `ssl.SSLObject`, since that is what keeps a certificate that is not accepted.

    Returns:
        It, and where is put what comes.
    """
    context.sslobject_class = TlsClient
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            data = sock.recv(1 << 16)
            if not data:
                raise ConnectionResetError("the connection was closed") from None
            incoming.write(data)
        else:
            sock.sendall(outgoing.read())
            return tls, incoming
