"""A client's HTTP connection, whichever version: whom its requests are for, and its time limits."""

import random
from typing import TYPE_CHECKING

from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory.shared_memory import (
    policy_counter,
)
from mcproxy.net.sockets import address_text
from mcproxy.policy.answers import Asking
from mcproxy.policy.certificates.clients import FORWARDED, ClientCertificate
from mcproxy.policy.headers import (
    Forwarding,
    Headers,
    RequestHead,
    id_of,
    kept_id,
    without_id,
)
from mcproxy.policy.requests import RequestRules
from mcproxy.policy.routing import RouteTable
from mcproxy.wire.http1 import spelling
from mcproxy.worker.http.answering import Answering
from mcproxy.worker.http.client_certificates import objection
from mcproxy.worker.http.lingering import Lingering
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.requests import time_limits
from mcproxy.worker.requests.answer import Answer
from mcproxy.worker.requests.interfaces import SessionOwner, SessionTools
from mcproxy.worker.requests.own_pools import OwnPools
from mcproxy.worker.requests.route_choice import choose, has_changed, why_none
from mcproxy.worker.requests.visitors import Visitor, Visitors
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import CANCEL, COMPLETE, Exchange
from mcproxy.worker.stream.http_connection import GONE

if TYPE_CHECKING:
    from mcproxy.worker.live.way import Way
    from mcproxy.worker.requests.passage import Guest, Passage

_CHECK = 5.0  # seconds between looks at a session, at most
_CLOSING_TIME = 1.0  # seconds for a client to receive the end of an idle connection
_NOTICE = 1.0  # seconds between the warning and the GOAWAY: what the client has sent meanwhile is still served


class Session(Answering):
    """Serves the requests of one client connection.

    Attributes:
        dial_seconds: the listener's histogram of dials.
        owner: told when the connection has ended.
        lingering: what is left of it once it has ended in an orderly way without TLS; None before.
        arrival: who the client is, where it came in, and the route that its TLS handshake chose, if it had one.
        certificate: what the client has shown in it, None for nothing.
        forwarding: the headers that tell it to backends.
        protocol: what it speaks, as ALPN names it.
        end_reason: why requests that are under way when the connection ends are cut off.
        seen_at: when the client sent something last (monotonic seconds).
        source: the client's packed address.
        draining: no new requests are wanted.
        visitors: who its requests are of.
    """

    __slots__ = (
        "_authority",
        "_barred",
        "_chosen",
        "_guest",
        "_own",
        "_table",
        "_told",
        "_whole",
        "arrival",
        "certificate",
        "dial_seconds",
        "draining",
        "end_reason",
        "forwarding",
        "lingering",
        "owner",
        "protocol",
        "seen_at",
        "source",
        "visitors",
    )

    def __init__(self, tools: SessionTools, owner: SessionOwner, arrival: Arrival, *, protocol: str) -> None:
        super().__init__(tools, arrival, protocol)
        self.lingering: Lingering | None = None
        self.dial_seconds = arrival.listener.dial_seconds
        self.protocol = protocol
        self.end_reason = "client_reset"
        self.owner = owner
        self.arrival = arrival
        self.certificate: ClientCertificate | None = None
        self._barred: Failure | None = None  # why the certificate, or that there is none, does not do for the route
        self.source = arrival.source[0]
        self.visitors = Visitors(arrival)
        self.forwarding = Forwarding(address_text(self.source), self.visitors.itself.scheme.encode())
        self.seen_at = tools.poller.tick()
        self.draining = False
        self._whole = 0  # responses of which a whole window may wait here
        self._authority = b""
        self._told: Headers = []  # what backends are told of the client, with that authority
        self._table: RouteTable[LiveRoute] | None = None
        self._chosen: LiveRoute | None = None
        self._own = OwnPools(tools.pools, arrival)
        self._guest: Guest | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what is under way."""
        if self.exchanges or self._inbox or self.crowded():  # else there was little that waited
            self.tools.heap.release_later()
        super().connection_lost(exc)
        exchanges, self.exchanges = self.exchanges, {}
        for exchange in exchanges.values():
            try:
                exchange.on_client_gone(self.end_reason)
            except Exception as error:  # noqa: BLE001 - the other exchanges have to hear of it as well
                self.tools.poller.report(error)
                exchange.break_off()
        self._deferred.clear()  # they know this session: the cycle would keep all that it holds until a collection
        self.ledgers.close()
        try:
            self._own.release()
        finally:
            self.owner.on_session_end()

    def pause_writing(self) -> None:
        """Begin nothing for a client that does not read, not even what waits for a backend's connection."""
        waiting = [exchange for exchange in self.exchanges.values() if exchange.pool.abandon(exchange)]
        self._deferred.extendleft(reversed(waiting))
        super().pause_writing()

    def on_room(self) -> None:
        """Let backends go on whose data waited for the transport, then the requests that did."""
        now = self.tools.poller.tick()
        for stream, exchange in list(self.exchanges.items()):
            if not self.holds(stream):
                exchange.on_client_room(now)
        self.begin_deferred()

    @property
    def under_way(self) -> int:
        """How many requests are under way."""
        return len(self.exchanges)

    def reserve(self) -> bool:
        """Tell whether a whole window of one response may wait here, and count that it does until `unreserve`."""
        if self._whole >= self.tools.settings.http.whole_responses or self.crowded():
            return False
        self._whole += 1
        return True

    def unreserve(self) -> None:
        """Give back what `reserve` has granted."""
        self._whole -= 1

    def watch_unsent(self, unsent: int) -> None:
        """Reset the connection when more bytes wait for a client that does not read than may do so."""
        if unsent > self.tools.settings.http.unsent_bytes:
            self.give_up("unsent_bytes")

    def check(self, now: float) -> float:
        """Enforce time limits; return when to check again (monotonic seconds)."""
        settings = self.tools.settings
        timeouts, limits = settings.timeouts, settings.http
        again = now + min(_CHECK, limits.stalled_window_timeout)
        if self.paused_at and now >= self.paused_at + limits.stalled_window_timeout:
            return self.give_up("stalled_window_timeout")  # whatever else it says meanwhile: it takes nothing
        if not self.exchanges:
            if now >= self.seen_at + timeouts.idle + _CLOSING_TIME:
                self.abort()
                return float("inf")
            if now >= self.seen_at + timeouts.idle:
                self.end_idle()
                return self.seen_at + timeouts.idle + _CLOSING_TIME
            return min(self.seen_at + timeouts.idle, again)
        for stream, exchange in list(self.exchanges.items()):
            stalled_at = exchange.held_since + limits.stalled_window_timeout if exchange.held_since else again
            if now >= stalled_at:
                self.count_limit("stalled_window_timeout")
                self.cut(stream, exchange, "stalled_window_timeout")
            else:
                again = min(again, stalled_at, time_limits.check(exchange, now, timeouts.idle))
        return again

    def give_up(self, limit: str) -> float:
        """Reset the connection of a client that has exceeded a limit; return that nothing is to be checked again."""
        self.count_limit(limit)
        self.end_reason = limit
        self.abort()
        return float("inf")

    def rules(self, visitor: Visitor | None = None) -> RequestRules:
        """Return what of this client's requests may pass, or of a visitor's."""
        http = self.tools.settings.http
        named = visitor is not None and visitor.told is not None
        return http.proxied_requests if named or self.arrival.proxied else http.requests

    def begin(
        self,
        stream: int,
        head: RequestHead,
        visitor: Visitor,
        *,
        ended: bool,
        length: int | None,
        received: bytes = b"",
    ) -> None:
        """Start the exchange of a request, or refuse it.

        Args:
            stream: its number.
            head: its head.
            visitor: who has sent it.
            ended: whether it has no body, or all of it has come.
            length: bytes of its body as announced, None if it was not.
            received: its head as it came in HTTP/1.1.
        """
        authority, arrival = head.authority, self.arrival
        if authority == self._authority and arrival.listener.routes is self._table:
            route = self._chosen  # nearly all requests of a connection name the same authority
        else:
            route = self._route_of(head)
        if route is None:
            self._turn_away(stream, head, visitor)
            return
        told = visitor.told
        forwarding = self._told if told is None else self.visitors.forwarding(told, authority)
        if told is None and not arrival.proxied:
            forwarding = [*forwarding, self.tools.ids.next()]
        elif not kept_id(head.headers):
            head = without_id(head)
            forwarding = [*forwarding, self.tools.ids.next()]
        passage: Passage | None = None
        pool: Pool[Exchange] | None
        way: Way | None = route.way_of(head) if route.scoped else route
        if way is None:
            passage = self._enter(stream, route, head, forwarding, visitor, length)
            if passage is None:
                return
            pool, idle = passage, passage.idle_timeout
        else:
            if route.rules is not None:
                blocked = route.rules.judge(head, forwarding)
                if blocked is not None:
                    self.tools.counters[policy_counter(route.index, blocked.type)] += 1
                    failure, number = Failure(blocked.type, blocked.value), id_of(head, forwarding)
                    self.answer(stream, 403, head, failure, visitor, self.ledgers.latest, number)
                    return
            if way.answer is not None:  # that of the route: its cases answer in their passage
                latest = self.ledgers.latest
                name, number = self.arrival.server_name or "", id_of(head, forwarding)
                asking = Asking(address_text(visitor.source), number, name, visitor.scheme, self._shown)
                if told is not None and way.answer.leads_back(head, asking):
                    failure = Failure("no_case", "it is where the redirect leads to")
                    self.answer(stream, 404, head, failure, visitor, latest, number)
                    return
                response = way.answer.to(head, asking)
                self._answer_later(Answer(stream, head, Failure(COMPLETE), response, latest, number, None, visitor))
                return
            pool, idle = way.pool, route.idle_timeout
            if pool is None or head.binds or self._own.bound:
                pool = self._own.find(way, binds=head.binds)
        now = self.seen_at
        exchange = Exchange(self, stream, head, forwarding, pool, now, now, now, ended, length, route.index, idle)
        if told is not None:
            exchange.source = visitor.source
        if passage is not None:
            if passage.begin(exchange):
                self.tools.deadlines.set(self.owner, exchange.answer_by)
        elif way is not None and way is not route:
            exchange.case = way.name
            self.tools.sparse.count(way.counter)
        if received and route.entry.route.preserve_header_case:
            exchange.spelling = spelling(received)
        self.exchanges[stream] = exchange
        if not ended and exchange.awaits_continue:
            self.tools.deadlines.set(self.owner, exchange.go_on(now))
        if self._deferred or self.crowded():
            self._deferred.append(exchange)
        else:
            pool.acquire(exchange)

    def _enter(
        self,
        stream: int,
        route: LiveRoute,
        head: RequestHead,
        forwarding: Headers,
        visitor: Visitor,
        length: int | None,
    ) -> "Passage | None":
        """Take a request as far as the cases and filters of its route decide at once; None if it is answered by that."""
        guest = self._guest
        if guest is None:
            from mcproxy.worker.requests.passage import guest_of  # noqa: PLC0415 - few routes have cases or filters

            guest = self._guest = guest_of(self.arrival, self._own, self.tools, self.certificate)
        passage = guest.passage(route, head, forwarding, visitor)
        told = passage.enter(length)
        if told is None:
            return passage
        number, ledger = id_of(head, forwarding), self.ledgers.latest
        self._answer_later(Answer(stream, head, told.failure, told.response, ledger, number, passage, visitor))
        return None

    def now(self) -> float:
        """Return when the events in hand came (monotonic seconds)."""
        return self.tools.poller.now

    def drain(self) -> None:
        """Ask the client to go elsewhere, in two steps: the warning now, the end of new requests a little later."""
        if not self.draining:
            self.draining = True
            self.give_notice()
            # Jitter: not all clients of a route that goes shall come back in the same moment.
            self.tools.loop.call_later(_NOTICE * (1 + random.random()), self.refuse_more)  # noqa: S311 - no secret

    def leave(self) -> None:
        """Close, once what was written is out; without TLS wait until the client does so, too."""
        if self._tls is not None:
            super().leave()
            return
        tools = self.tools
        transport, self.transport = self.transport, GONE
        self.lingering = Lingering(transport, tools.page, tools.poller.now, self.connection_lost)
        tools.deadlines.set(self.owner, self.lingering.until)

    def _route_of(self, head: RequestHead) -> LiveRoute | None:
        """Return the route that serves a request on this connection, None if that is another route's, or needs none."""
        arrival, authority = self.arrival, head.authority
        self._authority, self._table = authority, arrival.listener.routes
        challenges = arrival.listener.challenges
        if challenges is not None:
            self._table = None  # the next request may be for one, whatever it names
            if challenges.answer(head) is not None:
                return None
        self._told = self.forwarding.fields(authority)
        self._barred = None
        found = choose(arrival, authority, draining=self.draining)
        if found is not None and found.client_auth != "off":
            found = self._identified(found)
        self._chosen = found
        if found is not None and arrival.route is None:
            self.ledgers.enter(found, (exchange.route for exchange in self.exchanges.values()))
        return found

    def identify(self, shown: ClientCertificate | None) -> None:
        """Take note of what the client has shown in its handshake, where it was asked."""
        self.certificate = shown
        self.accounts.client_cert = self._shown

    def _identified(self, route: LiveRoute) -> LiveRoute | None:
        """Return a route that asks for certificates unless it objects to the client's, which backends may be told of."""
        shown = self.certificate
        self._barred = objection(route, shown)
        if self._barred is not None:
            if self._barred.reason == "client_certificate":  # else it may come anew, and the route has refused nobody
                self.tools.errors.failed(route.index, self._barred)
            return None
        if shown is not None and route.entry.tls.terms.forward_client_cert:
            self._told = [*self._told, (FORWARDED, shown.forwarded)]
        return route

    @property
    def _shown(self) -> str:
        """The name in the client's certificate, "" for none."""
        return "" if self.certificate is None else self.certificate.name

    def _turn_away(self, stream: int, head: RequestHead, visitor: Visitor) -> None:
        """Answer a request that no route serves on this connection; one of a wrong certificate is not to be tried again here."""
        barred, challenges = self._barred, self.arrival.listener.challenges
        if challenges is not None and (proof := challenges.answer(head)) is not None:
            number = self._number(head, visitor)
            self._answer_later(Answer(stream, head, Failure(COMPLETE), proof, None, number, None, visitor))
            return
        if barred is None:
            if has_changed(self.arrival):
                self.drain()
            self.answer(stream, 421, head, Failure(why_none(self.arrival)), visitor)
            return
        self.give_notice()
        self.answer(stream, 421 if barred.reason == "misdirected" else 403, head, barred, visitor)
        self.draining = True
        self.refuse_more()

    def cut(self, stream: int, exchange: Exchange, reason: str) -> None:
        """Break off a request that is under way."""
        self.reset(stream, CANCEL)
        exchange.on_client_gone(reason)

    def claim(self, exchange: Exchange) -> None:
        """Keep the backend's connection of an exchange to this client connection, and close it with this."""
        self._own.claim(exchange)
