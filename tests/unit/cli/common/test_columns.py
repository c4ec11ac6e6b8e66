"""Tables as lines: nothing is lost, and all of it is aligned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mcproxy.cli.common.columns import Table, align

NAMES = ("WHEN", "WHAT", "N")


def test_columns_are_as_wide_as_it_takes() -> None:
    """Two blanks between them, none at the end of a line; numbers end at the same place."""
    rows = [("now", "a b", "1"), ("", "c", "100"), ("x", "", "-")]
    assert align(Table(NAMES, rows, right=("N",)))[0] == [
        ["WHEN  WHAT    N"],
        ["now   a b     1"],
        ["      c     100"],
        ["x             -"],
    ]
    assert align(Table(NAMES, []))[0] == [["WHEN  WHAT  N"]]


def test_long_cells_are_folded_between_words_where_there_is_not_enough_room() -> None:
    """Short ones stay whole."""
    rows = [("2023-11-14 22:13:20", "the quick brown fox jumps", "7")]
    assert align(Table(NAMES, rows, right=("N",)), 40)[0] == [
        ["WHEN                 WHAT              N"],
        ["2023-11-14 22:13:20  the quick brown   7", "                     fox jumps"],
    ]


def test_what_is_not_printable_is_shown_as_such() -> None:
    """A name in a refused request can neither break the line nor speak to the terminal."""
    assert align(Table(("A", "B"), [("a\nb", "\x1b[31mred\u202e")]))[0][1] == [r"a\nb  \x1b[31mred\u202e"]


def test_wide_characters_take_their_room() -> None:
    """By the measure that is given: in a terminal an ideograph is as wide as two letters."""
    rows = [("\u6f22", "x"), ("aa", "y")]
    assert align(Table(("A", "B"), rows), measure=cell_len)[0] == [["A   B"], ["\u6f22  x"], ["aa  y"]]


CELLS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5), st.integers(0, 130))
def test_no_character_is_lost_at_any_width(rows: list[tuple[str, str, str]], width: int) -> None:
    """Folded cells join to what they were, and lines have the width where it is any good."""
    (header, *lines), _ = align(Table(("A", "B", "C"), rows, right=("B",)), width)
    assert len(header) == 1
    for row, shown in zip(rows, lines, strict=True):
        assert sorted("".join(shown).replace(" ", "")) == sorted("".join(row))
        if width >= 3 * 40 + 4:
            assert max(map(len, shown)) <= width


@pytest.mark.parametrize("width", [60, 80, 200])
def test_room_that_is_there_is_used(width: int) -> None:
    """A row that fits is one line; one that doesn't fills the width but for a word."""
    [_, row] = align(Table(("A", "B"), [("word " * 10, "short")]), width)[0]
    assert (len(row) == 1) == (width >= 57)


ROUTES = Table(
    ("LISTENER", "HOSTNAME", "MODE", "ERRORS", "FROM"),
    [("[2001:db8::1]:8443", "a-long-name.example.com", "l4", "3 (bad_response 2, backend_dns 1)", "mc-proxy.toml:15")],
    whole=("LISTENER", "HOSTNAME"),
    drop=("FROM", "MODE"),
)


@pytest.mark.parametrize(
    ("width", "dropped"),
    [(None, []), (102, []), (101, ["FROM"]), (83, ["FROM", "MODE"]), (60, ["FROM", "MODE"]), (9, ["FROM", "MODE"])],
)
def test_columns_are_left_out_before_cells_are_folded(width: int | None, dropped: list[str]) -> None:
    """One after the other as long as there is not enough room; addresses and names stay whole at any width."""
    (header, row), left_out = align(ROUTES, width)
    assert left_out == dropped
    assert header[0].split() == [name for name in ROUTES.headers if name not in dropped]
    assert row[0].startswith("[2001:db8::1]:8443  a-long-name.example.com  ")
    assert (len(row) > 1) == (width is not None and width < 78)
    if width is not None and width >= 60:
        assert max(map(len, row)) <= width


def test_words_are_not_folded() -> None:
    """They may be addresses: a line that is too long is better than half of one."""
    text = "route [2001:db8::1]:8443 app.example.com: backend 10.0.0.1:443 -> 10.0.0.2:443"
    _, row = align(Table(("DIFFERENCE", "REASON"), [(text, "because of that")]), 30)[0]
    assert set(text.split()) <= set(" ".join(row).split())
