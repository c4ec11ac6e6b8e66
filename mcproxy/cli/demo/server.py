"""The `mcproxy serve` that the demo runs beside itself, and what its log says."""

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from mcproxy.cli.common.subprocesses import environment
from mcproxy.errors import McproxyError

Record: TypeAlias = dict[str, Any]

_PATIENCE = 20.0  # seconds to wait for anything in the log


class Server:
    """A proxy process; its log (JSON lines) is read as it comes."""

    def __init__(self, config: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mcproxy", "serve", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,  # Ctrl-C is for the demo, which then ends this in order
            text=True,
        )
        self._records: queue.SimpleQueue[Record] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, event: str, *, begins: bool = False) -> list[Record]:
        """Return what the log says up to and with ``event``; raises `McproxyError` when that does not come.

        Args:
            event: what is waited for.
            begins: whether more words may follow.
        """
        until = time.monotonic() + _PATIENCE
        seen: list[Record] = []
        while not seen or not (seen[-1]["event"] == event or (begins and seen[-1]["event"].startswith(event))):
            try:
                seen.append(self._records.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                said = "\n".join(record["event"] for record in seen)
                raise McproxyError(f"the proxy did not say {event!r}; it said:\n{said}") from None
        return seen

    def lines(self) -> Iterator[Record]:
        """Yield what the log says from now on; ends when the proxy does."""
        while self._process.poll() is None:
            with contextlib.suppress(queue.Empty):
                yield self._records.get(timeout=1)

    def stop(self) -> list[Record]:
        """Drain and end the proxy; return what it said meanwhile."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_PATIENCE)
        finally:
            self._process.kill()
        seen = []
        while not self._records.empty():
            seen.append(self._records.get())
        return seen

    def _read(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - a pipe, as asked for
        for line in self._process.stderr:
            try:
                self._records.put(json.loads(line))
            except ValueError:
                self._records.put({"event": line.rstrip(), "level": "error"})
