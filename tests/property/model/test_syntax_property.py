"""Whatever tomllib refuses is told with a place in the text, however it came about."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.model.config.document import parse
from mcproxy.model.config.problems import Problem, Source
from tests.support.examples import examples

DOCUMENT = """\
# a file
include = ["a.toml", 'b/*.toml']
[proxy]
workers = 4 # some
idle_timeout = "5m"
[firewall]
blocked_cidrs = [
  "10.0.0.0/8", # one
  "2001:db8::/32",
]
[[listeners]]
addr = ":8443"
[[listeners.routes]]
hostname = "*.example.com"
backend = "unix:/run/x.sock"
l7_policies = [{ type = "require_header", value = "X-A: b" }]
[[listeners.routes]]
'hostname' = "\\u0041.example"
backend = \"\"\"[::1]:80\"\"\"
"""
PIECES = st.sampled_from(
    ["[", "]", "{", "}", '"', "'", '"' * 3, "=", ":", ",", ".", "#", ";", "//", "\\", "\n", "\r\n", "\r", " ", "\t", "\0", "\u00a0",
     "\u200b", "\u201c", "\u2013", "yes", "0600", "5s", "<<<<<<< HEAD\n", "=======\n", "${X}", "x = 1\n", "[proxy]\n", "null", "é", "- "]
)  # fmt: skip
CHANGES = st.lists(st.tuples(st.integers(0, len(DOCUMENT)), st.integers(0, 3), PIECES), min_size=1, max_size=4)


def check(text: str) -> None:
    try:
        tomllib.loads(text.removeprefix("\ufeff"))
    except ValueError:
        told = parse(Source("/f", text))
        assert isinstance(told, Problem)
        lines = text.split("\n")
        assert 1 <= told.line <= len(lines)
        assert 1 <= told.column <= len(lines[told.line - 1]) + 1
        assert told.message
        assert str(told).isprintable()
    else:
        assert isinstance(parse(Source("/f", text)), dict)


@examples(200)
@given(CHANGES)
def test_a_damaged_file_is_told_with_a_place_in_it(changes: list[tuple[int, int, str]]) -> None:
    """Characters removed and others put in, at any place."""
    text = DOCUMENT
    for at, removed, added in changes:
        text = text[:at] + added + text[at + removed :]
    check(text)


@examples(200)
@given(st.lists(st.one_of(PIECES, st.sampled_from(["a", "b.c", "1", '"x"'])), max_size=12).map("".join))
def test_any_text_is_told_with_a_place_in_it(text: str) -> None:
    """Made of the pieces that mean something."""
    check(text)
