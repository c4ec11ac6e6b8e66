"""What the guards of a worker share that have to ask; made for the first of them, as bcrypt and the rest load slowly."""

import asyncio
from typing import TYPE_CHECKING

from mcproxy.net.loop.deadlines import Deadlines
from mcproxy.net.loop.poller import Poller
from mcproxy.net.memory.sparse_counters import SparseCounters

if TYPE_CHECKING:
    from mcproxy.worker.auth.forward import ForwardTools
    from mcproxy.worker.auth.hashing import Hashing


class GuardTools:
    """Those of one worker."""

    __slots__ = ("_deadlines", "_forward", "_hashing", "_loop", "_poller", "_sparse", "_workers")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, poller: Poller, deadlines: Deadlines, sparse: SparseCounters
    ) -> None:
        """Make nothing yet; see `Hashing` and `ForwardTools` for the arguments."""
        self._loop = loop
        self._poller = poller
        self._deadlines = deadlines
        self._sparse = sparse
        self._workers = 1
        self._hashing: Hashing | None = None
        self._forward: ForwardTools | None = None

    @property
    def hashing(self) -> "Hashing":
        """What checks passwords."""
        if self._hashing is None:
            from mcproxy.worker.auth.hashing import Hashing  # noqa: PLC0415 - see above

            self._hashing = Hashing(self._loop, self._poller.tick, self._poller.report)
            self._hashing.share(self._workers)
        return self._hashing

    @property
    def forward(self) -> "ForwardTools":
        """What questions to other servers take."""
        if self._forward is None:
            from mcproxy.worker.auth.forward import ForwardTools  # noqa: PLC0415 - see above

            self._forward = ForwardTools(self._deadlines, self._sparse, self._poller.report)
        return self._forward

    def share(self, workers: int) -> None:
        """Use this worker's share of the CPUs, where there are so many ``workers``."""
        self._workers = workers
        if self._hashing is not None:
            self._hashing.share(workers)
