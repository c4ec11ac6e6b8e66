"""The SQLite file: opening and checking it, errors in the operator's words, and the one thread that works on it."""

import asyncio
import contextlib
import datetime as dt
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from mcproxy.control.store import edit_rows
from mcproxy.control.store.errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFormatError,
    StoreFullError,
    StoreReadOnlyError,
)
from mcproxy.control.store.migrations import APPLICATION_ID, LATEST, migrate, version
from mcproxy.model.edits.stored import UnknownWordError

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process that writes to the database, such as an operator's sqlite3 or a backup."""


# By primary result code, https://www.sqlite.org/rescode.html
_ERRORS: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (StoreBusyError, "another process keeps the database locked; nothing was changed, try again"),
    sqlite3.SQLITE_LOCKED: (StoreBusyError, "the database is locked; nothing was changed, try again"),
    sqlite3.SQLITE_FULL: (StoreFullError, "the disk is full; nothing was changed, free some space and try again"),
    sqlite3.SQLITE_READONLY: (
        StoreReadOnlyError,
        "the database can't be written; nothing was changed: let mcproxy write the file and its folder",
    ),
    sqlite3.SQLITE_CORRUPT: (StoreCorruptError, "the database is damaged"),
    sqlite3.SQLITE_NOTADB: (StoreCorruptError, "the file is not a database"),
}


class Database:
    """One connection in one thread.

    Attributes:
        path: of the file.
        set_aside: where a damaged file was moved when the database was opened; None if it was sound.
    """

    def __init__(
        self, path: Path, thread: ThreadPoolExecutor, connection: sqlite3.Connection, aside: Path | None
    ) -> None:
        """Take over what `open` has made."""
        self.path = path
        self.set_aside = aside
        self._thread = thread
        self._connection = connection

    @classmethod
    async def open(cls, path: Path, now: float, busy_timeout: float = BUSY_TIMEOUT) -> "Database":
        """Open the database, or make it, and bring its schema up to date; a damaged file is first moved out of the way.

        Args:
            path: of the file; its folder must exist.
            now: seconds since the epoch, for the name of a file that is set aside.
            busy_timeout: seconds to wait for another process that writes.

        Raises:
            StoreFormatError: the file is a newer mcproxy's or another program's.
            StoreError: it can't be opened, read or brought up to date.
        """
        thread = ThreadPoolExecutor(1, "mcproxy-store")
        try:
            work = asyncio.get_running_loop().run_in_executor(thread, _open, path, now, busy_timeout)
            connection, aside = await work
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(path, thread, connection, aside)

    async def run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``work`` returns in the database's thread; calls run one after the other, in order.

        Cancelling the caller does not stop work that has begun.

        Raises:
            StoreError: the database could not do it.
        """

        def call() -> T:
            with translated(self.path):
                return work(self._connection, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def close(self) -> None:
        """Close the file, when all work before is done."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into those of the store."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            raise  # the module was used in a wrong way
        kind, message = _ERRORS.get(code & 0xFF, (StoreError, f"the database failed: {error}"))
        raise kind(f"{path}: {message}") from error


def _open(path: Path, now: float, busy_timeout: float) -> tuple[sqlite3.Connection, Path | None]:
    """Return a connection to a sound database, and where a damaged one was moved to make room for it."""
    connection = _connect(path, busy_timeout)
    aside = None
    try:
        try:
            _prepare(connection, path)
        except StoreCorruptError:
            # Before it is closed: SQLite deletes the journal of a database that it can't read.
            aside = _set_aside(path, now)
            connection.close()
            connection = _connect(path, busy_timeout)
            _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection, aside


def _connect(path: Path, busy_timeout: float) -> sqlite3.Connection:
    _make(path)
    with translated(path):
        return sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Look a database through and bring it up to date; raises StoreCorruptError if it is damaged."""
    with translated(path):
        connection.execute("PRAGMA foreign_keys = ON")
        _check_format(connection, path)
        found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
        if found != ["ok"]:
            raise StoreCorruptError(f"{path}: the database is damaged: {'; '.join(found)}")
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("PRAGMA journal_mode = WAL")
        if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
            raise StoreCorruptError(f"{path}: the database is damaged: a row refers to one that is not there")
        migrate(connection)
        try:
            edit_rows.load(connection)
        except UnknownWordError as error:
            raise StoreFormatError(
                f"{path}: the database is of a newer mcproxy: in a runtime edit, {error}; "
                f"upgrade mcproxy, or give it a [database] path of its own"
            ) from error
        except ValueError as error:
            raise StoreCorruptError(
                f"{path}: the database is damaged: a runtime edit makes no sense: {error}"
            ) from error


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    schema = version(connection)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (schema or tables):
        raise StoreFormatError(f"{path}: this is another program's database; give mcproxy a [database] path of its own")
    if schema > LATEST:
        raise StoreFormatError(
            f"{path}: the database is of a newer mcproxy (schema {schema}, this one knows {LATEST}); "
            f"upgrade mcproxy, or give it a [database] path of its own"
        )


def _make(path: Path) -> None:
    """Make the file, if there is none, for its owner alone; SQLite gives the files beside it the same permissions."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        kinds = {errno.EACCES: StoreReadOnlyError, errno.EROFS: StoreReadOnlyError, errno.ENOSPC: StoreFullError}
        raise kinds.get(error.errno or 0, StoreError)(
            f"{path}: {error.strerror}; [database] path must name a file in a folder that mcproxy may write to"
        ) from error


def _set_aside(path: Path, now: float) -> Path:
    """Rename a damaged database, with its journal; nothing is ever deleted."""
    stamp = dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    try:
        # the file itself last: should this be interrupted, a new database must not find the old one's journal
        for suffix in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise StoreError(f"{path}: the database is damaged, and can't be set aside: {error.strerror}") from error
    return aside
