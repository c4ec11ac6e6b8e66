"""Standard error that never blocks: what is written there waits in a bounded buffer until it is read.

Whoever reads it may have stopped, or have gone. Then control and workers go on, and what was lost is counted and logged.
Code in C that writes to descriptor 2 itself must not wait either: so that becomes, where the system lets us, a
description of the same pipe or terminal that does not block and is not shared with others, who may expect theirs to.
"""

import asyncio
import contextlib
import errno
import io
import os
import select
import stat
import sys
import time
from collections.abc import Iterator

from mcproxy.net.line_file import LineFile

_FD = 2
_WAITING = 1 << 20  # bytes that may wait
_DELAY = 0.2  # seconds between attempts to write what waits
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class LogStream(io.TextIOBase):
    """A text stream whose writes return at once.

    Attributes:
        dropped: lines that could not be written, and are lost.
    """

    def __init__(self, fd: int, limit: int = _WAITING) -> None:
        """Write to ``fd``, which belongs to this object from now on; ``limit`` bytes may wait."""
        super().__init__()
        self.dropped = 0
        self._fd = fd
        self._file = LineFile(fd)
        self._limit = limit
        self._begun = ""  # a line without its end
        self._waiting = bytearray()
        self._untold = 0
        self._is_held = False
        self._timer: asyncio.TimerHandle | None = None

    def write(self, text: str, /) -> int:
        """Write what is whole of lines; see `io.TextIOBase.write`."""
        lines, end, self._begun = (self._begun + text).rpartition("\n")
        if end:
            self._add(f"{lines}\n")
        elif len(self._begun) > self._limit:
            self._add(f"{self._begun}\n")
            self._begun = ""
        return len(text)

    def flush(self) -> None:
        """Write what waits, as far as it is taken."""
        self._take()
        if self._waiting and self._timer is None:
            with contextlib.suppress(RuntimeError):  # without a loop the next line tries
                self._timer = asyncio.get_running_loop().call_later(_DELAY, self._retry)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write what is logged meanwhile at the end, in as few pieces as there is room for: for many lines in one callback."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            self.flush()

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return os.isatty(self._fd)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def writable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Close the descriptor; what waits is lost."""
        if not self.closed:
            self._waiting.clear()
            self._file.close()
            super().close()

    def finish(self, seconds: float) -> None:
        """Write all that waits, for so many seconds at most; what is left is lost."""
        until = time.monotonic() + seconds
        if self._begun:
            self.write("\n")
        self._take()
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while self._waiting and (left := until - time.monotonic()) > 0:
            poll.poll(min(left, _DELAY) * 1000)
            self._take()

    def _add(self, lines: str) -> None:
        if self._untold and len(self._waiting) < self._limit // 2:
            lines = f"mcproxy: {self._untold} lines were lost here: standard error took no more\n{lines}"
            self._untold = 0
        data = lines.encode("utf-8", "backslashreplace")
        if len(self._waiting) + len(data) > self._limit:
            self._take()
        if len(self._waiting) + len(data) > self._limit:
            self.dropped += lines.count("\n")
            self._untold += lines.count("\n")
            return
        self._waiting += data
        if not self._is_held:
            self.flush()

    def _retry(self) -> None:
        self._timer = None
        self.flush()

    def _take(self) -> None:
        waiting = self._waiting
        if waiting:
            del waiting[: self._file.take(waiting)]


def ensure_standard_descriptors() -> None:
    """Open /dev/null where standard input, output or error is closed: else a file of ours would get its number."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
        os.set_inheritable(fd, True)


def install() -> LogStream:
    """Make standard error of this process a `LogStream`, and return that."""
    with contextlib.suppress(OSError):  # a socket can't be opened, nor what belongs to another user
        if not stat.S_ISREG(os.fstat(_FD).st_mode) and os.get_blocking(_FD):  # a file's writers share their position
            fresh = os.open(f"/proc/self/fd/{_FD}", _FLAGS)
            os.dup2(fresh, _FD)
            os.close(fresh)
    stream = LogStream(os.dup(_FD))
    sys.stderr = stream
    return stream
