"""A real `mcproxy serve`: its file, its processes, its log."""

import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psutil

from mcproxy.client import Client
from tests.support.notify import NotifySocket
from tests.support.ports import free_port
from tests.support.processes import POLL, Process, ProcessError, Processes

ROOT = Path(__file__).parents[2]
"""The work tree."""

_ATTEMPTS = 5
_APPLIED = r"\] applied\b|\"event\": \"applied\""
_SHRUNK = "would be served by no listener any more"
_CONFLICT = re.compile("another process listens|[Aa]ddress (already )?in use")
_PLACEHOLDER = re.compile(r"\bPORT(?:_([A-Z0-9]+))?\b")


class Proxy:
    """A proxy that serves a config file which the test writes.

    In the file's text ``PORT`` and ``PORT_X`` (X: capital letters and digits) stand for free ports; each keeps its
    number over all edits, and `port` tells it.

    Attributes:
        folder: where the config file is; relative paths in it start here.
        config: the config file.
        told_before: how many characters of its standard error are of configs before this one (`serve_instead`).
    """

    ENVIRONMENT: ClassVar[Mapping[str, str]] = {}
    """Variables that all proxies are given: which data path they find, where a test runs on several."""

    def __init__(
        self,
        processes: Processes,
        folder: Path,
        text: str,
        under: Sequence[str | Path] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Serve ``text`` from ``folder``.

        Args:
            processes: starts and ends it.
            folder: where the config file is.
            text: of the config file.
            under: a program and its arguments that runs the proxy's, which come behind it.
            environment: variables that are added, or have other values than they are given otherwise.
        """
        self._under = under
        self.folder = folder
        self.config = folder / "mc-proxy.toml"
        self._processes = processes
        self._text = text
        self._environment = dict(environment or {})
        self._ports: dict[str, int] = {}
        self._runs: list[Process] = []
        self._notify: NotifySocket | None = None
        self.told_before = 0

    def start(self, *args: str, timeout: float = 60) -> None:
        """Start `mcproxy serve` with further options and wait until it says that it is ready.

        If another program took a chosen port meanwhile, it is tried again with other ports, as long as no earlier
        start has made them known.
        """
        redraw = not self._runs
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._start_once(args, timeout)
            except ProcessError:
                if not redraw or attempt == _ATTEMPTS or not _CONFLICT.search(self.stderr):
                    raise
                self.kill()
                self._ports.clear()
            else:
                return

    def _start_once(self, args: tuple[str, ...], timeout: float) -> None:
        self.save(self._text)
        self._close_notify()
        self._notify = NotifySocket(self.folder / "notify")
        run = self._processes.start(
            *(*self._under, sys.executable, "-m", "mcproxy", "serve", "--config", str(self.config), *args),
            folder=self.folder,
            env={
                "NOTIFY_SOCKET": str(self._notify.path),
                "PYTHONPATH": str(ROOT),
                "MCPROXY_CONFIG": "",
                **self.ENVIRONMENT,
                **self._environment,
            },
        )
        self._runs.append(run)
        self.told_before = 0
        self.wait_for_notification("READY=1", timeout)

    @property
    def process(self) -> Process:
        """The control process, as started last."""
        if not self._runs:
            raise RuntimeError("the proxy was not started")
        return self._runs[-1]

    @property
    def pid(self) -> int:
        """The process id of control."""
        return self.process.pid

    @property
    def stderr(self) -> str:
        """What control and the workers have written to standard error since the last start, or `serve_instead`."""
        return self.process.stderr[self.told_before :]

    def logs(self) -> list[str]:
        """Return what each control started so far, and its workers, have written to standard error."""
        return [run.stderr for run in self._runs]

    def workers(self) -> list[psutil.Process]:
        """Return the living workers that the last started control started, the newest last, also if it is gone itself."""
        found = []
        for process in self.process.descendants():
            try:
                if any("mcproxy.worker" in arg for arg in process.cmdline()):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return sorted(found, key=lambda process: (process.create_time(), process.pid))

    def port(self, name: str = "") -> int:
        """Return the number behind ``PORT`` or (with ``"X"``) ``PORT_X``; chosen now if it was not used before."""
        if name not in self._ports:
            self._ports[name] = free_port()
        return self._ports[name]

    def save(self, text: str) -> None:
        """Replace the config file by a rename, as editors and config management do."""
        self._text = text
        temporary = self.folder / ".mc-proxy.toml.new"
        temporary.write_text(self.fill_in(text), encoding="utf-8")
        temporary.replace(self.config)

    def serve_instead(self, text: str) -> None:
        """Serve another config, on other ports, in the place of the one before, and wait until it is live in all workers.

        If another program took a chosen port meanwhile, it is tried again with other ports.
        """
        for _ in range(_ATTEMPTS):
            self.told_before += self.mark()
            self._ports.clear()
            self.save(text)
            told = self.wait_for_log(f"{_APPLIED}|{_CONFLICT.pattern}|{_SHRUNK}")
            if told[0] == _SHRUNK:  # as is meant
                with Client(f"unix:{self.folder / 'mc-proxy.sock'}") as client:
                    client.reload(allow_shrink=True)
                told = self.wait_for_log(f"{_APPLIED}|{_CONFLICT.pattern}")
            if re.fullmatch(_APPLIED, told[0]):
                return
        raise self.process.failure("no ports are free")

    def fill_in(self, text: str) -> str:
        """Return the text with port numbers for its placeholders, for tests that write the file themselves."""
        return _PLACEHOLDER.sub(lambda match: str(self.port(match[1] or "")), text)

    def mark(self) -> int:
        """Return the log's length now, as ``since`` of `wait_for_log`: only what is logged later counts."""
        return len(self.stderr)

    def wait_for_log(self, pattern: str, timeout: float = 60, since: int = 0) -> re.Match[str]:
        """Wait for a line on standard error that matches a pattern; fails at once when control has ended without."""
        return self.process.wait_for_line(pattern, timeout, self.told_before + since, ["stderr"])

    def wait_for_notification(self, state: str, timeout: float = 60) -> None:
        """Wait until control has told its service manager ``state`` ("READY=1", "STOPPING=1") since its start."""
        deadline = time.monotonic() + timeout
        while not (self._notify and self._notify.wait_for(state, 10 * POLL)):
            if self.process.returncode is not None or time.monotonic() > deadline:
                raise self.process.failure(f"{state} was not notified within {timeout} s")

    def notifications(self) -> list[str]:
        """Return all that control has told its service manager since its last start, oldest first."""
        return self._notify.states() if self._notify else []

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to control."""
        self.process.signal(number)

    def stop(self, timeout: float = 40) -> int:
        """End the proxy as a service manager does (SIGTERM, wait for the drain); returns control's exit status."""
        try:
            return self.process.stop(timeout)
        finally:
            self.close()

    def kill(self) -> None:
        """Kill control and all workers at once, also those that an earlier control left."""
        for run in self._runs:
            run.kill()

    def kill_control(self) -> None:
        """Kill control alone (SIGKILL): the workers stay."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Kill what is left and release the test's own resources."""
        self.kill()
        self._close_notify()

    def _close_notify(self) -> None:
        if self._notify:
            self._notify.close()
