"""Reads one statement of TOML that tomllib refuses, as far as it is right, and says what is wrong where it is not.

The reader knows the grammar (TOML v1.0.0) and the ways in which people miss it: what they have written before in YAML, JSON,
INI and the files of other proxies. Each of its methods reads one construct, from the offset where it begins, and returns
where it ends.
"""

import re
import tomllib

from mcproxy.model.config.mistakes import bare_words, characters
from mcproxy.model.config.mistakes.found import Found, quoted
from mcproxy.model.config.positions import skip_blanks

_SPACE = re.compile(r"[ \t]*")
_LINE_END = re.compile(r"[ \t\r]*(?:#[^\n]*)?(?:\n|\Z)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS = {
    '"""': re.compile(r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}'),
    "'''": re.compile(r"'''(?:[^']|'(?!''))*'{3,5}"),
    '"': re.compile(r'"(?:[^"\\\n]|\\[^\n])*"'),
    "'": re.compile(r"'[^'\n]*'"),
}
_ESCAPE = re.compile(r'\\(?!["\\bfnrt]|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[ \t]*\r?\n)')
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_COMMENT_MARK = re.compile(r"//|;|--(?=[ \t])|/\*|<!--|(?:REM|rem)[ \t]|%[ \t]|![ \t]")
_CONFLICT = re.compile(r"(?:<{7}|={7}|>{7}|\|{7})(?:[ \r\n]|\Z)")
_NEXT_STATEMENT = re.compile(
    r"""[ \t]*(?:\[\[?[ \t]*(?!(?:true|false|inf|nan)\b)[A-Za-z_][\w."' -]*\]\]?[ \t\r]*(?:#|\n|\Z)|[\w"'][\w."'-]*[ \t]*=)"""
)
_IPV6 = re.compile(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*(?:%\w+)?\](?::[0-9]+)?")
_SIGN = re.compile(r"=>|==|:=|->|=|:")
_BLOCK = re.compile(r"[ \t]*\{[ \t\r]*(?:#[^\n]*)?(?:\n|\Z)")


class StatementReader:
    """Reads a statement of a document; raises `Found` at the first mistake."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self, at: int) -> None:
        """Read the statement that begins at an offset."""
        text = self._text
        self._refuse_conflict(at)
        if text.startswith(("---", "- ", "-\t"), at):
            raise Found(at, "this looks like YAML; TOML has [tables] and lines of key = value")
        if text[at] == "{":
            raise Found(at, "this looks like JSON; TOML has [tables] and lines of key = value")
        self._refuse_comment(at)
        if text[at] == "[":
            self._header(at)
            return
        name, end = self._key(at)
        end = self._equals(at, name, end)
        end = self._value(end, "")
        self._rest(end, "the value")

    def _header(self, at: int) -> None:
        text = self._text
        brackets = 2 if text.startswith("[[", at) else 1
        inner = self._blanks(at + brackets)
        if text[inner : inner + 1] == "[":
            raise Found(at, "the brackets of [[...]] stand together, without a blank")
        if text[inner : inner + 1] in ("]", "\n", "\r", ""):
            raise Found(at, "the header names no table")
        name, end = self._key(inner)
        right = f"{'[' * brackets}{name}{']' * brackets}"
        closing = len(text[end : end + 3]) - len(text[end : end + 3].lstrip("]"))
        if closing < brackets:
            following = text[end : end + 1]
            if closing == 0 and following not in ("\n", "\r", "#", ""):
                self._refuse_strange(end)
                if _BARE_KEY.match(following) or following in "\"'":
                    whole = text[inner : self._end_of_line(end)].partition("]")[0].strip()
                    raise Found(
                        inner, f"{quoted(whole)} is not the name of a table: names have no blanks, or stand in quotes"
                    )
            raise Found(end, f"a closing bracket is missing: write {right}")
        if closing > brackets:
            raise Found(at, f"the brackets don't fit together: write [{name}], or [[{name}]] for an array of tables")
        self._rest(end + brackets, "the header")

    def _key(self, at: int) -> tuple[str, int]:
        """Read a key, dotted or not; return its text and where the blanks behind it end."""
        text = self._text
        start = at
        while True:
            at = self._blanks(at)
            character = text[at : at + 1]
            bare = _BARE_KEY.match(text, at)
            if bare:
                end = bare.end()
            elif character in ('"', "'") and character:
                end = self._string(at)
            else:
                self._refuse_strange(at)
                if character in ("=", ":"):
                    raise Found(at, f"there is no key in front of {quoted(character)}")
                if character in ("", "\n", "\r", "#", "]", "."):
                    raise Found(at, "a part of the name is missing beside a dot")
                raise Found(
                    at,
                    f"{quoted(character)} cannot be in a key, which has letters, digits, - and _, or stands in quotes",
                )
            at = self._blanks(end)
            if text[at : at + 1] != ".":
                return text[start:end], at
            at += 1

    def _equals(self, start: int, name: str, at: int) -> int:
        """Read the equals sign behind a key; return where its value begins."""
        text = self._text
        sign = _SIGN.match(text, at)
        if sign is not None and sign[0] == "=":
            return self._blanks(at + 1)
        rest = text[at : self._end_of_line(at)].strip()
        if sign is not None:
            right = bare_words.pair(name, rest[len(sign[0]) :])
            raise Found(at, f"a value is set with =, not with {quoted(sign[0])}: write {right}")
        self._refuse_strange(at)
        if not rest or rest.startswith("#"):
            raise Found(start, f"there is no value: write {name} = ..., or [{name}] for a table")
        if _BLOCK.match(text, at):
            raise Found(at, f"tables have no braces: [{name}] begins one, and the next header ends it")
        words, equals, _ = rest.partition("=")
        if equals and re.fullmatch(r"[A-Za-z0-9_ \t-]+", words):
            meant = "_".join((name, *words.split()))
            raise Found(start, f"a key has no blanks; did you mean {meant}?")
        raise Found(at, f"an equals sign is missing: write {bare_words.pair(name, rest)}")

    def _value(self, at: int, closing: str) -> int:
        """Read a value; ``closing`` is the bracket that ends what it is in, "" for nothing."""
        text = self._text
        character = text[at : at + 1]
        match character:
            case "" | "\n" | "\r" | "#":
                raise Found(at, "the value is missing")
            case '"' | "'":
                return self._string(at)
            case "[":
                if address := _IPV6.match(text, at):
                    raise Found(at, f"a string stands in quotes: write {quoted(address[0])}")
                return self._array(at)
            case "{":
                return self._inline_table(at)
        if closing and character in ",)]}":
            raise Found(at, f"the value is missing in front of {quoted(character)}")
        end = bare_words.end(text, at, in_brackets=bool(closing))
        word = text[at:end]
        try:
            tomllib.loads(f"x = {word}")
        except ValueError:
            bare_words.judge(word, at, closing)
        return end

    def _string(self, at: int) -> int:
        text = self._text
        quote = text[at : at + 3] if text[at : at + 3] in ('"""', "'" * 3) else text[at]
        match = _STRINGS[quote].match(text, at)
        if match is None:
            if len(quote) == 3:
                raise Found(at, f"the string that begins with {quote} is never closed by another {quote}")
            line = text[at + 1 : self._end_of_line(at)]
            other = next((each for each in line[::-1] if each in characters.QUOTES or each in "\"'"), "")
            ends = f"; it does not end with {other}" if other else ""
            raise Found(at, f"the string has no closing {quote} in its line{ends}")
        if quote[0] == '"':
            # an escaped backslash takes what follows it out of question
            for escaped in _ESCAPED.finditer(match[0]):
                if _ESCAPE.match(match[0], escaped.start()):
                    message = f"{escaped[0]} is no escape: write a backslash as \\\\, or the string in single quotes"
                    raise Found(at + escaped.start(), message)
        return match.end()

    def _array(self, at: int) -> int:
        text, opening = self._text, at
        at = self._next_item(at + 1, opening)
        while text[at] != "]":
            if text[at] == ",":
                raise Found(at, "there is a comma too many")
            at = self._next_item(self._value(at, "]"), opening)
            match text[at]:
                case "]":
                    break
                case ",":
                    at = self._next_item(at + 1, opening)
                case "}" | ")":
                    raise Found(at, f"an array is closed by ], not by {text[at]}")
                case ";":
                    raise Found(at, "the items of an array are separated by commas")
                case _:
                    self._refuse_strange(at)
                    raise Found(at, "a comma is missing in front of this")
        return at + 1

    def _next_item(self, at: int, opening: int) -> int:
        """Return where the blanks and comments end; what follows may be no part of the array any more."""
        text = self._text
        at = skip_blanks(text, at)
        if at == len(text):
            raise Found(opening, "the array is never closed: its ] is missing")
        line = text.rfind("\n", 0, at) + 1
        begins_line = line > opening and not text[line:at].strip()
        if begins_line:
            self._refuse_conflict(at)
            if _NEXT_STATEMENT.match(text, at):
                raise Found(
                    opening,
                    f"the array is not closed: its ] is missing in front of line {text.count(chr(10), 0, at) + 1}",
                )
        if begins_line or text[at] != ";":
            self._refuse_comment(at)
        return at

    def _inline_table(self, at: int) -> int:
        text, opening = self._text, at
        names: set[str] = set()
        at = self._within_line(at + 1, opening)
        while text[at] != "}":
            start = at
            name, at = self._key(at)
            at = self._equals(start, name, at)
            if name in names:
                raise Found(start, f"{name} is set twice in this table")
            names.add(name)
            at = self._within_line(self._value(at, "}"), opening)
            match text[at]:
                case "}":
                    break
                case ",":
                    comma, at = at, self._within_line(at + 1, opening)
                    if text[at] == "}":
                        raise Found(comma, "an inline table has no comma in front of its }")
                case "]" | ")":
                    raise Found(at, f"an inline table is closed by }}, not by {text[at]}")
                case _:
                    self._refuse_strange(at)
                    raise Found(at, "a comma is missing in front of this")
        return at + 1

    def _within_line(self, at: int, opening: int) -> int:
        at = self._blanks(at)
        if self._text[at : at + 1] in ("", "\n", "\r", "#"):
            message = (
                "an inline table, { ... }, stands in one line and is closed there; give it a [header] if it is longer"
            )
            raise Found(opening, message)
        return at

    def _rest(self, at: int, what: str) -> None:
        """Refuse everything but a comment behind a value or header."""
        text = self._text
        if _LINE_END.match(text, at):
            return
        rest = self._blanks(at)
        self._refuse_comment(rest)
        self._refuse_strange(rest)
        character = text[rest]
        if character == ",":
            raise Found(rest, f"a line has no comma at its end: leave it out behind {what}")
        if character in "]})":
            raise Found(rest, f"there is a {character} too many")
        if rest == at and text[at - 1] in "\"'":
            how = 'is written \\"' if text[at - 1] == '"' else "needs a string in double quotes"
            raise Found(at, f"the string has ended in front of this: a quote that belongs to it {how}")
        several = "; several values are an array, [..., ...]" if what == "the value" and character != "=" else ""
        raise Found(rest, f"only a comment, with # in front, can follow {what} in its line{several}")

    def _refuse_comment(self, at: int) -> None:
        mark = _COMMENT_MARK.match(self._text, at)
        if mark is None:
            return
        if mark[0] == ";" and _LINE_END.match(self._text, at + 1):
            raise Found(at, "a line has no ; at its end: leave it out")
        raise Found(at, f"comments begin with #, not with {mark[0].strip()}")

    def _refuse_conflict(self, at: int) -> None:
        if _CONFLICT.match(self._text, at):
            raise Found(at, "this is the mark of a merge conflict: choose what is to stay, and delete the marks")

    def _refuse_strange(self, at: int) -> None:
        character = self._text[at : at + 1]
        if character and characters.STRANGE.match(character):
            raise Found(at, f"there is {characters.describe(character)} here; {characters.advice(character)}")

    def _blanks(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at

    def _end_of_line(self, at: int) -> int:
        end = self._text.find("\n", at)
        return len(self._text) if end < 0 else end
