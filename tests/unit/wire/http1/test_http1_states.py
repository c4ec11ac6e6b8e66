"""What may follow what on a connection, and how a body is framed when it is sent."""

from collections.abc import Callable

import pytest

from mcproxy.wire.http1 import ClientSide, ClientState, Headers, MisuseError, Request, Response, ServerSide, ServerState
from mcproxy.wire.http1.body_framing import Framing, framed, request_framing, response_framing
from mcproxy.wire.http1.serialize import UnsendableError
from mcproxy.wire.http1.states import CLIENT, SERVER, Input
from tests.support.rows import each_row

HOST: Headers = [(b"host", b"a")]
LENGTH = (b"content-length", b"5")


def request(
    method: bytes = b"GET",
    length: int | None = 0,
    *,
    minor: int = 1,
    keep_alive: bool = True,
    expects: bool = False,
    websocket: bool = False,
) -> Request:
    return Request(method, b"/", minor, HOST, b"a", length, keep_alive, expects, websocket)


def response(length: int | None = 5, *, keep_alive: bool = True) -> Response:
    return Response(200, b"", 1, [], length, keep_alive)


def serving(first: Request, *, last: bool = False) -> ServerSide:
    """Return the server of a connection on which a request's head has come."""
    side = ServerSide()
    side.on_request(first, last=last)
    return side


def asking(*, bodiless: bool = True, websocket: bool = False) -> ClientSide:
    """Return the client of a connection on which a request's head was sent."""
    side = ClientSide()
    side.request(b"GET", b"/", HOST, bodiless=bodiless, websocket=websocket)
    return side


def client_of(side: ClientSide | ServerSide) -> ClientState:
    return side.client


def server_of(side: ClientSide | ServerSide) -> ServerState:
    return side.server


# The tables


def test_the_tables_name_every_state() -> None:
    """A state without a row would be an accident in service."""
    assert set(CLIENT) == set(ClientState)
    assert set(SERVER) == set(ServerState)


@pytest.mark.parametrize("state", ClientState)
def test_a_client_can_always_be_given_up(state: ClientState) -> None:
    """The end of the connection is possible everywhere, and nothing leads out of it."""
    assert CLIENT[state][Input.CLOSE] is ClientState.CLOSED
    assert set(CLIENT[ClientState.CLOSED].values()) == {ClientState.CLOSED}


@pytest.mark.parametrize("state", ServerState)
def test_a_server_can_always_be_given_up(state: ServerState) -> None:
    """The end of the connection is possible everywhere, and nothing leads out of it."""
    assert SERVER[state][Input.CLOSE] is ServerState.CLOSED
    assert set(SERVER[ServerState.CLOSED].values()) == {ServerState.CLOSED}


# The proxy as the server

SERVER_CALLS: dict[Input, Callable[[ServerSide], object]] = {
    Input.REQUEST: lambda side: side.on_request(request(b"POST", 5), last=False),
    Input.BODILESS: lambda side: side.on_request(request(), last=False),
    Input.UPGRADE: lambda side: side.on_request(request(websocket=True), last=False),
    Input.FINAL: lambda side: side.respond(200, [], end=False),
    Input.COMPLETE: lambda side: side.respond(200, [], end=True),
    Input.INTERIM: lambda side: side.inform(103, []),
    Input.SWITCH: lambda side: side.switch([]),
    Input.NEXT: lambda side: side.next(),
    Input.REFUSE: lambda side: side.refuse(),
    Input.CLOSE: lambda side: side.close(),
}


@each_row("client", ClientState)
@each_row("moved", SERVER_CALLS)
def test_a_server_moves_by_the_tables_or_not_at_all(client: ClientState, moved: Input) -> None:
    """Every pair of states and every input: both tables know it, or it is misuse and changes nothing."""
    of_one_party = moved in (Input.FINAL, Input.COMPLETE, Input.INTERIM)  # a client takes note of them in UPGRADE alone
    for server in ServerState:
        side = ServerSide()
        side.client, side.server = client, server
        if moved in SERVER[server] and (of_one_party or moved in CLIENT[client]):
            SERVER_CALLS[moved](side)
            assert side.server is SERVER[server][moved]
            assert side.client is CLIENT[client].get(moved, client), server
        else:
            with pytest.raises(MisuseError, match="has no place in"):
                SERVER_CALLS[moved](side)
            assert (side.client, side.server) == (client, server)


@each_row("server", ServerState)
@each_row("trailers", [False, True])
def test_a_server_ends_what_has_begun(server: ServerState, *, trailers: bool) -> None:
    """A body can be ended once, and only where one is under way."""
    side = ServerSide()
    side.client, side.server = ClientState.DONE, server
    end: Callable[[], bytes] = (lambda: side.trailers([])) if trailers else (lambda: side.send(b"", end=True))
    if server in (ServerState.BODY, ServerState.TUNNEL):
        end()
        assert side.server is SERVER[server][Input.END]
    else:
        with pytest.raises(MisuseError, match="END has no place in"):
            end()
        assert side.server is server


@pytest.mark.parametrize("client", ClientState)
def test_a_clients_body_ends_where_one_has_begun(client: ClientState) -> None:
    """The end of a body is told once."""
    side = ServerSide()
    side.client = client
    if client in (ClientState.BODY, ClientState.TUNNEL):
        side.on_end()
        assert side.client is CLIENT[client][Input.END]
    else:
        with pytest.raises(MisuseError, match="END has no place in"):
            side.on_end()


def test_one_request_after_another() -> None:
    """A request, its response, and both are there for the next."""
    side = serving(request(b"POST", 5))
    side.on_end()
    assert side.respond(200, [LENGTH], end=False) == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    assert side.send(b"hello", end=True) == b"hello"
    side.next()
    assert (side.client, side.server) == (ClientState.IDLE, ServerState.IDLE)


@pytest.mark.parametrize(("keep_alive", "last"), [(False, False), (True, True), (False, True)])
def test_the_connection_ends_with_the_last_response(*, keep_alive: bool, last: bool) -> None:
    """The client or the proxy has decided so: the head says it, and the end of the response is the end."""
    side = serving(request(keep_alive=keep_alive), last=last)
    assert b"connection: close\r\n" in side.respond(200, [LENGTH], end=False)
    assert server_of(side) is ServerState.BODY
    side.send(b"hello", end=True)
    assert server_of(side) is ServerState.CLOSED


def test_a_response_without_a_body_can_be_the_last() -> None:
    """The head alone ends the connection then."""
    side = serving(request(keep_alive=False))
    assert side.respond(204, [], end=True) == b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
    assert server_of(side) is ServerState.CLOSED


def test_end_after_waits_for_the_response() -> None:
    """A response under way, or due, is the last; without one the connection ends now."""
    idle = ServerSide()
    idle.end_after()
    assert server_of(idle) is ServerState.CLOSED
    due = serving(request())
    due.end_after()
    assert server_of(due) is ServerState.DUE
    assert b"connection: close\r\n" in due.respond(200, [], end=True)
    assert server_of(due) is ServerState.CLOSED
    answered = serving(request(b"POST", 5))
    answered.respond(200, [], end=True)
    assert server_of(answered) is ServerState.DONE
    answered.end_after()
    assert server_of(answered) is ServerState.CLOSED


def test_an_answered_requests_rest_can_be_read() -> None:
    """An answer amid the request: its end may still come, and then the next request."""
    side = serving(request(b"POST", 5))
    assert b"connection" not in side.respond(200, [], end=True)
    assert (side.client, side.server) == (ClientState.BODY, ServerState.DONE)
    with pytest.raises(MisuseError):
        side.next()
    side.on_end()
    side.next()
    assert server_of(side) is ServerState.IDLE


@pytest.mark.parametrize("status", [200, 408])
def test_a_body_that_may_not_come_ends_the_connection(status: int) -> None:
    """A client that waits for 100 may send the body or the next request now; one that was too slow may not go on."""
    side = serving(request(b"POST", 5, expects=status == 200))
    assert b"connection: close\r\n" in side.respond(status, [], end=True)
    assert server_of(side) is ServerState.CLOSED


def test_a_client_that_got_its_100_sends_the_body() -> None:
    """So the connection can go on behind an answer amid it."""
    side = serving(request(b"POST", 5, expects=True))
    assert side.inform(103, []) == b"HTTP/1.1 103 Early Hints\r\n\r\n"
    assert side.inform(100, []) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert b"connection" not in side.respond(200, [], end=True)
    assert server_of(side) is ServerState.DONE


def test_http10_is_told_what_it_knows() -> None:
    """No interim responses, no chunks; and that the connection goes on must be said."""
    side = serving(request(minor=0))
    assert side.inform(103, []) == b""
    assert side.respond(200, [LENGTH], end=False).endswith(b"\r\nconnection: keep-alive\r\n\r\n")
    side = serving(request(minor=0))
    assert side.respond(200, [], end=False) == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    assert side.send(b"hello", end=False) == b"hello"
    assert side.send(b"", end=True) == b""
    assert server_of(side) is ServerState.CLOSED


def test_a_refused_client_is_answered_once() -> None:
    """Before a request and amid one there is an answer, and the connection's end; behind the answer there is only that."""
    fresh = ServerSide()
    assert fresh.refuse() is True
    assert b"connection: close\r\n" in fresh.respond(400, [], end=True)
    assert server_of(fresh) is ServerState.CLOSED
    amid = serving(request(b"POST", 5))
    assert amid.refuse() is True
    assert client_of(amid) is ClientState.CLOSED
    answered = serving(request(b"POST", 5))
    answered.respond(200, [], end=True)
    assert answered.refuse() is False
    assert server_of(answered) is ServerState.CLOSED
    assert answered.refuse() is False


def test_a_refusal_amid_the_response_leaves_it_to_be_broken_off() -> None:
    """A second head would be read as body."""
    side = serving(request(b"POST", 5))
    side.respond(200, [LENGTH], end=False)
    assert side.refuse() is False
    assert server_of(side) is ServerState.BODY


def test_a_refusal_after_head_is_no_answer_to_head() -> None:
    """What could not be read has no method: its answer has a body."""
    side = serving(request(b"HEAD"))
    side.respond(200, [LENGTH], end=True)
    side.next()
    side.refuse()
    side.respond(400, [LENGTH], end=False)
    assert side.send(b"wrong", end=True) == b"wrong"


def test_a_head_that_cannot_be_said_changes_nothing() -> None:
    """Another can be sent instead."""
    side = serving(request())
    with pytest.raises(UnsendableError):
        side.respond(200, [(b"x", b"\0")], end=True)
    assert server_of(side) is ServerState.DUE
    assert side.respond(502, [], end=True).startswith(b"HTTP/1.1 502")


def test_trailers_that_cannot_be_said_do_not_end_the_response() -> None:
    """It is for the owner to break it off."""
    side = serving(request())
    side.respond(200, [], end=False)
    with pytest.raises(UnsendableError):
        side.trailers([(b"content-length", b"1")])
    assert server_of(side) is ServerState.BODY


def test_an_upgrade_that_is_granted() -> None:
    """Each direction of a tunnel ends by itself; the server's end is the connection's."""
    side = serving(request(websocket=True))
    assert side.switch([]) == b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    assert side.send(b"\x81", end=False) == b"\x81"
    side.on_end()
    assert (side.client, side.server) == (ClientState.CLOSED, ServerState.TUNNEL)
    assert side.send(b"", end=True) == b""
    assert server_of(side) is ServerState.CLOSED


@pytest.mark.parametrize("end", [False, True])
def test_an_upgrade_that_is_declined(*, end: bool) -> None:
    """It was an ordinary request then, and the next one may come."""
    side = serving(request(websocket=True))
    side.respond(404, [LENGTH], end=end)
    if not end:
        side.send(b"wrong", end=True)
    side.next()
    assert client_of(side) is ClientState.IDLE


def test_a_switch_must_have_been_asked_for() -> None:
    """A 101 to an ordinary request is misuse."""
    side = serving(request())
    with pytest.raises(MisuseError, match=r"SWITCH has no place in ClientState\.DONE"):
        side.switch([])


# The proxy as the client


def test_a_connection_is_used_again() -> None:
    """When the request is complete, the response too, and the backend keeps the connection."""
    side = ClientSide()
    for _ in range(2):
        head = side.request(b"POST", b"/", HOST, bodiless=False, websocket=False)
        assert head.endswith(b"transfer-encoding: chunked\r\n\r\n")
        assert side.send(b"hello", end=False) == b"5\r\nhello\r\n"
        assert side.send(b"", end=True) == b"0\r\n\r\n"
        side.on_response(response())
        side.on_end()
        assert side.next() is True
        assert (side.client, side.server) == (ClientState.IDLE, ServerState.IDLE)


def test_a_connection_is_not_used_again_when_the_backend_ends_it() -> None:
    """It said so in the head of its response."""
    side = asking()
    side.on_response(response(0, keep_alive=False))
    assert server_of(side) is ServerState.DONE
    assert side.next() is False
    assert server_of(side) is ServerState.CLOSED


def test_a_connection_is_not_used_again_amid_a_request() -> None:
    """What was announced of the body would be read out of the next request."""
    side = asking(bodiless=False)
    side.on_response(response(0))
    assert side.next() is False
    assert server_of(side) is ServerState.CLOSED


def test_a_retired_connection_finishes_first() -> None:
    """The response under way still comes; without one the connection ends now."""
    side = asking()
    side.end_after()
    assert server_of(side) is ServerState.DUE
    side.on_response(response(0))
    assert side.next() is False
    idle = ClientSide()
    idle.end_after()
    assert server_of(idle) is ServerState.CLOSED


def test_no_request_before_the_response() -> None:
    """There is no pipelining: a second request is misuse, and so is a response to none."""
    side = asking()
    with pytest.raises(MisuseError, match=r"BODILESS has no place in ClientState\.DONE"):
        side.request(b"GET", b"/", HOST, bodiless=True, websocket=False)
    with pytest.raises(MisuseError, match=r"FINAL has no place in ServerState\.IDLE"):
        ClientSide().on_response(response())
    with pytest.raises(MisuseError, match=r"END has no place in ServerState\.DUE"):
        side.on_end()
    with pytest.raises(MisuseError, match=r"SWITCH has no place in ClientState\.DONE"):
        side.on_switch()
    with pytest.raises(MisuseError, match=r"END has no place in ClientState\.DONE"):
        side.send(b"", end=True)


def test_a_request_that_cannot_be_said_changes_nothing() -> None:
    """The connection can carry another."""
    side = ClientSide()
    with pytest.raises(UnsendableError):
        side.request(b"GET", b"/ ", HOST, bodiless=True, websocket=False)
    assert client_of(side) is ClientState.IDLE
    body = asking(bodiless=False)
    with pytest.raises(UnsendableError):
        body.trailers([(b"host", b"b")])
    assert client_of(body) is ClientState.BODY
    assert body.trailers([(b"x", b"y")]) == b"0\r\nx: y\r\n\r\n"
    assert client_of(body) is ClientState.DONE


def test_a_tunnel_to_a_backend() -> None:
    """What goes through it is not framed, and either direction ends by itself."""
    side = asking(bodiless=False, websocket=True)
    assert client_of(side) is ClientState.UPGRADE
    side.on_switch()
    assert side.send(b"\x81", end=False) == b"\x81"
    side.send(b"", end=True)
    assert (side.client, side.server) == (ClientState.CLOSED, ServerState.TUNNEL)
    side.on_end()
    assert server_of(side) is ServerState.CLOSED
    assert side.next() is False


def test_a_declined_tunnel_is_an_ordinary_response() -> None:
    """Its connection is as good as any."""
    side = asking(bodiless=False, websocket=True)
    side.on_response(response())
    side.on_end()
    assert side.next() is True


# Framing


@each_row(
    ("method", "headers", "bodiless", "websocket", "framing", "added"),
    [
        (b"GET", [], True, False, Framing.NONE, []),
        (b"POST", [], True, False, Framing.NONE, [(b"content-length", b"0")]),
        (b"PUT", [], True, False, Framing.NONE, [(b"content-length", b"0")]),
        (b"PATCH", [], True, False, Framing.NONE, [(b"content-length", b"0")]),
        (b"DELETE", [], True, False, Framing.NONE, []),
        (b"POST", [LENGTH], False, False, Framing.LENGTH, []),
        (b"GET", [LENGTH], False, False, Framing.LENGTH, []),
        (b"POST", [(b"content-length", b"0")], True, False, Framing.LENGTH, []),
        (b"POST", [], False, False, Framing.CHUNKED, []),
        (b"GET", [], False, False, Framing.CHUNKED, []),
        (b"GET", [], False, True, Framing.NONE, []),
    ],
)
def test_request_framing(
    method: bytes, headers: Headers, framing: Framing, added: Headers, *, bodiless: bool, websocket: bool
) -> None:
    """A length that is known is said, an unknown one needs chunks."""
    result = request_framing(method, headers, bodiless=bodiless, websocket=websocket)
    assert result == (framing, [*headers, *added])


@each_row(
    ("method", "minor", "status", "headers", "complete", "framing", "sent"),
    [
        (b"GET", 1, 200, [LENGTH], False, Framing.LENGTH, [LENGTH]),
        (b"GET", 1, 200, [], False, Framing.CHUNKED, []),
        (b"GET", 0, 200, [], False, Framing.CLOSE, []),
        (b"GET", 0, 200, [LENGTH], False, Framing.LENGTH, [LENGTH]),
        (b"GET", 1, 200, [], True, Framing.LENGTH, [(b"content-length", b"0")]),
        (b"GET", 0, 404, [], True, Framing.LENGTH, [(b"content-length", b"0")]),
        (b"HEAD", 1, 200, [LENGTH], True, Framing.NONE, [LENGTH]),
        (b"HEAD", 1, 200, [], False, Framing.NONE, []),
        (b"HEAD", 0, 200, [], True, Framing.NONE, []),
        (b"GET", 1, 304, [LENGTH], True, Framing.NONE, [LENGTH]),
        (b"GET", 1, 304, [], False, Framing.NONE, []),
        (b"GET", 1, 204, [LENGTH], True, Framing.NONE, []),
        (b"POST", 0, 204, [], False, Framing.NONE, []),
    ],
)
def test_response_framing(
    method: bytes, minor: int, status: int, headers: Headers, framing: Framing, sent: Headers, *, complete: bool
) -> None:
    """RFC 9112 section 6.3: HEAD, 204 and 304 have no body; 204 no length either; HTTP/1.0 knows no chunks."""
    assert response_framing(method, minor, status, headers, complete=complete) == (framing, sent)


@pytest.mark.parametrize(
    ("framing", "pieces", "expected"),
    [
        (Framing.NONE, [b"ab", b""], b""),
        (Framing.LENGTH, [b"ab", b"c", b""], b"abc"),
        (Framing.CLOSE, [b"ab", b"", b"c"], b"abc"),
        (Framing.CHUNKED, [b"ab", b"", b"c"], b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        (Framing.CHUNKED, [b"ab", b""], b"2\r\nab\r\n0\r\n\r\n"),
        (Framing.CHUNKED, [b""], b"0\r\n\r\n"),
        (Framing.CHUNKED, [b"x" * 26], b"1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n"),
    ],
)
def test_a_framed_body(framing: Framing, pieces: list[bytes], expected: bytes) -> None:
    """Pieces in order, the end with the last of them; an empty piece before it is not taken for the end."""
    last = len(pieces) - 1
    assert b"".join(framed(framing, piece, end=at == last) for at, piece in enumerate(pieces)) == expected
