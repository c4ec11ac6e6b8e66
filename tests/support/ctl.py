"""Command lines in the test's own process: a process of its own would take longer to start than to do its work."""

import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

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
    """Run `mcproxyctl` with the environment and the working folder as they are."""
    return run_command(ctl.main, *args)


def run_command(main: Callable[[Sequence[str]], NoReturn], *args: str, stdin: bytes = b"") -> Result:
    """Run a command line in this process, and give it something to read."""
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")  # has a buffer for bytes, as the real one
    stderr = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        if stdin:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), pytest.raises(SystemExit) as ended:
            main(args)
    assert isinstance(ended.value.code, int)
    stdout.flush()
    return Result(ended.value.code, stdout.buffer.getvalue().decode(), stderr.getvalue())
