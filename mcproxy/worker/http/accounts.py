"""What is counted of a client connection's requests, and what the access log tells of them."""

from mcproxy.model.values.reasons import COUNTED, Failure
from mcproxy.net.memory import grpc_statuses
from mcproxy.net.memory.histogram import observe
from mcproxy.net.memory.http_codes import OFFSETS
from mcproxy.net.memory.shared_memory import (
    ROUTE_HTTP,
    SPOKE_GRPC,
    SPOKE_HTTP,
    codes_counter,
    grpc_counter,
    route_counter,
)
from mcproxy.policy.headers import RequestHead, id_of, is_grpc, kept_id
from mcproxy.worker.http.interfaces import SessionTools
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.stream.exchange import COMPLETE, SWITCHING, Exchange
from mcproxy.worker.tools.access_log import Origin, client_text

_COUNTED = frozenset(COUNTED)


class Accounts:
    """Each request counts once for the route that the connection was given.

    Attributes:
        codes: the word where responses are counted, see `codes_counter`.
        handshake: seconds that TLS took, until the access log has told it.
        tls: its version and cipher.
    """

    __slots__ = (
        "_arrival",
        "_origin",
        "_protocol",
        "_request_seconds",
        "_switched",
        "_tools",
        "codes",
        "handshake",
        "tls",
    )

    def __init__(self, tools: SessionTools, arrival: Arrival, protocol: str, *, switched: int) -> None:
        """``switched`` is the status by which a switch of protocols is told."""
        index = arrival.route.entry.index
        tools.counters[route_counter(index, ROUTE_HTTP)] |= SPOKE_HTTP
        self._tools = tools
        self._arrival = arrival
        self._protocol = protocol
        self._switched = switched
        self._origin: Origin | None = None
        self._request_seconds = arrival.route.request_seconds(tools.histograms)
        self.codes = codes_counter(index, protocol)
        self.handshake = 0.0
        self.tls = ("", "")

    def answered(self, status: int, head: RequestHead | None, sent: int, failure: Failure, number: bytes) -> None:
        """Take note of an answer of the proxy's own to a request that no backend was to get; ``number``: its id, if it has got one."""
        observe(self._tools.counters, self._request_seconds, 0.0)
        log = self._tools.log
        if log.is_open and self._arrival.logged:
            handshake, self.handshake = self.handshake, 0.0
            known = b"" if head is None or not self._arrival.proxied else kept_id(head.headers)
            log.request(
                self._whence(),
                head,
                status,
                sent=sent,
                handshake=handshake,
                reason=failure.reason,
                request_id=number or known,
                detail=failure.detail,
            )

    def refused(self, reason: str) -> None:
        """Take note of a request that was reset because its head could not be taken: nothing of it is known."""
        tools = self._tools
        tools.counters[self.codes + OFFSETS[0]] += 1
        if tools.log.is_open:
            handshake, self.handshake = self.handshake, 0.0
            tools.log.request(self._whence(), None, 0, handshake=handshake, reason=reason)

    def ended(self, exchange: Exchange) -> None:
        """Take note of a request that is over: how long it took, and whether it got an answer, and a backend."""
        tools = self._tools
        now = tools.poller.now
        if exchange.reason is not COMPLETE:
            self._count_failure(exchange)
        else:
            if exchange.grpc_status is not None or (exchange.status != 200 and _is_grpc(exchange)):
                self._count_grpc(exchange)
            if tools.errors.failing:
                tools.errors.served(self._arrival.route.entry.index)
        ended_at = exchange.answered_at if exchange.status == SWITCHING else now
        observe(tools.counters, self._request_seconds, ended_at - exchange.began_at)
        if tools.log.is_open and self._arrival.logged:
            self._log(exchange, now)

    def _count_failure(self, exchange: Exchange) -> None:
        if not exchange.status:
            self._tools.counters[self.codes + OFFSETS[0]] += 1
        if exchange.reason in _COUNTED:
            failure = Failure(exchange.reason, exchange.detail, exchange.endpoint)
            self._tools.errors.failed(self._arrival.route.entry.index, failure)
        if exchange.grpc_status is not None or _is_grpc(exchange):
            self._count_grpc(exchange)

    def _count_grpc(self, exchange: Exchange) -> None:
        if exchange.grpc_status is None:
            exchange.grpc_status = grpc_statuses.NONE
        counters, index = self._tools.counters, self._arrival.route.entry.index
        counters[route_counter(index, ROUTE_HTTP)] |= SPOKE_GRPC
        counters[grpc_counter(index, exchange.grpc_status)] += 1

    def _log(self, exchange: Exchange, now: float) -> None:
        handshake, self.handshake = self.handshake, 0.0
        began_at, answered_at = exchange.began_at, exchange.answered_at
        self._tools.log.request(
            self._origin or self._whence(),
            exchange.asked,
            exchange.status if exchange.status != SWITCHING else self._switched,
            exchange.received,
            exchange.sent,
            exchange.attached_at - began_at,
            handshake,
            answered_at - began_at if answered_at else 0.0,
            now - began_at,
            exchange.reason,
            id_of(exchange.head, exchange.forwarding),
            exchange.detail,
            "" if exchange.visit is None else exchange.visit.upstream.name,
            exchange.endpoint,
            exchange.tries,
            "" if exchange.grpc_status is None else grpc_statuses.NAMES[exchange.grpc_status],
        )

    def _whence(self) -> Origin:
        """Return what the access log tells of the connection in every line."""
        if self._origin is None:
            arrival = self._arrival
            route = arrival.route.entry.route
            client, name = client_text(arrival.source), arrival.server_name or ""
            self._origin = Origin(
                arrival.listener.addr, route.hostname, client, name, route.mode, self._protocol, *self.tls
            )
        return self._origin


def _is_grpc(exchange: Exchange) -> bool:
    return exchange.head.method == b"POST" and is_grpc(exchange.asked.headers)
