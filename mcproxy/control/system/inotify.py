"""inotify(7) as events: watchfiles does not say when a writer has closed a file."""

import contextlib
import os
import struct

import msgspec

from mcproxy.net import c_library

MODIFY = 0x2
CLOSE_WRITE = 0x8
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
OVERFLOW = 0x4000
IGNORED = 0x8000
_ONLY_FOLDERS = 0x01000000

WRITING = MODIFY | CLOSE_WRITE
"""What is to be told of a file."""
FOLDER = WRITING | MOVED_TO | CREATE | DELETE | _ONLY_FOLDERS
"""What is to be told of the files of a folder."""

_HEADER = struct.Struct("iIII")
_BUFFER = 1 << 16


class Event(msgspec.Struct, frozen=True):
    """What happened to a watched file, or to ``name`` in a watched folder; ``mask`` has the bits of this module."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One instance of inotify."""

    def __init__(self) -> None:
        """Make the instance; raises `OSError` if there are no more."""
        self._fd = c_library.inotify_init()

    def add(self, path: str, mask: int) -> int:
        """Watch a file or folder, symbolic links followed, and return the number of the watch.

        Raises:
            OSError: it can't be read, or there are no more watches.
        """
        return c_library.inotify_add_watch(self._fd, path, mask)

    def remove(self, watch: int) -> None:
        """Watch no more what has this number, if it is still watched."""
        with contextlib.suppress(OSError):
            c_library.inotify_rm_watch(self._fd, watch)

    def read(self) -> list[Event]:
        """Return what has happened since the last time, without waiting."""
        found: list[Event] = []
        while True:
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                watch, mask, _, size = _HEADER.unpack_from(data, at)
                at += _HEADER.size
                found.append(Event(watch, mask, os.fsdecode(data[at : at + size].rstrip(b"\0"))))
                at += size

    def close(self) -> None:
        """Give the instance back, once."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
