"""The way of a request through the cases and filters of its route.

    route --match--> case --guards--> (guards that have to ask) --rewrite, headers--> backend, redirect or text

The order of the stages is fixed, whatever the order in the file: who may come, how often, what browsers ask beforehand (CORS), how long
the body may be, who it is; then what is changed on the way to the backend, and on the way back. Guards that have to ask are pools that
stand before the one that the request goes to (`mcproxy.worker.stream.course`).
"""

import math

import msgspec

from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory import sparse_counters
from mcproxy.net.memory.shared_memory import policy_counter
from mcproxy.net.memory.sparse_counters import SparseCounters
from mcproxy.net.sockets import address_text
from mcproxy.policy.answers import Asking
from mcproxy.policy.cases.table import Ambiguous
from mcproxy.policy.certificates.clients import ClientCertificate
from mcproxy.policy.field_names import fold
from mcproxy.policy.filters.forward_auth import without
from mcproxy.policy.filters.refusal import Refusal
from mcproxy.policy.filters.scope import Scope
from mcproxy.policy.headers import REQUEST_ID, ErrorResponse, Headers, RequestHead, error_response, id_of, is_grpc
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.live.cases import LiveCase
from mcproxy.worker.live.filters import LiveScope
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.live.way import Way
from mcproxy.worker.requests.interfaces import SessionTools
from mcproxy.worker.requests.own_pools import OwnPools
from mcproxy.worker.requests.visitors import Visitor
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import COMPLETE, Exchange

_ESCAPES = Failure("ambiguous_path", "what is behind the rewritten beginning can be read as leading out of it")
_OF_CONTENT = frozenset((b"etag", b"last-modified", b"accept-ranges", b"digest", b"repr-digest", b"trailer"))
"""Fields that say something of the body, beside those that begin with ``content-``."""
_ANYBODY = Asking("", b"", "")
_FIRST_ERROR = 400
_DIGITS = 20
_NOWHERE = Way(None, None)


class Guest(msgspec.Struct, frozen=True, eq=False):
    """What the requests of one client connection have in common.

    Attributes:
        server_name: what its ClientHello has asked for, "" for nothing.
        certificate: what the client has shown, None for nothing.
        own: the pools that serve it alone.
        counters: this worker's.
        sparse: its counters by case and filter.
    """

    server_name: str
    certificate: ClientCertificate | None
    own: OwnPools
    counters: memoryview
    sparse: SparseCounters

    def passage(self, route: LiveRoute, head: RequestHead, forwarding: Headers, visitor: Visitor) -> "Passage":
        """Return the way of a request through the cases and filters of a route that has some."""
        return Passage(self, route, head, forwarding, visitor)


def guest_of(
    arrival: Arrival, own: OwnPools, tools: SessionTools, certificate: ClientCertificate | None = None
) -> Guest:
    """Return what the requests of a connection have in common; ``certificate`` is what its client has shown."""
    return Guest(arrival.server_name or "", certificate, own, tools.counters, tools.sparse)


class Told(msgspec.Struct, frozen=True, eq=False):
    """An answer to a request that needs no backend.

    Attributes:
        response: the answer, as the client gets it.
        failure: why; `COMPLETE` if that is the route's or the case's own answer.
    """

    response: ErrorResponse
    failure: Failure


class Passage:
    """What a request's case and filters do with it and its answer; the other methods are those of `course.Passage`.

    Attributes:
        head: the request as its client has sent it.
        request: the same without fields that a backend gets from nobody but from who is asked by `forward_auth`.
        forwarding: what backends are told of the client.
        source: its packed address.
        case: the match of its case, "" for none.
        filter: the name of the filter that has refused it, "" for none.
        idle_timeout: seconds that it may go on without anything moving; None for the settings' value.
    """

    __slots__ = (
        "_asking",
        "_at",
        "_guest",
        "_most",
        "_route",
        "_rules",
        "_scope",
        "_visitor",
        "_way",
        "case",
        "filter",
        "forwarding",
        "head",
        "idle_timeout",
        "request",
        "source",
    )

    def __init__(
        self, guest: Guest, route: LiveRoute, head: RequestHead, forwarding: Headers, visitor: Visitor
    ) -> None:
        """Begin with a route that has cases or filters; see the attributes for the rest."""
        self._guest = guest
        self._route = route
        self._way: Way = route
        self._scope: LiveScope | None = route.scope
        self._rules: Scope | None = None
        self._asking: Asking | None = None
        self._at = 0  # of the guards that have to ask, the next one
        self._most: float = math.inf
        self.head = head
        self.request = without(head, route.claims) if route.claims else head
        self.forwarding = forwarding
        self.source = visitor.source
        self._visitor = visitor
        self.case = ""
        self.filter = ""
        self.idle_timeout = route.idle_timeout

    # The way to the backend

    def enter(self, length: int | None) -> Told | None:
        """Find the case, and let the guards decide that need not ask; return the answer where the request goes no further.

        Args:
            length: bytes of the request's body, None if that is not known.
        """
        cases = self._route.cases
        if cases is not None:
            found = cases.find(self.request)
            if isinstance(found, Ambiguous):
                return self._ambiguous(found)
            if found is not None:
                self.case = found.name
                self._scope = found.scope
                if found.acts:
                    self._way = found
                self._guest.sparse.count(found.counter)
        scope = self._scope
        if scope is not None:
            rules = self._rules = scope.rules
            if rules.idle_timeout is not None:
                self.idle_timeout = rules.idle_timeout
            told = self._guard(scope, rules, length)
            if told is not None:
                return told
        elif self._route.rules is not None and (told := self._judge_policies()) is not None:
            return told
        way = self._forth()
        if way.answer is None:
            return None if way.leads else self._refuse(Refusal("case", "", 404, "no_case"))
        if scope is not None and scope.asks:
            return None
        return Told(self.own(way.answer.to(self.head, self.asking), paged=False), Failure(COMPLETE))

    def _ambiguous(self, found: Ambiguous[LiveCase]) -> Told:
        """Return the answer to a request that could be one of several cases, with the fields that all answers of its route have."""
        if self._scope is not None:
            self._rules = self._scope.rules
        self._count_ambiguous()
        return self._refuse(Refusal("case", "", 400, "ambiguous_path", _readings(found)))

    def _count_ambiguous(self) -> None:
        kind, name = sparse_counters.CASE, sparse_counters.AMBIGUOUS
        self._guest.sparse.count(sparse_counters.key(self._route.index, kind, name))

    def _forth(self) -> Way:
        """Return where the request goes: a redirect that leads to where the client is already counts for none."""
        for way in (self._way, self._route):
            self._way = way
            if self._visitor.told is None or way.answer is None or not way.answer.leads_back(self.head, self.asking):
                return way
        self._way = _NOWHERE
        return _NOWHERE

    def _guard(self, scope: LiveScope, rules: Scope, length: int | None) -> Told | None:
        for guard in scope.guards:
            refusal = guard.judge(self)
            if refusal is not None:
                return self._refuse(refusal)
        if self._route.rules is not None and (told := self._judge_policies()) is not None:
            return told
        if rules.cors is not None and (answer := rules.cors.preflight(self.head)) is not None:
            return Told(self.own(answer, paged=False), Failure(COMPLETE))
        limit = rules.max_body
        if limit is not None and not self.head.websocket:  # a tunnel has no body
            self._most = limit.size
            announced = _announced(self.head.headers) if length is None else length
            if announced is not None and announced > limit.size:
                return self._refuse(Refusal("body", limit.name, 413, "body_too_large", self._too_long(announced)))
        return None

    def _judge_policies(self) -> Told | None:
        route = self._route
        blocked = None if route.rules is None else route.rules.judge(self.request, self.forwarding)
        if blocked is None:
            return None
        self._guest.counters[policy_counter(route.index, blocked.type)] += 1
        return Told(self.own(self._error(403), paged=True), Failure(blocked.type, blocked.value))

    def _refuse(self, refusal: Refusal) -> Told:
        if refusal.filter:
            self.refused(refusal.stage, refusal.filter)
        error = self._error(refusal.status)
        if refusal.headers:
            error = ErrorResponse(error.status, (*error.headers, *refusal.headers), error.body)
        return Told(self.own(error, paged=True), Failure(refusal.reason, refusal.detail))

    def _error(self, status: int) -> ErrorResponse:
        return error_response(status, self.number, grpc=is_grpc(self.head.headers))

    def refused(self, stage: str, name: str) -> None:
        """Note which filter has refused the request, and at which of `sparse_counters.STAGES`."""
        self.filter = name
        self._guest.sparse.count(sparse_counters.key(self._route.index, stage, name))

    def begin(self, exchange: Exchange) -> bool:
        """Become the passage of an exchange, whose pool this is until it is acquired; tell whether its answer has a time limit."""
        exchange.passage = self
        exchange.case = self.case
        exchange.head = self.request
        rules = self._rules
        if rules is None or rules.request_timeout is None:
            return False
        exchange.answer_by = exchange.began_at + rules.request_timeout
        return exchange.answer_by < math.inf

    def acquire(self, exchange: Exchange) -> None:
        """Take the exchange to the first guard that has to ask, or to where its route or case leads."""
        self.go_on(exchange)

    def abandon(self, exchange: Exchange) -> bool:  # noqa: ARG002 - none waits here
        """Tell that it did not wait."""
        return False

    def go_on(self, exchange: Exchange) -> None:
        """Take the exchange to the next guard that has to ask, or behind the last one to where its route or case leads."""
        pool = exchange.pool = self._next(exchange)
        pool.acquire(exchange)

    def _next(self, exchange: Exchange) -> Pool[Exchange]:
        scope, at = self._scope, self._at
        if scope is not None and at < len(scope.asks):
            self._at = at + 1
            return scope.asks[at]
        rules, way = self._rules, self._way
        if rules is not None and rules.request is not None:
            head = rules.request.apply(exchange.head, self.asking if rules.request.fills else _ANYBODY)
            if head is None:
                self._count_ambiguous()
                return _Answered(self._error(400), _ESCAPES, paged=True)
            exchange.head = head
        if way.answer is not None:
            return _Answered(way.answer.to(self.head, self.asking), Failure(COMPLETE), paged=False)
        own, binds = self._guest.own, exchange.head.binds
        return own.find(way, binds=binds) if way.pool is None or binds or own.bound else way.pool

    @property
    def number(self) -> bytes:
        """The request's id."""
        return id_of(self.head, self.forwarding)

    @property
    def certificate(self) -> ClientCertificate | None:
        """What the client has shown in its handshake, None for nothing."""
        return self._guest.certificate

    @property
    def asking(self) -> Asking:
        """Who asks, for variables."""
        if self._asking is None:
            guest = self._guest
            name = "" if guest.certificate is None else guest.certificate.name
            self._asking = Asking(address_text(self.source), self.number, guest.server_name, self._visitor.scheme, name)
        return self._asking

    def admits(self, received: int) -> bool:
        """Tell whether the request's body may be as long as what has come of it (bytes)."""
        return received <= self._most

    def too_long(self) -> Failure:
        """Note that more has come of the body, and return what is wrong with that."""
        limit = None if self._rules is None else self._rules.max_body
        if limit is not None:
            self.refused("body", limit.name)
        return Failure("body_too_large", self._too_long(None))

    def _too_long(self, announced: int | None) -> str:
        said = "more" if announced is None else f"{announced:,} bytes"
        return f"{said} where max_body allows {self._most:,}"

    def request_trailers(self, headers: Headers) -> Headers:
        """Return those of the request's trailers that may pass: what does not come in its head does not come behind it."""
        gone = self._route.claims
        if self._rules is not None and self._rules.request is not None:
            gone |= self._rules.request.gone
        return [header for header in headers if fold(header[0]) not in gone] if gone else headers

    # The way back

    def response(self, status: int, headers: Headers) -> Headers:  # noqa: ARG002 - what is changed does not depend on it
        """Return the fields of a backend's response as the client gets them; the same list where nothing changes."""
        rules = self._rules
        if rules is None:
            return headers
        if rules.cors is not None:
            headers = rules.cors.fields(self.head, headers)
        if rules.response is not None:
            headers = rules.response.apply(headers, self.head, self.asking if rules.response.fills else _ANYBODY)
        return headers

    def response_trailers(self, headers: Headers) -> Headers:
        """Return those of its trailers that may pass."""
        rules = self._rules
        gone = frozenset() if rules is None or rules.response is None else rules.response.gone
        return [header for header in headers if header[0] not in gone] if gone else headers

    def instead(self, status: int, headers: Headers) -> ErrorResponse | None:
        """Return what the client gets instead of a backend's error; None for the error."""
        if status < _FIRST_ERROR or self._scope is None:
            return None
        page = self._scope.page(status, self.number, own=False)
        if page is None or is_grpc(self.head.headers):
            return None
        kept = [(name, value) for name, value in headers if name[:8] != b"content-" and name not in _OF_CONTENT]
        if all(name != REQUEST_ID for name, _ in kept):
            kept.append((REQUEST_ID, self.number))
        return ErrorResponse(status, tuple(self.response(status, [*kept, *page.headers])), page.body)

    def own(self, response: ErrorResponse, *, paged: bool) -> ErrorResponse:
        """Return an answer of the proxy's own as the client gets it; ``paged``: a page may stand for its body."""
        scope, status = self._scope, response.status
        headers = list(response.headers)
        page = None
        if paged and status >= _FIRST_ERROR and scope is not None:
            page = scope.page(status, self.number, own=True)
        if page is not None:
            headers = [(name, value) for name, value in headers if name[:8] != b"content-"] + list(page.headers)
        return ErrorResponse(status, tuple(self.response(status, headers)), (page or response).body)


class _Answered:
    """Stands for a backend where the request is answered here."""

    __slots__ = ("_failure", "_paged", "_response")

    def __init__(self, response: ErrorResponse, failure: Failure, *, paged: bool) -> None:
        self._response = response
        self._failure = failure
        self._paged = paged

    def acquire(self, exchange: Exchange) -> None:
        """Answer."""
        exchange.answer(self._response, self._failure, paged=self._paged)

    def abandon(self, exchange: Exchange) -> bool:  # noqa: ARG002 - none waits here
        """Tell that it did not wait."""
        return False


def _announced(headers: Headers) -> int | None:
    """Return the length of the body that a request of HTTP/2 announces, which the engine has checked."""
    # More digits than a length can have make it longer than any limit.
    return next((int(value[:_DIGITS]) for name, value in headers if name == b"content-length"), None)


def _readings(found: Ambiguous[LiveCase]) -> str:
    """Return between which cases the path of a request can't be told apart."""
    if not found.reading:
        return "its path can be read in too many ways"
    one, other = (case.name if case is not None else "no case" for case in (found.one, found.other))
    return f"its path belongs to {one}; read as {found.reading.decode(errors='backslashreplace')}, to {other}"
