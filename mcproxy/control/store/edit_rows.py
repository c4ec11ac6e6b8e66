"""Runtime edits as rows of one table: key and value are JSON, the value in the config file's own words (`stored`)."""

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from mcproxy.control.store.errors import StoreError
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.stored import from_json, key_from, to_json
from mcproxy.model.state.kinds import KindName, Resource, ResourceKey, name_of, parts_of

_COLUMNS = ("id", *(name for name in Edit.__struct_fields__ if name != "id"))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM runtime_edits"  # noqa: S608 - field names
_INSERT = f"INSERT INTO runtime_edits ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' for _ in _COLUMNS)})"  # noqa: S608 - field names


def load(connection: sqlite3.Connection) -> tuple[Edit, ...]:
    """Return all edits by id; raises ValueError when a row is none (`UnknownWordError` when it is a newer mcproxy's)."""
    return tuple(map(_edit, connection.execute(f"{_SELECT} ORDER BY id")))


def find(connection: sqlite3.Connection, edit_id: int) -> Edit | None:
    """Return one edit; raises ValueError when its row is none."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (edit_id,)).fetchone()
    return None if row is None else _edit(row)


def find_key(connection: sqlite3.Connection, kind: KindName, key: ResourceKey) -> Edit | None:
    """Return the edit of a resource; raises ValueError when its row is none."""
    row = connection.execute(f"{_SELECT} WHERE kind = ? AND key = ?", (kind, _json(parts_of(key)))).fetchone()
    return None if row is None else _edit(row)


def insert(connection: sqlite3.Connection, edit: Edit) -> Edit:
    """Store an edit of a resource that has none, and return it with its id: its own, or a new one if that is 0.

    Raises:
        StoreError: the file could not say the value, which an earlier version took; the row could not be read again.
    """
    columns = {**msgspec.structs.asdict(edit), "id": edit.id or None, "key": _json(parts_of(edit.key))}
    if edit.value is not None:
        columns["value"] = _json(_words(edit.kind, edit.key, edit.value))
    cursor = connection.execute(_INSERT, [columns[name] for name in _COLUMNS])
    return msgspec.structs.replace(edit, id=cursor.lastrowid)


def delete(connection: sqlite3.Connection, edits: Iterable[Edit]) -> None:
    """Remove edits."""
    connection.executemany("DELETE FROM runtime_edits WHERE id = ?", [(edit.id,) for edit in edits])


def remember_parents(connection: sqlite3.Connection, edits: Iterable[Edit]) -> None:
    """Store what edits know of their parents."""
    rows = [(edit.parent, edit.orphaned, edit.id) for edit in edits]
    connection.executemany("UPDATE runtime_edits SET parent = ?, orphaned = ? WHERE id = ?", rows)


def _edit(row: tuple[Any, ...]) -> Edit:
    columns = dict(zip(_COLUMNS, row, strict=True))
    kind, key = key_from(columns["kind"], msgspec.json.decode(columns["key"], type=list[str]))
    value = None if columns["value"] is None else from_json(kind, key, msgspec.json.decode(columns["value"]))
    return Edit(**{**columns, "kind": kind, "key": key, "value": value, "orphaned": bool(columns["orphaned"])})


def _words(kind: KindName, key: ResourceKey, value: Resource) -> Any:
    words = to_json(kind, key, value)
    try:
        again = from_json(kind, key, words)
    except ValueError as error:
        raise StoreError(f"the runtime edit of {name_of(kind, key)} can't be kept: {error}") from error
    if again != value:
        raise StoreError(f"the runtime edit of {name_of(kind, key)} can't be kept: it would be read as {words!r}")
    return words


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
