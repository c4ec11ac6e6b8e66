"""``python -m tests.fuzz [TARGET] [SECONDS]``: feed what comes from outside with inputs that nobody would send.

``simulate`` as the target plays the simulations, of control with its workers, of a worker's exchanges and of a fleet, with ever new
numbers; each number decides everything about its run.

Every input follows from the corpus (`tests/fuzz/corpus`), the seed and its number, so a failure can be had again; the
input that failed is written into the corpus, where the suite checks it from then on. Without a target all of them take
turns.

Why no coverage-guided fuzzer (looked at: atheris 2.3): it instruments Python's byte code and needs a build of libFuzzer
in every developer's environment; the targets here are state machines whose depth comes from seeds that are whole
conversations, and a run that follows from one number is worth more to a suite.
"""

import argparse
import sys
import traceback
import zlib

from tests.fuzz.runner import Failure, run
from tests.fuzz.target import CORPUS
from tests.fuzz.targets import SIMULATED, TARGETS


def main() -> int:
    """Fuzz as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", nargs="?", choices=[*TARGETS, "simulate", "all"], default="all")
    parser.add_argument("seconds", nargs="?", type=float, default=600.0, help="in all (default 600)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    groups = {**{name: [target] for name, target in TARGETS.items()}, "simulate": SIMULATED.values()}
    targets = list(groups.get(options.target, TARGETS.values()))
    failed = False
    for target in targets:
        count, failure = run(target, options.seed, seconds=options.seconds / len(targets))
        sys.stdout.write(f"{target.name}: {count} inputs, seed {options.seed}\n")
        if failure is not None:
            failed = True
            _keep(failure)
    return int(failed)


def _keep(failure: Failure) -> None:
    path = CORPUS / failure.target / f"found-{zlib.crc32(failure.data):08x}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(failure.data)
    sys.stdout.write(f"input {failure.number} fails; made smaller, it is kept in {path}:\n{failure.data[:500]!r}\n")
    sys.stdout.write("".join(traceback.format_exception(failure.error)))


if __name__ == "__main__":
    sys.exit(main())
