"""Stream errors that a client provokes are limited like the streams that it resets itself (RFC 9113 sections 5.4.2 and 10.5)."""

from collections.abc import Callable

import pytest

from mcproxy.wire.http2 import (
    ENHANCE_YOUR_CALM,
    Fatal,
    Headers,
    Informational,
    Limits,
    Request,
    Reset,
    Response,
    engine_type,
)
from mcproxy.wire.http2.floods import Floods
from tests.support.rows import each_row
from tests.unit.wire.http2.h2lab import (
    DATA,
    END_HEADERS,
    END_STREAM,
    ENGINES,
    GET,
    GOAWAY,
    HEADERS,
    OK,
    POST,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    RawClient,
    block,
    frame,
    reply,
    request,
    settings,
    uint32,
)

LIMITS = Limits()
TRAILERS = END_HEADERS | END_STREAM


def length(value: bytes) -> Headers:
    return [*POST, (b"content-length", value)]


def trailers(stream: int, fields: Headers, flags: int = TRAILERS) -> bytes:
    return request(stream, POST, end=False) + frame(HEADERS, flags, stream, block(fields))


# What the client sends on a new stream; the errors in it end the stream alone.
STREAM_ERRORS: dict[str, Callable[[int], bytes]] = {
    "window too large": lambda stream: request(stream) + frame(WINDOW_UPDATE, 0, stream, uint32(2**31 - 1)),
    "body longer than it says": lambda stream: (
        request(stream, length(b"1"), end=False) + frame(DATA, 0, stream, b"abc")
    ),
    "body shorter than it says": lambda stream: (
        request(stream, length(b"9"), end=False) + frame(DATA, END_STREAM, stream, b"abc")
    ),
    "no body, though it says so": lambda stream: request(stream, length(b"9")),
    "trailers before the body's end": lambda stream: (
        request(stream, length(b"9"), end=False) + frame(HEADERS, TRAILERS, stream, block([(b"x-a", b"1")]))
    ),
    "pseudo-header field in trailers": lambda stream: trailers(stream, [(b":path", b"/")]),
    "field of the connection in trailers": lambda stream: trailers(stream, [(b"connection", b"close")]),
    "too many trailers": lambda stream: trailers(stream, [(b"x-a", b"1")] * 101),
    "capitals in a name": lambda stream: request(stream, [*GET, (b"X-A", b"1")]),
    "field of the connection": lambda stream: request(stream, [*GET, (b"connection", b"close")]),
    "no path": lambda stream: request(stream, [field for field in GET if field[0] != b":path"]),
    "pseudo-header field out of place": lambda stream: request(stream, [*GET, (b"x-a", b"1"), (b":path", b"/")]),
    "another host": lambda stream: request(stream, [*GET, (b"host", b"b.example")]),
    "two lengths": lambda stream: request(stream, [*length(b"1"), (b"content-length", b"2")], end=False),
    "extended CONNECT, which nobody offered": lambda stream: request(
        stream, [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]], end=False
    ),
}
# Those that one engine or the other takes for the end of the connection, as section 5.4.1 allows.
OTHER_ERRORS: dict[str, Callable[[int], bytes]] = {
    "no increment": lambda stream: request(stream) + frame(WINDOW_UPDATE, 0, stream, uint32(0)),
    "trailers that end nothing": lambda stream: trailers(stream, [(b"x-a", b"1")], END_HEADERS),
    "more than the window": lambda stream: (
        request(stream, POST, end=False) + b"".join(frame(DATA, 0, stream, bytes(16_384)) for _ in range(5))
    ),
    "a small increment too much": lambda stream: (
        request(stream) + frame(WINDOW_UPDATE, 0, stream, uint32(2**30 - 1)) * 3
    ),
}


def last_of(client: RawClient, make: Callable[[int], bytes], number: int = 200) -> int:
    """Repeat an error, 20 times a second, each on a stream of its own; return how often until the connection ended."""
    for index in range(number):
        client.now = 10 + index / 20
        client.send(make(2 * index + 1))
        if client.fatal():
            return index + 1
    return 0


@each_row("engine", ENGINES)
@each_row("kind", STREAM_ERRORS)
def test_a_stream_error_counts_as_a_reset(engine: str, kind: str) -> None:
    """The client has as many of them as of RST_STREAMs before a response, then the connection ends and says why."""
    client = RawClient(engine)
    assert last_of(client, STREAM_ERRORS[kind]) == LIMITS.resets_before_response + 1
    fatal = client.fatal()
    assert fatal is not None
    assert (fatal.code, fatal.limit) == (ENHANCE_YOUR_CALM, "resets_before_response")
    assert [each.code for each in client.found(GOAWAY)] == [ENHANCE_YOUR_CALM]
    assert len(client.found(RST_STREAM)) >= LIMITS.resets_before_response
    begun = {event.stream for event in client.events if isinstance(event, Request)}
    cancelled = {event.stream for event in client.events if isinstance(event, Reset)}
    assert begun <= cancelled, "the owner is told to cancel each request that it knows"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", OTHER_ERRORS)
def test_no_error_can_be_repeated_for_ever(engine: str, kind: str) -> None:
    """Whether an error ends the stream or the connection, soon the connection has ended."""
    assert 0 < last_of(RawClient(engine), OTHER_ERRORS[kind]) <= LIMITS.resets_before_response + 1


@each_row("engine", ENGINES)
@each_row("kind", STREAM_ERRORS)
def test_many_errors_at_once_begin_few_requests(engine: str, kind: str) -> None:
    """A chunk full of them ends the connection as well."""
    client = RawClient(engine)
    client.send(b"".join(STREAM_ERRORS[kind](stream) for stream in range(1, 200, 2)))
    client.send(STREAM_ERRORS[kind](201))
    fatal = client.fatal()
    assert fatal is not None
    assert (fatal.code, fatal.limit) == (ENHANCE_YOUR_CALM, "resets_before_response")
    assert isinstance(client.events[-1], Fatal)
    assert client.engine.closed


@pytest.mark.parametrize("engine", ENGINES)
def test_errors_after_the_response_began_count_by_the_second(engine: str) -> None:
    """Also a response that is under way is broken off at most so often."""
    client = RawClient(
        engine, answer=lambda engine, event: engine.respond(event.stream, OK) if isinstance(event, Request) else None
    )
    client.now = 10.0
    for number in range(LIMITS.stream_resets_per_second + 1):
        assert client.fatal() is None
        client.send(request(2 * number + 1))
        client.send(frame(WINDOW_UPDATE, 0, 2 * number + 1, uint32(2**31 - 1)))
    fatal = client.fatal()
    assert fatal is not None
    assert (fatal.code, fatal.limit) == (ENHANCE_YOUR_CALM, "stream_resets_per_second")


@pytest.mark.parametrize("engine", ENGINES)
def test_now_and_then_an_error_is_no_abuse(engine: str) -> None:
    """Each answered request forgives one."""
    client = RawClient(engine, answer=reply)
    bad = STREAM_ERRORS["body longer than it says"]
    assert last_of(client, lambda stream: bad(2 * stream - 1) + request(2 * stream + 1), 300) == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_streams_above_the_limit_are_refused_only_so_often(engine: str) -> None:
    """A client may not know the limit yet; one that never learns it is no client."""
    client = RawClient(engine, handshake=False, concurrent_streams=2)
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings())
    client.send(request(1) + request(3))
    bound = 4 * 2 + 100
    taken = last_of(client, lambda stream: request(stream + 4))
    assert bound - 2 < taken <= bound + 1
    fatal = client.fatal()
    assert fatal is not None
    assert (fatal.code, fatal.limit) == (ENHANCE_YOUR_CALM, "concurrent_streams")


@pytest.mark.parametrize("engine", ENGINES)
def test_what_crosses_a_goaway_is_refused_only_so_often(engine: str) -> None:
    """As many as a client may have had on their way."""
    client = RawClient(engine, concurrent_streams=2)
    client.send(request(1))
    client.engine.goaway()
    answers = [client.send(request(2 * number + 3)) for number in range(4 * 2 + 101)]
    assert not any(answers[:-1])
    assert [type(event) for event in answers[-1]] == [Fatal]


@pytest.mark.parametrize("engine", ENGINES)
def test_work_that_the_owner_broke_off_counts_too(engine: str) -> None:
    """The owner tells when a request turned out bad too late for the engine to see."""
    client = RawClient(engine)
    for number in range(LIMITS.resets_before_response + 1):
        client.send(request(2 * number + 1))
        client.engine.blame(2 * number + 1)
        assert client.fatal() is None
    client.send(frame(SETTINGS, 1, 0))
    assert client.fatal() is not None


@pytest.mark.parametrize("engine", ENGINES)
def test_a_backends_errors_are_not_counted(engine: str) -> None:
    """Each answers a request of ours, and its connection serves others."""
    peer = engine_type(engine)(client=True, limits=LIMITS)  # type: ignore[arg-type]
    peer.feed(settings() + frame(SETTINGS, 1, 0), 0.0)
    for number in range(300):
        stream = peer.open(GET, end=True)
        assert stream is not None
        events = peer.feed(request(stream, [(b":status", b"200"), (b":path", b"/")]), number / 1000)
        assert [type(event) for event in events] == [Reset]


def test_seconds_and_answers_forgive() -> None:
    """Rates begin anew with each second; an answer takes one cancelled and one refused request back."""
    floods = Floods(Limits(stream_resets_per_second=2, resets_before_response=1, concurrent_streams=1))
    assert [floods.reset(now, waiting=False) for now in (0.0, 0.9, 1.0, 1.9)] == [None] * 4
    over = floods.reset(1.9, waiting=False)
    assert over is not None
    assert over.limit == "stream_resets_per_second"
    assert floods.reset(3.0, waiting=True) is None
    floods.answered()
    assert floods.reset(4.0, waiting=True) is None
    over = floods.reset(5.0, waiting=True)
    assert over is not None
    assert over.limit == "resets_before_response"
    assert [floods.refused() for _ in range(104)] == [None] * 104
    floods.answered()
    assert floods.refused() is None
    assert floods.refused() is not None


@pytest.mark.parametrize("engine", ENGINES)
def test_a_backend_that_only_says_wait_is_cut_off(engine: str) -> None:
    """After a hundred interim responses the stream ends, as it does over HTTP/1.1; the connection goes on."""
    peer = engine_type(engine)(client=True, limits=LIMITS)  # type: ignore[arg-type]
    peer.feed(settings() + frame(SETTINGS, 1, 0), 0.0)
    stream = peer.open(GET, end=True)
    assert stream is not None
    wait = request(stream, [(b":status", b"103")], end=False)
    assert [type(event) for _ in range(100) for event in peer.feed(wait, 0.0)] == [Informational] * 100
    assert peer.feed(wait, 0.0) == [Reset(stream, ENHANCE_YOUR_CALM, remote=False)]
    assert peer.feed(wait, 0.0) == []
    assert not peer.closed
    other = peer.open(GET, end=True)
    assert other is not None
    assert [type(event) for event in peer.feed(request(other, OK), 0.0)] == [Response]
