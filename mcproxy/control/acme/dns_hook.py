"""TXT records of dns-01 by a program of the operator; blocking."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from typing import BinaryIO

from mcproxy.control.acme.interface import AcmeError, Challenge, DnsHook

WITHIN = 60.0
"""Seconds that a run may take."""

_SHOWN = 300  # characters of what it says


class DnsHookSolver:
    """Calls ``PROGRAM present|cleanup NAME VALUE``, a record at a time, and expects exit status 0.

    Args:
        hook: the program.
        within: seconds that a run may take.
    """

    def __init__(self, hook: DnsHook, within: float = WITHIN) -> None:
        self._program = hook.program
        self._within = within

    def present(self, challenges: Sequence[Challenge]) -> None:
        """Have a record set per challenge; the program returns once the zone's servers have it.

        Raises:
            AcmeError: it failed.
        """
        for each in challenges:
            self._run("present", each)

    def remove(self, challenges: Sequence[Challenge]) -> None:
        """Have the records removed.

        Raises:
            AcmeError: it failed for some; all were tried.
        """
        failed = []
        for each in challenges:
            try:
                self._run("cleanup", each)
            except AcmeError as error:
                failed.append(str(error))
        if failed:
            raise AcmeError("; ".join(failed))

    def _run(self, action: str, challenge: Challenge) -> None:
        command = [self._program, action, f"_acme-challenge.{challenge.name}", challenge.value]
        with tempfile.TemporaryFile() as output:  # no pipe: what it leaves behind may hold that open
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
                )
            except OSError as error:
                raise AcmeError(f"{self._program}: {error.strerror}") from error
            try:
                status = process.wait(self._within)
            except subprocess.TimeoutExpired as error:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with whatever it has started
                process.wait()
                raise AcmeError(
                    f"{self._program} {action}: not done within {self._within:g} s{_end(output)}"
                ) from error
            if status:
                raise AcmeError(f"{self._program} {action}: exit status {status}{_end(output)}")


def _end(output: BinaryIO) -> str:
    """Return the last that a program has said, behind a colon; "" for nothing."""
    output.seek(max(output.seek(0, os.SEEK_END) - 4 * _SHOWN, 0))
    words = " ".join(output.read().decode("utf-8", "replace").split())[-_SHOWN:]
    return f": {words}" if words else ""
