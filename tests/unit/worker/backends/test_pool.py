"""A pool carries out what its state decides: dials, handshakes, protocols and requests, on a wire without sockets."""

import errno
import socket
import ssl
from typing import Literal

import msgspec
import pytest

from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory.shared_memory import PROCESS_BACKEND_REDIALS, limit_counter
from mcproxy.policy.headers import RequestHead
from mcproxy.wire.http2 import Request
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.backoff import Backoff
from mcproxy.worker.backends.connector import ConnectorTools
from mcproxy.worker.backends.pool import BackendPool, PoolTools
from mcproxy.worker.stream.exchange import Exchange
from tests.support.fake_exchange import FakeSide, make_exchange
from tests.support.fake_h2 import EngineName, H2End
from tests.support.fake_http import TransportPeer
from tests.support.fake_worker import HTTP, FakeWorker
from tests.unit.wire.http2.h2lab import ACK, GOAWAY, PING, frame, parse

ADDRESS = "192.0.2.9:80"
PREFACE = b"PRI * HTTP/2.0"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
SERVED = ["respond 200 content-length", "send ok", "send end", "over: complete", "finished"]


class Client(FakeSide):
    """A client that may send a request when an earlier one has ended."""

    def __init__(self, then: "Talk | None" = None) -> None:
        super().__init__()
        self._then = then
        self.next: Client | None = None

    def finished(self, stream: int) -> None:
        super().finished(stream)
        if self._then is not None:
            self.next = Client()
            self._then.ask(self.next)


class Talk:
    """A pool of one backend, and what happens around it."""

    def __init__(
        self,
        protocol: Literal["auto", "h2", "http/1.1"] = "auto",
        *,
        tls: bool = False,
        engine: EngineName = "ngh2",
        **limits: int,
    ) -> None:
        worker = FakeWorker(http=msgspec.structs.replace(HTTP, engine=engine, **limits))
        self.wire = wire = worker.wire
        connector = ConnectorTools(
            wire.as_poller(), wire.settings, wire.loop.as_loop(), wire.tasks, wire.dial_tools, wire.http_tools
        )
        self.pool = BackendPool(
            PoolTools(wire.as_poller(), wire.deadlines, wire.settings, wire.counters, connector),
            Backend((Endpoint("192.0.2.9", 80),), tls, b"", "backend.test" if tls else "", protocol),
            Backoff(lambda: 0.5),
        )

    def ask(self, client: FakeSide, *, websocket: bool = False) -> Exchange:
        """Let a client send a request."""
        head = RequestHead(b"GET", b"a.example", b"/", [], websocket=websocket)
        exchange = make_exchange(client, self.pool, head, now=self.wire.now)
        self.pool.acquire(exchange)
        self.wire.settle()
        return exchange

    def asks(self, *, websocket: bool = False) -> Client:
        """Let a new client send a request."""
        client = Client()
        self.ask(client, websocket=websocket)
        return client

    def accepts(self) -> TransportPeer:
        """Let the newest dial succeed, where there is no TLS."""
        self.wire.backend(ADDRESS).accepts()
        return self.wire.peer(ADDRESS)

    def shakes_hands(self, alpn: str) -> TransportPeer:
        """Let the newest dial succeed, and its handshake."""
        self.wire.backend(ADDRESS).accepts()
        self.wire.loop.handshake(ADDRESS).succeeds(alpn)
        return self.wire.peer(ADDRESS)

    def counted(self, counter: int) -> int:
        return int(self.wire.counters[counter])


def test_a_request_waits_for_a_dial_and_is_served() -> None:
    """The next one gets the same connection, without a dial."""
    talk = Talk("http/1.1")
    client = talk.asks()
    assert talk.wire.happened() == [f"dial {ADDRESS}"]
    backend = talk.accepts()
    assert backend.takes().startswith(b"GET / HTTP/1.1\r\n")
    backend.sends(OK)
    assert client.heard() == SERVED
    again = talk.asks()
    backend.sends(OK)
    assert again.heard() == SERVED
    assert talk.wire.happened() == []


def test_the_time_of_attachment_is_noted() -> None:
    """For those that had to wait; the access log tells how long that was."""
    talk = Talk("http/1.1")
    exchange = talk.ask(Client())
    talk.wire.pass_time(0.5)
    backend = talk.accepts()
    assert exchange.attached_at == pytest.approx(exchange.began_at + 0.5)
    backend.sends(OK)
    talk.wire.pass_time(1)
    served_at_once = talk.ask(Client())
    assert served_at_once.attached_at == served_at_once.began_at


def test_a_preface_finds_out_what_is_spoken_without_tls() -> None:
    """A backend that answers with SETTINGS speaks HTTP/2."""
    talk = Talk()
    client = talk.asks()
    backend = talk.accepts()
    end = H2End(backend, client=False)
    (request,) = [event for event in end.talk() if isinstance(event, Request)]
    end.engine.respond(request.stream, [(b":status", b"204")], end=True)
    end.talk()
    assert client.heard() == ["respond 204 checked end", "over: complete", "finished"]
    assert talk.wire.happened() == [f"dial {ADDRESS}"]


@pytest.mark.parametrize("tls", [False, True])
def test_a_backend_that_takes_no_streams_is_left(*, tls: bool) -> None:
    """MAX_CONCURRENT_STREAMS = 0: its connection is closed in order, and the request told at once."""
    talk = Talk(tls=tls)
    client = talk.asks()
    end = H2End(talk.shakes_hands("h2") if tls else talk.accepts(), client=False, concurrent_streams=0)
    end.talk()
    assert "over: backend_no_stream" in client.heard()
    assert talk.wire.happened()[-1] == f"{ADDRESS} closed"


def test_a_backend_that_goes_away_at_once_is_asked_three_times() -> None:
    """GOAWAY that leaves out the request: again after one second, and after two more."""
    talk = Talk("h2")
    client = talk.asks()
    dialed = []
    for pause in (1.2, 2.2, 0):
        assert talk.wire.happened()[-1] == f"dial {ADDRESS}"
        dialed.append(talk.wire.now)
        backend = talk.accepts()
        end = H2End(backend, client=False)
        end.talk()
        backend.sends(frame(GOAWAY, 0, 0, bytes(8)))
        talk.wire.pass_time(pause)
    assert [later - dialed[0] for later in dialed] == pytest.approx([0, 1.2, 3.4])
    assert "over: backend_no_stream" in client.heard()


@pytest.mark.parametrize("ending", ["ends", "keeps silent"])
def test_a_backend_without_http2_gets_another_connection(ending: str) -> None:
    """It has closed on the preface, or said nothing for a second."""
    talk = Talk()
    client = talk.asks()
    first = talk.accepts()
    assert first.takes().startswith(PREFACE)
    talk.wire.happened()
    if ending == "ends":
        first.is_gone()
    else:
        talk.wire.pass_time(1.1)
    assert talk.wire.happened()[-1] == f"dial {ADDRESS}"
    second = talk.accepts()
    assert second.takes().startswith(b"GET / HTTP/1.1\r\n")
    second.sends(OK)
    assert client.heard() == SERVED


@pytest.mark.parametrize(("alpn", "start"), [("h2", PREFACE), ("http/1.1", b"GET / HTTP/1.1\r\n")])
def test_alpn_chooses_the_protocol(alpn: str, start: bytes) -> None:
    """As the handshake says, for the backend's name."""
    talk = Talk(tls=True)
    talk.asks()
    talk.wire.backend(ADDRESS).accepts()
    assert talk.wire.happened() == [f"dial {ADDRESS}", f"{ADDRESS} handshake backend.test"]
    talk.wire.loop.handshake(ADDRESS).succeeds(alpn)
    assert talk.wire.peer(ADDRESS).takes().startswith(start)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (ssl.SSLError(1, "handshake"), "respond 502 content-type content-length"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "respond 502 content-type content-length"),
        (TimeoutError("slow"), "respond 504 content-type content-length"),
        (ConnectionAbortedError("as uvloop says it"), "respond 504 content-type content-length"),
    ],
)
def test_a_failed_handshake_is_a_failed_dial(error: Exception, answer: str) -> None:
    """The request is told at once."""
    talk = Talk(tls=True)
    client = talk.asks()
    talk.wire.backend(ADDRESS).accepts()
    talk.wire.loop.handshake(ADDRESS).fails(error)
    assert client.heard()[0] == answer


def test_a_refused_dial_fails_its_requests_and_forgets_the_protocol() -> None:
    """What listens there next is asked with a preface again."""
    talk = Talk()
    talk.asks()
    talk.accepts().is_gone()
    backend = talk.accepts()
    backend.sends(OK)
    backend.is_gone()
    client = talk.asks()
    talk.wire.backend(ADDRESS).refuses()
    assert "over: backend_refused" in client.heard()
    talk.asks()
    talk.wire.pass_time(0.3)
    assert talk.accepts().takes().startswith(PREFACE)


def test_a_dial_after_a_failure_waits_and_is_counted() -> None:
    """Nothing is dialed in the pause; the request that waits gets the next dial."""
    talk = Talk("h2")
    talk.asks()
    talk.accepts().is_gone()
    talk.wire.happened()
    client = talk.asks()
    talk.wire.pass_time(0.9)
    assert talk.wire.happened() == []
    assert talk.counted(PROCESS_BACKEND_REDIALS) == 0
    talk.wire.pass_time(0.3)
    assert talk.wire.happened() == [f"dial {ADDRESS}"]
    assert talk.counted(PROCESS_BACKEND_REDIALS) == 1
    talk.accepts().is_gone()
    assert "over: backend_no_stream" in client.heard()


def test_limits_are_counted_when_they_are_hit() -> None:
    """One connection, one request that waits for it, and one too many."""
    talk = Talk("http/1.1", backend_connections=1, backend_waiting=1)
    talk.asks()
    backend = talk.accepts()
    waits, refused = talk.asks(), talk.asks()
    assert refused.heard()[-2:] == ["over: backend_waiting", "finished"]
    assert talk.counted(limit_counter("backend_connections")) == 2
    assert talk.counted(limit_counter("backend_waiting")) == 1
    backend.sends(OK)
    backend.sends(OK)
    assert waits.heard() == SERVED


def test_a_failing_request_may_bring_the_next_one() -> None:
    """A client sends its next request as soon as one is answered: that one waits for a dial of its own."""
    talk = Talk("http/1.1")
    client = Client(then=talk)
    talk.ask(client)
    talk.wire.happened()
    talk.wire.backend(ADDRESS).refuses()
    assert "over: backend_refused" in client.heard()
    assert talk.wire.happened() == [f"{ADDRESS} closed"]
    talk.wire.pass_time(0.3)
    assert talk.wire.happened() == [f"dial {ADDRESS}"]
    talk.accepts().sends(OK)
    assert client.next is not None
    assert client.next.heard() == SERVED


def test_no_socket_is_told_at_once() -> None:
    """Without descriptors a dial fails before it has begun."""
    talk = Talk("http/1.1")
    talk.wire.no_sockets = errno.EMFILE
    client = talk.asks()
    assert client.heard()[0].startswith("respond 503")


def test_a_request_given_up_is_not_attached() -> None:
    """The connection that comes is kept for another."""
    talk = Talk("http/1.1")
    exchange = talk.ask(Client())
    exchange.on_client_gone("client_reset")
    backend = talk.accepts()
    assert backend.takes() == b""
    client = talk.asks()
    backend.sends(OK)
    assert client.heard() == SERVED


def test_an_unused_connection_is_closed() -> None:
    """A minute after its last use."""
    talk = Talk("http/1.1")
    talk.asks()
    talk.accepts().sends(OK)
    talk.wire.happened()
    talk.wire.pass_time(59)
    assert talk.wire.happened() == []
    talk.wire.pass_time(13)
    assert talk.wire.happened() == [f"{ADDRESS} closed"]


def test_a_retired_pool_ends_its_connections() -> None:
    """One that is in use when its response is complete."""
    talk = Talk("http/1.1")
    client = talk.asks()
    backend = talk.accepts()
    talk.pool.retire()
    backend.sends(OK)
    assert client.heard() == SERVED
    assert talk.wire.happened()[-1] == f"{ADDRESS} closed"


def test_a_fault_at_a_time_limit_does_not_end_the_looks() -> None:
    """What waits for a pause to end is dialed for all the same."""
    talk = Talk("h2")
    talk.asks()
    talk.accepts().is_gone()
    talk.asks()
    talk.wire.happened()
    talk.wire.deadlines.cancel(talk.pool)
    talk.pool.on_fault()
    talk.wire.pass_time(1.3)
    assert talk.wire.happened() == [f"dial {ADDRESS}"]


def test_a_websocket_gets_a_connection_of_its_own() -> None:
    """Behind TLS one that has agreed to HTTP/1.1, where the multiplexed one takes no WebSockets."""
    talk = Talk(tls=True)
    talk.asks()
    end = H2End(talk.shakes_hands("h2"), client=False)
    end.talk()
    talk.asks(websocket=True)
    backend = talk.shakes_hands("http/1.1")
    assert b"upgrade: websocket" in backend.takes().lower()


LARGE = b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n" + bytes(100)


@pytest.mark.parametrize("others_ask", [False, True])
def test_who_takes_nothing_makes_room_for_others(*, others_ask: bool) -> None:
    """Half a second later, where all connections are in use; one waits, or several ask meanwhile."""
    talk = Talk("http/1.1", backend_connections=2)
    stalled, reading = Client(), Client()
    stalled.full = True
    for client in (stalled, reading):
        talk.ask(client)
        talk.accepts().sends(LARGE)
    talk.wire.happened()
    talk.wire.pass_time(0.3)
    talk.asks()
    assert "over: backend_connections" not in stalled.heard()
    for _ in range(5):
        talk.wire.pass_time(0.1)
        if others_ask:
            talk.asks()
    assert stalled.heard()[-3:] == ["reset 8", "over: backend_connections", "finished"]
    assert "over: backend_connections" not in reading.heard()
    assert talk.wire.happened()[-1] == f"dial {ADDRESS}"


# A backend of HTTP/2 that is silent


class Silent(Talk):
    """A pool whose one connection has a request on it that the backend has heard and not answered.

    Attributes:
        end: the backend's.
        stream: the request's.
    """

    def __init__(self, engine: EngineName = "ngh2") -> None:
        super().__init__("h2", engine=engine)
        self.exchange = self.ask(Client())
        self.peer = self.accepts()
        self.end = H2End(self.peer, client=False, engine=engine)
        (request,) = self.end.talk()[1:]
        assert isinstance(request, Request)
        self.stream = request.stream
        self.end.talk()
        self.wire.happened()

    def pings(self) -> int:
        """Let the backend take what has come, and answer PINGs; return how many there were."""
        data = self.peer.takes()
        self.end.engine.feed(data, 0)
        self.end.talk()
        return sum(each.kind == PING and not each.flags & ACK for each in parse(data))


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_a_backend_that_is_silent_is_asked_and_gets_no_more_until_it_answers(engine: EngineName) -> None:
    """After 10 s; what comes meanwhile has another connection."""
    talk = Silent(engine)
    talk.wire.pass_time(9)
    assert talk.peer.takes() == b""
    talk.wire.pass_time(2)
    assert [each.kind for each in parse(bytes(talk.peer.received))] == [PING]
    talk.asks()
    assert talk.wire.happened() == [f"dial {ADDRESS}"]
    second = H2End(talk.accepts(), client=False, engine=engine)
    assert any(isinstance(event, Request) for event in second.talk())
    assert talk.pings() == 1
    second.engine.goaway()
    second.talk()
    talk.asks()
    assert any(isinstance(event, Request) for event in talk.end.talk())


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_a_backend_that_has_not_answered_in_time_is_asked_at_once(engine: EngineName) -> None:
    """A 504 says so; one that is only slow is used again as soon as it answers the PING."""
    talk = Silent(engine)
    talk.exchange.fail(504, Failure("response_timeout"))
    talk.wire.settle()
    talk.asks()
    assert talk.wire.happened() == [f"dial {ADDRESS}"]
    assert talk.pings() == 1
    talk.asks()
    assert any(isinstance(event, Request) for event in talk.end.talk())


def test_a_request_that_its_client_gives_up_counts_as_unanswered() -> None:
    """A client that waits for less than 10 s must not keep a dead connection in use."""
    talk = Silent()
    for _ in range(2):
        talk.exchange.on_client_gone("client_reset")
        talk.wire.pass_time(5.5)
        talk.exchange = talk.ask(Client())
    assert PING in [each.kind for each in parse(talk.peer.takes())]
    assert talk.wire.happened() == [f"dial {ADDRESS}"]


def test_a_backend_with_nothing_due_is_not_asked() -> None:
    """However long it is silent, and neither while it sends."""
    talk = Silent()
    server = talk.end.engine
    server.respond(talk.stream, [(b":status", b"200")])
    for _ in range(4):
        talk.wire.pass_time(9)
        server.send(talk.stream, b"event")
        talk.end.talk()
        assert talk.pings() == 0
    server.send(talk.stream, b"", end=True)
    talk.end.talk()
    talk.wire.pass_time(40)
    assert talk.pings() == 0


def test_a_backend_is_not_asked_again_and_again() -> None:
    """A server of gRPC closes over PINGs: two, then one in five minutes, until it sends a message."""
    talk = Silent()
    counts = []
    for _ in range(33):
        talk.wire.pass_time(12)
        counts.append(talk.pings())
    assert counts[:2] == [1, 1]
    assert sum(counts) == 3
    talk.end.engine.respond(talk.stream, [(b":status", b"200")])
    talk.end.talk()
    talk.wire.pass_time(12)
    assert talk.pings() == 1


def test_a_connection_without_an_answer_is_closed_when_nothing_is_left_on_it() -> None:
    """Half a minute after the PING."""
    talk = Silent()
    talk.wire.pass_time(11)
    talk.wire.pass_time(40)
    assert talk.wire.happened() == []
    talk.exchange.on_client_gone("client_reset")
    talk.wire.pass_time(11)
    assert talk.wire.happened() == [f"{ADDRESS} closed"]


def test_a_silent_backend_that_retires_or_goes_away_is_not_used_again() -> None:
    """Its answer to the PING comes too late."""
    talk = Silent()
    talk.wire.pass_time(11)
    talk.end.engine.goaway()
    assert talk.pings() == 1
    talk.asks()
    assert talk.wire.happened() == [f"dial {ADDRESS}"]


def test_a_backend_connection_without_acknowledgements_ends_after_half_a_minute() -> None:
    """The kernel sees to that, for both versions; of a Unix socket it knows no such thing."""
    for protocol in ("http/1.1", "h2"):
        talk = Talk(protocol)
        talk.asks()
        sock = talk.wire.backend(ADDRESS).sock
        talk.accepts()
        assert sock.options[socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT] == 30_000
