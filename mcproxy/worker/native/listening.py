"""The listening sockets on which the native core accepts."""

import asyncio
import os
import socket
from collections.abc import Callable

from mcproxy.net.native.core import Core, Listener
from mcproxy.net.native.records import HAS_MORE
from mcproxy.net.sockets import NO_RESOURCES
from mcproxy.worker.frontend.pause import Pause
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.live.listener import LiveListener


class NativeAcceptor:
    """One listening socket that this worker serves."""

    __slots__ = ("_core", "_errors", "_listener", "_pause", "_report", "_settle", "sock")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tools: FrontendTools,
        core: Core,
        native: Listener,
        listener: LiveListener,
        sock: socket.socket,
        settle: Callable[[int], int],
    ) -> None:
        """Accept; raises OSError.

        Args:
            loop: the event loop.
            tools: what clients' connections share.
            core: accepts.
            native: the listener, as the core has it.
            listener: the same in Python.
            sock: the socket.
            settle: takes what a call of the core returns, handles its records, and returns it.
        """
        self._core = core
        self._errors = tools.errors
        self._report = tools.poller.report
        self._settle = settle
        self._listener = listener.index
        self.sock = sock
        self._pause = Pause(loop, tools.errors, listener.index, sock, self._resume)
        native.listen(sock.fileno())

    def stop(self) -> None:
        """Leave the socket to other workers; what waits in its queue stays there."""
        self._pause.stop()
        self._core.unlisten(self.sock.fileno())

    def drain(self) -> None:
        """Stop after accepting what waits: for a socket that is about to be closed everywhere."""
        while self._settle(self._core.drain_listening(self.sock.fileno())) & HAS_MORE:
            pass
        self.stop()

    def on_paused(self, error: int) -> None:
        """Go on in a moment: accepting has failed with an errno, or descriptors are getting scarce (0)."""
        if error in NO_RESOURCES:
            self._errors.refused(self._listener, "no_resources")
        elif error:
            self._report(OSError(error, os.strerror(error)))
        self._pause.begin()

    def _resume(self) -> None:
        self._core.resume(self.sock.fileno())
