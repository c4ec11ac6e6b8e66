"""One request and its response: the bridge between a stream of a client and a stream of a backend.

    client side  --request-->  exchange  --request-->   backend side
                 <-response--            <--response--

Neither side knows the other's HTTP version. Both are connections that speak about streams by number, and both work with
credit: what one side received counts as consumed only when the other side's connection holds none of it back. So at
most one stream window (64 KiB; a client's of HTTP/2 may grow) per direction waits in this process, whatever the body's
size. A response gets that much only while its client has not too many of them (`ClientSide.reserve`); else it comes in
small parts.
"""

import contextlib

from mcproxy.errors import ProtocolError
from mcproxy.model.values.reasons import Failure
from mcproxy.policy import connection_auth
from mcproxy.policy.headers import (
    ErrorResponse,
    Headers,
    error_response,
    is_grpc,
    response_fields,
    trailer_fields,
)
from mcproxy.worker.stream import failures
from mcproxy.worker.stream.backend_side import BackendSide
from mcproxy.worker.stream.course import UNWELL, Pool
from mcproxy.worker.stream.record import RETRIES, Record
from mcproxy.worker.tools.http_settings import FIRST_PART

NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 0x0, 0x2, 0x7, 0x8  # RFC 9113 section 7
SWITCHING = 101
COMPLETE = "complete"
_CHALLENGES = (401, 407)
_CONTINUE = 1.0  # seconds for a backend to send the 100 that a client waits for


class Exchange(Record["Exchange"], eq=False):
    """A request on its way and the response on its way back."""

    # Notifications of the pool

    def attach(self, backend: BackendSide, stream: int) -> None:
        """Go on with a backend's connection; the head has been sent on ``stream``, as the end if it is `bodiless`."""
        self._backend = backend
        self._backend_stream = stream
        self.endpoint = backend.endpoint
        if self.ended and self._early is None and self._trailers is None:
            return  # it was bodiless
        early, self._early = self._early, None
        for data in early or ():
            self._forward(data, end=False)
        if self.ended:
            self._end_request()

    @property
    def attached(self) -> bool:
        """Whether it is on a backend's connection."""
        return self._backend is not None

    def go_on(self, now: float) -> float:
        """Send the 100 that the client waits for, when the backend had its time; return when that is, inf if nobody waits."""
        if not (self.ended or self.status) and self.awaits_continue:
            if now < self.began_at + _CONTINUE:
                return self.began_at + _CONTINUE
            self._going_on = True
            self.client.inform(self.stream, 100, [])
        return float("inf")

    def may_leave(self) -> bool:
        """Tell whether it could go to another endpoint instead of waiting for a connection to this one."""
        return self.visit is not None and self.visit.may_leave(self)

    def on_unreached(self, status: int, failure: Failure, *, spared: bool = False) -> None:
        """Go to another endpoint, or fail: the pool has no connection for it, or has ``spared`` it to wait for one."""
        visit = self.visit
        if visit is not None and not self._complete:
            if visit.unreached(self, failure, spared=spared):
                return
            status, failure = visit.last_words(status, failure)
        self.fail(status, failure)

    def leave(self, *, end: bool) -> None:
        """Give up the backend's connection, and its answer, of which all has come if ``end``: the request goes elsewhere."""
        self._tries_before, self.dials, self._retries = self.tries, 0, RETRIES
        backend, self._backend = self._backend, None
        if backend is not None and not (end and self.ended):
            backend.reset(self._backend_stream, CANCEL)

    def fail(self, status: int, failure: Failure) -> None:
        """Answer with an error of the proxy's own, or break off a response that has begun; ``failure`` says why."""
        if self._complete:
            return
        if status == 504 and self._backend is not None:
            self._backend.doubt()
        self.answer(error_response(status, self.number, grpc=is_grpc(self.asked.headers)), failure)

    def answer(self, response: ErrorResponse, failure: Failure, *, paged: bool = True) -> None:
        """Answer instead of a backend, or break off a response that has begun.

        Args:
            response: the answer.
            failure: why no backend answers; `COMPLETE` as the reason if none was to.
            paged: whether an error page may stand for the answer's body.
        """
        if self._complete:
            return
        if self.status:
            self.client.reset(self.stream, INTERNAL_ERROR)
        else:
            self._say(response if self.passage is None else self.passage.own(response, paged=paged))
        self.detail = failure.detail
        self.endpoint = failure.endpoint or self.endpoint
        self._finish(CANCEL, failure.reason)

    def _say(self, response: ErrorResponse) -> None:
        body = b"" if self.head.method == b"HEAD" else response.body
        self.grpc_status = failures.grpc_status(response.headers)
        self.status = response.status
        self.answered_at = self.client.now()
        self.client.respond(self.stream, response.status, list(response.headers), end=not body)
        if body:
            self.sent += len(body)
            self.client.send(self.stream, body, end=True)

    def move(self, pool: "Pool[Exchange]") -> BackendSide | None:
        """Belong to another pool, which the backend's connection that is returned may go to as well; None without one."""
        self.pool = pool
        return self._backend

    def break_off(self) -> None:
        """End both sides after an error of this process, as when it has no memory, so that nobody is left waiting.

        Also where `_finish` has been cut short. It raises only what not even closing the client's connection was spared.
        """
        complete, self._complete = self._complete, True
        backend, self._backend = self._backend, None
        self.reason = self.reason or "failed"
        with contextlib.suppress(Exception):
            if backend is None:
                self.pool.abandon(self)
            else:
                backend.reset(self._backend_stream, INTERNAL_ERROR)
        with contextlib.suppress(Exception):
            visit, self.visit = self.visit, None
            if visit is not None:
                visit.ended(self)
        try:
            if not complete:
                self.client.account(self)
            self.client.reset(self.stream, INTERNAL_ERROR)
            self.client.finished(self.stream)
        except Exception:  # noqa: BLE001 - what has no memory for one stream may have it for closing them all
            self.client.abort()

    # Notifications of the client's connection

    def on_request_data(self, data: bytes, now: float, *, end: bool) -> None:
        """Pass on a part of the request's body."""
        self.active_at = now
        self.ended = end
        self.received += len(data)
        if self.passage is not None and not self.passage.admits(self.received):
            self.fail(413, self.passage.too_long())
            return
        self._going_on = True
        if self._backend is None:
            if self._early is None:
                self._early = []
            self._early.append(data)
        else:
            self._forward(data, end=end)

    def on_request_trailers(self, headers: Headers, now: float) -> None:
        """Pass on those of the request's trailers that may pass, its end."""
        self.active_at = now
        self.ended = True
        self._trailers = headers if self.passage is None else self.passage.request_trailers(headers)
        if self._backend is not None:
            self._end_request()

    def on_client_gone(self, reason: str) -> None:
        """Cancel: the client has reset the stream or gone away, or is taken to have."""
        self._finish(CANCEL, reason)

    def on_client_room(self, now: float) -> None:
        """Let the backend go on: the client has taken what waited for it."""
        self.held_since = 0.0
        owed, self._owed_backend = self._owed_backend, 0
        if owed and self._backend is not None:
            self.active_at = now
            self._backend.consumed(self._backend_stream, owed)

    # Notifications of the backend's connection

    def on_inform(self, status: int, headers: Headers, now: float, *, size: int = 0) -> None:
        """Pass on an interim response, ``size`` bytes to be `consumed`; one that the client's version can't say is left out."""
        self.active_at = now
        if status == 100:
            self._going_on = True
        with contextlib.suppress(ProtocolError):
            self.client.inform(self.stream, status, response_fields(headers))
        if size and self.client.holds(self.stream):
            self._owed_backend += size
            self.held_since = self.held_since or now
        elif size and self._backend is not None:
            self._backend.consumed(self._backend_stream, size)

    def on_response(self, status: int, headers: Headers, now: float, *, end: bool, checked: bool = False) -> None:
        """Pass on the head of the response; ``checked``: see `ClientSide.respond`."""
        self.active_at = now
        if status in _CHALLENGES and connection_auth.in_response(headers):
            self.client.claim(self)
        fields = response_fields(headers)
        visit = self.visit
        if visit is not None and (status in UNWELL or visit.upstream.attentive):
            said = visit.answered(self, status, end=end)
            if said is None:
                return
            if said:
                fields = [*fields, *said]
        passage = self.passage
        if passage is not None:
            instead = passage.instead(status, fields)
            if instead is not None:
                self._say(instead)
                self._finish(NO_ERROR if end else CANCEL, COMPLETE)
                return
            fields = passage.response(status, fields)
        try:
            self.client.respond(self.stream, status, fields, end=end, checked=checked)
        except ProtocolError:  # it can't be said in the client's version; nothing was sent
            self.fail(502, failures.UNSAYABLE)
            return
        self.status = status
        self.answered_at = now
        if end:
            if status == 200:
                self.grpc_status = failures.grpc_status(headers)
            self._finish(NO_ERROR, COMPLETE)

    def on_response_data(self, data: bytes, now: float, *, end: bool) -> None:
        """Pass on a part of the response's body."""
        self.active_at = now
        self.sent += len(data)
        client, stream = self.client, self.stream
        client.send(stream, data, end=end)
        if end:
            self._finish(NO_ERROR, COMPLETE)
        elif client.holds(stream):
            self._owed_backend += len(data)
            self.held_since = self.held_since or now
        elif self._backend is not None:
            if not self.whole and self.sent >= FIRST_PART // 2:
                self._widen()
            self._backend.consumed(self._backend_stream, len(data))

    def on_response_trailers(self, headers: Headers, now: float) -> None:
        """Pass on the response's trailers, its end."""
        self.active_at = now
        try:
            trailers = trailer_fields(headers)
            self.client.trailers(
                self.stream, trailers if self.passage is None else self.passage.response_trailers(trailers)
            )
        except ProtocolError:
            self.fail(502, failures.UNSAYABLE)
        else:
            self.grpc_status = failures.grpc_status(headers)
            self._finish(NO_ERROR, COMPLETE)

    def on_backend_room(self, now: float) -> None:
        """Let the client go on: the backend has taken what waited for it."""
        owed, self._owed_client = self._owed_client, 0
        if owed:
            self.active_at = now
            self.client.consumed(self.stream, owed)

    def on_backend_lost(self, status: int, *, unprocessed: bool, failure: Failure | None = None) -> None:
        """Try another connection if the backend has surely not begun with the request, else fail.

        Without a ``failure`` the backend has merely ended the connection.
        """
        self._backend = None
        unprocessed = unprocessed and not (self._sent or self.status or self._complete)
        failure = failure or failures.cut_short(self.status, self.sent)
        visit = self.visit
        if visit is not None and not self._complete and visit.lost(self, failure, unprocessed=unprocessed):
            return
        if unprocessed and self._retries:
            self._retries -= 1
            self.pool.acquire(self)
            return
        if visit is not None and not self.status:
            status, failure = visit.last_words(status, failure)
        self.fail(status, failure)

    def on_backend_reset(self, code: int, *, remote: bool) -> None:
        """Pass on that the backend (``remote``) has reset the stream, or fail because it broke the protocol there."""
        if not remote:
            self.on_backend_lost(502, unprocessed=False, failure=failures.BROKEN_STREAM)
        elif code == REFUSED_STREAM:
            self.on_backend_lost(502, unprocessed=True, failure=failures.NO_STREAM)
        elif self.status or is_grpc(self.asked.headers):
            self._backend = None
            failure = failures.reset(code)
            if self.visit is not None:
                self.visit.lost(self, failure, unprocessed=False)  # it can't be repeated
            self.client.reset(self.stream, code or INTERNAL_ERROR)
            self.detail = failure.detail
            self._finish(code, "backend_reset")
        else:
            self.on_backend_lost(502, unprocessed=False, failure=failures.reset(code))

    def _widen(self) -> None:
        if self._backend is not None and self.client.reserve():
            self.whole = True
            self._backend.widen(self._backend_stream)

    def _forward(self, data: bytes, *, end: bool) -> None:
        backend, stream = self._backend, self._backend_stream
        if backend is None:
            return
        if data:
            self._sent = True
        backend.send(stream, data, end=end)
        if backend.holds(stream):
            self._owed_client += len(data)
        elif data:
            self.client.consumed(self.stream, len(data))

    def _end_request(self) -> None:
        if self._backend is None:
            return
        if self._trailers:
            try:
                self._backend.trailers(self._backend_stream, self._trailers)
            except ProtocolError:
                self.fail(400, failures.TRAILERS)
        else:
            self._backend.send(self._backend_stream, b"", end=True)

    def _finish(self, code: int, reason: str) -> None:
        """End both sides; what the client still sends, or the backend, is of no interest to anybody."""
        if self._complete:
            return
        self._complete = True
        if self.whole:
            self.client.unreserve()
        self.reason = reason
        self.client.account(self)
        backend, self._backend = self._backend, None
        if backend is not None and not (code == NO_ERROR and self.ended):
            backend.reset(self._backend_stream, code)
        elif backend is None:
            self.pool.abandon(self)
        if self.visit is not None:
            self.visit.ended(self)
            self.visit = None
        self.client.finished(self.stream)
