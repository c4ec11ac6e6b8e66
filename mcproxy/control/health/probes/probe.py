"""One check of one endpoint: connect, introduce the proxy, handshake, ask; a verdict, or the reason in words."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Literal, TypeAlias

import msgspec

from mcproxy.control.health.probes.connection import CheckFailedError, Connection, connect
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.reasons import Failure
from mcproxy.net.failure_words import tls_failure
from mcproxy.net.resolver import Addresses
from mcproxy.net.tls import ALPN_BOTH, Pair, TlsError, client_context
from mcproxy.wire.proxy_protocol import LOCAL_HEADER

CheckType: TypeAlias = Literal["tcp", "tls", "http", "grpc"]
LookUp: TypeAlias = Callable[[Endpoint], Awaitable[Addresses]]

_LOCAL_V1 = b"PROXY UNKNOWN\r\n"  # version 1 has no word for it (PROXY protocol specification, section 2.1)
_LATE = 0.5  # seconds that a time limit may act too late; then this process has not been running, and nothing is known
_CONTEXTS = 256
_PATIENCE = 0.25  # seconds for what comes behind a handshake of TLS 1.3, if anything does


class Tls(msgspec.Struct, frozen=True):
    """How an endpoint is reached by TLS.

    Attributes:
        ca: CAs it is verified by (PEM); empty for the system's.
        server_name: what its certificate must be for.
        own: the certificate that it gets to see, None for none.
    """

    ca: bytes = b""
    server_name: str = ""
    own: Pair | None = None


class Probe(msgspec.Struct, frozen=True):
    """Everything about a check but when it is due.

    Attributes:
        type: what is to succeed.
        endpoint: where.
        timeout: seconds for all of it.
        tls: None for cleartext.
        host: for Host or :authority; "" for the endpoint's.
        name: of the endpoint where ``endpoint`` is one of its addresses; "" for the host of that.
        path: of http.
        statuses: of http, the first and the last of each range that is good.
        service: of grpc.
        protocol: of http; auto is HTTP/1.1 but where TLS negotiates h2.
        proxy_header: version of the header that the connection begins with, "" for none.
    """

    type: CheckType
    endpoint: Endpoint
    timeout: float = 2.0
    tls: Tls | None = None
    host: str = ""
    name: str = ""
    path: str = "/"
    statuses: tuple[tuple[int, int], ...] = ((200, 399),)
    service: str = ""
    protocol: Literal["auto", "h2", "http/1.1"] = "auto"
    proxy_header: Literal["", "v1", "v2"] = ""


class Outcome(msgspec.Struct, frozen=True):
    """How a check ended.

    Attributes:
        good: None if it could not be carried out: nothing is known.
        error: why it is not good, in words; "" if it is.
        seconds: how long it took.
    """

    good: bool | None
    error: str
    seconds: float


class Contexts:
    """TLS contexts by CA, own certificate and protocols: each costs as much as a hundred checks."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, tuple[str, ...]], ssl.SSLContext] = {}

    def get(self, tls: Tls, protocols: tuple[str, ...]) -> ssl.SSLContext:
        """Return a context; raises `TlsError`."""
        key = b"".join(sha256(part).digest() for part in (tls.ca, *(tls.own or ()))), protocols
        context = self._known.get(key)
        if context is None:
            if len(self._known) >= _CONTEXTS:
                self._known.clear()
            context = self._known[key] = client_context(tls.ca, protocols, tls.own)
        return context


class Prober:
    """Carries out checks."""

    def __init__(self, look_up: LookUp, clock: Callable[[], float] = time.monotonic) -> None:
        """``look_up`` returns the addresses of an endpoint, none if its name has none."""
        self._look_up = look_up
        self._clock = clock
        self._contexts = Contexts()

    async def run(self, probe: Probe) -> Outcome:
        """Check an endpoint; takes its ``timeout`` at most."""
        began = self._clock()
        stage = _Stage(f"timed out after {probe.timeout:g} s")
        good: bool | None = False
        error = ""
        try:
            async with asyncio.timeout(probe.timeout):
                await self._check(probe, stage)
            good = True
        except CheckFailedError as failed:
            if failed.failure.reason == "no_resources":
                good = None
            error = failed.failure.detail
        except TimeoutError:
            error = stage.overdue
            if self._clock() - began > probe.timeout + _LATE:
                good, error = None, "this process has not been running for a while"
        except ssl.SSLError as failed:  # an alert behind the handshake
            error = tls_failure(failed, "", probe.timeout, "").detail
        except TlsError as failed:
            error = str(failed)
        except OSError as failed:
            error = stage.broken or failed.strerror or str(failed)
        return Outcome(good, error, self._clock() - began)

    async def _check(self, probe: Probe, stage: "_Stage") -> None:
        until = self._clock() + probe.timeout
        addresses = await self._look_up(probe.endpoint)
        if not addresses:
            raise CheckFailedError(Failure("backend_dns", "the name has no address"))
        connection = await connect(addresses, probe.timeout)
        try:
            stage.broken = "it closed the connection without a response"
            if probe.proxy_header:
                await connection.send(LOCAL_HEADER if probe.proxy_header == "v2" else _LOCAL_V1)
            if probe.tls is not None or probe.type == "tls":
                stage.overdue = f"no TLS handshake within {probe.timeout:g} s"
                await self._secure(probe, connection)
            stage.overdue = f"no response within {probe.timeout:g} s"
            if probe.type == "tls":
                await connection.hear_refusal(min(_PATIENCE, (until - self._clock()) / 2))
            else:
                await _ask(probe, connection)
        finally:
            connection.close()

    async def _secure(self, probe: Probe, connection: Connection) -> None:
        tls = probe.tls or Tls()
        name = tls.server_name or probe.host or probe.name or probe.endpoint.host or "localhost"
        protocols: tuple[str, ...] = ALPN_BOTH if probe.protocol == "auto" else (probe.protocol,)
        if probe.type == "grpc":
            protocols = ("h2",)
        elif probe.tls is None:  # what its clients speak to it nobody says here, and some servers refuse a wrong offer
            protocols = ()
        await connection.secure(self._contexts.get(tls, protocols), name, probe.timeout)


class _Stage:
    """What is to be said of a check that comes no further: when its time is over, and when the connection breaks."""

    def __init__(self, overdue: str) -> None:
        self.overdue = overdue
        self.broken = ""


async def _ask(probe: Probe, connection: Connection) -> None:
    from mcproxy.control.health.probes import requests  # noqa: PLC0415 - HTTP is slow to import, and few files have such checks

    host = probe.host or _authority(probe)
    match probe.type:
        case "http":
            secured = probe.tls is not None
            h2 = connection.alpn == "h2" if secured else probe.protocol == "h2"
            await (requests.check_http2 if h2 else requests.check_http)(connection, host, probe.path, probe.statuses)
        case "grpc":
            if probe.tls is not None and connection.alpn != "h2":
                detail = "it does not offer HTTP/2 by ALPN"
                raise CheckFailedError(Failure("bad_response", detail, connection.endpoint))
            await requests.check_grpc(connection, host, probe.service)
        case _:
            pass


def _authority(probe: Probe) -> str:
    """Return the host for a request: the endpoint's, with its port unless that is the scheme's own."""
    if probe.endpoint.path:
        return "localhost"
    endpoint = Endpoint(probe.name or probe.endpoint.host, probe.endpoint.port)
    own = 443 if probe.tls is not None else 80
    return str(endpoint).removesuffix(f":{own}") if endpoint.port == own else str(endpoint)
