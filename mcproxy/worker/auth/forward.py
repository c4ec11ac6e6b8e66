"""The guard of ``forward_auth``: another server says whether a request may pass. Without an answer none does.

The question is an exchange of its own on that server's pool, whose client is the `_Question`. An answer of 2xx lets the request
pass as soon as its head has come; what is left of the answer is read and thrown away, so that the connection can be used again.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from mcproxy.model.values.reasons import Failure
from mcproxy.net.loop.deadlines import Deadlines
from mcproxy.net.memory.sparse_counters import SparseCounters, hash_of
from mcproxy.policy.filters import forward_auth
from mcproxy.policy.headers import ErrorResponse, Headers, error_response, is_grpc, with_id
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import CANCEL, COMPLETE, SWITCHING, Exchange

PATIENCE = 5.0
"""Seconds until a question counts as unanswered."""
_LATE = Failure("forward_auth_failed", f"it did not answer within {PATIENCE:g} s")
_TOO_LONG = Failure("forward_auth_failed", "the body of its answer is longer than 64 KiB")
_NONE = Failure("forward_auth_failed", "its answer is none")
_SAID_NO = "forward_auth"


class AuthServer(Protocol):
    """Whom to ask.

    Attributes:
        pool: its connections.
    """

    pool: Pool[Exchange] | None


class ForwardTools(msgspec.Struct, frozen=True, eq=False):
    """What the guards of a worker share.

    Attributes:
        deadlines: time limits.
        sparse: counts how long answers took.
        report: gets exceptions.
    """

    deadlines: Deadlines
    sparse: SparseCounters
    report: Callable[[Exception], object]


class ForwardAuth:
    """A filter's guard, as a pool that hands exchanges on to what is behind it.

    Attributes:
        tools: what the guards share.
        copied: names, in lower case, of the fields that backends get from the answer.
        claims: the same, folded.
    """

    __slots__ = ("_asked", "_hash", "_name", "_path", "_server", "claims", "copied", "tools")

    def __init__(
        self, name: str, server: AuthServer, path: bytes, copied: tuple[str, ...], tools: ForwardTools
    ) -> None:
        self._name = name
        self._hash = hash_of(name)
        self._server = server
        self._path = path
        self.copied = tuple(each.lower().encode() for each in copied)
        self.claims = forward_auth.claims_of(copied)
        self.tools = tools
        self._asked: dict[Exchange, _Question] = {}

    def acquire(self, exchange: Exchange) -> None:
        """Ask whether an exchange may pass."""
        pool = self._server.pool
        if pool is None:
            self.refuse(exchange, None, Failure("forward_auth_failed", "there is no connection to it"))
            return
        client = exchange.client
        now = client.now()
        head = forward_auth.question(exchange.asked, exchange.head, self._path, self.claims)
        question = self._asked[exchange] = _Question(self, exchange, now)
        inquiry = question.inquiry = Inquiry(question, 0, head, exchange.forwarding, pool, now, now, now, True, 0)
        self.tools.deadlines.set(question, now + PATIENCE)
        pool.acquire(inquiry)

    def abandon(self, exchange: Exchange) -> bool:
        """Take back the question about an exchange; tell whether there was one."""
        question = self._asked.pop(exchange, None)
        if question is None:
            return False
        question.take_back()
        return True

    def allow(self, exchange: Exchange, answer: Headers) -> None:
        """Let an exchange pass, with what the answer says of it."""
        self._asked.pop(exchange, None)
        passage = exchange.passage
        if passage is None or exchange.over:
            return
        exchange.head = forward_auth.passed(exchange.head, answer, self.copied, self.claims)
        passage.go_on(exchange)

    def refuse(self, exchange: Exchange, answer: ErrorResponse | None, failure: Failure) -> None:
        """Give the client the answer, or 503 where there is none."""
        self._asked.pop(exchange, None)
        if exchange.over:
            return
        if exchange.passage is not None:
            exchange.passage.refused("auth", self._name)
        if is_grpc(exchange.asked.headers):
            exchange.fail(503 if answer is None else forward_auth.grpc_refusal(answer.status), failure)
        elif answer is None:
            exchange.answer(error_response(503, exchange.number), failure)
        else:
            exchange.answer(with_id(answer, exchange.number), failure, paged=False)

    def took(self, seconds: float) -> None:
        """Count how long a question has taken."""
        self.tools.sparse.observe(self._hash, seconds)


class Inquiry(Exchange):
    """A question on its way and the answer on its way back; own errors are none of the server's answers."""

    def fail(self, status: int, failure: Failure) -> None:
        """End, with the reason why; nobody gets the ``status``."""
        if status == 504 and self._backend is not None:
            self._backend.doubt()
        self.detail = failure.detail
        self.endpoint = failure.endpoint or self.endpoint
        self._finish(CANCEL, failure.reason)


class _Question:
    """The client of an inquiry, as `ClientSide` describes it; and who decides by the answer.

    Attributes:
        inquiry: the exchange.
        source, dial_seconds: those of the client that it is about.
    """

    __slots__ = (
        "_about",
        "_body",
        "_client",
        "_guard",
        "_refusal",
        "_size",
        "_until",
        "bucket",
        "dial_seconds",
        "inquiry",
        "source",
    )

    inquiry: Inquiry

    def __init__(self, guard: ForwardAuth, about: Exchange, now: float) -> None:
        self._guard = guard
        self._about: Exchange | None = about  # None once it is decided
        self._client = about.client
        self._until = now + PATIENCE
        self._refusal: tuple[int, Headers] | None = None  # the head of an answer that is no 2xx
        self._body: list[bytes] = []
        self._size = 0
        self.bucket = 0
        self.dial_seconds = about.client.dial_seconds
        self.source = about.source or about.client.source

    def take_back(self) -> None:
        """End: nobody wants to know any more."""
        self._about = None
        self.inquiry.on_client_gone("client_reset")

    def on_deadline(self, now: float) -> float | None:
        """Wait no longer, neither for the answer nor for the rest of it."""
        if now < self._until:
            return self._until
        self.inquiry.fail(504, _LATE)
        return None

    def on_fault(self) -> None:
        """End: this side has failed."""
        self.inquiry.break_off()

    def _decide(self, by: Callable[[Exchange], None]) -> None:
        """Decide about the request, once; an error of this side ends the request, and not the server's connection."""
        about, self._about = self._about, None
        if about is None:
            return
        self._guard.took(PATIENCE - self._until + self.now())
        try:
            by(about)
        except Exception as error:  # noqa: BLE001 - the connection has other exchanges
            self._guard.tools.report(error)
            about.break_off()

    # What the inquiry calls

    @property
    def under_way(self) -> int:
        """Return how many requests of the client are under way."""
        return self._client.under_way

    def now(self) -> float:
        """Return when the events in hand came (monotonic seconds)."""
        return self._client.now()

    def inform(self, stream: int, status: int, headers: Headers) -> None:
        """Wait for the final answer."""

    def respond(self, stream: int, status: int, headers: Headers, *, end: bool, checked: bool = False) -> None:  # noqa: ARG002
        """Let the request pass if the answer says so, else wait for its end."""
        if 200 <= status < 300:
            self._decide(lambda about: self._guard.allow(about, headers))
        elif status != SWITCHING:
            self._refusal = status, headers

    def send(self, stream: int, data: bytes, *, end: bool) -> None:  # noqa: ARG002
        """Keep a part of the body of a refusal; give up where there is too much of it."""
        self._size += len(data)
        if self._size > forward_auth.MOST:
            self.inquiry.fail(502, _TOO_LONG)
        elif self._refusal is not None:
            self._body.append(data)

    def trailers(self, stream: int, headers: Headers) -> None:
        """Leave them out."""

    def reset(self, stream: int, code: int) -> None:
        """Wait for `account`, which tells why."""

    def consumed(self, stream: int, amount: int) -> None:
        """Nothing was sent."""

    def holds(self, stream: int) -> bool:  # noqa: ARG002
        """Tell that nothing is held back."""
        return False

    def reserve(self) -> bool:
        """Let the answer come in small parts."""
        return False

    def unreserve(self) -> None:
        """Nothing was reserved."""

    def claim(self, exchange: Exchange) -> None:
        """Leave the connection to all: no credentials that hold for a connection are sent on it."""

    def account(self, exchange: Exchange) -> None:
        """Decide by how the inquiry has ended, if it is not decided yet."""
        if exchange.reason is COMPLETE and self._refusal is not None:
            status, fields = self._refusal
            answer = forward_auth.refusal(status, fields, b"".join(self._body))
            failure = Failure(_SAID_NO, f"it answered {status}", exchange.endpoint)
            self._decide(lambda about: self._guard.refuse(about, answer, failure))
        else:
            why = "it switched protocols" if exchange.reason is COMPLETE else exchange.detail or exchange.reason
            failure = Failure("forward_auth_failed", why, exchange.endpoint)
            self._decide(lambda about: self._guard.refuse(about, None, failure))

    def finished(self, stream: int) -> None:  # noqa: ARG002
        """Forget the time limit."""
        self._guard.tools.deadlines.cancel(self)

    def abort(self) -> None:
        """Refuse: not even resetting the stream was possible."""
        self._decide(lambda about: self._guard.refuse(about, None, _NONE))
