"""What a running proxy has counted, read from its shared memory as control itself reads it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from mcproxy.control.counters.totals import Totals, read_totals
from mcproxy.model.state.snapshot import Snapshot, decode
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.sockets import read_memory_file
from tests.support import l4
from tests.support.processes import pause_since
from tests.support.proxy import Proxy


def counted(proxy: Proxy, *, still_open: int = 0) -> dict[str, l4.Totals]:
    """Return what `l4.stop_and_count` does, of a proxy that goes on: as soon as no more than ``still_open`` connections are left.

    A listener's counters begin with it, so those of a proxy of the fleet are the test's own.
    """
    began = time.monotonic()
    before = None
    while True:
        now = totals(proxy)
        left = sum(listener.open for listener in now.listeners.values())
        found = {
            addr: l4.Totals(now.listeners[addr].accepted, ends)
            for addr, ends in now.ended("refused", "backend", "proxy", "client").items()
        }
        if left == still_open and found == before:  # twice: an end is two words, and this reads them one by one
            return found
        assert time.monotonic() < began + 30, f"{left} connections are open, not {still_open}: {found}"
        before = found
        pause_since(began)


def totals(proxy: Proxy) -> Totals:
    """Return the counters of the live generation, by the addresses and hostnames of the config."""
    snapshot = _live_snapshot(proxy)
    (memory_fd,) = list(_opened(proxy, "mcproxy-shared"))[:1]
    memory = SharedMemory(memory_fd)
    try:
        listeners = {entry.listener.addr: entry.index for entry in snapshot.listeners}
        routes = {
            (entry.listener.addr, route.route.hostname): route.index
            for entry in snapshot.listeners
            for route in entry.routes
        }
        return read_totals(memory, listeners, routes)
    finally:
        memory.close()


def _live_snapshot(proxy: Proxy) -> Snapshot:
    found = []
    for fd in _opened(proxy, "mcproxy-snapshot"):
        found.append(decode(read_memory_file(fd)))
        os.close(fd)
    return max(found, key=lambda snapshot: snapshot.generation)


def _opened(proxy: Proxy, name: str) -> Iterator[int]:
    """Open the anonymous files of a name that control holds."""
    for link in Path(f"/proc/{proxy.pid}/fd").iterdir():
        try:
            if link.readlink().name.startswith(f"memfd:{name}"):
                yield os.open(link, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # closed meanwhile
            continue
