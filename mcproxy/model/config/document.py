"""One config file, read: its values as `config.Config`, and where each of them stands."""

import posixpath
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from mcproxy.model.config import toml_text, walker
from mcproxy.model.config.mistakes import variables
from mcproxy.model.config.positions import Positions, scan
from mcproxy.model.config.problems import KeyPath, Problem, Severity, Source, key_name
from mcproxy.model.config.schema import Config
from mcproxy.model.values.origins import Origin

_TOML_ERROR = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


class Document(msgspec.Struct, frozen=True):
    """A file that is valid TOML; its values may still be wrong.

    Attributes:
        source: the file.
        config: its values; what is wrong has its default here.
        positions: where they stand.
        doubts: paths of what is wrong, and of what is probably meant by unknown keys (a path of one part: wherever that key
            belongs). Nothing can be concluded from their values.
    """

    source: Source
    config: Config
    positions: Positions
    doubts: frozenset[KeyPath] = frozenset()

    @property
    def folder(self) -> str:
        """The folder that the file's relative paths start from."""
        return folder_of(self.source)

    def names(self, *path: str | int) -> bool:
        """Tell whether the file itself says something about ``path``, if only its default."""
        return path in self.positions

    def mentions(self, *keys: str) -> bool:
        """Tell whether the file may have one of these keys in any place, by a look at its text that costs next to nothing."""
        text = self.source.text
        return "\\" in text or any(key in text for key in keys)  # a key in quotes may have escapes

    def is_sure(self, *path: str | int) -> bool:
        """Tell whether the value at ``path`` is what the file says: then conclusions may be drawn from it."""
        if not self.doubts:
            return True
        own = (path[:size] in self.doubts for size in range(1, len(path) + 1))
        return not any(own) and path[-1:] not in self.doubts

    def origin(self, path: KeyPath) -> Origin:
        """Return where ``path`` is declared, or its innermost part that is."""
        return Origin(self.source.path, *self.positions.nearest(path), self.source.note)

    def problem(self, path: KeyPath, message: str, severity: Severity = "error") -> Problem:
        """Return a problem of the key at ``path``."""
        return Problem(self.source.path, *self.positions.nearest(path), severity, key_name(path), message)

    def value_problem(self, path: KeyPath, message: str, severity: Severity = "error") -> Problem:
        """Return a problem of the value at ``path``."""
        return Problem(self.source.path, *self.positions.of_value(path), severity, key_name(path), message)


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
        return toml_text.loads(source.text)
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
    unknown: list[tuple[KeyPath, str]] = []
    config, doubts = convert(raw, folder_of(source), wrong, unknown)
    document = Document(source, config, scan(source.text), doubts)
    problems = [document.value_problem(path, message) for path, message in wrong]
    problems += (document.problem(path, message) for path, message in unknown)
    if variables.may_refer(source.text):
        told = {path for path, _ in wrong}
        problems += (
            document.value_problem(path, message, "warning")
            for path, message in variables.references(raw)
            if path not in told
        )
    return Reading(source, document, tuple(problems))


def convert(
    raw: Mapping[str, object], folder: str, wrong: list[tuple[KeyPath, str]], unknown: list[tuple[KeyPath, str]]
) -> tuple[Config, frozenset[KeyPath]]:
    """Return the values of a document, and what nothing can be concluded from; see `Document`.

    Args:
        raw: as tomllib gives it.
        folder: absolute; what relative paths start from.
        wrong: gets path and message of each wrong value, and of each table that lacks a key.
        unknown: gets those of each unknown key.
    """
    doubts: set[KeyPath] = set()

    def on_unknown(path: KeyPath, message: str, meant: KeyPath) -> None:
        unknown.append((path, message))
        doubts.update((meant,) if meant else ())

    config = walker.convert(Config, raw, folder, lambda path, message: wrong.append((path, message)), on_unknown)
    # of an array with a wrong item it is not known what would be in it; a table that lacks a key is right as far as it goes
    doubts.update(path[:-1] for path, _ in wrong if isinstance(path[-1], int))
    doubts.update(path for path, _ in wrong if isinstance(path[-1], str) or not isinstance(_at(raw, path), dict))
    return config, frozenset(doubts)


def _at(raw: Any, path: KeyPath) -> object:
    for part in path:
        raw = raw[part]
    return raw


def _syntax_problem(source: Source, text: str) -> Problem:
    from mcproxy.model.config.mistakes import syntax  # noqa: PLC0415 - nearly every file that is read is valid TOML

    match = _TOML_ERROR.fullmatch(text)
    if match is None:
        return Problem(source.path, 1, 1, "error", "", f"not valid TOML: {text}")
    stopped = len(source.text)
    if match[2]:
        lines = [0, *(end.end() for end in re.finditer("\n", source.text))]
        stopped = lines[int(match[2]) - 1] + int(match[3]) - 1
    found = syntax.find(toml_text.without_bom(source.text), stopped, match[1])
    at, message = (stopped, match[1]) if found is None else (found.at, found.message)
    place = Positions(source.text, {("here",): at})["here",]
    return Problem(source.path, *place, "error", "", f"not valid TOML: {message}")
