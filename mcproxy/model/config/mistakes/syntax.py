"""Why a text is not TOML, in the words of somebody who has written it: tomllib says where it stopped, not what was meant."""

import re

from mcproxy.model.config.mistakes import characters
from mcproxy.model.config.mistakes.found import Found
from mcproxy.model.config.mistakes.statements import StatementReader
from mcproxy.model.config.positions import Scanner, skip_blanks
from mcproxy.model.config.problems import KeyPath, key_name

_LINE_END = re.compile(r"[ \t\r]*(?:#[^\n]*)?(?:\n|\Z)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")


def find(text: str, stopped: int, said: str) -> Found | None:
    """Return the mistake in a text that tomllib refuses; None if it is none that is known.

    Args:
        text: the document, in which a byte order mark is replaced.
        stopped: the offset where tomllib has stopped.
        said: what it says.
    """
    character = text[stopped : stopped + 1]
    if _CONTROL.match(text, stopped):
        return Found(stopped, _control(character))
    try:
        start, table = _Statements(text).refused(stopped)
        repeated = _repeated(text, start, table) if said.startswith(("Cannot ", "Duplicate ")) else None
        if repeated is None:
            StatementReader(text).read(start)
    except Found as found:
        return found
    except RecursionError:  # nested almost as deeply as tomllib can read
        return None
    return repeated


def _control(character: str) -> str:
    if character == "\0":
        return "there is a NUL byte here: the file may be UTF-16 text (Windows' Unicode); save it as UTF-8"
    if character == "\r":
        return "a line ends with CR alone, as on old Macintoshes: save the file with the line ends of Unix or Windows"
    return (
        f"there is {characters.describe(character)} here, which can't be in a file: delete it, or write it as an escape"
    )


class _Statements(Scanner):
    """Finds the statement that is refused: the last that begins in front of where tomllib stopped, or is not read to its end."""

    def refused(self, stopped: int) -> tuple[int, KeyPath]:
        """Return where it begins, and the table that it is in."""
        table: KeyPath = ()
        last = table
        at = start = skip_blanks(self.text, 0)
        while at < len(self.text) and at <= stopped:
            start, last = at, table
            try:
                if self.text[at] == "[":
                    table, at = self.header(at)
                else:
                    at = self.pair(table, at)
            except (AssertionError, AttributeError, IndexError, ValueError):  # no text that the scanner knows
                break
            if _LINE_END.match(self.text, at) is None:
                break
            at = skip_blanks(self.text, at)
        return min(start, len(self.text) - 1), last


def _repeated(text: str, start: int, table: KeyPath) -> Found | None:
    """Return what is told of a key or table that is there already; None if the statement has none."""
    scanner = Scanner(text[:start])
    offsets = scanner.document()
    is_header, is_item = text[start] == "[", text.startswith("[[", start)
    parts, _ = Scanner(text).key(start + is_header + is_item)
    path: KeyPath = () if is_header else table
    there: KeyPath = ()
    where = start
    for name, offset in parts:
        if path in scanner.lengths:
            path = (*path, scanner.lengths[path] - 1)
        path = (*path, name)
        if path not in offsets:
            break
        there, where = path, offset
    if not there:
        return None
    line = text.count("\n", 0, offsets[there]) + 1
    name = key_name(tuple(part for part in there if isinstance(part, str)) if is_header else there[len(table) :])
    where = start if is_header else where
    if there in scanner.lengths:
        return Found(where, f"{name} is an array of tables, since line {line}: write [[{name}]] for each item")
    has_header = text[: offsets[there]].rstrip(" \t").endswith("[")
    if not has_header and not any(path[:-1] == there for path in offsets):
        return Found(where, f"{name} is already set in line {line}{'' if is_header else ': a key can be set once'}")
    header = text[text.rfind("\n", 0, offsets[there]) + 1 : offsets[there]] + text[offsets[there] :].partition("\n")[0]
    header = header.partition("#")[0].strip()
    if is_item and there == path and header.strip("[] \t") != name:
        return Found(
            where, f"[[{name}]] comes behind {header}, in line {line}, which belongs to it: put it in front of that"
        )
    if is_item and there == path:
        return Found(
            where, f"{name} is already a table, [{name}] in line {line}: it can't be an array, [[{name}]], too"
        )
    if is_header:
        return Found(where, f"[{name}] is already there, in line {line}: put the keys of both together")
    return Found(where, f"{name} is already a table, in line {line}: a key can be set once")
