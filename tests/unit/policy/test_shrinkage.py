"""Which hostnames would be served no more, when one State takes another's place."""

import pytest

from mcproxy.model.state.state import State
from mcproxy.policy.shrinkage import too_much, unserved
from tests.support.rows import each_row
from tests.support.toml import listener, route, state


def serving(*hostnames: str, port: int = 1, **more: str) -> State:
    """Return a State whose listener serves some hostnames; ``more`` are further listeners' only hostname by name."""
    listeners = [listener(f"127.0.0.1:{port}", *(route(hostname, 9) for hostname in hostnames))]
    listeners += (listener(f"127.0.0.1:{100 + i}", route(name, 9)) for i, name in enumerate(more.values()))
    return state(*listeners)


@each_row(
    ("before", "after", "lost"),
    [
        (["a.test", "b.test"], ["a.test"], ["b.test"]),
        (["a.test", "b.test"], ["*.test"], []),
        (["a.test", "b.test"], ["*"], []),
        (["x.a.test"], ["*.test"], []),
        (["test"], ["*.test"], ["test"]),
        (["*.a.test"], ["*.test"], []),
        (["*.a.test"], ["*.a.test"], []),
        (["*.test"], ["a.test"], ["*.test"]),
        (["*.test"], ["*.a.test"], ["*.test"]),
        (["*", "a.test"], ["a.test"], ["*"]),
        (["*"], ["*.test"], ["*"]),
    ],
)
def test_a_hostname_is_served_where_a_route_is_found_for_it(
    before: list[str], after: list[str], lost: list[str]
) -> None:
    """By its own route, a wildcard, or the one for everything else."""
    assert unserved(serving(*before), serving(*after)) == lost


def test_any_listener_may_serve_it() -> None:
    """A listener's address may change; a name is lost once, whatever number of listeners served it."""
    assert unserved(serving("a.test", "b.test"), serving("a.test", port=2, other="b.test")) == []
    assert unserved(serving("a.test", "b.test", other="b.test"), serving("a.test")) == ["b.test"]


@pytest.mark.parametrize(("served", "lost", "many"), [(19, 10, True), (20, 10, False), (20, 11, True), (9, 9, False)])
def test_more_than_half_and_at_least_ten_are_too_many(served: int, lost: int, *, many: bool) -> None:
    """Both."""
    assert too_much(serving(*(f"h{number}.test" for number in range(served))), lost) is many
