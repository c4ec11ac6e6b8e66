"""A connection of one check: dialed, introduced and secured as traffic's are, and limited in what it may read.

Everything is asked for (`receive`), nothing is collected behind it, so an endpoint that sends without end fills its socket's
buffer and no memory of this process. Each read counts for `_LEAST` bytes at least: what comes byte by byte ends as soon.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Sequence

from mcproxy.model.values.reasons import Failure
from mcproxy.net.failure_words import TlsClient, dial_failure, endpoint_text, refused_later, tls_failure
from mcproxy.net.sockets import SocketAddress, send_at_once, short_path

MOST = 1 << 18
"""Bytes that a check reads."""

_LEAST = 256
_PIECE = 1 << 14
_HEAD_START = 0.25  # seconds that an address of several has before the next is begun, as those of traffic
_BUSY_PAUSE = 0.05  # seconds until a Unix socket whose queue is full is tried again
_KIND = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class CheckFailedError(Exception):
    """The endpoint is not as it should be.

    Attributes:
        failure: why.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail or failure.reason)
        self.failure = failure


async def connect(addresses: Sequence[SocketAddress], seconds: float) -> "Connection":
    """Connect to the first address that answers; later ones are begun as those before fail or take long.

    Args:
        addresses: where the endpoint is, one or more.
        seconds: the time the check has, for messages alone.

    Raises:
        CheckFailedError: none can be connected to; the error is that of the last.
    """
    if len(addresses) == 1:
        return await _connected(addresses[0], seconds)
    waiting = list(addresses)
    running: set[asyncio.Task[Connection]] = set()
    failed: CheckFailedError | None = None
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.ensure_future(_connected(waiting.pop(0), seconds)))
            patience = _HEAD_START if waiting else None
            done, running = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                error = one.exception()
                if error is None:
                    running |= done - {one}  # another may have come at the same moment: it is closed below
                    return one.result()
                if not isinstance(error, CheckFailedError):
                    raise error
                failed = error
    finally:
        for one in running:
            one.cancel()
            one.add_done_callback(_close_late)
    assert failed is not None  # noqa: S101 - there is an address
    raise failed


def _close_late(done: "asyncio.Task[Connection]") -> None:
    if not done.cancelled() and done.exception() is None:
        done.result().close()


async def _connected(address: SocketAddress, seconds: float) -> "Connection":
    family, where = address
    with contextlib.ExitStack() as stack:
        try:
            if isinstance(where, str):
                where = stack.enter_context(short_path(where))
            sock = socket.socket(family, _KIND)
        except OSError as error:
            raise CheckFailedError(dial_failure(error.errno or 0, address, seconds)) from None
        try:
            code = sock.connect_ex(where)
            while code == errno.EAGAIN and family == socket.AF_UNIX:
                await asyncio.sleep(_BUSY_PAUSE)  # nothing tells when the queue has room (connect(2))
                code = sock.connect_ex(where)
            if code == errno.EINPROGRESS:
                await _writable(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise CheckFailedError(dial_failure(code, address, seconds))
        except BaseException:
            sock.close()
            raise
    if family != socket.AF_UNIX:
        send_at_once(sock)
    return Connection(sock, endpoint_text(address))


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(sock, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_writer(sock)


def _settle(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


class Connection:
    """An established connection.

    Attributes:
        endpoint: the address that answered.
        alpn: what was chosen by ALPN; None without TLS, or if the endpoint did not choose.
    """

    def __init__(self, sock: socket.socket, endpoint: str) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._left = MOST
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.endpoint = endpoint
        self.alpn: str | None = None

    async def secure(self, context: ssl.SSLContext, name: str, seconds: float) -> None:
        """Do the TLS handshake, and verify the certificate for ``name``; raises `CheckFailedError`."""
        context.sslobject_class = TlsClient
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        try:
            while True:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    await self._flush()
                    if not await self._fill():
                        raise ConnectionResetError from None
                else:
                    break
            await self._flush()
        except OSError as error:
            raise CheckFailedError(tls_failure(error, name, seconds, self.endpoint)) from None
        self._tls, self.alpn = tls, tls.selected_alpn_protocol()

    async def hear_refusal(self, patience: float) -> None:
        """Wait for what an endpoint that speaks TLS 1.3 says behind the handshake, for ``patience`` seconds at most.

        It judges there whether it accepts the certificate that it was shown, or that there was none (RFC 8446 section 4.4.2.4);
        one that does sends session tickets, or nothing.

        Raises:
            ssl.SSLError: it refuses.
        """
        if self._tls is None or self._tls.version() != "TLSv1.3":
            return
        try:
            async with asyncio.timeout(patience):
                await self._fill()
            self._tls.read(1)
        except (TimeoutError, ssl.SSLWantReadError):
            return
        except OSError as error:
            if refused_later(error):
                raise

    async def send(self, data: bytes) -> None:
        """Send; an error of the connection is an `OSError`."""
        if self._tls is None:
            await self._loop.sock_sendall(self._sock, data)
            return
        self._tls.write(data)  # into memory, all of it
        await self._flush()

    async def receive(self) -> bytes:
        """Return what has come, b"" at the end.

        Raises:
            OSError: the connection failed.
            CheckFailedError: more came than a check reads.
        """
        if self._tls is None:
            return await self._read()
        while True:
            try:
                return self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    return b""
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def close(self) -> None:
        """End the connection; with TLS the endpoint is told so, as far as that goes without waiting."""
        if self._tls is not None:
            with contextlib.suppress(OSError):  # "want read": its own farewell is not waited for
                self._tls.unwrap()
            with contextlib.suppress(OSError):
                self._sock.send(self._outgoing.read())
        self._sock.close()

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self._loop.sock_sendall(self._sock, data)

    async def _fill(self) -> int:
        data = await self._read()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return len(data)

    async def _read(self) -> bytes:
        if self._left <= 0:
            detail = f"it sent more than {MOST >> 10} KiB, and no answer"
            raise CheckFailedError(Failure("bad_response", detail, self.endpoint))
        data = await self._loop.sock_recv(self._sock, _PIECE)
        self._left -= max(len(data), _LEAST)
        return data
