"""Accepting: one connection per event, and a pause when the system has no descriptors or memory left."""

import asyncio
import socket
from typing import Any

from mcproxy.net.sockets import CONNECTION_GONE, NO_RESOURCES, PlainSocket, accept, packed_address, reset_on_close
from mcproxy.worker.frontend.connection import Connection
from mcproxy.worker.frontend.pause import Pause
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.live.listener import LiveListener
from mcproxy.worker.tools.access_log import ConnectionLine, client_text


class Acceptor:
    """One listening socket that this worker serves."""

    __slots__ = ("_family", "_listener", "_open", "_pause", "_tools", "sock")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, tools: FrontendTools, listener: LiveListener, sock: socket.socket
    ) -> None:
        self._tools = tools
        self._listener = listener
        self.sock = sock
        self._family = int(sock.family)
        self._open = True
        self._pause = Pause(loop, tools.errors, listener.index, sock, self._watch)
        self._watch()

    def stop(self) -> None:
        """Leave the socket to other workers; what waits in its queue stays there."""
        self._open = False
        self._pause.stop()
        self._tools.poller.forget(self.sock.fileno())

    def drain(self) -> None:
        """Stop after accepting what waits: for a socket that is about to be closed everywhere."""
        while self._open and self._accept():
            pass
        self.stop()

    def _watch(self) -> None:
        self._tools.poller.watch_listening(self.sock.fileno(), self._accept)

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
            self._begin_pause()
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
            refuse_over_limit(tools, listener, client, peer)
        if number >= self._pause.ceiling:
            self._begin_pause()
            return False
        return True

    def _begin_pause(self) -> None:
        self._tools.poller.forget(self.sock.fileno())
        self._pause.begin()


def refuse_over_limit(tools: FrontendTools, listener: LiveListener, client: PlainSocket, peer: tuple[Any, ...]) -> None:
    """Reset a connection that was accepted although the listener has as many as it may have, and tell of it."""
    tools.errors.refused(listener.index, "limit")
    source = packed_address(peer[0]), peer[1]
    tools.refusals.turned_away(tools.poller.now, listener.addr, "", "limit", source, "", "")
    reset_on_close(client)
    client.close()
    if tools.log.is_open:
        client_addr = client_text(source)
        tools.log.connection(ConnectionLine(listener=listener.addr, client=client_addr, reason="limit"))
