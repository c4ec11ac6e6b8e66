"""docs/access-log.md: its tables are generated, and the reasons in them are those that the code has."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcproxy.model.values.reasons import COUNTED, REASONS
from mcproxy.net.memory.counted_words import LIMITS, POLICIES
from mcproxy.worker.tools.access_log import ConnectionLine, RequestLine
from tests.support.proxy import ROOT
from tests.support.reasons_table import GROUPS, PAGE, fields_of, fields_table, with_tables

PACKAGE = ROOT / "mcproxy"
REFUSING = ("wire/http1/request_parser.py", "wire/http1/framing.py", "wire/client_hello.py", "wire/proxy_protocol.py")
"""The parsers of what clients send: the words of their errors are reasons as they are. A backend's response is ``bad_response``."""
CALLS = {
    "Failure": 0,
    "RefusedError": 1,
    "MalformedError": 1,
    "ProtocolError": 0,
    "Bad": 1,
    "_refuse": 0,
    "refused": 1,
    "close": 0,
    "give_up": 0,
    "on_client_gone": 0,
}
"""Which argument of a call is a reason."""


def calls(path: Path) -> Iterator[str]:
    """Return the reasons that a module names where one is wanted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = CALLS.get(name, len(node.args))
        yield from words(node.args[place]) if place < len(node.args) else ()


def words(node: ast.AST) -> Iterator[str]:
    """Return the words that an expression may be; what other calls are given is no part of it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        yield node.value
    elif not isinstance(node, ast.Call | ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from words(child)


def test_the_tables_are_up_to_date() -> None:
    """`just schemas` writes them."""
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text
    assert with_tables(text.replace("`backend_dns`", "`backend_name`")) == text


def test_every_reason_that_the_code_gives_is_declared() -> None:
    """Those that are named where a reason is wanted."""
    modules = [PACKAGE / name for name in REFUSING]
    modules += [path for part in ("worker", "policy", "net") for path in (PACKAGE / part).rglob("*.py")]
    given = {word: path for path in modules for word in calls(path)}
    assert len(given) > 50
    assert {word: path for word, path in given.items() if word not in REASONS} == {}


def test_every_declared_reason_is_given_somewhere() -> None:
    """None is left from what was once: each is a word of the code, or the name of a policy or limit."""
    named = {*POLICIES, *LIMITS}
    for path in PACKAGE.rglob("*.py"):
        if path.name != "reasons.py":
            tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            named |= {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named |= {f"response_{limit}" for limit in ("header_bytes", "header_count")}
    assert set(REASONS) - named == set()


def test_limits_and_policies_are_reasons() -> None:
    """A request that ends by one has its name for a reason; some limits end nothing but a connection of many."""
    assert set(POLICIES) <= set(REASONS)
    assert {limit for limit in LIMITS if limit in REASONS} >= {"header_bytes", "header_timeout", "unsent_bytes"}
    assert {reason.group for reason in REASONS.values()} == set(GROUPS)
    assert {word for word in COUNTED if REASONS[word].group in ("request", "end")} == set()


@pytest.mark.parametrize("line", [ConnectionLine, RequestLine])
def test_every_field_is_described(line: type) -> None:
    """In the docstring of the line, and no other."""
    assert list(fields_of(line)) == list(line.__struct_fields__)  # type: ignore[attr-defined] # it is a struct
    assert fields_table().count("\n") > 25
