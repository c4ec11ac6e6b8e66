"""The guard of `forward_auth`: what it asks, when it lets a request pass, and that nothing passes without an answer."""

from collections.abc import Callable

import pytest

from mcproxy.model.values.reasons import Failure
from mcproxy.net.loop.deadlines import Deadlines
from mcproxy.net.memory.sparse_counters import DURATIONS, WORDS, SparseCounters, durations_in, hash_of, read
from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.worker.auth.forward import PATIENCE, ForwardAuth, ForwardTools
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import CANCEL, REFUSED_STREAM, Exchange
from tests.support.fake_exchange import FakeSide
from tests.support.guarded import GRPC, Guarded
from tests.support.rows import each_row

NOW = 1000.0


class Server:
    """The backend that is asked: each question waits until the test answers.

    Attributes:
        pool: itself, None for none.
        asked: the questions.
        abandoned: those that were taken back.
        side: the connection that they are put on.
    """

    def __init__(self) -> None:
        self.pool: Pool[Exchange] | None = self
        self.asked: list[Exchange] = []
        self.abandoned: list[Exchange] = []
        self.side = FakeSide()

    def acquire(self, exchange: Exchange) -> None:
        self.asked.append(exchange)

    def abandon(self, exchange: Exchange) -> bool:
        self.abandoned.append(exchange)
        return True


class Door:
    """A guard and its server."""

    def __init__(self) -> None:
        self.server = Server()
        self.failures: list[Exception] = []
        self.words = memoryview(bytearray(8 * WORDS)).cast("Q")
        self.deadlines = Deadlines(NOW, self.failures.append)
        tools = ForwardTools(self.deadlines, SparseCounters(self.words), self.failures.append)
        self.guard = ForwardAuth("login", self.server, b"/verify", ("X-User", "X-Groups"), tools)

    def come(self, *headers: tuple[bytes, bytes], method: bytes = b"GET", websocket: bool = False) -> Guarded:
        head = RequestHead(method, b"a.example", b"/page?x=1", list(headers), websocket)
        asked = Guarded(self.guard, head)
        self.guard.acquire(asked.exchange)
        return asked

    def question(self) -> Exchange:
        """Return the question that came last, on a connection."""
        question = self.server.asked[-1]
        question.attach(self.server.side, 7)
        return question

    def answer(self, status: int, *headers: tuple[bytes, bytes], body: bytes = b"") -> None:
        question = self.question()
        question.on_response(status, list(headers), NOW, end=not body)
        if body:
            question.on_response_data(body, NOW, end=True)

    def durations(self) -> int:
        found = read([durations_in(self.words)], DURATIONS).values.get((1, hash_of("login")), [0])
        return sum(found[:-1])


def test_the_question_is_asked_for_each_request() -> None:
    """With who the client is, and nothing of what it claims to be."""
    door = Door()
    asked = door.come((b"cookie", b"a=1"), (b"x_user", b"admin"), method=b"POST")
    (question,) = door.server.asked
    assert (question.head.method, question.head.authority, question.head.path) == (b"GET", b"a.example", b"/verify")
    assert question.head.headers == [
        (b"cookie", b"a=1"),
        (b"x-forwarded-method", b"POST"),
        (b"x-forwarded-uri", b"/page?x=1"),
    ]
    assert question.forwarding is asked.exchange.forwarding
    assert question.bodiless
    assert not asked.passed
    assert asked.client.heard() == []


@pytest.mark.parametrize("status", [200, 202, 204, 299])
@pytest.mark.parametrize("websocket", [False, True])
def test_a_good_answer_lets_it_pass(status: int, *, websocket: bool) -> None:
    """With the fields that are copied, in place of the client's in whatever spelling."""
    door = Door()
    forged = [(name, b"admin") for name in (b"x-user", b"x.groups", b"X_USER".lower())]
    asked = door.come((b"accept", b"*/*"), *forged, websocket=websocket)
    door.answer(status, (b"x-user", b"anna"), (b"set-cookie", b"a=1"), (b"x-other", b"1"))
    assert asked.passed
    assert asked.exchange.head.headers == [(b"accept", b"*/*"), (b"x-user", b"anna")]
    assert asked.exchange.head.websocket is websocket
    assert (asked.refusals, asked.client.heard()) == ([], [])
    assert door.server.side.heard() == [], "the connection serves others now"
    assert door.durations() == 1


def test_it_passes_with_the_head_of_the_answer() -> None:
    """What follows is thrown away, as much as a refusal may have; more of it costs the connection."""
    door = Door()
    asked = door.come()
    question = door.question()
    question.on_response(200, [], NOW, end=False)
    assert asked.passed
    question.on_response_data(bytes(1 << 16), NOW, end=False)
    assert door.server.side.heard() == [f"consumed {1 << 16}"]
    question.on_response_data(b"x", NOW, end=False)
    assert door.server.side.heard() == [f"reset {CANCEL}"]
    assert asked.client.heard() == []
    assert door.durations() == 1


@pytest.mark.parametrize("status", [302, 401, 403, 404, 500, 502, 503, 504, 599])
def test_any_other_answer_is_the_clients(status: int) -> None:
    """As the server has said it: no error page stands in its place."""
    door = Door()
    asked = door.come((b"x-user", b"admin"))
    fields = [(b"location", b"/login"), (b"set-cookie", b"a=1"), (b"content-length", b"6"), (b"connection", b"close")]
    door.answer(status, *fields, body=b"log in")
    assert not asked.passed
    assert asked.exchange.status == status
    assert asked.client.answers == [*fields[:2], (b"content-length", b"6")]
    assert asked.client.body == b"log in"
    assert (asked.refusals, asked.paged, asked.exchange.reason) == ([("auth", "login")], [False], "forward_auth")
    assert asked.exchange.detail == f"it answered {status}"


def test_an_answer_without_a_body() -> None:
    """It has a length all the same, so that the client's connection can go on."""
    door = Door()
    asked = door.come()
    door.answer(303, (b"location", b"/login"))
    assert asked.client.answers == [(b"location", b"/login"), (b"content-length", b"0")]


def unreached(_: Door, question: Exchange) -> None:
    question.on_unreached(502, Failure("backend_refused", "refused", "192.0.2.9:80"))


def too_busy(_: Door, question: Exchange) -> None:
    question.on_unreached(503, Failure("backend_waiting"))


def lost(door: Door, _: Exchange) -> None:
    door.question().on_backend_lost(502, unprocessed=False)


def lost_amid_the_answer(door: Door, question: Exchange) -> None:
    door.question().on_response(302, [], NOW, end=False)
    question.on_backend_lost(502, unprocessed=False)


def reset(door: Door, _: Exchange) -> None:
    door.question().on_backend_reset(2, remote=True)


def reset_amid_the_answer(door: Door, question: Exchange) -> None:
    door.question().on_response(302, [], NOW, end=False)
    question.on_backend_reset(2, remote=True)


def broken(door: Door, _: Exchange) -> None:
    door.question().on_backend_reset(2, remote=False)


def too_long(door: Door, question: Exchange) -> None:
    door.question().on_response(401, [], NOW, end=False)
    question.on_response_data(bytes((1 << 16) + 1), NOW, end=True)


def silent(door: Door, _: Exchange) -> None:
    door.deadlines.expire(NOW + PATIENCE + 0.3)


def silent_on_a_connection(door: Door, _: Exchange) -> None:
    door.question()
    door.deadlines.expire(NOW + PATIENCE + 0.3)


def slow_with_the_body(door: Door, _: Exchange) -> None:
    door.question().on_response(401, [], NOW, end=False)
    door.deadlines.expire(NOW + PATIENCE + 0.3)


def no_memory(door: Door, _: Exchange) -> None:
    door.question().break_off()


def a_protocol_switched(door: Door, _: Exchange) -> None:
    door.answer(101)


FAILURES = (
    *(unreached, too_busy, lost, lost_amid_the_answer, reset, reset_amid_the_answer, broken, too_long, silent),
    *(silent_on_a_connection, slow_with_the_body, no_memory, a_protocol_switched),
)


@each_row("failure", FAILURES)
@each_row("grpc", [False, True])
def test_without_an_answer_nothing_passes(failure: Callable[[Door, Exchange], object], *, grpc: bool) -> None:
    """Whatever has become of the question: the client is told 503, which may be an error page."""
    door = Door()
    asked = door.come((b"x-user", b"admin"), *(GRPC if grpc else []))
    failure(door, door.server.asked[-1])
    assert not asked.passed
    assert asked.exchange.status == (200 if grpc else 503)
    assert asked.client.fields.get(b"grpc-status", b"14") == b"14"
    assert asked.exchange.reason == "forward_auth_failed"
    assert (asked.refusals, asked.paged) == ([("auth", "login")], [True])
    assert asked.client.heard()[-1] == "finished"
    assert door.durations() == 1
    assert door.failures == []


def test_a_connection_on_which_no_answer_came_is_doubted() -> None:
    """As with requests of clients: it may be dead."""
    door = Door()
    door.come()
    door.question()
    door.deadlines.expire(NOW + PATIENCE + 0.3)
    assert door.server.side.heard() == ["doubt", f"reset {CANCEL}"]


def test_the_server_is_chosen_by_who_has_sent_the_request() -> None:
    """Where an upstream keeps clients apart by their address."""
    door = Door()
    asked = Guarded(door.guard, RequestHead(b"GET", b"a.example", b"/", []))
    asked.exchange.source = b"\x0a\0\0\1"
    door.guard.acquire(asked.exchange)
    assert door.server.asked[-1].client.source == b"\x0a\0\0\1"
    door.come()
    assert door.server.asked[-1].client.source == asked.client.source


def test_the_server_has_five_seconds() -> None:
    """A slower answer is still in time; a request that is decided has no time limit any more."""
    door = Door()
    asked = door.come()
    door.deadlines.expire(NOW + 4.9)
    assert asked.verdicts() == []
    door.answer(200)
    assert asked.verdicts() == ["passed"]
    door.deadlines.expire(NOW + 60)
    assert door.server.side.heard() == []
    late = door.come()
    door.deadlines.expire(NOW + 61)
    assert late.verdicts() == ["login"]


def test_an_error_of_the_timer_ends_the_question() -> None:
    """Nobody else would."""
    door = Door()
    asked = door.come()
    (question,) = door.guard._asked.values()
    question.on_fault()
    assert asked.verdicts() == ["login"]
    assert asked.exchange.status == 503


def test_a_stream_that_can_not_even_be_ended_refuses() -> None:
    """As when there is no memory."""
    door = Door()
    asked = door.come()
    (question,) = door.guard._asked.values()
    question.abort()
    question.abort()
    assert asked.verdicts() == ["login"]


def test_the_failure_says_where() -> None:
    """The log of the client's request names the server that was asked."""
    door = Door()
    asked = door.come()
    door.server.asked[-1].on_unreached(502, Failure("backend_refused", "refused", "192.0.2.9:80"))
    assert (asked.exchange.detail, asked.exchange.endpoint) == ("refused", "192.0.2.9:80")


def test_a_server_without_connections() -> None:
    """It can't be asked, so nothing passes."""
    door = Door()
    door.server.pool = None
    asked = door.come()
    assert (asked.exchange.status, asked.passed) == (503, False)


def test_a_question_that_was_not_begun_is_asked_again() -> None:
    """On another connection: nothing is repeated by that."""
    door = Door()
    asked = door.come()
    door.question().on_backend_reset(REFUSED_STREAM, remote=True)
    assert len(door.server.asked) == 2
    assert asked.client.heard() == []
    door.answer(200, (b"x-user", b"anna"))
    assert asked.passed


def test_a_client_that_leaves_takes_its_question_back() -> None:
    """Where it is on a connection, that is told; and no answer changes anything any more."""
    for attached in (False, True):
        door = Door()
        asked = door.come()
        question = door.question() if attached else door.server.asked[-1]
        asked.exchange.on_client_gone("client_reset")
        assert question.over
        assert door.server.side.heard() == ([f"reset {CANCEL}"] if attached else [])
        assert door.server.abandoned == ([] if attached else [question])
        door.deadlines.expire(NOW + PATIENCE + 1)
        assert asked.client.heard() == ["over: client_reset", "finished"]
        assert not asked.passed


def test_a_request_that_is_put_aside_asks_again() -> None:
    """Its client does not read; later it comes to the guard anew."""
    door = Door()
    asked = door.come()
    assert door.guard.abandon(asked.exchange)
    assert not door.guard.abandon(asked.exchange)
    door.guard.acquire(asked.exchange)
    door.answer(200)
    assert asked.passed


def test_challenges_for_connections_claim_none() -> None:
    """The connection to the server is everybody's."""
    door = Door()
    asked = door.come()
    door.answer(401, (b"www-authenticate", b"NTLM"))
    assert asked.exchange.status == 401


def test_an_error_behind_the_guard_ends_the_request_alone() -> None:
    """The server's connection has other questions."""
    door = Door()
    asked = door.come()
    asked.failing = True
    door.answer(200)
    assert [type(each) for each in door.failures] == [RuntimeError]
    assert "finished" in asked.client.heard()
    assert door.server.side.heard() == []


def test_the_answer_to_head_has_no_body() -> None:
    """The question is a GET all the same, and its answer has one."""
    door = Door()
    asked = door.come(method=b"HEAD")
    door.answer(403, body=b"no")
    assert asked.client.answers == [(b"content-length", b"2")]
    assert asked.client.body == b""


def test_copied_credentials_are_the_servers() -> None:
    """It sees the client's, and the backend gets what it makes of them."""
    door = Door()
    door.guard.claims = frozenset({b"authorization"})
    door.guard.copied = (b"authorization",)
    asked: Headers = [(b"authorization", b"Bearer client")]
    guarded = door.come(*asked)
    assert (b"authorization", b"Bearer client") in door.server.asked[-1].head.headers
    door.answer(200, (b"authorization", b"Bearer inner"))
    assert guarded.exchange.head.headers == [(b"authorization", b"Bearer inner")]
