"""The pools of all backends."""

import random
from collections.abc import Sequence

import msgspec

from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.backoff import Backoff
from mcproxy.worker.backends.decisions import Spoken
from mcproxy.worker.backends.pool import BackendPool, PoolTools
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.live.endpoint import LiveEndpoint
from mcproxy.worker.live.way import Way
from mcproxy.worker.stream.exchange import Exchange


class Pools:
    """The pools of all backends."""

    def __init__(self, tools: PoolTools) -> None:
        self._tools = tools
        self._pools: dict[Backend, BackendPool] = {}
        self._backoffs: dict[Backend, Backoff] = {}  # by what their backends have in common for all clients

    def of(self, backend: Backend, arrival: Arrival, number: int) -> BackendPool:
        """Return the pool for one client's requests to a backend: told by PROXY headers who that is, or owned by number.

        Until it is released it is the same one: requests that have stepped back from it come again.
        """
        return self._pool(_for_one(backend, arrival, number))

    def claim(self, exchange: Exchange, arrival: Arrival, number: int) -> Backend | None:
        """Move an exchange to the pool of its client connection, with the connection that serves it alone."""
        pool = exchange.pool
        if not isinstance(pool, BackendPool):
            return None
        backend = _for_all(pool.backend)
        own = self.of(backend, arrival, number)
        if own is not pool:
            pool.hand_over(exchange, own)
        return backend

    def release(self, backend: Backend, arrival: Arrival, number: int) -> None:
        """Give up the pool that `of` has returned: the client is gone, and nobody else may use its connections."""
        pool = self._pools.pop(_for_one(backend, arrival, number), None)
        if pool is not None:
            pool.retire()

    def assign(self, ways: Sequence[Way]) -> None:
        """Give everything that leads to a backend, and every endpoint, the pool of that, and retire the pools to which nothing leads.

        Endpoints in maintenance have none: their idle connections are closed, and requests that are under way finish.
        """
        holders: list[Way | LiveEndpoint] = [*ways, *_endpoints(ways)]
        wanted = {holder.backend for holder in holders}
        for backend, pool in list(self._pools.items()):
            if _for_all(backend) not in wanted:
                del self._pools[backend]
                pool.retire()
        for backend in self._backoffs.keys() - wanted:
            del self._backoffs[backend]
        for holder in holders:
            if holder.backend is not None:
                holder.pool = None if holder.backend.proxy_header else self._pool(holder.backend)

    def _pool(self, backend: Backend) -> BackendPool:
        pool = self._pools.get(backend)
        if pool is None:
            backoff = self._backoffs.setdefault(_for_all(backend), Backoff(random.random))
            pool = self._pools[backend] = BackendPool(self._tools, backend, backoff, self._spoken_to_one(backend))
        return pool

    def _spoken_to_one(self, backend: Backend) -> Spoken | None:
        """Return what the pool of one client connection is to speak whatever its backend offers, None to find out.

        Authentication of connections belongs to HTTP/1.1: servers that have it decline over HTTP/2.
        """
        if not backend.owner or backend.protocol != "auto":
            return None
        shared = self._pools.get(_for_all(backend))
        return "http/1.1" if backend.tls or (shared is not None and shared.speaks == "http/1.1") else None


def _endpoints(ways: Sequence[Way]) -> list[LiveEndpoint]:
    """Return the endpoints that requests may go to."""
    upstreams = {way.upstream: None for way in ways if way.upstream is not None and way.l7}
    return [
        endpoint
        for upstream in upstreams
        for endpoint in upstream.endpoints.values()
        if endpoint.entry.state != "maintenance"
    ]


def _for_one(backend: Backend, arrival: Arrival, number: int) -> Backend:
    """Return the backend as one client, or client connection, has it."""
    if backend.proxy_header is not None:
        header = backend.proxy_header
        destination = None
        if header.original:
            destination = arrival.destination
        elif backend.endpoints[0].path:
            destination = arrival.local  # the backend's own address is none that a header could name
        tlvs = arrival.tlvs if header.tlvs else ()
        return msgspec.structs.replace(backend, source=arrival.source, destination=destination, tlvs=tlvs, owner=number)
    return msgspec.structs.replace(backend, owner=number)


def _for_all(backend: Backend) -> Backend:
    """Return the backend as it is before a client is named to it."""
    return msgspec.structs.replace(backend, source=None, destination=None, tlvs=(), owner=0)
