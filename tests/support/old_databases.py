"""Databases as earlier versions left them, from tests/data/databases, and what that day's mcproxy said of each.

``vN.sql`` was made by the migrations and the code of schema N (from 5 on with every kind of edit: tombstones, orphans,
expiries, policies under the file's routes), ``vN.edits.jsonl`` holds its edits as the code before schema 8 loaded them,
``vN.drift.json`` is what ``mcproxyctl drift --json`` printed with ``mc-proxy.toml`` beside the database. FOLDER stands
for the folder, CREATED for the time when rows became edits (schema 5). The addresses and ports are fixed: an edit knows
the file's declaration by a hash of it.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from mcproxy.model.edits import edit as edit_codec
from mcproxy.model.edits.edit import Edit

VERSIONS = tuple(range(1, 8))
"""The schemas before edits of all kinds are in one table."""
ONE_TABLE = 8
"""The first schema where they are: what it kept of edits is as today, and its generations are as its own mcproxy kept them."""
SINCE_EDITS = 5
"""The first schema that has edits; before, each row was what is an edit now."""

_DATA = Path(__file__).parents[1] / "data" / "databases"


def make_old_database(version: int, folder: Path) -> Path:
    """Make the database of a schema in a folder; return its path."""
    path = folder / "mc-proxy.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_text(f"v{version}.sql", folder))
    return path


def config_beside(version: int, folder: Path) -> str:
    """Return the text of the config file beside the database of a schema."""
    return _text("mc-proxy.toml", folder).replace("VERSION", str(version))


def drift_beside(version: int, folder: Path) -> str:
    """Return what ``mcproxyctl drift --json`` printed then."""
    return _text(f"v{version}.drift.json", folder)


def edits_within(version: int, folder: Path, created: float) -> tuple[Edit, ...]:
    """Return the edits of the database of a schema; where they know no time of their own, with ``created``."""
    edits = map(edit_codec.decode, _text(f"v{version}.edits.jsonl", folder).splitlines())
    if version >= SINCE_EDITS:
        return tuple(edits)
    return tuple(msgspec.structs.replace(edit, created=created) for edit in edits)


def _text(name: str, folder: Path) -> str:
    return (_DATA / name).read_text(encoding="utf-8").replace("FOLDER", str(folder))
