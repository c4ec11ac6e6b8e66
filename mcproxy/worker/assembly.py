"""Everything that the connections of a worker share, built and joined in one place."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from mcproxy.net.c_library import malloc_trim
from mcproxy.net.ipc import Failures
from mcproxy.net.loop.deadlines import Deadlines
from mcproxy.net.loop.pipes import PipePool
from mcproxy.net.loop.poller import Poller
from mcproxy.net.loop.relay import BUFFER_SIZE, Toolbox
from mcproxy.net.loop.transports import unread
from mcproxy.net.memory.admission import AdmissionLock
from mcproxy.net.memory.route_histograms import RouteHistograms
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.memory.sparse_counters import SparseCounters
from mcproxy.net.resolver import Resolver
from mcproxy.wire import http2
from mcproxy.worker.auth.tools import GuardTools
from mcproxy.worker.backends.connector import ConnectorTools
from mcproxy.worker.backends.dial import DialTools
from mcproxy.worker.backends.pool import PoolTools
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.http.handshakes import HandshakeLog
from mcproxy.worker.live.endpoint import EndpointTools
from mcproxy.worker.live.pools import Pools
from mcproxy.worker.live.upstreams import Upstreams
from mcproxy.worker.requests.interfaces import SessionTools
from mcproxy.worker.requests.refusals import Refusals
from mcproxy.worker.stream.http_connection import PAGE, HttpTools
from mcproxy.worker.tools.access_log import AccessLog
from mcproxy.worker.tools.errors import Errors
from mcproxy.worker.tools.gate import ClientGate
from mcproxy.worker.tools.heap import Heap
from mcproxy.worker.tools.registry import Registry
from mcproxy.worker.tools.request_ids import RequestIds
from mcproxy.worker.tools.settings import Settings
from mcproxy.worker.tools.tasks import Tasks
from mcproxy.worker.tools.turn import Turn

if TYPE_CHECKING:
    from mcproxy.worker.native.path import NativePath

_NOTICED = 0.1  # seconds for an endpoint to notice that a connection or request has been broken off


class Assembly(msgspec.Struct, frozen=True, eq=False):
    """The parts that the process itself deals with.

    Attributes:
        frontend: for clients' connections.
        pools: the connections to HTTP backends.
        upstreams: those of the live snapshot.
    """

    frontend: FrontendTools
    pools: Pools
    upstreams: Upstreams

    def close(self) -> None:
        """Close what is shared; no connection is open any more."""
        self.upstreams.write_counts()
        self.frontend.log.close()
        self.frontend.dial.resolver.close()
        self.frontend.relay.pipes.close()
        self.frontend.poller.shut()


def assemble(
    loop: asyncio.AbstractEventLoop,
    memory: SharedMemory,
    slot: int,
    on_idle: Callable[[], None],
    report: Callable[[Failures], object],
) -> Assembly:
    """Build everything.

    Args:
        loop: the event loop.
        memory: what is shared with the other workers and control.
        slot: this worker's part of it.
        on_idle: called whenever the last connection has gone.
        report: sends a report of failures to control.
    """
    poller = Poller(loop)
    deadlines = Deadlines(poller.now, poller.report)
    counters, sparse = memory.counter_block(slot), SparseCounters(memory.sparse(slot))
    settings = Settings()
    log = AccessLog(loop, poller, counters)
    tasks = Tasks(loop)
    heap = Heap(loop, malloc_trim())
    turn = Turn(loop, poller.tick, poller.report)
    buffer = memoryview(bytearray(BUFFER_SIZE))
    page = buffer[:PAGE]
    dial = DialTools(poller, deadlines, Resolver(loop), counters, settings)
    http = HttpTools(poller, settings, turn, page, unread, sparse)
    connector = ConnectorTools(poller, settings, loop, tasks, dial, http)
    pools = Pools(PoolTools(poller, deadlines, settings, counters, connector))
    errors = Errors(loop, counters, report)
    refusals = Refusals()
    lock = AdmissionLock(memory)
    histograms = RouteHistograms(memory, lock.fd)
    upstreams = Upstreams(EndpointTools(memory, counters, lock.fd, partial(loop.call_later, _NOTICED)))
    sessions = SessionTools(
        poller,
        settings,
        turn,
        page,
        unread,
        sparse,
        loop,
        tasks,
        deadlines,
        counters,
        log,
        pools,
        heap,
        errors,
        histograms,
        RequestIds(http2.unindexed()),
        refusals,
        HandshakeLog(loop.time),
    )
    relay = Toolbox(poller, PipePool(), buffer, counters)
    gate, registry = ClientGate(memory, slot), Registry(on_idle)
    guards = GuardTools(loop, poller, deadlines, sparse)
    frontend = FrontendTools(
        poller, deadlines, counters, settings, gate, log, registry, dial, relay, sessions, errors, guards, refusals
    )
    return Assembly(frontend, pools, upstreams)


def native_path(
    loop: asyncio.AbstractEventLoop,
    tools: FrontendTools,
    memory: SharedMemory,
    slot: int,
    sources: Callable[[], str],
    library: int,
) -> "NativePath":
    """Build the native data path.

    Args:
        loop: the event loop.
        tools: what clients' connections share.
        memory: what is shared with the other workers and control.
        slot: this worker's part of it.
        sources: returns the digest of those that the library must have been compiled from; raises `NativeCoreError`.
        library: descriptor of its file.

    Raises:
        NativeCoreError: that can't be loaded, or is another version's.
        OSError: there are no descriptors or memory for it.
    """
    wanted = sources()  # first: what is imported now is of their version
    from mcproxy.net.native.loading import load  # noqa: PLC0415 - slow to import, and many configurations relay nothing
    from mcproxy.worker.native.path import NativePath  # noqa: PLC0415 - likewise

    own = load(f"/proc/self/fd/{library}", wanted)
    return NativePath(loop, tools, memory, slot, AdmissionLock(memory).fd, own)
