"""What is counted of a client connection, by the routes that its requests are for.

A connection over TLS has one route. On a listener without TLS each request has its own, and the connection counts for every route
that it has come to with a request. The bytes that it moves count for the route of its latest request, those before its first one
for that.
"""

from collections.abc import Collection, Iterable

import msgspec

from mcproxy.net.memory.shared_memory import ROUTE_HTTP, SPOKE_HTTP, codes_counter, route_counter
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.requests.interfaces import SessionTools
from mcproxy.worker.tools.line_shape import Origin

_MOST = 64  # beside those with requests under way


class Ledger(msgspec.Struct, eq=False):
    """Where the requests of one route are counted.

    Attributes:
        route: the route, as it was when the connection came to it.
        codes: the word where responses are counted, see `codes_counter`.
        seconds: that of the histogram of durations.
        origin: what the access log tells of the connection in every line; made when it is needed.
    """

    route: LiveRoute
    codes: int
    seconds: int
    origin: Origin | None = None


class Ledgers:
    """Those of one client connection.

    Attributes:
        own: that of the route which its TLS handshake chose; None on a listener without TLS.
        latest: of the latest request; None before the first one.
        counters: where its bytes are counted: this worker's counters, and a list of its own before the first request.
        received, sent: the words in these.
    """

    __slots__ = ("_by_index", "_protocol", "_tools", "counters", "latest", "own", "received", "sent")

    def __init__(self, tools: SessionTools, arrival: Arrival, protocol: str) -> None:
        self._tools = tools
        self._protocol = protocol
        self._by_index: dict[int, Ledger] = {}
        self.own: Ledger | None = None
        self.latest: Ledger | None = None
        self.counters: memoryview | list[int] = [0, 0]
        self.received, self.sent = 0, 1
        if arrival.route is not None:
            self.own = self.latest = self._open(arrival.route)
            self.counters = tools.counters
            self.received, self.sent = arrival.route.byte_counters

    def __getitem__(self, index: int) -> Ledger:
        """Return the ledger of a route by the index of its counters; a request of it has begun."""
        return self.own or self._by_index[index]

    def enter(self, route: LiveRoute, busy: Iterable[int] = ()) -> None:
        """Go on with the route of a request, which has its own; ``busy`` has the indices of those with requests under way."""
        counters = self._tools.counters
        ledger = self._by_index.get(route.index)
        if ledger is None:
            self._forget_some(busy)
            counters[route.connections_counter] += 1
            counters[route.active_counter] += 1
            ledger = self._by_index[route.index] = self._open(route)
        if self.latest is None:
            received, sent = self.counters
            counters[route.byte_counters[0]] += received
            counters[route.byte_counters[1]] += sent
            self.counters = counters
        self.received, self.sent = route.byte_counters
        self.latest = ledger

    def serves(self, hostname: str) -> bool:
        """Tell whether the connection has come to the route of a name."""
        return any(ledger.route.entry.route.hostname == hostname for ledger in self._by_index.values())

    def close(self) -> None:
        """Count that the connection is over."""
        self._leave(self._by_index)

    def _open(self, route: LiveRoute) -> Ledger:
        tools, index = self._tools, route.index
        tools.counters[route_counter(index, ROUTE_HTTP)] |= SPOKE_HTTP
        return Ledger(route, codes_counter(index, self._protocol), route.request_seconds(tools.histograms))

    def _forget_some(self, busy: Iterable[int]) -> None:
        """Keep no more than a bound of those without requests: a client may name any number of hosts."""
        if len(self._by_index) >= _MOST:
            under_way = set(busy)
            self._leave([index for index in self._by_index if index not in under_way])

    def _leave(self, indices: Collection[int]) -> None:
        for index in list(indices):
            self._tools.counters[self._by_index.pop(index).route.active_counter] -= 1
