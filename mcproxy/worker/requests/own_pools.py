"""The pools whose connections serve one client connection alone."""

import itertools
from typing import TYPE_CHECKING

from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.live.endpoint import LiveEndpoint
from mcproxy.worker.live.way import Way
from mcproxy.worker.requests.interfaces import PoolDirectory
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import Exchange

if TYPE_CHECKING:
    from mcproxy.worker.live.upstream import LiveUpstream

_numbers = itertools.count(1)


class OwnPools:
    """Those of one client connection: where PROXY headers name the client, and where the client has authenticated a connection.

    Attributes:
        bound: the backends with connections that know, or may soon know, who the client is.
    """

    __slots__ = ("_arrival", "_directory", "_named", "_number", "bound")

    def __init__(self, directory: PoolDirectory, arrival: Arrival) -> None:
        self._directory = directory
        self._arrival = arrival
        self._named: Backend | None = None  # it is told by PROXY headers who the client is
        self._number = 0
        self.bound: set[Backend] = set()

    def find(self, way: Way, *, binds: bool) -> Pool[Exchange]:
        """Return the pool for a request that goes some way; ``binds``: it authenticates the connection it comes on."""
        if way.upstream is None:
            assert way.backend is not None  # noqa: S101 - else it would lead nowhere
            return self.of(way.backend, way.pool, binds=binds)
        if way.pool is not None and not binds and self.place(way.upstream) is None:
            return way.pool
        from mcproxy.worker.live.balancer import Balancer  # noqa: PLC0415 - slow to import, and many configurations have no upstream

        return Balancer(way.upstream, _OwnPlaces(self, binds=binds))

    def place(self, upstream: "LiveUpstream", *, only_authenticated: bool = False) -> LiveEndpoint | None:
        """Return the endpoint that knows, or may soon know, who the client is; None if none of them does."""
        named = None if only_authenticated else self._named
        for endpoint in upstream.endpoints.values():
            if endpoint.backend is not None and (endpoint.backend is named or endpoint.backend in self.bound):
                return endpoint
        return None

    def of(self, backend: Backend, shared: Pool[Exchange] | None, *, binds: bool) -> Pool[Exchange]:
        """Return the pool for a request to a backend.

        Args:
            backend: where it goes.
            shared: the pool that clients share, None if they don't.
            binds: whether the request authenticates the connection it comes on.
        """
        if binds or backend in self.bound:
            self.bound.add(backend)
            return self._of(backend, self._own_number())
        if shared is not None:
            return shared
        if backend is not self._named:
            self._leave_named()
            self._named = backend
        return self._of(backend, 0)

    def claim(self, exchange: Exchange) -> None:
        """Keep the connection that serves an exchange, and all further ones to its backend."""
        backend = self._directory.claim(exchange, self._arrival, self._own_number())
        if backend is not None:
            self.bound.add(backend)

    def release(self) -> None:
        """Close them: the client is gone."""
        self._leave_named()
        for backend in self.bound:
            self._directory.release(backend, self._arrival, self._number)
        self.bound.clear()

    def _of(self, backend: Backend, number: int) -> Pool[Exchange]:
        return self._directory.of(backend, self._arrival, number)

    def _own_number(self) -> int:
        self._number = self._number or next(_numbers)
        return self._number

    def _leave_named(self) -> None:
        if self._named is not None:
            self._directory.release(self._named, self._arrival, 0)
            self._named = None


class _OwnPlaces:
    """Where requests of one client connection to an upstream go: to the endpoint that knows the client, while it is usable."""

    def __init__(self, own: OwnPools, *, binds: bool) -> None:
        self._own = own
        self._binds = binds

    def keep(
        self, exchange: Exchange, upstream: "LiveUpstream", *, only_authenticated: bool = False
    ) -> LiveEndpoint | None:
        """Return the endpoint where the client is known, taken; None to choose one."""
        endpoint = self._own.place(upstream, only_authenticated=only_authenticated)
        return endpoint if endpoint is not None and upstream.stay(endpoint, exchange.client.now()) else None

    def pool(self, endpoint: LiveEndpoint) -> Pool[Exchange]:
        """Return the client's own pool of an endpoint."""
        assert endpoint.backend is not None  # noqa: S101 - an L7 route leads here
        return self._own.of(endpoint.backend, endpoint.pool, binds=self._binds)
