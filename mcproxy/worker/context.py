"""What all connections of one worker share."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from mcproxy.model.snapshot import Timeouts
from mcproxy.net.deadlines import Deadlines
from mcproxy.net.pipes import PipePool
from mcproxy.net.poller import Poller
from mcproxy.net.relay import BUFFER_SIZE
from mcproxy.net.resolver import Resolver

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
        words: this worker's counters in shared memory.
        timeouts: of the snapshot that is live.
        connections: every connection that is open.
        on_idle: called when the last connection has gone.
    """

    __slots__ = ("buffer", "connections", "deadlines", "on_idle", "pipes", "poller", "resolver", "timeouts", "words")

    timeouts: Timeouts

    def __init__(self, loop: asyncio.AbstractEventLoop, words: memoryview, on_idle: Callable[[], None]) -> None:
        self.poller = Poller(loop)
        self.deadlines = Deadlines(self.poller.now)
        self.pipes = PipePool()
        self.resolver = Resolver(loop)
        self.buffer = memoryview(bytearray(BUFFER_SIZE))
        self.words = words
        self.connections: set[Connection] = set()
        self.on_idle = on_idle
