"""One config file, read: its values as `config.Config`, and where each of them stands."""

import posixpath
import re
import tomllib
from typing import Any, Literal

import msgspec

from mcproxy.model.config import walker
from mcproxy.model.config.positions import Positions, scan
from mcproxy.model.config.problems import KeyPath, Problem, Source, key_name
from mcproxy.model.config.schema import Config
from mcproxy.model.values.origins import Origin

_TOML_ERROR = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


class Document(msgspec.Struct, frozen=True):
    """A file that is valid TOML; its values may still be wrong."""

    source: Source
    config: Config
    positions: Positions

    @property
    def folder(self) -> str:
        """The folder that the file's relative paths start from."""
        return folder_of(self.source)

    def names(self, *path: str | int) -> bool:
        """Tell whether the file itself says something about ``path``, if only its default."""
        return path in self.positions

    def origin(self, path: KeyPath) -> Origin:
        """Return where ``path`` is declared, or its innermost part that is."""
        return Origin(self.source.path, *self.positions.nearest(path))

    def problem(self, path: KeyPath, message: str, severity: Literal["error", "warning"] = "error") -> Problem:
        """Return a problem of the value at ``path``."""
        return Problem(self.source.path, *self.positions.nearest(path), severity, key_name(path), message)


class Reading(msgspec.Struct, frozen=True):
    """A file, read as far as that is possible.

    Attributes:
        source: the file.
        document: what it says; None when it is not TOML.
        problems: everything that is wrong with its single values, or why it is not TOML.
    """

    source: Source
    document: Document | None
    problems: tuple[Problem, ...]


def folder_of(source: Source) -> str:
    """Return the folder that a file's relative paths start from."""
    return source.folder or posixpath.dirname(source.path)


def parse(source: Source) -> dict[str, Any] | Problem:
    """Return the file as tomllib reads it, or why it is not TOML."""
    try:
        return tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        return _syntax_problem(source, str(error))
    except RecursionError:
        return Problem(source.path, 1, 1, "error", "", "arrays or tables are nested too deeply")
    except ValueError as error:  # what tomllib lets through from int(): a number of thousands of digits
        return Problem(source.path, 1, 1, "error", "", f"not valid TOML: {error}")


def read(source: Source) -> Reading:
    """Return what a file says, and what is wrong with it."""
    raw = parse(source)
    if isinstance(raw, Problem):
        return Reading(source, None, (raw,))
    wrong: list[tuple[KeyPath, str]] = []
    config = walker.convert(Config, raw, folder_of(source), lambda path, message: wrong.append((path, message)))
    document = Document(source, config, scan(source.text))
    return Reading(source, document, tuple(document.problem(path, message) for path, message in wrong))


def _syntax_problem(source: Source, text: str) -> Problem:
    match = _TOML_ERROR.fullmatch(text)
    if match is None:
        return Problem(source.path, 1, 1, "error", "", f"not valid TOML: {text}")
    if match[2]:
        line, column = int(match[2]), int(match[3])
    else:
        line, column = source.text.count("\n") + 1, len(source.text) - source.text.rfind("\n")
    return Problem(source.path, line, column, "error", "", f"not valid TOML: {match[1]}")
