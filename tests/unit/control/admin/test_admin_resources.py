"""What answers about routes tell of their cases and filters."""

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin.messages import Provenances
from mcproxy.control.admin.resources import RouteCases
from mcproxy.control.counters.filter_totals import FilterTotals
from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.state import Case, Filter, Listener, Route, State
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.origins import Origin

ADDR = ":443"
KEY = (ADDR, "a.test")
STATE = State(
    {ADDR: Listener(ADDR, use=("public",))},
    {
        KEY: Route(*KEY, mode="l7", use=("office",)),
        (ADDR, "b.test"): Route(ADDR, "b.test", mode="l7", without=("public",)),
    },
    filters={name: Filter(name=name) for name in ("public", "office")},
    cases={
        (*KEY, "/b/*"): Case(*KEY, "/b/*", filter=FilterOptions(max_body=1), without=("office",)),
        (*KEY, "/a/*"): Case(*KEY, "/a/*", (Endpoint("10.0.0.1", 80),)),
    },
)


def told(hostname: str, totals: FilterTotals = FilterTotals()) -> pb.Route:  # noqa: B008 - immutable
    message = pb.Route(listener=ADDR, hostname=hostname)
    RouteCases(STATE, totals).add_to(message, Provenances({("case", *KEY, "/a/*"): Origin("/x.toml", 9, 1)}, ()))
    return message


def test_cases_with_their_filters_and_what_was_counted() -> None:
    """In the order of their keys; what holds for each, and what was refused on the route."""
    blocks = {(*KEY, "office", "allow"): 3, (*KEY, "(case)", "body"): 1, (ADDR, "b.test", "office", "rate"): 7}
    message = told("a.test", FilterTotals({(*KEY, "/a/*"): 5, (ADDR, "b.test", "/b/*"): 9}, blocks))
    assert list(message.filters) == ["public", "office"]
    assert [(one.match, one.action, list(one.filters), one.requests) for one in message.cases] == [
        ("/a/*", "10.0.0.1:80", ["public", "office"], 5),
        ("/b/*", "", ["public", "(case)"], 0),
    ]
    assert message.cases[0].provenance.origin == "/x.toml:9"
    assert dict(message.filter_blocks) == {"office (allow)": 3, "(case) (body)": 1}


def test_a_route_without_any() -> None:
    """Nothing is told of those of others."""
    message = told("b.test")
    assert (list(message.filters), list(message.cases), dict(message.filter_blocks)) == ([], [], {})
