"""``python -m tests.attacks``: what hostile clients and backends do to mcproxy, and with ``--peers`` to other proxies.

Every row is an attack beside well-behaved clients; all is on loopback, bounded in count and time. The exit status is 1 when
one costs mcproxy more memory than its bound, a worker is replaced, or somebody waits for longer than the row allows, two seconds in most.
"""

import argparse
import resource
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.attacks.contestants import CONTESTANTS, SUBJECT
from tests.attacks.row import Row
from tests.attacks.rows import ROWS
from tests.attacks.stage import BACK, Outcome, staged
from tests.attacks.verdict import faults, middle, slower, table, with_figures
from tests.support.certificates import Certificates
from tests.support.processes import ProcessError

_SECONDS, _QUICK = 3.0, 0.8
_MORE = 2  # runs of a row that was at fault in a quick run
_ATTEMPTS = 3  # where something could not be started


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what the command line asks for, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.attacks", description="Attack mcproxy and other proxies, on loopback."
    )
    parser.add_argument(
        "--peers", type=_names(CONTESTANTS), default=[], help=f"beside mcproxy: {', '.join(CONTESTANTS)}"
    )
    parser.add_argument("--rows", type=_names(ROWS), default=list(ROWS), help=f"of {', '.join(ROWS)} (default: all)")
    parser.add_argument("--runs", type=int, default=1, help="of each row; the table has their medians")
    parser.add_argument(
        "--quick", action="store_true", help=f"{_QUICK} s of each attack instead of {_SECONDS:.0f}, all on one process"
    )
    parser.add_argument("--seconds", type=float, help="of each attack, instead of what else it would be")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the table to FILE too: behind its heading of figures, or as all of it",
    )
    options = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    names = list(dict.fromkeys([SUBJECT, *options.peers]))
    for name in names:
        if reason := CONTESTANTS[name].missing():
            parser.error(f"{name}: {reason}")
    rows = [ROWS[name] for name in options.rows]
    plan: list[tuple[str, list[Row]]] = [(name, [row]) for row in rows for name in names if _can(name, row)]
    if options.quick:
        plan = [(name, together) for name in names for together in _together([row for row in rows if _can(name, row)])]
    found: dict[tuple[str, str], list[Outcome]] = {}
    problems: list[str] = []
    with TemporaryDirectory(prefix="mcp-") as folder:
        certificates = Certificates(Path(folder))
        seconds = options.seconds or (_QUICK if options.quick else _SECONDS)
        play = partial(_play, seconds=seconds, quick=options.quick, certificates=certificates, problems=problems)
        for name, together in plan * options.runs:  # a moment in which the machine is busy spoils one run of a row
            for outcome in play(name, together):
                found.setdefault((outcome.row, name), []).append(outcome)
        if options.quick and options.runs == 1:
            _repeat(rows, found, play)
    outcomes = {key: middle(several) for key, several in found.items()}
    versions = ", ".join(f"{name} {CONTESTANTS[name].version()}" for name in names)
    how = f"{seconds:g} s of each attack{', all on one process' * options.quick}"
    runs = f", medians of {options.runs} runs" if options.runs > 1 else ""
    text = f"{versions}; {datetime.now(UTC):%Y-%m-%d}; {how}{runs}.\n\n{table(rows, outcomes, names)}\n"
    print(text)
    if options.markdown:
        before = options.markdown.read_text(encoding="utf-8") if options.markdown.exists() else ""
        options.markdown.write_text(with_figures(before, text), encoding="utf-8")
    for row in rows:
        if ours := outcomes.get((row.name, SUBJECT)):
            problems += [f"{row.name}: {fault}" for fault in faults(row, ours)]
            peers = [outcomes[row.name, name] for name in names[1:] if (row.name, name) in outcomes]
            if slower(ours, peers):
                print(f"SLOWER than the other proxies: {row.name}")
    for problem in problems:
        print(f"FAULT {problem}", file=sys.stderr)
    return 1 if problems else 0


def _repeat(
    rows: Sequence[Row],
    found: dict[tuple[str, str], list[Outcome]],
    play: Callable[[str, Sequence[Row]], list[Outcome]],
) -> None:
    """Play what was at fault twice more, on one process of ours: a wait may have been the machine's, of three not the middle one."""
    doubtful = [row for row in rows if any(faults(row, each) for each in found.get((row.name, SUBJECT), ()))]
    for _ in range(_MORE):
        for together in _together(doubtful):
            for outcome in play(SUBJECT, together):
                found[outcome.row, SUBJECT].append(outcome)


def _together(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows that can be played on the same process."""
    counts = sorted({row.descriptors for row in rows})
    return [[row for row in rows if row.descriptors == count] for count in counts]


def _can(name: str, row: Row) -> bool:
    return CONTESTANTS[name].speaks_h2 or not row.backend.startswith("h2")


def _play(
    name: str, rows: Sequence[Row], *, seconds: float, quick: bool, certificates: Certificates, problems: list[str]
) -> list[Outcome]:
    """Play rows on one process of a proxy."""
    for attempt in range(_ATTEMPTS):
        outcomes = []
        try:
            with staged(rows, CONTESTANTS[name], certificates) as stage:
                for row in rows:
                    print(f"{row.name} on {name} ...", file=sys.stderr, flush=True)
                    outcomes.append(stage.play(row, seconds, patience=0.0 if quick else BACK))
        except ProcessError as error:  # another program may have taken a port that was free
            if outcomes or attempt == _ATTEMPTS - 1:
                problems.append(f"{rows[len(outcomes)].name} on {name} could not be played: {error}")
                break
        else:
            break
    return outcomes


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return a parser of comma-separated names."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    # An exception, so that the contexts end what they started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
