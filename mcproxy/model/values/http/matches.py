"""What requests a case is for: ``[METHOD|METHOD ]PATH`` and conditions on the query and headers.

One text names all of it, the key of the case: ``GET|HEAD /a/* ?v=2 X-Env=prod``. A path is exact, or ends in ``/*``: that path and
everything below it by whole segments. The value ``*`` of a condition asks only that the name is there. In conditions whatever is no
visible ASCII, and ``%`` itself, is written as an escape.

Which of several cases gets a request does not depend on their order (`precedence`); two that one request could fall into with neither
coming before the other are tied (`ties`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from mcproxy.late_patterns import late
from mcproxy.model.values.quoting import quote

Conditions: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, each name once, sorted."""

PATTERN = r"^([A-Z][A-Z0-9_-]*(\|[A-Z][A-Z0-9_-]*)* )?/[!-~]*( [!-~]+=[!-~]*)*$"
"""A rough form for editors; `parse` is the judge."""
LONGEST = 2048
"""Characters that a path may have."""

_METHOD = late("[A-Z][A-Z0-9_-]*")
_NEVER_SEEN = ("CONNECT", "TRACE")
_USUAL = late(r"(?:/[0-9A-Za-z_~@:!$&'()+,=-][0-9A-Za-z._~@:!$&'()+,=-]*)+")
_PATH = late(r"/(?:[0-9A-Za-z._~@:!$&'()+,=;*/-]|%[0-9A-Fa-f]{2})*")
_ODD = late(rb"//|/\.{1,2}(?:/|$)|[;\\?#\x00-\x1f\x7f]")
_FIELD_NAME = late(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ESCAPE = late(rb"%[0-9A-Fa-f]{2}")
_UNRESERVED = late(rb"%(?:2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])")  # RFC 3986 section 2.3
_VISIBLE = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


class Match(msgspec.Struct, frozen=True):
    """Which requests a case is for.

    Attributes:
        path: as the file has it, hexadecimal digits of escapes in capitals; without ``/*``, so "" where everything is meant.
        below: whether what lies below the path is meant as well.
        methods: sorted; none for any.
        query: conditions on the query; names and values decoded.
        headers: conditions on headers; names in the form ``X-Env``.
    """

    path: str
    below: bool = False
    methods: tuple[str, ...] = ()
    query: Conditions = ()
    headers: Conditions = ()

    def __str__(self) -> str:
        """Return the one text for it, which `parse` reads."""
        words = ["|".join(self.methods)] if self.methods else []
        words.append(f"{self.path}/*" if self.below else self.path)
        words += (f"?{_escaped(name, '=')}={_escaped(value)}" for name, value in self.query)
        words += (f"{_escaped(name)}={_escaped(value)}" for name, value in self.headers)
        return " ".join(words)


def parse(text: str) -> Match:
    """Return the match of a text; raises ValueError with a message for the user."""
    words = text.split()
    methods: tuple[str, ...] = ()
    if words and not words[0].startswith("/"):
        methods = _methods(words.pop(0), text, alone=not words)
    if not words:
        raise ValueError(f'{quote(text)} has no path; a match is a path such as "/api/*", perhaps behind a method')
    if not words[0].startswith("/"):
        raise ValueError(f'{quote(words[0])}: a path begins with "/"; did you mean {quote(f"/{words[0]}")}?')
    path, below = _path(words[0])
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    for word in words[1:]:
        name, mark, value = word.removeprefix("?").partition("=")
        if not mark or not name:
            raise ValueError(
                f"{quote(word)} is no condition; behind the path stand conditions, as in "
                f'"/a/* ?v=2 X-Env=prod" (a query parameter, a header)'
            )
        found = query if word.startswith("?") else headers
        if name in found:
            raise ValueError(f"{quote(name)} is named twice")
        found[_unescaped(name)] = _unescaped(value)
    return with_conditions(Match(path, below, methods), headers, query)


def with_conditions(match: Match, headers: Mapping[str, str], query: Mapping[str, str]) -> Match:
    """Return a match with further conditions; raises ValueError with a message for the user."""
    if not headers and not query:
        return match
    fields = dict(match.headers)
    for name, value in headers.items():
        if _FIELD_NAME.fullmatch(name) is None:
            raise ValueError(f'{quote(name)} is not the name of a header, as in "X-Env"')
        canonical = "-".join(part.capitalize() for part in name.split("-"))
        if canonical in fields:
            raise ValueError(f"the header {canonical} is named twice")
        if canonical == "Host":
            raise ValueError("Host is what the route is found by; it is no condition of a case")
        fields[canonical] = _value(value, canonical).strip()
    parameters = dict(match.query)
    for name, value in query.items():
        if not name or name in parameters:
            raise ValueError(
                f"the query parameter {quote(name)} is named twice" if name else "a query parameter needs a name"
            )
        parameters[name] = _value(value, name)
    return msgspec.structs.replace(
        match, headers=tuple(sorted(fields.items())), query=tuple(sorted(parameters.items()))
    )


def normal(path: bytes) -> bytes:
    """Return a path with its unreserved escapes decoded and all others in capitals (RFC 3986 section 6.2.2)."""
    if b"%" not in path:
        return path
    return _UNRESERVED.sub(_decode, capitals(path))


def capitals(path: bytes) -> bytes:
    """Return a path with the hexadecimal digits of its escapes in capitals."""
    return _ESCAPE.sub(_upper, path)


def precedence(match: Match) -> tuple[bool, int, bool, int, int]:
    """Return what cases that fit one request are ordered by, the first wins.

    An exact path comes before one with ``/*``, a longer before a shorter one, then with method before without, then more headers, then
    more query parameters.
    """
    return (
        match.below,
        -len(normal(match.path.encode())),
        not match.methods,
        -len(match.headers),
        -len(match.query),
    )


def ties(matches: Sequence[Match]) -> Iterator[tuple[int, int]]:
    """Yield the positions of matches with an earlier one that they are tied with, and that one; each later one once.

    Tied are matches of one path with as many conditions, of which some method and no condition keeps one request from fitting both.
    """
    alike: dict[tuple[object, ...], list[int]] = {}
    for index, match in enumerate(matches):
        names = (len(match.headers), len(match.query))
        path = normal(match.path.encode())
        for method in match.methods or ("",):
            alike.setdefault((path, match.below, method, names), []).append(index)
    found: dict[int, int] = {}
    for group in alike.values():
        if len(group) > 1:
            for later, earlier in _tied(group, [_asked(matches[index]) for index in group]):
                found[later] = min(earlier, found.get(later, earlier))
    yield from sorted(found.items())


_Asked: TypeAlias = dict[tuple[str, str], str]


def _asked(match: Match) -> _Asked:
    """Return the values that a match asks for exactly, by kind and name."""
    exact = {("header", name): value for name, value in match.headers if value != "*"}
    exact.update((("query", name), value) for name, value in match.query if value != "*")
    return exact


def _tied(group: Sequence[int], asked: Sequence[_Asked]) -> Iterator[tuple[int, int]]:
    """Yield what is tied in a group of positions, whose matches differ in the conditions alone."""
    common = set.intersection(*(set(each) for each in asked)) if asked else set()
    if common:  # whoever asks for another value of the same name is no match for the others
        parts: dict[tuple[str, ...], list[int]] = {}
        names = sorted(common)
        for place, each in enumerate(asked):
            parts.setdefault(tuple(each[name] for name in names), []).append(place)
        for part in parts.values():
            rest = [{name: value for name, value in asked[place].items() if name not in common} for place in part]
            yield from _pairs([group[place] for place in part], rest)
    else:
        yield from _pairs(group, asked)


def _pairs(group: Sequence[int], asked: Sequence[_Asked]) -> Iterator[tuple[int, int]]:
    for place, one in enumerate(asked):
        for earlier in range(place):
            other = asked[earlier]
            if all(other.get(name, value) == value for name, value in one.items()):
                yield group[place], group[earlier]
                break


def _methods(word: str, text: str, *, alone: bool) -> tuple[str, ...]:
    if word[:1] in ("^", "~"):
        raise ValueError(f"{quote(text)}: there are no regular expressions; a path is exact or ends in /*")
    if "://" in word:
        raise ValueError(f"{quote(text)} is a URL; a match is its path alone, the host is the route's")
    methods = word.split("|")
    if all(_METHOD.fullmatch(method) for method in methods):
        for method in methods:
            if method in _NEVER_SEEN:
                raise ValueError(f"{method} requests never get to a case (a WebSocket is a GET)")
        return tuple(sorted(set(methods)))
    if alone or "/" in word:
        raise ValueError(f'{quote(text)}: a path begins with "/"; did you mean {quote(f"/{word}")}?')
    capital = word.upper()
    hint = (
        f"; did you mean {quote(capital)}?" if all(_METHOD.fullmatch(method) for method in capital.split("|")) else ""
    )
    raise ValueError(f'{quote(word)} is no method, as in "GET" or "GET|HEAD"{hint}')


def _path(word: str) -> tuple[str, bool]:
    """Return a path without ``/*``, and whether that was there; raises ValueError with a message for the user."""
    below = word.endswith("/*")
    path = word[:-2] if below else word
    if len(path) > LONGEST:
        raise ValueError(f"a path of {len(path)} characters; it has at most {LONGEST}")
    if _USUAL.fullmatch(path) is not None:
        return path, below
    if "?" in word:
        raise ValueError(f'{quote(word)}: the query is not part of the path; write query = {{ name = "value" }}')
    if "#" in word:
        raise ValueError(f'{quote(word)}: what follows "#" is never sent to a server; leave it out')
    if "*" in path:
        front = path[:-1]
        hint = f"; did you mean {quote(f'{front}/*')}?" if _USUAL.fullmatch(front) and path.endswith("*") else ""
        raise ValueError(f"{quote(word)}: a * stands only at the end, as /*{hint}")
    if not path.isascii():
        hint = _escape(word, "/%*" + _VISIBLE)
        raise ValueError(f"{quote(word)} has characters that a path can't have; did you mean {quote(hint)}?")
    if path and _PATH.fullmatch(path) is None:
        wrong = next(sign for sign in path if _PATH.fullmatch(f"/{sign}") is None)
        what = (
            "an escape is % and two hexadecimal digits" if wrong == "%" else f"write it as {quote(_escape(wrong, ''))}"
        )
        raise ValueError(f"{quote(word)}: {quote(wrong)} can't be in a path; {what}")
    from urllib.parse import unquote_to_bytes  # noqa: PLC0415 - slow to import, and workers read few matches

    odd = _ODD.search(unquote_to_bytes(path + ("/" if below else "")))
    if odd is not None:
        raise ValueError(
            f"{quote(word)}: {quote(odd[0].decode())} is read in more than one way, so no request would be let through to this "
            "path; write the path that is meant"
        )
    return capitals(path.encode()).decode(), below


def _value(value: str, name: str) -> str:
    if not value.isprintable():
        raise ValueError(f"the value of {quote(name)} must not contain control characters")
    return value


def _escaped(text: str, also: str = "") -> str:
    return _escape(text, _VISIBLE.replace(also, "") if also else _VISIBLE)


def _escape(text: str, safe: str) -> str:
    from urllib.parse import quote as escape  # noqa: PLC0415 - see above

    return escape(text, safe=safe)


def _unescaped(text: str) -> str:
    from urllib.parse import unquote  # noqa: PLC0415 - see above

    return unquote(text)


def _decode(found: re.Match[bytes]) -> bytes:
    return bytes((int(found[0][1:], 16),))


def _upper(found: re.Match[bytes]) -> bytes:
    return found[0].upper()
