"""Names for which certificates are ordered, and when orders were begun: the statements behind `store`."""

import contextlib
import sqlite3
from collections.abc import Sequence

import msgspec

from mcproxy.control.store.transactions import transaction
from mcproxy.policy.acme.record import Record

_FIELDS = Record.__struct_fields__
_SAVE = f"INSERT OR REPLACE INTO acme_orders ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608 - fields of ours
_LOAD = f"SELECT {', '.join(_FIELDS)} FROM acme_orders ORDER BY name"  # noqa: S608 - likewise


def records(connection: sqlite3.Connection) -> tuple[Record, ...]:
    """Return all records, by name; a row that is none is left out, as it keeps nobody from ordering."""
    found = []
    for row in connection.execute(_LOAD):
        with contextlib.suppress(msgspec.ValidationError):
            found.append(msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Record, strict=False))
    return tuple(found)


def save(connection: sqlite3.Connection, record: Record) -> None:
    """Put a record in the place of the earlier one of its name."""
    with transaction(connection):
        connection.execute(_SAVE, msgspec.structs.astuple(record))


def forget(connection: sqlite3.Connection, name: str) -> None:
    """Remove the record of a name."""
    with transaction(connection):
        connection.execute("DELETE FROM acme_orders WHERE name = ?", (name,))


def count(connection: sqlite3.Connection, at: float) -> None:
    """Note that an order is begun, at a time in seconds since the epoch."""
    with transaction(connection):
        connection.execute("INSERT INTO acme_started (time) VALUES (?)", (at,))


def begun_since(connection: sqlite3.Connection, at: float) -> Sequence[float]:
    """Return when orders were begun, of those later than a time; earlier ones are forgotten."""
    with transaction(connection):
        connection.execute("DELETE FROM acme_started WHERE time <= ?", (at,))
    return [time for (time,) in connection.execute("SELECT time FROM acme_started ORDER BY time")]
