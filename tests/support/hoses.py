"""Clients that send as fast as they are read, whatever comes back, and read nothing or as much as they are told.

A hose's bytes come from an iterator, in the order it gives them; a number among them is a pause in seconds. Many hoses are
driven by one thread, so that none of them waits for another::

    with Hose(address, "app.test", "h2", itertools.repeat(flood)) as hose:
        drive([hose], seconds=2)
"""

import contextlib
import select
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from tests.support.http_clients import Address, plain_socket, tls_socket

SMALL_BUFFER = 4096
"""Bytes that the kernel takes for a client who reads nothing: what waits, waits in the proxy."""
EVERYTHING = 1 << 40
"""A rate of reading: whatever is there."""

_TICK = 0.01  # seconds between two looks at hoses that can't be written to, or pause
_READ = 1 << 16
_LATER = (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError)


class Hose:
    """One connection, over TLS unless told otherwise.

    Attributes:
        sent: bytes that the connection has taken.
        received: what was read.
        ended: the server has closed or reset the connection, or there is nothing more to send and to read.
        ended_at: when that was seen (monotonic seconds).
    """

    def __init__(
        self,
        address: Address,
        hostname: str,
        alpn: str,
        source: Iterable[bytes | float],
        *,
        reads: int = 0,
        buffer: int = SMALL_BUFFER,
        keep: int = 1 << 20,
        tls: bool = True,
    ) -> None:
        """Connect, and finish the handshake.

        Args:
            address: host and port.
            hostname: the SNI.
            alpn: the protocol to offer.
            source: what to send.
            reads: bytes to read in a second.
            buffer: the kernel's receive buffer (bytes).
            keep: how much of what was read is remembered (bytes, the last ones).
            tls: whether there is a handshake.
        """
        self.sock = tls_socket(address, hostname, alpn, buffer=buffer) if tls else plain_socket(address, buffer=buffer)
        self.sock.setblocking(False)
        self.sent = 0
        self.received = bytearray()
        self.ended = False
        self.ended_at = 0.0
        self._source: Iterator[bytes | float] = iter(source)
        self._pending = b""
        self._until = 0.0
        self._dry = False
        self._reads = reads
        self._keep = keep
        self._allowance = 0.0
        self._looked_at = time.monotonic()

    @property
    def wants_write(self) -> bool:
        """Whether there is something to be sent now."""
        return not (self.ended or self._dry) and (bool(self._pending) or time.monotonic() >= self._until)

    def write(self) -> None:
        """Send what is taken now of the next piece."""
        if not self._pending:
            piece = next(self._source, None)
            if piece is None:
                self._dry = True
                return
            if isinstance(piece, int | float):
                self._until = time.monotonic() + piece
                return
            self._pending = piece
        try:
            count = self.sock.send(self._pending)
        except _LATER:
            return
        except OSError:
            self._end()
            return
        self.sent += count
        self._pending = self._pending[count:]

    def read(self) -> None:
        """Read as much as the rate allows by now."""
        if not self._reads or self.ended:
            return
        now = time.monotonic()
        self._allowance = min(self._allowance + self._reads * (now - self._looked_at), float(max(self._reads, _READ)))
        self._looked_at = now
        try:
            while self._allowance >= 1:
                data = self.sock.recv(min(_READ, int(self._allowance)))
                if not data:
                    self._end()
                    return
                self._allowance -= len(data)
                self.received += data
                del self.received[: -self._keep]
        except _LATER:
            return
        except OSError:
            self._end()

    def _end(self) -> None:
        self.ended = True
        self.ended_at = time.monotonic()

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def drive(hoses: Sequence[Hose], seconds: float) -> None:
    """Send and read for so many seconds, or until all hoses have ended."""
    until = time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        live = [hose for hose in hoses if not hose.ended]
        if not live:
            return
        writing = [hose.sock for hose in live if hose.wants_write]
        _, writable, _ = select.select([], writing, [], min(_TICK, until - now)) if writing else ([], [], [])
        ready = set(writable)
        for hose in live:
            if hose.sock in ready:
                hose.write()
            hose.read()
        if not ready:
            time.sleep(min(_TICK / 5, max(0.0, until - time.monotonic())))


@contextlib.contextmanager
def closing_all(hoses: Iterable[Hose]) -> Iterator[list[Hose]]:
    """Make hoses, and close them at the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(hose) for hose in hoses]
