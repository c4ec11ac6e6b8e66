"""Restarts of a proxy: the folder that its command leads to, other versions to put there, and who serves afterwards."""

import re
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.support.lifecycle import wait_gone
from tests.support.load import until
from tests.support.processes import POLL, Processes
from tests.support.proxy import ROOT, Proxy

STUB = "stub"
"""Name of a folder of programs that are no mcproxy."""


class Installed:
    """A symbolic link that the proxy is started through, as an operator's to the version in use."""

    def __init__(self, processes: Processes, folder: Path, text: str) -> None:
        """Prepare a proxy of this checkout in ``folder``; ``text`` is that of its config file."""
        self._folder = folder
        self._link = folder / "current"
        self.use(ROOT)
        serving = folder / "serving"
        serving.mkdir()
        self.edge = Proxy(processes, serving, text, environment={"PYTHONPATH": str(self._link)})

    def close(self) -> None:
        """Kill what is left."""
        self.edge.close()

    def use(self, program: Path) -> None:
        """Let the link lead to another folder with the package, at once."""
        fresh = self._folder / "fresh"
        fresh.symlink_to(program)
        fresh.replace(self._link)

    def version(self, name: str, edits: Mapping[str, tuple[str, str]]) -> Path:
        """Return a folder with a copy of the package in which pieces of text are replaced, by the module's path."""
        folder = self._folder / name
        shutil.copytree(ROOT / "mcproxy", folder / "mcproxy")
        for path, (before, after) in edits.items():
            module = folder / "mcproxy" / path
            text = module.read_text(encoding="utf-8")
            assert text.count(before) == 1, f"{path} has {before!r} {text.count(before)} times"
            module.write_text(text.replace(before, after), encoding="utf-8")
        return folder

    def stub(self, program: str) -> Path:
        """Return a folder with a package of the name mcproxy that runs a few lines."""
        folder = self._folder / STUB
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "mcproxy").mkdir(parents=True)
        (folder / "mcproxy" / "__main__.py").write_text(program, encoding="utf-8")
        return folder


def control(edge: Proxy) -> psutil.Process:
    """Return the control that holds the lock of the proxy's database."""
    for _ in range(1000):
        if holder := lock_holder(edge):
            return psutil.Process(holder)
        time.sleep(POLL)
    raise AssertionError("nobody holds the lock")


def lock_holder(edge: Proxy) -> int | None:
    """Return the process id in the lock of the proxy's database, of a process that may be gone; None while it changes."""
    text = (edge.folder / "mc-proxy.db.lock").read_text(encoding="ascii")
    return int(text) if text else None


def wait_for_log(edge: Proxy, pattern: str, since: int = 0) -> None:
    """Wait for a line that matches, whichever control logs it: the one that was started first may have ended."""
    until(lambda: re.search(pattern, edge.stderr[since:]) is not None, f"the log has {pattern}")


def end_control(edge: Proxy) -> None:
    """End the control that serves by SIGTERM; nothing that any control has started may be left then."""
    serving = control(edge)
    serving.send_signal(signal.SIGTERM)
    wait_gone(serving)
    left = edge.process.descendants()
    assert not left, f"left behind: {left}"
