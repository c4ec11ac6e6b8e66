"""A pause of accepting, while the system has no descriptors or memory left.

Some descriptors are kept for backends: what was accepted needs one there too. The system gives the lowest number that is
free, so a high one tells that few are.
"""

import asyncio
import os
import resource
import socket
from collections.abc import Callable

from mcproxy.worker.tools.errors import Errors

_RESERVE = 4096  # descriptors kept for backends, or a quarter of all if that is less
_PAUSE = 0.1  # seconds; closing connections give descriptors back meanwhile


class Pause:
    """The pauses of one listening socket.

    Attributes:
        ceiling: the number from which on descriptors are kept for backends.
    """

    __slots__ = ("_errors", "_listener", "_loop", "_open", "_sock", "_watch", "ceiling")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        errors: Errors,
        listener: int,
        sock: socket.socket,
        watch: Callable[[], object],
    ) -> None:
        """Prepare for pauses.

        Args:
            loop: the event loop.
            errors: counts that there is nothing left.
            listener: the index of the listener's counters.
            sock: the listening socket.
            watch: is called at the end of a pause.
        """
        self._loop = loop
        self._errors = errors
        self._listener = listener
        self._sock = sock
        self._watch = watch
        self._open = True
        self.ceiling = descriptor_ceiling()

    def begin(self) -> None:
        """Have the socket watched again in a moment, or as soon as there are descriptors; it is not watched now."""
        self._loop.call_later(_PAUSE, self._end)

    def stop(self) -> None:
        """Have it watched no more."""
        self._open = False

    def _end(self) -> None:
        if not self._open:
            return
        if self._is_short():
            self._errors.refused(self._listener, "no_resources")
            self.begin()
        else:
            self._watch()

    def _is_short(self) -> bool:
        """Tell whether the free descriptors are those that are kept for backends."""
        try:
            number = os.dup(self._sock.fileno())
        except OSError:
            return True
        os.close(number)
        return number >= self.ceiling


def descriptor_ceiling() -> int:
    """Return the number from which on descriptors are kept for backends."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 62 if soft == resource.RLIM_INFINITY else soft - min(_RESERVE, soft // 4)
