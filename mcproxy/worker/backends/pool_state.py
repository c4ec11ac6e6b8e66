"""What the connections to one backend are to do next: plain data, decided here and carried out by `BackendPool`.

The shell reports what has happened (a request arrives, a dial has failed, a connection is free ...), then takes one decision
after another from `PoolState.decide` and carries each out before it asks for the next: what it does may have changed
everything, since a request that fails may make its client send another one. Time (monotonic seconds) is an argument.

    request --wait--> waiting --Attach--> on a connection        a dial --failed--> (the next one has to wait: `Backoff`)
                         |  ^                    |                 |
                         |  +-------refused------+                 +--settled--> multiplexed | idle --lost--> gone
                         +--Fail, abandon--> gone

A connection speaks HTTP/2 and takes requests while it has room (multiplexed), or HTTP/1.1 and takes one at a time (idle
in between). One dial at a time is made for the former, as many as requests wait for the latter. What a backend speaks
is found out by the first dial: by ALPN, or without TLS by an HTTP/2 preface, on which others close.

A dial that brings no request forward has failed: no connection, one on which nothing is spoken, or one that takes no
request. It fails those that wait, unless another dial is on its way or a connection there may still serve them; and in
any case those that can go to another backend (`Request.may_leave`), which never wait for a pause. A
connection that ends before its first response has failed, too, as far as the next dial is concerned; those that wait go
on waiting, as it may have been the request's fault.
"""

from collections import deque
from collections.abc import Collection, Sequence
from typing import Generic, Literal

from mcproxy.model.values.reasons import Failure
from mcproxy.worker.backends.backoff import BRIEF, LONG, Backoff, Pause
from mcproxy.worker.backends.decisions import (
    Attach,
    Bounds,
    C,
    Close,
    Count,
    Decision,
    Dial,
    Fail,
    Link,
    R,
    Spoken,
    Waiting,
    share,
)

MAX_DIALS = 5  # that a request waits for, or gets the connection of
ANSWER = 4.5  # seconds after its head until which a request is left waiting for a pause to end; no pause is longer
UNUSED = 60.0  # seconds that a connection is kept without a request
NO_STREAM = Failure("backend_no_stream", "it takes connections and no requests")
"""Why requests fail when a backend does so."""
_TOO_MANY = Failure("backend_waiting", "too many requests wait for a connection")
_BROKEN = Failure("backend_error", "it broke off connections before it had answered on one")
_STATUS = {"backend_timeout": 504, "no_resources": 503}
_ELSEWHERE = 0.1  # seconds between looks whether another pool's dial has ended


class PoolState(Generic[R, C]):
    """The requests that wait, the dials that are under way and the connections that are open.

    Attributes:
        multiplexed: the links that take many requests, oldest first; whoever uses one notes it in ``used_at``.
        crowded: links among them that had no room when a request came.
        doubted: those whose backend may not be there any more: they take none.
        retired: no route leads here any more: connections are used for those that wait, then closed.
        speaks: what the backend is known to speak, None before that was found out.
    """

    def __init__(self, protocol: Literal["auto", "h2", "http/1.1"], *, tls: bool, backoff: Backoff) -> None:
        """Begin without connections.

        Args:
            protocol: what the backend speaks, as configured.
            tls: whether it is reached through TLS, where ALPN tells what it speaks.
            backoff: when it may be dialed again.
        """
        self._auto = protocol == "auto"
        self._tls = tls
        self.speaks: Spoken | None = None if protocol == "auto" else protocol
        self._backoff = backoff
        self._waiting: Waiting[R] = Waiting()
        self._failing: dict[R, Fail[R]] = {}
        self._closing: deque[C] = deque()
        self._counts: list[Count] = []
        self._connecting: set[Dial[R]] = set()
        self._links: dict[C, Link[C]] = {}
        self._idle: dict[Link[C], None] = {}  # the one used last comes last, and is used first
        self._proven = 0
        self._verdict = (502, NO_STREAM)  # of the last dial that failed
        self.multiplexed: list[Link[C]] = []
        self.crowded: set[C] = set()
        self.doubted: dict[C, Link[C]] = {}
        self.retired = False

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    @property
    def connections(self) -> Collection[C]:
        """All connections that are open."""
        return self._links.keys()

    def full(self, bounds: Bounds, *, modest: bool) -> bool:
        """Tell whether there are as many connections, dials included, as ``modest`` requests may have, or others."""
        return len(self._links) + len(self._connecting) >= share(bounds, modest=modest)

    # Requests

    def shared(self, *, websocket: bool) -> Link[C] | None:
        """Return the link of a multiplexed connection for a request, as `place` does."""
        for link in self.multiplexed:
            if link.room and (link.websockets or not websocket):
                link.attached += 1
                return link
        return None

    def place(self, bounds: Bounds, *, websocket: bool, modest: bool) -> Link[C] | None:
        """Return a link for a request, which it gets at once or which is told `refused`; None if there is none now."""
        link = self.shared(websocket=websocket)
        if link is not None:
            return link
        if not self._idle or len(self._links) - len(self._idle) >= share(bounds, modest=modest):
            return None
        link, _ = self._idle.popitem()
        link.attached += 1
        return link

    def refused(self, link: Link[C], now: float, failure: Failure = NO_STREAM) -> None:
        """The link that was found does not take the request."""
        link.attached -= 1
        if not link.multiplexed:
            return  # it is closing, and its end will be told
        link.room = False
        self.crowded.add(link.connection)
        if not link.attached:
            self._withdraw(link)
            self._closing.append(link.connection)
            self._note_failure(link.round, 502, failure, now, LONG)

    def not_attached(self, attach: Attach[R, C], now: float, failure: Failure = NO_STREAM) -> None:
        """A request was refused that has waited: it is the first of those that wait again."""
        request = attach.request
        request.dials -= attach.link.attached == 1
        self._waiting.line(websocket=attach.websocket).put_back(request)
        self.refused(attach.link, now, failure)

    def wait(self, request: R, bounds: Bounds, *, websocket: bool, modest: bool) -> None:
        """Let a request wait for a connection, unless too many wait already or it has waited for too many dials."""
        waiting = self._waiting.modest if modest else self.waiting
        blocked = failing = bool(self._backoff.failures)
        if self.full(bounds, modest=modest):
            blocked = True
            self._counts.append(Count("backend_connections"))
        if request.dials >= MAX_DIALS:
            self._failing[request] = Fail(request, *self._verdict)
        elif blocked and waiting - len(self._connecting) >= bounds.backend_waiting:
            self._counts.append(Count("backend_waiting"))
            self._failing[request] = Fail(request, 503, _TOO_MANY)
        elif failing and self._connecting and request.may_leave():
            # One finds out whether the backend is there again.
            self._failing[request] = Fail(request, *self._verdict, spared=True)
        else:
            self._waiting.line(websocket=websocket).add(request, modest=modest)

    def abandon(self, request: R) -> bool:
        """Forget a request that waits; tell whether it did."""
        return self._waiting.remove(request) or self._failing.pop(request, None) is not None

    def retire(self) -> None:
        """Close what is idle, and everything else when it is done."""
        self.retired = True
        self._closing.extend(self._links)
        self.multiplexed.clear()
        self.doubted.clear()
        self._idle.clear()

    # Dials and connections

    def failed(self, dial: Dial[R], failure: Failure, now: float) -> None:
        """A dial has brought no connection."""
        self._connecting.discard(dial)
        self._forget_protocol(alone=dial.alone)
        self._note_failure(dial.round, _STATUS.get(failure.reason, 502), failure, now, BRIEF)

    def unspoken(self, dial: Dial[R], now: float, failure: Failure = NO_STREAM) -> None:
        """The backend has taken a dial's connection, and closed it or kept silent where it should speak HTTP/2."""
        self._connecting.discard(dial)
        if self._auto and not (self._tls or dial.alone or dial.speaks == "http/1.1"):
            self.speaks = "http/1.1"  # it does not understand the preface of HTTP/2
            self._backoff.given_up(dial.round)
            self._charge(502, failure)
        else:
            self._forget_protocol(alone=dial.alone)
            self._note_failure(dial.round, 502, failure, now, LONG)

    def settled(self, dial: Dial[R], connection: C, now: float, *, multiplexed: bool, websockets: bool = False) -> None:
        """A dial has brought a connection that speaks HTTP/2 (``multiplexed``) or HTTP/1.1."""
        self._connecting.discard(dial)
        self._backoff.settled(dial.round, now)
        link = self._links[connection] = Link(connection, dial.round, dial.alone, multiplexed, websockets, now)
        if self._auto and not dial.alone and (self._tls or multiplexed):
            self.speaks = "h2" if multiplexed else "http/1.1"
        if multiplexed:
            self.multiplexed.append(link)
        else:
            self._idle[link] = None

    def room(self, connection: C) -> None:
        """A connection that was crowded may have room."""
        if connection in self.crowded:
            self.crowded.discard(connection)
            self._links[connection].room = True

    def free(self, connection: C, now: float) -> None:
        """An HTTP/1.1 connection can take another request."""
        link = self._links.get(connection)
        if link is not None:
            link.used_at = now
            self._idle[link] = None

    def proven(self, connection: C) -> None:
        """The first response has come on a connection."""
        link = self._links.get(connection)
        if link is not None and not link.proven:
            link.proven = True
            self._proven += 1
            self._backoff.succeeded()

    def left(self, connection: C, now: float, failure: Failure = NO_STREAM, *, untouched: bool, orderly: bool) -> None:
        """The backend takes no more requests on a connection (GOAWAY).

        It has taken none if ``untouched``, and for no error if ``orderly``: else a request may have been to blame.
        """
        link = self._links.get(connection)
        if link is None:
            return
        self._withdraw(link)
        if untouched and link.attached and not link.proven:
            if orderly:
                self._note_failure(link.round, 502, failure, now, LONG)
            else:
                self._note_break(link, now)

    def doubt(self, connection: C) -> None:
        """A multiplexed connection's backend may not be there any more."""
        link = self._links.get(connection)
        if link is not None and link in self.multiplexed:
            self.multiplexed.remove(link)
            self.doubted[connection] = link

    def trust(self, connection: C) -> None:
        """It is."""
        link = self.doubted.pop(connection, None)
        if link is not None:
            self.multiplexed.append(link)

    def lost(self, connection: C, now: float, *, broken: bool) -> None:
        """A connection is closed; ``broken``: by the backend, before a response that was due."""
        link = self._links.pop(connection, None)
        if link is None:
            return
        self._withdraw(link)
        self.crowded.discard(connection)
        self._proven -= link.proven
        if link.proven or not broken:
            self._backoff.lost(link.round)
            return
        if not link.multiplexed:
            self._forget_protocol(alone=link.alone)
        self._note_break(link, now)

    def give(self, connection: C) -> Link[C] | None:
        """Let another state of the same backend have a connection that one request is on; None if it is not known."""
        link = self._links.pop(connection, None)
        if link is not None:
            self._withdraw(link)
            self._proven -= link.proven
        return link

    def take(self, link: Link[C]) -> None:
        """Go on with a connection that was given."""
        self._links[link.connection] = link
        self._proven += link.proven

    def close_unused(self, now: float) -> None:
        """Close the connections that nobody has used for a while."""
        for link in [*self._idle, *self.multiplexed]:
            if now - link.used_at > UNUSED:
                self._withdraw(link)
                self._closing.append(link.connection)

    # Decisions

    def decide(self, now: float, bounds: Bounds) -> Decision[R, C] | None:
        """Return what is to be done next, which counts as done from then on; None if nothing is."""
        if self._counts:
            return self._counts.pop()
        if self._closing:
            return Close(self._closing.popleft())
        attach = self._next_attachment(bounds)
        if attach is not None:
            return attach
        if self._failing:
            return self._failing.pop(next(iter(self._failing)))
        if self.retired and (self._idle or self.multiplexed):
            self._closing.extend(link.connection for link in [*self._idle, *self.multiplexed])
            self._idle.clear()
            self.multiplexed.clear()
            return self.decide(now, bounds)
        if self.waiting:
            return self._next_dial(now, bounds)
        return None

    def wake_at(self, now: float) -> float | None:
        """Return when `decide` may have another answer although nothing has happened; None if it won't."""
        if self._backoff.failures and self.waiting and not self._connecting:
            return max(self._backoff.not_before, now + _ELSEWHERE)
        return None

    def _next_attachment(self, bounds: Bounds) -> Attach[R, C] | None:
        websocket = self._waiting.websocket_first
        return self._attachment(bounds, websocket=websocket) or self._attachment(bounds, websocket=not websocket)

    def _attachment(self, bounds: Bounds, *, websocket: bool) -> Attach[R, C] | None:
        waiting = self._waiting.line(websocket=websocket)
        link = self.place(bounds, websocket=websocket, modest=bool(waiting.modest)) if waiting else None
        if link is None:
            return None
        request = waiting.take()
        request.dials += link.attached == 1
        return Attach(request, link, websocket)

    def _next_dial(self, now: float, bounds: Bounds) -> Dial[R] | Fail[R] | None:
        modest = self.full(bounds, modest=False)
        if modest and (not self._waiting.modest or self.full(bounds, modest=True)):
            return None
        apart = bool(self.multiplexed) and not any(link.websockets for link in self.multiplexed)
        shared, alone = self._waiting.wanted(each=self.speaks == "http/1.1", apart=apart, modest=modest)
        for dial in self._connecting:
            if dial.alone:
                alone -= 1
            else:
                shared -= 1
        if shared <= 0 and alone <= 0:
            return None
        first = next(iter(self._waiting))
        if not self._backoff.may_dial(now):
            # A dial that comes too late for it is of no use to a request. Another pool's may be under way.
            too_late = not self._connecting and first.began_at + ANSWER <= max(self._backoff.not_before, now)
            spared = first.may_leave()
            if too_late or spared:
                self.abandon(first)
                return Fail(first, *self._verdict, spared)
            return None
        again = self._backoff.failures > 0
        dial = Dial(first, self.speaks, shared <= 0, again, self._backoff.began())
        self._connecting.add(dial)
        return dial

    def _note_failure(self, number: int, status: int, failure: Failure, now: float, pause: Pause) -> None:
        self._verdict = (status, failure)
        ended = self._backoff.failed(number, now, pause)
        if not (self._connecting or self.multiplexed or self._serving()):
            self._fail_all(self._waiting.clear(), status, failure)
            return
        if ended:
            self._charge(status, failure)
        self._fail_all(self._waiting.leaving(), status, failure)

    def _note_break(self, link: Link[C], now: float) -> None:
        """An unanswered connection was broken off; another one that was answered shows that it was not for the backend."""
        if self._proven:
            self._backoff.lost(link.round)
        elif self._backoff.failed(link.round, now, BRIEF):
            self._verdict = (502, _BROKEN)
            self._charge(*self._verdict)

    def _serving(self) -> bool:
        """Tell whether there is an HTTP/1.1 connection, which may be free in a while."""
        return any(not link.multiplexed for link in self._links.values())

    def _charge(self, status: int, failure: Failure) -> None:
        """Count a dial that those that wait have waited for, and fail those that have waited for too many."""
        self._fail_all(self._waiting.charge(MAX_DIALS), status, failure)

    def _fail_all(self, requests: Sequence[R], status: int, failure: Failure) -> None:
        self._failing.update((request, Fail(request, status, failure)) for request in requests)

    def _withdraw(self, link: Link[C]) -> None:
        if link.multiplexed:
            if link in self.multiplexed:
                self.multiplexed.remove(link)
            self.doubted.pop(link.connection, None)
        else:
            self._idle.pop(link, None)

    def _forget_protocol(self, *, alone: bool) -> None:
        """Find out again what the backend speaks, unless that is configured: it may be another program by now."""
        if self._auto and not alone:
            self.speaks = None
