"""What is wrong with a configuration, and where: the vocabulary that every check speaks."""

import json
import re
from typing import Literal, TypeAlias

import msgspec

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value stands in a TOML document: ``("listeners", 0, "routes", 2, "backend")``."""

Key: TypeAlias = tuple[str, ...]
"""A resource of any kind: ``("route", addr, hostname)``, ``("setting", path)``: its key in the State behind its kind."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_QUOTE_LIMIT = 80


class Source(msgspec.Struct, frozen=True):
    """One configuration file, already read.

    Attributes:
        path: absolute.
        text: the whole content.
        folder: absolute; what relative paths in the file start from; "" for the folder of ``path``.
    """

    path: str
    text: str
    folder: str = ""


class Origin(msgspec.Struct, frozen=True):
    """Where a resource is declared; line and column count from 1, the column in characters.

    Line and column are 0 where no file declares it: then ``file`` is the name of the runtime edit that does.
    """

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """Return ``file:line``, or the name of the runtime edit."""
        return f"{self.file}:{self.line}" if self.line else self.file


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong (``error``) or doubtful (``warning``); line and column count from 1."""

    file: str
    line: int
    column: int
    severity: Literal["error", "warning"]
    key: str
    message: str

    def __str__(self) -> str:
        """Return ``file:line:column: severity: key: message``, without the key where there is none."""
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {key}{self.message}"


def key_name(path: KeyPath) -> str:
    """Return a key path as people write it: ``listeners[0].routes[2].backend``."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            name += ("." if name else "") + (part if _BARE_KEY.fullmatch(part) else quote(part))
    return name


def quote(text: str) -> str:
    """Return a user's text for use in a message: in quotes, control characters escaped, cut when very long."""
    if len(text) > _QUOTE_LIMIT:
        text = text[: _QUOTE_LIMIT - 1] + "…"
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if quoted.isprintable() else json.dumps(text)
