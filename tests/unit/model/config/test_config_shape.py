from collections.abc import Iterator

import msgspec
import pytest
from msgspec import inspect

from mcproxy.model.config import walker
from mcproxy.model.config.problems import Problem, key_name
from mcproxy.model.config.schema import Config
from mcproxy.model.values import paths, texts
from mcproxy.model.values.endpoint import Endpoint, RouteBackend
from mcproxy.model.values.http.amounts import Rate
from mcproxy.model.values.http.questions import Place, RequestLine
from mcproxy.model.values.origins import Origin
from mcproxy.model.values.quoting import quote
from tests.support.rows import each_row

_VALUES = (Endpoint, RouteBackend, Rate, RequestLine, Place)
"""What a string stands for."""


def _tables(info: inspect.Type) -> Iterator[inspect.StructType]:
    match info:
        case inspect.Metadata(type=inner):
            yield from _tables(inner)
        case inspect.VarTupleType(item_type=inner) | inspect.DictType(value_type=inner):
            yield from _tables(inner)
        case inspect.UnionType(types=(inspect.StructType() as inner, inspect.NoneType())):
            yield from _tables(inner)
        case inspect.StructType(cls=cls) if cls not in _VALUES:
            yield info
            for field in info.fields:
                yield from _tables(field.type)


@each_row("table", list(_tables(inspect.type_info(Config))), ids=lambda table: str(table.cls.__name__))
def test_every_key_is_described_and_no_other_is_allowed(table: inspect.StructType) -> None:
    """The description says whether a key is required or what its default is."""
    assert table.forbid_unknown_fields
    for field in table.fields:
        assert isinstance(field.type, inspect.Metadata)
        description = (field.type.extra_json_schema or {}).get("description", "")
        assert isinstance(description, str)
        inner = field.type.type
        if isinstance(inner, inspect.StructType) and inner.cls not in _VALUES:
            assert description
        elif field.required:
            assert "Required" in description, field.name
        elif field.name not in ("listeners", "routes", "l7_policies", "upstreams", "filters", "tests"):
            assert "efault" in description, field.name


def test_a_config_is_immutable() -> None:
    """What was parsed stays as it is."""
    with pytest.raises(AttributeError):
        Config().proxy.workers = 3  # type: ignore[misc]  # the point of the test
    assert msgspec.structs.replace(Config().proxy, workers=3).workers == 3


def test_a_problem_reads_like_a_compilers() -> None:
    """File, line, column, severity, key, message; no key where there is none."""
    assert str(Problem("/a.toml", 3, 5, "error", "proxy.workers", "no")) == "/a.toml:3:5: error: proxy.workers: no"
    assert str(Problem("/a.toml", 1, 1, "warning", "", "no")) == "/a.toml:1:1: warning: no"
    assert str(Origin("/a.toml", 3, 5)) == "/a.toml:3"


def test_key_paths_and_texts_are_shown_safely() -> None:
    """Keys that need quotes get them; control characters and endless texts never reach a terminal."""
    assert key_name(("listeners", 0, "routes", 2, "backend")) == "listeners[0].routes[2].backend"
    assert key_name(("a b", "c\n")) == '"a b"."c\\n"'
    assert quote("a\x1b[31m\u202e") == '"a\\u001b[31m\\u202e"'
    assert quote("ü") == '"ü"'
    assert len(quote("x" * 10_000)) < 100


def test_paths_start_from_the_files_folder() -> None:
    """None and standard output are no paths; links are not resolved by name."""
    assert paths.locate("/etc/mc", "db/x.db") == "/etc/mc/db/x.db"
    assert paths.locate("/etc/mc", "./../x.db") == "/etc/mc/../x.db"
    assert paths.locate("/etc/mc", "/x.db") == "/x.db"
    assert paths.locate("/etc/mc", "") == ""
    assert paths.locate("/etc/mc", "-") == "-"
    with pytest.raises(ValueError, match="control characters"):
        paths.parse("a\0b")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/mc/db/x.db", "db/x.db"),
        ("/etc/mc/../x.db", "../x.db"),
        ("/etc/mc-old/x.db", "/etc/mc-old/x.db"),
        ("/etc/x.db", "/etc/x.db"),
        ("/etc/mc", "."),
        ("/etc/mc/-", "./-"),
        ("-", "-"),
        ("", ""),
    ],
)
def test_paths_are_written_relative_where_they_lie_below_the_folder(path: str, text: str) -> None:
    """So that they mean the same when they are read."""
    assert paths.relate("/etc/mc", path) == text
    assert paths.locate("/etc/mc", text) == path


def test_values_are_written_as_the_file_would_have_them() -> None:
    """Durations, addresses and paths as strings, tables without what has its default; and read back the same."""
    raw = {
        "proxy": {"workers": 3, "idle_timeout": "90s", "user": "x"},
        "database": {"path": "/etc/mc/a/b.db"},
        "firewall": {"blocked_ips": ["0::1"], "blocked_countries": ["se"], "rate_limit": 0},
        "listeners": [
            {
                "addr": "[0::1]:1",
                "trusted_proxies": ["10.0.0.1"],
                "routes": [{"hostname": "A.", "backend": "[::1]:1", "l7_policies": [{"type": "require_header", "value": "X"}]}],
            }
        ],
    }  # fmt: skip
    written = {
        "proxy": {"workers": 3, "idle_timeout": "1m30s", "user": "x"},
        "database": {"path": "a/b.db"},
        "firewall": {"blocked_ips": ["::1"], "blocked_countries": ["SE"]},
        "listeners": [
            {
                "addr": "[::1]:1",
                "trusted_proxies": ["10.0.0.1/32"],
                "routes": [{"hostname": "a", "backend": "[::1]:1", "l7_policies": [{"type": "require_header", "value": "X"}]}],
            }
        ],
    }  # fmt: skip
    problems: list[str] = []
    read = walker.convert(Config, raw, "/etc/mc", lambda _, message: problems.append(message))
    assert {key: walker.written(Config, key, getattr(read, key), "/etc/mc") for key in written} == written
    assert walker.convert(Config, written, "/etc/mc", lambda _, message: problems.append(message)) == read
    assert problems == []


def test_small_texts_have_their_forms() -> None:
    """Modes are octal, URL paths begin with a slash, some texts must say something."""
    assert texts.parse_mode("600") == "0600"
    assert texts.parse_metrics_path("/metrics") == "/metrics"
    assert texts.parse_printable("") == ""
    for parse, text in [
        (texts.parse_mode, "0888"),
        (texts.parse_mode, "rw"),
        (texts.parse_metrics_path, "metrics"),
        (texts.parse_metrics_path, "/a b"),
        (texts.parse_metrics_path, "/a?b"),
        (texts.parse_metrics_path, "/"),
        (texts.parse_metrics_path, "/readyz"),
        (texts.parse_metrics_path, "/static/x"),
        (texts.parse_non_empty, " "),
        (texts.parse_non_empty, "a\nb"),
    ]:
        with pytest.raises(ValueError, match=r"file mode|path of a URL|is taken|must not"):
            parse(text)


def test_headers_to_be_removed() -> None:
    """A name is kept as it is written; what is no name, or one that the proxy needs in whatever spelling, is refused."""
    assert texts.parse_removable_header("X_Client-IP") == "X_Client-IP"
    for wrong in ("", "a b", "a:", "ä", "Host", "content.length", "Transfer_Encoding", "TE"):
        with pytest.raises(ValueError, match=r"header|removed"):
            texts.parse_removable_header(wrong)
