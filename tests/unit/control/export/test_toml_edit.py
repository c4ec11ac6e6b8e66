"""Splices of TOML text, by example: what is written how, where, and what stays."""

import tomllib
from collections import defaultdict
from typing import Any

import pytest

from mcproxy.control.export.toml_edit import Splices, edit
from mcproxy.model.config.problems import KeyPath
from tests.support.rows import each_row


def edited(
    text: str,
    assigned: dict[KeyPath, Any] | None = None,
    appended: dict[KeyPath, list[Any]] | None = None,
    removed: set[KeyPath] | None = None,
) -> str:
    """Return the text after edits; it must be TOML."""
    result = edit(text, Splices(assigned or {}, defaultdict(list, appended or {}), removed or set()))
    tomllib.loads(result)
    return result


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[t]\nk = 1 # why\nl = 2\n", "[t]\nk = 9 # why\nl = 2\n"),
        ("[t]\n\t'k'=1#why", "[t]\n\t'k'=9#why"),
        ('t . "k" = 1\nt.l = 2 # k = 3\n', 't . "k" = 9\nt.l = 2 # k = 3\n'),
        ("t = { l = '}', k = 1 } # x\n", "t = { l = '}', k = 9 } # x\n"),
        ("[ 't' ]\r\nk = 1\r\n", "[ 't' ]\r\nk = 9\r\n"),
        ('[t]\nk = """\n[t]\nk = 1""" # x\n', "[t]\nk = 9 # x\n"),
        ("[t]\nk = 123456    # aligned\n", "[t]\nk = 9         # aligned\n"),
    ],
)
def test_a_value_is_changed_where_it_stands(before: str, after: str) -> None:
    """Everything around it stays, the comment behind it in its column."""
    assert edited(before, {("t", "k"): 9}) == after


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("'a'", "b", "'b'"),
        ("'a'", "it's", '"it\'s"'),
        ('"a"', 'say "b" \\', r'"say \"b\" \\"'),
        ("'''a'''", "b", "'b'"),
        ('"a"', "\x7f\u00e9", '"\\u007fé"'),
        ("1", True, "true"),
        ("[]", ["a", "b"], '["a", "b"]'),
    ],
)
def test_values_are_written_as_people_do(before: str, value: object, after: str) -> None:
    """A string in single quotes stays one if it can."""
    assert edited(f"k = {before}", {("k",): value}) == f"k = {after}"


def test_a_longer_value_takes_the_blanks_in_front_of_its_comment() -> None:
    """One blank at least stays."""
    assert edited("k = 1   # x\nl = 2  # y", {("k",): 123, ("l",): 123456}) == "k = 123 # x\nl = 123456 # y"


@each_row(
    ("before", "after"),
    [
        ("[t]\nk = 1 # x\n# tail\n\n[u]\n", "[t]\nk = 1 # x\nn = 9\n# tail\n\n[u]\n"),
        ("[t] # x\n\n[u]\n", "[t] # x\nn = 9\n\n[u]\n"),
        ("[t]", "[t]\nn = 9"),
        ("[t]\r\n  k = 1\r\n\r\n[u]\r\n", "[t]\r\n  k = 1\r\n  n = 9\r\n\r\n[u]\r\n"),
        ("  [t]\n\tk = [\n\t  1,\n\t]\n", "  [t]\n\tk = [\n\t  1,\n\t]\n\tn = 9\n"),
        ("t.k = 1 # x\nz = 2\n[u]\n", "t.k = 1 # x\nt.n = 9\nz = 2\n[u]\n"),
        ("t = {}\n", "t = { n = 9 }\n"),
        ("t = { } # x\n", "t = { n = 9 } # x\n"),
        ("t = {k = 1, l = [\n1 # ]\n]} # x\n", "t = {k = 1, l = [\n1 # ]\n], n = 9} # x\n"),
        ("[t.u]\nk = 1\n[t]\nl = 2\n", "[t.u]\nk = 1\n[t]\nl = 2\nn = 9\n"),
    ],
)
def test_a_new_key_goes_to_the_end_of_its_table(before: str, after: str) -> None:
    """However the table is written."""
    assert edited(before, {("t", "n"): 9}) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[t]\nn = 9\nm = 8\n"),
        ("# only a comment", "# only a comment\n\n[t]\nn = 9\nm = 8\n"),
        ("k = 1\n\n# for a\n[[a]]\n", "k = 1\n\n[t]\nn = 9\nm = 8\n\n# for a\n[[a]]\n"),
        ("[u]\nk = 1\n# tail\n\n[[a]]\n", "[u]\nk = 1\n# tail\n\n[t]\nn = 9\nm = 8\n\n[[a]]\n"),
        ("[[a]]\nk = 1\n\n\n", "[[a]]\nk = 1\n\n\n[t]\nn = 9\nm = 8\n"),
        ("[u]\r\n", "[u]\r\n\r\n[t]\r\nn = 9\r\nm = 8\r\n"),
    ],
)
def test_a_new_table_goes_behind_the_other_tables(before: str, after: str) -> None:
    """In front of the arrays of tables, if there are others."""
    assert edited(before, {("t", "n"): 9, ("t", "m"): 8}) == after


@each_row(
    ("before", "after"),
    [
        ("a = []", "a = [1, 2]"),
        ("a = [ ]", "a = [1, 2]"),
        ("a = [0] # x", "a = [0, 1, 2] # x"),
        ("a = [ -1,0 ]", "a = [ -1,0,1,2 ]"),
        ("a = [0,]", "a = [0, 1, 2,]"),
        ("a = [\n  0,\n]", "a = [\n  0,\n  1,\n  2,\n]"),
        ("a = [\n  0\n]", "a = [\n  0,\n  1,\n  2\n]"),
        # the comment is where a careless writer puts, and loses, what is new
        ("a = [\n  0 # last\n]", "a = [\n  0, # last\n  1,\n  2\n]"),
        ("a = [\n  0, # last\n  # more?\n]", "a = [\n  0, # last\n  1,\n  2,\n  # more?\n]"),
        ("a = [\n  0 # zero\n  , # comma\n]", "a = [\n  0 # zero\n  , # comma\n  1,\n  2,\n]"),
        ("a = [\n\t-1, 0 ]", "a = [\n\t-1, 0, 1, 2 ]"),
        ("a = [ # first\n  0 ] # x", "a = [ # first\n  0, 1, 2 ] # x"),
        ("a = [0, # zero\n]", "a = [0, # zero\n  1,\n  2,\n]"),
        ("a = [\n]", "a = [\n  1,\n  2,\n]"),
        ("a = [ # [\n    # none yet ]\n]", "a = [ # [\n    # none yet ]\n    1,\n    2,\n]"),
        ("a = [\r\n\t0 # x\r\n]\r\n", "a = [\r\n\t0, # x\r\n\t1,\r\n\t2\r\n]\r\n"),
        ("", "[t]\na = [1, 2]\n"),
    ],
)
def test_items_are_added_in_the_layout_of_their_array(before: str, after: str) -> None:
    """On one line or a line each, with or without a comma behind the last."""
    path: KeyPath = ("a",) if before else ("t", "a")
    assert edited(before, appended={path: [1, 2]}) == after


@each_row(
    ("before", "removed", "after"),
    [
        ("a = [0, 1, 2]", {0}, "a = [1, 2]"),
        ("a = [0, 1, 2]", {1}, "a = [0, 2]"),
        ("a = [0, 1, 2]", {2}, "a = [0, 1]"),
        ("a = [0, 1, 2]", {1, 2}, "a = [0]"),
        ("a = [0, 1, 2]", {0, 2}, "a = [1]"),
        ("a = [ 0, 1, 2, ] # x", {0, 1}, "a = [ 2, ] # x"),
        ("a = [ 0,1 ]", {0, 1}, "a = []"),
        ("a = [\n  0, # zero\n  1, # one\n]", {0}, "a = [\n  1, # one\n]"),
        ("a = [\n  0, # zero\n  1 # one\n]", {1}, "a = [\n  0 # zero\n]"),
        ("a = [\n  0,\n  1,\n]", {0, 1}, "a = []"),
        ("a = [\n  # heading\n  0, # zero\n  1,\n]", {0}, "a = [\n  # heading\n  1,\n]"),
        ("a = [\n  # heading\n  0, # zero\n]", {0}, "a = [\n  # heading\n]"),
        ("a = [\n  0, 1, # two\n  2,\n]", {0, 1}, "a = [\n  2,\n]"),
        ("a = [\n  0, 1, # two\n  2,\n]", {1}, "a = [\n  0, # two\n  2,\n]"),
        ("a = [\n  0, 1,\n  2,\n]", {0}, "a = [\n  1,\n  2,\n]"),
        ("a = [\n  0,\n  1 ]", {1}, "a = [\n  0\n ]"),
        ("a = [ 0,\n  1 ]", {0}, "a = [\n  1 ]"),
        ("a = [\n  0\n  , 1\n  , 2\n]", {0}, "a = [\n   1\n  , 2\n]"),
        ("a = [\n  0 # zero\n  , # comma\n  1\n]", {0}, "a = [\n   # comma\n  1\n]"),
        ("a = [\r\n  0, # x\r\n  1,\r\n]\r\n", {0}, "a = [\r\n  1,\r\n]\r\n"),
        ("a = [\n  # gone\n  {k = 0},\n\n  # stays\n  {k = 1},\n]", {0}, "a = [\n\n  # stays\n  {k = 1},\n]"),
        ("a = [\n  # stays\n\n  # gone\n  {k = [\n 1 ]}, # x\n]", {0}, "a = [\n  # stays\n\n]"),
    ],
)
def test_items_are_removed_with_their_comments(before: str, removed: set[int], after: str) -> None:
    """The one behind it; what stands above a plain value may be about all that follow, what stands above a table is its."""
    assert edited(before, removed={("a", index) for index in removed}) == after


def test_an_array_can_gain_and_lose_at_once() -> None:
    """Also all that it had."""
    assert edited("a = [1, 2]", appended={("a",): [3]}, removed={("a", 0), ("a", 1)}) == "a = [3]"
    text = "a = [\n  1, # one\n  2 # two\n]\n"
    assert edited(text, appended={("a",): [3]}, removed={("a", 0), ("a", 1)}) == "a = [\n  3\n]\n"


SECTIONS = """\
#:schema x
# about zero
[[a]]
k = 0

  # about zero, zero
  [[a.b]] # header
    k = 0
    # k = 1

# about nothing

  # about zero, one
  [[a.b]]
    k = 1

    [[ a.b.c ]]
      k = 0
  # [[a.b]]
  # k = 2

[t] # in between

  [[a.b]]
    k = 2

# about one
[[a]]
k = 1
"""


def lines_without(*parts: str) -> str:
    text = SECTIONS
    for part in parts:
        assert part in text
        text = text.replace(part, "")
    return text


@pytest.mark.parametrize(
    ("removed", "parts"),
    [
        (("a", 0, "b", 0), ("  # about zero, zero\n  [[a.b]] # header\n    k = 0\n    # k = 1\n\n",)),
        (("a", 0, "b", 1), ("  # about zero, one\n  [[a.b]]\n    k = 1\n\n    [[ a.b.c ]]\n      k = 0\n",)),
        (("a", 0, "b", 1, "c", 0), ("    [[ a.b.c ]]\n      k = 0\n",)),
        (("a", 0, "b", 2), ("  [[a.b]]\n    k = 2\n\n",)),
        (("a", 1), ("\n# about one\n[[a]]\nk = 1\n",)),
        (
            ("a", 0),
            (
                "# about zero\n[[a]]\nk = 0\n\n",
                "  # about zero, zero\n  [[a.b]] # header\n    k = 0\n    # k = 1\n\n",
                "  # about zero, one\n  [[a.b]]\n    k = 1\n\n    [[ a.b.c ]]\n      k = 0\n",
                "  [[a.b]]\n    k = 2\n\n",
            ),
        ),
    ],
)
def test_a_table_goes_with_all_that_is_its(removed: KeyPath, parts: tuple[str, ...]) -> None:
    """Its parts wherever they are, and comments that stand directly above or below; others stay, and so do editors' notes."""
    assert edited(SECTIONS, removed={removed}).replace("#:schema x\n\n", "#:schema x\n") == lines_without(*parts)


def test_blank_lines_do_not_pile_up() -> None:
    """Of those around what goes, one lot goes too; a file does not end with them if it did not."""
    text = "[t]\n\n[[a]]\n\n\n[[a]]\n[[a]]\n\n[u]\n\n[[a]]\n"
    assert edited(text, removed={("a", 0), ("a", 1), ("a", 2), ("a", 3)}) == "[t]\n\n[u]\n"
    assert edited("[t]\n[[a]]\n\n[u]\n", removed={("a", 0)}) == "[t]\n\n[u]\n"
    assert edited("[[a]]\r\n\r\n[u]\r\n\r\n[[a]]", removed={("a", 0), ("a", 1)}) == "[u]\r\n"
    assert edited("[[a]]", removed={("a", 0)}) == ""


ITEM = {"k": 9, "c": [{"k": 8}, {"k": 7}]}


def test_a_new_table_follows_its_siblings() -> None:
    """Behind the last of them and what belongs to it, in their spelling, indented as they are."""
    after = edited(SECTIONS, appended={("a", 0, "b"): [ITEM]})
    new = "\n  [[a.b]]\n    k = 9\n\n    [[ a.b.c ]]\n      k = 8\n\n    [[ a.b.c ]]\n      k = 7\n"
    assert after == SECTIONS.replace("    k = 2\n\n#", f"    k = 2\n{new}\n#")


def test_a_new_table_without_siblings_looks_like_others_of_its_kind() -> None:
    """Under its parent."""
    after = edited(SECTIONS, appended={("a", 1, "b"): [{"k": 9}], ("a", 0, "b", 0, "c"): [{"k": 8}]})
    expected = SECTIONS.replace("    # k = 1\n", "    # k = 1\n\n    [[ a.b.c ]]\n      k = 8\n")
    assert after == f"{expected}\n  [[a.b]]\n    k = 9\n"


def test_a_new_table_of_the_root_goes_to_the_end() -> None:
    """Behind what else is added there."""
    text = "[[a]]\nk = 0"
    after = edited(text, {("t", "k"): 1}, {("a",): [{"k": 2, "b": []}], ("a", 0, "b"): [{"k": 3, "c": [{"k": 4}]}]})
    assert after == (
        "[[a]]\nk = 0\n\n[[a.b]]\nk = 3\n\n[[a.b.c]]\nk = 4\n\n[t]\nk = 1\n\n[[a]]\nk = 2\nb = []\n"
    )  # fmt: skip


def test_a_compact_file_stays_compact() -> None:
    """No blank lines where its author has none."""
    text = "[[a]]\nk = 0\n[[a.b]]\nk = 1\n[[a]]\nk = 2\n"
    after = edited(text, appended={("a", 0, "b"): [{"k": 3}]})
    assert after == "[[a]]\nk = 0\n[[a.b]]\nk = 1\n[[a.b]]\nk = 3\n[[a]]\nk = 2\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[[a]]\nb = []\n", "[[a]]\nb = [{ k = 9, c = [{ k = 8 }, { k = 7 }] }]\n"),
        ("[[a]]\nb = [{k = 1}]\n", "[[a]]\nb = [{k = 1}, { k = 9, c = [{ k = 8 }, { k = 7 }] }]\n"),
        (
            "[[a]]\nb = [\n  {k = 1} # x\n]\n",
            "[[a]]\nb = [\n  {k = 1}, # x\n  { k = 9, c = [{ k = 8 }, { k = 7 }] }\n]\n",
        ),
        ("a = [{k = 1}]\n", "a = [{k = 1, b = [{ k = 9, c = [{ k = 8 }, { k = 7 }] }]}]\n"),
        ("a = [{}]\n", "a = [{ b = [{ k = 9, c = [{ k = 8 }, { k = 7 }] }] }]\n"),
        ("[[a]]\nk = 1\n", "[[a]]\nk = 1\n\n[[a.b]]\nk = 9\n\n[[a.b.c]]\nk = 8\n\n[[a.b.c]]\nk = 7\n"),
    ],
)
def test_a_new_table_is_inline_where_its_siblings_or_parent_are(before: str, after: str) -> None:
    """TOML has no other way there."""
    assert edited(before, appended={("a", 0, "b"): [ITEM]}) == after


@pytest.mark.parametrize(
    ("before", "removed", "after"),
    [
        ("t = { a = 1, b = 2, c = 3 }\n", "ab", "t = { c = 3 }\n"),
        ("t = { a = 1, b = 2, c = 3 }\n", "bc", "t = { a = 1 }\n"),
        ("t = { a = 1, b = 2, c = 3 }\n", "ac", "t = { b = 2 }\n"),
        ("t = {a=1 ,b=2,  c=3}\n", "bc", "t = {a=1 }\n"),
        ("t = { a = 1, b = 2, c = 3 }\n", "abc", "t = {  }\n"),
        ("[t]\na = 1\nb = 2 # why\nc = 3\n", "bc", "[t]\na = 1\n"),
        ("t.a = 1\nt.b = 2\nt.c = 3\n", "ab", "t.c = 3\n"),
    ],
)
def test_several_keys_of_a_table_are_removed_at_once(before: str, removed: str, after: str) -> None:
    """With the commas between them, and none left over."""
    assert edited(before, removed={("t", key) for key in removed}) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[t]\na = 1\n[t.k]\nb = 2 # why\n[u]\n", "[t]\na = 1\nk = 9\n[u]\n"),
        ("[t]\na = 1\nk.b = 2\nk.c = 3\nd = 4\n", "[t]\na = 1\nd = 4\nk = 9\n"),
        ("t = { a = 1, k.b = 2 }\n", "t = { a = 1, k = 9 }\n"),
        ("[t]\na = 1\nk = { b = 2 } # x\n", "[t]\na = 1\nk = 9 # x\n"),
    ],
)
def test_a_value_takes_the_place_of_a_table(before: str, after: str) -> None:
    """However the table is written."""
    assert edited(before, {("t", "k"): 9}) == after
