"""Doing what the native core asks, and going on with what it leaves to Python."""

from collections.abc import Callable

from mcproxy.net.native.addresses import packed_peer, unpack_peer
from mcproxy.net.native.core import Core
from mcproxy.net.native.records import ASK_GATE, CHOOSE, Record
from mcproxy.net.sockets import accepted
from mcproxy.worker.frontend.acceptor import refuse_over_limit
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.live.endpoint import NOWHERE, LiveEndpoint
from mcproxy.worker.native.ended import Ends
from mcproxy.worker.native.listening import NativeAcceptor
from mcproxy.worker.native.names import Names
from mcproxy.worker.native.tables import endpoint_address
from mcproxy.worker.native.taken import TakenConnection


class Handler:
    """Handles records.

    Attributes:
        acceptors: by the descriptor of the listening socket.
    """

    __slots__ = ("_addresses", "_by_kind", "_core", "_ends", "_names", "_tools", "acceptors")

    def __init__(self, tools: FrontendTools, core: Core, names: Names) -> None:
        """Handle the records of ``core``; ``names`` are kept by whoever tells it of routes."""
        self._tools = tools
        self._core = core
        self._names = names
        self._addresses: dict[LiveEndpoint, bytes | None] = {}
        self._ends = Ends(tools, core, names)
        self.acceptors: dict[int, NativeAcceptor] = {}
        self._by_kind: tuple[Callable[[Record], None], ...] = (
            self._on_nothing,
            self._on_declined,
            self._on_over_limit,
            self._on_gate,
            self._on_choice,
            self._on_connected,
            self._on_dial_failed,
            self._ends.tell,
            self._on_paused,
            self._on_table_freed,
            self._on_counted,
        )

    def handle_all(self) -> None:
        """Handle the records that there are, and those that come of it; one that can't be is reported."""
        poller, by_kind = self._tools.poller, self._by_kind
        poller.tick()
        found, state = self._core.records, self._core.state
        number = 0
        while number < state.count:
            record = found[number]
            number += 1
            try:
                by_kind[record.kind](record)
            except Exception as error:  # noqa: BLE001 - one connection's bug must not take the others along
                poller.report(error)
                if record.kind in (ASK_GATE, CHOOSE):  # it would wait for an answer for ever
                    self._take(record, TakenConnection.on_fault)

    def forget(self) -> None:
        """Work out anew what was made of routes and endpoints: there may be others."""
        self._addresses.clear()
        self._core.forget_shapes()

    def _on_nothing(self, record: Record) -> None:
        raise ValueError(f"the core leaves a record of kind {record.kind}")

    def _on_declined(self, record: Record) -> None:
        self._begin(record, record.fd, lambda connection: connection.go_on(record))

    def _on_over_limit(self, record: Record) -> None:
        client = accepted(record.family, record.fd)
        refuse_over_limit(self._tools, self._names.listeners[record.listener], client, unpack_peer(record))

    def _on_gate(self, record: Record) -> None:
        tools, core = self._tools, self._core
        verdict = tools.gate.refusal(packed_peer(record), tools.poller.now)
        if verdict is None:
            core.enter(record.conn, 0, False)
        elif isinstance(verdict, int):
            if core.enter(record.conn, verdict, True) < 0:
                tools.gate.leave(verdict)
        else:
            self._take(record, lambda connection: connection.refuse(verdict))

    def _on_choice(self, record: Record) -> None:
        tools, names = self._tools, self._names
        route = names.route(record)
        if route is None or route.upstream is None:
            raise ValueError("the core asks for an endpoint where there is no upstream")
        upstream = route.upstream
        source = packed_peer(record) if upstream.by_source else b""
        endpoint = upstream.take(source, NOWHERE, tools.poller.now)
        if endpoint is None:
            name, failure = names.server_name(record, route), upstream.refusal()
            self._take(record, lambda connection: connection.fail(route, name, failure))
            return
        address = self._address(endpoint)
        names.endpoints[endpoint.index] = endpoint
        if address is None:
            name = names.server_name(record, route)
            self._take(record, lambda connection: connection.dial(route, name, endpoint, record))
        elif self._core.dial(record.conn, endpoint.index, address, len(address)) < 0:
            endpoint.release()

    def _on_connected(self, record: Record) -> None:
        tools, names = self._tools, self._names
        route, endpoint = names.route(record), names.endpoint(record)
        if route is None:
            return
        if tools.errors.failing:
            tools.errors.served(route.entry.index)
        if tools.dial.failing.until:
            targets = route.targets if endpoint is None else endpoint.targets
            tools.dial.failing.worked(targets[0].addresses[0])

    def _on_dial_failed(self, record: Record) -> None:
        names = self._names
        route, endpoint = names.route(record), names.endpoint(record)
        if route is None:
            raise ValueError("a dial has failed that no route has begun")
        name = names.server_name(record, route)
        self._begin(record, record.fd, lambda connection: connection.on_dial_lost(route, name, endpoint, record))

    def _on_paused(self, record: Record) -> None:
        self.acceptors[record.fd].on_paused(record.error)

    def _on_table_freed(self, record: Record) -> None:
        self._names.tables.pop(record.table, None)

    def _on_counted(self, record: Record) -> None:
        self._names.endpoints[record.endpoint].add(record.conn, record.token, record.received, record.sent)

    def _address(self, endpoint: LiveEndpoint) -> bytes | None:
        """Return what the core connects to for an endpoint, None if it can't."""
        try:
            return self._addresses[endpoint]
        except KeyError:
            return self._addresses.setdefault(endpoint, endpoint_address(endpoint))

    def _take(self, record: Record, step: Callable[[TakenConnection], object]) -> None:
        """Take a connection that the core has asked about, if it is still there, and begin there."""
        fd = self._core.take(record.conn)
        if fd >= 0:
            self._begin(record, fd, step)

    def _begin(self, record: Record, fd: int, step: Callable[[TakenConnection], object]) -> None:
        """Go on in Python; a connection that can't is closed: nothing watches it, so it would never end."""
        connection = TakenConnection(self._tools, self._names.listeners[record.listener], record, fd)
        try:
            step(connection)
        except Exception as error:  # noqa: BLE001 - see above
            self._tools.poller.report(error)
            connection.on_fault()
