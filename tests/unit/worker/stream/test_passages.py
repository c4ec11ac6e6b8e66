"""A request and its response where filters hold for it: what the exchange asks its passage."""

import msgspec
import pytest

from mcproxy.model.values.reasons import Failure
from mcproxy.policy.headers import ErrorResponse, Headers, RequestHead
from mcproxy.worker.stream.exchange import COMPLETE, Exchange
from tests.support.fake_exchange import FakeSide, make_exchange

NOW = 1000.0
GRPC: Headers = [(b"content-type", b"application/grpc")]
PAGE = ErrorResponse(502, ((b"content-type", b"text/html"),), b"<p>sorry</p>")


class Filters(msgspec.Struct):
    """A passage: a body of 10 bytes at most, a page for 502, one more field in every response."""

    head: RequestHead
    next: "Guard"
    case: str = ""
    filter: str = ""
    paged: list[bool] = []

    def go_on(self, exchange: Exchange) -> None:
        exchange.pool = self.next
        self.next.acquire(exchange)

    def refused(self, _stage: str, name: str) -> None:
        self.filter = name

    def admits(self, received: int) -> bool:
        return received <= 10

    def too_long(self) -> Failure:
        return Failure("body_too_large", "10 bytes")

    def request_trailers(self, headers: Headers) -> Headers:
        return [header for header in headers if header[0] != b"x-user"]

    def response(self, _status: int, headers: Headers) -> Headers:
        return [*headers, (b"x-by", b"filter")]

    def response_trailers(self, headers: Headers) -> Headers:
        return [header for header in headers if header[0] != b"server"]

    def instead(self, status: int, _headers: Headers) -> ErrorResponse | None:
        return PAGE if status == 502 else None

    def own(self, response: ErrorResponse, *, paged: bool) -> ErrorResponse:
        self.paged.append(paged)
        return ErrorResponse(response.status, (*response.headers, (b"x-by", b"filter")), response.body)


class Guard:
    """A pool, or a guard before one: remembers who waits."""

    def __init__(self) -> None:
        self.waiting: list[Exchange] = []

    def acquire(self, exchange: Exchange) -> None:
        self.waiting.append(exchange)

    def abandon(self, exchange: Exchange) -> bool:
        if exchange in self.waiting:
            self.waiting.remove(exchange)
            return True
        return False


class Stage:
    """An exchange that waits at a guard; `attach` has it at a backend."""

    def __init__(
        self, method: bytes = b"GET", headers: Headers | None = None, *, ended: bool = True, sent: Headers | None = None
    ) -> None:
        self.client, self.backend, self.guard, self.pool = FakeSide(), FakeSide(), Guard(), Guard()
        asked = RequestHead(method, b"a.example", b"/", headers or [])
        head = asked if sent is None else msgspec.structs.replace(asked, headers=sent)
        self.exchange = make_exchange(self.client, self.guard, head, now=NOW, ended=ended)
        self.filters = self.exchange.passage = Filters(asked, self.pool)
        self.guard.acquire(self.exchange)

    def attach(self) -> Exchange:
        self.exchange.attach(self.backend, 21)
        return self.exchange


def test_a_guard_lets_a_request_go_on() -> None:
    """What has come of the body meanwhile waits, and goes to the backend that the next pool finds."""
    stage = Stage(b"POST", ended=False)
    stage.exchange.on_request_data(b"early", NOW, end=False)
    assert stage.client.heard() == []
    stage.filters.go_on(stage.exchange)
    assert stage.pool.waiting == [stage.exchange]
    stage.attach()
    assert stage.backend.heard() == ["send early"]
    assert stage.client.heard() == ["consumed 5"]


def test_a_client_that_leaves_is_forgotten_by_the_guard() -> None:
    """The question that is under way leads to nothing."""
    stage = Stage()
    stage.exchange.on_client_gone("client_reset")
    assert stage.guard.waiting == []
    assert stage.exchange.over


@pytest.mark.parametrize("paged", [True, False])
def test_a_guard_answers(*, paged: bool) -> None:
    """With an answer of its own; what comes later changes nothing."""
    stage = Stage()
    answer = ErrorResponse(401, ((b"www-authenticate", b"Basic"), (b"content-length", b"2")), b"no")
    stage.exchange.answer(answer, Failure("auth"), paged=paged)
    stage.exchange.answer(answer, Failure("auth"))
    stage.exchange.fail(503, Failure("auth"))
    assert stage.client.heard() == [
        "respond 401 www-authenticate content-length x-by",
        "send no end",
        "over: auth",
        "finished",
    ]
    assert stage.filters.paged == [paged]
    assert stage.guard.waiting == []


def test_an_answer_to_head_has_no_body() -> None:
    """Only the fields that tell of one."""
    stage = Stage(b"HEAD")
    stage.exchange.answer(ErrorResponse(302, ((b"content-length", b"2"),), b"no"), Failure(COMPLETE))
    assert stage.client.heard() == ["respond 302 content-length x-by end", "over: complete", "finished"]


@pytest.mark.parametrize("attached", [True, False])
def test_a_body_that_grows_too_long_is_refused(*, attached: bool) -> None:
    """At once when it does; a backend that has its beginning gets a reset instead of an end."""
    stage = Stage(b"POST", ended=False)
    if attached:
        stage.attach()
    stage.exchange.on_request_data(b"0123456789", NOW, end=False)
    assert not stage.exchange.over
    stage.exchange.on_request_data(b"x", NOW, end=True)
    said = [line for line in stage.client.heard() if not line.startswith("consumed")]
    assert said == [
        "respond 413 content-type content-length x-by",
        "send 29 end",
        "over: body_too_large",
        "finished",
    ]
    assert stage.backend.heard() == (["send 0123456789", "reset 8"] if attached else [])


def test_a_body_that_grows_too_long_behind_the_answer_breaks_it_off() -> None:
    """Nobody shall take it for complete."""
    stage = Stage(b"POST", ended=False)
    stage.attach().on_response(200, [], NOW, end=False)
    stage.exchange.on_request_data(bytes(11), NOW, end=False)
    assert stage.client.heard() == ["respond 200 x-by", "reset 2", "over: body_too_large", "finished"]
    assert stage.backend.heard() == ["reset 8"]


def test_trailers_lose_what_the_filters_take_away() -> None:
    """In both directions: a name that is removed from a head must not come behind the body."""
    stage = Stage(b"POST", ended=False)
    exchange = stage.attach()
    exchange.on_request_trailers([(b"x-user", b"admin"), (b"x-sum", b"1")], NOW)
    assert stage.backend.heard() == ["trailers x-sum"]
    exchange.on_response(200, [], NOW, end=False)
    exchange.on_response_trailers([(b"server", b"x"), (b"x-sum", b"1")], NOW)
    assert stage.client.heard()[1] == "trailers x-sum"


def test_fields_count_as_checked_as_before() -> None:
    """What filters add was checked when the file was read."""
    for checked in (True, False):
        stage = Stage()
        stage.attach().on_response(204, [], NOW, end=True, checked=checked)
        assert stage.client.heard()[0] == f"respond 204 {'checked ' * checked}x-by end"


def test_a_page_stands_for_the_error_of_a_backend() -> None:
    """Its own body is not waited for."""
    stage = Stage()
    stage.attach().on_response(502, [(b"content-length", b"9")], NOW, end=False)
    assert stage.client.heard() == [
        "respond 502 content-type",
        "send <p>sorry</p> end",
        "over: complete",
        "finished",
    ]
    assert stage.backend.heard() == ["reset 8"]


def test_a_page_for_an_error_without_a_body_costs_no_connection() -> None:
    """There is nothing left to come on it."""
    stage = Stage()
    stage.attach().on_response(502, [], NOW, end=True)
    assert stage.client.heard()[-1] == "finished"
    assert stage.backend.heard() == []


def test_grpc_is_what_the_client_speaks() -> None:
    """Whatever filters make of the fields for the backend."""
    stage = Stage(b"POST", GRPC, sent=[])
    stage.exchange.fail(503, Failure("backend_refused"))
    assert stage.client.heard()[0] == "respond 200 content-type grpc-status grpc-message x-by end"
    stage = Stage(b"POST", [], sent=GRPC)
    stage.exchange.fail(503, Failure("backend_refused"))
    assert stage.client.heard()[0] == "respond 503 content-type content-length x-by"
