"""The objects of a worker, built on `tests.support.fake_http.HttpWire`: listeners, routes, and what shares them.

::

    worker = FakeWorker()
    listener = worker.listener(worker.route("a.example", "192.0.2.1:443"))
    client = worker.wire.client()
    Connection(worker.frontend, listener, client.sock.as_plain(), client.sock.remote).start()
    client.sends(client_hello("a.example"))
    assert worker.wire.happened() == ["dial 192.0.2.1:443"]
    assert worker.total(listener.accepted_counter) == 0
"""

import inspect
import os
import ssl
from array import array
from collections import Counter
from functools import partial
from typing import Any, cast

import msgspec

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.snapshot import HttpEntry, ListenerEntry, RouteEntry, Timeouts, make_snapshot
from mcproxy.model.state.state import MAX_ROUTES, Listener, Policy, Route
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.ipc import Failures
from mcproxy.net.memory.admission import Admission
from mcproxy.net.memory.route_histograms import MOST, RouteHistograms
from mcproxy.net.memory.shared_memory import (
    LISTENER_REQUEST_SECONDS,
    histogram_counter,
    reason_counter,
    route_reason_counter,
)
from mcproxy.net.memory.sparse_counters import WORDS, SparseCounters
from mcproxy.policy.headers import RequestHead
from mcproxy.wire import http2
from mcproxy.wire.proxy_protocol import PackedAddress
from mcproxy.worker.auth.tools import GuardTools
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.proxy_header import header_options
from mcproxy.worker.frontend.connection import Connection
from mcproxy.worker.frontend.late_http import HttpParts, LateHttp
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.http.handshakes import HandshakeLog
from mcproxy.worker.http.termination import Termination
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.live.files import Files
from mcproxy.worker.live.listener import LiveListener, LiveRoute
from mcproxy.worker.live.pools import Pools
from mcproxy.worker.requests.interfaces import SessionTools
from mcproxy.worker.requests.refusals import Refusals
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import Exchange
from mcproxy.worker.tools.access_log import AccessLog, ConnectionLine
from mcproxy.worker.tools.errors import Errors
from mcproxy.worker.tools.gate import ClientGate
from mcproxy.worker.tools.heap import Heap
from mcproxy.worker.tools.line_shape import Origin
from mcproxy.worker.tools.registry import Registry
from mcproxy.worker.tools.request_ids import RequestIds
from tests.support.fake_http import HttpWire
from tests.support.fake_wire import Peer

_STATE = resolve([Source("mc-proxy.toml", '[[listeners]]\naddr = ":8443"\n')]).state
REQUEST_SECONDS = histogram_counter(0, LISTENER_REQUEST_SECONDS)
_DEFAULTS = make_snapshot(_STATE, 1, {":8443": 0}, {}, {":8443": 0}, digests={})
HTTP = _DEFAULTS.http
TIMEOUTS = msgspec.structs.replace(
    _DEFAULTS.timeouts, client_hello=5.0, proxy_header=3.0, handshake=10.0, connect=2.0, idle=60.0, shutdown=30.0
)


_REQUEST = inspect.signature(AccessLog.request)


class FakeLog:
    """Keeps what the access log was told.

    Attributes:
        is_open: set it to be told anything.
        connections: the lines of connections.
        requests: of each request its origin, head, status and reason.
        told: of each request all arguments of `AccessLog.request`.
    """

    def __init__(self) -> None:
        self.is_open = True
        self.connections: list[ConnectionLine] = []
        self.requests: list[tuple[Origin, RequestHead | None, int, str]] = []
        self.told: list[dict[str, Any]] = []

    def connection(self, line: ConnectionLine) -> None:
        self.connections.append(line)

    def written(self, lines: memoryview, count: int) -> None:
        found = [msgspec.json.decode(line, type=ConnectionLine) for line in bytes(lines).splitlines()]
        assert len(found) == count
        self.connections += found

    def request(self, origin: Origin, head: RequestHead | None, status: int, *rest: Any, **named: Any) -> None:
        told = _REQUEST.bind(self, origin, head, status, *rest, **named)
        told.apply_defaults()
        self.told.append(told.arguments)
        self.requests.append((origin, head, status, told.arguments["reason"]))


class FakeGate:
    """Refuses whom the test says.

    Attributes:
        refused: why a client is refused, by packed address.
        countries: by packed address.
        counted: how often something came to the limit of a filter, by its index and what it counts as one; windows don't end.
    """

    def __init__(self) -> None:
        self.refused: dict[bytes, str] = {}
        self.countries: dict[bytes, str] = {}
        self.counted: Counter[tuple[int, bytes]] = Counter()

    @property
    def is_open(self) -> bool:
        return not self.refused

    def country(self, packed: bytes) -> str | None:
        return self.countries.get(packed)

    def admits(self, filter_index: int, subject: bytes, limit: int, _window: float, _now: float) -> bool:
        self.counted[filter_index, subject] += 1
        return bool(self.counted[filter_index, subject] <= limit)

    def refusal(self, packed: bytes, _now: float, *, rated: bool = True) -> str | None:
        reason = self.refused.get(packed)
        return None if reason == "rate_limit" and not rated else reason


class FakeAdmission:
    """Counts the connections that were let in and have not ended."""

    def __init__(self) -> None:
        self.limit = 0
        self.open = 0

    def admit(self) -> bool:
        if self.limit and self.open >= self.limit:
            return False
        self.open += 1
        return True

    def release(self) -> None:
        self.open -= 1


class _NoFiles:
    """Has a context for every certificate, and a backend for every route."""

    def server_context(self, _entry: RouteEntry) -> ssl.SSLContext:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def backend(self, entry: RouteEntry, endpoints: tuple[Endpoint, ...]) -> Backend:
        route = entry.route
        return Backend(
            endpoints,
            route.backend_tls,
            b"",
            route.backend_server_name,
            route.backend_protocol,
            proxy_header=header_options(route),
        )


class FakePool:
    """Keeps the exchanges that were begun or given up; as a `PoolDirectory` it is every backend's.

    Attributes:
        acquired: exchanges that wait for a connection: `Exchange.attach` or `Exchange.fail` is the test's to call.
        abandoned: those that did so, and were withdrawn.
    """

    def __init__(self) -> None:
        self.acquired: list[Exchange] = []
        self.abandoned: list[Exchange] = []
        self.released: list[PackedAddress] = []

    def acquire(self, exchange: Exchange) -> None:
        self.acquired.append(exchange)

    def abandon(self, exchange: Exchange) -> bool:
        if exchange not in self.acquired:
            return False
        self.acquired.remove(exchange)
        self.abandoned.append(exchange)
        return True

    def of(self, backend: Backend, arrival: Arrival, number: int) -> Pool[Exchange]:
        return self

    def claim(self, exchange: Exchange, arrival: Arrival, number: int) -> Backend | None:
        return None

    def release(self, backend: Backend, arrival: Arrival, number: int) -> None:
        self.released.append(arrival.source)


class FakeHistograms:
    """Has one histogram left for the first route that asks, and none for others."""

    def __init__(self) -> None:
        self._words = array("Q", bytes(8 * (MOST + MAX_ROUTES)))
        self._words[1:MOST] = array("Q", [MAX_ROUTES] * (MOST - 1))

    def assigned_histograms(self) -> memoryview:
        return memoryview(self._words)

    def clear_histogram(self, number: int) -> None: ...


_LOCK = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # of all: fuzzing makes thousands of these workers


class FakeWorker:
    """Everything that connections share.

    Attributes:
        wire: peers, time, and what happens.
        log, gate, admission, pool: what the objects under test are given in place of the real ones.
        lock_fd: a descriptor that can be locked (flock).
        sparse, sparse_words: count by case and filter, and where.
        released: how often memory was given back.
        reports: what control was told of failures.
        refusals: what was kept of those that were refused.
        sessions, frontend: what they are given.
    """

    def __init__(self, timeouts: Timeouts = TIMEOUTS, http: HttpEntry = HTTP) -> None:
        self.wire = wire = HttpWire()
        wire.settings.update(timeouts, http)
        self.log = FakeLog()
        self.gate = FakeGate()
        self.admission = FakeAdmission()
        self.pool = FakePool()
        self.lock_fd = _LOCK
        self.released = 0
        self.sparse_words = memoryview(bytearray(8 * WORDS)).cast("Q")
        self.sparse = SparseCounters(self.sparse_words)
        self.reports: list[Failures] = []
        self.refusals = Refusals()
        self.registry = Registry(lambda: wire.note("idle"))
        log = cast("AccessLog", self.log)
        poller, deadlines, counters, settings = wire.as_poller(), wire.deadlines, wire.counters, wire.settings
        shared = wire.http_tools
        self.sessions = SessionTools(
            poller,
            settings,
            shared.turn,
            shared.page,
            shared.unread,
            self.sparse,
            wire.loop.as_loop(),
            wire.tasks,
            deadlines,
            counters,
            log,
            self.pool,
            Heap(wire.loop.as_loop(), self._release),
            Errors(wire.loop.as_loop(), counters, self.reports.append),
            RouteHistograms(FakeHistograms(), _LOCK),
            RequestIds(http2.unindexed()),
            self.refusals,
            HandshakeLog(lambda: wire.now),
        )
        self.frontend = FrontendTools(
            poller,
            deadlines,
            counters,
            settings,
            cast("ClientGate", self.gate),
            log,
            self.registry,
            wire.dial_tools,
            wire.relay_tools,
            LateHttp(lambda: HttpParts(partial(Termination, self.sessions), cast("Pools", self.pool))),
            self.sessions.errors,
            GuardTools(wire.loop.as_loop(), poller, deadlines, self.sparse),
            self.refusals,
            self.sparse,
        )
        self._routes = 0

    def _release(self) -> None:
        self.released += 1

    def route(
        self,
        hostname: str,
        *addresses: str,
        policies: tuple[Policy, ...] = (),
        clear: bool = False,
        **fields: Any,
    ) -> LiveRoute:
        """Return a route to addresses (``"192.0.2.1:443"``, ``"name:443"``, ``"/path"``); ``fields`` are a `Route`'s.

        ``clear``: its clients speak HTTP without TLS.

        Without addresses it leads to an upstream, once `LiveRoute.lead_to` has said to which.
        """
        endpoints = tuple(parse_endpoint(address) for address in addresses)
        declared = Route(":8443", hostname, endpoints, **fields)
        entry = RouteEntry(self._routes, declared, policies, upstream="" if endpoints else "upstream")
        self._routes += 1
        live = LiveRoute(entry, cast("Files", _NoFiles()), REQUEST_SECONDS, clear=clear)
        live.pool = None if live.proxy_header else self.pool
        return live

    def listener(
        self, *routes: LiveRoute, proxy_protocol: bool = False, trusted: tuple[str, ...] = (), **fields: Any
    ) -> LiveListener:
        """Return a listener at ``:8443`` that serves routes, with index 0; ``fields`` are further ones of a `Listener`."""
        listening = Listener(":8443", proxy_protocol, trusted, **fields)
        entry = ListenerEntry(0, listening, 0, tuple(route.entry for route in routes))
        listener = LiveListener(entry, cast("Admission", self.admission), {})
        listener.update(entry, {route.entry.route.hostname: route for route in routes})
        return listener

    def connect(
        self,
        listener: LiveListener,
        source: tuple[str, int] = ("192.0.2.1", 55555),
        *,
        sent: bytes = b"",
        ended: bool = False,
    ) -> tuple[Peer, Connection]:
        """Accept a client that has already ``sent`` something, and perhaps ``ended``; return both."""
        client = self.wire.client(source=source)
        client.sock.incoming += sent
        client.sock.ended = ended
        assert self.admission.admit()
        connection = Connection(self.frontend, listener, client.sock.as_plain(), source)
        connection.start()
        self.wire.settle()
        return client, connection

    def arrival(self, listener: LiveListener, route: LiveRoute | None, server_name: str | None = None) -> Arrival:
        """Return a client at 192.0.2.1 port 55555, come in at 192.0.2.100 port 8443."""
        local = b"\xc0\x00\x02\x64", 8443
        return Arrival(listener, route, (b"\xc0\x00\x02\x01", 55555), local, server_name, local)

    def counted(self, counter: int) -> int:
        """Return the value of a counter."""
        return int(self.wire.counters[counter])

    def refused(self, reason: str) -> int:
        """Return how many clients of the listener ended for a reason, with a route or without."""
        routes = sum(self.counted(route_reason_counter(route, reason)) for route in range(self._routes))
        return self.counted(reason_counter(0, reason)) + routes


def parse_endpoint(address: str) -> Endpoint:
    """Return an endpoint of ``"192.0.2.1:443"``, ``"name:443"`` or ``"/path"``."""
    if address.startswith("/"):
        return Endpoint(path=address)
    host, _, port = address.rpartition(":")
    return Endpoint(host.strip("[]"), int(port))
