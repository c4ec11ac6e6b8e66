"""The pools whose connections serve one client connection alone."""

import itertools

from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.http.interfaces import PoolDirectory
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.stream.exchange import Exchange, Pool

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

    def find(self, backend: Backend, shared: Pool | None, *, binds: bool) -> Pool:
        """Return the pool for a request.

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

    def _of(self, backend: Backend, number: int) -> Pool:
        return self._directory.of(backend, self._arrival, number)

    def _own_number(self) -> int:
        self._number = self._number or next(_numbers)
        return self._number

    def _leave_named(self) -> None:
        if self._named is not None:
            self._directory.release(self._named, self._arrival, 0)
            self._named = None
