"""What the proxy's processes hold at a moment: memory, descriptors, threads, tasks, and its database on disk."""

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import psutil

from mcproxy.control.counters.totals import Totals
from tests.endurance.site import Site
from tests.support import counters


class Usage(msgspec.Struct, frozen=True):
    """One process.

    Attributes:
        pid: its id.
        age: seconds since its start.
        memory: bytes that are resident and its own, shared memory not included.
        descriptors: open ones.
        apart: those of them that are no TCP connection. A worker's connections move to the others with each kill and restart,
            so of a single process only these say something.
        threads: of the kernel, the one that counts tasks not included.
        tasks: of asyncio; -1 while it has not told yet.
    """

    pid: int
    age: float
    memory: int
    descriptors: int
    apart: int
    threads: int
    tasks: int


class Sample(msgspec.Struct, frozen=True):
    """One moment.

    Attributes:
        time: monotonic seconds.
        control: the control process.
        workers: those that serve.
        draining: those that an earlier control has left, or that drain.
        database: bytes of its file.
        journal: bytes of its write-ahead log.
        counted: what the proxy has counted.
        answered: requests and messages that clients have had an answer to, by kind.
    """

    time: float
    control: Usage
    workers: list[Usage]
    draining: list[Usage]
    database: int
    journal: int
    counted: Totals
    answered: Mapping[str, int]


def take(site: Site, left: Iterable[psutil.Process], answered: Mapping[str, int]) -> Sample:
    """Look at everything; ``left`` are workers of earlier controls, which may have ended by now."""
    edge = site.edge
    return Sample(
        time.monotonic(),
        _usage(psutil.Process(edge.pid), site.tasks),
        list(_usages(edge.workers(), site.tasks)),
        list(_usages(left, site.tasks)),
        _size(edge.folder / "mc-proxy.db"),
        _size(edge.folder / "mc-proxy.db-wal"),
        counters.totals(edge),
        answered,
    )


def _usages(processes: Iterable[psutil.Process], tasks: Path) -> Iterable[Usage]:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            if process.status() != psutil.STATUS_ZOMBIE:
                yield _usage(process, tasks)


def _usage(process: psutil.Process, tasks: Path) -> Usage:
    told = tasks / str(process.pid)
    threads, memory = process.num_threads(), process.memory_info()
    descriptors = len(os.listdir(f"/proc/{process.pid}/fd"))  # noqa: PTH208 - links that may be gone when they are looked at
    connections = sum(bool(each.raddr) for each in process.net_connections("tcp"))
    return Usage(
        process.pid,
        time.time() - process.create_time(),
        memory.rss - memory.shared,
        descriptors,
        descriptors - connections,
        threads - 1,
        int(told.read_text()) if told.exists() else -1,
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
