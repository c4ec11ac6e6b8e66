"""The admin API's listeners: a Unix socket, or TCP with mutual TLS; health and reflection beside it.

One of the homes of grpc and of grpc_health; the home of grpc_reflection.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

import grpc
import msgspec
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mcproxy import api, named_file
from mcproxy.control.admin.places import Places, make_way, places, wait_until_free
from mcproxy.control.files.look import look
from mcproxy.control.reconcile.services import PreparedService
from mcproxy.control.store.errors import StoreError
from mcproxy.control.system import log
from mcproxy.control.system.descriptors import share
from mcproxy.errors import (
    AlreadyExistsError,
    ApplyError,
    InvalidRequestError,
    McproxyError,
    NotFoundError,
    StaleGenerationError,
    UnavailableError,
)
from mcproxy.model.state.state import State
from mcproxy.model.values.addresses import UNIX_PATH_MAX
from mcproxy.named_file import read_file

_GRACE = 0.5  # seconds that calls under way get when a listener closes; mutations go on without their caller
_LONG_GRACE = 60.0  # seconds for calls that wait while another process takes over: one of them has asked for that
_RETRY = 1.0  # seconds between attempts to serve again at addresses that were left
_CLOSE_LIMIT = 5.0  # seconds for grpc to close a listener
_RENEWAL_LIMIT = 1.0  # seconds for files that may have been renewed; then the last ones count
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # else a second server would share the port silently
    ("grpc.max_receive_message_length", api.MAX_MESSAGE),
    ("grpc.max_send_message_length", api.MAX_MESSAGE),
    ("grpc.server_handshake_timeout_ms", 5000),  # until a client has shown its certificate and spoken HTTP/2
)
_CONNECTIONS = 100  # of each listener, or fewer where descriptors are scarce
_CODES: tuple[tuple[type[McproxyError], grpc.StatusCode], ...] = (
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (AlreadyExistsError, grpc.StatusCode.ALREADY_EXISTS),
    (StaleGenerationError, grpc.StatusCode.ABORTED),
    (StoreError, grpc.StatusCode.UNAVAILABLE),
    (UnavailableError, grpc.StatusCode.UNAVAILABLE),
    (McproxyError, grpc.StatusCode.FAILED_PRECONDITION),
)


class Caller(msgspec.Struct, frozen=True):
    """Who calls: the name on the client's certificate; "" on the Unix socket, where anybody may say anything."""

    name: str


class Handlers(Protocol):
    """What is called, by the name of the RPC."""

    unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]]
    streams: Mapping[str, Callable[[Any, Caller], AsyncIterator[Any]]]


class AdminServer:
    """Serves the admin API where the settings say; a `Service`."""

    def __init__(self, handlers: Handlers) -> None:
        """Serve nothing yet."""
        self._handlers = handlers
        self._where = Places()
        self._unix: grpc.aio.Server | None = None
        self._tcp: grpc.aio.Server | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._left: Places | None = None
        self._leaving: list[asyncio.Task[None]] = []
        self._log = log.logger()

    async def prepare(self, desired: State) -> PreparedService | None:
        """Open what is to be opened; see `Service.prepare`."""
        wanted = places(desired)
        if wanted == self._where:
            return None
        if wanted.socket and len(os.fsencode(wanted.socket)) > UNIX_PATH_MAX:
            # The default's; a path that the file names is checked with the file.
            self._log.warning("no admin API: the socket's path is too long, name a shorter one", socket=wanted.socket)
            wanted = msgspec.structs.replace(wanted, socket="")
        await self._closed()  # grpc removes a socket's file by its path, whosever it is by then
        if wanted == self._where:  # the server has come back there meanwhile
            return None
        change = _ListenerChange(self, wanted)
        await change.open()
        return change

    async def leave(self) -> None:
        """Leave the addresses to another process; calls under way are answered yet. `come_back` ends that.

        Raises:
            TimeoutError: they are not free in time.
        """
        self._left, self._where = self._where, Places()
        servers, self._unix, self._tcp = (self._unix, self._tcp), None, None
        self._leaving += [asyncio.create_task(one.stop(_LONG_GRACE)) for one in servers if one is not None]
        await asyncio.to_thread(wait_until_free, self._left, _CLOSE_LIMIT)

    async def come_back(self) -> None:
        """Serve at the addresses again that were left, as soon as they are free."""
        left, self._left = self._left, None
        if left is None or self._where != Places():  # a reload has opened what is wanted by now
            return
        change = _ListenerChange(self, left)
        try:
            await change.open()
        except ApplyError as error:
            self._log.error(str(error), next_try_seconds=_RETRY)
            self._left = left
            asyncio.get_running_loop().call_later(_RETRY, lambda: self._begin(self.come_back()))
        else:
            await change.commit()

    async def finish(self, seconds: float) -> None:
        """Return when the calls are answered that were under way when the addresses were left, after ``seconds`` at the latest."""
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=seconds)

    async def stop(self) -> None:
        """Close both listeners, and those that were left."""
        await self._closed()  # it may be coming back, and would go on with that
        self._left = None
        await _ListenerChange(self, Places()).commit()
        await self._closed()
        await self.finish(_GRACE)

    async def open(self, wanted: Places, change: "_ListenerChange") -> None:
        """Open what is wanted and not open yet; raises `ApplyError`."""
        if wanted.socket and wanted.socket != self._where.socket:
            change.unix = await self._open_unix(wanted)
        if wanted.addr and wanted.addr != self._where.addr:
            change.tcp = await self._open_tcp(wanted)
        elif wanted.addr and wanted.files != self._where.files:
            await look(_Keys(lambda: wanted).read, wanted)

    async def _open_unix(self, wanted: Places) -> grpc.aio.Server:
        make_way(wanted.socket)
        server = await self._server()
        # From the first moment for its owner alone: the mode can't be given to whoever binds it.
        before = os.umask(0o177)
        try:
            server.add_insecure_port(f"unix:{wanted.socket}")
        except RuntimeError as error:
            raise ApplyError(
                f"grpc.socket: {wanted.socket} can't be bound: its folder must be there, and writable; "
                'name another path in [grpc] socket, or "" to do without the admin API'
            ) from error
        finally:
            os.umask(before)
        os.chmod(wanted.socket, wanted.mode)  # noqa: PTH101 - at once; as all file calls of this module
        return server

    async def _open_tcp(self, wanted: Places) -> grpc.aio.Server:
        keys = _Keys(lambda: self._where if self._where.addr else wanted)
        server = await self._server()
        try:
            credentials = grpc.dynamic_ssl_server_credentials(
                await look(keys.read, wanted), keys.renewed, require_client_authentication=True
            )
            server.add_secure_port(f"[::]{wanted.addr}" if wanted.addr.startswith(":") else wanted.addr, credentials)
        except RuntimeError as error:
            raise ApplyError(
                f"grpc.addr: {wanted.addr} can't be bound; another process listens there, or it is not this machine's"
            ) from error
        return server

    async def _server(self) -> grpc.aio.Server:
        server = grpc.aio.server(options=(*_OPTIONS, ("grpc.max_allowed_incoming_connections", share(_CONNECTIONS))))
        handlers = {name: self._handler(method) for name, method in api.METHODS.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(api.SERVICE, handlers),))
        checks = health.aio.HealthServicer()
        for service in ("", api.SERVICE):
            await checks.set(service, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        reflection.enable_server_reflection((api.SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        return server

    def _handler(self, method: api.Method) -> "grpc.RpcMethodHandler[Any, Any]":
        codec: dict[str, Any] = {
            "request_deserializer": method.request.FromString,
            "response_serializer": method.response.SerializeToString,
        }
        if method.streams:
            return grpc.unary_stream_rpc_method_handler(self._streaming(self._handlers.streams[method.name]), **codec)
        return grpc.unary_unary_rpc_method_handler(self._answering(self._handlers.unary[method.name]), **codec)

    def _answering(self, work: Callable[[Any, Caller], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def answer(request: Any, context: "grpc.aio.ServicerContext[Any, Any]") -> Any:
            try:
                return await work(request, _caller(context))
            except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status and no more
                await self._abort(context, error)

        return answer

    def _streaming(self, work: Callable[[Any, Caller], AsyncIterator[Any]]) -> Callable[[Any, Any], AsyncIterator[Any]]:
        async def stream(request: Any, context: "grpc.aio.ServicerContext[Any, Any]") -> AsyncIterator[Any]:
            try:
                async for message in work(request, _caller(context)):
                    yield message
            except Exception as error:  # noqa: BLE001 - likewise
                await self._abort(context, error)

        return stream

    async def _abort(self, context: "grpc.aio.ServicerContext[Any, Any]", error: Exception) -> None:
        """End a call with the status that an error means."""
        if isinstance(error, InvalidRequestError):
            status = api.invalid_argument(str(error), error.violations)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, status.message, api.trailing_metadata(status))
        for kind, code in _CODES:
            if isinstance(error, kind):
                await context.abort(code, api.error_text(str(error)))
        if isinstance(error, grpc.aio.AbortError):
            raise error
        self._log.error("a call of the admin API failed, which is a bug", exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, "the call failed; the server's log says why")

    async def swap(self, where: Places, unix: grpc.aio.Server | None, tcp: grpc.aio.Server | None) -> None:
        """Serve at other addresses; listeners that are not wanted any more close as soon as their callers are answered."""
        before, self._where = self._where, where
        for server in (unix, tcp):
            if server is not None:
                await server.start()
        if where.socket != before.socket:
            self._close(self._unix, before.socket)
            self._unix = unix
        elif where.mode != before.mode:
            try:
                os.chmod(where.socket, where.mode)  # noqa: PTH101 - likewise
            except OSError as error:
                self._log.error("the socket's mode can't be changed", socket=where.socket, error=error.strerror)
        if where.addr != before.addr:
            self._close(self._tcp)
            self._tcp = tcp

    def _close(self, server: grpc.aio.Server | None, path: str = "") -> None:
        """Close a listener, whose socket was at ``path``, without waiting: one of its callers may wait for this very change."""
        if server is not None:
            self._begin(_shut(server, _GRACE, path))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _closed(self) -> None:
        """Return when the listeners that are not wanted any more are closed."""
        if self._closing:
            await asyncio.wait(self._closing)


class _ListenerChange:
    """A change of where the API is served; a `PreparedService`."""

    def __init__(self, owner: AdminServer, wanted: Places) -> None:
        self._owner = owner
        self._wanted = wanted
        self.unix: grpc.aio.Server | None = None
        self.tcp: grpc.aio.Server | None = None

    async def open(self) -> None:
        """Open what is wanted, all or nothing; raises `ApplyError`."""
        try:
            await self._owner.open(self._wanted, self)
        except BaseException:
            await self.undo()
            raise

    async def commit(self) -> None:
        """See `PreparedService.commit`."""
        await self._owner.swap(self._wanted, self.unix, self.tcp)

    async def undo(self) -> None:
        """See `PreparedService.undo`."""
        for server, path in ((self.unix, self._wanted.socket), (self.tcp, "")):
            if server is not None:
                await _shut(server, None, path)


class _Keys:
    """Certificate, key and client CA of the TCP listener; renewed files are used as soon as they belong together."""

    def __init__(self, where: Callable[[], Places]) -> None:
        self._where = where
        self._seen: tuple[bytes, bytes, bytes] | None = None

    def read(self, where: Places) -> grpc.ServerCertificateConfiguration:
        """Return what the files contain; raises `ApplyError` when they can't be used."""
        from mcproxy.control.files.certificates import CertificateError, public_key_of, read_certificate  # noqa: PLC0415 - slow to import

        try:
            contents = tuple(read_file(name) for name in (where.tls_cert, where.tls_key, where.client_ca))
        except OSError as error:
            raise ApplyError(f"{error.filename}: {error.strerror}") from error
        certificate, key, ca = contents
        try:
            if read_certificate(certificate).public_key != public_key_of(key):
                raise ApplyError(f"grpc.tls_key: {where.tls_key} and {where.tls_cert} do not belong together")
            read_certificate(ca)
        except CertificateError as error:
            raise ApplyError(f"grpc.tls_cert, tls_key or client_ca: {error}") from error
        self._seen = (certificate, key, ca)
        return grpc.ssl_server_certificate_configuration([(key, certificate)], ca)

    def renewed(self) -> Any:  # grpc's types don't know None
        """Return what the next client meets, None for what the last one met.

        All of grpc waits meanwhile, so the files are read in a thread that is given up on.
        """
        before = self._seen
        found: list[grpc.ServerCertificateConfiguration] = []

        def read() -> None:
            with contextlib.suppress(ApplyError, named_file.GivenUpError):
                found.append(self.read(self._where()))

        reading = threading.Thread(target=read, name="mcproxy-admin-files", daemon=True)
        reading.start()
        reading.join(_RENEWAL_LIMIT)
        if reading.is_alive():
            named_file.give_up(reading)
        return found[0] if found and self._seen != before else None


async def _shut(server: grpc.aio.Server, grace: float | None, path: str) -> None:
    """Stop a server, and remove its socket if grpc has not."""
    await server.stop(grace)
    if path:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - likewise


def _caller(context: "grpc.aio.ServicerContext[Any, Any]") -> Caller:
    known = context.auth_context()
    names = [*known.get("x509_common_name", ()), *known.get("x509_subject_alternative_name", ())]
    return Caller(names[0].decode(errors="replace") if names else "")
