"""Output for people: the same text with and without a terminal."""

import io
import sys
from collections.abc import Callable

import pytest

from mcproxy.cli.common.output import print_table
from mcproxy.cli.common.render import live_table, print_plan


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


def test_numbers_end_at_the_same_place(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns that are named, with or without headers above."""
    print_table(("A", "N"), [("a", "1"), ("b", "100")], right=("N",))
    print_table(("A", "N"), [("a", "1"), ("b", "100")], header=False)
    assert capsys.readouterr().out == "A    N\na    1\nb  100\na  1\nb  100\n"


def test_the_live_table_shows_what_has_room(terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    """A title, the headers and the first rows; the screen from before comes back."""
    monkeypatch.setenv("LINES", "10")
    output = terminal()
    with live_table(("A", "N"), right=("N",)) as show:
        show("the title", [(f"row{number}", str(number)) for number in range(100)])
    shown = output.getvalue()
    assert "the title" in shown
    assert "row6" in shown
    assert "row7" not in shown
    assert shown.endswith("\x1b[?25h\x1b[?1049l")
