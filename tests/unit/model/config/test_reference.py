"""The generated reference: nothing is missing, nothing in it disagrees with the code."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from mcproxy.errors import ConfigError
from mcproxy.model.config.pages import reference
from mcproxy.model.config.pages.json_schema import json_schema
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.values import durations
from tests.support.rows import each_row

ROOT = Path(__file__).parents[4]
TABLES = {path: table for path, table, _ in reference.tables()}
SHOWN = ("upstreams.", "filters.", "listeners.real_ip", "listeners.routes.respond", "listeners.routes.cases")
"""The tables of which every key has an example, or their beginnings."""


def keys() -> list[tuple[str, inspect.Field]]:
    return [(path, field) for path, table in TABLES.items() for field in table.fields]


def description(field: inspect.Field) -> str:
    assert isinstance(field.type, inspect.Metadata)
    assert field.type.extra_json_schema is not None
    return str(field.type.extra_json_schema["description"])


def rows(page: str) -> dict[tuple[str, str], str]:
    """Return the page's rows by table ("" is the top level) and key."""
    found: dict[tuple[str, str], str] = {}
    for section in page.split("\n## ")[2:]:
        title, _, body = section.partition("\n")
        if title != "Top level" and not title.startswith("`["):
            continue  # what is said of several tables
        table = "" if title == "Top level" else title.strip("`[]")
        found |= {(table, line.split("`")[1]): line for line in body.splitlines() if line.startswith("| `")}
    return found


def problems(text: str) -> list[Problem]:
    try:
        return list(resolve([Source("/etc/mc-proxy.toml", text)]).warnings)
    except ConfigError as error:
        return [problem for problem in error.problems if isinstance(problem, Problem)]


def test_the_committed_page_is_the_generated_one() -> None:
    """`just schemas` was run."""
    assert (ROOT / "docs/config.md").read_text() == reference.reference()


def test_every_key_has_a_row() -> None:
    """The page has the keys of the JSON Schema, which is made in another way, and no others."""
    schema = json_schema()
    expected = {("", key) for key in schema["properties"]}
    for path, table in TABLES.items():
        if path:
            expected |= {(path, key) for key in schema["$defs"][table.cls.__name__]["properties"]}
    nested = {key for path, key in expected if path == "listeners.routes"}
    assert nested == {key for path, key in expected if path == "routes" and key != "listener"}
    expected -= {("routes", key) for key in nested}  # the page refers to [[listeners.routes]]
    assert rows(reference.reference()).keys() == expected
    assert len(TABLES) == 1 + len(schema["$defs"])


@each_row("path", TABLES)
def test_a_description_names_the_true_default(path: str) -> None:
    """Where the text of a key says "Default X", X is what the struct has, in whatever spelling."""
    table = TABLES[path].cls
    for field in TABLES[path].fields:
        key, default = field.encode_name, field.default
        meaning, literal = reference.without_default(description(field))
        assert "Default " not in meaning, key
        if not literal:
            continue
        assert not field.required, key
        if literal == "none":
            assert default in ((), None), key
        elif isinstance(default, float):
            assert durations.parse_or_zero(tomllib.loads(f"x = {literal}")["x"]) == default, key
        else:
            written = json.loads(reference.toml_default(table, field))
            assert tomllib.loads(f"x = {literal}")["x"] == written, key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A. Default 1; at least 0.", ("A; at least 0.", "1")),
        ("A. Default 1, at least 0.", ("A; at least 0.", "1")),
        ('A. Default "a.b".', ("A.", '"a.b"')),
        ("A. Default [].", ("A.", "[]")),
        ("A. Default none. B.", ("A. B.", "none")),
        ("A. Default 0 = off; B.", ("A. `0` = off; B.", "0")),
        ('A. Default "": off.', ('A. `""`: off.', '""')),
        ("A (the default).", ("A (the default).", "")),
    ],
)
def test_the_default_is_taken_out_of_a_description(text: str, expected: tuple[str, str]) -> None:
    """The page has a column for it; an explanation of the default stays."""
    assert reference.without_default(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A. Required.", "A."),
        ("A. Required; B.", "A; B."),
        ("A. Required, B.", "A; B."),
        ("A; required by B.", "A; required by B."),
    ],
)
def test_what_is_required_is_told_once(text: str, expected: str) -> None:
    """The column of defaults says it."""
    assert reference.without_required(text) == expected


def test_a_row_says_only_once_what_is_required_or_default() -> None:
    """What has a column of its own is not repeated in the meaning."""
    told = rows(reference.reference())
    for path, field in keys():
        row = told[path, field.encode_name]
        if field.required:
            assert row.count("equired") == 1, row
        assert "(the default" not in row


@each_row("path", TABLES)
def test_the_example_of_a_table_is_valid(path: str) -> None:
    """Each example says something about its table, and has no fault."""
    text = reference.example(path)
    assert (
        (f"[{path}]" in re.sub(r"(\[(?:upstreams|filters)\.)[a-z]+", r"\1NAME", text)) if path else tomllib.loads(text)
    )
    assert problems(text) == []


def tables_at(value: Any, parts: list[str]) -> Iterator[dict[str, Any]]:
    """Return the tables of a document at a path, in which NAME is any name."""
    if isinstance(value, list):
        for item in value:
            yield from tables_at(item, parts)
    elif isinstance(value, dict) and parts and parts[0] == "NAME":
        yield from tables_at(list(value.values()), parts[1:])
    elif isinstance(value, dict) and parts:
        yield from tables_at(value.get(parts[0]), parts[1:])
    elif isinstance(value, dict):
        yield value


@each_row("path", [path for path in TABLES if path.startswith(SHOWN)])
def test_every_key_has_an_example(path: str) -> None:
    """One that `validate-config` accepts, as the one above says of all."""
    examples = [tomllib.loads(reference.example(name)) for name in TABLES]
    named = {key for example in examples for table in tables_at(example, path.split(".")) for key in table}
    assert named == {field.encode_name for field in TABLES[path].fields}


def test_a_new_type_must_be_named() -> None:
    """A key of a type that the page cannot name stops the generation instead of leaving a gap."""

    class Table(msgspec.Struct):
        key: float

    info = inspect.type_info(Table)
    assert isinstance(info, inspect.StructType)
    with pytest.raises(TypeError, match="no name for"):
        reference._type_name(info.fields[0].type, float)
