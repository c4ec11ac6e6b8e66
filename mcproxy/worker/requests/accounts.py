"""What is counted of a client connection's requests, and what the access log tells of them."""

from mcproxy.model.values.reasons import COUNTED, REASONS, Failure
from mcproxy.net.memory import grpc_statuses
from mcproxy.net.memory.histogram import observe
from mcproxy.net.memory.http_codes import OFFSETS
from mcproxy.net.memory.shared_memory import (
    ROUTE_HTTP,
    SPOKE_GRPC,
    grpc_counter,
    route_counter,
)
from mcproxy.net.sockets import address_text
from mcproxy.policy.headers import RequestHead, id_of, is_grpc
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.requests.interfaces import SessionTools
from mcproxy.worker.requests.ledgers import Ledger, Ledgers
from mcproxy.worker.requests.visitors import Visitor
from mcproxy.worker.stream.course import Passage
from mcproxy.worker.stream.exchange import COMPLETE, SWITCHING, Exchange
from mcproxy.worker.tools.access_log import client_text
from mcproxy.worker.tools.line_shape import Origin

_COUNTED = frozenset(COUNTED)
_LONG = 256  # bytes of what clients say that are kept


class Accounts:
    """Each request counts once, for its route; on a listener without TLS there are some without.

    Attributes:
        arrival: how the client came.
        ledgers: by the routes of the connection's requests.
        handshake: seconds that TLS took, until the access log has told it.
        tls: its version and cipher.
        client_cert: the first name in the certificate that the client has shown, "" for none.
    """

    __slots__ = (
        "_nowhere",
        "_protocol",
        "_switched",
        "_tools",
        "arrival",
        "client_cert",
        "handshake",
        "ledgers",
        "tls",
    )

    def __init__(self, tools: SessionTools, arrival: Arrival, protocol: str, *, switched: int) -> None:
        """``switched`` is the status by which a switch of protocols is told."""
        self._tools = tools
        self.arrival = arrival
        self._protocol = protocol
        self._switched = switched
        self._nowhere: Origin | None = None
        self.ledgers = Ledgers(tools, arrival, protocol)
        self.handshake = 0.0
        self.tls = ("", "")
        self.client_cert = ""

    def answered(
        self,
        status: int,
        head: RequestHead | None,
        sent: int,
        failure: Failure,
        number: bytes,
        ledger: Ledger | None,
        passage: Passage[Exchange] | None,
        visitor: Visitor | None,
    ) -> None:
        """Take note of an answer of the proxy's own to a request that no backend was to get.

        Args:
            status: its status.
            head: the request, None if it could not be read.
            sent: bytes of its body.
            failure: why.
            number: the request's id.
            ledger: of the request's route, None if it has none.
            passage: where cases and filters matter.
            visitor: who has sent it; None for who is connected.
        """
        tools = self._tools
        if ledger is not None:
            observe(tools.counters, ledger.seconds, 0.0)
        elif failure.reason in _COUNTED:
            tools.errors.refused(self.arrival.listener.index, failure.reason)
        if failure.reason is not COMPLETE:
            source = b"" if visitor is None or visitor.told is None else visitor.source
            case, by = ("", "") if passage is None else (passage.case, passage.filter)
            self._keep(ledger, source, head, number, failure.reason, failure.detail, status, case=case, by=by)
        if tools.log.is_open and self.arrival.logged:
            handshake, self.handshake = self.handshake, 0.0
            origin = self._whence(ledger)
            if visitor is not None and visitor.told is not None:
                origin = origin._replace(client=address_text(visitor.source))
            tools.log.request(
                origin,
                head,
                status,
                sent=sent,
                handshake=handshake,
                reason=failure.reason,
                request_id=number,
                detail=failure.detail,
                case="" if passage is None else passage.case,
                by="" if passage is None else passage.filter,
            )

    def refused(self, reason: str) -> None:
        """Take note of a request that was reset because its head could not be taken: nothing of it is known."""
        tools, own = self._tools, self.ledgers.own
        if own is not None:
            tools.counters[own.codes + OFFSETS[0]] += 1
        self._keep(own, b"", None, b"", reason)
        if tools.log.is_open:
            handshake, self.handshake = self.handshake, 0.0
            tools.log.request(self._whence(own), None, 0, handshake=handshake, reason=reason)

    def cut_off(self, limit: str, detail: str) -> None:
        """Have it kept that a connection is ended over what its client has sent, beyond a limit if one is named."""
        known = limit if limit in REASONS else "bad_request"
        self._keep(self.ledgers.latest, b"", None, b"", known, detail)

    def ended(self, exchange: Exchange) -> None:
        """Take note of a request that is over: how long it took, and whether it got an answer, and a backend."""
        tools = self._tools
        now = tools.poller.now
        ledger = self.ledgers.own or self.ledgers[exchange.route]
        if exchange.reason is not COMPLETE:
            self._count_failure(exchange, ledger)
        else:
            if exchange.grpc_status is not None or (exchange.status != 200 and _is_grpc(exchange)):
                self._count_grpc(exchange)
            if tools.errors.failing and exchange.endpoint:  # else the route or a case has answered itself
                tools.errors.served(exchange.route)
        ended_at = exchange.answered_at if exchange.status == SWITCHING else now
        observe(tools.counters, ledger.seconds, ended_at - exchange.began_at)
        if tools.log.is_open and self.arrival.logged:
            self._log(exchange, ledger, now)

    def _count_failure(self, exchange: Exchange, ledger: Ledger) -> None:
        if not exchange.status:
            self._tools.counters[ledger.codes + OFFSETS[0]] += 1
        if exchange.reason in _COUNTED:
            failure = Failure(exchange.reason, exchange.detail, exchange.endpoint)
            self._tools.errors.failed(exchange.route, failure)
        if exchange.grpc_status is not None or _is_grpc(exchange):
            self._count_grpc(exchange)
        self._keep(
            ledger,
            exchange.source,
            exchange.asked,
            exchange.number,
            exchange.reason,
            exchange.detail,
            exchange.status,
            case=exchange.case,
            by="" if exchange.passage is None else exchange.passage.filter,
            endpoint=exchange.endpoint,
        )

    def _keep(
        self,
        ledger: Ledger | None,
        source: bytes,
        head: RequestHead | None,
        number: bytes,
        reason: str,
        detail: str = "",
        status: int = 0,
        *,
        case: str = "",
        by: str = "",
        endpoint: str = "",
    ) -> None:
        """Have it kept why a request was refused or failed; ``source`` is who has sent it, empty for who is connected."""
        arrival = self.arrival
        if not arrival.logged:
            return
        client, port = (source, 0) if source else arrival.source
        refusals = self._tools.refusals
        refusals.add(
            self._tools.poller.now,
            arrival.listener.addr,
            reason,
            client,
            port,
            refusals.generation,
            "" if ledger is None else ledger.route.entry.route.hostname,
            arrival.server_name or "",
            number,
            b"" if head is None else head.method[:_LONG],
            b"" if head is None else head.authority[:_LONG],
            b"" if head is None else head.path[:_LONG].partition(b"?")[0],
            case,
            by,
            detail,
            status,
            endpoint,
            arrival.source[0] if source else b"",
        )

    def _count_grpc(self, exchange: Exchange) -> None:
        if exchange.grpc_status is None:
            exchange.grpc_status = grpc_statuses.NONE
        counters, index = self._tools.counters, exchange.route
        counters[route_counter(index, ROUTE_HTTP)] |= SPOKE_GRPC
        counters[grpc_counter(index, exchange.grpc_status)] += 1

    def _log(self, exchange: Exchange, ledger: Ledger, now: float) -> None:
        handshake, self.handshake = self.handshake, 0.0
        passage = exchange.passage
        began_at, answered_at = exchange.began_at, exchange.answered_at
        origin = ledger.origin or self._whence(ledger)
        if exchange.source:
            origin = origin._replace(client=address_text(exchange.source))
        self._tools.log.request(
            origin,
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
            exchange.case,
            "" if passage is None else passage.filter,
        )

    def _whence(self, ledger: Ledger | None) -> Origin:
        """Return what the access log tells of the connection in every line about a route."""
        origin = self._nowhere if ledger is None else ledger.origin
        if origin is None:
            arrival = self.arrival
            hostname = mode = ""
            if ledger is not None:
                route = ledger.route.entry.route
                hostname, mode = route.hostname, route.mode
            client, name = client_text(arrival.source), arrival.server_name or ""
            origin = Origin(
                arrival.listener.addr, hostname, client, name, mode, self._protocol, *self.tls, self.client_cert
            )
            if ledger is None:
                self._nowhere = origin
            else:
                ledger.origin = origin
        return origin


def _is_grpc(exchange: Exchange) -> bool:
    return exchange.head.method == b"POST" and is_grpc(exchange.asked.headers)
