"""Output on a terminal, by rich: tables and coloured plans. What prints without a terminal too is `output`."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from mcproxy.cli.common.columns import align

_PLAN_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def print_plan(lines: Iterable[str]) -> None:
    """Print the lines of a plan, coloured by the sign they begin with."""
    console = Console()
    for line in lines:
        console.print(Text(line, style=_PLAN_STYLES.get(line[:1], "")), soft_wrap=True)


def print_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    styles: Iterable[str],
    right: Container[str],
    *,
    header: bool,
) -> None:
    """Print a table in the terminal's width; see `output.print_table`."""
    console = Console()
    lines = align(headers, rows, right, console.width, cell_len)
    remaining = iter(["bold", *styles])
    for index, row in enumerate(lines):
        style = next(remaining, "")
        for line in row if index or header else ():
            if style:
                console.print(Text(line, style=style), soft_wrap=True)
            else:
                print(line)


@contextmanager
def live_table(
    headers: Sequence[str], right: Container[str] = ()
) -> Iterator[Callable[[str, Sequence[Sequence[str]]], None]]:
    """Take the whole terminal; yields what shows a title and the rows of a table there, as many as have room."""
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def show(title: str, rows: Sequence[Sequence[str]]) -> None:
            room = max(1, console.height - 3)  # title, blank line, headers
            first, *others = align(headers, rows[:room], right, console.width, cell_len)
            shown = [(f"{title}\n\n", ""), ("\n".join(first), "bold")]
            shown += [(f"\n{line}", "") for row in others for line in row]
            live.update(Text.assemble(*shown, no_wrap=True), refresh=True)

        yield show
