"""Whether the files that a connection of SQLite writes are still those that the next one will read.

A database that was moved, deleted or replaced is written on without an error, as its descriptors stay open: what was
accepted would be gone at the next start. All functions are for the database's own thread.

No descriptor of these files is closed while the connection is open: that would end SQLite's locks on them, which are
the process's (https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

import contextlib
import hashlib
import os
import sqlite3
import stat
from pathlib import Path
from typing import NamedTuple

from mcproxy.control.store.errors import StoreError, StoreLostError

_JOURNALS = ("-wal", "-shm")
_CHUNK = 1 << 20  # bytes read at a time
_INDEX_HEAD = 100  # bytes: the header twice, and the number of frames that were copied


class _File(NamedTuple):
    """What tells one file from another, and one version of it from the next."""

    identity: tuple[int, int]
    version: tuple[int, int]


def check_kinds(path: Path) -> None:
    """Raise `StoreError` if the database, or a file that SQLite keeps beside it, is there and is no regular file."""
    for suffix in ("", *_JOURNALS, "-journal"):
        name = f"{path}{suffix}"
        with contextlib.suppress(OSError):
            if not stat.S_ISREG(os.stat(name).st_mode):  # noqa: PTH116 - a string
                raise StoreError(f"{name}: it is no regular file; name another [database] path, or remove it")


class Place:
    """The files of one connection, as they were when it used them last."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Remember the files of a connection that has just read its database."""
        self._path = path
        self._connection = connection
        self._file: _File | None = None
        self._journals: dict[str, tuple[int, int]] = {}
        self._digest = self._index = b""
        self._descriptors = {name: os.open(name, os.O_RDONLY | os.O_CLOEXEC) for name in (str(path), f"{path}-shm")}
        self.note()

    def note(self) -> None:
        """Remember how the files are after the connection's own work."""
        file = _look(str(self._path))
        if file != self._file:
            self._file, self._digest = file, self._contents()
        self._index = self._wal_index()
        for suffix in _JOURNALS:
            found = _look(f"{self._path}{suffix}")
            if found is not None and suffix not in self._journals:
                self._journals[suffix] = found.identity

    def check(self) -> None:
        """Raise `StoreLostError` if the path leads to other files than the connection's, or another's contents are in them."""
        file = _look(str(self._path))
        if file is None:
            raise self._lost("was moved or deleted")
        if self._file is None or file.identity != self._file.identity:
            raise self._lost("was replaced by another file")
        for suffix, identity in self._journals.items():
            found = _look(f"{self._path}{suffix}")
            if found is None or found.identity != identity:
                raise self._lost(f"has lost its {suffix} file")

    def check_contents(self) -> None:
        """Likewise, if the file was overwritten without SQLite; to be called before the connection does anything."""
        self.check()
        if self._is_overwritten():
            raise self._lost("was overwritten")

    def leave(self) -> None:
        """Close the connection, so that no journal of its own is taken for one of what is at the path by now."""
        file = _look(str(self._path))
        stays = file is not None and self._file is not None and file.identity == self._file.identity
        copied = True
        if self._is_overwritten():
            os.truncate(f"{self._path}-wal", 0)  # closing would write it into what is there now
        elif not stays:
            copied = self._copy_journal()
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        for fd in self._descriptors.values():
            os.close(fd)
        if not stays:  # then SQLite leaves them where they are
            for suffix, identity in self._journals.items():
                left = _look(f"{self._path}{suffix}")
                if left is not None and left.identity == identity:
                    _remove(Path(f"{self._path}{suffix}"), copied=copied)

    def _copy_journal(self) -> bool:
        """Write what the journal holds into the file, wherever that is now; tell whether all of it was."""
        with contextlib.suppress(sqlite3.Error):
            busy, frames, copied = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return not busy and frames == copied
        return False

    def _is_overwritten(self) -> bool:
        """Tell whether the same file has other contents, though nobody has committed or copied the journal into it."""
        file = _look(str(self._path))
        if file is None or self._file is None or file.identity != self._file.identity or file == self._file:
            return False
        return self._wal_index() == self._index and self._contents() != self._digest

    def _wal_index(self) -> bytes:
        """Return how far the journal is written and copied: https://www.sqlite.org/walformat.html#the_wal_index_file_format."""
        return os.pread(self._descriptors[f"{self._path}-shm"], _INDEX_HEAD, 0)

    def _contents(self) -> bytes:
        digest = hashlib.sha256()
        offset = 0
        while piece := os.pread(self._descriptors[str(self._path)], _CHUNK, offset):
            digest.update(piece)
            offset += len(piece)
        return digest.digest()

    def _lost(self, what: str) -> StoreLostError:
        return StoreLostError(
            f"{self._path}: the database {what} while mcproxy uses it; nothing was changed, and it is opened anew: try again"
        )


class NoPlace:
    """In the place of a `Place`, for a database in memory: nobody else can reach it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def note(self) -> None:
        """See `Place.note`."""

    def check(self) -> None:
        """See `Place.check`."""

    def check_contents(self) -> None:
        """See `Place.check_contents`."""

    def leave(self) -> None:
        """Close the connection, and so the database is gone."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def _look(name: str) -> _File | None:
    try:
        status = os.stat(name)  # noqa: PTH116 - likewise
    except OSError:
        return None
    return _File((status.st_dev, status.st_ino), (status.st_mtime_ns, status.st_size))


def _remove(journal: Path, *, copied: bool) -> None:
    """Remove a journal from its place, for good only if all it holds was copied."""
    with contextlib.suppress(OSError):
        if copied:
            journal.unlink()
        else:
            journal.rename(journal.with_name(f"{journal.name}.left"))
