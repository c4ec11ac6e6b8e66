"""Names in certificates against names of routes."""

from typing import Literal

import pytest

from mcproxy.model.state.state import Route
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.policy.certificate_names import PassedThrough, covers
from tests.support.rows import each_row


@each_row(
    ("names", "hostname", "expected"),
    [
        (["a.test"], "a.test", True),
        (["b.test", "a.test"], "a.test", True),
        (["*.test"], "a.test", True),
        (["*.test"], "b.a.test", False),
        (["*.a.test"], "a.test", False),
        (["a.test"], "b.a.test", False),
        (["*.a.test"], "*.a.test", True),
        (["x.a.test", "y.a.test"], "*.a.test", False),
        (["*.test"], "*.a.test", False),
        ([], "a.test", False),
        (["a.test"], "*", True),
    ],
)
def test_a_wildcard_in_a_certificate_stands_for_one_label(names: list[str], hostname: str, *, expected: bool) -> None:
    """As clients compare them (RFC 9525 section 6.3)."""
    assert covers(names, hostname) is expected


def route(hostname: str, mode: Literal["l4", "l7"] = "l4") -> Route:
    return Route(":1", hostname, (Endpoint("b", 1),), mode=mode)


ROUTES = [
    route("app.test", "l7"),
    route("other.test"),
    route("l7.test", "l7"),
    route("deep.sub.test"),
    route("*.wild.test"),
    route("*"),
]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["app.test"], []),
        (["app.test", "other.test"], ["other.test"]),
        (["*.test"], ["other.test"]),
        (["*.sub.test"], ["deep.sub.test"]),
        (["*.wild.test"], ["*.wild.test"]),
        (["*.of.wild.test"], ["*.wild.test"]),
        (["x.wild.test"], ["*.wild.test"]),
        (["nowhere.test", "*.nowhere.test"], []),
        (["*.test", "other.test", "*.wild.test"], ["other.test", "*.wild.test"]),
    ],
)
def test_passed_through_routes_under_a_certificate_are_found(names: list[str], expected: list[str]) -> None:
    """Exact ones one label below a wildcard, and wildcard routes that some name of it falls to; each once."""
    assert PassedThrough(ROUTES).covered_by(names) == expected


def test_a_wildcard_route_that_is_terminated_hides_a_wider_one() -> None:
    """The best route of a name counts, as in the data plane."""
    routes = [route("*.test"), route("*.a.test", "l7")]
    assert PassedThrough(routes).covered_by(["*.a.test"]) == []
    assert PassedThrough(routes).covered_by(["*.b.test"]) == ["*.test"]
