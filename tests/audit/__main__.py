"""`python -m tests.audit`: audit the locked packages; exit status 0 clean, 1 findings, 3 not audited: no service."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.audit.audit import SERVICE, Status, audit

ROOT = Path(__file__).parents[2]


def main(files: Sequence[Path], service: str = SERVICE) -> int:
    """Audit files, print what was found, and return the exit status."""
    result = audit(files, service)
    for line in result.lines:
        print(line)
    match result.status:
        case Status.CLEAN:
            print(f"{result.audited} locked packages audited: no known vulnerability")
        case Status.FINDINGS:
            print(f"{len(result.lines)} findings")
        case Status.NOT_AUDITED:
            print("!!! NOT AUDITED: the locked packages were not checked for known vulnerabilities !!!")
    return result.status


if __name__ == "__main__":
    sys.exit(main(sorted((ROOT / "requirements").glob("*.txt"))))
