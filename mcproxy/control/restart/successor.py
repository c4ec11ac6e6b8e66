"""The program that is started to replace this control, as seen from here: its process, and the conversation with it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from mcproxy.control.workers.predecessor import VARIABLE
from mcproxy.errors import ChannelError, PreconditionError
from mcproxy.net import ipc
from mcproxy.net.process import held_signals, privileges

M = TypeVar("M", bound=ipc.Message)
T = TypeVar("T")

_OURS = ("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", VARIABLE)
"""Variables that are about this process alone."""
_EXIT_LIMIT = 1.0  # seconds for a process to end that has closed its end of the conversation


class Successor:
    """A new control that serves beside this one until it takes over.

    Attributes:
        pid: its process.
    """

    def __init__(self, command: Sequence[str], limit: float) -> None:
        """Start it.

        Args:
            command: the program with its arguments.
            limit: seconds that it has until it must have taken over.

        Raises:
            PreconditionError: it can't be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        environment = {name: value for name, value in os.environ.items() if name not in _OURS}
        try:
            with held_signals.held_in_children(), privileges.passed_on():
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env={**environment, VARIABLE: str(theirs.fileno())},
                )
        except OSError as error:
            ours.close()
            raise PreconditionError(f"{command[0]} can't be started: {error.strerror}") from error
        finally:
            theirs.close()
        self.pid = self._process.pid
        self._channel = ours
        self._limit = limit
        self._until = time.monotonic() + limit

    async def tell(
        self, message: ipc.Message, descriptors: Sequence[tuple[ipc.Descriptor, int]] = (), *, pieces: bool = False
    ) -> None:
        """Send a message; of more descriptors than one can carry, in ``pieces``, as many as needed.

        Raises:
            PreconditionError: it does not take it, or is gone.
        """

        def send() -> None:
            for packet in ipc.in_packets(descriptors) if pieces else [descriptors]:
                ipc.send(self._channel, message, packet)

        with contextlib.suppress(OSError):  # why it does not hear is said by `hear`
            await self._in_time(send)

    async def hear(self, kind: type[M], *, patience: float = 0.0) -> M:
        """Wait for its next message, which must be of a ``kind``; ``patience`` is how many seconds it has more for it.

        Raises:
            PreconditionError: it says that it can't go on, or something else, or it has ended.
        """
        self._until += patience
        self._limit += patience
        try:
            received = await self._in_time(lambda: ipc.receive(self._channel))
        except (OSError, ChannelError) as error:
            raise PreconditionError(f"the new mcproxy can't be understood: {error}") from error
        if received is None:
            raise PreconditionError(f"the new mcproxy {await self._how_it_ended()}; its log says why")
        message, descriptors = received
        for _, fd in descriptors:
            os.close(fd)
        if isinstance(message, ipc.Failed):
            raise PreconditionError(message.error)
        if not isinstance(message, kind):
            raise PreconditionError(f"the new mcproxy said {type(message).__name__} where {kind.__name__} was expected")
        return message

    def terminate(self) -> None:
        """Ask it to end, as the service manager asks this process."""
        self._signal(signal.SIGTERM)

    async def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)
        self.close()
        await asyncio.to_thread(self._process.wait)

    def close(self) -> None:
        """Talk to it no more."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)  # also ends a thread that waits for it
        self._channel.close()

    def _signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def _in_time(self, work: Callable[[], T]) -> T:
        """Do something that waits for the other end in a thread; raises PreconditionError when it takes too long."""
        left = self._until - time.monotonic()
        self._channel.settimeout(max(left, 0.001))
        try:
            return await asyncio.to_thread(work)
        except TimeoutError:
            raise PreconditionError(f"the new mcproxy was not ready within {self._limit:g} s") from None

    async def _how_it_ended(self) -> str:
        try:
            status = await asyncio.to_thread(self._process.wait, _EXIT_LIMIT)
        except subprocess.TimeoutExpired:
            return "does not talk any more"
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return f"{how} before it was ready"
