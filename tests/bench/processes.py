"""Child processes: started on given CPUs, spoken to line by line, and ended by their own ids and no others."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

ROOT = Path(__file__).resolve().parents[2]
_STOP_SECONDS = 5.0


class BenchError(Exception):
    """A measurement that could not be taken; its text says which program failed and what it said."""


@contextlib.contextmanager
def pinned(cpus: frozenset[int]) -> Iterator[None]:
    """Run the block on ``cpus``, so that the processes it starts inherit them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Child:
    """A running program; leaving the context ends it together with its descendants.

    Args:
        command: program and arguments.
        cpus: where it and its descendants run.
        log: the file that takes its standard error, and its standard output too unless ``lines`` is set.
        lines: whether the harness talks to it over standard input and output.
    """

    def __init__(self, command: Sequence[str], *, cpus: frozenset[int], log: Path, lines: bool = False) -> None:
        self._log = log
        self._pending = b""
        with pinned(cpus), log.open("wb") as sink:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE if lines else subprocess.DEVNULL,
                stdout=subprocess.PIPE if lines else sink,
                stderr=sink,
            )
        self._root = psutil.Process(self._process.pid)
        self._seen: set[psutil.Process] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.poll() is None

    def members(self) -> list[psutil.Process]:
        """Return the program's process, first, and all its descendants.

        Who was once returned here is ended with the program, even if its parent dies before it.
        """
        members = [self._root, *self._root.children(recursive=True)]
        self._seen.update(members[1:])
        return members

    def say(self, line: str) -> None:
        """Send one line to the program's standard input."""
        pipe = _open_pipe(self._process.stdin)
        pipe.write(line.encode() + b"\n")
        pipe.flush()

    def hear(self, within: float) -> str:
        """Return the next line of the program's standard output.

        Raises:
            BenchError: the program ended or was silent for ``within`` seconds.
        """
        pipe = _open_pipe(self._process.stdout)
        deadline = time.monotonic() + within
        while b"\n" not in self._pending:
            readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(pipe.fileno(), 4096) if readable else b""
            if not data:
                what = "ended early" if readable else f"said nothing for {within:.0f} s"
                raise BenchError(f"{self.describe()} {what}: {self.said()}")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()

    def describe(self) -> str:
        """Return the command, for messages."""
        return (
            " ".join(map(str, self._process.args)) if isinstance(self._process.args, list) else str(self._process.args)
        )

    def said(self) -> str:
        """Return the end of the log."""
        text = self._log.read_text(errors="replace").strip()
        return text[-1500:] if text else "(it said nothing)"

    def stop(self) -> None:
        """End the program, politely first, and whatever descendants it leaves behind."""
        if self.running:
            self.members()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for descendant in self._seen:
            # psutil compares start times, so that a reused id is left alone.
            with contextlib.suppress(psutil.NoSuchProcess):
                descendant.kill()


def python(*arguments: str) -> list[str]:
    """Return the command that runs this interpreter with ``arguments``."""
    return [sys.executable, *arguments]


def _open_pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("this child was started without lines")
    return pipe
