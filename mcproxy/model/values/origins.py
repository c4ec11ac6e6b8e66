"""Keys of resources, and where they are declared."""

from typing import TypeAlias

import msgspec

Key: TypeAlias = tuple[str, ...]
"""A resource of any kind: ``("route", addr, hostname)``, ``("setting", path)``: its key in the State behind its kind."""


class Origin(msgspec.Struct, frozen=True):
    """Where a resource is declared; line and column count from 1, the column in characters.

    Line and column are 0 where no file declares it: then ``file`` is the name of the runtime edit that does.
    ``note`` says which version of a fleet's document it is; "" for files.
    """

    file: str
    line: int
    column: int
    note: str = ""

    def __str__(self) -> str:
        """Return ``file:line``, with the note in parentheses if there is one, or the name of the runtime edit."""
        if not self.line:
            return self.file
        return f"{self.file}:{self.line} ({self.note})" if self.note else f"{self.file}:{self.line}"
