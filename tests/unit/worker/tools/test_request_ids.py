"""Ids of requests as the fields that tell them."""

import re

import msgspec
import pytest

from mcproxy.wire import http2
from mcproxy.wire.http2 import Request
from mcproxy.worker.tools.request_ids import RequestIds

MANY = 200  # more than are made at a time


@pytest.mark.parametrize("field", [tuple, http2.unindexed()])
def test_ids_are_fields_of_16_digits(field: type[tuple[bytes, bytes]]) -> None:
    """No two are alike, and each is a pair whatever its type."""
    ids = RequestIds(field)
    fields = [ids.next() for _ in range(MANY)]
    assert {type(each) for each in fields} == {field}
    assert {name for name, _ in fields} == {b"x-request-id"}
    assert all(re.fullmatch(rb"[0-9a-f]{16}", value) for _, value in fields)
    assert len({value for _, value in fields}) == MANY


def test_ids_take_no_place_in_the_table_of_a_backend() -> None:
    """What requests have in common stays indexed, however many of them have had an id."""
    pytest.importorskip("ngh2")
    limits = msgspec.structs.replace(http2.Limits(), concurrent_streams=2 * MANY)
    engine = http2.engine_type("ngh2")
    client, server = engine(client=True, limits=limits), engine(client=False, limits=limits)
    ids = RequestIds(http2.unindexed())
    pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]
    common = [(b"x-common-%d" % number, b"some value %d" % number) for number in range(10)]
    server.feed(client.output(), 0.0)
    client.feed(server.output(), 0.0)
    sizes, told = set[int](), list[bytes]()
    for number in range(MANY):
        client.open([*pseudo, *common, ids.next()], end=True)
        data = client.output()
        told += [event.headers[-1][1] for event in server.feed(data, 0.0) if isinstance(event, Request)]
        if number > 0:
            sizes.add(len(data))
    assert len(set(told)) == MANY
    assert max(sizes) < 9 + 4 + len(common) + 2 + len("x-request-id") + 16
