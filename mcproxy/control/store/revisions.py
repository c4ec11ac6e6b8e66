"""Generations that were live, each with its whole state and the plan that led to it: the statements behind `store`."""

import sqlite3
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from mcproxy.control.store import resource_changes
from mcproxy.control.store.errors import StoreCorruptError
from mcproxy.control.store.transactions import transaction
from mcproxy.model.config.resolve import Resolution
from mcproxy.model.history.changes import ResourceChange, changes_of, changes_of_older
from mcproxy.model.history.origins import Declaration, FileOrigins, past_resolution, unpack
from mcproxy.model.state.kinds import KindName
from mcproxy.model.state.plan import Plan
from mcproxy.model.state.state import RouteKey, State
from mcproxy.model.values.origins import Key

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
        label: why it came about, as far as that is known: the commit that the files were of, or what somebody said.
    """

    generation: int
    time: float
    origin: str
    author: str
    file_sha256: str
    summary: str
    label: str = ""


class RevisionDetail(msgspec.Struct, frozen=True):
    """A generation with all it contained.

    Attributes:
        revision: what it was.
        state: what it served.
        plan: `Plan.builtins`, with the plan's lines as ``lines``.
        resolution: the state, with where each resource was declared.
    """

    revision: Revision
    state: State
    plan: dict[str, Any]
    resolution: Resolution


class Declared(msgspec.Struct, frozen=True):
    """Where everything of a generation is declared.

    Attributes:
        files: by the files.
        edits: the names of the runtime edits that stand, by the key of the resource.
    """

    files: FileOrigins | None = None
    edits: Mapping[Key, str] = {}


UNDECLARED = Declared()
"""Nothing is known of that."""


class _Lines(msgspec.Struct):
    """Of a plan that is kept, its lines."""

    lines: tuple[str, ...] = ()


class Past(msgspec.Struct, frozen=True):
    """What is known of a resource's past.

    Attributes:
        changes: of the resource, newest first, each with the generation that made it; none that is older than ``since``.
        since: the first generation from which on every change is kept; 0 when none is.
        gaps: generations that followed at least one that was live and could not be kept, each with the first of these.
    """

    changes: tuple[tuple[Revision, ResourceChange], ...]
    since: int
    gaps: dict[int, int]


def record(
    connection: sqlite3.Connection,
    revision: Revision,
    state: State,
    plan: Plan,
    keep: int,
    declared: Declared,
    unkept: int | None,
) -> None:
    """Keep a generation, and of all only the last ``keep``, at least one.

    Args:
        connection: to the database.
        revision: the generation.
        state: what it serves.
        plan: what it changes.
        keep: how many are kept.
        declared: where everything is declared.
        unkept: the first generation since the last one kept that was live and could not be.
    """
    detail = {**plan.builtins(), "lines": plan.told_lines()}
    files = declared.files
    changes = _changes(plan, {} if files is None else files.declarations)
    edits = msgspec.json.encode([[key, name] for key, name in declared.edits.items()]).decode()
    packed = [
        zlib.compress(data, _COMPRESSION) for data in (msgspec.msgpack.encode(state), msgspec.json.encode(detail))
    ]
    with transaction(connection, durable=False):
        connection.execute(
            "INSERT INTO revisions (generation, time, origin, author, file_sha256, summary, state, plan)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*msgspec.structs.astuple(revision)[:6], *packed),
        )
        connection.execute(
            "INSERT OR REPLACE INTO revision_details (generation, label, unkept, changes, origins, edits)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                revision.generation,
                revision.label,
                unkept,
                None if changes is None else len(changes),
                None if files is None else files.digest,
                edits,
            ),
        )
        if files is not None:
            _keep_origins(connection, files)
        if changes is not None:
            resource_changes.add(connection, revision.generation, changes)
            resource_changes.bound(connection, resource_changes.MOST)
        _prune(connection, max(keep, 1))


def label(connection: sqlite3.Connection, generation: int, label: str) -> None:
    """Say why a kept generation came about."""
    connection.execute("UPDATE revision_details SET label = ? WHERE generation = ?", (label, generation))


def _changes(plan: Plan, declarations: Mapping[Key, Declaration]) -> list[ResourceChange] | None:
    """Return what a plan changes; None if an earlier version took a value that the file could not say."""
    try:
        return list(changes_of(plan.operations, declarations))
    except ValueError:
        return None


def _keep_origins(connection: sqlite3.Connection, files: FileOrigins) -> None:
    """Keep where files declare what, unless another generation had the same."""
    known = connection.execute("SELECT 1 FROM file_origins WHERE digest = ?", (files.digest,)).fetchone()
    if known is None:
        packed = zlib.compress(files.packed, _COMPRESSION)
        connection.execute("INSERT INTO file_origins (digest, packed) VALUES (?, ?)", (files.digest, packed))


def _prune(connection: sqlite3.Connection, keep: int) -> None:
    """Forget all generations but the last ``keep``, with all that is known of them."""
    query = "SELECT generation FROM revisions ORDER BY generation DESC LIMIT 1 OFFSET ?"
    row = connection.execute(query, (keep,)).fetchone()
    if row is None:
        return
    connection.execute("DELETE FROM revisions WHERE generation <= ?", row)
    connection.execute("DELETE FROM revision_details WHERE generation <= ?", row)
    resource_changes.forget(connection, *row)
    connection.execute(
        "DELETE FROM file_origins WHERE digest NOT IN (SELECT origins FROM revision_details WHERE origins IS NOT NULL)"
    )


def index_older(connection: sqlite3.Connection) -> None:
    """Write what the generations of an earlier version changed, from the newest back to the first that makes no sense to this one."""
    generations = [row[0] for row in connection.execute("SELECT generation FROM revisions ORDER BY generation DESC")]
    for generation in generations:
        (packed,) = connection.execute("SELECT plan FROM revisions WHERE generation = ?", (generation,)).fetchone()
        try:
            changes = list(changes_of_older(msgspec.json.decode(zlib.decompress(packed), type=dict[str, Any])))
        except (zlib.error, ValueError, KeyError, TypeError):
            return
        connection.execute(
            "INSERT INTO revision_details (generation, label, unkept, changes, origins, edits)"
            " VALUES (?, '', NULL, ?, NULL, '[]')",
            (generation, len(changes)),
        )
        resource_changes.add(connection, generation, changes)


_REVISION = (
    "SELECT generation, time, origin, author, file_sha256, summary,"
    " coalesce((SELECT label FROM revision_details AS d WHERE d.generation = r.generation), '')"
)


def revisions(connection: sqlite3.Connection, limit: int, before: int) -> tuple[Revision, ...]:
    """Return up to ``limit`` revisions below the generation ``before``, newest first."""
    query = f"{_REVISION} FROM revisions AS r WHERE generation < ? ORDER BY generation DESC LIMIT ?"
    return tuple(Revision(*row) for row in connection.execute(query, (min(before, _INT64_MAX), limit)))


def revision(connection: sqlite3.Connection, generation: int) -> RevisionDetail | None:
    """Return one revision; None if it is not there. Raises StoreCorruptError when it can't be read."""
    if generation > _INT64_MAX:
        return None
    query = f"{_REVISION}, state, plan FROM revisions AS r WHERE generation = ?"
    row = connection.execute(query, (generation,)).fetchone()
    if row is None:
        return None
    *fields, packed_state, packed_plan = row
    query = "SELECT edits, packed FROM revision_details LEFT JOIN file_origins ON digest = origins WHERE generation = ?"
    edits, packed_origins = connection.execute(query, (generation,)).fetchone() or ("[]", None)
    try:
        state = msgspec.msgpack.decode(zlib.decompress(packed_state), type=State)
        plan = msgspec.json.decode(zlib.decompress(packed_plan), type=dict[str, Any])
        declarations = {} if packed_origins is None else unpack(zlib.decompress(packed_origins))
        named = dict(msgspec.json.decode(edits, type=list[tuple[Key, str]]))
    except (zlib.error, msgspec.DecodeError) as error:
        raise StoreCorruptError(f"the revision {generation} can't be read: {error}") from error
    return RevisionDetail(Revision(*fields), state, plan, past_resolution(state, declarations, named))


def generation_of(connection: sqlite3.Connection, generation: int) -> int | None:
    """Return which kept generation served what ``generation`` did, which may have been one of other addresses for names alone.

    None when that is not known: it is older than all that are kept, or what was live then could not be.
    """
    generation = min(generation, _INT64_MAX)
    (found,) = connection.execute(
        "SELECT max(generation) FROM revisions WHERE generation <= ?", (generation,)
    ).fetchone()
    row = connection.execute(
        "SELECT unkept FROM revision_details WHERE generation ="
        " (SELECT min(generation) FROM revisions WHERE generation > ?)",
        (generation,),
    ).fetchone()
    lost = row is not None and row[0] is not None and row[0] <= generation
    return None if found is None or lost else int(found)


def generation_at(connection: sqlite3.Connection, time: float) -> int | None:
    """Return which generation was live at a time, in seconds since the epoch; None when that is not known."""
    query = "SELECT generation FROM revisions WHERE time <= ? ORDER BY generation DESC LIMIT 1"
    row = connection.execute(query, (time,)).fetchone()
    if row is None:
        return None
    query = (
        "SELECT unkept FROM revision_details WHERE generation ="
        " (SELECT min(generation) FROM revisions WHERE generation > ?)"
    )
    lost = connection.execute(query, row).fetchone()
    return None if lost is not None and lost[0] is not None else int(row[0])


def last_changes(connection: sqlite3.Connection, routes: Collection[RouteKey]) -> dict[RouteKey, Revision]:
    """Return the last generation that changed each route, a policy or a case of it; without those that none is kept of."""
    query = f"{_REVISION} FROM revisions AS r WHERE generation = ?"
    found = resource_changes.of_routes(connection, routes)
    rows = ((one, connection.execute(query, (one,)).fetchone()) for one in {*found.values()})
    known = {one: Revision(*row) for one, row in rows if row is not None}
    return {key: known[generation] for key, generation in found.items() if generation in known}


def outline(connection: sqlite3.Connection, generation: int) -> tuple[Revision, tuple[str, ...]] | None:
    """Return one revision with the lines of its plan alone; None if it is not there. Raises StoreCorruptError when it can't be read."""
    query = f"{_REVISION}, plan FROM revisions AS r WHERE generation = ?"
    row = connection.execute(query, (min(generation, _INT64_MAX),)).fetchone()
    if row is None:
        return None
    *fields, packed = row
    try:
        plan = msgspec.json.decode(zlib.decompress(packed), type=_Lines)
    except (zlib.error, msgspec.DecodeError) as error:
        raise StoreCorruptError(f"the revision {generation} can't be read: {error}") from error
    return Revision(*fields), plan.lines


def past(connection: sqlite3.Connection, kind: KindName, key: Sequence[str]) -> Past:
    """Return what is known of a resource's past."""
    since = connection.execute(
        "SELECT min(generation) FROM revision_details WHERE changes IS NOT NULL AND generation > coalesce("
        "(SELECT max(r.generation) FROM revisions AS r LEFT JOIN revision_details AS d ON d.generation = r.generation"
        " WHERE d.changes IS NULL), 0)"
    ).fetchone()[0]
    gaps = connection.execute("SELECT generation, unkept FROM revision_details WHERE unkept IS NOT NULL")
    found = [each for each in resource_changes.of_resource(connection, kind, key) if each[0] >= (since or _INT64_MAX)]
    query = f"{_REVISION} FROM revisions AS r WHERE generation = ?"
    known = ((connection.execute(query, (generation,)).fetchone(), change) for generation, change in found)
    return Past(tuple((Revision(*row), change) for row, change in known if row is not None), since or 0, dict(gaps))
