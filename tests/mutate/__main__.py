"""``python -m tests.mutate MODULE``: does a test fail when the module is wrong?

Small mistakes are made in the module one at a time, in a copy of the tree; the unit and property tests near it are run on
each. A mutant that none of them notices survives, and is printed with its place and diff: a test is missing, or the code is
not needed, or the change makes no difference. Which mutants are tried, and the examples of property tests, follow from the
seed alone. Survivors don't fail the run; tests that fail without any mutation do.

Why no package from PyPI does this (looked at: cosmic-ray 8.7, mutmut 3.8):

* Neither draws a seeded sample of so many mutants, or ends after so many minutes; both want every mutant of a module tried.
* Neither leaves out a statement or returns None instead of a value, which is what a forgotten step looks like.
* cosmic-ray changes the tree itself, tries one mutant at a time unless HTTP workers with clones of the repository are set
  up, runs one test command for all modules, and brings 13 packages (SQLAlchemy, GitPython, aiohttp ...).
* mutmut puts all mutants of a function beside each other behind a trampoline and forks after importing them: another
  program than the one that is shipped (a call more per function, which tests of the data path count; nothing outside
  functions is mutated), from a process whose threads (grpc, sqlite3) do not outlive the fork.

This needs `ast` and pytest alone.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutate.runner import BrokenTestsError, Run, run
from tests.mutate.selection import NothingFoundError, modules

ROOT = Path(__file__).parents[2]
_MOST = 300
_MINUTES = 30.0


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Try mutants as the command line says, print the survivors, and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        done = run(
            root,
            modules(root, options.module),
            count=options.mutants,
            seed=options.seed,
            seconds=options.minutes * 60,
            processes=options.processes,
            tell=_progress,
        )
    except (NothingFoundError, BrokenTestsError) as error:
        print(error, file=sys.stderr)
        return 1
    _report(root, done)
    return 0


def _report(root: Path, done: Run) -> None:
    for mutant in done.of("survived", "untested"):
        print(f"{mutant.path}:{mutant.line}: {mutant.operator}\n{mutant.diff((root / mutant.path).read_bytes())}\n")
    for path, tests in done.tests.items():
        if not tests:
            print(f"{path}: no unit or property test imports it, at any distance")
    fates = Counter(result.fate for result in done.results)
    print(
        f"{len(done.results)} of {done.possible} mutants: {fates['killed']} killed, {fates['timed out']} timed out, "
        f"{fates['survived']} survived, {fates['untested']} without a test, {fates['not run']} not run"
    )


def _progress(line: str) -> None:
    print(line, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mutate", description="Try whether tests notice mistakes in a module.")
    parser.add_argument(
        "module", help="a module or package of mcproxy, such as worker, control/reconcile, wire/http2/gate"
    )
    parser.add_argument("--mutants", type=int, default=_MOST, help="try so many at most (default: %(default)s)")
    parser.add_argument(
        "--minutes", type=float, default=_MINUTES, help="begin none after so long (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="choose other mutants (default: %(default)s)")
    cpus = len(os.sched_getaffinity(0))
    parser.add_argument("--processes", type=int, default=cpus, help="try so many at a time (default: one per CPU)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
