"""Real programs as test peers: started, waited for, read, and certainly ended, children included."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psutil

POLL = 0.01
"""Seconds between two looks at something the kernel gives no event for; see `pause_since`."""
TOKEN = "MCPROXY_TEST_TOKEN"
"""Environment variable that marks a program and everything it starts, also what it leaves behind."""


def pause_since(began: float) -> None:
    """Sleep between two looks at what has been awaited since ``began`` (monotonic): a twentieth of that, 10 to 50 ms."""
    time.sleep(min(max(POLL, (time.monotonic() - began) / 20), 5 * POLL))


class ProcessError(Exception):
    """A program did not do what the test waited for; the text carries its output."""


class Process:
    """A running program whose output goes to files.

    Attributes:
        argv: the command.
        token: the value of `TOKEN` in its environment and its descendants'.
    """

    def __init__(
        self, argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None, *, stdin: bool = False
    ) -> None:
        """Start the program in ``folder``; ``env`` is added to the environment.

        With ``stdin`` its standard input stays open until `end_input`, or this process ends.
        """
        self.argv = list(argv)
        self.token = uuid.uuid4().hex
        self._mark = f"{TOKEN}={self.token}".encode()
        self._stdout = folder / f"{self.token}.out"
        self._stderr = folder / f"{self.token}.err"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                env={**os.environ, **(env or {}), TOKEN: self.token},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id of the program itself."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit status (negative: the signal that ended it), None while it runs."""
        return self._popen.poll()

    @property
    def stdout(self) -> str:
        """Everything it has written to standard output so far."""
        return self._stdout.read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        """Everything it has written to standard error so far."""
        return self._stderr.read_text(encoding="utf-8", errors="replace")

    def descendants(self) -> list[psutil.Process]:
        """Return what the program started, also processes that outlived it, without the program itself."""
        return [process for process in self._family() if process.pid != self.pid]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        self._popen.send_signal(number)

    def say(self, text: str) -> None:
        """Write to its standard input, which was to stay open."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(text.encode())
        self._popen.stdin.flush()

    def end_input(self) -> None:
        """Close its standard input."""
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    def wait(self, timeout: float = 30) -> int:
        """Wait for the program's end and return its exit status."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.failure(f"still runs after {timeout} s") from None

    def wait_for_line(
        self,
        pattern: str,
        timeout: float = 60,
        since: int = 0,
        streams: Sequence[Literal["stdout", "stderr"]] = ("stdout", "stderr"),
    ) -> re.Match[str]:
        """Wait until the output has a whole line that matches.

        Args:
            pattern: a regular expression; ``^`` and ``$`` match at lines.
            timeout: in seconds; the wait ends at once when the program has.
            since: how many characters of each stream to skip.
            streams: where to look.

        Raises:
            ProcessError: there is none.
        """
        expression = re.compile(pattern, re.MULTILINE)
        began = time.monotonic()
        while True:
            ended = self.returncode is not None  # before the look, so that the last words are not missed
            for stream in streams:
                text = self.stdout if stream == "stdout" else self.stderr
                whole = len(text) if ended else text.rfind("\n") + 1  # a long line comes in pieces
                if match := expression.search(text, since, whole):
                    return match
            if ended or time.monotonic() > began + timeout:
                raise self.failure(f"no line matches {pattern!r} within {timeout} s")
            pause_since(began)

    def wait_for_port(self, host: str, port: int, timeout: float = 60) -> None:
        """Wait until something accepts connections on an address."""
        began = time.monotonic()
        while True:
            try:
                socket.create_connection((host, port), timeout=1).close()
            except OSError:
                if self.returncode is not None or time.monotonic() > began + timeout:
                    raise self.failure(f"nothing listens on {host} port {port} within {timeout} s") from None
                pause_since(began)
            else:
                return

    def stop(self, timeout: float = 30) -> int:
        """End the program with SIGTERM and return its exit status; what it leaves behind is killed."""
        if self.returncode is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill the program and all its descendants at once, and wait until they are gone."""
        deadline = time.monotonic() + 10
        wait = POLL / 8  # most are gone in a millisecond
        while remaining := self._family():
            for process in remaining:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            if time.monotonic() > deadline:
                raise self.failure(f"cannot be killed: {remaining}")
            time.sleep(wait)
            wait = min(2 * wait, POLL)
            self._popen.poll()
        self._popen.wait(timeout=5)
        self.end_input()

    def _family(self) -> list[psutil.Process]:
        """Return the living processes that are the program or come from it.

        Known by the token in their environment, which survives the death of their parents but not a program that
        writes its title over it (nginx), or else by the session that the program leads.
        """
        found = []
        for pid in psutil.pids():  # its `process_iter` would read much more of each process of the machine
            if self._is_of_family(pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process = psutil.Process(pid)
                    if process.status() != psutil.STATUS_ZOMBIE:
                        found.append(process)
        return found

    def _is_of_family(self, pid: int) -> bool:
        try:
            if os.getsid(pid) == self.pid:
                return True
            with open(f"/proc/{pid}/environ", "rb", buffering=0) as environ:  # noqa: PTH123  # pathlib takes three times as long, and these are many
                return self._mark in environ.read().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            return False

    def failure(self, message: str) -> ProcessError:
        """Return an exception with the message, the exit status and the end of the output."""
        status = "running" if self.returncode is None else f"exit status {self.returncode}"
        return ProcessError(f"{message}\n{' '.join(self.argv)}: {status}\n{self.transcript()}")

    def transcript(self, limit: int = 4000) -> str:
        """Return the last ``limit`` characters of both outputs."""
        return f"--- stdout\n{self.stdout[-limit:]}\n--- stderr\n{self.stderr[-limit:]}"


class Processes:
    """Starts programs and kills every one of them, with descendants, at the end of a ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[Process] = []

    def start(
        self,
        *argv: str | Path,
        folder: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bool = False,
    ) -> Process:
        """Start a program; it runs in ``folder`` (default: a folder for output files), the rest is as for `Process`."""
        process = Process([str(arg) for arg in argv], folder or self._folder, env, stdin=stdin)
        self.started.append(process)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in reversed(self.started):
            process.kill()
