import pytest

from mcproxy.model.state.diff import Change, apply, diff
from mcproxy.model.state.state import Listener, Policy, Route, Rule, State
from mcproxy.model.values.endpoint import Endpoint

L1, L2 = Listener(":1"), Listener(":2")
R1 = Route(":1", "a", (Endpoint("x", 1),))
R2 = Route(":2", "b", (Endpoint("x", 1),))
P1 = Policy(":1", "a", "require_header", "X")
LIVE = State(
    listeners={":1": L1},
    routes={(":1", "a"): R1},
    policies={(":1", "a", "require_header", "X"): P1},
    rules={("ip", "192.0.2.1"): Rule("ip", "192.0.2.1")},
    settings={"proxy.workers": 1, "log.level": "info"},
)
DESIRED = State(
    listeners={":2": L2},
    routes={(":2", "b"): R2},
    settings={"proxy.workers": 2, "log.level": "info"},
)


def test_children_go_before_their_parents_and_come_after_them() -> None:
    """Removals first, upwards; then the rest, downwards."""
    assert [(change.action, change.kind) for change in diff(LIVE, DESIRED)] == [
        ("remove", "policy"),
        ("remove", "route"),
        ("remove", "listener"),
        ("remove", "rule"),
        ("change", "setting"),
        ("add", "listener"),
        ("add", "route"),
    ]


def test_applying_the_difference_gives_the_desired_state() -> None:
    """And leaves the old one as it was."""
    before = repr(LIVE)
    assert apply(LIVE, diff(LIVE, DESIRED)) == DESIRED
    assert repr(LIVE) == before
    assert diff(LIVE, LIVE) == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Change("add", "listener", ":1", None, L1), "cannot add"),
        (Change("remove", "listener", ":2", L2, None), "it is missing"),
        (Change("change", "setting", "proxy.workers", 7, 8), "cannot change"),
        (Change("add", "route", (":2", "b"), None, R2), "without its listener"),
        (Change("remove", "listener", ":1", L1, None), "without its listener"),
        (Change("remove", "route", (":1", "a"), R1, None), "without its route"),
        (Change("remove", "setting", "log.level", "info", "debug"), "contradicts itself"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(change: Change, message: str) -> None:
    """The message names the resource."""
    with pytest.raises(ValueError, match=message):
        apply(LIVE, [change])
