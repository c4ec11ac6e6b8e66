"""The edits that take changes back: only those that it takes, on the file as it is now."""

from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.edits.overlay import merge
from mcproxy.model.edits.requests import EditMetadata, View
from mcproxy.model.state.diff import diff
from mcproxy.model.state.state import Listener, Policy, Route, State, Upstream, UpstreamEndpoint
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.policy.guard.reversal import take_back

TERMS = EditMetadata(created=1.0, author="guard", reason="why")


def state(*routes: tuple[str, int], upstream: bool = False, policy: bool = False) -> State:
    """Return a listener with routes to ports, and with an upstream that the route ``u`` leads to."""
    found = {(":1", name): Route(":1", name, (Endpoint("h", port),), mode="l7") for name, port in routes}
    if upstream:
        found[":1", "u"] = Route(":1", "u", upstream="web", mode="l7")
    return State(
        listeners={":1": Listener(":1", protocol="http")},
        routes=found,
        upstreams={"web": Upstream("web")} if upstream else {},
        endpoints={("web", "h:1"): UpstreamEndpoint("web", "h:1")} if upstream else {},
        policies={(":1", "a", "require_header", "X"): Policy(":1", "a", "require_header", "X")} if policy else {},
    )


def taken_back(
    before: State, file: State, edits: tuple[Edit, ...] = ()
) -> tuple[State, tuple[Edit, ...], tuple[int, ...]]:
    """Return what is in effect when a reload is taken back, the edits for that, and the ids of those that end."""
    live = merge(file, edits, 2.0).state
    draft = take_back(View(file, live, edits, "/"), [(diff(before, live), TERMS)])
    kept = [edit for edit in edits if edit.id not in draft.remove]
    merged = merge(file, [*kept, *draft.add], 3.0)
    assert merged.superseded == merged.suspended == ()
    return merged.state, draft.add, draft.remove


def test_whatever_a_reload_did_is_taken_back() -> None:
    """Added, changed and removed, with what belongs to each."""
    before = state(("a", 1), ("b", 1), upstream=True, policy=True)
    for file in (
        state(("a", 2), ("b", 1), upstream=True, policy=True),
        state(("b", 1), ("c", 1), upstream=True),
        state(("a", 1), ("b", 1), ("u", 7), policy=True),
        state(("a", 1)),
    ):
        reached, edits, _ = taken_back(before, file)
        assert reached == before
        assert {(edit.author, edit.reason) for edit in edits} == {("guard", "why")}


def test_what_goes_with_its_parent_needs_no_edit_of_its_own() -> None:
    """One tombstone for a new route and its policy."""
    _, edits, _ = taken_back(state(("b", 1)), state(("a", 1), ("b", 1), policy=True))
    assert [(edit.kind, edit.key, edit.value) for edit in edits] == [("route", (":1", "a"), None)]


def test_an_edit_ends_where_the_file_says_what_was_before() -> None:
    """Instead of another one on top of it."""
    file = state(("a", 1), ("b", 1))
    (value,) = (route for key, route in state(("a", 9)).routes.items() if key[1] == "a")
    own = make_edit(file, file, "route", (":1", "a"), value, created=1.0)
    added = make_edit(file, file, "route", (":1", "c"), state(("c", 1)).routes[":1", "c"], created=1.0)
    edits = tuple(
        Edit(**{name: getattr(edit, name) for name in Edit.__struct_fields__ if name != "id"}, id=number)
        for number, edit in ((4, own), (5, added))
    )
    reached, add, remove = taken_back(file, file, edits)
    assert (reached, add, sorted(remove)) == (file, (), [4, 5])


def test_what_is_as_before_already_is_left_alone() -> None:
    """An edit by hand has done it."""
    before, file = state(("a", 1)), state(("a", 2))
    own = make_edit(file, file, "route", (":1", "a"), before.routes[":1", "a"], created=1.0)
    draft = take_back(View(file, before, (own,), "/"), [(diff(before, file), TERMS)])
    assert (draft.add, draft.remove) == ((), ())
