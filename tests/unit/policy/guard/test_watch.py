"""A watch: what is undone of it, how a later one takes it over, and its form in the database."""

import pytest

from mcproxy.model.state.diff import Change
from mcproxy.model.state.state import Route, Upstream
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.policy.guard import stored
from mcproxy.policy.guard.judging import Terms
from mcproxy.policy.guard.parts import Part, Subject
from mcproxy.policy.guard.tally import Past, Tally
from mcproxy.policy.guard.watch import Down, Watch, Watched, judge, standing, taken_over

A, B = Subject(":1", "a.test"), Subject(":1", "b.test")
NAMES = Subject(":1", what="names")


def route(port: int) -> Route:
    return Route(":1", "a.test", (Endpoint("h", port),))


def changed(old: Route | None, new: Route | None) -> Change:
    action = "add" if old is None else "remove" if new is None else "change"
    return Change(action, "route", (":1", "a.test"), old, new)  # type: ignore[arg-type]  # one of the three words


def watched(*subjects: Subject, change: Change | None = None, **fields: dict[str, int]) -> Watched:
    changes = () if change is None else (change,)
    return Watched(Part(changes, subjects, tuple(fields.get("usable", {}))), {}, {}, **fields)


def watch(*parts: Watched, receipts: tuple[int, ...] = ()) -> Watch:
    return Watch(2, 100.0, 160.0, Terms(0.05, 10), parts, receipts)


def test_a_request_is_undone_as_a_whole_and_of_files_what_fails() -> None:
    """Each part with its own reason."""
    parts = watched(A), watched(B)
    now = {A: Tally(0, 10), B: Tally(10)}
    found = judge(watch(*parts), now, {}, 101.0)
    assert found is not None
    assert (found.parts, found.whys) == (parts[:1], ("10 of 10 requests failed within 1.0 s of generation 2",))
    whole = judge(watch(*parts, receipts=(7,)), now, {}, 101.0)
    assert whole is not None
    assert (whole.parts, whole.why) == (parts, found.why)
    assert judge(watch(*parts), {B: Tally(10)}, {}, 101.0) is None
    assert standing(watch(*parts), now, 101.0).errors == 10


def test_a_route_of_a_part_may_fail_by_itself() -> None:
    """Though the others do so well that the whole does; and it is named."""
    found = judge(watch(watched(A, B)), {A: Tally(0, 10), B: Tally(1000)}, {}, 101.0)
    assert found is not None
    assert found.why == "route :1 a.test: 10 of 10 requests failed within 1.0 s of generation 2"


def test_connections_of_a_listener_are_not_counted_twice() -> None:
    """They are those of its routes, too."""
    now = {A: Tally(0, 5), NAMES: Tally(5)}
    assert judge(watch(watched(A), watched(NAMES)), now, {}, 101.0) is None
    assert standing(watch(watched(A), watched(NAMES)), now, 101.0).answered == 5
    assert standing(watch(watched(NAMES)), now, 101.0).answered == 5


@pytest.mark.parametrize(
    ("before", "usable", "down", "fails"),
    [(2, 1, 1, True), (3, 2, 1, False), (1, 1, 3, False), (2, 1, 0, False), (4, 0, 4, True), (1, 0, 1, True)],
)
def test_endpoints_that_are_down(before: int, usable: int, down: int, *, fails: bool) -> None:
    """By their checks, and half of those that could be used, or more."""
    found = judge(watch(watched(A, usable={"web": before})), {}, {"web": Down(usable, down, "h: 404")}, 101.0)
    assert (found is not None) is fails


def test_a_later_part_goes_back_to_what_was_before_the_first() -> None:
    """What has come back to that is no change any more; the first past counts, and the counters of now."""
    first = Watched(Part((changed(route(1), route(2)),), (A,)), {A: Past(Tally(9), 1.0)}, {A: Tally(9)}, {"web": 3})
    later = Watched(Part((changed(route(2), route(3)),), (A, B)), {A: Past(), B: Past()}, {}, {"web": 1})
    joined = taken_over(later, [first], {A: Tally(20), B: Tally(5)})
    assert joined.part.changes == (changed(route(1), route(3)),)
    assert (joined.past[A], joined.start, joined.usable) == (
        Past(Tally(9), 1.0),
        {A: Tally(20), B: Tally(5)},
        {"web": 3},
    )
    back = Watched(Part((changed(route(2), route(1)),), (A,)), {}, {})
    assert taken_over(back, [first], {}).part.changes == ()
    gone = Watched(Part((changed(route(2), None),), (NAMES,)), {}, {})
    assert taken_over(gone, [first], {}).part.changes == (changed(route(1), None),)


def test_a_watch_comes_out_of_the_database_as_it_went_in() -> None:
    """Resources in the words of the file."""
    upstream = Change("remove", "upstream", "web", Upstream("web", balance="least_conn"), None)
    part = Part((changed(None, route(2)), upstream), (NAMES, A), ("web",), ("/t/a.crt",))
    one = Watched(part, {A: Past(Tally(1, 2, 3), 4.5), NAMES: Past()}, {A: Tally(4), NAMES: Tally()}, {"web": 2})
    kept = Watch(2, 100.0, 160.0, Terms(0.05, 10), (one,), (7, 3), 5)
    assert stored.decode(stored.encode(kept), id=5, generation=2, began=100.0, until=160.0) == kept
    with pytest.raises(ValueError, match="truncated"):
        stored.decode("{", id=5, generation=2, began=100.0, until=160.0)
