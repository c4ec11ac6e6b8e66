"""A backend's HTTP/2 connection, as conversations between exchanges and the backend."""

import msgspec
import pytest

from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.wire.http2 import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    INTERNAL_ERROR,
    NO_ERROR,
    REFUSED_STREAM,
    Data,
    Event,
    GoAway,
    Request,
    Trailers,
)
from mcproxy.wire.http2 import Reset as StreamReset
from mcproxy.worker.backends.h2_backend import H2Backend
from mcproxy.worker.stream.exchange import Exchange
from tests.support.fake_exchange import FakeSide, make_exchange
from tests.support.fake_h2 import EngineName, H2End
from tests.support.fake_http import TransportPeer
from tests.support.fake_worker import HTTP, FakePool, FakeWorker
from tests.unit.wire.http2.h2lab import GOAWAY, HEADERS, block, frame

OK: Headers = [(b":status", b"200")]


class Talk:
    """A connection to a backend.

    Attributes:
        lines: what the pool was told.
    """

    def __init__(
        self,
        *,
        engine: EngineName = "ngh2",
        greets: bool = True,
        websockets: bool = False,
        stream_window: int = 65_536,
        concurrent_streams: int = 100,
    ) -> None:
        self.wire = FakeWorker(http=msgspec.structs.replace(HTTP, engine=engine)).wire
        self.lines: list[str] = []
        self.pool = FakePool()
        self.connection = H2Backend(self.wire.http_tools, self, b"https")
        self.peer: TransportPeer = self.wire.attach(self.connection, "backend")
        self.backend = H2End(
            self.peer,
            client=False,
            engine=engine,
            connect_protocol=websockets,
            stream_window=stream_window,
            concurrent_streams=concurrent_streams,
        )
        if greets:
            self.backend.talk()

    def on_settled(self, _connection: H2Backend) -> None:
        self.lines.append("settled")

    def on_room(self, _connection: H2Backend) -> None:
        if self.lines[-1:] != ["room"]:
            self.lines.append("room")

    def on_proven(self, _connection: H2Backend) -> None:
        self.lines.append("proven")

    def on_goaway(self, _connection: H2Backend, *, untouched: bool, orderly: bool) -> None:
        self.lines.append(f"goaway{', untouched' * untouched}{', orderly' * orderly}")

    def on_doubt(self, _connection: H2Backend) -> None:
        self.lines.append("doubt")

    def on_answer(self, _connection: H2Backend) -> None:
        self.lines.append("answer")

    def on_lost(self, _connection: H2Backend, *, broken: bool) -> None:
        self.lines.append("lost, broken" if broken else "lost")

    def exchange(
        self, client: FakeSide, method: bytes = b"GET", *, ended: bool = True, websocket: bool = False
    ) -> Exchange:
        head = RequestHead(method, b"a.example", b"/", [], websocket)
        return make_exchange(client, self.pool, head, now=self.wire.now, ended=ended)

    def begins(
        self, method: bytes = b"GET", *, ended: bool = True, websocket: bool = False
    ) -> tuple[FakeSide, Exchange, int]:
        """Begin an exchange on the connection; return its client, itself, and the stream that the backend hears of."""
        client = FakeSide()
        exchange = self.exchange(client, method, ended=ended, websocket=websocket)
        assert self.connection.open(exchange)
        heard = self.hears()
        return client, exchange, next(event.stream for event in heard if isinstance(event, Request))

    def hears(self) -> list[Event]:
        """Let the connection's turn end; return what the backend hears."""
        self.wire.settle()
        return self.backend.talk()


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_exchanges_side_by_side(engine: EngineName) -> None:
    """Each has a stream, and they may be answered in any order."""
    talk = Talk(engine=engine)
    assert talk.lines[:1] == ["settled"]
    first, second = talk.begins(), talk.begins()
    server = talk.backend.engine
    for client, _, stream in (second, first):
        server.inform(stream, [(b":status", b"103"), (b"link", b"</a>")])
        server.respond(stream, [*OK, (b"server", b"x")])
        server.send(stream, b"ok", end=True)
        talk.backend.talk()
        heard = [line for line in client.heard() if not line.startswith("consumed")]
        assert heard == [
            "inform 103 link",
            "respond 200 checked server",
            *(["send ok end"] if "send ok end" in heard else ["send ok", "send end"]),
            "over: complete",
            "finished",
        ]
    assert talk.connection.idle
    assert talk.lines.count("proven") == 1


def test_the_request_is_told_as_it_is() -> None:
    """With the scheme of this connection, and who the client is."""
    talk = Talk()
    talk.connection.open(talk.exchange(FakeSide()))
    heard = talk.hears()
    assert heard == [
        Request(
            1,
            [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", b"a.example"),
                (b":path", b"/"),
                (b"x-real-ip", b"192.0.2.1"),
            ],
            end=True,
        )
    ]


def test_bodies_and_trailers_both_ways() -> None:
    """A gRPC call has all of it."""
    talk = Talk()
    client, exchange, stream = talk.begins(b"POST", ended=False)
    exchange.on_request_data(b"question", talk.wire.now, end=False)
    exchange.on_request_trailers([(b"x-sum", b"1")], talk.wire.now)
    assert [event for event in talk.hears() if isinstance(event, Data | Trailers)] == [
        Data(stream, b"question", end=False),
        Trailers(stream, [(b"x-sum", b"1")]),
    ]
    server = talk.backend.engine
    server.respond(stream, OK)
    server.send(stream, b"answer")
    server.trailers(stream, [(b"grpc-status", b"0")])
    talk.backend.talk()
    assert client.heard() == [
        "consumed 8",
        "respond 200 checked",
        "send answer",
        "trailers grpc-status",
        "over: complete",
        "finished",
    ]


def test_no_more_streams_than_the_backend_allows() -> None:
    """The pool has the rest wait, and hears of room when a stream has ended."""
    talk = Talk(concurrent_streams=1)
    _, _, stream = talk.begins()
    assert not talk.connection.open(talk.exchange(FakeSide()))
    talk.lines.clear()
    talk.backend.engine.respond(stream, OK, end=True)
    talk.backend.talk()
    assert "room" in talk.lines
    talk.begins()


def test_a_request_that_cannot_be_said_fails_alone() -> None:
    """The connection goes on."""
    talk = Talk()
    client = FakeSide()
    head = RequestHead(b"GET", b"a.example", b"/", [(b"x", b"a\r\nb")])
    exchange = make_exchange(client, talk.pool, head, now=talk.wire.now)
    assert talk.connection.open(exchange)
    assert exchange.status == 400
    talk.begins()


# Credit


def test_a_request_waits_for_the_backends_window() -> None:
    """The client may go on when the backend has taken what waits."""
    talk = Talk(stream_window=100)
    client, exchange, stream = talk.begins(b"POST", ended=False)
    exchange.on_request_data(bytes(150), talk.wire.now, end=False)
    assert sum(len(event.data) for event in talk.hears() if isinstance(event, Data)) == 100
    assert client.heard() == []
    talk.backend.engine.consumed(stream, 100)
    talk.backend.talk()
    assert client.heard() == ["consumed 150"]


def test_a_full_transport_holds_every_stream() -> None:
    """Until it has room."""
    talk = Talk()
    client, exchange, _ = talk.begins(b"POST", ended=False)
    talk.peer.is_full()
    exchange.on_request_data(b"x", talk.wire.now, end=False)
    talk.wire.settle()
    assert client.heard() == []
    talk.peer.has_room()
    assert client.heard() == ["consumed 1"]


def test_a_response_is_credit_as_the_client_takes_it() -> None:
    """A backend may send one window ahead and no more."""
    talk = Talk()
    client, exchange, stream = talk.begins()
    client.full = True
    server = talk.backend.engine
    server.respond(stream, OK)
    server.send(stream, bytes(200_000))
    talk.backend.talk()
    ahead = exchange.sent
    assert 0 < ahead <= HTTP.stream_window
    exchange.on_client_room(talk.wire.now)
    talk.hears()
    assert exchange.sent > ahead


# Ends


def test_an_answer_amid_the_request_cancels_the_rest() -> None:
    """The backend's stream is closed with CANCEL."""
    talk = Talk()
    client, _, stream = talk.begins(b"POST", ended=False)
    talk.backend.engine.respond(stream, [(b":status", b"413")], end=True)
    heard = talk.backend.talk()
    assert client.heard() == ["respond 413 checked end", "over: complete", "finished"]
    assert StreamReset(stream, CANCEL, remote=True) in heard
    assert talk.connection.idle


def test_a_client_that_goes_cancels_its_stream() -> None:
    """Others go on."""
    talk = Talk()
    _, gone, stream = talk.begins()
    client, _, stays = talk.begins()
    gone.on_client_gone("client_reset")
    assert talk.hears() == [StreamReset(stream, CANCEL, remote=True)]
    talk.backend.engine.respond(stays, OK, end=True)
    talk.backend.talk()
    assert "over: complete" in client.heard()


def test_a_refused_stream_is_tried_again() -> None:
    """The backend has not begun with it, whatever the method."""
    talk = Talk()
    _, exchange, stream = talk.begins(b"POST")
    talk.backend.engine.reset(stream, REFUSED_STREAM)
    talk.backend.talk()
    assert talk.pool.acquired == [exchange]


def test_a_reset_of_a_response_passes() -> None:
    """With its code."""
    talk = Talk()
    client, _, stream = talk.begins()
    talk.backend.engine.respond(stream, OK)
    talk.backend.engine.reset(stream, INTERNAL_ERROR)
    talk.backend.talk()
    assert client.heard() == ["respond 200 checked", f"reset {INTERNAL_ERROR}", "over: backend_reset", "finished"]


def test_too_large_a_head_is_an_error() -> None:
    """The backend is told to stop, and the request is not sent again."""
    talk = Talk()
    _, exchange, stream = talk.begins()
    talk.backend.engine.respond(stream, [*OK, *((b"x-%d" % number, b"y") for number in range(220))])
    heard = talk.backend.talk()
    assert (exchange.status, exchange.reason) == (502, "response_header_count")
    assert talk.pool.acquired == []
    assert any(isinstance(event, StreamReset) for event in heard)


def test_goaway_spares_what_it_names() -> None:
    """What is above it goes elsewhere, what is below is finished, and nothing new begins here."""
    talk = Talk()
    client, _, served = talk.begins()
    talk.backend.engine.goaway()
    exchange = talk.exchange(FakeSide(), b"POST")
    assert talk.connection.open(exchange)
    talk.hears()
    assert talk.pool.acquired == [exchange]
    assert "goaway, orderly" in talk.lines
    assert not talk.connection.open(talk.exchange(FakeSide()))
    talk.backend.engine.respond(served, OK, end=True)
    talk.backend.talk()
    assert "over: complete" in client.heard()
    assert talk.lines[-1] == "lost"


def test_goaway_before_any_stream() -> None:
    """The pool is told that the backend has taken none."""
    talk = Talk()
    talk.backend.engine.goaway()
    talk.backend.talk()
    assert "goaway, untouched, orderly" in talk.lines
    assert talk.lines[-1] == "lost"


def test_goaway_for_an_error() -> None:
    """The pool is told that, too: a request may be to blame."""
    talk = Talk()
    talk.peer.sends(frame(GOAWAY, 0, 0, bytes(4) + ENHANCE_YOUR_CALM.to_bytes(4, "big")))
    assert "goaway, untouched" in talk.lines


def test_a_client_that_gives_up_breaks_nothing() -> None:
    """Its stream is reset; the connection that ends after it had nothing due."""
    talk = Talk()
    _, exchange, _ = talk.begins()
    exchange.on_client_gone("client_reset")
    talk.peer.is_gone()
    assert talk.lines[-1] == "lost"


def test_a_retired_connection_finishes_first() -> None:
    """GOAWAY comes when nothing is open: servers built on h2 drop what is."""
    talk = Talk()
    _, _, stream = talk.begins()
    talk.connection.retire()
    assert talk.hears() == []
    talk.backend.engine.respond(stream, OK, end=True)
    assert GoAway(0, NO_ERROR, b"") in talk.backend.talk()
    assert talk.lines[-1] == "lost"


def test_a_connection_that_dies_before_anything_came_is_stale() -> None:
    """Of the streams opened since the backend was heard last, the safe ones are tried again; the others fail."""
    talk = Talk()
    client, _, stream = talk.begins()
    talk.backend.engine.respond(stream, OK)
    talk.backend.talk()
    fresh = [talk.exchange(FakeSide()), talk.exchange(FakeSide(), b"POST")]
    for exchange in fresh:
        assert talk.connection.open(exchange)
    talk.wire.settle()
    talk.peer.is_gone()
    assert "reset 2" in client.heard()
    assert talk.pool.acquired == [fresh[0]]
    assert (fresh[0].status, fresh[1].status) == (0, 502)
    assert talk.lines[-1] == "lost, broken"


def test_an_answer_that_came_before_a_write_failed_is_heard() -> None:
    """A backend answers an upload, closes, and resets what it is still sent: the transport is lost with the answer unread."""
    talk = Talk()
    _, exchange, stream = talk.begins(b"POST", ended=False)
    talk.backend.engine.respond(stream, [(b":status", b"401")], end=True)
    talk.peer.transport.held += talk.backend.engine.output()
    talk.peer.is_gone(BrokenPipeError())
    assert exchange.status == 401
    assert talk.lines[-1] == "lost"


def test_without_memory_for_an_answer_a_request_ends_all_the_same() -> None:
    """Reading what a failed transport has left raises; nobody must wait for the request because of it."""
    talk = Talk()
    _, exchange, _ = talk.begins(b"POST", ended=False)
    talk.peer.transport.no_memory = True
    talk.peer.is_gone(BrokenPipeError())
    assert exchange.status == 502
    assert "fault: MemoryError()" in talk.wire.happened()


def test_the_first_request_of_a_connection_is_no_sign_of_a_stale_one() -> None:
    """It was alive a moment ago."""
    talk = Talk()
    exchange = talk.exchange(FakeSide())
    assert talk.connection.open(exchange)
    talk.wire.settle()
    talk.peer.is_gone()
    assert exchange.status == 502
    assert talk.pool.acquired == []


def test_streams_that_were_not_written_yet_go_elsewhere_whatever_they_are() -> None:
    """The connection ends in the turn in which they were opened; those before them may have reached the backend."""
    talk = Talk()
    sent = talk.exchange(FakeSide(), b"POST")
    assert talk.connection.open(sent)
    talk.wire.settle()
    fresh = [talk.exchange(FakeSide()), talk.exchange(FakeSide(), b"POST")]
    for exchange in fresh:
        assert talk.connection.open(exchange)
    talk.peer.is_gone()
    assert talk.pool.acquired == fresh
    assert (sent.status, *(exchange.status for exchange in fresh)) == (502, 0, 0)


def test_what_was_heard_of_is_not_tried_again() -> None:
    """Something came while the request was open: it may have been about it."""
    talk = Talk()
    _, _, first = talk.begins()
    _, exchange, _ = talk.begins()
    talk.backend.engine.respond(first, OK, end=True)
    talk.backend.talk()
    talk.peer.is_gone()
    assert exchange.status == 502
    assert talk.pool.acquired == []


def test_a_violation_ends_the_connection() -> None:
    """What is under way fails."""
    talk = Talk()
    _, exchange, stream = talk.begins()
    talk.peer.sends(frame(HEADERS, 4, stream + 2, block(OK)))
    assert exchange.status == 502
    assert talk.lines[-1] == "lost, broken"


# WebSockets


def test_a_tunnel() -> None:
    """An extended CONNECT, to a backend that has announced it; 200 is a 101 then."""
    talk = Talk(websockets=True)
    assert talk.connection.takes_websockets
    client, exchange, stream = talk.begins(ended=False, websocket=True)
    talk.backend.engine.respond(stream, OK)
    talk.backend.talk()
    assert client.heard() == ["respond 101 checked"]
    exchange.on_request_data(b"\x81", talk.wire.now, end=False)
    assert Data(stream, b"\x81", end=False) in talk.hears()


@pytest.mark.parametrize(("status", "end"), [(b"404", False), (b"200", True)])
def test_a_declined_tunnel(status: bytes, *, end: bool) -> None:
    """Any other status, and a 200 that is over at once."""
    talk = Talk(websockets=True)
    client, _, stream = talk.begins(ended=False, websocket=True)
    talk.backend.engine.respond(stream, [(b":status", status)], end=end)
    talk.backend.talk()
    assert client.heard()[0] == f"respond {status.decode()} checked" + " end" * end


def test_a_backend_that_knows_no_websockets() -> None:
    """The pool is told not to try."""
    assert not Talk().connection.takes_websockets
