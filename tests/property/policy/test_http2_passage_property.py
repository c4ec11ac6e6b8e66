"""What HTTP/2 engines let in and the policies let pass is well-formed: nothing on its way through needs a second check."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcproxy.policy.headers import Forwarding, response_fields, to_http2
from mcproxy.policy.requests import RefusedError, RequestRules
from mcproxy.wire.http2 import (
    PREFACE,
    Engine,
    Event,
    Headers,
    Limits,
    Request,
    Response,
    check_request,
    check_response,
    engine_type,
)
from tests.support.examples import examples
from tests.unit.wire.http2.h2lab import ENGINES, GET, OK, block, frame
from tests.unit.wire.http2.h2lab import settings as settings_frame

_HEADERS, _END_STREAM, _END_HEADERS = 1, 1, 4

# Header lists that are nearly right: a field of an odd name or value, one too many, or one missing.
odd_names = st.one_of(
    st.sampled_from(
        b"te connection keep-alive transfer-encoding upgrade proxy-connection host content-length cookie x-a X-A "
        b"x-forwarded-for :method :scheme :authority :path :protocol :status :x".split()
    ),
    st.binary(max_size=3),
)
odd_values = st.one_of(
    st.sampled_from(
        b"GET CONNECT OPTIONS trailers trailers,deflate chunked close 0 7 00 +7 7,7 99 099 000 100 101 200 204 299 1000 "
        b"https HTTP websocket a.example u@a.example a.example:443 / * /a?b /a#b x".split()
    ),
    st.sampled_from([b"", b" a", b"a ", b"\ta", b"a\t", b" ", b"a\0b", b"a\rb", b"a\nb", b"a b", b"\x7f", b"\xff"]),
    st.binary(max_size=4),
)
edits = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 2), odd_names, odd_values),
    min_size=1,
    max_size=3,
)


def edited(usual: Headers, changes: list[tuple[int, int, bytes, bytes]]) -> Headers:
    """Return a list with some fields put in, changed or left out."""
    headers = list(usual)
    for at, how, name, value in changes:
        if how == 0 or at >= len(headers):
            headers.insert(at, (name, value))
        elif how == 1:
            headers[at] = (headers[at][0], value)
        else:
            del headers[at]
    return headers


def told(engine: Engine, start: bytes, headers: Headers, *, end: bool) -> list[Event]:
    flags = _END_HEADERS | (_END_STREAM if end else 0)
    return engine.feed(start + settings_frame() + frame(_HEADERS, flags, 1, block(headers)), 0.0)


@examples(200)
@pytest.mark.parametrize("engine", ENGINES)
@given(changes=edits, end=st.booleans())
def test_requests(engine: str, changes: list[tuple[int, int, bytes, bytes]], *, end: bool) -> None:
    """A request for a backend of HTTP/2 is well-formed, however it came in."""
    server = engine_type(engine)(client=False, limits=Limits(), connect_protocol=True)  # type: ignore[arg-type]
    for event in told(server, PREFACE, edited([*GET, (b"x-a", b"1")], changes), end=end):
        if isinstance(event, Request):
            with suppress(RefusedError):
                head = RequestRules().from_http2(event.headers)
                assert head.checked
                forwarding = Forwarding("192.0.2.1").fields(head.authority)
                assert check_request(to_http2(head, forwarding, b"http")) == ""


@examples(200)
@pytest.mark.parametrize("engine", ENGINES)
@given(changes=edits, end=st.booleans())
def test_responses(engine: str, changes: list[tuple[int, int, bytes, bytes]], *, end: bool) -> None:
    """A response for a client of HTTP/2 is well-formed, its status a number of three digits."""
    client = engine_type(engine)(client=True, limits=Limits())  # type: ignore[arg-type]
    client.open(GET, end=True)
    for event in told(client, b"", edited([*OK, (b"x-a", b"1"), (b"x-b", b"2")], changes), end=end):
        if isinstance(event, Response):
            (name, status), *fields = event.headers
            assert name == b":status"
            assert status == b"%d" % int(status)
            assert check_response([(name, status), *response_fields(fields)], interim=False) == ""
