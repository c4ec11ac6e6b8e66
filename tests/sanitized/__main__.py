"""``python -m tests.sanitized [SECONDS]``: the native core under AddressSanitizer and UndefinedBehaviorSanitizer.

What calls the core in its own process (unit tests, differential tests, simulations), the fuzz targets for some seconds, and the
integration tests of the data path, whose proxies load the sanitized library. The exit status tells whether all is well;
whatever the sanitizers complain of is printed, also where no test has noticed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.fuzz.targets import NATIVE
from tests.sanitized.library import compile_sanitized, environment, reports

_INSIDE = (
    "tests/unit/net/native/test_course.py",
    "tests/unit/net/native/test_limits.py",
    "tests/unit/net/native/test_listening.py",
    "tests/unit/net/native/test_native_relay.py",
    "tests/unit/net/native/test_turns.py",
    "tests/property/net/test_native_readers.py",
    "tests/property/net/test_relay_simulation.py::test_every_byte_arrives_in_order_natively",
    "tests/property/net/test_relay_simulation.py::test_a_reset_at_any_moment_reaches_the_other_side_natively",
)
_PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")


def main() -> int:
    """Run everything, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.sanitized")
    parser.add_argument("seconds", nargs="?", type=float, default=20.0, help="of fuzzing, in all (default 20)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mcp-sanitized-") as folder:
        library = compile_sanitized(Path(folder))
        inside = {**os.environ, **environment(library)}
        failed = [
            name
            for name, command, variables in (
                ("tests inside", (*_PYTEST, "-n", "2", *_INSIDE), inside),
                *((each, ("-m", "tests.fuzz", each, str(options.seconds / len(NATIVE))), inside) for each in NATIVE),
                ("proxies", (*_PYTEST, "-n", "3", "tests/integration", "--sanitized", str(library)), os.environ),
            )
            if not _run(name, command, variables)
        ]
        complaints = reports(library)
    for complaint in complaints:
        sys.stdout.write(f"{complaint}\n")
    sys.stdout.write(f"sanitizers: {len(complaints)} complaints; failed: {', '.join(failed) or 'nothing'}\n")
    return int(bool(complaints or failed))


def _run(name: str, command: tuple[str, ...], variables: Mapping[str, str]) -> bool:
    sys.stdout.write(f"== {name}\n")
    sys.stdout.flush()
    return subprocess.run([sys.executable, *command], env=variables, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
