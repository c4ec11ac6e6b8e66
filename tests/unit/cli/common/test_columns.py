"""Tables as lines: nothing is lost, and all of it is aligned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mcproxy.cli.common.columns import align

NAMES = ("WHEN", "WHAT", "N")


def test_columns_are_as_wide_as_it_takes() -> None:
    """Two blanks between them, none at the end of a line; numbers end at the same place."""
    rows = [("now", "a b", "1"), ("", "c", "100"), ("x", "", "-")]
    assert align(NAMES, rows, right=("N",)) == [
        ["WHEN  WHAT    N"],
        ["now   a b     1"],
        ["      c     100"],
        ["x             -"],
    ]
    assert align(NAMES, []) == [["WHEN  WHAT  N"]]


def test_long_cells_are_folded_between_words_where_there_is_not_enough_room() -> None:
    """Short ones stay whole."""
    rows = [("2023-11-14 22:13:20", "the quick brown fox jumps", "7")]
    assert align(NAMES, rows, right=("N",), width=40) == [
        ["WHEN                 WHAT              N"],
        ["2023-11-14 22:13:20  the quick brown   7", "                     fox jumps"],
    ]


def test_what_is_not_printable_is_shown_as_such() -> None:
    """A name in a refused request can neither break the line nor speak to the terminal."""
    assert align(("A", "B"), [("a\nb", "\x1b[31mred\u202e")])[1] == [r"a\nb  \x1b[31mred\u202e"]


def test_wide_characters_take_their_room() -> None:
    """By the measure that is given: in a terminal an ideograph is as wide as two letters."""
    rows = [("\u6f22", "x"), ("aa", "y")]
    assert align(("A", "B"), rows, measure=cell_len) == [["A   B"], ["\u6f22  x"], ["aa  y"]]


CELLS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5), st.integers(0, 100))
def test_no_character_is_lost_at_any_width(rows: list[tuple[str, str, str]], width: int) -> None:
    """Folded cells join to what they were, and lines have the width where it is any good."""
    header, *lines = align(("A", "B", "C"), rows, right=("B",), width=width)
    assert len(header) == 1
    for row, shown in zip(rows, lines, strict=True):
        assert sorted("".join(shown).replace(" ", "")) == sorted("".join(row))
        if width >= 3 * 12 + 4:
            assert max(map(len, shown)) <= width


@pytest.mark.parametrize("width", [60, 80, 200])
def test_room_that_is_there_is_used(width: int) -> None:
    """A row that fits is one line; one that doesn't fills the width but for a word."""
    [_, row] = align(("A", "B"), [("word " * 10, "short")], width=width)
    assert (len(row) == 1) == (width >= 57)
