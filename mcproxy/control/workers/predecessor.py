"""The control that this one is to replace, as seen from here: what it offers, and the conversation with it.

::

    old                             new
     | Sockets ..., Offer ----------> |   reads the file, a copy of the database; starts workers on the same sockets
     | <----------------------- Ready |   all of them serve
     | Handover ..., Released ------> |   has closed what only one process can have: the admin API's listeners
     | <----------------------- Taken |   no way back: the database is the new one's, the old workers drain
     | <--------------------- Serving |   so the old one ends

Until `Taken` either end may give up by closing the conversation, and the old one goes on. Workers of the new one drain then.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from typing import TypeVar

from mcproxy.control.workers.orphans import OrphanedWorker, groups_of
from mcproxy.errors import ApplyError, ChannelError
from mcproxy.net import c_library, ipc

M = TypeVar("M", bound=ipc.Message)

VARIABLE = "MCPROXY_RESTART"
"""Environment variable with the descriptor of the conversation."""
_PATIENCE = 30.0  # seconds; the other end has less
_ERROR_LIMIT = 8192  # characters of an error; a file may have thousands of mistakes


class Predecessor:
    """A control that goes on until this one has taken over.

    Attributes:
        offer: what it has told of itself.
        memory: descriptor of its shared memory.
        snapshot: of what its workers serve.
        groups: its listening sockets.
        lock: descriptor that holds the lock of the database.
        control: the socket for surviving workers.
        metrics: the listening socket of the metrics endpoint by its address, if it has one.
    """

    def __init__(self, channel: socket.socket) -> None:
        """Hear what it offers; raises `ApplyError`."""
        self._channel = channel
        channel.settimeout(_PATIENCE)
        self.offer, held = self._hear(ipc.Offer)
        by_kind = {what.kind: fd for what, fd in held}
        try:
            self.memory, self.snapshot, self.lock = (by_kind[kind] for kind in ("memory", "snapshot", "lock"))
            self.control = socket.socket(fileno=by_kind["control"])
        except KeyError as error:
            raise ApplyError(f"the mcproxy that is to be replaced does not offer its {error.args[0]}") from error
        self.metrics = {what.addr: socket.socket(fileno=fd) for what, fd in held if what.kind == "metrics"}
        self.groups = groups_of(held)

    def check(self, settings: dict[str, str]) -> None:
        """Raise `ApplyError` if settings are others here which no restart can change."""
        for name, before in self.offer.settings.items():
            if name in settings and settings[name] != before:
                raise ApplyError(
                    f"{name} is {settings[name]!r} in the file and {before!r} in the mcproxy that runs: "
                    "stop it and start it again, a restart without a gap can't change it"
                )

    def receive_workers(self) -> list[OrphanedWorker]:
        """Tell that the workers of this control serve, and return those that it is handed; raises `ApplyError`."""
        self._tell(ipc.Ready())
        found: list[OrphanedWorker] = []
        while True:
            message, held = self._hear((ipc.Handover, ipc.Released))
            if not isinstance(message, ipc.Handover):
                return found
            by_kind = {what.kind: fd for what, fd in held}
            if "channel" in by_kind:
                channel = socket.socket(fileno=by_kind["channel"])
                found.append(OrphanedWorker(message, channel, by_kind.get("memory", -1), -1, {}))

    def take(self) -> None:
        """Tell that this control has taken over: from now on it owns everything; raises `ApplyError`."""
        c_library.prctl(c_library.PR_SET_PDEATHSIG, 0)
        self._tell(ipc.Taken())
        for fd in (self.memory, self.snapshot):
            os.close(fd)

    def dismiss(self, version: str, generation: int) -> None:
        """Tell that nothing is left to do for it."""
        with contextlib.suppress(ApplyError):
            self._tell(ipc.Serving(version, generation))
        self._channel.close()

    def fail(self, error: str) -> None:
        """Tell why this control can't replace it, if there is still time."""
        with contextlib.suppress(ApplyError):
            self._tell(ipc.Failed(error[:_ERROR_LIMIT]))

    def _tell(self, message: ipc.Message) -> None:
        try:
            ipc.send(self._channel, message)
        except OSError as error:
            raise ApplyError("the mcproxy that is to be replaced has ended, or has given up") from error

    def _hear(self, kinds: type[M] | tuple[type[M], ...]) -> tuple[M, Sequence[tuple[ipc.Descriptor, int]]]:
        held: list[tuple[ipc.Descriptor, int]] = []
        while True:
            try:
                received = ipc.receive(self._channel)
            except (OSError, ChannelError) as error:
                raise ApplyError(f"the mcproxy that is to be replaced can't be understood: {error}") from error
            if received is None:
                raise ApplyError("the mcproxy that is to be replaced has ended, or has given up")
            held += received[1]
            if isinstance(received[0], kinds):
                return received[0], held


def predecessor() -> Predecessor | None:
    """Return the control that has started this process to replace it; None if none has. Raises `ApplyError`."""
    number = os.environ.pop(VARIABLE, "")
    if not number:
        return None
    try:
        channel = socket.socket(fileno=int(number))
    except (ValueError, OSError):
        raise ApplyError(
            f"{VARIABLE}={number}: this is set by mcproxy itself for the one that is to replace it"
        ) from None
    channel.set_inheritable(inheritable=False)
    # Should it be killed, whoever starts the next control must not find this one in the way; see `Predecessor.take`.
    c_library.prctl(c_library.PR_SET_PDEATHSIG, signal.SIGKILL)
    return Predecessor(channel)
