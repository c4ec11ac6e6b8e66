"""The document of a fleet, read on a machine that is a node of it."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec

from mcproxy.control.files.contents import Contents
from mcproxy.model.config import document, walker
from mcproxy.model.config.document import Reading
from mcproxy.model.config.fleet.shape import FleetNode
from mcproxy.model.config.problems import Problem
from mcproxy.model.config.settings import Database
from mcproxy.model.fleet.sources import FleetDocument

Documents: TypeAlias = Callable[[FleetNode, str], FleetDocument | None]
"""Gives the fleet's document that a node is to run, whose database is at a path; None while it is not known. Raises `ConfigError`."""


def nobody(_: FleetNode, __: str) -> None:
    """Know no document."""


def shared_document(main: Reading, place: Path, documents: Documents) -> tuple[FleetNode | None, FleetDocument | None]:
    """Return the fleet that a main file at ``place`` says its machine is a node of, and the document; raises `ConfigError`."""
    fleet = None if main.document is None else main.document.config.fleet
    return fleet, None if fleet is None else documents(fleet, _database(main, place.parent))


def _database(main: Reading, folder: Path) -> str:
    """Return the path of the database that a main file names, or has by default."""
    if main.document is not None and main.document.names("database", "path"):
        return main.document.config.database.path
    return str(walker.default(Database, "path", str(folder)))


def readings_of(shared: FleetDocument | None, folder: Path) -> list[Reading]:
    """Return what the files of a fleet's document say on a machine whose own file is in a folder."""
    sources = () if shared is None else shared.sources
    return [document.read(msgspec.structs.replace(source, folder=str(folder))) for source in sources]


def unreadable(main: Reading, contents: Contents) -> list[Problem]:
    """Return which files of ``[fleet]`` can't be read; what is known of the fleet is served all the same."""
    found = []
    read = main.document
    fleet = None if read is None else read.config.fleet
    for key in ("ca", "cert", "key"):
        path = "" if fleet is None else getattr(fleet, key)
        try:
            contents.read(path) if path else None
        except OSError as error:
            assert read is not None  # noqa: S101 - it has named the file
            why = f"{path}: {error.strerror}; until it can be read, the fleet's store can't be reached"
            found.append(read.value_problem(("fleet", key), why, "warning"))
    return found
