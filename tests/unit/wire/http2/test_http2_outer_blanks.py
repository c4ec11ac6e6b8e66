"""Blanks around field values (RFC 9113 section 8.2.1): what every peer tolerates is taken off, whichever engine receives it."""

import random

import hpack
import pytest

from mcproxy.wire.http2 import Headers, Limits, Request, Response, Trailers
from mcproxy.wire.http2.outer_blanks import Trimmer
from tests.support.rows import each_row
from tests.unit.wire.http2.h2lab import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    ENGINES,
    GET,
    HAS_PRIORITY,
    HEADERS,
    OK,
    PADDED,
    POST,
    Pair,
    RawClient,
    block,
    frame,
    request,
)

BLANKS = [(b"a ", b"a"), (b" a", b"a"), (b"\ta \t", b"a"), (b" ", b""), (b" \t ", b""), (b"a b ", b"a b"), (b"a", b"a")]


def told(client: RawClient) -> list[Headers]:
    """Return the header lists of requests and trailers, as plain tuples."""
    return [
        [(name, value) for name, value in event.headers]
        for event in client.events
        if isinstance(event, Request | Trailers)
    ]


@each_row("engine", ENGINES)
@each_row(("sent", "meant"), BLANKS)
def test_blanks_of_requests_and_trailers_are_taken_off(engine: str, sent: bytes, meant: bytes) -> None:
    """So they are over HTTP/1.1; what a client sends reaches the backend."""
    client = RawClient(engine)
    client.send(request(1, [*POST, (b"x-t", sent)], end=False) + request(1, [(b"x-end", sent)]))
    assert told(client) == [[*POST, (b"x-t", meant)], [(b"x-end", meant)]]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["final", "interim", "trailers"])
def test_blanks_of_responses_are_taken_off(engine: str, kind: str) -> None:
    """A backend's `grpc-message` that ends in a blank does not spoil the call."""
    pair = Pair(engine, "h2")
    stream = pair.client.open(GET, end=True)
    assert stream is not None
    field = [(b"grpc-message", b" user not found: ")]
    pair.talk()
    raw = pair.server._connection  # type: ignore[attr-defined]
    if kind == "interim":
        raw.send_headers(stream, [(b":status", b"103"), *field])
    else:
        raw.send_headers(stream, [*OK, *(field if kind == "final" else [])])
        if kind == "trailers":
            raw.send_headers(stream, field, end_stream=True)
    pair.server._dirty = True
    pair.talk()
    event = pair.at_client[-1]
    assert [(name, value) for name, value in event.headers][-1] == (b"grpc-message", b"user not found:")  # type: ignore[union-attr]


@pytest.mark.parametrize("engine", ENGINES)
def test_framing_and_routing_fields_are_read_without_blanks(engine: str) -> None:
    """`content-length` and `host` mean what they mean without the blank: nothing behind reads them otherwise."""
    client = RawClient(engine)
    fields = [*POST, (b"content-length", b"3 "), (b"host", b"a.example\t"), (b"te", b" trailers")]
    client.send(request(1, fields, end=False))
    client.send(frame(0, END_STREAM, 1, b"abc"))
    assert told(client) == [[*POST, (b"content-length", b"3"), (b"host", b"a.example"), (b"te", b"trailers")]]
    assert not client.frames


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [b":path", b":method", b":authority", b":scheme"])
def test_pseudo_header_fields_have_no_blanks(engine: str, name: bytes) -> None:
    """They are no values of fields but parts of the request, and strict."""
    client = RawClient(engine)
    client.send(request(1, [(each, value + b" " if each == name else value) for each, value in GET]))
    assert told(client) == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("huffman", [False, True], ids=["plain", "huffman"])
def test_every_coding_of_a_field_over_a_long_connection(engine: str, *, huffman: bool) -> None:
    """The table of HPACK stays that of the peer while entries enter it smaller, are evicted, and are referred to."""
    draw = random.Random(7)
    encoder = hpack.Encoder()
    client = RawClient(engine, header_bytes=100_000)
    expected = []
    for number in range(150):
        fields = list(GET)
        for _ in range(draw.randrange(6)):
            value = bytes(draw.choices(b"abcXYZ0123 ", k=draw.randrange(60)))
            outer = draw.choice((b"", b"", b" ", b"\t", b"  \t "))
            fields.append((b"x-%d" % draw.randrange(20), outer + value + draw.choice((b"", outer))))
        if number == 70:
            encoder.header_table_size = 300
        fields = [
            hpack.NeverIndexedHeaderTuple(*field) if draw.random() < 0.1 and field[0][:1] != b":" else field
            for field in fields
        ]
        coded = encoder.encode(fields, huffman=huffman)
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, coded))
        client.engine.reset(2 * number + 1)
        expected.append([(name, value.strip(b" \t")) for name, value in fields])
        client.now += 1
    assert told(client) == expected


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cut", [1, 20, 60])
def test_blocks_in_several_frames(engine: str, cut: int) -> None:
    """Padding, priority and CONTINUATION frames change nothing, whole or in single bytes."""
    coded = block([*GET, (b"x-t", b"value "), (b"x-u", b"\tvalue")])
    head = frame(
        HEADERS, END_STREAM | PADDED | HAS_PRIORITY, 1, b"\x03" + b"\0\0\0\0\x10" + coded[:cut] + b"\0\0\0"
    ) + frame(CONTINUATION, END_HEADERS, 1, coded[cut:])
    for pieces in ([head], [head[at : at + 1] for at in range(len(head))]):
        client = RawClient(engine)
        for piece in pieces:
            client.send(piece)
        assert told(client) == [[*GET, (b"x-t", b"value"), (b"x-u", b"value")]]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_long_value_with_a_blank(engine: str) -> None:
    """One that takes several frames is trimmed as well, where it does not enter the peer's table."""
    client = RawClient(engine, header_bytes=100_000)
    coded = block([*GET, (b"x-t", b"v" * 40_000 + b" ")])
    parts = [coded[at : at + 16_000] for at in range(0, len(coded), 16_000)]
    client.send(frame(HEADERS, END_STREAM, 1, parts[0]))
    for part in parts[1:-1]:
        client.send(frame(CONTINUATION, 0, 1, part))
    client.send(frame(CONTINUATION, END_HEADERS, 1, parts[-1]))
    assert told(client) == [[*GET, (b"x-t", b"v" * 40_000)]]


def test_an_entry_that_the_peer_may_not_keep_is_left_as_it_is() -> None:
    """Trimmed, it might enter the table here alone, and every later index would mean another field."""
    entry = b"\x40" + block([(b"x-t", b"v" * 4_061 + b" ")])[1:]  # 4096 bytes with name and overhead, and one more
    kept = b"\x40" + block([(b"x-t", b"v" * 4_060 + b" ")])[1:]
    for field, changed in ((entry, False), (kept, True)):
        frames = frame(HEADERS, END_HEADERS, 1, field)
        assert (Trimmer().trim(frames) != frames) is changed


def test_what_needs_no_change_is_not_touched() -> None:
    """Frames without such a value are the same object afterwards, malformed ones too."""
    for frames in (
        request(1, GET),
        frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff\x7f"),
        frame(HEADERS, END_HEADERS, 1, b"\x00\x03x-t\x7f"),
        frame(HEADERS, END_HEADERS, 1, b"\x00\x03x-t\x05 a"),
        frame(HEADERS, END_HEADERS | PADDED, 1),
    ):
        assert Trimmer().trim(frames) is frames


@pytest.mark.parametrize("engine", ENGINES)
def test_control_characters_stay_forbidden(engine: str) -> None:
    """Only SP and HTAB are blanks."""
    for end in (b"\r", b"\n", b"\0", b"\x0b"):
        client = RawClient(engine)
        client.send(request(1, [*GET, (b"x-t", b"a" + end)]))
        assert told(client) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_response_from_either_engine(engine: str) -> None:
    """A pair of engines still understands each other without any blanks."""
    pair = Pair(engine, engine, server_limits=Limits(header_bytes=10_000))
    stream = pair.client.open(GET, end=True)
    pair.talk()
    assert stream is not None
    pair.server.respond(stream, [*OK, (b"x-t", b"a b")], end=True)
    pair.talk()
    assert [event.headers for event in pair.at_client if isinstance(event, Response)] == [[*OK, (b"x-t", b"a b")]]


def test_a_block_that_comes_again_is_judged_as_before() -> None:
    """Clean or not, and however many others came in between; one that changes the table's size is looked at each time."""
    trimmer = Trimmer()
    clean, spoilt = (frame(HEADERS, END_HEADERS, 1, block([(b"x-a", value)])) for value in (b"a", b"a "))
    for number in range(100):
        other = frame(HEADERS, END_HEADERS, 1, block([(b"x-b", b"%d" % number)]))
        assert trimmer.trim(other) == other
        assert trimmer.trim(clean) == clean
        assert trimmer.trim(spoilt) == clean
    # A table of no bytes keeps no entry, and a field that would enter it is left alone.
    smaller, entering = b"\x20", b"\x40\x03x-a\x02a "
    for size, meant in ((smaller, b"\x40\x03x-a\x02a "), (b"\x3f\xe1\x1f", b"\x40\x03x-a\x01a")):
        got = trimmer.trim(frame(HEADERS, END_HEADERS, 1, size + entering))
        assert bytes(got)[9:] == size + meant


def test_a_padded_frame_is_no_block_that_came_before() -> None:
    """The length of its padding, its block and its padding may together look like a block that needed no change."""
    trimmer = Trimmer()
    spoilt = b"\x00\x04!aaa" + b"\x19" + b"b" * 24 + b" "
    payload = b"\x04" + spoilt + bytes(4)
    alike = frame(HEADERS, END_HEADERS, 1, payload)  # two fields whose names are those of `:path`
    assert trimmer.trim(alike) is alike
    assert trimmer.trim(alike) is alike
    padded = frame(HEADERS, END_HEADERS | PADDED, 1, payload)
    assert trimmer.trim(padded) == frame(HEADERS, END_HEADERS, 1, b"\x00\x04!aaa" + b"\x18" + b"b" * 24)


def test_a_part_of_a_block_is_no_block_that_came_before() -> None:
    """What a CONTINUATION frame begins with may be within a value."""
    trimmer = Trimmer()
    alike = frame(HEADERS, END_HEADERS, 1, b"\x82")
    assert trimmer.trim(alike) is alike
    assert trimmer.trim(frame(HEADERS, 0, 1, b"\x00\x03x-t\x02 ")) == b""
    assert trimmer.trim(frame(CONTINUATION, END_HEADERS, 1, b"\x82")) == frame(
        HEADERS, END_HEADERS, 1, b"\x00\x03x-t\x01\x82"
    )


@pytest.mark.parametrize("sent", [GET, [*GET, (b"x-t", b"a")], [*GET, (b"x-t", b"a ")]])
def test_a_priority_does_not_matter(sent: Headers) -> None:
    """It is no part of the block."""
    trimmer = Trimmer()
    plain, again, spoilt = block(sent), block(sent), block([(b"x-t", b" b")])
    for number, encoded in enumerate((plain, again, spoilt)):
        priority = (2 * number).to_bytes(4, "big") + b"\x0f"
        without = bytes(Trimmer().trim(frame(HEADERS, END_HEADERS, 1, encoded)))[9:]
        trimmed = trimmer.trim(frame(HEADERS, END_HEADERS | HAS_PRIORITY, 1, priority + encoded))
        assert trimmed == frame(HEADERS, END_HEADERS | HAS_PRIORITY, 1, priority + without)
