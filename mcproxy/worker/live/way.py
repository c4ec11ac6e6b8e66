"""Where requests go: what routes, cases and filters that ask another server have in common."""

from typing import TYPE_CHECKING

from mcproxy.net.memory.sparse_counters import Key
from mcproxy.policy.answers import OwnAnswer
from mcproxy.worker.backends.backend import Backend

if TYPE_CHECKING:
    from mcproxy.worker.live.upstream import LiveUpstream
    from mcproxy.worker.stream.course import Pool
    from mcproxy.worker.stream.exchange import Exchange


class Way:
    """To a backend, to an upstream, or nowhere, since they are answered here.

    Attributes:
        l7: requests go there, and not connections.
        answer: what requests are answered with here, None where they go to a backend.
        backend: the address that it leads to, as pools know it; None for l4, and where it leads to an upstream.
        upstream: the upstream that it leads to, None for a single address.
        pool: the backend's connections, or those of the upstream's endpoints; None where each client has its own (PROXY headers).
        name: the match of a case, "" for what is none.
        counter: counts the requests of a case.
    """

    __slots__ = ("answer", "backend", "counter", "l7", "name", "pool", "upstream")

    def __init__(self, backend: Backend | None, answer: OwnAnswer | None, *, l7: bool = True) -> None:
        """Lead to an address or to an answer, or to nothing until `lead_to`; `Pools.assign` finds the pool of an address."""
        self.l7 = l7
        self.answer = answer
        self.backend = backend
        self.name = ""
        self.counter: Key = 0, 0
        self.upstream: LiveUpstream | None = None
        self.pool: Pool[Exchange] | None = None

    def lead_to(self, upstream: "LiveUpstream | None") -> None:
        """Lead to an upstream of the live snapshot, if it does not lead to a single address."""
        self.upstream = upstream
        if upstream is None:
            return
        from mcproxy.worker.live.balancer import Balancer  # noqa: PLC0415 - slow to import, and many configurations have no upstream

        if not self.l7 or upstream.proxy_header:
            self.pool = None
        elif not (isinstance(self.pool, Balancer) and self.pool.upstream is upstream):
            self.pool = Balancer(upstream)

    @property
    def leads(self) -> bool:
        """Whether there is a backend."""
        return self.backend is not None or self.upstream is not None
