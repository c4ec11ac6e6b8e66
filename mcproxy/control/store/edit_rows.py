"""Runtime edits as rows: what all edits have in common is in `edits`, the resource in the table of its kind.

A route's row refers to its listener's, a policy's to its route's. Where the file declares that parent, and no edit does,
the parent's row is there all the same, without an edit of its own; it goes with the last row that refers to it.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from mcproxy.model.edits.edit import Edit
from mcproxy.model.state.kinds import KindName, Resource, ResourceKey
from mcproxy.model.state.state import Listener, Policy, Route, Rule
from mcproxy.model.values import addresses

_COMMON = [
    "id",
    "kind",
    "base",
    "parent",
    "orphaned",
    "author",
    "reason",
    "created",
    "expires",
    "request_id",
    "tombstone",
]
_LISTENER = ["proxy_protocol", "trusted_proxies", "max_connections"]
_ROUTE = [
    "backend",
    "mode",
    "tls_cert",
    "tls_key",
    "backend_tls",
    "backend_ca",
    "backend_server_name",
    "backend_protocol",
    "send_proxy_protocol",
    "on_remove",
]

# By kind: the table with its parents, the key's columns, the value's columns.
_SHAPES: dict[KindName, tuple[str, list[str], list[str]]] = {
    "setting": ("settings AS t", ["t.path"], ["value"]),
    "rule": ("firewall_rules AS t", ["t.type", "t.value"], []),
    "listener": ("listeners AS t", ["t.addr"], _LISTENER),
    "route": ("routes AS t JOIN listeners AS l ON l.id = t.listener_id", ["l.addr", "t.hostname"], _ROUTE),
    "policy": (
        "l7_policies AS t JOIN routes AS r ON r.id = t.route_id JOIN listeners AS l ON l.id = r.listener_id",
        ["l.addr", "r.hostname", "t.type", "t.value"],
        [],
    ),
}


def load(connection: sqlite3.Connection) -> tuple[Edit, ...]:
    """Return all edits by id; raises ValueError when a row is none."""
    return tuple(sorted(_select(connection, ""), key=lambda edit: edit.id))


def find(connection: sqlite3.Connection, edit_id: int) -> Edit | None:
    """Return one edit; raises ValueError when its row is none."""
    row = connection.execute("SELECT kind FROM edits WHERE id = ?", (edit_id,)).fetchone()
    return None if row is None else next(_select(connection, "AND e.id = ?", (edit_id,), row), None)


def find_key(connection: sqlite3.Connection, kind: KindName, key: ResourceKey) -> Edit | None:
    """Return the edit of a resource; raises ValueError when its row is none."""
    columns = _SHAPES[kind][1]
    where = " ".join(f"AND {column} = ?" for column in columns)
    return next(_select(connection, where, _parts(key), (kind,)), None)


def insert(connection: sqlite3.Connection, edit: Edit) -> Edit:
    """Store an edit of a resource that has none, and return it with its id: its own, or a new one if that is 0."""
    values = [getattr(edit, name) for name in _COMMON[1:]]
    columns = ", ".join(_COMMON)
    cursor = connection.execute(
        f"INSERT INTO edits ({columns}) VALUES ({_marks(_COMMON)})",  # noqa: S608 - this module's own names
        (edit.id or None, *values),
    )
    edit = msgspec.structs.replace(edit, id=cursor.lastrowid)
    parts = _parts(edit.key)
    match edit.kind:
        case "setting":
            value = msgspec.json.encode(edit.value).decode()
            _upsert(connection, "settings", {"path": parts[0]}, {"value": value, "edit_id": edit.id})
        case "rule":
            _upsert(connection, "firewall_rules", {"type": parts[0], "value": parts[1]}, {"edit_id": edit.id})
        case "listener":
            _upsert(connection, "listeners", {"addr": parts[0]}, {**_row(edit.value), "edit_id": edit.id})
        case "route":
            listener = _upsert(connection, "listeners", {"addr": parts[0]}, {})
            key = {"listener_id": listener, "hostname": parts[1]}
            _upsert(connection, "routes", key, {"backend": "", **_row(edit.value), "edit_id": edit.id})
        case "policy":
            listener = _upsert(connection, "listeners", {"addr": parts[0]}, {})
            route = _upsert(connection, "routes", {"listener_id": listener, "hostname": parts[1]}, {}, {"backend": ""})
            key = {"route_id": route, "type": parts[2], "value": parts[3]}
            _upsert(connection, "l7_policies", key, {"edit_id": edit.id})
    return edit


def delete(connection: sqlite3.Connection, edits: Iterable[Edit]) -> None:
    """Remove edits, and the rows of parents that nothing refers to any more."""
    connection.executemany("DELETE FROM edits WHERE id = ?", [(edit.id,) for edit in edits])
    for table, children in (("routes", "l7_policies WHERE route_id"), ("listeners", "routes WHERE listener_id")):
        connection.execute(
            f"DELETE FROM {table} WHERE edit_id IS NULL AND NOT EXISTS (SELECT 1 FROM {children} = {table}.id)"  # noqa: S608 - likewise
        )


def remember_parents(connection: sqlite3.Connection, edits: Iterable[Edit]) -> None:
    """Store what edits know of their parents."""
    rows = [(edit.parent, edit.orphaned, edit.id) for edit in edits]
    connection.executemany("UPDATE edits SET parent = ?, orphaned = ? WHERE id = ?", rows)


def _select(
    connection: sqlite3.Connection,
    where: str,
    parameters: Iterable[object] = (),
    kinds: Iterable[KindName] = tuple(_SHAPES),
) -> Iterator[Edit]:
    common = [f"e.{name}" for name in _COMMON]
    for kind in kinds:
        tables, key, value = _SHAPES[kind]
        columns = ", ".join((*common, *key, *(f"t.{name}" for name in value)))
        query = f"SELECT {columns} FROM {tables} JOIN edits AS e ON e.id = t.edit_id WHERE 1 {where}"  # noqa: S608 - likewise
        for row in connection.execute(query, tuple(parameters)):
            yield _edit(kind, row, len(key), value)


def _edit(kind: KindName, row: tuple[Any, ...], key_size: int, names: list[str]) -> Edit:
    common = dict(zip(_COMMON, row, strict=False))
    key = row[len(_COMMON) : len(_COMMON) + key_size]
    tombstone = common.pop("tombstone")
    common["orphaned"] = bool(common["orphaned"])
    value = None if tombstone else _value(kind, key, dict(zip(names, row[len(_COMMON) + key_size :], strict=True)))
    return Edit(**{**common, "kind": kind, "key": key[0] if key_size == 1 else key, "value": value})


def _value(kind: KindName, key: tuple[Any, ...], columns: dict[str, Any]) -> Resource:
    match kind:
        case "setting":
            return _setting(columns["value"])
        case "rule":
            return msgspec.convert(dict(zip(("type", "value"), key, strict=True)), Rule)
        case "listener":
            columns["trusted_proxies"] = columns["trusted_proxies"].split()
            return msgspec.convert({"addr": key[0], **columns}, Listener, strict=False)
        case "route":
            endpoints = [addresses.parse_backend(text) for text in columns.pop("backend").split("\n")]
            raw = {"listener": key[0], "hostname": key[1], "endpoints": [], **columns}
            return msgspec.structs.replace(msgspec.convert(raw, Route, strict=False), endpoints=tuple(endpoints))
    return msgspec.convert(dict(zip(Policy.__struct_fields__, key, strict=True)), Policy)


def _setting(text: str) -> Resource:
    value = msgspec.json.decode(text)
    if isinstance(value, list):
        return msgspec.convert(value, tuple[str, ...])
    return msgspec.convert(value, bool | int | float | str)


def _row(resource: Resource | None) -> dict[str, object]:
    """Return the columns of a listener or route; a tombstone has none, what its row says is never read."""
    match resource:
        case Listener():
            return {
                "proxy_protocol": resource.proxy_protocol,
                "trusted_proxies": " ".join(resource.trusted_proxies),
                "max_connections": resource.max_connections,
            }
        case Route():
            columns = {name: getattr(resource, name) for name in _ROUTE if name != "backend"}
            return {**columns, "backend": "\n".join(map(str, resource.endpoints))}
    return {}


def _upsert(
    connection: sqlite3.Connection,
    table: str,
    key: Mapping[str, object],
    value: Mapping[str, object],
    required: Mapping[str, object] | None = None,
) -> int:
    """Make sure that there is a row, with the value's columns as given, and return its id.

    Args:
        connection: in a transaction.
        table: its name.
        key: the columns that are unique together.
        value: other columns.
        required: columns that a new row needs beside, but an existing one keeps.
    """
    columns = {**key, **(required or {}), **value}
    # an update that changes nothing: without one, an existing row's id is not returned
    changes = ", ".join(f"{name} = excluded.{name}" for name in (value or key))
    (row_id,) = connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({_marks(columns)})"  # noqa: S608 - likewise
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes} RETURNING id",
        tuple(columns.values()),
    ).fetchone()
    return int(row_id)


def _marks(columns: Iterable[object]) -> str:
    return ", ".join("?" for _ in columns)


def _parts(key: ResourceKey) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else key
