"""A file that several processes append lines to, none of which may ever wait for it.

A regular file takes what it is given: each write goes to its end (O_APPEND), whole. A pipe, a terminal or a socket may
be full, and its descriptor may be shared with others who expect it to block, so that O_NONBLOCK can't be set on it.
There, as much as is written in one go without mixing with what others write (PIPE_BUF, pipe(7)) goes out at a time.
"""

import errno
import os
import select
import socket
import stat
from select import PIPE_BUF

MAX_LINE = PIPE_BUF
"""Bytes that a line may have, its end included."""

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MODE = 0o640


def open_file(path: str) -> int:
    """Return a descriptor of the file to append to, made if it is missing; raises OSError."""
    return os.open(path, _FLAGS | os.O_CREAT, _MODE)


def open_stdout() -> int:
    """Return a descriptor of standard output: where the system lets us, one whose flags are not shared with others.

    Raises:
        OSError: it is closed, or a terminal of another user, which could make us wait.
    """
    try:
        return os.open("/proc/self/fd/1", _FLAGS)
    except OSError:  # a socket can't be opened, nor what belongs to another user
        if os.isatty(1):
            raise
        return os.dup(1)


class LineFile:
    """The writing end."""

    __slots__ = ("_blocks", "_fd", "_is_regular", "_nowait", "_socket")

    def __init__(self, fd: int) -> None:
        """Write to ``fd``, which belongs to this object from now on."""
        self._fd = fd
        mode = os.fstat(fd).st_mode
        self._is_regular = stat.S_ISREG(mode)
        self._socket = socket.socket(fileno=fd) if stat.S_ISSOCK(mode) else None
        self._blocks = os.get_blocking(fd)
        self._nowait = os.RWF_NOWAIT

    def take(self, data: bytes | bytearray) -> int:
        """Write whole lines; return how many bytes could be written without waiting.

        What is longer than `MAX_LINE` is written in pieces, between which others may write.

        What can't be written because of an error counts as not taken: a full disk may have room again later.
        """
        taken = 0
        try:
            if self._is_regular:
                return os.write(self._fd, data)
            while taken < len(data):
                end = data.rfind(b"\n", taken, taken + MAX_LINE) + 1 or taken + MAX_LINE
                written = self._write(data[taken:end])
                if not written:
                    break
                taken += written
        except OSError:
            pass
        return taken

    def close(self) -> None:
        """Close the descriptor."""
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._fd)

    def _write(self, data: bytes | bytearray) -> int:
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        if self._blocks and self._nowait:
            try:
                return os.pwritev(self._fd, [data], -1, self._nowait)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                self._nowait = 0  # a kernel before 6.4
        if self._blocks and not self._has_room():
            return 0
        return os.write(self._fd, data)

    def _has_room(self) -> bool:
        """Tell whether a pipe has a free page; should another process take it now, a write would wait."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(0))
