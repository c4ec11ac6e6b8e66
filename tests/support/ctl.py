"""`mcproxyctl` in the test's own process: a process of its own would take longer to start than to do its work."""

import contextlib
import io
from collections.abc import Callable

import msgspec
import pytest

from mcproxy.cli.ctl import app as ctl


class Result(msgspec.Struct, frozen=True):
    """What a command line left behind."""

    status: int
    stdout: str
    stderr: str


Ctl = Callable[..., Result]
"""Runs a command line, given word by word."""


def run_ctl(*args: str) -> Result:
    """Run a command line with the environment and the working folder as they are."""
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")  # has a buffer for bytes, as the real one
    stderr = io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), pytest.raises(SystemExit) as ended:
        ctl.main(args)
    assert isinstance(ended.value.code, int)
    stdout.flush()
    return Result(ended.value.code, stdout.buffer.getvalue().decode(), stderr.getvalue())
