"""The worker's end of the control channel: messages in, acknowledgements out, and the way back.

A worker outlives its control. When the channel ends it goes on serving and reconnects to the control socket until a new
control opens, then hands over everything it holds (listening sockets, shared memory, its snapshot), so that the new one
can take over without a refused connection.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from typing import Protocol

from mcproxy.errors import ChannelError
from mcproxy.net import ipc
from mcproxy.net.sockets import peer_credentials, short_path

_RECONNECT = 0.1  # seconds between attempts to reach a new control
_log = logging.getLogger(__name__)


class MessageHandler(Protocol):
    """The worker, as the link sees it."""

    def on_message(self, message: ipc.Message, descriptors: Sequence[tuple[ipc.Descriptor, int]]) -> None:
        """Handle one message of control; the descriptors are the worker's now."""

    def handover(self) -> Sequence[tuple[ipc.Message, Sequence[tuple[ipc.Descriptor, int]]]]:
        """Return the messages that introduce this worker to a new control."""

    def on_orphaned(self) -> None:
        """Take note that control has ended."""


class ControlLink:
    """Talks to control, whichever it is."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handler: MessageHandler, channel: socket.socket, path: str
    ) -> None:
        """Take over ``channel``; ``path`` is where a new control listens."""
        self._loop = loop
        self._handler = handler
        self._path = path
        self._channel: socket.socket | None = None
        self._attach(channel)

    def send(self, message: ipc.Message, descriptors: Sequence[tuple[ipc.Descriptor, int]] = ()) -> None:
        """Send a message; without a control, or to one that does not read, it is dropped."""
        if self._channel is None:
            return
        try:
            ipc.send(self._channel, message, descriptors)
        except BlockingIOError:
            _log.warning("control does not read its channel")
        except OSError:
            self._detach()

    def _attach(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._loop.add_reader(channel.fileno(), self._on_readable)

    def _detach(self) -> None:
        if self._channel is not None:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
            self._channel = None
            self._loop.call_later(_RECONNECT, self._reconnect)
            self._handler.on_orphaned()

    def _on_readable(self) -> None:
        while self._channel is not None:
            try:
                received = ipc.receive(self._channel)
            except BlockingIOError:
                return
            except ChannelError:
                _log.exception("a message of control was refused")
                self._detach()
                return
            if received is None:
                self._detach()
                return
            self._handler.on_message(*received)

    def _reconnect(self) -> None:
        handover = self._handler.handover()  # first: a worker that has nothing to hand over ends here
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            channel.settimeout(1)  # a control that has just died may leave a queue that nobody reads
            with short_path(self._path) as path:
                channel.connect(path)
            _, uid = peer_credentials(channel)
            if uid not in (0, os.getuid()):
                raise PermissionError(f"{self._path} belongs to uid {uid}")
            for message, descriptors in handover:
                ipc.send(channel, message, descriptors)
        except OSError:
            channel.close()
            self._loop.call_later(_RECONNECT, self._reconnect)
        else:
            self._attach(channel)
