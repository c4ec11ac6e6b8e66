"""Output on a terminal, by rich: tables and coloured plans. What prints without a terminal too is `output`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from mcproxy.cli.common.columns import Table, align
from mcproxy.model.config.problems import Problem

_PLAN_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def print_plan(lines: Iterable[str]) -> None:
    """Print the lines of a plan, coloured by the sign they begin with."""
    console = Console()
    for line in lines:
        console.print(Text(line, style=_PLAN_STYLES.get(line[:1], "")), soft_wrap=True)


def print_problems(problems: Iterable[Problem], texts: Mapping[str, str], stream: TextIO) -> None:
    """Print problems with the line of the file that each is about, and a mark below its column; see `output.print_problems`."""
    console = Console(file=stream)
    lines = {path: text.split("\n") for path, text in texts.items()}
    for problem in problems:
        style = "bold red" if problem.severity == "error" else "yellow"
        console.print(Text(str(problem)), soft_wrap=True)
        there = lines.get(problem.file, ())
        if problem.line <= len(there) and there[problem.line - 1].strip():
            number = f"{problem.line:>5} | "
            before, line = excerpt(there[problem.line - 1], problem.column, console.width - len(number) - 1)
            console.print(Text.assemble((number, "dim"), line), soft_wrap=True)
            console.print(
                Text.assemble((f"{'|':>{len(number) - 1}} ", "dim"), " " * before, ("^", style)), soft_wrap=True
            )


def excerpt(line: str, column: int, width: int) -> tuple[int, str]:
    """Return how many cells of a terminal are in front of a column of a line, and the line itself as far as it has room.

    Args:
        line: as it stands in the file; what can't be shown is replaced by a sign of one cell.
        column: in characters, from 1; it may be behind the end.
        width: cells there are.
    """
    shown = [
        "    " if character == "\t" else character if character.isprintable() else "\ufffd"
        for character in line.rstrip("\r")
    ]
    sizes = [cell_len(text) for text in shown]
    first = 0
    while first < column - 1 and sum(sizes[first : column - 1]) + 2 > width * 3 // 4:
        first += 1
    last = first
    while last < len(shown) and sum(sizes[first : last + 1]) + 2 <= width:
        last += 1
    front = "…" if first else ""
    text = front + "".join(shown[first:last]) + ("…" if last < len(shown) else "")
    return len(front) + sum(sizes[first : column - 1]), text


def print_table(table: Table, styles: Iterable[str], *, wide: bool, header: bool) -> None:
    """Print a table in the terminal's width; see `output.print_table`."""
    console = Console()
    lines, dropped = align(table, None if wide else console.width, cell_len)
    remaining = iter(["bold", *styles])
    for index, row in enumerate(lines):
        style = next(remaining, "")
        for line in row if index or header else ():
            if style:
                console.print(Text(line, style=style), soft_wrap=True)
            else:
                print(line)
    if dropped:
        console.print(Text(f"left out: {', '.join(dropped)}; -o wide prints all", style="dim"), soft_wrap=True)


@contextmanager
def live_table(frame: Table) -> Iterator[Callable[[Sequence[str], Sequence[Sequence[str]]], None]]:
    """Take the whole terminal; yields what shows lines there, on half of it at most, and rows in a table like ``frame``.

    What has no room is left out; of the lines, the last one then says how many.
    """
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def show(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
            most = max(1, console.height // 2)
            if len(head) > most:
                head = [*head[: most - 1], f"and {len(head) - most + 1} more lines"]
            room = max(1, console.height - len(head) - 2)  # blank line, headers
            (first, *others), _ = align(frame._replace(rows=rows[:room]), console.width, cell_len)
            shown = [("\n".join(head) + "\n\n", ""), ("\n".join(first), "bold")]
            shown += [(f"\n{line}", "") for row in others for line in row]
            live.update(Text.assemble(*shown, no_wrap=True), refresh=True)

        yield show
