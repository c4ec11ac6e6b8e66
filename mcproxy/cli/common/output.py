"""How both command lines print: JSON for machines, lines and tables for people."""

import sys
from collections.abc import Container, Iterable, Sequence
from typing import TextIO

import msgspec

from mcproxy.cli.common.columns import Table, align
from mcproxy.model.config.problems import Problem, Source


def print_json(value: object) -> None:
    """Print plain values, or structs, as indented JSON."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_plan(lines: Sequence[str]) -> None:
    """Print the lines of a plan, in colour on a terminal."""
    if sys.stdout.isatty():
        from mcproxy.cli.common.render import print_plan as print_coloured  # noqa: PLC0415 - rich is slow to import; only colours need it

        print_coloured(lines)
    elif lines:
        print("\n".join(lines))


def print_problems(problems: Iterable[Problem], sources: Iterable[Source], stream: TextIO) -> None:
    """Print what is wrong with config files, a line for each; on a terminal with the line of the file, and a mark below it.

    Args:
        problems: with the paths of the files as they are to be shown.
        sources: the files, as far as they could be read, by the same paths.
        stream: standard output or standard error.
    """
    if stream.isatty():
        from mcproxy.cli.common.render import print_problems as print_marked  # noqa: PLC0415 - rich is slow to import; only terminals need it

        print_marked(problems, {source.path: source.text for source in sources}, stream)
        return
    for problem in problems:
        print(problem, file=stream)


def print_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    styles: Iterable[str] = (),
    *,
    right: Container[str] = (),
    whole: Container[str] = (),
    drop: Sequence[str] = (),
    wide: bool = False,
    header: bool = True,
) -> None:
    """Print rows below headers in columns, on a terminal in its width: some columns are left out then, long cells are folded.

    Args:
        headers: as of a `Table`, and so the next one and the three behind ``styles``.
        rows: the cells.
        styles: on a terminal, rich's style of each row, in the rows' order; fewer leave the rest plain.
        right: columns of numbers.
        whole: columns that are never folded.
        drop: columns that may be left out.
        wide: print all columns, in lines of any length.
        header: print the headers too.
    """
    table = Table(headers, rows, right, whole, drop)
    if sys.stdout.isatty():
        from mcproxy.cli.common.render import print_table as print_styled  # noqa: PLC0415 - rich is slow to import; only terminals need it

        print_styled(table, styles, wide=wide, header=header)
        return
    for lines in align(table)[0][0 if header else 1 :]:
        print("\n".join(lines))


def print_steps(steps: Iterable[tuple[str, str, str, str]]) -> None:
    """Print what was decided about a connection: step, outcome, why, and what decided it."""
    rows = list(steps)
    styles = ["green" if outcome == "ok" else "red" for _, outcome, _, _ in rows]
    print_table(("STEP", "OUTCOME", "WHY", "DECIDED BY"), rows, styles)


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 route``, ``2 routes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
