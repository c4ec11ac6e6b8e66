"""One client connection on a wire without sockets, and the connections to a backend that its requests lead to."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from mcproxy.wire.http2 import PREFACE
from mcproxy.worker.backends.h1_backend import H1Backend
from mcproxy.worker.backends.h2_backend import H2Backend
from mcproxy.worker.http.h1_session import H1Session
from mcproxy.worker.http.h2_session import H2Session
from mcproxy.worker.http.session import Session
from mcproxy.worker.stream.exchange import Exchange
from mcproxy.worker.stream.http_connection import HttpConnection
from tests.support.fake_http import HttpWire, TransportPeer
from tests.support.fake_worker import FakeWorker
from tests.support.scoped_routes import ScopedRoute
from tests.unit.wire.http2.h2lab import settings

_CHECKS = 40  # of a session's time limits, until it has surely ended
_ROUNDS = 200  # turns of taking requests to the backend
_MOST_HELD = 3 << 20  # bytes: `unsent_bytes`, and windows


class Version(msgspec.Struct, frozen=True):
    """A version of HTTP at one end.

    Attributes:
        session: makes a client's connection.
        backend: makes a backend's connection.
        opening: what a client must say first.
        answer: what a backend must say first.
    """

    session: Callable[..., Session]
    backend: Callable[[HttpWire, Any], H1Backend | H2Backend]
    opening: bytes
    answer: bytes


HTTP1 = Version(H1Session, lambda wire, pool: H1Backend(wire.http_tools, pool), b"", b"")
HTTP2 = Version(
    H2Session, lambda wire, pool: H2Backend(wire.http_tools, pool, b"https"), PREFACE + settings(), settings()
)


FILTERED = """
[[listeners.routes.cases]]
match = "/*"
[listeners.routes.cases.filter]
max_body = "1KiB"
rewrite = { from = "/", to = "/below" }
rewrite_host = "inside.example"
set_request_headers = { X-User = "{client_ip}", X-Uri = "{uri}" }
remove_request_headers = ["Cookie"]
set_response_headers = { Server = "{path}" }
remove_response_headers = ["X-A"]
request_timeout = "5s"
idle_timeout = "20s"
error_pages = { "4xx" = "sorry.html", "5xx" = "sorry.html" }
backend_errors = true
cors = { origins = ["https://a.example"], credentials = true }
[[listeners.routes.cases]]
match = "/admin/*"
respond = "no"
status = 403
"""

Outcome = tuple[int, str]
"""A request's status and the reason of its end."""


class Conversation:
    """A session, and the pool that it asks.

    Attributes:
        client: the client's end.
        outcomes: status and reason of each request, in the order of their ends.
    """

    def __init__(self, client: Version, backend: Version, *, filtered: bool = False) -> None:
        """Begin; ``filtered``: the route has cases, and filters that do all that they can without asking."""
        self._backend = backend
        self._worker = FakeWorker()
        self._wire = self._worker.wire
        self._pool = self._worker.pool
        route = self._worker.route("a.example", "192.0.2.1:80", mode="l7")
        listener = self._worker.listener(route)
        if filtered:
            scoped = ScopedRoute(self._worker, FILTERED, files={"sorry.html": b"<p>sorry</p>"})
            route, listener, self._pool = scoped.route, scoped.listener, scoped.pools["192.0.2.1:80"]
        arrival = self._worker.arrival(listener, route, "a.example")
        self.bucket = 0
        self._ends = 0
        self._session = client.session(self._worker.sessions, self, arrival)
        self.client: TransportPeer = self._wire.attach(self._session, "client", tls=True)
        self._seen: list[Exchange] = []
        self._free: list[H1Backend | H2Backend] = []
        self._peers: list[TransportPeer] = []
        self._connections: list[HttpConnection] = []

    @property
    def outcomes(self) -> list[Outcome]:
        return [(status, reason) for _, _, status, reason in self._worker.log.requests]

    @property
    def client_holds(self) -> bool:
        """Whether a response waits for the client's window."""
        return any(exchange.held_since for exchange in self._session.exchanges.values())

    def play(self, asks: Sequence[bytes], answers: Sequence[bytes]) -> None:
        """Have the client ask, and then every connection to the backend answer."""
        for part in asks:
            if not self._ends:
                self.client.sends(part)
                self.look()
        for _ in range(_ROUNDS):
            fresh = self.connect()
            if not fresh:
                break
            for peer in fresh:
                for part in answers:
                    if peer.transport.is_closing():
                        break
                    peer.sends(part)
                    self.look()
                peer.takes()

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self._wire.pass_time(seconds)
        if not self._ends:
            self._session.check(self._wire.now)

    def end(self, *, resets: bool) -> None:
        """Have the client end, or be silent until time ends it; then check that nothing is left."""
        if resets:
            self.client.is_gone(ConnectionResetError())
        elif not self._ends:
            self.client.ends()
        for _ in range(_CHECKS):
            if self._ends:
                break
            self._wire.now += 30
            self._session.check(self._wire.now)
            self._wire.settle()
            self.connect()
            self.look()
        assert self._ends == 1, "the connection does not end"
        for peer in self._peers:
            peer.is_gone()
        self.look()
        assert not self._session.exchanges
        logged = [id(head) for _, head, _, _ in self._worker.log.requests if head is not None]
        for exchange in self._seen:
            assert exchange.reason, "a request has not ended"
            assert logged.count(id(exchange.asked)) == 1, (
                f"a request was logged {logged.count(id(exchange.asked))} times"
            )

    def look(self) -> None:
        """Check what must hold after each step."""
        faults = [line for line in self._wire.happened() if line.startswith("fault")]
        assert not faults, faults
        assert not self._wire.loop.problems, self._wire.loop.problems
        for exchange in (*self._session.exchanges.values(), *self._pool.acquired):
            if all(exchange is not each for each in self._seen):
                self._seen.append(exchange)
        assert self.held() <= _MOST_HELD

    def held(self) -> int:
        """Return how many bytes wait in the worker for one of the ends."""
        inboxes = sum(len(part) for each in (self._session, *self._connections) for part in each._inbox)
        early = sum(len(part) for each in self._session.exchanges.values() for part in each._early or ())
        return inboxes + early + sum(_unsent(each) for each in (self._session, *self._connections))

    def connect(self) -> list[TransportPeer]:
        """Give the waiting requests connections; return the ends of new ones."""
        self._wire.settle()
        pool = self._pool
        fresh = []
        while pool.acquired:
            exchange = pool.acquired.pop(0)
            if all(exchange is not each for each in self._seen):
                self._seen.append(exchange)
            while self._free and not exchange.reason:
                if self._free[-1].open(exchange):
                    break
                self._free.pop()
            else:
                if exchange.reason:
                    continue
                connection = self._backend.backend(self._wire, self)
                peer = self._wire.attach(connection, f"backend {len(self._peers)}", tls=True)
                fresh.append(peer)
                self._peers.append(peer)
                self._connections.append(connection)
                assert connection.open(exchange), "a new connection takes no request"
                if isinstance(connection, H2Backend):
                    self._free.append(connection)
                continue
            if isinstance(self._free[-1], H1Backend):
                self._free.pop()
        self._wire.settle()
        return fresh

    # What the session's and the connections' owners are told

    def on_session_end(self) -> None:
        self._ends += 1

    def on_deadline(self, now: float) -> float | None:
        at = self._session.check(now)
        return None if self._ends or at == float("inf") else at

    def on_fault(self) -> None:
        raise AssertionError("the session's time limits have failed")

    def on_settled(self, connection: HttpConnection) -> None: ...

    def on_proven(self, connection: HttpConnection) -> None: ...

    def on_room(self, connection: HttpConnection) -> None: ...

    def on_doubt(self, connection: H2Backend) -> None: ...

    def on_answer(self, connection: H2Backend) -> None: ...

    def on_idle(self, connection: H1Backend) -> None:
        self._free.append(connection)

    def on_goaway(self, connection: H2Backend, *, untouched: bool, orderly: bool) -> None:
        self._forget(connection)

    def on_lost(self, connection: H1Backend | H2Backend, *, broken: bool) -> None:
        self._forget(connection)

    def _forget(self, connection: H1Backend | H2Backend) -> None:
        self._free = [each for each in self._free if each is not connection]


def _unsent(connection: Any) -> int:
    if isinstance(connection, H2Session | H2Backend):
        return connection._engine.unsent
    return sum(len(part) for part in connection._out)
