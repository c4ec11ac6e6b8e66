"""The pools of all backends."""

import random
from collections.abc import Sequence

import msgspec

from mcproxy.wire.proxy_protocol import Address
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.backoff import Backoff
from mcproxy.worker.backends.pool import BackendPool, PoolTools
from mcproxy.worker.live.listener import LiveRoute


class Pools:
    """The pools of all backends."""

    def __init__(self, tools: PoolTools) -> None:
        self._tools = tools
        self._pools: dict[Backend, BackendPool] = {}
        self._backoffs: dict[Backend, Backoff] = {}  # by what their backends have in common for all clients

    def of(self, backend: Backend, source: Address, local: Address) -> BackendPool:
        """Return the pool for one client's requests to a backend that is told by PROXY headers who that is."""
        return self._pool(msgspec.structs.replace(backend, source=source, local=local))

    def release(self, backend: Backend, source: Address, local: Address) -> None:
        """Give up the pool that `of` has returned: the client is gone, and nobody else may use its connections."""
        pool = self._pools.pop(msgspec.structs.replace(backend, source=source, local=local), None)
        if pool is not None:
            pool.retire()

    def assign(self, routes: Sequence[LiveRoute]) -> None:
        """Give every route the pool of its backend, and retire the pools that no route leads to."""
        wanted = {route.backend for route in routes}
        for backend, pool in list(self._pools.items()):
            if _for_all(backend) not in wanted:
                del self._pools[backend]
                pool.retire()
        for backend in self._backoffs.keys() - wanted:
            del self._backoffs[backend]
        for route in routes:
            if route.backend is not None and not route.backend.proxy_header:
                route.pool = self._pool(route.backend)

    def _pool(self, backend: Backend) -> BackendPool:
        pool = self._pools.get(backend)
        if pool is None:
            backoff = self._backoffs.setdefault(_for_all(backend), Backoff(random.random))
            pool = BackendPool(self._tools, backend, backoff, lambda: self._drop_private(backend))
            self._pools[backend] = pool
        return pool

    def _drop_private(self, backend: Backend) -> None:
        """Forget the pool of one client's PROXY header when it is empty."""
        if backend.source is not None:
            self._pools.pop(backend, None)


def _for_all(backend: Backend) -> Backend:
    """Return the backend as it is before a client is named to it."""
    return msgspec.structs.replace(backend, source=None, local=None)
