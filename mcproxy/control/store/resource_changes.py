"""What each generation changed, by resource: statements for an index that answers blame without reading whole generations.

It is written with every generation, and bounded on its own: a generation whose changes are not in it (any more) has no
number of them (`revision_details.changes`), and nothing is concluded from what is older than the newest such one.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from mcproxy.control.store.errors import StoreCorruptError
from mcproxy.model.history.changes import Action, ResourceChange
from mcproxy.model.state.kinds import KindName
from mcproxy.model.state.state import RouteKey
from mcproxy.model.values.origins import Origin

MOST = 200_000
"""Changes that are kept, about 60 MB; of the newest generation all."""


class _Row(msgspec.Struct, array_like=True):
    action: Action
    fields: dict[str, Any]
    changed: tuple[str, ...]
    origin: Origin | None
    places: dict[str, tuple[int, int]]


def add(connection: sqlite3.Connection, generation: int, changes: Sequence[ResourceChange]) -> None:
    """Write what a generation changed, in a transaction that is begun."""
    keys = [(change.kind, msgspec.json.encode(change.key).decode()) for change in changes]
    connection.executemany("INSERT OR IGNORE INTO changed_resources (kind, key) VALUES (?, ?)", keys)
    connection.executemany(
        "INSERT OR REPLACE INTO resource_changes (resource_id, generation, change)"
        " SELECT id, ?, ? FROM changed_resources WHERE kind = ? AND key = ?",
        ((generation, _packed(change), kind, key) for change, (kind, key) in zip(changes, keys, strict=True)),
    )


def bound(connection: sqlite3.Connection, most: int) -> None:
    """Forget the changes of the oldest generations as long as there are more than ``most`` and it is not the newest one's turn."""
    total = 0
    query = "SELECT generation, changes FROM revision_details WHERE changes IS NOT NULL ORDER BY generation DESC"
    for number, (generation, changes) in enumerate(connection.execute(query)):
        total += changes
        if number and total > most:
            forget(connection, generation)
            connection.execute("UPDATE revision_details SET changes = NULL WHERE generation <= ?", (generation,))
            return


def forget(connection: sqlite3.Connection, generation: int) -> None:
    """Forget the changes of a generation and of those before it."""
    connection.execute(
        "DELETE FROM changed_resources WHERE id IN (SELECT resource_id FROM resource_changes WHERE generation <= ?)"
        " AND NOT EXISTS (SELECT 1 FROM resource_changes WHERE resource_id = id AND generation > ?)",
        (generation, generation),
    )
    connection.execute("DELETE FROM resource_changes WHERE generation <= ?", (generation,))


def of_resource(
    connection: sqlite3.Connection, kind: KindName, key: Sequence[str]
) -> Iterable[tuple[int, ResourceChange]]:
    """Yield the changes of a resource with their generations, newest first."""
    query = (
        "SELECT generation, change FROM resource_changes"
        " WHERE resource_id = (SELECT id FROM changed_resources WHERE kind = ? AND key = ?) ORDER BY generation DESC"
    )
    for generation, change in connection.execute(query, (kind, msgspec.json.encode(key).decode())):
        try:
            row = msgspec.json.decode(change, type=_Row)
        except msgspec.DecodeError as error:
            raise StoreCorruptError(f"a change of the revision {generation} can't be read: {error}") from error
        yield generation, ResourceChange(kind, tuple(key), row.action, row.fields, row.changed, row.origin, row.places)


def of_routes(connection: sqlite3.Connection, routes: Iterable[RouteKey]) -> dict[RouteKey, int]:
    """Return the last generation that changed each route, a policy or a case of it; without those that none is kept of."""
    query = (
        "SELECT max(generation) FROM resource_changes WHERE resource_id IN ("
        "SELECT id FROM changed_resources WHERE kind = 'route' AND key = ?1"
        " UNION ALL SELECT id FROM changed_resources WHERE kind = 'policy' AND key > ?2 AND key < ?3"
        " UNION ALL SELECT id FROM changed_resources WHERE kind = 'case' AND key > ?2 AND key < ?3)"
    )
    found = {}
    for key in routes:
        whole = msgspec.json.encode(key).decode()
        children = f"{whole[:-1]},"  # what their keys begin with; a quotation mark follows, and # is the next character
        (generation,) = connection.execute(query, (whole, children, f"{children}#")).fetchone()
        if generation is not None:
            found[key] = int(generation)
    return found


def _packed(change: ResourceChange) -> bytes:
    return msgspec.json.encode(_Row(change.action, change.fields, change.changed, change.origin, change.places))
