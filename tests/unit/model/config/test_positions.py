import tomllib

import pytest

from mcproxy.model.config.positions import scan
from mcproxy.model.config.problems import KeyPath
from tests.support.rows import each_row

DOCUMENT = '''\
# a comment = "no key"
top = "x" # trailing
"quoted key" = 1
'literal' = 2
"esc\\u0061ped" = 3
a.b . "c" = 4
date = 1979-05-27 07:32:00Z
empty = ""

[proxy]
  workers = 3
[ proxy . "in ner" ]
x=1
[[listeners]]
addr = ":1"
tags = [ "a", # one ], "no"
  [1, 2], { k = "v", l.m = 1 },
  \'\'\'literal ] \'\' text\'\'\'\'\',
]
[[listeners.routes]]
hostname = "h"
[[listeners.routes]]
text = """
not = "a key"
[nor.a.table] \\""" still text"""""
last = \'\'\'
x = 1\'\'\'
[listeners.extra]
on = true
[[listeners]]
addr = ':2'
[[listeners.routes]]
deep.er = {}'''


@each_row(
    ("path", "position"),
    [
        (("top",), (2, 1)),
        (("quoted key",), (3, 1)),
        (("literal",), (4, 1)),
        (("escaped",), (5, 1)),
        (("a",), (6, 1)),
        (("a", "b"), (6, 3)),
        (("a", "b", "c"), (6, 7)),
        (("date",), (7, 1)),
        (("empty",), (8, 1)),
        (("proxy",), (10, 2)),
        (("proxy", "workers"), (11, 3)),
        (("proxy", "in ner"), (12, 11)),
        (("listeners",), (14, 3)),
        (("listeners", 0), (14, 3)),
        (("listeners", 0, "tags", 0), (16, 10)),
        (("listeners", 0, "tags", 1), (17, 3)),
        (("listeners", 0, "tags", 1, 1), (17, 7)),
        (("listeners", 0, "tags", 2, "k"), (17, 13)),
        (("listeners", 0, "tags", 2, "l", "m"), (17, 24)),
        (("listeners", 0, "tags", 3), (18, 3)),
        (("listeners", 0, "routes", 0), (20, 13)),
        (("listeners", 0, "routes", 1, "text"), (23, 1)),
        (("listeners", 0, "routes", 1, "last"), (26, 1)),
        (("listeners", 0, "extra", "on"), (29, 1)),
        (("listeners", 1), (30, 3)),
        (("listeners", 1, "routes", 0, "deep", "er"), (33, 6)),
    ],
)
def test_everything_has_its_position(path: KeyPath, position: tuple[int, int]) -> None:
    """Line and column of keys and items, whatever construct they stand in."""
    tomllib.loads(DOCUMENT)
    assert scan(DOCUMENT)[path] == position


def test_what_looks_like_a_key_in_a_text_is_none() -> None:
    """Strings and comments hold no positions."""
    paths = set(scan(DOCUMENT))
    assert not any("not" in path or "nor" in path or "a comment" in path for path in paths)
    assert len(paths) == len(scan(DOCUMENT))


def test_lines_may_end_as_on_windows() -> None:
    """A carriage return moves nothing."""
    positions = scan('a = 1\r\n\r\n[t]\r\nb = "x" # c\r\nc = [\r\n 1,\r\n]\r\n')
    assert positions["t", "b"] == (4, 1)
    assert positions["t", "c", 0] == (6, 2)


def test_columns_count_characters() -> None:
    """An editor's column, not the byte."""
    assert scan('t = {"ü" = 1, b = 2}')["t", "b"] == (1, 15)


def test_a_tables_own_header_beats_its_sub_tables() -> None:
    """The place to complete a table is its header."""
    positions = scan("[a.b]\n[a]\nx = 1")
    assert positions["a",] == (2, 2)
    assert positions["a", "b"] == (1, 4)


def test_a_table_that_only_its_sub_tables_name_stands_where_they_do() -> None:
    """The first header that names it."""
    positions = scan("[a.b.c]\n[a.b.d]\n")
    assert positions["a",] == (1, 2)
    assert positions["a", "b"] == (1, 4)


def test_what_is_missing_is_placed_at_its_parent() -> None:
    """`nearest` finds the innermost part that is there."""
    positions = scan("\n[a.b]\n")
    assert positions.nearest(("a", "b", "c", 0)) == (2, 4)
    assert positions.nearest(("x",)) == (1, 1)
    assert ("x",) not in positions
    with pytest.raises(KeyError):
        positions["x",]


def test_positions_are_the_same_at_once_and_one_by_one() -> None:
    """Also in a file that begins with a byte order mark, which nobody sees."""
    for text in ('a = 1\n[t]\nb = "x"\n\n[[l]]\nc = [1,\n 2]\n', "\ufeffa = 1\nb = 2\n", ""):
        positions = scan(text)
        assert list(positions.each()) == [(path, positions[path]) for path in positions]


def test_items_with_the_same_header_are_told_apart() -> None:
    """Also where the array around theirs has grown, or their header is written in another way, or begins like another."""
    headers: list[tuple[str, int, KeyPath]] = [
        ("[[a]]", 3, ("a", 0)),
        ("[[a.b]]", 5, ("a", 0, "b", 0)),
        ("[[a.b]]", 5, ("a", 0, "b", 1)),
        ("[a.b.c]", 6, ("a", 0, "b", 1, "c")),
        ("[[a.b]]", 5, ("a", 0, "b", 2)),
        ("[[a]]", 3, ("a", 1)),
        ("[[a.b]]", 5, ("a", 1, "b", 0)),
        ("[[ a. b ]]", 7, ("a", 1, "b", 1)),
        ("[[a.b]]", 5, ("a", 1, "b", 2)),
        ("[[a.bb]]", 5, ("a", 1, "bb", 0)),
        ("[[a.b]]", 5, ("a", 1, "b", 3)),
        ("[[a]]", 3, ("a", 2)),
    ]
    found = scan("".join(f"{header} # [[a.b]]\nx = 1\n" for header, _, _ in headers))
    for number, (_, column, path) in enumerate(headers):
        assert (found[path], found[*path, "x"]) == ((2 * number + 1, column), (2 * number + 2, 1))
    assert len(found) == 2 * len(headers) + len({"a", "a.0.b", "a.1.b", "a.1.bb"})
