"""How a TOML document is laid out: where its headers, pairs and values begin and end, and which comments are whose.

A comment on lines of its own belongs to the header that follows it at once; else to the section that it follows at once.
One with blank lines on both sides belongs to nobody.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from mcproxy.model.config.positions import Scanner, skip_blanks
from mcproxy.model.config.problems import KeyPath

_DIRECTIVE = "#:"  # "#:schema ...", addressed to editors, belongs to the whole file
_HEADER_IN_COMMENT = re.compile(r"#+\s*\[")


class Span(NamedTuple):
    """Offsets of a text: from ``start`` up to ``end``."""

    start: int
    end: int


class Splice(NamedTuple):
    """A change of a text: what is between two offsets becomes ``new``, which has plain line feeds."""

    start: int
    end: int
    new: str = ""


@dataclass(slots=True)
class Section:
    """A header and the pairs below it, or the pairs above the first header.

    Attributes:
        path: of its table; () above the first header.
        header: its brackets and what is between them; empty above the first header.
        end: where its last pair ends, or the header if it has none.
    """

    path: KeyPath
    header: Span
    end: int


class Layout:
    """The layout of a document, which tomllib must have accepted; all places are offsets in its text.

    Attributes:
        text: the document.
        sections: in their order, the one above the first header first.
        values: where each value is that was written as one, behind a key or in an array.
        counts: how many items each array has, if any.
        first_pairs: where the first pair begins of each table that has pairs; of the root for dotted keys.
        last_pairs: where the last one ends.
        pairs: where each pair is, by the path of its value; of dotted keys too.
        last_sections: for each path the number of the last section that is its own or of a part of it.
    """

    def __init__(self, text: str) -> None:
        scanner = _LayoutScanner(text)
        scanner.document()
        self.text = text
        self.sections: Sequence[Section] = scanner.sections
        self.values = scanner.values
        self.counts = {**scanner.counts, **scanner.lengths}
        self.first_pairs = scanner.first_pairs
        self.last_pairs = scanner.last_pairs
        self.pairs = scanner.pairs
        self.last_sections: dict[KeyPath, int] = {}
        self._numbers: dict[KeyPath, int] = {}
        self._kinds: dict[KeyPath, int] = {}
        for number, section in enumerate(self.sections):
            path = section.path
            self.last_sections |= {path[:size]: number for size in range(1, len(path) + 1)}
            self._numbers[path] = number
            self._kinds.setdefault(_names(path), number)

    def is_table(self, path: KeyPath) -> bool:
        """Tell whether there is a table that has a header, or that dotted keys make."""
        return path not in self.values and (path in self.last_sections or path in self._dotted)

    @cached_property
    def _dotted(self) -> set[KeyPath]:
        """The paths of all tables that have pairs."""
        return {pair[:size] for pair in self.pairs for size in range(1, len(pair))}

    def number(self, path: KeyPath) -> int | None:
        """Return the number of the section of a table that has a header; None if it has none."""
        return self._numbers.get(path) or None

    def number_like(self, path: KeyPath) -> int | None:
        """Return the number of the first section whose path has the same names, whatever the indices."""
        return self._kinds.get(_names(path)) or None

    def section_at(self, at: int) -> Section:
        """Return the section that a place is in."""
        return self.sections[bisect_right([section.header.start for section in self.sections], at) - 1]

    def line_start(self, at: int) -> int:
        """Return where the line begins."""
        return self.text.rfind("\n", 0, at) + 1

    def line_end(self, at: int) -> int:
        """Return where the line ends, in front of its line end."""
        end = self.text.find("\n", at)
        if end < 0:
            return len(self.text)
        return end - 1 if end > at and self.text[end - 1] == "\r" else end

    def next_line(self, at: int) -> int:
        """Return where the next line begins; the end of the text if there is none."""
        return self.text.find("\n", at) + 1 or len(self.text)

    def line(self, at: int) -> str:
        """Return the line without the blanks around it."""
        return self.text[self.line_start(at) : self.next_line(at)].strip()

    def indent(self, at: int) -> str:
        """Return the blanks that the line begins with, in front of ``at``."""
        front = self.text[self.line_start(at) : at]
        return front[: len(front) - len(front.lstrip(" \t"))]

    def begins_line(self, at: int) -> bool:
        """Tell whether there are only blanks in front, on the same line."""
        return not self.text[self.line_start(at) : at].strip(" \t")

    def lead(self, at: int, floor: int) -> int:
        """Return where the comment lines begin that stand directly above a line, or the line itself.

        Args:
            at: somewhere in the line.
            floor: where what is in front of it ends.
        """
        start = self.line_start(at)
        while start > floor:
            above = self.line_start(start - 1)
            line = self.line(above)
            if above < floor or not line.startswith("#") or line.startswith(_DIRECTIVE):
                break
            start = above
        return start

    def extent(self, number: int) -> Span:
        """Return where a section is, with its comments, in whole lines; it has a header."""
        floor = self.sections[number - 1].end
        return Span(self.lead(self.sections[number].header.start, floor), self.tail(number))

    def is_spaced(self, start: int) -> bool:
        """Tell whether a line has a blank line above it, or none at all."""
        return not start or not self.line(start - 1)

    def tail(self, number: int) -> int:
        """Return where the lines of a section end, with the comments that stand directly below it."""
        section = self.sections[number]
        limit = len(self.text)
        if number + 1 < len(self.sections):
            limit = self.lead(self.sections[number + 1].header.start, section.end)
        at = self.next_line(section.end)
        while at < limit and self.line(at).startswith("#") and not _HEADER_IN_COMMENT.match(self.line(at)):
            at = self.next_line(at)
        return at

    def comma(self, path: KeyPath) -> int | None:
        """Return where the comma behind an array's item is, if there is one."""
        at = skip_blanks(self.text, self.values[path].end)
        return at if self.text[at] == "," else None


def splice(text: str, splices: Sequence[Splice]) -> str:
    """Return the text after the splices, of which those that only delete may overlap; insertions keep their order."""
    newline = "\r\n" if text.find("\r\n") == text.find("\n") - 1 >= 0 else "\n"
    parts: list[str] = []
    at = 0
    for start, end, new in sorted(splices, key=_start):
        parts += (text[at:start], new.replace("\n", newline))
        at = max(at, end)
    return "".join((*parts, text[at:]))


def _names(path: KeyPath) -> KeyPath:
    return tuple(part for part in path if isinstance(part, str))


def _start(change: Splice) -> int:
    return change.start


class _LayoutScanner(Scanner):
    plain_line = re.compile("(?!)")  # every value counts here

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.sections = [Section((), Span(0, 0), 0)]
        self.values: dict[KeyPath, Span] = {}
        self.counts: dict[KeyPath, int] = {}
        self.first_pairs: dict[KeyPath, int] = {}
        self.last_pairs: dict[KeyPath, int] = {}
        self.pairs: dict[KeyPath, Span] = {}
        self._last_value: KeyPath = ()

    def header(self, at: int) -> tuple[KeyPath, int]:
        path, end = super().header(at)
        self.sections.append(Section(path, Span(at, end), end))
        return path, end

    def pair(self, table: KeyPath, at: int) -> int:
        end = super().pair(table, at)
        self.first_pairs.setdefault(table, at)
        self.last_pairs[table] = self.trimmed(at, end)
        self.pairs[self._last_value] = Span(at, self.last_pairs[table])
        if table == self.sections[-1].path:
            self.sections[-1].end = self.last_pairs[table]
        return end

    def value(self, path: KeyPath, at: int) -> int:
        end = super().value(path, at)
        self.values[path] = Span(at, self.trimmed(at, end))
        self._last_value = path  # values within it came before
        if isinstance(path[-1], int):
            self.counts[path[:-1]] = path[-1] + 1
        return end

    def trimmed(self, start: int, end: int) -> int:
        """Return where something ends without the blanks that the scanner reads along with scalars."""
        return start + len(self.text[start:end].rstrip(" \t\r"))
