"""The files of a fleet's document, as a node reads them beside its own file."""

import msgspec

from mcproxy.errors import ConfigError
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.fleet.document import Document, DocumentError, unpack

MAIN = "doc"
"""What the main file of a document is called where places in it are told; the others stand below it."""


class FleetDocument(msgspec.Struct, frozen=True):
    """A document as a node reads it.

    Attributes:
        document: as the store has it.
        sources: its files, the main one first.
    """

    document: Document
    sources: tuple[Source, ...]


def read_document(document: Document) -> FleetDocument:
    """Return a document with its files; raises `ConfigError` when it is damaged."""
    note = noted(document)
    try:
        files = unpack(document)
    except DocumentError as error:
        why = f"the fleet's document ({note}) is damaged: {error}; push it again"
        raise ConfigError((Problem(MAIN, 1, 1, "error", "", why),)) from error
    names = [MAIN, *(f"{MAIN}/{file.name}" for file in files[1:])]
    return FleetDocument(
        document, tuple(Source(name, file.text, "", note) for name, file in zip(names, files, strict=True))
    )


def noted(document: Document) -> str:
    """Return ``revision 41, commit 3fa9c1``: which document it is, and what it was pushed as."""
    header = document.header
    return ", ".join(filter(None, (f"revision {header.revision}", header.label)))
