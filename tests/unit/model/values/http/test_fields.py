"""Names and values of headers, rates, sizes and other words of filters: their one form, and what is told of the rest."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from mcproxy.model.values.http import amounts, fields
from mcproxy.model.values.http.amounts import Rate
from tests.support.rows import each_row


@each_row(
    ("parse", "text", "value"),
    [
        (fields.parse_name, "x-API-key", "X-Api-Key"),
        (fields.parse_request_name, "cookie", "Cookie"),
        (fields.parse_response_name, "server", "Server"),
        (fields.parse_value, "max-age=1; x={host}", "max-age=1; x={host}"),
        (fields.parse_value, '{"group":"default", {} }', '{"group":"default", {} }'),
        (fields.parse_value, "", ""),
        (fields.parse_demand, "x-env:  prod ", "X-Env: prod"),
        (fields.parse_demand, "x-env", "X-Env"),
        (fields.parse_rate_key, "header: x-api-key", "header:X-Api-Key"),
        (fields.parse_origin, "HTTPS://A.test:443", "https://a.test"),
        (fields.parse_origin, "http://[::1]:8080", "http://[::1]:8080"),
        (fields.parse_origin, "*", "*"),
        (fields.parse_authority, "App.Internal:81", "app.internal:81"),
        (fields.parse_prefix, "/api/v1", "/api/v1"),
        (fields.parse_media_type, "text/html; charset=utf-8", "text/html; charset=utf-8"),
        (fields.parse_method, "PROPFIND", "PROPFIND"),
        (amounts.parse_rate, "200/1m30s", Rate(200, 90.0)),
        (amounts.parse_rate, "", Rate()),
        (amounts.parse_size, "0B", 0),
        (amounts.parse_size, "10 MiB", 10 << 20),
        (amounts.parse_size, "10MB", 10_000_000),
        (amounts.parse_size, "3kB", 3000),
        (amounts.parse_optional_size, "", UNSET),
    ],
)
def test_a_value_has_one_form(parse: Any, text: str, value: Any) -> None:
    """Whatever form the file has it in."""
    assert parse(text) == value


@each_row(
    ("parse", "text", "message"),
    [
        (fields.parse_name, "X A", "not the name of a header"),
        (fields.parse_name, "X-A:", "leave the colon out"),
        *(
            (fields.parse_request_name, name, "can't be changed")
            for name in ("Host", "te", "Content-Length", "UPGRADE", "x.real.ip")
        ),
        *(
            (fields.parse_request_name, name, "tells the backend")
            for name in ("Forwarded", "X_Forwarded_For", "x-request-id", "X-Forwarded-Anything")
        ),
        *(
            (fields.parse_response_name, name, "can't be changed")
            for name in ("Transfer_Encoding", "connection", "trailer")
        ),
        (fields.parse_value, "a\r\nb", "control character"),
        (fields.parse_value, " a", "begins or ends with a blank"),
        (fields.parse_value, "{clientip}", "did you mean {client_ip}?"),
        (fields.parse_value, "{nope_at_all}", "there are {host}"),
        (fields.parse_rate_key, "ip", 'must be "client"'),
        (fields.parse_origin, "https://a.test/", 'did you mean "https://a.test"?'),
        (fields.parse_origin, "a.test", 'did you mean "https://a.test"?'),
        (fields.parse_origin, "null", "is no origin"),
        (fields.parse_method, "get", 'did you mean "GET"?'),
        (fields.parse_authority, "https://x", "is no host"),
        (fields.parse_prefix, "/a/../b", "read in several ways"),
        (fields.parse_prefix, "/a/*", "no beginning of a path"),
        (fields.parse_pages, "2xx", "no status of an error"),
        (fields.parse_pages, "504-502", 'did you mean "502-504"?'),
        (fields.parse_media_type, "html", "no type of a content"),
        (amounts.parse_rate, "5/m", 'did you mean "5/1m"?'),
        (amounts.parse_rate, "10r/s", 'did you mean "10/1s"?'),
        (amounts.parse_rate, "5", "is no rate"),
        (amounts.parse_rate, "5/0s", "the time of the rate is wrong"),
        (amounts.parse_rate, "0/1s", "is 1 to"),
        (amounts.parse_rate, f"{'9' * 50}/1s", "is 1 to"),
        (amounts.parse_size, "10m", 'did you mean "10MiB"?'),
        (amounts.parse_size, "10", 'did you mean "10B"?'),
        (amounts.parse_size, "10 mib", 'did you mean "10MiB"?'),
        (amounts.parse_size, "10mb", 'did you mean "10MB"?'),
        (amounts.parse_size, "-1B", "is no size"),
        (amounts.parse_size, "9999999999999TiB", "at most"),
    ],
)
def test_what_is_wrong_is_told_with_what_may_be_meant(parse: Any, text: str, message: str) -> None:
    """In words for the user."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is looked at
        parse(text)
    assert message in str(caught.value)


@given(st.integers(0, amounts.LARGEST))
def test_a_size_is_written_as_it_is_read(size: int) -> None:
    """With the largest unit that leaves no remainder."""
    assert amounts.parse_size(amounts.render_size(size)) == size


@given(st.integers(1, amounts.MOST_IN_WINDOW), st.integers(1, 10**7))
def test_a_rate_is_written_as_it_is_read(count: int, milliseconds: int) -> None:
    """Exact to the millisecond."""
    rate = Rate(count, milliseconds / 1000)
    assert amounts.parse_rate(str(rate)) == rate
    assert bool(rate)


def test_a_value_is_split_into_texts_and_variables() -> None:
    """In turn; other braces are text."""
    assert fields.template("a{host}b{uri}") == ("a", "host", "b", "uri", "")
    assert fields.template('{"a":1}') == ('{"a":1}',)
    assert [fields.pages_range(text) for text in ("404", "502-504", "5xx")] == [(404, 404), (502, 504), (500, 599)]
