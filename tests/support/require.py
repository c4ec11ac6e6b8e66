"""Real programs that tests need: where they are, or why the test cannot run."""

import os
import shutil
from typing import NoReturn

import pytest

MARK = "real part missing"
"""How the reason of such a skip begins; the summary at the end of the run collects them by it."""


def require(program: str, package: str = "") -> str:
    """Return the path of a program on PATH; without it the test fails in CI and is skipped, loudly, elsewhere.

    Args:
        program: its name.
        package: the Debian package it comes in, if that is called otherwise.
    """
    path = shutil.which(program)
    if path is None:
        missing(program, f"apt-get install {package or program}")
    return path


def missing(program: str, remedy: str) -> NoReturn:
    """End the test because of a missing real part: a failure in CI (``CI=true``), a skip elsewhere."""
    reason = f"{MARK}: {program} ({remedy})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def unreachable(service: str, why: str) -> NoReturn:
    """Skip the test, in CI too, because a service on the internet can't be reached: no package brings it."""
    pytest.skip(f"{MARK}: {service} ({why})")
