"""Files that a user names, read with an end: regular files alone, up to a size, and never waited for twice.

A FIFO without a writer, a device without an end and a file that grows faster than it is read would each keep a reader
for ever. The kind is looked at through an O_PATH descriptor (open(2)), which opens nothing of what it stands for, and
the same inode is read then, so nothing else can be put in its place in between.

What a server of NFS or FUSE does not answer can't be ended by anybody but that server. Who must go on reads in a
thread that is given up on (`mcproxy.control.files.look`). Here is noted what each thread waits for; a path that a thread
given up on still waits for is refused at once, so that no more threads hang than there are such paths.
"""

import contextlib
import errno
import os
import stat
import threading
import time
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 16 << 20
"""Bytes of a file of the configuration, a certificate, a key or a list of CAs."""
COUNTRIES_LIMIT = 512 << 20
"""Bytes of a country database."""

_CHUNK = 1 << 20  # bytes read at a time
_FOLDER_HANGS = 2  # paths of one folder that hang, until all of it is taken to
_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)

_lock = threading.Lock()
_waiting: dict[threading.Thread, tuple[str, float]] = {}  # the path, and since when (monotonic seconds)
_given_up: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_hanging: dict[str, threading.Thread] = {}  # by path


class NamedFileError(OSError):
    """The file is not one that can be read to its end; ``strerror`` says why."""


class GivenUpError(Exception):
    """This thread was given up on: whoever waited for it has gone on."""


def read_file(path: "str | Path", limit: int = LIMIT) -> bytes:
    """Return what a regular file holds.

    Args:
        path: of the file; symbolic links are followed.
        limit: bytes that it may have.

    Raises:
        NamedFileError: it is no regular file, is larger, or its file system does not answer.
        OSError: it can't be read.
    """
    name = str(path)
    with touching(name):
        place = os.open(name, os.O_PATH | os.O_CLOEXEC)
        try:
            _check(name, os.fstat(place), limit)
            # It is known to be a regular file: this waits for nothing but its file system, and for a lease (fcntl(2)).
            fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(place)
        try:
            return _read(name, fd, limit)
        finally:
            os.close(fd)


@contextlib.contextmanager
def touching(path: str) -> Iterator[None]:
    """Mark what this thread does to a path as something that may hang.

    Raises:
        NamedFileError: another thread hangs there already.
        GivenUpError: the thread was given up on, before or meanwhile.
    """
    me = threading.current_thread()
    with _lock:
        if me in _given_up:
            raise GivenUpError
        if path in _hanging or _hangs(os.path.dirname(path)):  # noqa: PTH120 - a string, and often
            raise NamedFileError(errno.ETIMEDOUT, "its file system does not answer", path)
        _waiting[me] = path, time.monotonic()
    try:
        yield
    finally:
        with _lock:
            _waiting.pop(me, None)
            _hanging.pop(path, None)
            given_up = me in _given_up
        if given_up:
            raise GivenUpError


def waits(thread: threading.Thread) -> tuple[str, float]:
    """Return what a thread waits for, and for how many seconds; "" for nothing that could hang."""
    with _lock:
        path, since = _waiting.get(thread, ("", 0.0))
        return path, time.monotonic() - since if path else 0.0


def give_up(thread: threading.Thread) -> None:
    """Give up on a thread: it ends when it can."""
    with _lock:
        _given_up.add(thread)
        path, _ = _waiting.get(thread, ("", 0.0))
        if path:
            _hanging[path] = thread


def hanging() -> frozenset[str]:
    """Return the paths that threads given up on still wait for."""
    with _lock:
        return frozenset(_hanging)


def _hangs(folder: str) -> bool:
    return bool(_hanging) and sum(os.path.dirname(path) == folder for path in _hanging) >= _FOLDER_HANGS  # noqa: PTH120 - likewise


def _check(name: str, status: os.stat_result, limit: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(status.st_mode):
        kind = next((word for test, word in _KINDS if test(status.st_mode)), "something else")
        raise NamedFileError(errno.EINVAL, f"it is {kind}, not a regular file", name)
    if status.st_size > limit:
        raise _too_large(name, limit)


def _read(name: str, fd: int, limit: int) -> bytes:
    pieces: list[bytes] = []
    left = limit + 1  # one more tells a file that grows, or has no size (proc(5))
    while left and (piece := os.read(fd, min(left, _CHUNK))):
        pieces.append(piece)
        left -= len(piece)
        _progress(name)
    if not left:
        raise _too_large(name, limit)
    return b"".join(pieces)


def _progress(path: str) -> None:
    """Note that the file system has answered; raises `GivenUpError` when nobody waits any more."""
    me = threading.current_thread()
    with _lock:
        if me in _given_up:
            raise GivenUpError
        _waiting[me] = path, time.monotonic()


def _too_large(name: str, limit: int) -> NamedFileError:
    return NamedFileError(errno.EFBIG, f"it is larger than {limit >> 20} MiB", name)
