"""Which case a request falls into."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from mcproxy.model.values.http.matches import Match, parse
from mcproxy.policy.cases import conditions, places
from mcproxy.policy.cases import table as case_table
from mcproxy.policy.cases.conditions import Asked, Facts
from mcproxy.policy.cases.paths import Paths
from mcproxy.policy.cases.table import Ambiguous, CaseTable
from tests.support.rows import each_row

TABLE = json.loads((Path(__file__).parents[3] / "data" / "cases.json").read_text())
PROBES = [  # each reads as something below /admin to some backend
    *(rb"/%61dmin/x /admin%2fx /x/../admin /x/%2e%2e/admin //admin /admin;x=1/y /api/..;/admin /x\..\admin /%2561dmin".split()),
    *(rb"/%41%64min/../admin /x/%2E%2e/admin /x/.%2e/admin /x/%2e./admin/ /x%2f..%2Fadmin /x/..%2fadmin /./admin".split()),
    *(rb"/.;a/admin /;/admin /;a=b/admin/ /%3b/admin /admin%3bx/y /x/..%3b/admin /x/%2e%2e;/admin /%5cadmin /x/..%5Cadmin".split()),
    *(rb"/x\../admin /\admin /admin\x /admin%5cx /admin%00 /admin%00/x /admin%00.png /admin%3Fx /admin%23 /admin%252fx".split()),
    *(rb"/%252e/admin /x/%252e%252e/admin /x/%25%32%65%25%32%65/admin ///admin //x/admin /%2f/admin /%2fadmin //x//admin".split()),
    *(rb"/x/y/../../admin /x//../admin /admin//../../admin/x /x/.;/../admin /x/%c0%ae%c0%ae/admin /x%c0%afadmin/..%2fadmin".split()),
    *(rb"/%e0%80%afadmin /x/%c0%2e/%c0%ae%c0%ae/../admin /x/./.././admin /%61%64%6d%69%6e /%2561%2564min/x /adm%69n;/x".split()),
]  # fmt: skip


def table(*matches: str) -> CaseTable[str]:
    return CaseTable((parse(match), match) for match in matches)


def found(cases: CaseTable[str], line: str, headers: dict[str, str] | None = None) -> str | None:
    method, target = line.split()
    fields = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    case = cases.find(method.encode(), target.encode(), fields)
    return "ambiguous" if isinstance(case, Ambiguous) else case


@each_row(("line", "headers", "case"), TABLE["requests"])
def test_the_table_of_request_lines(line: str, headers: dict[str, str], case: str | None) -> None:
    assert found(table(*TABLE["cases"]), line, headers) == case


def test_the_order_of_cases_makes_no_difference() -> None:
    """However they are shuffled, the same case wins, and the same two are named where readings differ."""
    wanted = None
    for seed in range(100):
        cases = table(*random.Random(seed).sample(TABLE["cases"], len(TABLE["cases"])))
        answers = []
        for line, headers, _ in TABLE["requests"]:
            method, target = line.encode().split()
            answers.append(cases.find(method, target, [(k.lower().encode(), v.encode()) for k, v in headers.items()]))
        assert answers == (wanted := wanted or answers)


@pytest.mark.parametrize("match", ["/admin/*", "GET /admin/*", "/adm%69n/*"])
def test_no_spelling_gets_around_a_prefix(match: str) -> None:
    """A path that some backend could read as one below the prefix belongs to its case, or to nobody."""
    for probe in PROBES:
        for target in (probe, probe + b"?q=1", probe.replace(b"%2e", b"%2E"), probe.replace(b"%2F", b"%2f")):
            case = table(match).find(b"GET", target, [])
            assert case == match or isinstance(case, Ambiguous), target


@each_row(
    "probe",
    rb"/%61dmin /x/../admin /x/%2e%2E/admin //admin /admin;x=1 /admin; /x/..;/admin /x\..\admin /%2561dmin /admin%00 /admin/. /admin/./ "
    rb"/admin;x/y /ad%09min /adm%00in /%0aadmin /admin/x/.. /admin// /admin%2f. /admin/%2e /admin%3f /./admin /admin/;/.. /admin%00.html //x/admin".split(),
)
@each_row("match", ["/admin", "GET|POST /admin"])
def test_no_spelling_gets_around_an_exact_path(probe: bytes, match: str) -> None:
    case = table(match).find(b"GET", probe, [])
    assert case == match or isinstance(case, Ambiguous)


@pytest.mark.parametrize(
    ("match", "plain", "below"),
    [
        ("/team/group%2Fproject/*", "/team/group%2fproject", "/team/group/project"),
        ("/a%20b/*", "/a%20b", "/a%2520b"),
        ("/caf%C3%A9/*", "/caf%c3%a9", "/caf%25C3%25A9"),
        ("/%61dmin/*", "/admin", "/%2561dmin/../x"),
    ],
)
def test_a_path_with_escapes_is_guarded_in_its_other_readings_too(match: str, plain: str, below: str) -> None:
    """What a decoding backend takes for the same as the case's path doesn't get around the case."""
    cases = table(match)
    for tail in ("", "/", "/x", "/x%20y"):
        assert found(cases, f"GET {plain}{tail}") == match
        assert found(cases, f"GET {below}{tail}") == "ambiguous"


@each_row(
    "path",
    [
        "/api/projects/group%2Fproject",
        "/static/a//b",
        "/public/a%20b",
        "/files/a;v=1/b",
        "/%E4%BD%A0%E5%A5%BD",
        "/.well-known/x",
        "/a/..b/...",
        "/x/../y",
        "/administration%20",
        "/x/admin",
        "/x%2fadmin",
    ],
)
def test_odd_paths_pass_where_all_readings_agree(path: str) -> None:
    """Only what leads to different cases is refused."""
    assert found(table("/admin/*", "/api/*"), f"GET {path}") == ("/api/*" if path.startswith("/api/") else None)
    assert found(table("/*"), f"GET {path}") == "/*"


def test_what_differs_is_named() -> None:
    """Who is to mend it learns of both cases and the reading that leads to the other."""
    cases = table("/admin/*", "/public/*")
    assert cases.find(b"GET", b"/public/..%2fadmin/x?y", []) == Ambiguous("/public/*", "/admin/*", b"/admin/x")
    assert cases.find(b"GET", b"/admin/../x", []) == Ambiguous("/admin/*", None, b"/x")


def test_a_path_with_too_many_readings_belongs_to_nobody() -> None:
    """Whether long or confused: what nobody can tell is not guessed, though a plain path may be as long as it likes."""
    cases = table("/admin/*")
    assert cases.find(b"GET", b"/a%20" * 900, []) == Ambiguous(None, None, b"")
    assert found(cases, "GET " + r"/%252e%253b%255c//..;a/%25%32%65\\%00/.%2e/" * 3) == "ambiguous"
    assert found(cases, "GET " + "/a" * 16_000) is None
    assert found(cases, "GET /admin" + "/a" * 16_000) == "/admin/*"


def test_the_asterisk_belongs_to_everything() -> None:
    """``OPTIONS *`` is below no path but that of all."""
    assert found(table("/a/*", "/*"), "OPTIONS *") == "/*"
    assert found(table("/a/*"), "OPTIONS *") is None


def test_where_no_case_of_a_path_fits_a_shorter_one_is_asked() -> None:
    """A method or condition that isn't met leads on to the next shorter prefix, not to the route."""
    cases = table("POST /a/b", "/a/b/* X-A=1", "GET /a/*", "/*")
    assert found(cases, "POST /a/b") == "POST /a/b"
    assert found(cases, "GET /a/b") == "GET /a/*"
    assert found(cases, "GET /a/b", {"X-A": "1"}) == "/a/b/* X-A=1"
    assert found(cases, "PUT /a/b") == "/*"


def test_head_follows_get_unless_it_is_named() -> None:
    """And what names it comes first, whatever else GET asks for; nothing of GET is lost to HEAD."""
    cases = table("GET /a X-A=1 X-B=1", "HEAD /a X-A=1", "GET /b", "/b X-A=1", "HEAD /b/*")
    both = {"X-A": "1", "X-B": "1"}
    assert found(cases, "HEAD /a", both) == "HEAD /a X-A=1"
    assert found(cases, "GET /a", both) == "GET /a X-A=1 X-B=1"
    assert found(cases, "HEAD /b", {"X-A": "1"}) == "GET /b"
    assert found(cases, "HEAD /a") is None


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ([(b"x-env", b"prod")], True),
        ([(b"x_env", b"prod")], True),
        ([(b"x.env", b"prod")], True),
        ([(b"x-env", b"Prod")], False),
        ([(b"x-env", b"prod"), (b"x-env", b"prod")], False),
        ([(b"x-env", b"prod"), (b"x_env", b"dev")], False),
        ([(b"x-environment", b"prod")], False),
        ([], False),
    ],
)
def test_a_header_is_what_a_backend_reads_as_its_name(fields: list[tuple[bytes, bytes]], *, fits: bool) -> None:
    """In any spelling; several fields are one value, so that no request fits two cases."""
    cases = table("/ X-Env=prod", "/ X-Env=dev", "/x X-Env=*")
    assert cases.find(b"GET", b"/", fields) == ("/ X-Env=prod" if fits else None)
    present = any(
        name.translate({ord("."): "-", ord("_"): "-"}) == "x-env" for name, _ in ((n.decode(), v) for n, v in fields)
    )
    assert cases.find(b"GET", b"/x", fields) == ("/x X-Env=*" if present else None)


@each_row(
    ("query", "case"),
    [
        ("v=2", "/ ?v=2"),
        ("a&v=2&b=3", "/ ?v=2"),
        ("%76=%32", "/ ?v=2"),
        ("v=2&v=2", "/ ?v=2"),
        ("v=2&v=1", None),
        ("V=2", None),
        ("v", None),
        ("v=2+3", "/ ?v=2%203"),
        ("v=2%203", "/ ?v=2%203"),
        ("w", "/ ?w=*"),
        ("w=1&w=2", "/ ?w=*"),
        ("", None),
    ],
)
def test_conditions_on_the_query(query: str, case: str | None) -> None:
    assert found(table("/ ?v=2", "/ ?v=2%203", "/ ?w=*"), f"GET /?{query}") == case


def test_many_cases_of_one_path_are_not_asked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of hundreds has the value that a request has is looked up; what asks for more still comes first."""
    asked: list[Asked] = []

    def fits(wanted: Asked, known: Facts) -> bool:
        asked.append(wanted)
        return conditions.fits(wanted, known)

    monkeypatch.setattr(places, "fits", fits)
    more = ["/x X-A=1 X-Env=v7", "GET /x ?q=1", "/x X-B=*", "/x", "POST /x X-Env=v8"]
    cases = table(*(f"/x X-Env=v{number}" for number in range(300)), *more)
    assert found(cases, "GET /x", {"X-Env": "v7"}) == "/x X-Env=v7"
    assert found(cases, "GET /x", {"X-Env": "v7", "X-A": "1"}) == "/x X-A=1 X-Env=v7"
    assert found(cases, "POST /x", {"X-Env": "v8"}) == "POST /x X-Env=v8"
    assert found(cases, "HEAD /x?q=1", {"X-Env": "v7"}) == "GET /x ?q=1"
    assert found(cases, "POST /x?q=1", {"X-Env": "none"}) == "/x"
    assert found(cases, "POST /x", {"X-Env": "none", "X-B": ""}) == "/x X-B=*"
    assert 0 < len(asked) < 20


def test_a_million_paths_need_no_more_room_than_a_thousand() -> None:
    """Only so many are remembered, none that is long, and what is asked for again and again stays."""
    paths: Paths[str] = Paths(100)
    key = (paths.join(), b"/often")
    paths.put(key, "kept")
    for number in range(100_000):
        paths.put((1, b"/%d" % number), "x")
        assert len(paths) <= 100
        if not number % 20:
            assert paths.get(key) == "kept"
    assert sys.getsizeof(paths._new) + sys.getsizeof(paths._old) < 100_000


def test_a_long_path_needs_no_more_room_than_a_short_one() -> None:
    """Neither itself nor its readings are kept, though it is found again."""
    paths: Paths[Any] = Paths()
    cases = CaseTable([(parse("/a/*"), "a"), (parse("/b/*"), "b")], paths)
    plain, odd = b"/a/" + b"x" * 20_000, b"/a/" + b"x" * 300 + b"/%2e%2e/%2e%2e/b/" + b"y" * 900
    for _ in range(2):
        assert cases.find(b"GET", plain, []) == "a"
        found = cases.find(b"GET", odd, [])
        assert isinstance(found, Ambiguous)
        assert (found.one, found.other, found.reading[:4]) == ("a", "b", b"/b/y")
    assert len(paths) == 2
    kept = [key[1] for key in paths._new] + [reading for places in paths._new.values() for _, reading in places]
    assert max(map(len, kept)) <= 256


def test_what_is_too_much_to_tell_is_remembered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for it again and again costs nothing more."""
    asked: list[bytes] = []

    def count(path: bytes) -> None:
        asked.append(path)

    monkeypatch.setattr(case_table, "readings", count)
    cases = CaseTable([(Match("/a"), "a")])
    asked.clear()
    for _ in range(3):
        assert cases.find(b"GET", b"/%252e%253b", []) == Ambiguous(None, None, b"")
    assert len(asked) == 1


def test_tables_that_share_a_memory_do_not_mix() -> None:
    """The same path in two tables is two things."""
    paths: Paths[object] = Paths()
    one, other = (CaseTable([(parse("/a"), name)], paths) for name in ("one", "other"))  # type: ignore[arg-type]
    for _ in range(2):
        assert (one.find(b"GET", b"/a", []), other.find(b"GET", b"/a", [])) == ("one", "other")
    assert len(paths) == 2


def test_a_look_up_goes_no_deeper_than_the_longest_prefix() -> None:
    """The cost of a path doesn't grow with its segments: what is cut off it is not split."""
    cases = table("/a/b/*")
    assert cases._primary.depth == 2
    assert found(cases, "GET /a/b" + "/c" * 2000) == "/a/b/*"
