"""What a worker's HTTP connections share, built and joined in one place; imported with the first route that needs it."""

import asyncio
from functools import partial

from mcproxy.net.c_library import malloc_trim
from mcproxy.net.loop.transports import unread
from mcproxy.net.memory.route_histograms import RouteHistograms
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.wire import http2
from mcproxy.wire.http2 import outer_blanks
from mcproxy.worker.backends.connector import ConnectorTools
from mcproxy.worker.backends.pool import PoolTools
from mcproxy.worker.frontend.late_http import HttpParts
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.http.handshakes import HandshakeLog
from mcproxy.worker.http.termination import Termination
from mcproxy.worker.live.pools import Pools
from mcproxy.worker.requests.interfaces import SessionTools
from mcproxy.worker.stream.http_connection import PAGE, HttpTools
from mcproxy.worker.tools.heap import Heap
from mcproxy.worker.tools.http_settings import HttpSettings
from mcproxy.worker.tools.request_ids import RequestIds
from mcproxy.worker.tools.tasks import Tasks
from mcproxy.worker.tools.turn import Turn


def assemble_http(
    loop: asyncio.AbstractEventLoop, tools: FrontendTools, memory: SharedMemory, lock_fd: int, buffer: memoryview
) -> HttpParts:
    """Build everything.

    Args:
        loop: the event loop.
        tools: what clients' connections share, whatever they speak.
        memory: what is shared with the other workers and control.
        lock_fd: a descriptor that can be locked (flock), around what all workers write.
        buffer: what reads may fill; nothing in it outlives a callback.
    """
    tools.settings.speak_http(HttpSettings)
    tasks, turn, page = Tasks(loop), Turn(loop, tools.poller.tick, tools.poller.report), buffer[:PAGE]
    shared = HttpTools(tools.poller, tools.settings, turn, page, unread, tools.sparse)
    connector = ConnectorTools(tools.poller, tools.settings, loop, tasks, tools.dial, shared)
    pools = Pools(PoolTools(tools.poller, tools.deadlines, tools.settings, tools.counters, connector))
    sessions = SessionTools(
        tools.poller,
        tools.settings,
        turn,
        page,
        unread,
        tools.sparse,
        loop,
        tasks,
        tools.deadlines,
        tools.counters,
        tools.log,
        pools,
        Heap(loop, malloc_trim()),
        tools.errors,
        RouteHistograms(memory, lock_fd),
        RequestIds(http2.unindexed()),
        tools.refusals,
        HandshakeLog(loop.time),
    )
    return HttpParts(partial(Termination, sessions), pools)


def load_rest() -> None:
    """Load what is loaded later still: the engine of HTTP/2, and what few peers need of it."""
    http2.engine_type()
    outer_blanks.decode(b"")
