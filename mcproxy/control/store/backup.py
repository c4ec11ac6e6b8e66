"""Backups of the database: a whole copy in one file, made while it is used, by SQLite's online backup API.

A copy of the file alone lacks what is still in its journal (`-wal`): the newest edits
(https://www.sqlite.org/backup.html, https://www.sqlite.org/wal.html).
"""

import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

from mcproxy.control.store.database import translated
from mcproxy.control.store.errors import StoreError
from mcproxy.control.system.work_thread import WorkThread

_PIECE = 256 << 10  # bytes


async def pieces(path: Path, busy_timeout: float) -> AsyncIterator[bytes]:
    """Yield the bytes of a copy of the database at a path, as it is now; later changes are not in it.

    The copy is made before the first piece, in a nameless file beside the database, so that whoever reads slowly keeps
    nobody from writing.

    Args:
        path: of the database.
        busy_timeout: seconds to wait for another process that keeps it locked.

    Raises:
        StoreError: it can't be read, or the copy can't be written.
    """
    thread = WorkThread("mcproxy-backup")
    fd = -1
    try:
        fd = await thread.submit(lambda: _copy(path, busy_timeout))
        offset = 0
        while piece := await thread.submit(partial(os.pread, fd, _PIECE, offset)):
            yield piece
            offset += len(piece)
    finally:
        if fd >= 0:
            os.close(fd)
        thread.stop()


def _copy(path: Path, busy_timeout: float) -> int:
    """Return a descriptor of the copy, which has no name any more."""
    try:
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.backup-", dir=path.parent)
    except OSError as error:
        raise StoreError(f"{path}: no copy can be made beside it: {error.strerror}") from error
    try:
        with translated(path):
            # A connection of its own, in a thread of its own: those who write and read meanwhile are not kept waiting.
            source = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=busy_timeout)
            copy = sqlite3.connect(name, isolation_level=None)
            try:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, which needs no others beside it
            finally:
                copy.close()
                source.close()
    except BaseException:
        os.close(fd)
        raise
    finally:
        os.unlink(name)  # noqa: PTH108 - a string
    return fd
