"""Transactions of SQLite: all or nothing, and whether a power failure may undo them."""

import contextlib
import sqlite3
from collections.abc import Iterator


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, *, durable: bool = True) -> Iterator[None]:
    """Commit what happens inside, or nothing of it if anything raises.

    Args:
        connection: in autocommit mode (``isolation_level=None``), in no transaction.
        durable: wait for the disk. Without that, a crash of the whole machine may undo the last transactions, in
            order; the end of the process never does.
    """
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise
