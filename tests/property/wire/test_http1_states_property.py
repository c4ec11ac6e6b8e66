"""Two ends of an HTTP/1.1 connection agree on every message and on what comes after it, however the bytes are cut."""

import random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mcproxy.wire.http1 import (
    Bad,
    ClientSide,
    ClientState,
    Data,
    End,
    Headers,
    Informational,
    MisuseError,
    Request,
    RequestParser,
    Response,
    ResponseParser,
    ServerSide,
    ServerState,
    Switched,
    Trailers,
)
from tests.support.examples import examples
from tests.unit.wire.http1.drive import LIMITS, cut

SETTINGS = examples(150)
PIECES = st.lists(st.binary(max_size=20), max_size=4)
TRAILERS: st.SearchStrategy[Headers] = st.sampled_from([[], [(b"x-sum", b"1")]])


class Turn(msgspec.Struct):
    """A request and its response, as their senders mean them."""

    method: bytes
    asked: list[bytes]
    asked_length: bool
    asked_trailers: Headers
    interim: bool
    status: int
    told: list[bytes]
    told_length: bool
    told_trailers: Headers
    last: bool


TURNS = st.lists(
    st.builds(
        Turn,
        method=st.sampled_from([b"GET", b"HEAD", b"POST", b"DELETE"]),
        asked=PIECES,
        asked_length=st.booleans(),
        asked_trailers=TRAILERS,
        interim=st.booleans(),
        status=st.sampled_from([200, 204, 304, 404]),
        told=PIECES,
        told_length=st.booleans(),
        told_trailers=TRAILERS,
        last=st.sampled_from([False, False, True]),
    ),
    min_size=1,
    max_size=4,
)


def divided(data: bytes, chance: random.Random) -> list[bytes]:
    return cut(data, [chance.randrange(len(data) + 1) for _ in range(3)])


def length_of(pieces: list[bytes]) -> Headers:
    return [(b"content-length", b"%d" % sum(map(len, pieces)))]


def body(side: ClientSide | ServerSide, pieces: list[bytes], trailers: Headers) -> bytes:
    """Return a body as a side sends it."""
    out = [side.send(piece, end=False) for piece in pieces]
    out.append(side.trailers(trailers) if trailers else side.send(b"", end=True))
    return b"".join(out)


def content(events: list[Any]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Data))


def trailing(events: list[Any]) -> Headers:
    return next((event.headers for event in events if isinstance(event, Trailers)), [])


@SETTINGS
@given(TURNS, st.randoms(use_true_random=False))
def test_both_ends_agree(turns: list[Turn], chance: random.Random) -> None:
    """Bodies and trailers arrive as they were sent, and both ends know alike whether another request may follow."""
    client, server = ClientSide(), ServerSide()
    requests = RequestParser(LIMITS)
    for turn in turns:
        bodiless = not any(turn.asked) and not turn.asked_trailers
        fields = [(b"host", b"a"), *(length_of(turn.asked) if turn.asked_length else [])]
        sent = client.request(turn.method, b"/", fields, bodiless=bodiless, websocket=False)
        if not bodiless:
            sent += body(client, turn.asked, turn.asked_trailers)
        came: list[Any] = [event for piece in divided(sent, chance) for event in requests.feed(piece)]
        assert isinstance(came[0], Request)
        server.on_request(came[0], last=turn.last)
        if server.client is ClientState.BODY:
            server.on_end()
        assert isinstance(came[-1], End)
        assert content(came) == b"".join(turn.asked)
        assert trailing(came) == ([] if turn.asked_length else turn.asked_trailers)

        responses = ResponseParser(turn.method, LIMITS)
        sent = server.inform(103, []) if turn.interim else b""
        sent += server.respond(turn.status, length_of(turn.told) if turn.told_length else [], end=False)
        sent += body(server, turn.told, turn.told_trailers)
        told: list[Any] = [event for piece in divided(sent, chance) for event in responses.feed(piece)]
        told += responses.eof() if server.server is ServerState.CLOSED else []
        assert not any(isinstance(event, Bad) for event in told)
        for event in told:
            if isinstance(event, Response):
                client.on_response(event)
        if client.server is ServerState.BODY:
            client.on_end()
        assert any(isinstance(event, Informational) for event in told) == turn.interim
        without = turn.method == b"HEAD" or turn.status in (204, 304)
        assert content(told) == (b"" if without else b"".join(turn.told))
        assert trailing(told) == ([] if without or turn.told_length else turn.told_trailers)

        assert client.next() is (server.server is ServerState.DONE)
        if server.server is ServerState.CLOSED:
            break
        server.next()
        assert requests.resume() == []


@SETTINGS
@given(st.lists(st.binary(min_size=1, max_size=10), max_size=3), st.booleans(), st.randoms(use_true_random=False))
def test_both_ends_agree_on_an_upgrade(pieces: list[bytes], granted: bool, chance: random.Random) -> None:  # noqa: FBT001
    """What goes through a tunnel arrives; a declined one leaves an ordinary connection."""
    client, server = ClientSide(), ServerSide()
    key: Headers = [(b"host", b"a"), (b"sec-websocket-key", b"MDEyMzQ1Njc4OWFiY2RlZg==")]
    sent = client.request(b"GET", b"/", key, bodiless=False, websocket=True)
    requests = RequestParser(LIMITS)
    came: list[Any] = [event for piece in divided(sent, chance) for event in requests.feed(piece)]
    assert isinstance(came[0], Request)
    server.on_request(came[0], last=False)
    responses = ResponseParser(b"GET", LIMITS, websocket=True)
    if not granted:
        told: list[Any] = responses.feed(server.respond(404, [], end=True))
        assert isinstance(told[0], Response)
        client.on_response(told[0])
        assert client.next() is True
        server.next()
        return
    sent = server.switch([]) + b"".join(server.send(piece, end=False) for piece in pieces)
    told = [event for piece in divided(sent, chance) for event in responses.feed(piece)]
    assert isinstance(told[0], Switched)
    client.on_switch()
    assert b"".join(client.send(piece, end=False) for piece in pieces) == b"".join(pieces)
    client.send(b"", end=True)
    server.on_end()
    assert server.send(b"", end=True) == b""
    client.on_end()
    assert client.server is server.server is ServerState.CLOSED


CALLS = ["request", "post", "upgrade", "end", "refuse", "inform", "respond", "complete", "switch", "send", "last",
         "trailers", "next", "end_after", "close"]  # fmt: skip


@SETTINGS
@given(st.lists(st.sampled_from(CALLS), max_size=14))
def test_a_server_answers_each_request_once(calls: list[str]) -> None:
    """Whatever is called, in whatever order: each request gets one final head at most, and misuse changes nothing."""
    side = ServerSide()
    owed = 0  # final heads that may still be sent
    for call in calls:
        before = side.client, side.server
        out = b""
        try:
            match call:
                case "request" | "post" | "upgrade":
                    length = None if call == "post" else 0
                    head = Request(b"GET", b"/", 1, [], b"a", length, True, False, call == "upgrade")
                    side.on_request(head, last=False)
                    owed = 1
                case "end":
                    side.on_end()
                case "refuse":
                    if before[1] is ServerState.IDLE:
                        owed = 1
                    side.refuse()
                case "inform":
                    side.inform(103, [])
                case "respond" | "complete":
                    out = side.respond(200, [], end=call == "complete")
                case "switch":
                    out = side.switch([])
                case "send":
                    side.send(b"x", end=False)
                case "last":
                    side.send(b"", end=True)
                case "trailers":
                    side.trailers([])
                case "next":
                    side.next()
                case "end_after":
                    side.end_after()
                case _:
                    side.close()
        except MisuseError:
            assert (side.client, side.server) == before
        if out:
            owed -= 1
        assert owed >= 0
        assert (side.client is ClientState.TUNNEL) <= (side.server in (ServerState.TUNNEL, ServerState.CLOSED))
        assert (side.client is ClientState.IDLE) == (side.server is ServerState.IDLE)
