"""The orderly end of a connection without TLS, whose client may still be sending (RFC 9112 section 9.6).

A socket that is closed with something unread is answered by a reset, and with that a client may lose the response. So the end of
the stream is sent, and what comes is thrown away until the client ends it too.
"""

import asyncio
import socket
from collections.abc import Callable

_MOST = 5.0  # seconds for the client, from the last byte that it has taken


class Lingering(asyncio.BufferedProtocol):
    """Takes a transport's protocol's place from then on.

    Attributes:
        until: when it closes whatever the client does (monotonic seconds).
    """

    __slots__ = ("_on_lost", "_page", "_transport", "_unsent", "until")

    def __init__(
        self, transport: asyncio.Transport, page: memoryview, now: float, on_lost: Callable[[Exception | None], object]
    ) -> None:
        """Send the end of the stream.

        Args:
            transport: the transport; all that is to be sent is written.
            page: what one read may fill.
            now: monotonic seconds.
            on_lost: called once it is closed.
        """
        self._transport = transport
        self._page = page
        self._on_lost = on_lost
        self._unsent = transport.get_write_buffer_size()
        self.until = now + _MOST
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # the kernel's least: what comes is of no use
        transport.set_protocol(self)
        transport.write_eof()
        if not transport.is_reading():
            transport.resume_reading()

    def check(self, now: float) -> float:
        """Close when it is time; return when to look again."""
        if now < self.until:
            return self.until
        unsent = self._transport.get_write_buffer_size()
        if unsent >= self._unsent:
            self.abort()
            return float("inf")
        self._unsent = unsent
        self.until = now + _MOST
        return self.until

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - whatever is there
        """Return where to put what is thrown away."""
        return self._page

    def buffer_updated(self, nbytes: int) -> None:
        """Throw it away."""

    def eof_received(self) -> None:
        """Close: the client has ended, too."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._on_lost(exc)
