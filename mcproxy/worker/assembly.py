"""Everything that the connections of a worker share, whatever they speak, built and joined in one place."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from mcproxy.net.ipc import Failures
from mcproxy.net.loop.deadlines import Deadlines
from mcproxy.net.loop.pipes import PipePool
from mcproxy.net.loop.poller import Poller
from mcproxy.net.loop.relay import BUFFER_SIZE, Toolbox
from mcproxy.net.memory.admission import AdmissionLock
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.memory.sparse_counters import SparseCounters
from mcproxy.net.resolver import Resolver
from mcproxy.worker.auth.tools import GuardTools
from mcproxy.worker.backends.dial import DialTools
from mcproxy.worker.frontend.late_http import HttpParts, LateHttp
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.live.endpoint import EndpointTools
from mcproxy.worker.live.upstreams import Upstreams
from mcproxy.worker.requests.refusals import Refusals
from mcproxy.worker.tools.access_log import AccessLog
from mcproxy.worker.tools.errors import Errors
from mcproxy.worker.tools.gate import ClientGate
from mcproxy.worker.tools.registry import Registry
from mcproxy.worker.tools.settings import Settings

if TYPE_CHECKING:
    from mcproxy.worker.native.path import NativePath

_NOTICED = 0.1  # seconds for an endpoint to notice that a connection or request has been broken off


class Assembly(msgspec.Struct, frozen=True, eq=False):
    """The parts that the process itself deals with.

    Attributes:
        frontend: for clients' connections.
        upstreams: those of the live snapshot.
    """

    frontend: FrontendTools
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
    buffer = memoryview(bytearray(BUFFER_SIZE))
    dial = DialTools(poller, deadlines, Resolver(loop), counters, settings)
    errors = Errors(loop, counters, report)
    lock = AdmissionLock(memory)
    upstreams = Upstreams(EndpointTools(memory, counters, lock.fd, partial(loop.call_later, _NOTICED)))
    relay = Toolbox(poller, PipePool(), buffer, counters)
    gate, registry = ClientGate(memory, slot), Registry(on_idle)
    guards = GuardTools(loop, poller, deadlines, sparse)

    def make_http() -> HttpParts:
        from mcproxy.worker.http_assembly import assemble_http  # noqa: PLC0415 - see `LateHttp`

        return assemble_http(loop, frontend, memory, lock.fd, buffer)

    http = LateHttp(make_http)
    frontend = FrontendTools(
        poller,
        deadlines,
        counters,
        settings,
        gate,
        log,
        registry,
        dial,
        relay,
        http,
        errors,
        guards,
        Refusals(),
        sparse,
    )
    return Assembly(frontend, upstreams)


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
