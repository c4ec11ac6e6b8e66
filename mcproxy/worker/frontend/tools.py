"""What clients' connections share."""

import msgspec

from mcproxy.net.loop.deadlines import Deadlines
from mcproxy.net.loop.poller import Poller
from mcproxy.net.loop.relay import Toolbox
from mcproxy.net.memory.sparse_counters import SparseCounters
from mcproxy.worker.auth.tools import GuardTools
from mcproxy.worker.backends.dial import DialTools
from mcproxy.worker.frontend.late_http import LateHttp
from mcproxy.worker.requests.refusals import Refusals
from mcproxy.worker.tools.access_log import AccessLog
from mcproxy.worker.tools.errors import Errors
from mcproxy.worker.tools.gate import ClientGate
from mcproxy.worker.tools.registry import Registry
from mcproxy.worker.tools.settings import Settings


class FrontendTools(msgspec.Struct, frozen=True, eq=False):
    """What acceptors and clients' connections use, and hand on at the stages of a connection.

    Attributes:
        poller: dispatches socket events.
        deadlines: time limits.
        counters: this worker's, in the shared memory.
        settings: of the live snapshot.
        gate: the firewall and the rate limit.
        log: where connections are told.
        registry: the connections that are open.
        dial: for dials.
        relay: for relays.
        http: for connections that are terminated.
        errors: counts what is refused and what fails.
        guards: for filters that have to ask.
        refusals: keeps what was refused.
        sparse: counts by case and filter, and of TLS.
    """

    poller: Poller
    deadlines: Deadlines
    counters: memoryview
    settings: Settings
    gate: ClientGate
    log: AccessLog
    registry: Registry
    dial: DialTools
    relay: Toolbox
    http: LateHttp
    errors: Errors
    guards: GuardTools
    refusals: Refusals
    sparse: SparseCounters
