"""What clients' HTTP sessions use, and the owner that is notified of their end."""

import asyncio
from typing import Protocol

from mcproxy.model.values.reasons import Failure
from mcproxy.net.loop.deadlines import Deadlines, Timed
from mcproxy.net.memory.route_histograms import RouteHistograms
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.requests.refusals import Refusals
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import Exchange
from mcproxy.worker.stream.http_connection import HttpTools
from mcproxy.worker.tools.access_log import AccessLog
from mcproxy.worker.tools.errors import Errors
from mcproxy.worker.tools.heap import Heap
from mcproxy.worker.tools.request_ids import RequestIds
from mcproxy.worker.tools.tasks import Tasks


class PoolDirectory(Protocol):
    """The pools whose connections serve one client each."""

    def of(self, backend: Backend, arrival: Arrival, number: int) -> Pool[Exchange]:
        """Return the pool for one client's requests to a backend.

        Args:
            backend: where they go.
            arrival: the client's, as PROXY headers tell of it, if the backend wants them.
            number: the client connection's whose own it is; 0 where the client alone counts.
        """

    def claim(self, exchange: Exchange, arrival: Arrival, number: int) -> Backend | None:
        """Move an exchange to the pool that `of` returns, with the connection that serves it alone; return the backend."""

    def release(self, backend: Backend, arrival: Arrival, number: int) -> None:
        """Give up the pool that `of` has returned: the client is gone, and nobody else may use its connections."""


class Handshakes(Protocol):
    """Where it is told that handshakes fail."""

    def failed(self, arrival: Arrival, failure: Failure, cause: str) -> None:
        """Take note of one; ``cause`` is the word for it."""


class SessionTools(HttpTools, frozen=True, eq=False):
    """What clients' HTTP sessions share, beside what all HTTP connections do.

    Attributes:
        loop: the event loop.
        tasks: runs TLS handshakes.
        deadlines: time limits.
        counters: this worker's, in the shared memory.
        log: where requests are told.
        pools: private ones; a `LiveRoute` has the pool that clients share.
        heap: gives memory back.
        errors: counts what fails.
        histograms: of the durations of requests, by route.
        ids: of requests.
        refusals: keeps what was refused.
        handshakes: tells of those that fail.
    """

    loop: asyncio.AbstractEventLoop
    tasks: Tasks
    deadlines: Deadlines
    counters: memoryview
    log: AccessLog
    pools: PoolDirectory
    heap: Heap
    errors: Errors
    histograms: RouteHistograms
    ids: RequestIds
    refusals: Refusals
    handshakes: Handshakes


class SessionOwner(Timed, Protocol):
    """Who is told that a session is over; its deadline is when `Session.check` is called."""

    def on_session_end(self) -> None:
        """The client's connection is closed."""
