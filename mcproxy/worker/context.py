"""What all connections of one worker share."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from mcproxy.model.snapshot import Timeouts
from mcproxy.net.admission import AdmissionLock
from mcproxy.net.deadlines import Deadlines
from mcproxy.net.pipes import PipePool
from mcproxy.net.poller import Poller
from mcproxy.net.relay import BUFFER_SIZE
from mcproxy.net.resolver import Resolver
from mcproxy.net.shared_memory import SharedMemory
from mcproxy.worker.gate import Gate

if TYPE_CHECKING:
    from mcproxy.worker.connection import Connection


class Context:
    """The tools of a worker's connections.

    Attributes:
        poller: dispatches socket events.
        deadlines: time limits of connections and dials.
        pipes: pipes for bulk relays.
        resolver: backend names to addresses.
        buffer: scratch memory for one read or peek; nothing in it outlives a callback.
        memory: what is shared with the other workers and control.
        slot: this worker's part of it.
        words: this worker's counters in it.
        admission_lock: guards the connection limits in it.
        gate: the firewall.
        timeouts: of the snapshot that is live.
        connections: every connection that is open.
        on_idle: called when the last connection has gone.
    """

    __slots__ = (
        "admission_lock",
        "buffer",
        "connections",
        "deadlines",
        "gate",
        "memory",
        "on_idle",
        "pipes",
        "poller",
        "resolver",
        "slot",
        "timeouts",
        "words",
    )

    timeouts: Timeouts

    def __init__(
        self, loop: asyncio.AbstractEventLoop, memory: SharedMemory, slot: int, on_idle: Callable[[], None]
    ) -> None:
        self.poller = Poller(loop)
        self.deadlines = Deadlines(self.poller.now)
        self.pipes = PipePool()
        self.resolver = Resolver(loop)
        self.buffer = memoryview(bytearray(BUFFER_SIZE))
        self.memory = memory
        self.slot = slot
        self.words = memory.room(slot)
        self.admission_lock = AdmissionLock(memory)
        self.gate = Gate(memory, slot)
        self.connections: set[Connection] = set()
        self.on_idle = on_idle
