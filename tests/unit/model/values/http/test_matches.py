"""What a case is for is one text, whatever form the file has it in."""

import random

import pytest

from mcproxy.model.values.http.matches import Match, normal, parse, precedence, ties, with_conditions
from tests.support.rows import each_row


@each_row(
    ("text", "canonical"),
    [
        ("/", "/"),
        ("/*", "/*"),
        ("/a/*", "/a/*"),
        ("/a/", "/a/"),
        ("HEAD|GET  /a", "GET|HEAD /a"),
        ("GET|GET /a", "GET /a"),
        ("VERSION-CONTROL /svn/*", "VERSION-CONTROL /svn/*"),
        ("/a%2fb/%c3%a9/*", "/a%2Fb/%C3%A9/*"),
        ("/.well-known/a.b", "/.well-known/a.b"),
        ("/...", "/..."),
        ("GET /a/* X-Env=prod ?v=2", "GET /a/* ?v=2 X-Env=prod"),
        ("/a x-api-KEY=*", "/a X-Api-Key=*"),
        ("/a ?b=1 ?a=", "/a ?a= ?b=1"),
        ("/a ?a%3db=c%20d%25 X-A=b=c", "/a ?a%3Db=c%20d%25 X-A=b=c"),
    ],
)
def test_the_one_text_of_a_match(text: str, canonical: str) -> None:
    """Spellings of the same have one text, and that is read as the same."""
    match = parse(text)
    assert str(match) == canonical
    assert parse(canonical) == match


def test_conditions_of_tables_join_those_of_the_text() -> None:
    """``headers`` and ``query`` in the file say the same as words of the text."""
    match = with_conditions(parse("GET /a ?v=2"), {"x-env": " prod "}, {"ü": "a b"})
    assert str(match) == "GET /a ?v=2 ?%C3%BC=a%20b X-Env=prod"
    assert parse(str(match)) == match


@each_row(
    ("text", "message"),
    [
        ("", "has no path"),
        ("GET", '"GET" has no path'),
        ("api/*", 'begins with "/"; did you mean "/api/*"?'),
        ("get /x", 'did you mean "GET"?'),
        ("GET,HEAD /x", '"GET,HEAD" is no method'),
        ("TRACE /x", "TRACE requests never get to a case"),
        ("https://a.test/x", "is a URL"),
        ("^/x", "no regular expressions"),
        ("~/x", "no regular expressions"),
        ("/foo*", 'did you mean "/foo/*"?'),
        ("/a/*/b", "only at the end"),
        ("/a/**", "only at the end"),
        ("*", "begins with"),
        ("/a?b=c", "the query is not part of the path"),
        ("/a#b", "never sent to a server"),
        ("/café/*", 'did you mean "/caf%C3%A9/*"?'),
        ("/{id}", "%7B"),
        ("/a%2", "two hexadecimal digits"),
        ("/a//b", '"//" is read in more than one way'),
        ("/a//*", '"//" is read in more than one way'),
        ("//*", "more than one way"),
        ("/a/../b", "more than one way"),
        ("/a/.", "more than one way"),
        ("/a/%2e%2E/*", "more than one way"),
        ("/a%2f/b", "more than one way"),
        ("/a;b/*", "more than one way"),
        ("/a%3Bb", "more than one way"),
        ("/a%5cb", "more than one way"),
        ("/a%00", "more than one way"),
        ("/" + "a" * 2048, "at most 2048"),
        ("/a b", "is no condition"),
        ("/a X-A", "is no condition"),
        ("/a =x", "is no condition"),
        ("/a ?=x", "is no condition"),
        ("/a X(A)=x", "is not the name of a header"),
        ("/a X-A=1 x-a=2", "X-A is named twice"),
        ("/a ?a=1 ?a=2", "named twice"),
        ("/a Host=b", "Host is what the route is found by"),
        ("/a X-A=%0d", "control characters"),
    ],
)
def test_what_is_no_match_is_told_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["/*/*", "/a/*/*", "/a//*", "/a.*", "/a/..*"])
def test_what_can_be_no_match_is_not_proposed(text: str) -> None:
    """A hint is a match that is accepted."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    _, hinted, hint = str(caught.value).partition('did you mean "')
    if hinted:
        assert parse(hint.removesuffix('"?')).below


def test_escapes_that_need_not_be_are_the_same_path() -> None:
    """Unreserved characters mean the same with and without an escape, all others do not."""
    assert normal(b"/%61%7e%2d/%2f%3f%C3%a9") == b"/a~-/%2F%3F%C3%A9"
    assert normal(b"/a%b%4") == b"/a%b%4"


def test_the_order_of_precedence() -> None:
    """Exact before prefix, longer before shorter, then with method, then more headers, then more query parameters."""
    ordered = [
        "GET /a/b X-A=1 X-B=1",
        "GET /a/b ?v=1 ?w=1 X-A=1",
        "GET /a/b X-A=1",
        "GET /a/b ?v=1 ?w=1",
        "GET /a/b ?v=1",
        "GET /a/b",
        "/a/b X-A=1",
        "/a/b ?v=1",
        "/a/b",
        "GET /a/b/*",
        "/a/b/*",
        "GET /a/* X-A=1",
        "/a/*",
        "/*",
    ]
    for seed in range(20):
        shuffled = random.Random(seed).sample(ordered, len(ordered))
        assert sorted(shuffled, key=lambda text: precedence(parse(text))) == ordered


@each_row(
    ("one", "other", "tied"),
    [
        ("/a", "/a", True),
        ("/a", "/%61", True),
        ("/a%2fb", "/a%2Fb", True),
        ("/a", "/a/*", False),
        ("/a", "GET /a", False),
        ("GET /a", "HEAD /a", False),
        ("GET|POST /a", "POST|PUT /a", True),
        ("/a X-Env=prod", "/a X-Env=dev", False),
        ("/a X-Env=prod", "/a x-env=prod", True),
        ("/a X-Env=prod", "/a X-Env=*", True),
        ("/a X-Env=prod", "/a X-Team=a", True),
        ("/a ?v=1", "/a ?v=2", False),
        ("/a ?v=1", "/a ?w=2", True),
        ("/a ?v=1", "/a X-V=1", False),
        ("/a ?v=1 X-A=1", "/a ?v=2 X-A=1", False),
        ("/a ?v=1 X-A=1", "/a ?v=1 X-B=1", True),
        ("GET /a ?v=1", "POST /a ?v=1", False),
    ],
)
def test_ties(one: str, other: str, *, tied: bool) -> None:
    """Tied is what one request could fall into with nothing that puts one before the other."""
    assert list(ties([parse(one), parse(other)])) == ([(1, 0)] if tied else [])
    assert bool(list(ties([parse(other), parse(one)]))) is tied


def test_ties_name_each_later_one_once() -> None:
    """However many are tied, there is one pair for each that comes later, with the first that it is tied with."""
    matches = [parse(text) for text in ("/b", "/a X-A=1", "GET|PUT /c", "/a X-B=1", "PUT /c", "/a X-A=2", "GET /c")]
    assert list(ties(matches)) == [(3, 1), (4, 2), (5, 3), (6, 2)]


def test_thousands_of_cases_are_compared_by_what_tells_them_apart() -> None:
    """Cases of one path that all ask for another value cost no comparison with each other."""
    compared = 0

    class Counting(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    matches = [Match("/x", headers=(("X-A", Counting(number)), ("X-B", Counting(7)))) for number in range(5000)]
    assert not list(ties([*matches, *(parse(f"/p{number}/*") for number in range(300))]))
    assert compared < 100_000
