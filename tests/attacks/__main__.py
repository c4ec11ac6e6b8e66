"""``python -m tests.attacks``: what hostile clients and backends do to mcproxy, and with ``--peers`` to other proxies.

Every row is an attack beside well-behaved clients; all is on loopback, bounded in count and time. The exit status is 1 when
one costs mcproxy more memory than its bound, a worker is replaced, or somebody waits for more than two seconds.
"""

import argparse
import resource
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.attacks.contestants import CONTESTANTS, SUBJECT
from tests.attacks.row import Row
from tests.attacks.rows import ROWS
from tests.attacks.stage import Outcome, play
from tests.attacks.verdict import faults, middle, slower, table
from tests.support.certificates import Certificates
from tests.support.processes import ProcessError

_SECONDS, _QUICK = 5.0, 1.5
_SPARE = 2  # more attempts where something could not be started


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
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK} s of each attack instead of {_SECONDS:.0f}")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to FILE too")
    options = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    names = list(dict.fromkeys([SUBJECT, *options.peers]))
    for name in names:
        if reason := CONTESTANTS[name].missing():
            parser.error(f"{name}: {reason}")
    rows = [ROWS[name] for name in options.rows]
    outcomes: dict[tuple[str, str], Outcome] = {}
    problems: list[str] = []
    with TemporaryDirectory(prefix="mcp-") as folder:
        certificates = Certificates(Path(folder))
        for row in rows:
            for name in names:
                if row.backend.startswith("h2") and not CONTESTANTS[name].speaks_h2:
                    continue
                seconds = _QUICK if options.quick else _SECONDS
                _run(row, name, seconds, options.runs, certificates, outcomes, problems)
    print(", ".join(f"{name} {CONTESTANTS[name].version()}" for name in names))
    text = table(rows, outcomes, names)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")
    for row in rows:
        if ours := outcomes.get((row.name, SUBJECT)):
            problems += [f"{row.name}: {fault}" for fault in faults(row, ours)]
            peers = [outcomes[row.name, name] for name in names[1:] if (row.name, name) in outcomes]
            if slower(ours, peers):
                print(f"SLOWER than the other proxies: {row.name}")
    for problem in problems:
        print(f"FAULT {problem}", file=sys.stderr)
    return 1 if problems else 0


def _run(
    row: Row,
    name: str,
    seconds: float,
    runs: int,
    certificates: Certificates,
    outcomes: dict[tuple[str, str], Outcome],
    problems: list[str],
) -> None:
    print(f"{row.name} on {name} ...", file=sys.stderr, flush=True)
    found: list[Outcome] = []
    for attempt in range(runs + _SPARE):
        if len(found) == runs:
            break
        try:
            found.append(play(row, CONTESTANTS[name], seconds, certificates))
        except ProcessError as error:  # another program may have taken a port that was free
            if attempt == runs + _SPARE - 1:
                problems.append(f"{row.name} on {name} could not be played: {error}")
    if found:
        outcomes[row.name, name] = middle(found)


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
