"""No shape of request smuggling gets through the request parser."""

from collections.abc import Sequence

import httptools

from mcproxy.wire.http1 import Bad, Limits, RequestEvent
from tests.support.rows import each_row
from tests.unit.wire.http1.drive import Shape, cut, forwarded, messages, outcome, read_requests, smuggling_shapes

SHAPES = smuggling_shapes()


class Witness:
    """What llhttp, by itself, makes of a backend's bytes."""

    def __init__(self) -> None:
        self.complete = 0
        self.body = b""

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete += 1


def refusal(events: Sequence[RequestEvent]) -> list[tuple[int, str]]:
    return [(event.status, event.reason) for event in events if isinstance(event, Bad)]


def test_all_shapes_are_there() -> None:
    """The data holds the whole collection."""
    assert len(SHAPES) == 346


@each_row("shape", SHAPES, ids=lambda shape: shape.name)
def test_outcome(shape: Shape) -> None:
    """Each shape is refused, or is one request; a second request never comes out of it."""
    events = read_requests([shape.data], Limits())
    assert outcome(events) in shape.acceptable
    assert b"/smug" not in b"".join(message.request.target for message in messages(events))


def test_outcome_does_not_depend_on_segments() -> None:
    """The same bytes one by one (thousand by thousand where there are many) have the same outcome and status."""
    for shape in SHAPES:
        step = 1 if len(shape.data) < 1000 else 1000
        whole = read_requests([shape.data], Limits())
        pieces = read_requests(cut(shape.data, range(step, len(shape.data), step)), Limits())
        assert (outcome(pieces), refusal(pieces)) == (outcome(whole), refusal(whole)), shape.name


def test_forwarded_bytes_are_one_message() -> None:
    """What is passed on of an accepted shape is exactly one message with the same body, also to another reader."""
    for shape in SHAPES:
        events = read_requests([shape.data], Limits())
        if outcome(events) != "clean":
            continue
        (message,) = messages(events)
        data = forwarded(message)
        (again,) = messages(read_requests([data], Limits()))
        first = message.request
        assert (again.request.method, again.request.target, again.body) == (
            first.method,
            first.target,
            message.body,
        ), shape.name
        witness = Witness()
        httptools.HttpRequestParser(witness).feed_data(data)
        assert (witness.complete, witness.body) == (1, message.body), shape.name


def test_legal_shapes_pass() -> None:
    """Strictness costs no legal request: these are served."""
    legal = {
        "te_upper",
        "chunk_upper_hex",
        "chunk_trailers",
        "absolute_form_same",
        "leading_crlf",
        "cl_octal_ok_decimal",
    }
    served = {
        shape.name.partition("-")[2] for shape in SHAPES if outcome(read_requests([shape.data], Limits())) == "clean"
    }
    assert legal <= served
