"""Cases in files: what becomes of them, and what is told of those that are wrong, with line and column."""

from collections.abc import Callable
from random import Random

import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.filter_options import FilterOptions, Page
from mcproxy.model.state.rules.ties import tied_cases
from mcproxy.model.state.state import Case, State
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.http import matches
from mcproxy.model.values.http.filter_types import parse_match
from tests.support.rows import each_row
from tests.unit.model.config.test_filters import L4, L7, LISTENER, WEB, read, told

KEY = (":1", "a")


def cases(*items: str) -> str:
    """Return a file whose l7 route has cases, one in each line from the tenth on."""
    return f"{LISTENER}{L7}cases = [\n" + "".join(f"{item},\n" for item in items) + "]\n"


def test_a_case_is_a_resource_under_its_match_in_full() -> None:
    """Its conditions may stand in tables; methods and names have an order of their own, names of headers one form."""
    state = read(
        WEB
        + cases(
            '{ match = "POST|GET /a/*", backend = "web" }',
            '{ match = "/b", query = { v = "2", "a b" = "*" }, headers = { x-env = "a \\"b\\"", accept = "*" } }',
            '{ match = "/c ?v=2 x-env=prod", backend = ["h:1", "h:2"], filter = { max_body = "1B" } }',
            '{ match = "/d%c3%bc", respond = { file = "m.html" }, status = 503 }',
        )
    ).state
    assert state.cases == {
        (*KEY, match): Case(*KEY, match, **fields)  # type: ignore[arg-type]  # of its literals
        for match, fields in {
            "GET|POST /a/*": {"upstream": "web"},
            '/b ?a%20b=* ?v=2 Accept=* X-Env=a%20"b"': {},
            "/c ?v=2 X-Env=prod": {
                "endpoints": (Endpoint("h", 1), Endpoint("h", 2)),
                "filter": FilterOptions(max_body=1),
            },
            "/d%C3%BC": {"respond": Page(file="/m.html"), "status": 503},
        }.items()
    }
    assert all(str(matches.parse(match)) == match for *_, match in state.cases)


def problem_of(parse: Callable[[str], object], text: str) -> str:
    """Return why a text is refused, "" if it is not."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return ""


def test_a_match_that_is_in_its_one_form_is_taken_as_it_is() -> None:
    """Which is quicker; it says the same as taking it apart."""
    random = Random(7)
    for _ in range(3000):
        text = "".join(
            random.choice(("/", "a", "B0", ".", "..", "-", "%41", "*", "/*", "GET ", "HEAD", "|", " ", "~", ";"))
            for _ in range(6)
        )
        for each in (text, f"/{text}", f"GET /{text}", f"/a/{text}/*"):
            refused, problem = problem_of(matches.parse, each), problem_of(parse_match, each)
            assert (refused in problem) if refused else not problem
            assert refused or parse_match(each) == str(matches.parse(each))
    with pytest.raises(ValueError, match="characters"):
        parse_match("/a" * 2000)


@each_row(
    ("text", "problem"),
    [
        (cases('{ match = "foo" }'), '10:11: error: {}.match: "foo": a path begins with "/"; did you mean "/foo"?'),
        (
            cases('{ match = "/foo*" }'),
            '10:11: error: {}.match: "/foo*": a * stands only at the end, as /*; did you mean "/foo/*"?',
        ),
        (
            cases('{ match = "get /" }'),
            '10:11: error: {}.match: "get" is no method, as in "GET" or "GET|HEAD"; did you mean "GET"?',
        ),
        (cases("{ }"), '10:1: error: {}: the key "match" is missing'),
        (
            cases('{ match = "/a", backend = "wbe" }') + WEB.replace("[", "[", 1),
            '10:27: error: {}.backend: there is no upstream "wbe"; did you mean "web"? (an address needs a port)',
        ),
        (
            cases('{ match = "/a", backend = ":1" }'),
            '10:27: error: {}.backend: ":1" has no host; did you mean "127.0.0.1:1"?',
        ),
        (
            cases('{ match = "/a", backend = "127.0.0.1:1" }'),
            "10:27: warning: {}.backend: is this listener itself: connections come back without end; name what is behind the proxy",
        ),
        (
            cases('{ match = "/a", redirect = "/x", respond = "y" }'),
            "10:34: error: {}.respond: a case has either redirect or respond, not both",
        ),
        (
            cases('{ match = "/a", status = 404 }'),
            "10:17: warning: {}.status: has no effect without redirect or respond",
        ),
        (
            cases('{ match = "/a", redirect = "/x", status = 200 }'),
            "10:43: error: {}.status: must be one of 301, 302, 303, 307, 308 for a redirect",
        ),
        (cases('{ match = "/a", respond = { file = "" } }'), "10:36: error: {}.respond.file: must name a file"),
        (
            cases('{ match = "/a", respond = { fil = "x" } }'),
            '10:29: error: {}.respond.fil: unknown key; did you mean "file"?',
        ),
        (cases('{ match = "GET foo" }'), '10:11: error: {}.match: "foo": a path begins with "/"; did you mean "/foo"?'),
        (
            cases('{ match = "/a", use = ["b"] }'),
            '10:24: error: {}.use[0]: there is no filter "b"; it needs [filters.b]',
        ),
        (
            cases('{ match = "/a X-A=1", headers = { x-a = "1" } }'),
            "10:23: error: {}.headers: the header X-A is named twice",
        ),
        (
            cases('{ match = "/a ?q=1", query = { q = "1" } }'),
            '10:22: error: {}.query: the query parameter "q" is named twice',
        ),
        (
            cases('{ match = "/a", priority = 1 }'),
            "10:17: error: {}.priority: unknown key; the place in the file never matters: the more exact match wins, and a tie is an error",
        ),
    ],
)
def test_one_mistake_has_one_message(text: str, problem: str) -> None:
    """At the key or value that it is about."""
    found = [each for each in told(text) if "nothing uses" not in each and "no route leads" not in each]
    assert found == [problem.format("listeners[0].routes[0].cases[0]")]


@pytest.mark.parametrize(
    ("one", "other", "problem"),
    [
        (
            'match = "GET /a"',
            'match = "GET|POST /a"',
            'some requests are for this case and as much for "GET /a" at /m.toml:10',
        ),
        (
            'match = "/a", headers = { X-Env = "prod" }',
            'match = "/a X-Team=a"',
            'some requests are for this case and as much for "/a X-Env=prod" at /m.toml:10',
        ),
        (
            'match = "/%61/*"',
            'match = "/a/*"',
            'some requests are for this case and as much for "/%61/*" at /m.toml:10',
        ),
        ('match = "/a"', 'match = "/a"', 'the route already has a case "/a", at /m.toml:10'),
        (
            'match = "/a ?v=2"',
            'match = "/a", query = { v = "2" }',
            'the route already has a case "/a ?v=2", at /m.toml:10',
        ),
    ],
)
def test_where_two_cases_could_win_the_file_is_refused_with_both_lines(one: str, other: str, problem: str) -> None:
    """Whatever the order; the later one is told."""
    assert told(cases(f"{{ {one} }}", f"{{ {other} }}")) == [
        f"11:11: error: listeners[0].routes[0].cases[1].match: {problem}"
    ]


@pytest.mark.parametrize(
    "pair",
    [
        ("/a", "/a/*"),
        ("GET /a", "/a"),
        ("GET /a", "POST /a"),
        ("GET /a", "HEAD /a"),
        ("/a X-Env=prod", "/a X-Env=dev"),
        ("/a X-Env=prod", "/a ?v=1"),
        ("/a X-Env=prod", "/a"),
        ("/A", "/a"),
    ],
)
def test_where_one_comes_first_there_is_no_tie(pair: tuple[str, str]) -> None:
    """Or where no request fits both."""
    assert told(cases(*(f'{{ match = "{match}" }}' for match in pair))) == []


def test_ties_of_many_cases_are_found_soon() -> None:
    """Also where all of them are of one path."""
    texts = [f"/p{number % 100}/{number} X-A={number}" for number in range(5000)]
    texts += [f"/same X-{number % 150}=a X-B={number}" for number in range(300)]
    state = State(cases={(*KEY, text): Case(*KEY, text) for text in texts})
    assert list(tied_cases(state)) == []  # a look at every pair would take longer than any test may


def test_cases_need_an_l7_route() -> None:
    """A route with cases needs no action of its own."""
    assert told(f'{LISTENER}{L4}cases = [{{ match = "/x" }}]\n') == [
        '6:20: error: listeners[0].routes[0].cases[0].match: an l4 route sees no requests; cases need mode = "l7"'
    ]
    bare = LISTENER + L7.replace('backend = "h:1"\n', "")
    assert told(bare + 'cases = [{ match = "/x", respond = "y" }]\n') == []
    assert told(bare + 'cases = [{ match = "/x" }]\n') == [
        "8:10: warning: listeners[0].routes[0].cases[0]: neither the case nor its route has backend, redirect or respond: such requests get 404"
    ]
    (problem,) = told(bare)
    assert problem.endswith("a route needs a backend; an l7 route may have redirect, respond or cases instead")


def test_cases_stand_with_routes_in_other_files_too() -> None:
    """Of a team's own file, say; origins are told."""
    other = (
        '[[routes]]\nlistener = ":1"\n' + L7.partition("\n")[2] + '[[routes.cases]]\nmatch = "/x"\nbackend = "h:2"\n'
    )
    resolution = resolve([Source("/m.toml", f'include = ["1.toml"]\n{LISTENER}'), Source("/1.toml", other)])
    assert list(resolution.state.cases) == [(*KEY, "/x")]
    assert str(resolution.origins["case", *KEY, "/x"]) == "/1.toml:8"
