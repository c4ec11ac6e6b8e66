"""Answers on a client's connection, and what is counted of them."""

from collections import deque
from typing import TYPE_CHECKING

from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory.shared_memory import limit_counter
from mcproxy.policy.headers import ErrorResponse, RequestHead, error_response, is_grpc, kept_id
from mcproxy.worker.http.version import Version
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.requests.accounts import Accounts
from mcproxy.worker.requests.answer import Answer
from mcproxy.worker.requests.interfaces import SessionTools
from mcproxy.worker.requests.ledgers import Ledger
from mcproxy.worker.requests.visitors import Visitor
from mcproxy.worker.stream.exchange import COMPLETE, SWITCHING, Exchange

if TYPE_CHECKING:
    from mcproxy.worker.requests.passage import Passage

_RESPONSE_LIMITS = ("response_header_bytes", "response_header_count")


class Answering(Version):
    """A client's connection, as far as it tells the answers.

    The status of a request counts as soon as the client is told it, or as aborted when it is over without.

    Attributes:
        accounts: what is counted and logged of its requests.
        ledgers: what is counted, by the routes of its requests.
        exchanges: what is under way, by stream.
    """

    __slots__ = ("_answering", "_codes_counter", "_deferred", "accounts", "exchanges", "ledgers")

    tools: SessionTools

    def __init__(self, tools: SessionTools, arrival: Arrival, protocol: str) -> None:
        super().__init__(tools)
        self.accounts = Accounts(tools, arrival, protocol, switched=self.told(SWITCHING))
        self.ledgers = self.accounts.ledgers
        self.exchanges: dict[int, Exchange] = {}
        self._codes_counter = 0 if self.ledgers.own is None else self.ledgers.own.codes  # 0: see `_codes_of`
        self._answering: Ledger | None = None
        self._deferred: deque[Exchange | Answer] = deque()  # requests that nothing was done for yet

    def begin_deferred(self) -> None:
        """Begin with the requests that waited for the client to take what it has asked for before, in their order."""
        deferred = self._deferred
        while deferred and not self.crowded():
            request = deferred.popleft()
            if isinstance(request, Answer):
                self._answer(*request)
            elif self.exchanges.get(request.stream) is request:  # else it has been given up
                request.pool.acquire(request)

    def crowded(self) -> bool:
        """Tell whether so much waits for the client that no new work is to be begun for it."""
        return self.full

    def answer(
        self,
        stream: int,
        status: int,
        head: RequestHead | None,
        failure: Failure,
        visitor: Visitor | None = None,
        ledger: Ledger | None = None,
        number: bytes = b"",
    ) -> None:
        """Answer a request without a backend, because of a failure.

        Args:
            stream: its number.
            status: of the answer.
            head: the request, None if not even that could be read.
            failure: why.
            visitor: who has sent it; None for who is connected.
            ledger: of the request's route; None over TLS, and where it has none.
            number: its id, empty if it has got none yet.
        """
        number = number or self._number(head, visitor)
        error = error_response(status, number, grpc=head is not None and is_grpc(head.headers))
        self._answer_later(Answer(stream, head, failure, error, ledger, number, visitor=visitor))

    def _number(self, head: RequestHead | None, visitor: Visitor | None) -> bytes:
        """Return the id of a request that has got none: the one of another proxy, if that may name requests, else a new one."""
        trusted = self.accounts.arrival.proxied or (visitor is not None and visitor.told is not None)
        known = kept_id(head.headers) if trusted and head is not None else b""
        return known or self.tools.ids.next()[1]

    def _answer_later(self, answer: Answer) -> None:
        """Send an answer of the proxy's own, unless the client has to take others before."""
        if self._deferred or self.crowded():
            self._deferred.append(answer)
        else:
            self._answer(*answer)

    def _answer(
        self,
        stream: int,
        head: RequestHead | None,
        failure: Failure,
        response: ErrorResponse,
        ledger: Ledger | None,
        number: bytes,
        passage: "Passage | None",
        visitor: Visitor | None,
    ) -> None:
        self._answering = ledger = ledger or self.ledgers.own
        body = b"" if head is not None and head.method == b"HEAD" else response.body
        self.respond(stream, response.status, list(response.headers), end=not body)
        if body:
            self.send(stream, body, end=True)
        self.accounts.answered(response.status, head, len(body), failure, number, ledger, passage, visitor)
        self.finished(stream)

    def account(self, exchange: Exchange) -> None:
        """Count and log a request that is over."""
        if exchange.reason is not COMPLETE:
            if exchange.reason in _RESPONSE_LIMITS:
                self.count_limit(exchange.reason)
            elif exchange.reason == "bad_request":
                self.blame(exchange.stream)
        self.accounts.ended(exchange)

    def count_limit(self, limit: str) -> None:
        """Count that a peer has hit one of the configured limits."""
        self.tools.counters[limit_counter(limit)] += 1

    def _codes_of(self, stream: int) -> int:
        """Return the word where the response of a request is counted that has a route of its own; 0 if it has none."""
        exchange = self.exchanges.get(stream)
        ledger = self._answering if exchange is None else self.ledgers[exchange.route]
        return 0 if ledger is None else ledger.codes
