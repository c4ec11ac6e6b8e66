"""Output for people on a terminal, by rich: tables and coloured plans. Without a terminal the text is the same, plain."""

import sys
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

_ROOM = 12  # columns that a folded cell gets at least
_PLAN_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def print_plan(lines: Iterable[str]) -> None:
    """Print the lines of a plan, coloured by the sign they begin with."""
    console = Console()
    for line in lines:
        console.print(Text(line, style=_PLAN_STYLES.get(line[:1], "")), soft_wrap=True)


def print_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    styles: Iterable[str] = (),
    *,
    right: Container[str] = (),
    header: bool = True,
) -> None:
    """Print rows below headers in columns.

    Args:
        headers: one per column.
        rows: the cells, as plain text.
        styles: rich's style of each row, in the rows' order; fewer leave the rest plain.
        right: the headers of columns whose cells are numbers, which end at the same place.
        header: print the headers too.
    """
    console = Console()
    table = _table(console.width, headers, rows, styles, right, header=header)
    if sys.stdout.isatty():
        console.print(table)
        return
    # into a pipe or file: as wide as it needs to be, without the padding behind the last column
    console.width = max(1, console.measure(table, options=console.options.update_width(10_000)).maximum)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        print(line.rstrip())


@contextmanager
def live_table(
    headers: Sequence[str], right: Container[str] = ()
) -> Iterator[Callable[[str, Sequence[Sequence[str]]], None]]:
    """Take the whole terminal; yields what shows a title and the rows of a table there, as many as have room."""
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def show(title: str, rows: Sequence[Sequence[str]]) -> None:
            room = max(1, console.height - 3)  # title, blank line, headers
            table = _table(console.width, headers, rows[:room], (), right, header=True)
            live.update(Group(Text(title, no_wrap=True, overflow="ellipsis"), "", table), refresh=True)

        yield show


def _table(
    width: int,
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    styles: Iterable[str],
    right: Container[str],
    *,
    header: bool,
) -> Table:
    cells = [[Text(cell, no_wrap=False) for cell in row] for row in rows]
    needed = [max(len(name), *(row[index].cell_len for row in cells), 0) for index, name in enumerate(headers)]
    whole = _whole(needed, width)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=header)
    for index, name in enumerate(headers):
        table.add_column(name, overflow="fold", no_wrap=index in whole, justify="right" if name in right else "left")
    remaining = iter(styles)
    for row in cells:
        table.add_row(*row, style=next(remaining, None))
    return table


def _whole(needed: Sequence[int], width: int) -> set[int]:
    """Return which columns, the narrow ones first, are shown whole where not all can: a number is easier to read so."""
    spare = width - 2 * len(needed) - sum(min(each, _ROOM) for each in needed)
    whole = set()
    for index in sorted(range(len(needed)), key=needed.__getitem__):
        spare -= max(0, needed[index] - _ROOM)
        if spare < 0:
            break
        whole.add(index)
    return whole
