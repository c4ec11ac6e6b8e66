"""What is wrong with a configuration, and where: the vocabulary that every check speaks."""

import re
from typing import Literal, TypeAlias

import msgspec

from mcproxy.model.values.quoting import quote

Severity: TypeAlias = Literal["error", "warning", "note"]

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value stands in a TOML document: ``("listeners", 0, "routes", 2, "backend")``."""


_NUMBERED = re.compile(r"(.*)\[(\d+)\]")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Source(msgspec.Struct, frozen=True):
    """One configuration file, already read.

    Attributes:
        path: absolute.
        text: the whole content.
        folder: absolute; what relative paths in the file start from; "" for the folder of ``path``.
        note: which version of a fleet's document it is of, to be told behind each place in it; "" for files.
    """

    path: str
    text: str
    folder: str = ""
    note: str = ""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong (``error``), doubtful (``warning``), or to be known (``note``); line and column count from 1."""

    file: str
    line: int
    column: int
    severity: Severity
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


def path_of(name: str) -> KeyPath:
    """Return the path of a key within a resource's table: ``tls.ca`` of one in it, ``tls_cert[1]`` of an item."""
    numbered = _NUMBERED.fullmatch(name)
    return tuple(name.split(".")) if numbered is None else (*numbered[1].split("."), int(numbered[2]))
