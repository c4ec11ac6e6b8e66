"""Conversations between two engines over a fake wire: every pairing behaves alike."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from mcproxy.wire.http2 import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    INTERNAL_ERROR,
    NO_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Data,
    Engine,
    Event,
    Fatal,
    GoAway,
    Headers,
    HeadersTooLarge,
    Informational,
    InvalidHeaders,
    Limits,
    MisuseError,
    PeerSettings,
    Refused,
    Request,
    Reset,
    Response,
    Trailers,
    Writable,
    engine_type,
)
from tests.support.rows import each_row
from tests.unit.wire.http2.h2lab import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENGINES,
    GET,
    GOAWAY,
    HEADERS,
    OK,
    PADDED,
    PING,
    POST,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Pair,
    RawClient,
    block,
    body_of,
    fed,
    frame,
    parse,
    plain,
    reply,
    request,
    resets,
    settings,
    uint32,
)

TIMING = [(b"server-timing", b"x;dur=1")]
PAIRINGS = [(client, server) for client in ENGINES for server in ENGINES]
HIGHEST = 2**31 - 1


@pytest.fixture(params=PAIRINGS, ids="-".join)
def names(request: pytest.FixtureRequest) -> tuple[str, str]:
    pairing: tuple[str, str] = request.param
    return pairing


@pytest.fixture
def pair(names: tuple[str, str]) -> Iterator[Pair]:
    pair = Pair(*names)
    yield pair
    assert not any(isinstance(event, Fatal) for event in pair.at_client + pair.at_server)


def exchange(pair: Pair, headers: Headers = GET) -> int:
    """Open a stream that the server has been told of."""
    stream = pair.client.open(headers)
    assert stream is not None
    pair.talk()
    return stream


# -- messages ---------------------------------------------------------------------------------------------------------


def test_handshake(names: tuple[str, str]) -> None:
    """The first event of a connection is the peer's settings."""
    pair = Pair(*names, server_limits=Limits(concurrent_streams=7), connect_protocol=True)
    assert pair.client.peer_connect_protocol
    assert not pair.server.peer_connect_protocol


def test_whole_conversation(pair: Pair) -> None:
    """Headers, interim responses, bodies and trailers arrive as they were sent, in order."""
    stream = pair.client.open(POST)
    assert stream == 1
    pair.client.send(1, b"ping")
    pair.talk()
    pair.client.trailers(1, [(b"x-sum", b"4")])
    pair.talk()
    pair.server.inform(1, [(b":status", b"103"), (b"link", b"</a>")])
    pair.server.respond(1, [*OK, (b"content-type", b"text/plain")])
    pair.server.send(1, b"pong")
    pair.server.trailers(1, [(b"grpc-status", b"0")])
    pair.talk()
    at_client, at_server = pair.take()
    assert at_server == [Request(1, POST, end=False), Data(1, b"ping", end=False), Trailers(1, [(b"x-sum", b"4")])]
    assert at_client == [
        Informational(1, [(b":status", b"103"), (b"link", b"</a>")]),
        Response(1, [*OK, (b"content-type", b"text/plain")], end=False),
        Data(1, b"pong", end=False),
        Trailers(1, [(b"grpc-status", b"0")]),
    ]
    assert pair.client.streams == pair.server.streams == 0
    assert not pair.client.closed


def test_headers_alone(pair: Pair) -> None:
    """A request and a response without bodies end with their headers."""
    stream = pair.client.open(GET, end=True)
    pair.talk()
    pair.server.respond(1, [(b":status", b"204")], end=True)
    pair.talk()
    assert pair.take() == ([Response(1, [(b":status", b"204")], end=True)], [Request(1, GET, end=True)])
    assert stream == 1
    assert pair.client.streams == pair.server.streams == 0


def test_end_without_data(pair: Pair) -> None:
    """An end told after the last bytes arrives as an empty Data event; empty trailers are such an end."""
    exchange(pair, POST)
    pair.client.send(1, b"x")
    pair.talk()
    pair.client.send(1, b"", end=True)
    pair.server.respond(1, OK)
    pair.server.trailers(1, [])
    pair.talk()
    at_client, at_server = pair.take()
    assert at_server[1:] == [Data(1, b"x", end=False), Data(1, b"", end=True)]
    assert at_client == [Response(1, OK, end=False), Data(1, b"", end=True)]


def test_head_keeps_its_content_length(pair: Pair) -> None:
    """A response to HEAD, and a 304, may name the length of the body they do not have."""
    exchange(pair, [(b":method", b"HEAD"), *GET[1:]])
    pair.server.respond(1, [*OK, (b"content-length", b"5")], end=True)
    exchange(pair)
    pair.server.respond(3, [(b":status", b"304"), (b"content-length", b"5")], end=True)
    pair.talk()
    assert [type(event) for event in pair.take()[0]] == [Response, Response]


def test_large_headers_both_ways(pair: Pair) -> None:
    """Header lists longer than a frame go through in CONTINUATION frames."""
    large = [(b"x-large", b"~" * 20_000)]
    exchange(pair, GET + large)
    pair.server.respond(1, OK + large, end=True)
    pair.talk()
    assert pair.take() == ([Response(1, OK + large, end=True)], [Request(1, GET + large, end=False)])


def test_cookie_crumbs_stay_apart(pair: Pair) -> None:
    """Fields arrive as they were sent, repeated ones too."""
    headers = [*GET, (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"te", b"trailers")]
    exchange(pair, headers)
    assert pair.take()[1] == [Request(1, headers, end=False)]


@pytest.mark.parametrize("engine", ENGINES)
def test_never_indexed_fields_stay_so(engine: str) -> None:
    """RFC 7541 7.1.3: a field marked as never indexed keeps the mark when the pair is passed on unchanged."""
    hops: list[Headers] = []
    data = frame(HEADERS, END_HEADERS | END_STREAM, 1, block([*GET, (b"x-a", b"1")]) + b"\x10\x08x-secret\x011")
    for _ in range(2):
        client = RawClient(engine)
        client.send(data)
        [event] = client.events
        assert isinstance(event, Request)
        hops.append(event.headers)
        onward = engine_type(engine)(client=True, limits=Limits())  # type: ignore[arg-type]
        onward.output()
        onward.open(event.headers, end=True)
        data = onward.output()
    assert hops[0] == hops[1] == [*GET, (b"x-a", b"1"), (b"x-secret", b"1")]
    for headers in hops:
        assert type(headers[-1]) is not type(headers[-2])


# -- flow control -----------------------------------------------------------------------------------------------------


def test_back_pressure(pair: Pair) -> None:
    """A body stops at the stream's window, ``queued`` tells what waits, Writable that nothing does any more."""
    exchange(pair)
    pair.server.respond(1, OK)
    pair.server.send(1, bytes(100_000))
    assert pair.server.queued(1) == 100_000 - 65_536
    pair.talk()
    at_client, at_server = pair.take()
    assert len(body_of(at_client, 1)) == 65_536
    assert [event for event in at_server if isinstance(event, Writable)] == []
    pair.client.consumed(1, 65_536)
    pair.talk()
    at_client, at_server = pair.take()
    assert len(body_of(at_client, 1)) == 100_000 - 65_536
    assert at_server == [Writable(1)]
    assert pair.server.queued(1) == 0


def test_nothing_queued_no_writable(pair: Pair) -> None:
    """A body the windows take at once is never announced as writable."""
    exchange(pair)
    pair.server.respond(1, OK)
    for _ in range(10):
        pair.server.send(1, bytes(30_000))
        assert pair.server.queued(1) == 0
        pair.talk()
        pair.client.consumed(1, 30_000)
        pair.talk()
    assert [event for event in pair.take()[1] if isinstance(event, Writable)] == []


@pytest.mark.parametrize("names", [(client, server) for client in ENGINES for server in ENGINES])
@pytest.mark.parametrize(("prompt", "most"), [(True, 1 << 20), (False, 1 << 16)])
def test_the_window_of_a_stream_grows_while_all_of_it_is_taken_as_it_comes(
    names: tuple[str, str], *, prompt: bool, most: int
) -> None:
    """From 64 KiB to 1 MiB; never where it was not, and what comes of a stream at once is never more than its window."""
    pair = Pair(*names, server_limits=Limits(grown_window=1 << 20, connection_window=4 << 20))
    stream = pair.client.open(POST)
    assert stream is not None
    pair.talk()
    pair.take()
    pair.client.send(stream, bytes(8 << 20))
    got = []
    while True:
        pair.talk()
        came = len(body_of(pair.take()[1], stream))
        if not came:
            break
        got.append(came)
        pair.server.consumed(stream, came, prompt=prompt)
    assert sum(got) == 8 << 20
    assert max(got) <= most
    assert max(got) >= most * 3 // 4  # credit that the engine has not told yet is not in it


@pytest.mark.parametrize("names", [(client, server) for client in ENGINES for server in ENGINES])
def test_the_window_of_a_stream_grows_no_more_once_its_bytes_had_to_wait(names: tuple[str, str]) -> None:
    """Though they are taken promptly again."""
    pair = Pair(*names, server_limits=Limits(grown_window=1 << 20, connection_window=4 << 20))
    stream = pair.client.open(POST)
    assert stream is not None
    pair.talk()
    pair.take()
    pair.client.send(stream, bytes(4 << 20))
    got = []
    while True:
        pair.talk()
        came = len(body_of(pair.take()[1], stream))
        if not came:
            break
        got.append(came)
        pair.server.consumed(stream, came, prompt=len(got) != 2)
    assert sum(got) == 4 << 20
    assert max(got) <= 1 << 17


@pytest.mark.parametrize("names", [(client, server) for client in ENGINES for server in ENGINES])
def test_what_waits_of_all_streams_is_bounded_by_the_connection(names: tuple[str, str]) -> None:
    """However far their windows have grown: its credit comes back only for what was taken."""
    pair = Pair(*names, server_limits=Limits(grown_window=1 << 20, connection_window=1 << 20))
    streams = [pair.client.open(POST) for _ in range(8)]
    waiting = 0
    for stream in streams:
        assert stream is not None
        pair.client.send(stream, bytes(1 << 20))
    for _ in range(40):
        pair.talk()
        events = pair.take()[1]
        waiting += sum(len(body_of(events, stream or 0)) for stream in streams)
        assert waiting <= 1 << 20
        first = len(body_of(events, streams[0] or 0))
        if first:  # the others are never taken
            pair.server.consumed(streams[0] or 0, first, prompt=True)
            waiting -= first
    assert waiting >= 7 << 16


def test_credit_goes_back_with_use(pair: Pair) -> None:
    """Megabytes pass through a window of 64 KiB when they are consumed; upload and download alike."""
    stream = exchange(pair, POST)
    pair.server.respond(stream, OK)
    total = {id(pair.client): 0, id(pair.server): 0}
    for _ in range(40):
        for sender in (pair.client, pair.server):
            if not sender.queued(stream):
                sender.send(stream, bytes(50_000))
        pair.talk()
        at_client, at_server = pair.take()
        for receiver, events in ((pair.client, at_client), (pair.server, at_server)):
            got = len(body_of(events, stream))
            receiver.consumed(stream, got)
            total[id(receiver)] += got
    pair.talk()
    assert min(total.values()) > 1_000_000


def test_connection_window_is_shared(names: tuple[str, str]) -> None:
    """All streams together stop at the connection's window, and go on when any of them is consumed."""
    pair = Pair(*names, client_limits=Limits(stream_window=65_536, connection_window=100_000))
    for stream in (1, 3):
        assert exchange(pair) == stream
        pair.server.respond(stream, OK)
        pair.server.send(stream, bytes(60_000))
    pair.talk()
    at_client, _ = pair.take()
    assert len(body_of(at_client, 1)) + len(body_of(at_client, 3)) == 100_000
    pair.client.consumed(1, 60_000)
    pair.talk()
    at_client, at_server = pair.take()
    assert len(body_of(at_client, 3)) == 20_000
    assert at_server == [Writable(3)]


@pytest.mark.parametrize("end", ["consumer resets", "sender resets", "both ended"])
def test_credit_of_a_gone_stream_returns(names: tuple[str, str], end: str) -> None:
    """Bytes nobody consumed of a stream that is gone do not shrink the connection's window."""
    pair = Pair(*names, client_limits=Limits(connection_window=100_000, stream_resets_per_second=1000))
    for _ in range(10):
        stream = pair.client.open(GET, end=True)
        assert stream is not None
        pair.talk()
        pair.server.respond(stream, OK)
        pair.server.send(stream, bytes(60_000), end=end == "both ended")
        pair.talk()
        assert len(body_of(pair.take()[0], stream)) == 60_000
        if end == "consumer resets":
            pair.client.reset(stream)
        elif end == "sender resets":
            pair.server.reset(stream)
        pair.talk()
        pair.client.consumed(stream, 60_000)
    assert pair.client.streams == pair.server.streams == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_data_after_our_reset_costs_no_credit(engine: str) -> None:
    """DATA that was on its way when we reset its stream is thrown away, its credit returned, and no error."""
    client = RawClient(engine, stream_window=65_535, connection_window=65_535)
    for stream in range(1, 21, 2):
        client.send(request(stream, POST, end=False))
        client.engine.reset(stream)
        client.send(frame(DATA, 0, stream, bytes(16_384)) + frame(DATA, END_STREAM, stream, bytes(10_000)))
    assert client.fatal() is None
    returned = sum(int.from_bytes(each.payload, "big") for each in client.found(WINDOW_UPDATE, 0))
    assert returned > 10 * 26_384 - 65_535


@pytest.mark.parametrize("engine", ENGINES)
def test_padding_costs_no_credit(engine: str) -> None:
    """Padding is counted by flow control and given back by the engine, only the data by its owner."""
    client = RawClient(engine, answer=reply, stream_window=65_535, connection_window=65_535, empty_frames=1000)
    client.send(request(1, POST, end=False))
    for _ in range(600):
        client.send(frame(DATA, PADDED, 1, b"\xff" + b"data" + bytes(255)))
    assert client.fatal() is None
    assert body_of(client.events, 1) == b"data" * 600


def test_a_response_begins_with_the_first_window_until_it_is_widened(names: tuple[str, str]) -> None:
    """A client's end takes a first part of each response, and a whole window of those whose receiver takes it."""
    limits = Limits(stream_window=65_536, first_window=8_192, connection_window=HIGHEST)
    pair = Pair(*names, client_limits=limits)
    for stream in (1, 3):
        assert exchange(pair) == stream
        pair.server.respond(stream, OK)
        pair.server.send(stream, bytes(100_000), end=True)
    pair.talk()
    assert [len(body_of(pair.at_client, stream)) for stream in (1, 3)] == [8_192, 8_192]
    pair.client.widen(3)
    pair.client.widen(3)
    pair.client.widen(99)  # never opened
    pair.talk()
    assert [len(body_of(pair.at_client, stream)) for stream in (1, 3)] == [8_192, 65_536]
    pair.client.consumed(3, 65_536)
    pair.talk()
    assert len(body_of(pair.at_client, 3)) == 100_000


def test_a_stream_that_nobody_reads_takes_no_credit_from_the_others(names: tuple[str, str]) -> None:
    """Streams full of unread bytes, more than a connection's usual window, leave the next one its whole share."""
    limits = Limits(stream_window=65_536, first_window=8_192, connection_window=HIGHEST)
    pair = Pair(*names, client_limits=limits)
    for stream in range(1, 101, 2):
        assert exchange(pair) == stream
        pair.server.respond(stream, OK)
        pair.client.widen(stream)
        pair.talk()
        pair.server.send(stream, bytes(200_000), end=True)
        pair.talk()
        pair.client.widen(stream)
    pair.talk()
    assert sum(len(body_of(pair.at_client, stream)) for stream in range(1, 101, 2)) == 50 * 65_536


@pytest.mark.parametrize("engine", ENGINES)
def test_small_frames_come_in_turns(engine: str) -> None:
    """A chunk of thousands of small frames is told in bounded parts; the rest waits for the next feed."""
    client = RawClient(engine)
    client.send(request(1, POST, end=False))
    events = client.engine.feed(frame(DATA, 0, 1, b"x") * 1000, 0.0)
    assert 10 <= len(events) < 200
    assert [*events, *fed(client.engine, b"", 0.0)] == [Data(1, b"x", end=False)] * 1000


def test_misuse_of_credit_raises(pair: Pair) -> None:
    """Consuming more than was told is our own mistake."""
    exchange(pair)
    pair.server.respond(1, OK)
    pair.server.send(1, b"12345")
    pair.talk()
    pair.client.consumed(1, 3)
    with pytest.raises(MisuseError):
        pair.client.consumed(1, 3)
    pair.client.consumed(1, 2)


# -- resets -----------------------------------------------------------------------------------------------------------


def test_reset_by_the_client(pair: Pair) -> None:
    """A cancelled request is told to the server with its code, and is gone on both sides."""
    exchange(pair)
    pair.client.reset(1)
    pair.talk()
    assert resets(pair.take()[1]) == [(1, CANCEL, True)]
    assert pair.client.streams == pair.server.streams == 0


def test_reset_by_the_server_in_mid_body(pair: Pair) -> None:
    """A reset after a part of a body keeps what was framed and drops what was queued."""
    exchange(pair)
    pair.server.respond(1, OK)
    pair.server.send(1, bytes(100_000))
    pair.server.reset(1, INTERNAL_ERROR)
    pair.talk()
    at_client, _ = pair.take()
    assert len(body_of(at_client, 1)) == 65_536
    assert at_client[-1] == Reset(1, INTERNAL_ERROR, remote=True)


def test_response_and_reset_in_one_turn(pair: Pair) -> None:
    """A complete response survives the reset that stops the upload behind it."""
    exchange(pair, POST)
    pair.server.respond(1, [(b":status", b"413")])
    pair.server.send(1, b"too large", end=True)
    pair.server.reset(1, NO_ERROR)
    pair.talk()
    at_client, _ = pair.take()
    assert at_client == [
        Response(1, [(b":status", b"413")], end=False),
        Data(1, b"too large", end=True),
        Reset(1, NO_ERROR, remote=True),
    ]
    pair.client.send(1, b"late")
    pair.talk()
    assert pair.take() == ([], [])


def test_reset_of_a_finished_stream_says_nothing(pair: Pair) -> None:
    """Where both sides are done, a reset in the same turn sends nothing."""
    exchange_end = pair.client.open(GET, end=True)
    assert exchange_end == 1
    pair.talk()
    pair.server.respond(1, OK, end=True)
    pair.server.reset(1)
    assert [each.kind for each in parse(pair.server.output())] == [HEADERS]
    assert pair.server.streams == 0


def test_calls_on_a_gone_stream_do_nothing(pair: Pair) -> None:
    """Whatever is called on a stream that is gone, or never was, has no effect and raises nothing."""
    exchange(pair)
    pair.client.reset(1)
    pair.talk()
    pair.take()
    for engine in (pair.client, pair.server):
        for stream in (1, 77):
            engine.respond(stream, OK)
            engine.inform(stream, [(b":status", b"103")])
            engine.send(stream, b"x", end=True)
            engine.trailers(stream, TIMING)
            engine.consumed(stream, 10)
            engine.reset(stream)
            assert engine.queued(stream) == 0
    assert pair.client.output() == pair.server.output() == b""


def test_crossing_resets(pair: Pair) -> None:
    """Both sides reset at once: neither is told of an error, and the connection goes on."""
    exchange(pair)
    pair.client.reset(1)
    pair.server.reset(1)
    pair.talk()
    assert [resets(events) for events in pair.take()] == [[], []]
    exchange(pair)
    assert pair.take()[1] == [Request(3, GET, end=False, path=b"/")]


# -- misuse -----------------------------------------------------------------------------------------------------------


def test_order_of_calls(pair: Pair) -> None:
    """What the protocol's order forbids raises, and the connection is as it was."""
    exchange(pair)
    server, client = pair.server, pair.client
    with pytest.raises(MisuseError):
        server.open(GET)
    with pytest.raises(MisuseError):
        server.send(1, b"x")
    with pytest.raises(MisuseError):
        server.trailers(1, TIMING)
    with pytest.raises(MisuseError):
        client.respond(1, OK)
    server.respond(1, OK)
    with pytest.raises(MisuseError):
        server.respond(1, OK)
    with pytest.raises(MisuseError):
        server.inform(1, [(b":status", b"103")])
    server.send(1, b"x", end=True)
    with pytest.raises(MisuseError):
        server.send(1, b"x")
    with pytest.raises(MisuseError):
        server.trailers(1, TIMING)
    pair.talk()
    assert pair.take()[0] == [Response(1, OK, end=False), Data(1, b"x", end=True)]


def test_malformed_headers_never_leave(pair: Pair) -> None:
    """A malformed outbound list raises and puts nothing on the wire; the stream can still be used."""
    exchange(pair)
    with pytest.raises(InvalidHeaders):
        pair.client.open([*GET, (b"Bad Name", b"1")])
    with pytest.raises(InvalidHeaders):
        pair.server.respond(1, [*OK, (b"x-a", b"1\r\nx-b: 2")])
    with pytest.raises(InvalidHeaders):
        pair.server.inform(1, OK)
    assert pair.client.output() == pair.server.output() == b""
    pair.server.respond(1, OK)
    with pytest.raises(InvalidHeaders):
        pair.server.trailers(1, [(b":status", b"200")])
    pair.server.trailers(1, TIMING)
    pair.talk()
    assert pair.take()[0] == [Response(1, OK, end=False), Trailers(1, TIMING)]


def test_headers_that_ngh2_drops() -> None:
    """A response whose headers are too large for libnghttp2 fails alone, and calls after it raise nothing."""
    pair = Pair("ngh2", "ngh2")
    exchange(pair)
    pair.server.respond(1, [*OK, *((b"x-%d" % number, b"~" * 60_000) for number in range(40))])
    pair.server.output()
    pair.server.send(1, b"x")
    pair.server.trailers(1, TIMING)
    pair.server.reset(1)
    pair.server.output()
    assert pair.server.streams == 0
    assert not pair.server.closed


# -- stream limits and GOAWAY -----------------------------------------------------------------------------------------


def test_stream_limit(names: tuple[str, str]) -> None:
    """``open`` gives None at the peer's limit, never queues, and works again when a stream has ended."""
    pair = Pair(*names, server_limits=Limits(concurrent_streams=2))
    assert [pair.client.open(GET, end=True) for _ in range(3)] == [1, 3, None]
    pair.talk()
    assert [event.stream for event in pair.take()[1] if isinstance(event, Request)] == [1, 3]
    pair.server.respond(1, OK, end=True)
    pair.talk()
    assert pair.client.open(GET, end=True) == 5
    pair.talk()
    assert pair.take()[1] == [Request(5, GET, end=True, path=b"/")]


def test_stream_limit_changes(pair: Pair) -> None:
    """The server's new limit reaches the client, up and down."""
    assert pair.client.feed(settings((3, 1)), 0) == [PeerSettings(1, connect_protocol=False)]
    assert [pair.client.open(GET) for _ in range(2)] == [1, None]
    assert pair.client.feed(settings((3, 3)), 0) == [PeerSettings(3, connect_protocol=False)]
    assert [pair.client.open(GET) for _ in range(3)] == [3, 5, None]
    assert [each.stream for each in parse(pair.client.output()) if each.kind == HEADERS] == [1, 3, 5]


def test_before_settings(names: tuple[str, str]) -> None:
    """Requests may go out with the preface, before the peer's settings came."""
    client = engine_type(names[0])(client=True, limits=Limits())  # type: ignore[arg-type]
    server = RawClient(names[1], answer=reply, handshake=False)
    assert client.open(GET, end=True) == 1
    server.send(client.output())
    assert [type(event) for event in server.events] == [PeerSettings, Request]
    assert server.found(HEADERS, 1)


def test_graceful_shutdown(pair: Pair) -> None:
    """Notice, GOAWAY, the open streams finish, then the connection is over on both sides."""
    exchange(pair)
    pair.server.shutdown_notice()
    pair.talk()
    assert pair.take()[0] == [GoAway(HIGHEST, NO_ERROR, b"")]
    assert pair.client.open(GET) is None
    pair.server.goaway()
    pair.talk()
    assert pair.take()[0] == [GoAway(1, NO_ERROR, b"")]
    assert (pair.server.closed, pair.client.closed) == (False, False)
    pair.server.respond(1, OK)
    pair.server.send(1, b"last words", end=True)
    pair.client.send(1, b"", end=True)
    pair.talk()
    assert body_of(pair.take()[0], 1) == b"last words"
    assert pair.server.closed
    assert pair.client.closed


def test_request_that_crosses_a_goaway(pair: Pair) -> None:
    """A request the server's GOAWAY left out was certainly not processed: the client may send it elsewhere."""
    exchange(pair)
    pair.server.goaway()
    assert pair.client.open(GET, end=True) == 3
    pair.to_server()
    pair.talk()
    at_client, at_server = pair.take()
    assert [event.stream for event in at_server if isinstance(event, Request)] == [1]
    assert at_client[0] == GoAway(1, NO_ERROR, b"")
    assert resets(at_client) == [(3, REFUSED_STREAM, True)]
    assert pair.client.streams == 1
    pair.server.respond(1, OK, end=True)
    pair.talk()
    assert pair.take()[0] == [Response(1, OK, end=True)]


def test_request_between_notice_and_goaway(pair: Pair) -> None:
    """A request that was on its way when the notice came is served."""
    pair.server.shutdown_notice()
    assert pair.client.open(GET, end=True) == 1
    pair.to_server()
    assert [type(event) for event in pair.at_server] == [Request]
    pair.server.goaway()
    pair.server.respond(1, OK, end=True)
    pair.talk()
    assert [type(event) for event in pair.take()[0]] == [GoAway, GoAway, Response]
    assert pair.client.closed
    assert pair.server.closed


def test_client_goaway(pair: Pair) -> None:
    """A client's GOAWAY ends nothing that is open."""
    exchange(pair)
    pair.client.goaway()
    assert pair.client.open(GET) is None
    pair.server.respond(1, OK)
    pair.talk()
    assert pair.take() == ([Response(1, OK, end=False)], [Request(1, GET, end=False), GoAway(0, NO_ERROR, b"")])
    pair.server.send(1, b"x", end=True)
    pair.client.send(1, b"", end=True)
    pair.talk()
    assert pair.client.closed
    assert pair.server.closed


@pytest.mark.parametrize("engine", ENGINES)
def test_goaway_with_open_streams_and_debug_data(engine: str) -> None:
    """A GOAWAY's code and debug data are told; streams up to its last one go on."""
    client = engine_type(engine)(client=True, limits=Limits())  # type: ignore[arg-type]
    assert [client.open(GET, end=True) for _ in range(3)] == [1, 3, 5]
    client.output()
    events = client.feed(settings() + frame(GOAWAY, 0, 0, uint32(1) + uint32(0xB) + b"calm"), 0)
    assert events[1:] == [
        GoAway(1, ENHANCE_YOUR_CALM, b"calm"),
        Reset(3, REFUSED_STREAM, remote=True),
        Reset(5, REFUSED_STREAM, remote=True),
    ]
    assert client.feed(frame(HEADERS, 4, 1, b"\x88") + frame(DATA, 1, 1, b"x"), 0) == [
        Response(1, OK, end=False),
        Data(1, b"x", end=True),
    ]
    assert client.closed


def test_abort(pair: Pair) -> None:
    """``abort`` says GOAWAY, keeps what was framed before, and ends the connection."""
    exchange(pair)
    pair.server.respond(1, OK)
    pair.server.send(1, b"x")
    pair.server.abort(INTERNAL_ERROR)
    assert pair.server.closed
    assert [each.kind for each in parse(pair.server.output())] == [HEADERS, DATA, GOAWAY]
    assert pair.server.feed(b"anything", 0) == []
    pair.server.goaway()
    pair.server.shutdown_notice()
    pair.server.abort()
    pair.server.send(1, b"x")
    assert pair.server.output() == b""


# -- extended CONNECT --------------------------------------------------------------------------------------------------

WEBSOCKET = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]]


def test_extended_connect(names: tuple[str, str]) -> None:
    """A tunnel opened by extended CONNECT carries bytes both ways at once."""
    pair = Pair(*names, connect_protocol=True)
    exchange(pair, WEBSOCKET)
    pair.server.respond(1, OK)
    pair.server.send(1, b"from server")
    pair.client.send(1, b"from client")
    pair.talk()
    at_client, at_server = pair.take()
    assert at_server == [Request(1, WEBSOCKET, end=False), Data(1, b"from client", end=False)]
    assert at_client == [Response(1, OK, end=False), Data(1, b"from server", end=False)]


def test_extended_connect_needs_the_announcement(pair: Pair) -> None:
    """A client does not ask for what the server has not announced."""
    with pytest.raises(InvalidHeaders, match="announced"):
        pair.client.open(WEBSOCKET)
    with pytest.raises(InvalidHeaders, match="announced"):
        pair.client.open(WEBSOCKET[::-1])
    assert pair.client.open([(b":method", b"CONNECT"), (b":authority", b"a.example:443")]) == 1


# -- limits -----------------------------------------------------------------------------------------------------------


def many(count: int) -> Headers:
    return [(b"x-%d" % number, b"1") for number in range(count)]


@pytest.mark.parametrize(
    ("headers", "limit"), [(GET + many(101), "header_count"), ([*GET, (b"x-a", b"a" * 33_000)], "header_bytes")]
)
def test_request_headers_too_large(names: tuple[str, str], headers: Headers, limit: str) -> None:
    """Too large a request can be answered with 431; its body is thrown away and the connection goes on."""
    pair = Pair(*names)
    exchange(pair, headers)
    pair.client.send(1, bytes(60_000))
    pair.talk()
    assert pair.take()[1] == [HeadersTooLarge(1, limit, headers)]
    pair.server.respond(1, [(b":status", b"431")], end=True)
    pair.server.reset(1, NO_ERROR)
    pair.talk()
    assert pair.take()[0] == [Response(1, [(b":status", b"431")], end=True), Reset(1, NO_ERROR, remote=True)]
    exchange(pair)
    assert pair.take()[1] == [Request(3, GET, end=False)]


def test_response_headers_and_trailers_too_large(pair: Pair) -> None:
    """Too large a response is told as such; too large trailers reset the stream with the limit's name."""
    exchange(pair)
    pair.server.respond(1, OK + many(101))
    pair.server.send(1, b"unwanted", end=True)
    pair.talk()
    assert pair.take()[0] == [HeadersTooLarge(1, "header_count", OK + many(101))]
    pair.client.reset(1)
    exchange(pair)
    pair.server.respond(3, OK)
    pair.server.trailers(3, many(101))
    pair.talk()
    assert pair.take()[0] == [
        Response(3, OK, end=False),
        Reset(3, ENHANCE_YOUR_CALM, remote=False, limit="header_count"),
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_header_bomb(engine: str) -> None:
    """A small block that decodes to megabytes ends the connection, with the limit's name."""
    client = RawClient(engine)
    field = b"\x40\x01a" + b"\x7f\xa1\x1e" + b"b" * 4_000  # 4,000 bytes into the dynamic table, then by reference
    client.send(frame(HEADERS, END_HEADERS, 1, block(GET) + field + b"\xbe" * 1_000))
    fatal = client.fatal()
    assert fatal is not None
    assert (fatal.code, fatal.limit) == (ENHANCE_YOUR_CALM, "header_bytes")
    [goaway] = client.found(GOAWAY)
    assert (goaway.code, len(goaway.payload)) == (ENHANCE_YOUR_CALM, 8)


def pings(number: int) -> bytes:
    return frame(PING, 0, 0, bytes(8))


def rapid_reset(number: int) -> bytes:
    stream = 2 * number + 1
    return request(stream) + frame(RST_STREAM, 0, stream, uint32(CANCEL))


FLOODS = [
    ("pings_per_second", 100, pings),
    ("settings_per_second", 49, lambda number: settings()),  # the handshake's own second is over
    ("resets_before_response", 50, rapid_reset),
    ("empty_frames", 100, lambda number: (b"" if number else request(1, POST, end=False)) + frame(DATA, 0, 1)),
    (
        "empty_frames",
        100,
        lambda number: (b"" if number else request(1, POST, end=False)) + frame(DATA, PADDED, 1, b"\x03\0\0\0"),
    ),
    (
        "continuation_frames",
        20,
        lambda number: (
            (b"" if number else frame(HEADERS, 0, 1, block(GET))) + frame(CONTINUATION, 0, 1, block(many(1)))
        ),
    ),
]


@each_row("engine", ENGINES)
@each_row(("limit", "allowed", "make"), FLOODS)
def test_floods(engine: str, limit: str, allowed: int, make: object) -> None:
    """A flood is taken up to its limit, then answered with one GOAWAY ENHANCE_YOUR_CALM and named."""
    assert callable(make)
    client = RawClient(engine)
    client.now = 10.0
    for number in range(allowed):
        client.send(make(number))
        assert client.fatal() is None
    client.send(make(allowed) + make(allowed + 1))
    fatal = client.fatal()
    assert fatal is not None
    assert (fatal.code, fatal.limit) == (ENHANCE_YOUR_CALM, limit)
    [goaway] = client.found(GOAWAY)
    assert goaway.code == ENHANCE_YOUR_CALM
    assert client.engine.closed


@pytest.mark.parametrize("engine", ENGINES)
def test_rates_are_by_the_second(engine: str) -> None:
    """What comes slowly enough is no flood, however long it goes on."""
    client = RawClient(engine)
    for number in range(1_000):
        client.now = number * 0.02
        client.send(pings(number) + (settings() if number % 2 else b""))
    assert client.fatal() is None
    assert len(client.found(PING)) == 1_000


@pytest.mark.parametrize("engine", ENGINES)
def test_resets_of_answered_requests(engine: str) -> None:
    """Resets after a response began count by the second alone; each answered request forgives an early reset."""
    client = RawClient(
        engine, answer=lambda engine, event: engine.respond(event.stream, OK) if isinstance(event, Request) else None
    )
    for number in range(300):
        client.now = number * 0.02
        client.send(request(2 * number + 1))
        client.send(frame(RST_STREAM, 0, 2 * number + 1, uint32(CANCEL)))
    assert client.fatal() is None
    client.now += 1
    for number in range(300, 402):
        client.send(request(2 * number + 1))
        client.send(frame(RST_STREAM, 0, 2 * number + 1, uint32(CANCEL)))
    fatal = client.fatal()
    assert fatal is not None
    assert fatal.limit == "stream_resets_per_second"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("acknowledged", [True, False])
def test_refused_streams_are_bounded(engine: str, *, acknowledged: bool) -> None:
    """A client that goes on opening streams above the limit is cut off, or refused without filling memory."""
    client = RawClient(engine, handshake=False, concurrent_streams=5)
    client.send(PREFACE + settings() + (frame(SETTINGS, ACK, 0) if acknowledged else b""))
    for stream in range(1, 4_000, 2):
        client.send(request(stream, POST, end=False))
    gate = client.engine._gate
    assert client.fatal() is not None or len(gate.streams.open) + len(gate.streams.tolerated) < 100
    assert len([event for event in client.events if isinstance(event, Request)]) == 5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("size", [1, 100, 1 << 16])
def test_refused_streams_are_told(engine: str, size: int, *, end: bool) -> None:
    """Each stream above the limit once, before the client has acknowledged it, however the bytes come; later ones are served."""
    client = RawClient(engine, handshake=False, concurrent_streams=2)
    data = PREFACE + settings() + b"".join(request(stream, POST, end=end) for stream in (1, 3, 5, 7))
    data += b"" if end else frame(DATA, 0, 5, b"x")
    for start in range(0, len(data), size):
        client.send(data[start : start + size])
    refused = [Refused(stream, "concurrent_streams") for stream in (5, 7)]
    assert [event for event in client.events if isinstance(event, Refused)] == refused
    assert [each.stream for each in client.found(RST_STREAM) if each.code == REFUSED_STREAM] == [5, 7]
    assert [event.stream for event in client.events if isinstance(event, Request)] == [1, 3]
    client.engine.respond(1, OK, end=True)
    client.send(frame(RST_STREAM, 0, 3, bytes(4)))
    client.send(request(9))
    assert client.events[-1] == Request(9, GET, end=True)
    assert client.fatal() is None


@pytest.mark.parametrize("engine", ENGINES)
def test_streams_above_an_acknowledged_limit_are_told(engine: str) -> None:
    """By refusing the stream, or by ending the connection: under the name of the limit."""
    client = RawClient(engine, concurrent_streams=2)
    client.send(b"".join(request(stream, POST, end=False) for stream in (1, 3, 5)))
    assert [each.limit for each in client.events if isinstance(each, Refused | Fatal)] == ["concurrent_streams"]


@pytest.mark.parametrize("engine", ENGINES)
def test_streams_after_our_goaway_are_not_told(engine: str) -> None:
    """They are refused for our sake, and none was too much."""
    client = RawClient(engine, handshake=False, concurrent_streams=2)
    client.send(PREFACE + settings() + request(1, POST, end=False))
    client.engine.goaway()
    client.send(b"".join(request(stream, POST, end=False) for stream in (3, 5, 7)))
    assert [type(event) for event in client.events if not isinstance(event, PeerSettings)] == [Request]


# -- what came before a violation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_events_before_a_violation_are_told(engine: str) -> None:
    """In one chunk, requests before a bad frame are told, the Fatal comes last, GOAWAY names the last of them."""
    client = RawClient(engine)
    events = client.send(request(1) + request(3) + frame(SETTINGS, 0, 1) + request(5))
    assert [type(event) for event in events] == [Request, Request, Fatal]
    [goaway] = client.found(GOAWAY)
    assert (goaway.last, goaway.code) == (3, PROTOCOL_ERROR)


@pytest.mark.parametrize("engine", ENGINES)
def test_replies_before_a_violation_are_written(engine: str) -> None:
    """What was answered before a violation is written before the GOAWAY."""
    client = RawClient(engine, answer=reply)
    client.engine.feed(request(1), 0)
    client.engine.respond(1, OK, end=True)
    client.send(frame(PING, 0, 1, bytes(8)))
    assert [each.kind for each in client.frames] == [HEADERS, GOAWAY]


@pytest.mark.parametrize("engine", ENGINES)
def test_malformed_message_told_once(engine: str) -> None:
    """A malformed request is reset and told as refused; malformed trailers reset a stream that was told."""
    client = RawClient(engine)
    client.send(request(1, [*GET, (b"host", b"other.example")]))
    client.send(request(3, POST, end=False))
    client.send(request(3, [(b"connection", b"close")]))
    assert [type(event) for event in client.events] == [Refused, Request, Reset]
    assert client.events[0] == Refused(1)
    assert client.events[-1] == Reset(3, PROTOCOL_ERROR, remote=False)
    assert [(each.stream, each.code) for each in client.found(RST_STREAM)] == [(1, PROTOCOL_ERROR), (3, PROTOCOL_ERROR)]
    assert client.engine.streams == 0


@each_row("engine", ENGINES)
@each_row(
    "bad",
    [
        [(b":status", b"101")],
        [(b":status", b"20")],
        [(b"x-a", b"1")],
        [*OK, *OK],
        [*OK, (b"connection", b"close")],
        [*OK, (b"x-a", b"1\n")],
        [*OK, (b":path", b"/")],
    ],
)
def test_malformed_responses(engine: str, bad: Headers) -> None:
    """A backend's malformed response resets its stream alone and is never told as a response."""
    client = engine_type(engine)(client=True, limits=Limits())  # type: ignore[arg-type]
    client.open(GET, end=True)
    client.open(GET, end=True)
    client.feed(settings(), 0)
    events = client.feed(frame(HEADERS, END_HEADERS, 1, block(bad)), 0)
    assert events == [Reset(1, PROTOCOL_ERROR, remote=False)]
    assert client.feed(frame(HEADERS, END_HEADERS | END_STREAM, 3, block(OK)), 0) == [Response(3, OK, end=True)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("length", [b"4", b"9"])
def test_a_body_that_belies_its_length_costs_its_stream_alone(engine: str, length: bytes) -> None:
    """A response shorter than its content-length does not end as if it were whole, nor is a longer one passed on."""
    client = engine_type(engine)(client=True, limits=Limits(connection_window=65_535))  # type: ignore[arg-type]
    client.open(GET, end=True)
    client.feed(settings(), 0)
    head = block([*OK, (b"content-length", length)])
    for stream in range(1, 41, 2):
        if stream > 1:
            assert client.open(GET, end=True) == stream
        client.output()
        events = client.feed(frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, END_STREAM, stream, b"short"), 0)
        assert resets(events) == [(stream, PROTOCOL_ERROR, False)]
        assert not any(isinstance(event, Data | Fatal) for event in events)
    other = client.open(GET, end=True)
    assert other is not None
    events = client.feed(frame(HEADERS, END_HEADERS, other, block(OK)) + frame(DATA, END_STREAM, other, b"ok"), 0)
    assert events == [Response(other, OK, end=False), Data(other, b"ok", end=True)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("trailers", [False, True])
def test_a_request_that_ends_short_behind_its_answer_is_reset(engine: str, *, trailers: bool) -> None:
    """Once: libcurl 7.88 ends its upload so when it hears of an error, and waits for the reset."""

    def answer(engine: Engine, event: Event) -> None:
        if isinstance(event, Request):
            engine.respond(event.stream, OK)
            engine.send(event.stream, b"early", end=True)

    client = RawClient(engine, answer=answer)
    for stream in (1, 3, 5):
        head = block([*GET, (b"content-length", b"9")])
        client.send(frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, 0, stream, b"abc"))
        assert client.found(RST_STREAM, stream) == []
        end = frame(HEADERS, END_HEADERS | END_STREAM, stream, block([(b"x-sum", b"1")]))
        client.send(end if trailers else frame(DATA, END_STREAM, stream, b""))
        assert [each.code for each in client.found(RST_STREAM, stream)] == [PROTOCOL_ERROR]
        assert client.engine.streams == 0
    assert client.fatal() is None


@pytest.mark.parametrize("engine", ENGINES)
def test_http1_answer_to_a_client(engine: str) -> None:
    """A server that speaks HTTP/1.1 is recognised by its first bytes."""
    client = engine_type(engine)(client=True, limits=Limits())  # type: ignore[arg-type]
    client.open(GET, end=True)
    [fatal] = client.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n", 0)
    assert isinstance(fatal, Fatal)
    assert client.closed


@pytest.mark.parametrize("engine", ENGINES)
def test_push_is_refused(engine: str) -> None:
    """A server that pushes although the client forbade it ends the connection."""
    client = engine_type(engine)(client=True, limits=Limits())  # type: ignore[arg-type]
    client.open(GET, end=True)
    assert (2).to_bytes(2, "big") + uint32(0) in parse(client.output())[0].payload
    events = client.feed(settings() + frame(5, 4, 1, uint32(2) + block(GET)), 0)
    assert isinstance(events[-1], Fatal)


# -- chunking ---------------------------------------------------------------------------------------------------------

STREAMED = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + settings((4, 70_000))
    + frame(WINDOW_UPDATE, 0, 0, uint32(1_000_000))
    + request(1, POST, end=False)
    + frame(DATA, 0, 1, b"x" * 1_000)
    + frame(HEADERS, END_STREAM, 3, block(GET)[:20])
    + frame(CONTINUATION, END_HEADERS, 3, block(GET)[20:])
    + frame(DATA, PADDED | END_STREAM, 1, b"\x05end" + bytes(5))
    + frame(PING, 0, 0, bytes(8))
    + request(5, POST, end=False)
    + frame(RST_STREAM, 0, 5, uint32(CANCEL))
    + frame(GOAWAY, 0, 0, uint32(0) + uint32(NO_ERROR) + b"bye")
    + request(7, POST, end=False)
    + request(7, [(b"x-trailer", b"1")])
    + frame(DATA, 0, 9, b"idle")
)


@each_row("engine", ENGINES)
@each_row("size", [1, 2, 3, 7, 9, 10, 64, 1_000])
def test_chunks_make_no_difference(engine: str, size: int) -> None:
    """The same bytes give the same events, however they are cut; buffers of any kind are taken and not kept."""
    whole = RawClient(engine, handshake=False)
    whole.send(STREAMED)
    cut = RawClient(engine, handshake=False)
    for start in range(0, len(STREAMED), size):
        chunk = bytearray(STREAMED[start : start + size])
        cut.send(memoryview(chunk))  # type: ignore[arg-type]  # the lab passes it on
        chunk[:] = bytes(len(chunk))
    assert plain(cut.events) == plain(whole.events)
    assert isinstance(whole.events[-1], Fatal)
    assert [each.kind for each in cut.frames if each.kind == GOAWAY] == [GOAWAY]


def test_both_engines_tell_the_same() -> None:
    """A stream of many kinds of frames gives equal events from both engines, up to the final reason."""
    told = []
    for engine in ENGINES:
        client = RawClient(engine, handshake=False)
        client.send(STREAMED)
        told.append(plain(client.events[:-1]))
    assert told[0] == told[1]


@pytest.mark.parametrize("engine", ENGINES)
def test_output_is_forgotten(engine: str) -> None:
    """``output`` gives each byte once, and acknowledgements without being asked."""
    client = RawClient(engine)
    client.engine.feed(frame(PING, 0, 0, b"12345678"), 0)
    assert parse(client.engine.output()) == [(PING, ACK, 0, b"12345678")]
    assert client.engine.output() == b""


def test_engine_choice() -> None:
    """``auto`` takes ngh2 where it is installed, and choosing h2 imports no ngh2."""
    assert engine_type() is engine_type("ngh2")
    script = "import sys; from mcproxy.wire.http2 import engine_type; engine_type('h2'); print('ngh2' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )
    hidden = "import sys; sys.modules['ngh2'] = None; from mcproxy.wire.http2 import engine_type; print(engine_type('auto').__name__)"
    result = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False)
    assert result.stdout == "H2Engine\n", result.stderr
