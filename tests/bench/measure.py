"""What the kernel has counted for a set of processes."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from tests.bench.processes import BenchError

Meter: TypeAlias = Callable[[Sequence[int]], int]
"""Reads a running total or a level of the processes with these ids, in the smallest unit it has."""

_CPUCLOCK_SCHED = 2


def cpu_ns(pids: Sequence[int]) -> int:
    """Return the CPU time that the processes have used, with all their threads, also finished ones, in nanoseconds.

    Read from the processes' CPU clocks, whose ids are made of the process id as clock_getcpuclockid(3) does it;
    /proc/PID/stat counts in ticks of 10 ms. The kernel's work for the loopback device is done by whoever sends, and
    is counted for that process.

    Raises:
        BenchError: a process has ended.
    """
    try:
        return sum(time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) for pid in pids)
    except OSError as error:
        raise BenchError(f"a process of the proxy ended during the measurement ({error})") from error


def rss_bytes(pids: Sequence[int]) -> int:
    """Return the resident memory of the processes.

    Read from smaps_rollup, which walks the page tables; the counters in statm lag behind by up to a few hundred KiB.

    Raises:
        BenchError: a process has ended.
    """
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError as error:
            raise BenchError(f"cannot read the memory of a process of the proxy ({error})") from error
        if match := re.search(r"^Rss:\s+(\d+) kB$", text, re.MULTILINE):
            total += int(match[1]) * 1024
    return total
