"""The last request's list: what need not be judged again."""

import itertools

import pytest

from mcproxy.wire.http2 import Headers, Limits
from mcproxy.wire.http2.headers import exceeded_limit, host_differs
from mcproxy.wire.http2.last_list import LastList
from tests.support.rows import each_row
from tests.unit.wire.http2.h2lab import GET

LISTS: list[Headers] = [
    GET,
    [*GET, (b"x", b"y")],
    [*GET, (b"x", b"z")],
    [*GET, (b"host", b"a.example")],
    [*GET[:3], (b"host", b"b")],
    [GET[2], *GET[:2], GET[3]],
    [(b":method", b"CONNECT"), (b":authority", b"a.example:1")],
    [*GET[:3], (b"cookie", b"a"), (b"cookie", b"b")],
]
LIMITS = [Limits(), Limits(header_count=4), Limits(header_bytes=200), Limits(header_bytes=216)]


def with_path(headers: Headers, path: bytes) -> Headers:
    """Return a list with another path."""
    return [(name, path if name == b":path" else value) for name, value in headers]


@pytest.mark.parametrize("limits", LIMITS)
def test_an_ordinary_list_exceeds_nothing(limits: Limits) -> None:
    """What is taken at one look would be taken at the others."""
    for headers in LISTS:
        if LastList(limits).take(headers):
            assert not exceeded_limit(headers, limits), headers
            assert not host_differs(headers), headers
    assert LastList(Limits()).take(GET)


@each_row("limits", LIMITS)
@each_row("path", [b"/", b"/other", b"/" + b"p" * 40])
def test_only_a_list_with_another_path_is_taken_for_the_same(limits: Limits, path: bytes) -> None:
    """A list is the last one again if it differs in its path at most, and would be taken by itself."""
    for first, listed in itertools.product(LISTS, LISTS):
        last = LastList(limits)
        second = with_path(listed, path)
        same = last.take(first) and with_path(first, path) == second and any(name == b":path" for name, _ in first)
        fits = LastList(limits).take(second)
        assert last.repeated(second) == (path if same and fits else b""), (first, second)


def test_a_list_that_is_not_ordinary_ends_the_comparison() -> None:
    """The next request is compared with the last one, not with one before it."""
    last = LastList(Limits())
    assert last.take(GET)
    other = [*GET, (b"host", b"a.example")]
    assert not last.repeated(other)
    assert not last.take(other)
    assert not last.repeated(GET)


def test_the_lists_given_stay_as_they_are() -> None:
    """Neither the list that is kept nor the one that is compared is changed."""
    last, first = LastList(Limits()), list(GET)
    last.take(first)
    second = with_path(GET, b"/b")
    assert last.repeated(second) == b"/b"
    assert first == GET
    assert second == with_path(GET, b"/b")
    assert last.repeated(GET) == b"/"
