"""The connections to one backend: what `PoolState` decides is carried out here."""

import msgspec

from mcproxy.model.values.reasons import Failure
from mcproxy.net.loop.deadlines import Deadlines
from mcproxy.net.loop.poller import Poller
from mcproxy.net.memory.shared_memory import PROCESS_BACKEND_REDIALS, limit_counter
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.backoff import Backoff
from mcproxy.worker.backends.connector import OWN_ERROR, BackendConnection, Connector, ConnectorTools, DialOfPool
from mcproxy.worker.backends.decisions import Attach, Close, Count, Decision, Dial, Fail, Link, Spoken
from mcproxy.worker.backends.h1_backend import H1Backend
from mcproxy.worker.backends.h2_backend import H2Backend
from mcproxy.worker.backends.pool_state import PoolState
from mcproxy.worker.stream.exchange import CANCEL, Exchange
from mcproxy.worker.tools.settings import Settings

_FEW = 4  # requests under way on a client's connection: its requests come ahead of those of clients with more
_HELD = 0.5  # seconds that a client may take nothing of a response while others wait for a connection
_EASE = 0.1  # seconds between looks for such responses: it takes about a microsecond for each connection
_LOOK = 10.0  # seconds between looks for connections that nobody uses


class PoolTools(msgspec.Struct, frozen=True, eq=False):
    """What all pools of a worker share.

    Attributes:
        poller: its clock gives the time.
        deadlines: time limits.
        settings: of the live snapshot.
        counters: this worker's, in the shared memory.
        connector: for making connections.
    """

    poller: Poller
    deadlines: Deadlines
    settings: Settings
    counters: memoryview
    connector: ConnectorTools


class BackendPool:
    """Finds a connection for each exchange.

    Attributes:
        backend: where they lead.
    """

    def __init__(
        self,
        tools: PoolTools,
        backend: Backend,
        backoff: Backoff,
        speaks: Spoken | None = None,
    ) -> None:
        """Start without connections.

        Args:
            tools: what all pools share.
            backend: where they lead.
            backoff: of all pools that lead there.
            speaks: what to speak instead of what is configured.
        """
        self.backend = backend
        if speaks is not None:
            backend = msgspec.structs.replace(backend, protocol=speaks)
        self._tools = tools
        self._state: PoolState[Exchange, BackendConnection] = PoolState(
            backend.protocol, tls=backend.tls, backoff=backoff
        )
        self._connector = Connector(tools.connector, backend, self)
        self._unsettled: dict[BackendConnection, DialOfPool] = {}
        self._deciding = False
        self._made_room_at = 0.0
        self.bucket = 0

    # What exchanges ask

    def acquire(self, exchange: Exchange) -> None:
        """Have the exchange attached to a connection, now or when there is one."""
        state = self._state
        websocket = exchange.head.websocket
        link = state.shared(websocket=websocket)
        if link is not None:  # as nearly always over HTTP/2
            if self._open(link.connection, exchange):
                return
            state.refused(link, self._tools.poller.now, link.connection.took_nothing())
        bounds = self._tools.settings.http
        modest = exchange.client.under_way <= _FEW
        while (link := state.place(bounds, websocket=websocket, modest=modest)) is not None:
            if self._open(link.connection, exchange):
                return
            state.refused(link, self._tools.poller.now, link.connection.took_nothing())
        state.wait(exchange, bounds, websocket=websocket, modest=modest)
        self._decide()
        if state.waiting:
            self._make_room()

    def _make_room(self) -> None:
        """Break responses off that their clients have not taken for a while, where others wait for the connections they are on."""
        state, now = self._state, self._tools.poller.now
        if not state.full(self._tools.settings.http, modest=False):
            return
        if now >= self._made_room_at + _EASE:
            self._made_room_at = now
            under_way = (each.exchange for each in state.connections if isinstance(each, H1Backend))
            held = [each for each in under_way if each is not None and 0.0 < each.held_since < now - _HELD]
            held.sort(key=lambda each: each.held_since)
            for exchange in held[: state.waiting]:
                exchange.client.reset(exchange.stream, CANCEL)
                exchange.on_client_gone("backend_connections")
        if state.waiting:
            self._tools.deadlines.set(self, now + _EASE)

    def abandon(self, exchange: Exchange) -> bool:
        """Forget an exchange that waits; tell whether it did."""
        return self._state.abandon(exchange)

    def hand_over(self, exchange: Exchange, to: "BackendPool") -> None:
        """Let another pool to the same backend have an exchange, and for good the connection that serves it alone."""
        connection = exchange.move(to)
        link = self._state.give(connection) if isinstance(connection, H1Backend) else None
        if isinstance(connection, H1Backend) and link is not None:
            connection.belong_to(to)
            to.take(link)
            self._decide()

    def take(self, link: Link[BackendConnection]) -> None:
        """Go on with a connection that another pool has handed over."""
        if not self._state.connections:
            self._tools.deadlines.set(self, self._tools.poller.now + _LOOK)
        self._state.take(link)

    @property
    def speaks(self) -> Spoken | None:
        """What the backend is known to speak, None before that was found out."""
        return self._state.speaks

    def retire(self) -> None:
        """Close what is idle, and everything else when it is done: no route leads here any more."""
        self._state.retire()
        self._decide()

    def on_deadline(self, now: float) -> float | None:
        """Go on after a pause; close connections that nobody has used for a while."""
        state = self._state
        again = now + _LOOK
        for link in (*state.multiplexed, *state.doubted.values()):
            if isinstance(link.connection, H2Backend):
                again = min(again, link.connection.check(now))
                if not link.connection.idle:
                    link.used_at = now
        state.close_unused(now)
        self._decide()
        if state.waiting:
            self._make_room()
        return again if state.connections else None

    def on_fault(self) -> None:
        """Look again later; what is in use must not end with the look, nor what waits wait for ever."""
        now = self._tools.poller.now
        self._tools.deadlines.set(self, self._state.wake_at(now) or now + _LOOK)

    # What dials and connections tell

    def on_dial_failed(self, dial: DialOfPool, failure: Failure) -> None:
        """No connection."""
        self._state.failed(dial, failure, self._tools.poller.tick())
        self._decide()

    def on_connection(self, dial: DialOfPool, connection: BackendConnection) -> None:
        """Wait until it has settled."""
        self._unsettled[connection] = dial

    def on_settled(self, connection: BackendConnection) -> None:
        """Use it from now on, unless it is about to end."""
        dial = self._unsettled.get(connection)
        if dial is None or connection.transport.is_closing():
            return
        del self._unsettled[connection]
        now = self._tools.poller.tick()
        if not self._state.connections:
            self._tools.deadlines.set(self, now + _LOOK)
        multiplexed = isinstance(connection, H2Backend)
        websockets = isinstance(connection, H2Backend) and connection.takes_websockets
        self._state.settled(dial, connection, now, multiplexed=multiplexed, websockets=websockets)
        self._decide()

    def on_proven(self, connection: BackendConnection) -> None:
        """The first response has come: the backend is well."""
        self._state.proven(connection)
        if self._state.waiting:
            self._decide()

    def on_room(self, connection: H2Backend) -> None:
        """Let those that wait in."""
        if self._state.crowded:
            self._state.room(connection)
            self._decide()

    def on_idle(self, connection: H1Backend) -> None:
        """Use the connection again, or keep it."""
        state = self._state
        state.free(connection, self._tools.poller.now)
        if state.retired or state.waiting:
            self._decide()

    def on_goaway(self, connection: H2Backend, *, untouched: bool, orderly: bool) -> None:
        """Open no more streams there."""
        why = connection.took_nothing()
        self._state.left(connection, self._tools.poller.now, why, untouched=untouched, orderly=orderly)
        self._decide()

    def on_doubt(self, connection: H2Backend) -> None:
        """Give it no request for now."""
        self._state.doubt(connection)

    def on_answer(self, connection: H2Backend) -> None:
        """Use it again."""
        self._state.trust(connection)
        self._decide()

    def on_lost(self, connection: BackendConnection, *, broken: bool) -> None:
        """Forget it."""
        now = self._tools.poller.tick()
        dial = self._unsettled.pop(connection, None)
        if dial is None:
            self._state.lost(connection, now, broken=broken)
        else:
            self._state.unspoken(dial, now, connection.took_nothing())
        self._decide()

    # How it is done

    def _decide(self) -> None:
        """Carry out one decision after another; what that leads to is left to the outermost call."""
        if self._deciding:
            return
        self._deciding = True
        state, poller, bounds = self._state, self._tools.poller, self._tools.settings.http
        try:
            while (decision := state.decide(poller.now, bounds)) is not None:
                self._carry_out(decision)
        finally:
            self._deciding = False
        at = state.wake_at(poller.now)
        if at is not None:
            self._tools.deadlines.set(self, at)

    def _carry_out(self, decision: Decision[Exchange, BackendConnection]) -> None:
        match decision:
            case Attach(exchange, link):
                if self._open(link.connection, exchange):
                    exchange.attached_at = self._tools.poller.now
                else:
                    self._state.not_attached(decision, self._tools.poller.now, link.connection.took_nothing())
            case Fail(exchange, status, failure, spared):
                self._fail(exchange, status, failure, spared=spared)
            case Close(connection):
                connection.retire()
            case Count(limit):
                self._tools.counters[limit_counter(limit)] += 1
            case Dial():
                if decision.again:
                    self._tools.counters[PROCESS_BACKEND_REDIALS] += 1
                self._start(decision)

    # An error here, as when there is no memory, must not end the work for others, nor leave a request without an answer.

    def _open(self, connection: BackendConnection, exchange: Exchange) -> bool:
        """Tell whether a connection has taken an exchange, or has ended with it because of an error."""
        try:
            return connection.open(exchange)
        except Exception as error:  # noqa: BLE001 - see above
            self._tools.poller.report(error)
            self._fail(exchange, 503, OWN_ERROR, begun=True)
            connection.abort()
            return True

    def _fail(
        self, exchange: Exchange, status: int, failure: Failure, *, spared: bool = False, begun: bool = False
    ) -> None:
        try:
            if begun:
                exchange.fail(status, failure)
            else:
                exchange.on_unreached(status, failure, spared=spared)
        except Exception as error:  # noqa: BLE001 - see above
            self._tools.poller.report(error)
            exchange.break_off()

    def _start(self, dial: DialOfPool) -> None:
        try:
            self._connector.start(dial)
        except Exception as error:  # noqa: BLE001 - see above
            self._tools.poller.report(error)
            self._state.failed(dial, OWN_ERROR, self._tools.poller.now)
