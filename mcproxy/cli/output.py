"""How both command lines print: JSON for machines, lines and tables for people."""

import sys
from collections.abc import Iterable, Sequence

import msgspec


def print_json(value: object) -> None:
    """Print plain values, or structs, as indented JSON."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_plan(lines: Sequence[str]) -> None:
    """Print the lines of a plan, in colour on a terminal."""
    if sys.stdout.isatty():
        from mcproxy.cli.render import print_plan as print_coloured  # noqa: PLC0415 - rich is slow to import; only colours need it

        print_coloured(lines)
    elif lines:
        print("\n".join(lines))


def print_steps(steps: Iterable[tuple[str, str, str, str]]) -> None:
    """Print what was decided about a connection: step, outcome, why, and what decided it."""
    from mcproxy.cli.render import print_table  # noqa: PLC0415 - rich is slow to import; only tables need it

    rows = list(steps)
    styles = ["green" if outcome == "ok" else "red" for _, outcome, _, _ in rows]
    print_table(("STEP", "OUTCOME", "WHY", "DECIDED BY"), rows, styles)


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 route``, ``2 routes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
