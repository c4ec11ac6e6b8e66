"""Runs the tests near a module on each of its mutants, in copies of the tree."""

import os
import queue
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import msgspec

from tests.mutate.mutants import Mutant, mutants_of
from tests.mutate.selection import Imports

Fate: TypeAlias = Literal["killed", "timed out", "survived", "untested", "not run"]

_T = TypeVar("_T")
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "*.db*", "*.sock")
_PATIENCE = 3  # times what the tests take without a mutation, for others use the machine too
_START = 10.0  # seconds more: for an interpreter to start
_BASELINE_LIMIT = 300.0  # seconds for the tests of one module
_MEMORY = 4 << 30  # bytes of its own (shared memory is not counted): a mutant may ask for more and more
_SHOWN = 3000  # characters of what failing tests say
_OK, _NO_TESTS = 0, 5  # exit status of pytest


class BrokenTestsError(Exception):
    """The tests fail without any mutation, so they can't judge one."""


class Result(msgspec.Struct, frozen=True):
    """What became of a mutant: a test failed, or did not end, or none did; or there is no test, or no time was left."""

    mutant: Mutant
    fate: Fate


class Run(msgspec.Struct, frozen=True):
    """A whole run.

    Attributes:
        possible: how many mutants there are in all.
        results: of those that were drawn, in the order of their places.
        tests: by module, the tests that judged it.
    """

    possible: int
    results: tuple[Result, ...]
    tests: Mapping[str, Sequence[str]]

    def of(self, *fates: Fate) -> list[Mutant]:
        """Return the mutants that met one of these fates."""
        return [result.mutant for result in self.results if result.fate in fates]


def draw(root: Path, modules: Sequence[str], count: int, seed: int) -> tuple[list[Mutant], int]:
    """Return up to ``count`` mutants in the order in which they are tried, and how many there are; the same for the same seed."""
    every = [mutant for path in sorted(modules) for mutant in mutants_of(path, (root / path).read_bytes())]
    drawn = random.Random(seed).sample(every, min(count, len(every)))
    return drawn, len(every)


def run(
    root: Path,
    modules: Sequence[str],
    *,
    count: int,
    seed: int,
    seconds: float,
    processes: int,
    tell: Callable[[str], None] = lambda _: None,
) -> Run:
    """Try mutants of some modules.

    Args:
        root: of the tree; nothing in it is changed.
        modules: paths from there.
        count: mutants at most.
        seed: of the choice of mutants, and of the examples of property tests.
        seconds: after which no further mutant is begun.
        processes: how many are tried at a time.
        tell: hears of progress, a line each.

    Raises:
        BrokenTestsError: the tests of a module fail without any mutation.
    """
    until = time.monotonic() + seconds
    drawn, possible = draw(root, modules, count, seed)
    imports = Imports(root)
    tests = {path: imports.tests_near(path) for path in sorted({mutant.path for mutant in drawn})}
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [_Copy(root, Path(folder) / str(number), seed) for number in range(min(processes, len(drawn) or 1))]
        limits: dict[str, float] = {}

        def measure(copy: _Copy, path: str) -> None:
            began = time.monotonic()
            if tests[path] and not copy.passes(tests[path], _BASELINE_LIMIT):
                said = copy.output.read_text(encoding="utf-8", errors="replace")[-_SHOWN:]
                raise BrokenTestsError(f"{path}: the tests near it fail, or don't end, without any mutation\n{said}")
            limits[path] = _PATIENCE * (time.monotonic() - began) + _START

        results: dict[Mutant, Fate] = dict.fromkeys(drawn, "not run")

        def judge(copy: _Copy, mutant: Mutant) -> None:
            if time.monotonic() < until:
                near = tests[mutant.path]
                results[mutant] = copy.fate(mutant, near, limits[mutant.path]) if near else "untested"
                tell(f"{sum(fate != 'not run' for fate in results.values())}/{len(drawn)} {results[mutant]}")

        _share(copies, list(tests), measure)
        _share(copies, drawn, judge)
    return Run(possible, tuple(Result(mutant, results[mutant]) for mutant in sorted(results)), tests)


class _Copy:
    """A copy of the tree, in which one mutant at a time is tried; ``output`` holds what the last tests said."""

    def __init__(self, root: Path, folder: Path, seed: int) -> None:
        shutil.copytree(root, folder, ignore=_LEFT_OUT, symlinks=True)
        if (root / ".venv").exists():
            (folder / ".venv").symlink_to(root / ".venv")
        self.output = folder.with_suffix(".out")
        self._folder = folder
        self._seed = seed

    def fate(self, mutant: Mutant, tests: Sequence[str], limit: float) -> Fate:
        """Return what becomes of a mutant."""
        path = self._folder / mutant.path
        source = path.read_bytes()
        path.write_bytes(mutant.apply(source))
        try:
            self._forget(path)
            passed = self.passes(tests, limit)
        finally:
            path.write_bytes(source)
            self._forget(path)
        return "timed out" if passed is None else "survived" if passed else "killed"

    def passes(self, tests: Sequence[str], limit: float) -> bool | None:
        """Tell whether tests pass; None if they don't end within so many seconds."""
        shutil.rmtree(self._folder / ".hypothesis", ignore_errors=True)  # what failed for another mutant
        options = (
            "-x",
            "-q",
            "--tb=short",
            "-p",
            "no:cacheprovider",
            "-m",
            "not soak",
            f"--hypothesis-seed={self._seed}",
        )
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-o", "addopts=", *options, *tests],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        ended = _ends(process.pid, limit)
        os.killpg(process.pid, signal.SIGKILL)  # with all it has started; not waited for yet, so the number is its own
        status = process.wait()
        return status in (_OK, _NO_TESTS) if ended else None

    def _forget(self, path: Path) -> None:
        """Remove the byte code of a module: it is told from that of another mutant by size and time alone."""
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()


def _ends(pid: int, limit: float) -> bool:
    """Tell whether a child process ends within so many seconds; it remains to be waited for."""
    fd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(limit * 1000))
    finally:
        os.close(fd)


def _share(copies: Sequence[_Copy], work: Sequence[_T], do: Callable[[_Copy, _T], None]) -> None:
    """Do every piece of work in one of the copies, as many at a time as there are; raises what one of them raises."""
    waiting: queue.SimpleQueue[_T] = queue.SimpleQueue()
    for piece in work:
        waiting.put(piece)
    errors: list[BaseException] = []

    def serve(copy: _Copy) -> None:
        while not errors:
            try:
                do(copy, waiting.get_nowait())
            except queue.Empty:
                return
            except BaseException as error:  # noqa: BLE001 - raised below
                errors.append(error)

    threads = [threading.Thread(target=serve, args=(copy,)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
