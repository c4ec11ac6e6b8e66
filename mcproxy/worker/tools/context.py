"""What all connections of one worker share."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from mcproxy.model.state.snapshot import Timeouts
from mcproxy.net.loop.deadlines import Deadlines
from mcproxy.net.loop.pipes import PipePool
from mcproxy.net.loop.poller import Poller
from mcproxy.net.loop.relay import BUFFER_SIZE
from mcproxy.net.memory.admission import AdmissionLock
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.resolver import Resolver
from mcproxy.worker.tools.access_log import AccessLog
from mcproxy.worker.tools.gate import ClientGate
from mcproxy.worker.tools.http_settings import HttpSettings

if TYPE_CHECKING:
    from mcproxy.worker.frontend.connection import Connection
    from mcproxy.worker.live.pools import Pools
    from mcproxy.worker.stream.http_connection import HttpConnection


class Context:
    """The tools of a worker's connections.

    Attributes:
        poller: dispatches socket events.
        deadlines: time limits of connections and dials.
        pipes: pipes for bulk relays.
        resolver: backend names to addresses.
        buffer: scratch memory for one read or peek; nothing in it outlives a callback.
        page: the part of it that an HTTP connection may fill in one read (64 KiB).
        memory: what is shared with the other workers and control.
        slot: this worker's part of it.
        counters: this worker's counters in it.
        admission_lock: guards the connection limits in it.
        gate: the firewall.
        timeouts: of the snapshot that is live.
        connections: every connection that is open.
        on_idle: called when the last connection has gone.
        loop: the event loop, for what lives on its transports.
        http: limits and engine of HTTP, of the snapshot that is live.
        pools: the connections to HTTP backends.
        access_log: where connections and requests are told, None for nowhere.
    """

    __slots__ = (
        "_dirty",
        "_tasks",
        "access_log",
        "admission_lock",
        "buffer",
        "connections",
        "counters",
        "deadlines",
        "gate",
        "http",
        "loop",
        "memory",
        "on_idle",
        "page",
        "pipes",
        "poller",
        "pools",
        "resolver",
        "slot",
        "timeouts",
    )

    timeouts: Timeouts
    http: HttpSettings
    pools: "Pools"

    def __init__(
        self, loop: asyncio.AbstractEventLoop, memory: SharedMemory, slot: int, on_idle: Callable[[], None]
    ) -> None:
        self.loop = loop
        self.poller = Poller(loop)
        self.deadlines = Deadlines(self.poller.now)
        self.pipes = PipePool()
        self.resolver = Resolver(loop)
        self.buffer = memoryview(bytearray(BUFFER_SIZE))
        self.page = self.buffer[: 1 << 16]
        self.memory = memory
        self.slot = slot
        self.counters = memory.counter_block(slot)
        self.admission_lock = AdmissionLock(memory)
        self.gate = ClientGate(memory, slot)
        self.connections: set[Connection] = set()
        self.on_idle = on_idle
        self.access_log: AccessLog | None = None
        self._dirty: list[HttpConnection] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def flush_later(self, endpoint: "HttpConnection") -> None:
        """Call the endpoint's `flush` once at the end of this turn of the loop."""
        if not self._dirty:
            self.loop.call_soon(self._flush)
        self._dirty.append(endpoint)

    def start_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run what takes its time (a handshake), and keep it from being collected meanwhile."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def log_to(self, fd: int | None) -> None:
        """Write the access log to another file from now on, or to the same one opened anew; None ends it."""
        if fd is None:
            if self.access_log is not None:
                self.access_log.close()
            self.access_log = None
        elif self.access_log is None:
            self.access_log = AccessLog(self.loop, self.poller, self.counters, fd)
        else:
            self.access_log.turn_to(fd)

    def close(self) -> None:
        """Close what is shared; no connection is open any more."""
        self.log_to(None)
        self.resolver.close()
        self.pipes.close()
        self.poller.shut()

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for endpoint in dirty:
            endpoint.flush()
