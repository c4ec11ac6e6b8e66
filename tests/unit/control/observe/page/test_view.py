"""Addresses of the page: what they choose, and that each view has one."""

from urllib.parse import parse_qsl

import pytest

from mcproxy.control.observe.page.view import SORTS, View, view
from tests.support.rows import each_row


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, View()),
        ({"q": " App ", "sort": "errors", "page": "3"}, View("App", "errors", 3)),
        ({"route": ":443 a.test"}, View(route=":443 a.test")),
        ({"sort": "nonsense", "page": "-1", "other": "x"}, View()),
        ({"page": "0"}, View()),
        ({"generation": "42"}, View(generation=42)),
        ({"generation": "-1"}, View()),
        ({"generation": "9" * 5000}, View()),
        ({"page": "\N{SUPERSCRIPT TWO}"}, View()),
        ({"page": "9" * 5000}, View()),
        ({"page": "1e3"}, View()),
    ],
)
def test_what_makes_no_sense_is_left_out(query: dict[str, str], expected: View) -> None:
    """The page is shown whatever its address says."""
    assert view(query) == expected


@each_row("sort", SORTS)
def test_a_link_leads_to_its_view(sort: str) -> None:
    """Search and order are kept; part and route are those of the link alone."""
    shown = View("a b&c=d", "p99", 7, ":1 a.test")
    others: list[tuple[dict[str, object], View]] = [
        ({"sort": sort}, View("a b&c=d", sort)),  # type: ignore[arg-type]
        ({"page": 8}, View("a b&c=d", "p99", 8)),
        ({"route": ":2 *"}, View("a b&c=d", "p99", 1, ":2 *")),
        ({"generation": 42}, View("a b&c=d", "p99", 1, "", 42)),
    ]
    for other, expected in others:
        assert view(dict(parse_qsl(shown.link(**other).removeprefix("?")))) == expected
    assert View().link() == "?"
