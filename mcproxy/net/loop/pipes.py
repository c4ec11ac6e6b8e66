"""The pool of pipes that splice(2) needs between two sockets."""

import fcntl
import os
from typing import NamedTuple

_SIZE = 1 << 20  # an unprivileged user may have 64 of this size in all (pipe(7), pipe-user-pages-soft)
_LIMIT = 16  # per worker


class Pipe(NamedTuple):
    """The descriptors of one empty pipe."""

    read: int
    write: int


class PipePool:
    """At most 16 pipes of 1 MiB, made when first needed and used again."""

    __slots__ = ("_free", "_left")

    def __init__(self) -> None:
        self._free: list[Pipe] = []
        self._left = _LIMIT

    def acquire(self) -> Pipe | None:
        """Return an empty pipe, or None when all are in use or the system grants no more."""
        if self._free:
            return self._free.pop()
        if not self._left:
            return None
        try:
            pipe = Pipe(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            return None
        self._left -= 1
        try:
            fcntl.fcntl(pipe.write, fcntl.F_SETPIPE_SZ, _SIZE)
        except OSError:  # over the user's share of pipe memory: copying is better than a tiny pipe
            self.discard(pipe)
            return None
        return pipe

    def release(self, pipe: Pipe) -> None:
        """Take back a pipe; it must be empty."""
        self._free.append(pipe)

    def discard(self, pipe: Pipe) -> None:
        """Close a pipe that still holds bytes of an aborted relay."""
        os.close(pipe.read)
        os.close(pipe.write)
        self._left += 1

    def close(self) -> None:
        """Close the pipes that are not in use."""
        for pipe in self._free:
            self.discard(pipe)
        self._free.clear()
