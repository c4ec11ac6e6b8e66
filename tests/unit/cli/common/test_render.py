"""Output for people: the same text with and without a terminal."""

import io
import re
import sys
from collections.abc import Callable

import pytest

from mcproxy.cli.common.columns import Table
from mcproxy.cli.common.output import print_problems, print_table
from mcproxy.cli.common.render import excerpt, live_table, print_plan
from mcproxy.model.config.problems import Problem, Source
from tests.support.rows import each_row


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Return a function that makes standard output a terminal for the rest of the test."""

    def replace() -> Terminal:
        stream = Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        return stream

    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return replace


def test_a_plan_is_coloured_by_its_signs_on_a_terminal(terminal: Callable[[], Terminal]) -> None:
    """Additions are green, removals red, changes yellow, the summary plain."""
    output = terminal()
    print_plan(["+ route a", "- route b", "~ route c", "1 added, 1 changed, 1 removed"])
    assert output.getvalue().splitlines() == [
        "\x1b[32m+ route a\x1b[0m",
        "\x1b[31m- route b\x1b[0m",
        "\x1b[33m~ route c\x1b[0m",
        "1 added, 1 changed, 1 removed",
    ]


def test_colour_can_be_refused(terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR is respected."""
    monkeypatch.setenv("NO_COLOR", "1")
    output = terminal()
    print_plan(["+ route a"])
    assert output.getvalue() == "+ route a\n"


def test_names_are_never_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets of IPv6 addresses and of rich's markup come out as they are, also in long lines."""
    line = "+ listener [::1]:8443 [red]x[/red] " + "y" * 200
    print_plan([line])
    assert capsys.readouterr().out == f"{line}\n"


def test_a_table_in_a_pipe_is_never_cut_or_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal each row is one line with whole cells and no trailing blanks."""
    long = "[::1] " + "x" * 300
    print_table(("A", "LONG"), [("1", long), ("22", "b")], ["red", "green"])
    assert capsys.readouterr().out == f"A   LONG\n1   {long}\n22  b\n"


def test_a_table_on_a_terminal_keeps_every_character(terminal: Callable[[], Terminal]) -> None:
    """On a narrow terminal long cells are folded, not cut."""
    output = terminal()
    print_table(("A", "LONG"), [("1", "x" * 200)], ["red"])
    assert output.getvalue().count("x") == 200


def test_short_cells_stay_whole_on_a_narrow_terminal(terminal: Callable[[], Terminal]) -> None:
    """Long ones are folded; where even short ones have no room, no character is lost."""
    output = terminal()
    print_table(("WHEN", "LONG", "N"), [("2023-11-14 22:13:20", "word " * 30, "12")], right=("N",))
    first, second, *_ = output.getvalue().splitlines()[1:]
    assert first.startswith("2023-11-14 22:13:20  word word")
    assert first.rstrip().endswith("  12")
    assert second.startswith(" " * 21 + "word")
    output = terminal()
    print_table([f"H{number}" for number in range(9)], [["x" * 18] * 9])
    assert output.getvalue().count("x") == 9 * 18


def test_a_narrow_terminal_has_fewer_columns_unless_all_are_asked_for(terminal: Callable[[], Terminal]) -> None:
    """What is left out is told; addresses are whole."""
    row = ("[2001:db8::1]:8443", "x" * 45, "mc-proxy.toml:15")
    output = terminal()
    print_table(("LISTENER", "NAME", "FROM"), [row], whole=("LISTENER",), drop=("FROM",))
    assert "FROM\n" not in output.getvalue()
    assert "left out: FROM; -o wide prints all" in output.getvalue()
    assert "[2001:db8::1]:8443  " in output.getvalue()
    output = terminal()
    print_table(("LISTENER", "NAME", "FROM"), [row], whole=("LISTENER",), drop=("FROM",), wide=True)
    assert "mc-proxy.toml:15" in output.getvalue()
    assert "left out" not in output.getvalue()


def test_numbers_end_at_the_same_place(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns that are named, with or without headers above."""
    print_table(("A", "N"), [("a", "1"), ("b", "100")], right=("N",))
    print_table(("A", "N"), [("a", "1"), ("b", "100")], header=False)
    assert capsys.readouterr().out == "A    N\na    1\nb  100\na  1\nb  100\n"


def test_the_live_table_shows_what_has_room(terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    """A title, the headers and the first rows; the screen from before comes back."""
    monkeypatch.setenv("LINES", "10")
    output = terminal()
    with live_table(Table(("A", "N"), (), right=("N",))) as show:
        show(["the title"], [(f"row{number}", str(number)) for number in range(100)])
    shown = output.getvalue()
    assert "the title" in shown
    assert "row6" in shown
    assert "row7" not in shown
    assert shown.endswith("\x1b[?25h\x1b[?1049l")


def test_lines_above_the_live_table_leave_it_half_of_the_screen(
    terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much there is to tell, the worst routes are seen too; what is left out is counted."""
    monkeypatch.setenv("LINES", "10")
    output = terminal()
    with live_table(Table(("A", "N"), (), right=("N",))) as show:
        show([f"line{number}" for number in range(9)], [(f"row{number}", "1") for number in range(100)])
    shown = output.getvalue()
    assert "line3" in shown
    assert "line4" not in shown
    assert "and 5 more lines" in shown
    assert "row2" in shown
    assert "row3" not in shown


PROBLEM = Problem("a.toml", 2, 11, "error", "proxy.workers", "must be at least 0")
SOURCE = Source("a.toml", "[proxy]\nworkers = -1 # few\n")


def test_a_problem_is_shown_with_its_line_on_a_terminal(
    terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a mark below the column; nothing of a file that could not be read, or behind its end."""
    monkeypatch.setenv("NO_COLOR", "1")
    output = terminal()
    gone = Problem("b.toml", 1, 1, "error", "", "cannot be read: No such file or directory")
    behind = Problem("a.toml", 9, 1, "warning", "", "x")
    print_problems([PROBLEM, gone, behind], [SOURCE], output)
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", output.getvalue()).splitlines()]
    assert lines[0] == str(PROBLEM)
    assert "    2 | workers = -1 # few" in lines[1]
    assert lines[2].index("^") == lines[1].index("-1")
    assert lines[3:] == [str(gone), str(behind)]


def test_a_problem_is_a_line_without_a_terminal() -> None:
    """As it was always, for other programs."""
    output = io.StringIO()
    print_problems([PROBLEM], [SOURCE], output)
    assert output.getvalue() == f"{PROBLEM}\n"


@each_row(
    ("line", "column", "width", "expected"),
    [
        ("workers = -1", 11, 40, (10, "workers = -1")),
        ("workers = -1\r", 11, 40, (10, "workers = -1")),
        ("\tworkers = -1", 12, 40, (14, "    workers = -1")),
        ("", 1, 40, (0, "")),
        ("x =", 4, 40, (3, "x =")),
        ("\u4e2d\u6587 = 1", 6, 40, (7, "\u4e2d\u6587 = 1")),
        ("e\u0301 = 1", 6, 40, (4, "e\u0301 = 1")),
        ("a\u00a0\u200b\x1b= 1", 5, 40, (4, "a\ufffd\ufffd\ufffd= 1")),
        ("a" * 100, 1, 20, (0, "a" * 18 + "…")),
        ("a" * 50 + "b" + "c" * 50, 51, 20, (14, "…" + "a" * 13 + "b" + "cccc" + "…")),
    ],
)
def test_an_excerpt_has_room_for_its_mark(line: str, column: int, width: int, expected: tuple[int, str]) -> None:
    """In cells of the terminal: tabs, wide letters, and what can't be shown; a long line is cut on both sides."""
    assert excerpt(line, column, width) == expected
