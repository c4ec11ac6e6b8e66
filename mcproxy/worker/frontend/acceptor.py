"""Accepting: one connection per event, and a pause when the system has no descriptors or memory left.

Some descriptors are kept for backends: what was accepted needs one there too. The system gives the lowest number that is
free, so a high one tells that few are.
"""

import asyncio
import os
import resource
import socket

from mcproxy.net.sockets import CONNECTION_GONE, NO_RESOURCES, accept, packed_address, reset_on_close
from mcproxy.worker.frontend.connection import Connection
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.live.listener import LiveListener
from mcproxy.worker.tools.access_log import ConnectionLine, client_text

_RESERVE = 4096  # descriptors kept for backends, or a quarter of all if that is less
_PAUSE = 0.1  # seconds; closing connections give descriptors back meanwhile


class Acceptor:
    """One listening socket that this worker serves."""

    __slots__ = ("_ceiling", "_family", "_listener", "_loop", "_open", "_tools", "sock")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, tools: FrontendTools, listener: LiveListener, sock: socket.socket
    ) -> None:
        self._loop = loop
        self._tools = tools
        self._listener = listener
        self.sock = sock
        self._family = int(sock.family)
        self._open = True
        self._ceiling = _ceiling()
        tools.poller.watch_listening(sock.fileno(), self._accept)

    def stop(self) -> None:
        """Leave the socket to other workers; what waits in its queue stays there."""
        self._open = False
        self._tools.poller.forget(self.sock.fileno())

    def drain(self) -> None:
        """Stop after accepting what waits: for a socket that is about to be closed everywhere."""
        while self._open and self._accept():
            pass
        self.stop()

    def _accept(self, _mask: int = 0) -> bool:
        """Accept one connection; tell whether there may be more."""
        try:
            client, peer = accept(self.sock, self._family)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in CONNECTION_GONE:
                return True
            if error.errno not in NO_RESOURCES:
                raise
            self._tools.errors.refused(self._listener.index, "no_resources")
            self._pause()
            return False
        number = client.fileno()
        tools, listener = self._tools, self._listener
        tools.counters[listener.accepted_counter] += 1
        if listener.admission.admit():
            client.setblocking(False)
            connection = Connection(tools, listener, client, peer)
            try:
                connection.start()
            except Exception as error:  # noqa: BLE001 - a connection that nothing watches would never end
                tools.poller.report(error)
                connection.on_fault()
        else:
            tools.errors.refused(listener.index, "limit")
            reset_on_close(client)
            client.close()
            if tools.log.is_open:
                client_addr = client_text((packed_address(peer[0]), peer[1]))
                tools.log.connection(ConnectionLine(listener=listener.addr, client=client_addr, reason="limit"))
        if number >= self._ceiling:
            self._pause()
            return False
        return True

    def _pause(self) -> None:
        self._tools.poller.forget(self.sock.fileno())
        self._loop.call_later(_PAUSE, self._resume)

    def _resume(self) -> None:
        if not self._open:
            return
        if self._is_short():
            self._tools.errors.refused(self._listener.index, "no_resources")
            self._loop.call_later(_PAUSE, self._resume)
        else:
            self._tools.poller.watch_listening(self.sock.fileno(), self._accept)

    def _is_short(self) -> bool:
        """Tell whether the free descriptors are those that are kept for backends."""
        try:
            number = os.dup(self.sock.fileno())
        except OSError:
            return True
        os.close(number)
        return number >= self._ceiling


def _ceiling() -> int:
    """Return the number from which on descriptors are kept for backends."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 62 if soft == resource.RLIM_INFINITY else soft - min(_RESERVE, soft // 4)
