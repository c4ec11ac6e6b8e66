"""HAProxy in front of the proxy under test, or behind it."""

from pathlib import Path

import msgspec

from tests.support.ports import free_port
from tests.support.processes import Process, ProcessError, Processes
from tests.support.require import require

_ATTEMPTS = 5
_HEAD = """\
global
    log stdout format raw local0
defaults
    mode tcp
    log global
    timeout connect 10s
    timeout client 30s
    timeout server 30s
"""


class Haproxy(msgspec.Struct, frozen=True):
    """A running HAProxy: its port, and its process, which logs to standard output."""

    port: int
    process: Process


def start_haproxy(processes: Processes, folder: Path, text: str) -> Haproxy:
    """Start HAProxy and wait until it listens.

    Args:
        processes: ends it.
        folder: an existing folder for its config.
        text: the frontend and backends; ``PORT`` stands for a free port (on 127.0.0.1 and ::1).
    """
    for attempt in range(1, _ATTEMPTS + 1):
        port = free_port()
        config = folder / "haproxy.cfg"
        config.write_text(_HEAD + text.replace("PORT", str(port)), encoding="utf-8")
        process = processes.start(require("haproxy"), "-db", "-f", config)
        try:
            process.wait_for_port("127.0.0.1", port)
        except ProcessError:
            if attempt == _ATTEMPTS or "in use" not in process.stderr:
                raise
            process.kill()
        else:
            return Haproxy(port, process)
    raise AssertionError("unreachable: the last attempt returns or raises")
