"""Cases and filters on the status page: which hold where, what they refuse, and which cases requests fall into."""

from mcproxy.control.counters.filter_totals import FilterTotals
from mcproxy.control.counters.sample import Sample
from mcproxy.control.observe.facts import Facts
from mcproxy.control.observe.page import render
from mcproxy.control.observe.page.cases import CASES_SHOWN, FilterStatus
from mcproxy.control.observe.page.counts import Counted
from mcproxy.control.observe.page.routes import RouteDetail
from mcproxy.control.observe.page.status import Status, Watched, make_status
from mcproxy.control.observe.page.view import View
from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.state import Case, Filter, Listener, State
from mcproxy.model.values.endpoint import Endpoint
from tests.support.observed import ADDR, HOSTILE, facts, route, route_totals, totals

KEY = (ADDR, "a.test")


def case(match: str, **fields: object) -> Case:
    return Case(*KEY, match, **fields)  # type: ignore[arg-type]


def known(*cases: Case) -> Facts:
    """Return facts about a route with cases, and filters of every place."""
    one = route("a.test", mode="l7", use=("office",), filter=FilterOptions(max_body=10, backend_errors=True))
    return facts(
        State(
            {ADDR: Listener(ADDR, use=("public",))},
            {KEY: one},
            filters={
                "public": Filter(name="public", remove_response_headers=("Server",)),
                "office": Filter(name="office", allow_cidrs=("10.0.0.0/8",)),
                "idle": Filter(name="idle", allow_cidrs=("10.0.0.0/8",)),
            },
            cases={(*KEY, each.match): each for each in cases},
        )
    )


CASES = (
    case("/api/*", endpoints=(Endpoint("10.0.0.9", 80),)),
    case("GET /robots.txt", respond="x", without=("office",)),
    case("/admin/*", filter=FilterOptions(basic_auth="/ops")),
)
BLOCKS = {
    (*KEY, "office", "allow"): 3,
    (*KEY, "(route)", "body"): 2,
    (*KEY, "(case)", "auth"): 7,
    (ADDR, "b.test", "office", "allow"): 9,
    ("_other", "_other", "_other", "rate"): 1,
}


def made(facts_: Facts, filters: FilterTotals, before: FilterTotals | None = None) -> Status:
    now = Sample(10, totals({}, {KEY: route_totals(blocks={"require_header": 1})}, filters=filters))
    earlier = None if before is None else Sample(0, totals(filters=before))
    return make_status(Watched(facts_, now, earlier), View(route=f"{ADDR} a.test"))


def detail(status: Status) -> RouteDetail:
    assert status.detail is not None
    return status.detail


def test_cases_with_what_they_do_and_how_often() -> None:
    """The most used ones first; each with the filters that hold there."""
    counted = {(*KEY, "GET /robots.txt"): 50, (*KEY, "/admin/*"): 10, (ADDR, "b.test", "/api/*"): 99}
    status = made(known(*CASES), FilterTotals(counted), FilterTotals({(*KEY, "GET /robots.txt"): 30}))
    assert [(one.match, one.action, one.filters) for one in detail(status).cases] == [
        ("GET /robots.txt", "respond 200", ("public", "(route)")),
        ("/admin/*", "", ("public", "office", "(route)", "(case)")),
        ("/api/*", "10.0.0.9:80", ("public", "office", "(route)")),
    ]
    assert [one.requests for one in detail(status).cases] == [
        Counted("requests", 50, 2),
        Counted("requests", 10, 1),
        Counted("requests", 0, 0),
    ]
    assert [one.cases for one in status.routes.shown] == [3]


def test_filters_with_what_they_set_and_refuse() -> None:
    """Those that hold for the route or one of its cases, and no other; what was refused on other routes is not told here."""
    status = made(known(*CASES), FilterTotals({}, BLOCKS))
    assert detail(status).filters == (
        FilterStatus("public", ("remove_response_headers",), ()),
        FilterStatus("office", ("allow_cidrs",), (Counted("allow", 3),)),
        FilterStatus("(route)", ("max_body", "backend_errors"), (Counted("body", 2),)),
        FilterStatus("(case)", ("basic_auth",), (Counted("auth", 7),)),
    )
    assert detail(status).route.blocked == 13, "with the policies"
    assert [(one.name, one.count) for one in status.filter_blocks] == [
        ("office (allow)", 12),
        ("(case) (auth)", 7),
        ("(route) (body)", 2),
        ("_other (rate)", 1),
    ]


def test_settings_leave_out_what_stands_elsewhere() -> None:
    """Filters have their own place."""
    assert detail(made(known(), FilterTotals())).settings == (("mode", "l7"),)


def test_of_many_cases_some_are_shown() -> None:
    """The rest are counted."""
    one = detail(made(known(*(case(f"/{number}") for number in range(CASES_SHOWN + 5))), FilterTotals()))
    assert (len(one.cases), one.cases_hidden) == (CASES_SHOWN, 5)


def test_the_page_tells_all_of_it() -> None:
    """And takes no text of a configuration for markup."""
    cases = (*CASES, case(f"/{HOSTILE}", redirect=f"/{HOSTILE}"))
    status = made(known(*cases), FilterTotals({(*KEY, "/api/*"): 5}, {**BLOCKS, (*KEY, HOSTILE, "rate"): 1}))
    page = render.page(status)
    for told in ("4 cases", "/api/*", "respond 200", "as the route", "remove_response_headers", "office (allow)"):
        assert told in page, told
    assert "<script>alert" not in page
    assert "{{7*7}}" in page
