"""Generations that were live, each with its whole state and the plan that led to it: the statements behind `store`."""

import sqlite3
import zlib
from typing import Any

import msgspec

from mcproxy.control.store.errors import StoreCorruptError
from mcproxy.control.store.transactions import transaction
from mcproxy.model.state.plan import Plan
from mcproxy.model.state.state import State

_INT64_MAX = 2**63 - 1
_COMPRESSION = 1  # more takes long for 10,000 routes, and gains little


class Revision(msgspec.Struct, frozen=True):
    """A generation that was live.

    Attributes:
        generation: its number.
        time: when it became live, in seconds since the epoch.
        origin: what brought it about, such as "file", "api", "rollback" or "expiry".
        author: of the request, if there was one.
        file_sha256: of the config file, in hex.
        summary: of the plan.
    """

    generation: int
    time: float
    origin: str
    author: str
    file_sha256: str
    summary: str


class RevisionDetail(msgspec.Struct, frozen=True):
    """A generation with all it contained; ``plan`` is `Plan.builtins`, with the plan's lines as ``lines``."""

    revision: Revision
    state: State
    plan: dict[str, Any]


def record(connection: sqlite3.Connection, revision: Revision, state: State, plan: Plan, keep: int) -> None:
    """Keep a generation, and of all only the last ``keep``, at least one."""
    detail = {**plan.builtins(), "lines": plan.lines()}
    packed = [
        zlib.compress(data, _COMPRESSION) for data in (msgspec.msgpack.encode(state), msgspec.json.encode(detail))
    ]
    with transaction(connection, durable=False):
        connection.execute(
            "INSERT INTO revisions (generation, time, origin, author, file_sha256, summary, state, plan)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*msgspec.structs.astuple(revision), *packed),
        )
        connection.execute(
            "DELETE FROM revisions WHERE generation <= (SELECT generation FROM revisions ORDER BY generation DESC"
            " LIMIT 1 OFFSET ?)",
            (max(keep, 1),),
        )


_REVISION = "SELECT generation, time, origin, author, file_sha256, summary"


def revisions(connection: sqlite3.Connection, limit: int, before: int) -> tuple[Revision, ...]:
    """Return up to ``limit`` revisions below the generation ``before``, newest first."""
    query = f"{_REVISION} FROM revisions WHERE generation < ? ORDER BY generation DESC LIMIT ?"
    return tuple(Revision(*row) for row in connection.execute(query, (min(before, _INT64_MAX), limit)))


def revision(connection: sqlite3.Connection, generation: int) -> RevisionDetail | None:
    """Return one revision; None if it is not there. Raises StoreCorruptError when it can't be read."""
    if generation > _INT64_MAX:
        return None
    query = f"{_REVISION}, state, plan FROM revisions WHERE generation = ?"
    row = connection.execute(query, (generation,)).fetchone()
    if row is None:
        return None
    *fields, packed_state, packed_plan = row
    try:
        state = msgspec.msgpack.decode(zlib.decompress(packed_state), type=State)
        plan = msgspec.json.decode(zlib.decompress(packed_plan), type=dict[str, Any])
    except (zlib.error, msgspec.DecodeError) as error:
        raise StoreCorruptError(f"the revision {generation} can't be read: {error}") from error
    return RevisionDetail(Revision(*fields), state, plan)
