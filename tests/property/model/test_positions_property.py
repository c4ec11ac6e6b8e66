"""Positions of generated documents: every construct of TOML 1.0, in every place."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from mcproxy.model.config.positions import scan
from mcproxy.model.config.problems import KeyPath
from tests.support.examples import examples

BLANKS = st.sampled_from(["", " ", "\t", "  "])
LINE_ENDS = st.sampled_from(["\n", "\r\n", ' # it\'s = "a" [comment]\n', "\n\n", "\n  # [x]\n\t"])
NAMES = st.one_of(
    st.sampled_from(
        ["a", "b", "c", "on", "1", "-", "a.b", "", "ü", "a b", '"', "'", "\\", "#", "=", "]", "\t", "x\ny"]
    ),
    st.text(alphabet="ab\"'.\\ é[]{}=#,", max_size=4),
)
SCALARS = st.sampled_from(
    [
        "1", "-0x1F".removeprefix("-"), "1_000", "+1.5e-3", "inf", "-inf", "true", "false",
        "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00.5-07:00", "1979-05-27 07:32:00",
        '""', "''", '"a = 1"', '"\\"]#\\\\"', "'\\'", "'[x]'", '"""a"""', '""""""', "''''''", '"""\n[x]\ny = "1" \\"""\n"""',
        "'''\nit's = ''#\n'''", '"""a"""""', "'''a'''''", '"""\\\n   a"""', '"é"',
    ]
)  # fmt: skip


@st.composite
def keys(draw: DrawFn, name: str) -> str:
    """Write a name as a key, bare where that is possible and wanted."""
    escaped: bool = draw(st.booleans())
    forms = [json.dumps(name, ensure_ascii=escaped)]
    if re.fullmatch("[A-Za-z0-9_-]+", name):
        forms.append(name)
    if "'" not in name and name.isprintable():
        forms.append(f"'{name}'")
    return str(draw(st.sampled_from(forms)))


@st.composite
def dotted(draw: DrawFn, names: tuple[str, ...]) -> str:
    """Write several names as one dotted key, with blanks around the dots."""
    parts = [draw(keys(name)) for name in names]
    return f"{draw(BLANKS)}.{draw(BLANKS)}".join(parts)


def unique_names(least: int = 0, most: int = 3) -> st.SearchStrategy[list[str]]:
    return st.lists(NAMES, min_size=least, max_size=most, unique=True)


@st.composite
def values(draw: DrawFn, depth: int) -> str:
    """Write a value: a scalar, an array over lines, or an inline table."""
    kind = draw(st.sampled_from(["scalar", "scalar", "array", "table"])) if depth else "scalar"
    if kind == "scalar":
        return draw(SCALARS)
    if kind == "array":
        space = st.one_of(BLANKS, LINE_ENDS)
        items = [draw(space) + draw(values(depth - 1)) + draw(space) for _ in range(draw(st.integers(0, 3)))]
        trailing: bool = draw(st.booleans())
        comma = "," + draw(space) if items and trailing else ""
        return f"[{','.join(items)}{comma}{draw(space)}]"
    pairs = [draw(pair(name, depth - 1)) for name in draw(unique_names())]
    return f"{{{draw(BLANKS)}{','.join(pairs)}{draw(BLANKS)}}}"


@st.composite
def pair(draw: DrawFn, name: str, depth: int) -> str:
    names = (name, *draw(unique_names(0, 2)))
    return f"{draw(BLANKS)}{draw(dotted(names))}{draw(BLANKS)}={draw(BLANKS)}{draw(values(depth))}{draw(BLANKS)}"


@st.composite
def tables(draw: DrawFn, path: tuple[str, ...], depth: int, *, implicit: bool = False) -> str:
    """Write a table: its pairs (none if it has no header), then its sub-tables and arrays of tables under theirs."""
    names = draw(unique_names(0, 5))
    split = 0 if implicit else draw(st.integers(0, len(names)))
    text = "".join(draw(pair(name, 2)) + draw(LINE_ENDS) for name in names[:split])
    for name in names[split:] if depth else []:
        inner = (*path, name)
        count = draw(st.integers(0, 3))
        hidden: bool = draw(st.booleans())
        if not count and hidden:
            text += draw(tables(inner, depth - 1, implicit=True))
            continue
        header = "[[{}]]" if count else "[{}]"
        for _ in range(count or 1):
            key = draw(BLANKS) + draw(dotted(inner)) + draw(BLANKS)
            text += draw(BLANKS) + header.format(key) + draw(LINE_ENDS)
            text += draw(tables(inner, depth - 1))
    return text


def paths_of(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths_of(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths_of(item, (*path, index))


def starts_with_key(text: str, key: str) -> bool:
    """Tell whether a text starts with a key of this name, in whatever way it is written."""
    match = re.match(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""", text)
    return match is not None and key in tomllib.loads(f"{match[0]} = 1")


def starts_with_value(text: str, value: object) -> bool:
    """Tell whether a text starts with a value, by trying each possible end."""
    for end in range(1, len(text) + 1):
        try:
            found = tomllib.loads(f"x = {text[:end]}\n")["x"]
        except tomllib.TOMLDecodeError:
            continue
        if found == value and type(found) is type(value):
            return True
    return False


@examples(50)
@given(tables((), 2))
def test_every_path_has_a_position_and_the_text_there_is_its_key_or_value(text: str) -> None:
    """Exactly the paths that tomllib yields; an item of an array of tables stands at the array's name."""
    document = tomllib.loads(text)
    lines = text.split("\n")
    positions = scan(text)
    expected = dict(paths_of(document))
    assert set(positions) == set(expected)
    for path, value in expected.items():
        line, column = positions[path]
        there = "\n".join((lines[line - 1][column - 1 :], *lines[line:]))
        name = path[-1]
        if isinstance(name, str):
            assert starts_with_key(there, name), (path, there)
        else:
            array = path[-2]
            in_header = isinstance(value, dict) and isinstance(array, str) and starts_with_key(there, array)
            assert in_header or starts_with_value(there, value), (path, there)


@examples(100)
@given(st.text(alphabet="ab=.[]{},\"'#\n\\ 1-", max_size=40))
def test_whatever_tomllib_accepts_is_scanned(text: str) -> None:
    """The scanner takes every text that tomllib takes, and finds the same paths."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(scan(text)) == {path for path, _ in paths_of(document)}
