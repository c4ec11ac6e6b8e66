"""Which filters hold in which place, and what workers get of them."""

import pytest

from mcproxy.control.counters import counters
from mcproxy.control.counters.counters import Counters
from mcproxy.errors import ApplyError
from mcproxy.model.state.filter_options import FilterOptions, ForwardAuth, Page
from mcproxy.model.state.scopes import FilterEntry, filter_keys, scope_of
from mcproxy.model.state.snapshot import CaseEntry, decode, encode, make_snapshot
from mcproxy.model.state.state import Case, Filter, Listener, Route, State
from mcproxy.model.values.endpoint import Endpoint, RouteBackend
from mcproxy.net.memory.shared_memory import SharedMemory
from tests.support.layouts import DEFAULTS
from tests.support.rows import each_row

KEY = (":1", "a")
OWN = FilterOptions(max_body=1)
NAMED = {name: ("filter", name) for name in "abc"}
ROUTE, CASE = ("route", *KEY), ("case", *KEY, "/x")


def scope(listener: str, route: str, case: str | None = None, *, own: str = "") -> list[tuple[str, ...]]:
    """Return a scope; each place is the names that it uses, then those that it does without behind a ``-``."""

    def names(text: str) -> dict[str, tuple[str, ...]]:
        use, _, without = text.partition("-")
        return {"use": tuple(use), "without": tuple(without)}

    place = Route(*KEY, mode="l7", filter=OWN if "r" in own else None, **names(route))  # type: ignore[arg-type]  # of two keys
    inner = None if case is None else Case(*KEY, "/x", filter=OWN if "c" in own else None, **names(case))  # type: ignore[arg-type]  # of two keys
    return list(scope_of(Listener(":1", use=tuple(listener)), place, inner))


@each_row(
    ("places", "own", "expected"),
    [
        (("", ""), "", []),
        (("", "", ""), "", []),
        (("ab", ""), "", ["a", "b"]),
        (("a", "b"), "r", ["a", "b", ROUTE]),
        (("a", "b", "c"), "rc", ["a", "b", ROUTE, "c", CASE]),
        (("a", "", None), "r", ["a", ROUTE]),
        (("ab", "-a"), "", ["b"]),
        (("ab", "-a", ""), "", ["b"]),
        (("ab", "-a", "a"), "", ["b", "a"]),
        (("a", "b", "-ab"), "r", [ROUTE]),
        (("a", "b", "c-b"), "", ["a", "c"]),
        (("ab", "a"), "", ["b", "a"]),
        (("ab", "", "a"), "r", ["b", ROUTE, "a"]),
    ],
)
def test_filters_hold_from_the_outermost_to_the_innermost(
    places: tuple[str, ...], own: str, expected: list[str | tuple[str, ...]]
) -> None:
    """One that several places name holds once, in the innermost of them; what is done without does not hold further in."""
    assert scope(*places, own=own) == [NAMED.get(each, each) if isinstance(each, str) else each for each in expected]


STATE = State(
    {":1": Listener(":1", use=("a",))},
    {KEY: Route(*KEY, (Endpoint("h", 1), Endpoint("h", 2)), mode="l7", respond=Page(file="/m"), filter=OWN)},
    settings=DEFAULTS,
    filters={
        "a": Filter(name="a", basic_auth="/users", error_pages=(("404", "/m"), ("5xx", "/e"))),
        "b": Filter(name="b", forward_auth=ForwardAuth(backend=RouteBackend((), "auth"))),
    },
    cases={
        (*KEY, "/x"): Case(*KEY, "/x", (Endpoint("h", 3), Endpoint("h", 4)), use=("b",), without=("a",), filter=OWN)
    },
)


def test_workers_get_filters_once_and_scopes_as_their_indices() -> None:
    """With the contents of files by digest, and upstreams for lists of addresses."""
    keys = list(filter_keys(STATE))
    assert keys == [("filter", "a"), ("filter", "b"), ROUTE, CASE]
    endpoints = {(name, f"h:{port}"): port for port in (1, 2, 3, 4) for name in (":1 a", ":1 a /x")}
    digests = {"/users": "u", "/m": "m", "/e": "e"}
    made = make_snapshot(
        STATE,
        1,
        {":1": 0},
        {KEY: 0},
        {":1": 1},
        digests=digests,
        endpoint_indices=endpoints,
        filter_indices={key: 10 + number for number, key in enumerate(keys)},
    )
    snapshot = decode(encode(made))
    assert snapshot == made
    assert [(each.index, each.name, each.upstream, each.digests) for each in snapshot.filters] == [
        (10, "a", "", digests),
        (11, "b", "auth", {}),
        (12, "(route)", "", {}),
        (13, "(case)", "", {}),
    ]
    assert all(type(each.options) is FilterOptions for each in snapshot.filters)
    (entry,) = snapshot.listeners[0].routes
    assert (entry.scope, entry.page, entry.upstream) == ((10, 12), "m", ":1 a")
    assert entry.cases == (CaseEntry(STATE.cases[*KEY, "/x"], (12, 11, 13), ":1 a /x", ""),)
    assert [(each.name, [str(one.endpoint) for one in each.endpoints]) for each in snapshot.upstreams] == [
        (":1 a", ["h:1", "h:2"]),
        (":1 a /x", ["h:3", "h:4"]),
    ]


def test_a_filter_keeps_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over reloads, and over control's restarts; beyond what there is room for nothing is given out."""
    known = Counters(SharedMemory.create())
    first = known.assign_filters(STATE)
    assert sorted(first.values()) == [0, 1, 2, 3]
    fewer = State(STATE.listeners, STATE.routes, settings=DEFAULTS, filters={"b": STATE.filters["b"]})
    known.retain(fewer, {})
    assert known.assign_filters(fewer) == {key: first[key] for key in (("filter", "b"), ROUTE)}
    entries = tuple(FilterEntry(first[key], key, "", OWN, {}) for key in (("filter", "b"), ROUTE))
    monkeypatch.setattr(counters, "MAX_FILTERS", 4)
    after = Counters(SharedMemory.create())
    after.filters.seed({entry.key: entry.index for entry in entries}, 0)
    again = after.assign_filters(STATE)
    assert {key: again[key] for key in (("filter", "b"), ROUTE)} == {entry.key: entry.index for entry in entries}
    many = State(settings=DEFAULTS, filters={str(number): Filter(name=str(number)) for number in range(5)})
    with pytest.raises(ApplyError, match="more than 4 filters"):
        Counters(SharedMemory.create()).assign_filters(many)
