"""Output for people on a terminal, by rich: tables and coloured plans. Without a terminal the text is the same, plain."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PLAN_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def print_plan(lines: Iterable[str]) -> None:
    """Print the lines of a plan, coloured by the sign they begin with."""
    console = Console()
    for line in lines:
        console.print(Text(line, style=_PLAN_STYLES.get(line[:1], "")), soft_wrap=True)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], styles: Iterable[str] = ()) -> None:
    """Print rows below headers in columns.

    Args:
        headers: one per column.
        rows: the cells, as plain text.
        styles: rich's style of each row, in the rows' order; fewer leave the rest plain.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    remaining = iter(styles)
    for row in rows:
        table.add_row(*map(Text, row), style=next(remaining, None))
    console = Console()
    if sys.stdout.isatty():
        console.print(table)
        return
    # into a pipe or file: as wide as it needs to be, without the padding behind the last column
    console.width = max(1, console.measure(table, options=console.options.update_width(10_000)).maximum)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        print(line.rstrip())
