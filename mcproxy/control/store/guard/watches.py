"""What the guard watches, and what became of that: the statements behind `store`."""

import sqlite3
from typing import Literal, TypeAlias

import msgspec

from mcproxy.control.store.transactions import transaction
from mcproxy.policy.guard import stored
from mcproxy.policy.guard.watch import Watch

Outcome: TypeAlias = Literal["kept", "withdrawn", "released", "stuck"]
_KEPT = 100  # watches that have ended


class Verdict(msgspec.Struct, frozen=True):
    """What became of a watch, or of a part of it.

    Attributes:
        generation: that was watched.
        time: when, in seconds since the epoch.
        outcome: "withdrawn" where it was undone, "stuck" where it should have been and can't be; "released" where something else has changed
            what was watched.
        detail: in words.
    """

    generation: int
    time: float
    outcome: Outcome
    detail: str


def keep(connection: sqlite3.Connection, watch: Watch) -> int:
    """Put a watch on record, or what it has become; return its id."""
    data = stored.encode(watch)
    with transaction(connection):
        if watch.id:
            connection.execute("UPDATE guards SET watch = ? WHERE id = ?", (data, watch.id))
            return watch.id
        cursor = connection.execute(
            "INSERT INTO guards (generation, began, until, watch) VALUES (?, ?, ?, ?)",
            (watch.generation, watch.began, watch.until, data),
        )
        return int(cursor.lastrowid or 0)


def end(connection: sqlite3.Connection, watch: Watch, verdict: Verdict, *, over: bool) -> None:
    """Put a verdict on record; the watch is ``over`` with it, or goes on with the parts it has left."""
    with transaction(connection):
        connection.execute(
            "INSERT INTO guard_verdicts (generation, time, outcome, detail) VALUES (?, ?, ?, ?)",
            msgspec.structs.astuple(verdict),
        )
        if over:
            connection.execute("DELETE FROM guards WHERE id = ?", (watch.id,))
        else:
            connection.execute("UPDATE guards SET watch = ? WHERE id = ?", (stored.encode(watch), watch.id))
        connection.execute("DELETE FROM guard_verdicts WHERE id <= (SELECT max(id) FROM guard_verdicts) - ?", (_KEPT,))


def load(connection: sqlite3.Connection) -> tuple[Watch, ...]:
    """Return all watches, the oldest first; raises ValueError when a row is none."""
    rows = connection.execute("SELECT watch, id, generation, began, until FROM guards ORDER BY id")
    return tuple(
        stored.decode(data, id=number, generation=generation, began=began, until=until)
        for data, number, generation, began, until in rows
    )


def verdicts(connection: sqlite3.Connection, limit: int) -> tuple[Verdict, ...]:
    """Return the last verdicts, newest first."""
    query = "SELECT generation, time, outcome, detail FROM guard_verdicts ORDER BY id DESC LIMIT ?"
    return tuple(Verdict(*row) for row in connection.execute(query, (limit,)))
