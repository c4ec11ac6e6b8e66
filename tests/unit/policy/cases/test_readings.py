"""All the ways in which a path may be read, and no other."""

import pytest

from mcproxy.policy.cases.readings import LONGEST, MOST, is_odd, readings
from tests.support.rows import each_row


@each_row(
    ("path", "found"),
    [
        (rb"/a/b", [rb"/a/b"]),
        (rb"/.well-known/..a/b..", [rb"/.well-known/..a/b.."]),
        (rb"/a%2fb", [rb"/a%2Fb", rb"/a/b"]),
        (rb"/%61%2F", [rb"/a%2F", rb"/%61%2F", rb"/a/"]),
        (rb"/%2561", [rb"/%2561", rb"/%61", rb"/a"]),
        (rb"/%252561", [rb"/%252561", rb"/%2561", rb"/%61"]),  # never decoded three times
        (rb"/%252e;x", [rb"/%252e;x", rb"/%2e;x", rb"/.;x", rb"/", rb"/%252e", rb"/%2e", rb"/."]),
        (rb"/a//b", [rb"/a//b", rb"/a/b"]),
        (rb"//a/b", [rb"//a/b", rb"/a/b", rb"/b"]),
        (rb"//a", [rb"//a", rb"/a", rb"/"]),
        (rb"//%2561/b", [rb"//%2561/b", rb"/%2561/b", rb"//%61/b", rb"/%61/b", rb"//a/b", rb"/a/b", rb"/b"]),
        (rb"/a;/%252561", [rb"/a;/%252561", rb"/a/%252561", rb"/a;/%2561", rb"/a/%2561", rb"/a;/%61", rb"/a/%61", rb"/a"]),
        (rb"/a//", [rb"/a//", rb"/a/", rb"/a"]),
        (rb"/a/./b/../c", [rb"/a/./b/../c", rb"/a/c"]),
        (rb"/a/..", [rb"/a/..", rb"/"]),
        (rb"/../a", [rb"/../a", rb"/a"]),
        (rb"/a/.", [rb"/a/.", rb"/a/", rb"/a"]),
        (rb"/a/b/..", [rb"/a/b/..", rb"/a/", rb"/a"]),
        (rb"/a;x=1/b;y", [rb"/a;x=1/b;y", rb"/a/b", rb"/a"]),
        (rb"/a%09b%0d%0A", [rb"/a%09b%0D%0A", b"/a\tb\r\n", rb"/ab"]),
        (rb"/a\b", [rb"/a\b", rb"/a/b"]),
        (rb"/a%00b", [rb"/a%00b", b"/a\0b", rb"/a", rb"/ab"]),
        (rb"/a%3fb", [rb"/a%3Fb", rb"/a?b", rb"/a"]),
        (rb"/a%23b", [rb"/a%23b", rb"/a#b", rb"/a"]),
        (rb"/%c0%afa", [rb"/%C0%AFa", b"/\xc0\xafa", rb"//a", rb"/a", rb"/"]),
        (rb"/%c1%a1", [rb"/%C1%A1", b"/\xc1\xa1", rb"/a"]),
        (rb"/%e0%81%a1", [rb"/%E0%81%A1", b"/\xe0\x81\xa1", rb"/a"]),
        (rb"/%f0%80%81%a1", [rb"/%F0%80%81%A1", b"/\xf0\x80\x81\xa1", rb"/a"]),
        (rb"/%e0%b8%81%c3%a9", [rb"/%E0%B8%81%C3%A9", b"/\xe0\xb8\x81\xc3\xa9"]),
        (rb"/a%zz%4", [rb"/a%zz%4"]),
    ],
)  # fmt: skip
def test_the_readings_of_a_path(path: bytes, found: list[bytes]) -> None:
    """The first is what cases are written in; the others come in no order."""
    first, *others = readings(path) or ()
    assert [first, *sorted(others)] == [found[0], *sorted(found[1:])]


def test_a_plain_path_may_be_of_any_length() -> None:
    """An odd one has a limit, which counts for itself."""
    assert readings(b"/a" * 50_000) == (b"/a" * 50_000,)
    longest = b"/" + b"a" * (LONGEST - 4) + b"%2F"
    assert readings(longest) is not None
    assert readings(longest + b"a") is None


def test_more_readings_than_that_are_none() -> None:
    """Each further sort of oddity multiplies them."""
    assert readings(rb"/%252e%253b%255c//..;a/%25%32%65\\%00/.%2e/") is None
    found = readings(rb"/%252e/a//b;x")
    assert found is not None
    assert 10 < len(found) <= MOST


@pytest.mark.parametrize(
    "path", [rb"/a%", rb"/a;", rb"/a\b", rb"//", rb"/.", rb"/..", rb"/./a", rb"/a/../b", rb"/a/.."]
)
def test_oddities(path: bytes) -> None:
    assert is_odd(path)


@pytest.mark.parametrize("path", [rb"/", rb"/a", rb"/a.b/.c/..d/...", rb"/a/", rb"*", rb"/~a+b&c=d"])
def test_no_oddities(path: bytes) -> None:
    assert not is_odd(path)
