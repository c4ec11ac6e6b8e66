"""Which route a name finds."""

import pytest

from mcproxy.policy.routing import RouteTable
from tests.support.rows import each_row

TABLE = RouteTable(
    [
        ("*", "default"),
        ("*.example.com", "wildcard"),
        ("app.example.com", "exact"),
        ("*.app.example.com", "longer wildcard"),
        ("example.com", "apex"),
        ("*.test", "short wildcard"),
    ]
)


@each_row(
    ("name", "route"),
    [
        ("app.example.com", "exact"),
        ("APP.example.COM", "exact"),
        ("app.example.com.", "exact"),
        ("other.example.com", "wildcard"),
        ("Deep.Other.Example.com.", "wildcard"),
        ("a.app.example.com", "longer wildcard"),
        ("a.b.c.d.app.example.com", "longer wildcard"),
        ("example.com", "apex"),
        ("x.test", "short wildcard"),
        ("test", "default"),
        ("notexample.com", "default"),
        ("xexample.com", "default"),
        ("::1", "default"),
        (None, "default"),
    ],
)
def test_precedence(name: str | None, route: str) -> None:
    """Exact beats wildcard, the longer wildcard the shorter one; a wildcard covers any depth but not its apex."""
    assert TABLE.find(name) == route


@pytest.mark.parametrize("name", ["example.com", "other.org", "com", None])
def test_nothing_is_found_without_a_default(name: str | None) -> None:
    """Without a ``*`` route unknown names and clients without a name find nothing."""
    assert RouteTable([("app.example.com", 1), ("*.example.com", 2)]).find(name) is None
    assert RouteTable[int]([]).find(name) is None


def test_targets_may_be_false() -> None:
    """A target that is falsy (an index 0) is found like any other."""
    assert RouteTable([("a.test", 0), ("*", 1)]).find("a.test") == 0
    assert RouteTable([("*.test", 0), ("*", 1)]).find("a.test") == 0
