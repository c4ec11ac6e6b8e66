"""Cases against a naive reading of the rules, and against backends that read paths in their own ways."""

import random
import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.model.values.http.matches import Match, parse, precedence, ties
from mcproxy.policy.cases.readings import LONGEST, MOST, is_odd, readings
from mcproxy.policy.cases.table import Ambiguous, CaseTable
from tests.support.examples import examples

PARTS = [
    *("/", "//", "/admin", "admin", "a", "x", ".", "..", "/../", "/./", ";", ";v=1", "\\", "%2f", "%2F", "%5c", "%2e", "%2E%2e"),
    *("%61dmin", "adm%69n", "%25", "%252e", "%252f", "%2561", "%3b", "%00", "%3f", "%23", "%0a", "%20", "%c0%af", "%c0%ae", "%e4%bd%a0", "%"),
]  # fmt: skip
paths = st.lists(st.sampled_from(PARTS), max_size=9).map(lambda parts: ("/" + "".join(parts)).encode())


def decoded(path: bytes) -> bytes:
    return unquote_to_bytes(path)


def bare(path: bytes) -> bytes:
    return re.sub(rb";[^/]*", b"", path)


def merged(path: bytes) -> bytes:
    return re.sub(rb"/+", b"/", path)


def slashed(path: bytes) -> bytes:
    return path.replace(b"\\", b"/")


def resolved(path: bytes) -> bytes:
    """Resolve dots as a file system does: empty segments count for nothing, and neither does a slash at the end."""
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            kept = kept[:-1]
        elif segment not in (b"", b"."):
            kept.append(segment)
    return b"/" + b"/".join(kept)


def cut(path: bytes) -> bytes:
    return re.split(rb"[\x00?#;]", path, maxsplit=1)[0]


def unbroken(path: bytes) -> bytes:
    return re.sub(rb"[\x00\t\n\r]", b"", path)


STEPS: list[Callable[[bytes], bytes]] = [bare, merged, slashed, resolved, cut, unbroken]


@examples(250)
@given(paths, st.lists(st.sampled_from([*STEPS, decoded]), max_size=6), st.sampled_from(["/admin/*", "GET /admin/*"]))
def test_no_backend_reads_a_guarded_path_that_the_proxy_does_not(
    path: bytes, steps: list[Callable[[bytes], bytes]], match: str
) -> None:
    """Whatever a backend does to a path, in any order and decoding twice at most: what ends up below the prefix is the case's, or nobody's."""
    read, decodings = path, 0
    for step in steps:
        if step is decoded:
            decodings += 1
            if decodings > 2:
                continue
        read = step(read)
    if read == b"/admin" or read.startswith(b"/admin/"):
        case = CaseTable([(parse(match), match)]).find(b"GET", path, [])
        assert case == match or isinstance(case, Ambiguous)


@given(paths)
def test_readings_are_bounded_and_the_same_every_time(path: bytes) -> None:
    """Few, each once; of a plain path the path alone."""
    found = readings(path)
    assert found == readings(path)
    assert (found == (path,)) or is_odd(path)
    if found is not None:
        assert len(found) == len(set(found)) <= MOST
        assert all(len(reading) <= len(path) <= LONGEST for reading in found)


@examples(100)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4), st.integers(1, 4000))
def test_a_long_path_is_read_in_few_steps(parts: list[str], times: int) -> None:
    """However it repeats what can be read in several ways, there are few readings, or it is refused."""
    path = ("/" + "".join(parts) * times).encode()
    found = readings(path)
    assert found is None or len(found) <= MOST


SEGMENTS = st.sampled_from(["a", "b", "c", "a%2Fb", "a%20b", "~u"])
prefixes = st.lists(SEGMENTS, max_size=4).map(lambda segments: "".join(f"/{segment}" for segment in segments))
methods = st.lists(st.sampled_from(["GET", "HEAD", "POST", "PUT"]), max_size=2, unique=True).map(
    lambda found: tuple(sorted(found))
)
values = st.sampled_from(["1", "2", "*"])
conditions = st.dictionaries(st.sampled_from(["X-A", "X-B"]), values, max_size=2).map(
    lambda found: tuple(sorted(found.items()))
)
parameters = st.dictionaries(st.sampled_from(["v", "w"]), values, max_size=2).map(
    lambda found: tuple(sorted(found.items()))
)


@st.composite
def tables(draw: st.DrawFn, paths: st.SearchStrategy[str] = prefixes, most: int = 10) -> list[Match]:
    """Draw matches of which no two are tied."""
    found: list[Match] = []
    for _ in range(draw(st.integers(1, most))):
        path, below = draw(paths), draw(st.booleans())
        match = Match(path or ("" if below else "/"), below, draw(methods), draw(parameters), draw(conditions))
        if not list(ties([*found, match])):
            found.append(match)
    return found


def fits(match: Match, method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> bool:
    """Judge a request without anything odd by the words of the documentation."""
    right = path == match.path or (match.below and path.startswith(f"{match.path}/"))
    named = not match.methods or method in match.methods or (method == "HEAD" and "GET" in match.methods)
    met = all(name in query and value in ("*", query[name]) for name, value in match.query)
    return (
        right
        and named
        and met
        and all(name in headers and value in ("*", headers[name]) for name, value in match.headers)
    )


def best(table: list[Match], method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> Match | None:
    """Return the first that fits; where GET stands for HEAD, what names HEAD comes first among cases of its path."""

    def order(match: Match) -> tuple[object, ...]:
        below, length, without, *rest = precedence(match)
        return (below, length, without, method == "HEAD" and "HEAD" not in match.methods and not without, *rest)

    return min((match for match in table if fits(match, method, path, query, headers)), key=order, default=None)


@examples(150)
@given(
    tables() | tables(st.just("/a"), 40),
    st.sampled_from(["GET", "HEAD", "POST", "DELETE"]),
    st.lists(st.sampled_from(["a", "b", "c", "~u", "d", ""]), max_size=5),
    st.dictionaries(st.sampled_from(["v", "w"]), st.sampled_from(["1", "2", "3"])),
    st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.sampled_from(["1", "2", "3"])),
    st.integers(0, 99),
)
def test_agrees_with_the_oracle(
    table: list[Match], method: str, segments: list[str], query: dict[str, str], headers: dict[str, str], seed: int
) -> None:
    """Whatever the cases and their order, the first by precedence that fits is found, also the second time."""
    path = "/" + "/".join(segments)
    plain = [match for match in table if "%" not in match.path]
    expected = None if is_odd(path.encode()) else best(plain, method, path, query, headers)
    shuffled = random.Random(seed).sample(plain, len(plain))
    cases = CaseTable((match, match) for match in shuffled)
    target = path + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    for _ in range(2):
        if not is_odd(path.encode()):
            assert cases.find(method.encode(), target.encode(), fields) == expected


@given(tables(), paths, st.integers(0, 99))
def test_the_order_of_cases_makes_no_difference(table: list[Match], path: bytes, seed: int) -> None:
    """Also for odd paths, and for cases with escapes in theirs."""
    shuffled = random.Random(seed).sample(table, len(table))
    answers = [CaseTable((match, match) for match in order).find(b"GET", path, []) for order in (table, shuffled)]
    assert answers[0] == answers[1]


@given(tables())
def test_a_match_is_read_as_it_is_written(table: list[Match]) -> None:
    for match in table:
        assert parse(str(match)) == match
