"""The route table against a naive reading of the rule."""

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.policy.routing import RouteTable
from tests.support.examples import examples

labels = st.sampled_from(["a", "b", "c", "example", "com"])
hosts = st.lists(labels, min_size=1, max_size=5).map(".".join)
patterns = st.just("*") | hosts | hosts.map(lambda host: f"*.{host}")


def oracle(routes: list[str], name: str | None) -> str | None:
    """Try every route; the longest one that matches is the most specific, an exact one before all."""
    wanted = "" if name is None else name.lower().removesuffix(".")
    if name is not None and wanted in routes:
        return wanted
    matching = [route for route in routes if route == "*" or (route[0] == "*" and wanted.endswith(route[1:]))]
    return max(matching, key=len, default=None)


@examples(300)
@given(st.lists(patterns, unique=True, max_size=12), st.none() | hosts, st.booleans(), st.booleans())
def test_agrees_with_the_oracle(routes: list[str], name: str | None, upper: bool, dot: bool) -> None:  # noqa: FBT001 - drawn values
    """Whatever the routes and their order, the table finds the most specific one."""
    if name is not None:
        name = (name.upper() if upper else name) + ("." if dot else "")
    expected = oracle(routes, name)
    assert RouteTable((route, route) for route in routes).find(name) == expected
    assert RouteTable((route, route) for route in reversed(routes)).find(name) == expected
