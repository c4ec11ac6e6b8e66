"""A request and its response, between a client's connection and a backend's."""

import pytest

from mcproxy.model.values.reasons import Failure
from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.worker.stream.exchange import CANCEL, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Exchange
from tests.support.fake_exchange import FakeSide, make_exchange

NOW = 1000.0
BACKEND_STREAM = 21
GRPC: Headers = [(b"content-type", b"application/grpc")]


class Pool:
    """Writes down who asks for a connection."""

    def __init__(self) -> None:
        self.asked = 0
        self.abandoned = 0

    def acquire(self, _exchange: Exchange) -> None:
        self.asked += 1

    def abandon(self, _exchange: Exchange) -> bool:
        self.abandoned += 1
        return True


class Stage:
    """An exchange between two sides; `begin` also attaches it to the backend's."""

    def __init__(self, method: bytes = b"GET", headers: Headers | None = None, *, websocket: bool = False) -> None:
        self.client, self.backend, self.pool = FakeSide(), FakeSide(), Pool()
        self.head = RequestHead(method, b"a.example", b"/", headers or [], websocket)

    def exchange(self, *, ended: bool = True) -> Exchange:
        return make_exchange(self.client, self.pool, self.head, now=NOW, ended=ended)

    def begin(self, *, ended: bool = True) -> Exchange:
        exchange = self.exchange(ended=ended)
        exchange.attach(self.backend, BACKEND_STREAM)
        return exchange


# In the ordinary case


def test_a_response_passes() -> None:
    """Head, body, end; then both sides hear that it is over, and the backend's connection keeps its stream's end."""
    stage = Stage()
    exchange = stage.begin()
    fields = [(b"server", b"x"), (b"connection", b"close")]
    exchange.on_response(200, fields, NOW + 1, end=False)
    exchange.on_response_data(b"hello", NOW + 2, end=False)
    exchange.on_response_data(b"", NOW + 3, end=True)
    assert stage.client.heard() == ["respond 200 server", "send hello", "send end", "over: complete", "finished"]
    assert stage.backend.heard() == ["consumed 5"]
    assert (exchange.status, exchange.answered_at, exchange.active_at) == (200, NOW + 1, NOW + 3)
    assert exchange.sent == 5


def test_a_response_without_a_body_is_over_with_its_head() -> None:
    """The head says the end."""
    stage = Stage()
    stage.begin().on_response(204, [], NOW, end=True, checked=True)
    assert stage.client.heard() == ["respond 204 checked end", "over: complete", "finished"]


def test_trailers_end_a_response() -> None:
    """Those that may pass; the others would change what the head has said."""
    stage = Stage()
    exchange = stage.begin()
    exchange.on_response(200, [], NOW, end=False)
    exchange.on_response_trailers([(b"x-sum", b"1"), (b"content-length", b"9")], NOW)
    assert stage.client.heard() == ["respond 200", "trailers x-sum", "over: complete", "finished"]


def test_a_body_passes_to_the_backend() -> None:
    """Each piece is credit for the client as soon as the backend's connection holds none of it."""
    stage = Stage(b"POST")
    exchange = stage.begin(ended=False)
    exchange.on_request_data(b"one", NOW, end=False)
    exchange.on_request_data(b"two", NOW, end=True)
    assert stage.backend.heard() == ["send one", "send two end"]
    assert stage.client.heard() == ["consumed 3", "consumed 3"]
    assert exchange.received == 6


def test_what_comes_before_the_connection_waits_for_it() -> None:
    """The body, its end and its trailers follow the head when there is a connection."""
    stage = Stage(b"POST")
    exchange = stage.exchange(ended=False)
    exchange.on_request_data(b"one", NOW, end=False)
    exchange.on_request_data(b"two", NOW, end=False)
    assert not exchange.bodiless
    exchange.on_request_trailers([(b"x-sum", b"1")], NOW)
    exchange.attach(stage.backend, BACKEND_STREAM)
    assert stage.backend.heard() == ["send one", "send two", "trailers x-sum"]
    assert stage.client.heard() == ["consumed 3", "consumed 3"]


def test_a_request_known_to_have_no_body_has_its_end_in_its_head() -> None:
    """Nothing is sent behind it."""
    stage = Stage()
    assert stage.exchange().bodiless
    stage.begin()
    assert stage.backend.heard() == []


def test_trailers_of_a_request_that_are_all_removed_are_a_plain_end() -> None:
    """An empty trailer section is not sent."""
    stage = Stage(b"POST")
    stage.begin(ended=False).on_request_trailers([], NOW)
    assert stage.backend.heard() == ["send end"]


def test_interim_responses_pass() -> None:
    """What the client's version can't say is left out, and the final response is still to come."""
    stage = Stage()
    exchange = stage.begin()
    exchange.on_inform(103, [(b"link", b"</a>")], NOW)
    stage.client.mute = "inform"
    exchange.on_inform(103, [], NOW)
    assert stage.client.heard() == ["inform 103 link"]
    assert exchange.status == 0


# Credit


def test_a_backend_that_holds_the_body_back_gives_no_credit() -> None:
    """The client may go on when the backend's connection has room again, and not before."""
    stage = Stage(b"POST")
    exchange = stage.begin(ended=False)
    stage.backend.full = True
    exchange.on_request_data(b"one", NOW, end=False)
    exchange.on_request_data(b"three", NOW, end=False)
    assert stage.client.heard() == []
    exchange.on_backend_room(NOW + 5)
    assert stage.client.heard() == ["consumed 8"]
    assert exchange.active_at == NOW + 5
    exchange.on_backend_room(NOW + 6)
    assert stage.client.heard() == []
    assert exchange.active_at == NOW + 5


def test_a_client_that_takes_nothing_gives_no_credit() -> None:
    """Since when is noted, once; the backend may go on when the client has room again."""
    stage = Stage()
    exchange = stage.begin()
    exchange.on_response(200, [], NOW, end=False)
    stage.client.full = True
    exchange.on_response_data(b"one", NOW + 1, end=False)
    exchange.on_response_data(b"three", NOW + 2, end=False)
    assert stage.backend.heard() == []
    assert exchange.held_since == NOW + 1
    exchange.on_client_room(NOW + 3)
    assert stage.backend.heard() == ["consumed 8"]
    assert (exchange.held_since, exchange.active_at) == (0.0, NOW + 3)


def test_a_whole_window_is_asked_for_when_the_client_may_hold_one() -> None:
    """As soon as the client has taken half of the first part and more is to come; it is given back at the end."""
    stage = Stage()
    stage.client.windows = 1
    exchange = stage.begin()
    exchange.on_response(200, [], NOW, end=False)
    exchange.on_response_data(bytes(2047), NOW, end=False)
    assert (stage.backend.widened, stage.client.windows) == (0, 1)
    exchange.on_response_data(b"x", NOW, end=False)
    assert (stage.backend.widened, stage.client.windows) == (1, 0)
    exchange.on_response_data(b"two", NOW, end=False)
    exchange.on_response_data(b"", NOW, end=True)
    assert (stage.backend.widened, stage.client.windows) == (1, 1)
    late = Stage()
    exchange = late.begin()
    exchange.on_response(200, [], NOW, end=False)
    exchange.on_response_data(bytes(4096), NOW, end=False)
    assert late.backend.widened == 0
    late.client.windows = 1
    exchange.on_response_data(b"one", NOW, end=False)
    assert late.backend.widened + late.client.windows == 1


# Retries


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"])
def test_a_safe_request_may_be_repeated(method: bytes) -> None:
    """RFC 9110 section 9.2.2 names the methods; a body under way, or a WebSocket, is not repeated."""
    stage = Stage(method)
    assert stage.exchange().safe_to_repeat
    begun = stage.begin(ended=False)
    begun.on_request_data(b"x", NOW, end=False)
    assert not begun.safe_to_repeat
    assert not Stage(method, websocket=True).exchange().safe_to_repeat


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"FOO"])
def test_another_request_is_not_repeated(method: bytes) -> None:
    """Twice might not be the same as once."""
    assert not Stage(method).exchange().safe_to_repeat


def test_a_request_is_tried_again_twice_and_no_more() -> None:
    """A backend that drops every connection before it begins does not keep the proxy busy for ever."""
    stage = Stage()
    exchange = stage.begin()
    for tries in (1, 2):
        exchange.on_backend_lost(502, unprocessed=True)
        assert (stage.pool.asked, stage.client.heard()) == (tries, [])
        exchange.attach(stage.backend, BACKEND_STREAM)
    exchange.on_backend_lost(502, unprocessed=True)
    assert stage.pool.asked == 2
    assert stage.client.heard() == [
        "respond 502 content-type content-length",
        "send 502 Bad Gateway end",
        "over: backend_error",
        "finished",
    ]


def test_a_refused_stream_is_tried_again() -> None:
    """REFUSED_STREAM says that nothing was done (RFC 9113 section 8.7); of our own making it says nothing."""
    stage = Stage(b"POST")
    stage.begin().on_backend_reset(REFUSED_STREAM, remote=True)
    assert stage.pool.asked == 1
    stage.begin().on_backend_reset(REFUSED_STREAM, remote=False)
    assert stage.pool.asked == 1


def test_a_request_whose_body_went_out_is_not_tried_again() -> None:
    """What was sent of it is gone."""
    stage = Stage(b"PUT")
    exchange = stage.begin(ended=False)
    exchange.on_request_data(b"x", NOW, end=False)
    exchange.on_backend_lost(502, unprocessed=True)
    assert stage.pool.asked == 0
    assert exchange.status == 502


def test_a_request_that_is_answered_is_not_tried_again() -> None:
    """The client has the head of a response, which is broken off."""
    stage = Stage()
    exchange = stage.begin()
    exchange.on_response(200, [], NOW, end=False)
    exchange.on_backend_lost(502, unprocessed=True)
    assert stage.pool.asked == 0
    assert stage.client.heard() == ["respond 200", f"reset {INTERNAL_ERROR}", "over: backend_error", "finished"]


# Failures


def test_a_backend_that_is_lost_is_told_as_its_status() -> None:
    """Nobody is told to reset what is gone."""
    stage = Stage(b"POST")
    exchange = stage.begin()
    exchange.on_backend_lost(502, unprocessed=False)
    assert (exchange.status, exchange.reason, exchange.answered_at) == (502, "backend_error", NOW)
    assert exchange.sent == len(b"502 Bad Gateway\n")
    assert stage.backend.heard() == []
    assert stage.pool.abandoned == 1


@pytest.mark.parametrize(("status", "heard"), [(504, ["doubt", f"reset {CANCEL}"]), (408, [f"reset {CANCEL}"])])
def test_a_backend_that_takes_too_long_is_doubted(status: int, heard: list[str]) -> None:
    """A client that does so says nothing about it."""
    stage = Stage(b"POST")
    stage.begin(ended=status == 504).fail(status, Failure("response_timeout"))
    assert stage.backend.heard() == heard


def test_errors_have_no_body_for_head() -> None:
    """Its answers have none."""
    stage = Stage(b"HEAD")
    stage.exchange().fail(504, Failure("backend_timeout"))
    assert stage.client.heard() == [
        "respond 504 content-type content-length end",
        "over: backend_timeout",
        "finished",
    ]


def test_errors_are_told_in_grpcs_own_way() -> None:
    """As status 200 with the gRPC status beside it."""
    stage = Stage(b"POST", GRPC)
    stage.exchange().fail(503, Failure("no_resources"))
    assert stage.client.heard()[0] == "respond 200 content-type grpc-status grpc-message end"


def test_an_exchange_fails_once() -> None:
    """What comes after its end changes nothing."""
    stage = Stage()
    exchange = stage.begin()
    exchange.on_client_gone("client_reset")
    assert stage.client.heard() == ["over: client_reset", "finished"]
    assert stage.backend.heard() == [f"reset {CANCEL}"]
    exchange.fail(502, Failure("backend_error"))
    exchange.on_client_gone("other")
    exchange.on_backend_lost(502, unprocessed=True)
    assert stage.client.heard() == stage.backend.heard() == []
    assert exchange.reason == "client_reset"


def test_a_client_that_goes_while_it_waits_is_forgotten_by_the_pool() -> None:
    """No connection is to be given to it."""
    stage = Stage()
    stage.exchange().on_client_gone("client_reset")
    assert stage.pool.abandoned == 1


def test_a_response_that_cannot_be_said_is_an_error() -> None:
    """Nothing of it was sent, so the client is told 502, and the backend to stop."""
    stage = Stage()
    exchange = stage.begin()
    stage.client.mute = "respond"
    exchange.on_response(200, [], NOW, end=False)
    assert (exchange.status, exchange.reason) == (502, "bad_response")
    assert stage.backend.heard() == [f"reset {CANCEL}"]


def test_trailers_that_cannot_be_said_break_the_response_off() -> None:
    """Without them it would look complete."""
    stage = Stage()
    exchange = stage.begin()
    exchange.on_response(200, [], NOW, end=False)
    stage.client.mute = "trailers"
    exchange.on_response_trailers([(b"x", b"y")], NOW)
    assert stage.client.heard() == ["respond 200", f"reset {INTERNAL_ERROR}", "over: bad_response", "finished"]
    assert stage.backend.heard() == [f"reset {CANCEL}"]


def test_trailers_that_a_backend_cannot_take_fail_the_request() -> None:
    """The request can't be ended otherwise."""
    stage = Stage(b"POST")
    exchange = stage.begin(ended=False)
    stage.backend.mute = "trailers"
    exchange.on_request_trailers([(b"x", b"y")], NOW)
    assert exchange.status == 400
    assert stage.backend.heard() == [f"reset {CANCEL}"]


def test_an_answer_amid_the_request_stops_it() -> None:
    """The backend is told that no more will come."""
    stage = Stage(b"POST")
    exchange = stage.begin(ended=False)
    exchange.on_response(413, [], NOW, end=True)
    assert stage.client.heard() == ["respond 413 end", "over: complete", "finished"]
    assert stage.backend.heard() == [f"reset {NO_ERROR}"]


@pytest.mark.parametrize("code", [CANCEL, INTERNAL_ERROR])
def test_a_reset_amid_the_response_passes(code: int) -> None:
    """With its code; the backend's stream is gone already."""
    stage = Stage()
    exchange = stage.begin()
    exchange.on_response(200, [], NOW, end=False)
    exchange.on_backend_reset(code, remote=True)
    assert stage.client.heard() == ["respond 200", f"reset {code}", "over: backend_reset", "finished"]
    assert stage.backend.heard() == []


def test_a_reset_without_an_error_is_one_amid_the_response() -> None:
    """The response is not complete: that must not read as NO_ERROR."""
    stage = Stage()
    exchange = stage.begin()
    exchange.on_response(200, [], NOW, end=False)
    exchange.on_backend_reset(NO_ERROR, remote=True)
    assert f"reset {INTERNAL_ERROR}" in stage.client.heard()


def test_a_reset_before_the_response_is_an_answer_except_for_grpc() -> None:
    """The code means something to gRPC."""
    stage = Stage()
    exchange = stage.begin()
    exchange.on_backend_reset(CANCEL, remote=True)
    assert exchange.status == 502
    stage = Stage(b"POST", GRPC)
    stage.begin().on_backend_reset(CANCEL, remote=True)
    assert stage.client.heard() == [f"reset {CANCEL}", "over: backend_reset", "finished"]


# Time


def test_whose_turn_it_is_when_nothing_moves() -> None:
    """408 if the client's body does not come, 504 if it is the backend that waits."""
    assert Stage(b"POST").begin(ended=False).timeout_status == 408
    assert Stage().begin().timeout_status == 504
    assert Stage(b"POST").exchange(ended=False).timeout_status == 504
    assert Stage(b"POST", GRPC).begin(ended=False).timeout_status == 504
    assert Stage(websocket=True).begin(ended=False).timeout_status == 504


def test_a_client_that_awaits_100_is_not_late() -> None:
    """Until the backend has said it, or the body has begun, it is the backend's turn."""
    expecting: Headers = [(b"expect", b"100-continue")]
    exchange = Stage(b"POST", expecting).begin(ended=False)
    assert exchange.timeout_status == 504
    exchange.on_inform(103, [], NOW)
    assert exchange.timeout_status == 504
    exchange.on_inform(100, [], NOW)
    assert exchange.timeout_status == 408
    exchange = Stage(b"POST", expecting).begin(ended=False)
    exchange.on_request_data(b"x", NOW, end=False)
    assert exchange.timeout_status == 408


def test_a_client_that_may_not_send_is_not_late() -> None:
    """The backend takes nothing."""
    stage = Stage(b"POST")
    exchange = stage.begin(ended=False)
    stage.backend.full = True
    exchange.on_request_data(b"x", NOW, end=False)
    assert exchange.timeout_status == 504


# Errors of this process


def test_an_error_leaves_nobody_waiting() -> None:
    """Both sides are reset, and the client's connection forgets the exchange."""
    stage = Stage()
    exchange = stage.begin()
    exchange.on_response(200, [], NOW, end=False)
    stage.client.heard()
    exchange.break_off()
    assert stage.client.heard() == ["over: failed", f"reset {INTERNAL_ERROR}", "finished"]
    assert stage.backend.heard() == [f"reset {INTERNAL_ERROR}"]


def test_an_error_before_there_is_a_connection() -> None:
    """The exchange waits no more."""
    stage = Stage()
    stage.exchange().break_off()
    assert stage.pool.abandoned == 1
    assert stage.client.heard() == ["over: failed", f"reset {INTERNAL_ERROR}", "finished"]


@pytest.mark.parametrize("failing", ["account", "reset", "finished"])
def test_where_one_stream_cannot_be_ended_the_connection_is(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing takes the least memory; the backend's side is ended in any case."""

    def fail(*_: object) -> None:
        raise MemoryError

    stage = Stage()
    exchange = stage.begin()
    monkeypatch.setattr(stage.client, failing, fail)
    exchange.break_off()
    assert stage.client.heard()[-1] == "abort"
    assert stage.backend.heard() == [f"reset {INTERNAL_ERROR}"]


def test_an_end_that_was_cut_short_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error on the way out leaves the client's connection with an exchange that it must forget."""

    def fail(*_: object) -> None:
        raise MemoryError

    stage = Stage()
    exchange = stage.begin()
    with monkeypatch.context() as broken:
        broken.setattr(stage.client, "account", fail)
        with pytest.raises(MemoryError):
            exchange.on_response(204, [], NOW, end=True)
    stage.client.heard()
    exchange.break_off()
    assert stage.client.heard() == [f"reset {INTERNAL_ERROR}", "finished"]
