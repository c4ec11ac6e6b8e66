"""The SQLite file: opening and checking it, errors in the operator's words, and the one thread that works on it."""

import asyncio
import contextlib
import datetime as dt
import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from mcproxy.control.store import edit_rows
from mcproxy.control.store.errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFormatError,
    StoreFullError,
    StoreLostError,
    StoreReadOnlyError,
)
from mcproxy.control.store.migrations import APPLICATION_ID, LATEST, migrate, version
from mcproxy.control.store.place import NoPlace, Place, check_kinds
from mcproxy.control.system.work_thread import WorkThread
from mcproxy.model.edits.stored import UnknownWordError

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT = 2.0
"""Seconds to wait for another process that writes to the database, such as an operator's sqlite3 or a backup."""
_STILL_BUSY = 1.0  # seconds after such a wait in vain in which others do not wait as long again
_BUSY_GLANCE = 0.1  # seconds that they wait
_ANSWER_LIMIT = 10.0  # seconds beyond that for a file system to answer
_CLOSE_LIMIT = 3.0  # seconds for it when the process ends


_NO_ANSWER = "the file system of the database does not answer"

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
        made: there was none, and it was made empty.
        lost: what is open is not what is at the path any more: it must be opened anew.
        busy_timeout: seconds to wait for another process that writes.
    """

    def __init__(self, thread: WorkThread, opened: "_Opened", busy_timeout: float) -> None:
        """Take over what `open` has made."""
        self.path = opened.path
        self.set_aside = opened.aside
        self.made = opened.made
        self.lost = False
        self._thread = thread
        self._connection = opened.connection
        self._place = opened.place
        self.busy_timeout = self._patience = busy_timeout
        self._busy_until = 0.0  # monotonic seconds
        self._hangs = False

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
        thread = WorkThread("mcproxy-store")
        try:
            opened = await thread.submit(lambda: _open(path, now, busy_timeout))
        except BaseException:
            thread.stop()
            raise
        return cls(thread, opened, busy_timeout)

    @classmethod
    async def open_copy(cls, path: Path, busy_timeout: float = BUSY_TIMEOUT) -> "Database":
        """Open a copy in memory of a database that another control uses; only the copy is brought up to date.

        Args:
            path: of the file.
            busy_timeout: seconds to wait for another process that writes.

        Raises:
            StoreFormatError: the file is a newer mcproxy's or another program's.
            StoreError: it can't be read, is damaged, or can't be brought up to date.
        """
        thread = WorkThread("mcproxy-store")
        try:
            opened = await thread.submit(lambda: _copy(path, busy_timeout))
        except BaseException:
            thread.stop()
            raise
        return cls(thread, opened, busy_timeout)

    async def run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``work`` returns in the database's thread; calls run one after the other, in order.

        Cancelling the caller does not stop work that has begun.

        Raises:
            StoreLostError: the path leads to other files than those that are open, from now on or for some time.
            StoreError: the database could not do it.
        """

        def call() -> T:
            self._place.check_contents()
            self._wait_no_longer_than_sensible()
            try:
                with translated(self.path):
                    result = work(self._connection, *args, **kwargs)
            except StoreBusyError:
                self._busy_until = time.monotonic() + _STILL_BUSY
                raise
            finally:
                self._place.check()
                self._place.note()
            return result

        if self._hangs:
            raise StoreBusyError(f"{self.path}: {_NO_ANSWER}; nothing was changed")
        result = self._thread.submit(call)
        if not (await asyncio.wait([result], timeout=self.busy_timeout + _ANSWER_LIMIT))[0]:
            self._hangs = True
            result.add_done_callback(self._answers_again)
            raise StoreBusyError(f"{self.path}: {_NO_ANSWER}; whether it was changed can be seen when it does again")
        try:
            return result.result()
        except StoreLostError:
            self.lost = True
            raise

    async def check(self) -> None:
        """Raise `StoreLostError` if the path leads to other files than those that are open."""
        await self.run(lambda _: None)

    async def close(self) -> None:
        """Close the file, when all work before is done; a file system that does not answer is not waited for."""
        closed = self._thread.submit(self._place.leave)
        self._thread.stop()
        await asyncio.wait([closed], timeout=_CLOSE_LIMIT)

    def _answers_again(self, _: object) -> None:
        """Have the database opened anew: what was abandoned may have been done."""
        self._hangs = False
        self.lost = True

    def _wait_no_longer_than_sensible(self) -> None:
        """Let only the first of many wait for a process that keeps the database locked."""
        patience = _BUSY_GLANCE if time.monotonic() < self._busy_until else self.busy_timeout
        if patience != self._patience:
            self._patience = patience
            self._connection.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")


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


class _Opened(NamedTuple):
    """A connection to a sound database, and where a damaged one was moved to make room for it."""

    path: Path
    connection: sqlite3.Connection
    place: Place | NoPlace
    aside: Path | None
    made: bool


def _open(path: Path, now: float, busy_timeout: float) -> _Opened:
    check_kinds(path)
    made = not path.exists()
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
        place = Place(path, connection)
    except OSError as error:
        connection.close()
        raise StoreError(f"{path}: {error.strerror}") from error
    except BaseException:
        connection.close()
        raise
    return _Opened(path, connection, place, aside, made)


def _copy(path: Path, busy_timeout: float) -> _Opened:
    check_kinds(path)
    with translated(path):
        connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with translated(path):
            file = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=busy_timeout, uri=True)
            with contextlib.closing(file):
                _check_format(file, path)
                file.backup(connection)
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return _Opened(path, connection, NoPlace(connection), None, made=False)


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
