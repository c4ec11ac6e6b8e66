"""Where each value stands in a TOML document.

tomllib gives values without positions. This scanner gives positions without values: it walks over text that tomllib has
accepted already, so it needs to know where things end, never whether they are right (TOML v1.0.0). It records offsets
alone; lines and columns are counted when somebody asks.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping

from mcproxy.model.config.problems import KeyPath
from mcproxy.model.config.toml_text import BOM, without_bom

# Both kinds of long string may end in up to two quotes of their own before the three that close them.
_STRING = re.compile(
    r'''"""(?:[^"\\]++|\\[\s\S]|"(?!""))*+"{3,5}'''
    r"""|'''(?:[^']++|'(?!''))*+'{3,5}"""
    r'''|"(?:[^"\\\n]++|\\.)*+"'''
    r"""|'[^'\n]*+'"""
)
# Numbers, booleans and dates (which may hold one space) end where the surroundings go on.
_SCALAR = re.compile(r"[^,\]}#\n]++")
_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_SPACE = re.compile(r"[ \t]*+")
_KEY = re.compile(r"""([A-Za-z0-9_-]++)|"(?:[^"\\\n]++|\\.)*+"|'[^'\n]*+'""")
# Almost every line of a real file: a bare key, and a value on one line that holds no other.
_PLAIN_LINE = re.compile(
    r"""[ \t\r\n]*+([A-Za-z0-9_-]++)[ \t]*+=[ \t]*+(?:"[^"\\\n]*+"|'[^'\n]*+'|[^"'\[{#\n]++)[ \t\r]*+(?:#[^\n]*+)?(?:\n|\Z)"""
)


class Positions(Mapping[KeyPath, tuple[int, int]]):
    """Line and column (both from 1, the column in characters) of every key path of a document.

    A path that ends in a key stands where the key is written; of several places (a table and its sub-tables) its own
    header counts, else the first. A path that ends in an index stands at the array's item, or at the name of the
    array in the item's ``[[header]]``.
    """

    def __init__(self, text: str, offsets: dict[KeyPath, int]) -> None:
        self._text = text
        self._offsets = offsets
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def __getitem__(self, path: KeyPath) -> tuple[int, int]:
        return self._place(self._offsets[path])

    def _place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._line_starts, offset)
        column = offset - self._line_starts[line - 1] + 1
        # nobody sees a byte order mark
        return line, column - 1 if line == 1 and self._text.startswith(BOM) else column

    def each(self) -> Iterator[tuple[KeyPath, tuple[int, int]]]:
        """Yield every path with its position: that takes half of the time that asking for one after the other does."""
        starts, has_mark = self._line_starts, self._text.startswith(BOM)
        for path, offset in self._offsets.items():
            line = bisect_right(starts, offset)
            yield path, (line, offset - starts[line - 1] + (0 if has_mark and line == 1 else 1))

    def __contains__(self, path: object) -> bool:
        return path in self._offsets

    def __iter__(self) -> Iterator[KeyPath]:
        return iter(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)

    def nearest(self, path: KeyPath) -> tuple[int, int]:
        """Return the position of the path, or of the innermost part of it that is in the document, or ``(1, 1)``."""
        while path:
            offset = self._offsets.get(path)
            if offset is not None:
                return self._place(offset)
            path = path[:-1]
        return 1, 1

    def of_value(self, path: KeyPath) -> tuple[int, int]:
        """Return where the value of the path begins, where it is written behind its key; else what `nearest` gives."""
        if path not in self._offsets or isinstance(path[-1], int) or not self._text:
            return self.nearest(path)
        parts, end = Scanner(self._text).key(self._offsets[path])
        if len(parts) == 1 and self._text[end : end + 1] == "=":
            return self._place(_end(_SPACE, self._text, end + 1))
        return self[path]


def scan(text: str) -> Positions:
    """Return the positions of everything in ``text``, which tomllib must have accepted."""
    return Positions(text, Scanner(text).document())


class Scanner:
    """Reads a document that tomllib accepts, and records where each path begins.

    Its methods read one construct each, from the offset where it begins, and return where it ends: what else there is to
    know about the places of things, a subclass notes on the way.

    Attributes:
        text: the document.
        plain_line: matches a line with a pair whose value there is no need to look into.
        offsets: what was found so far.
        lengths: of the arrays of tables with headers of their own, as far as read.
    """

    plain_line = _PLAIN_LINE

    def __init__(self, text: str) -> None:
        self.text = without_bom(text)
        self.offsets: dict[KeyPath, int] = {}
        self.lengths: dict[KeyPath, int] = {}
        # The last item of an array: its header's text, the array, and how far behind the text's begin the array's name is.
        self._last_item: tuple[str, KeyPath, int] | None = None

    def document(self) -> dict[KeyPath, int]:
        """Read all of it; return `offsets`."""
        text, offsets, plain_line = self.text, self.offsets, self.plain_line
        table: KeyPath = ()
        at = 0
        while True:
            plain = plain_line.match(text, at)
            if plain is not None:
                offsets[*table, plain[1]] = plain.start(1)
                at = plain.end()
                continue
            at = skip_blanks(text, at)
            if at == len(text):
                return offsets
            if text[at] == "[":
                table, at = self.header(at)
            else:
                at = self.pair(table, at)

    def header(self, at: int) -> tuple[KeyPath, int]:
        """Read ``[a.b]`` or ``[[a.b]]``; return the table's path and where the header ends."""
        if self._last_item is not None and self.text.startswith(self._last_item[0], at):
            again, array, offset = self._last_item  # most of a large file's: no other array has grown meanwhile
            index = self.lengths[array]
            self.lengths[array] = index + 1
            self.offsets[*array, index] = at + offset
            return (*array, index), at + len(again)
        start = at
        is_item = self.text.startswith("[[", at)
        parts, at = self.key(at + 1 + is_item)
        path: KeyPath = ()
        for part, offset in parts[:-1]:
            path = (*path, part)
            self.offsets.setdefault(path, offset)
            if path in self.lengths:  # within an array of tables the last one is meant
                path = (*path, self.lengths[path] - 1)
        part, offset = parts[-1]
        path = (*path, part)
        if is_item:
            self.offsets.setdefault(path, offset)
            index = self.lengths.get(path, 0)
            self.lengths[path] = index + 1
            self._last_item = self.text[start : at + 2], path, offset - start
            path = (*path, index)
        self.offsets[path] = offset
        return path, at + 1 + is_item

    def pair(self, table: KeyPath, at: int) -> int:
        """Read ``key = value``; return where it ends."""
        parts, at = self.key(at)
        path = table
        for part, offset in parts:
            path = (*path, part)
            self.offsets.setdefault(path, offset)
        return self.value(path, _end(_SPACE, self.text, at + 1))

    def key(self, at: int) -> tuple[list[tuple[str, int]], int]:
        """Read a key, dotted or not; return its parts, each with its offset, and where the blanks behind it end."""
        parts: list[tuple[str, int]] = []
        while True:
            at = _end(_SPACE, self.text, at)
            match = _KEY.match(self.text, at)
            assert match is not None  # noqa: S101  # tomllib has read a key here
            parts.append((match[1] or _unquote(match[0]), at))
            at = _end(_SPACE, self.text, match.end())
            if self.text[at] != ".":
                return parts, at
            at += 1

    def value(self, path: KeyPath, at: int) -> int:
        """Read a value; return where it ends."""
        match self.text[at]:
            case "[":
                return self.array(path, at + 1)
            case "{":
                return self.inline_table(path, at + 1)
            case '"' | "'":
                return _end(_STRING, self.text, at)
        return _end(_SCALAR, self.text, at)

    def array(self, path: KeyPath, at: int) -> int:
        """Read the items of an array, from behind its bracket; return where it ends."""
        index = 0
        while True:
            at = skip_blanks(self.text, at)
            match self.text[at]:
                case "]":
                    return at + 1
                case ",":
                    at += 1
                case _:
                    item = (*path, index)
                    self.offsets[item] = at
                    at = self.value(item, at)
                    index += 1

    def inline_table(self, path: KeyPath, at: int) -> int:
        """Read the pairs of an inline table, from behind its brace; return where it ends."""
        while True:
            at = skip_blanks(self.text, at)
            match self.text[at]:
                case "}":
                    return at + 1
                case ",":
                    at += 1
                case _:
                    at = self.pair(path, at)


def skip_blanks(text: str, at: int) -> int:
    """Return where blanks, line ends and comments end that begin at ``at``, if any do."""
    return _end(_BLANK, text, at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    assert match is not None  # noqa: S101  # tomllib has accepted what stands here
    return match.end()


def _unquote(key: str) -> str:
    """Return what a quoted key says; escapes are tomllib's business."""
    if key[0] == "'" or "\\" not in key:
        return key[1:-1]
    value: str = tomllib.loads(f"key = {key}")["key"]
    return value
