"""`mcproxyctl put`, `remove` and `list`: words become keys and values, and back."""

import json
import shlex
from typing import Any

import pytest

from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.ctl import generic, options
from mcproxy.model.edits.put import PUT
from mcproxy.model.state.kinds import KIND
from tests.support.canned_admin import CannedAdmin
from tests.support.ctl import Ctl
from tests.support.rows import each_row


def test_the_help_knows_every_kind() -> None:
    """In the order of their table, each with the parts of its key."""
    assert set(PUT) == set(options.KINDS)
    for kind in (KIND[name] for name in PUT):
        assert " ".join(part.upper() for part in kind.key) in options.KEYS or kind.name == "setting"


@each_row(
    ("text", "meant"),
    [
        ("", None),
        ("5", 5),
        ("-0x10", "-0x10"),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("nan", "nan"),
        ("inf", "inf"),
        (str(1 << 70), str(1 << 70)),
        ("true", True),
        ("True", "True"),
        ("5s", "5s"),
        ('"5"', "5"),
        ("''", ""),
        ('["a", "b"]', ["a", "b"]),
        ('{ type = "http", path = "/x" }', {"type": "http", "path": "/x"}),
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("[::1]:80", "[::1]:80"),
        ("[1]", [1]),
        ("2024-05-06", "2024-05-06"),
        ("1\nb = 2", "1\nb = 2"),
        ('"a" # b', "a"),
        ("#a", "#a"),
        ("[" * 5000, "[" * 5000),
        ("a=b", "a=b"),
    ],
)
def test_a_value_is_toml_where_it_is_that(text: str, meant: Any) -> None:
    """Else a text as it stands; nothing is the default."""
    found = generic.value(text)
    assert (found, type(found)) == (meant, type(meant))


def test_whatever_toml_can_say_is_sent(ctl_run: Ctl, admin: CannedAdmin) -> None:
    """For the server to judge it."""
    done = ctl_run("--addr", admin.addr, "put", "route", ":1", "a", f"x=[{1 << 70}, 2024-05-06, {{ b = 1.5 }}]")
    assert (done.status, done.stderr) == (0, "")
    assert json.loads(admin.request("PutResource").fields_json) == {"x": [1 << 70, "2024-05-06", {"b": 1.5}]}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("put rout :1 a backend=b:2", "there is no kind 'rout', but setting, rule"),
        ("put rout :1 a backend=b:2", "did you mean route?"),
        ("put route :1", "the key of a route is LISTENER HOSTNAME"),
        ("put route :1 a b:2", "'b:2' is no NAME=VALUE; the key of a route is LISTENER HOSTNAME"),
        ("put route :1 a =b", "'=b' is no NAME=VALUE"),
        ("put route :1 a mode=l4 mode=l7", "mode is given twice"),
        ("put route", "is missing"),
        ("put", "KIND is missing"),
        ("remove route :1 a b", "unexpected argument 'b'; the key of a route is LISTENER HOSTNAME"),
        ("remove rule ip", "the key of a rule is TYPE VALUE"),
        ("list nope", "there is no kind"),
    ],
)
def test_wrong_usage_is_told(ctl_run: Ctl, admin: CannedAdmin, line: str, told: str) -> None:
    """And nothing is asked of the server."""
    result = ctl_run("--addr", admin.addr, *line.split(" "))
    assert (result.status, result.stdout) == (2, "")
    assert told in result.stderr
    assert admin.requests == []


def test_a_list_shows_what_is_not_as_by_default(ctl_run: Ctl, admin: CannedAdmin) -> None:
    """As put takes it; all that a server of another version tells."""
    fields = {"backend": "b:2", "mode": "l4", "idle_timeout": "9s", "on_remove": "drain", "backend_tls": False}
    rows = [
        pb.Resource(kind="route", key=[":1", "a"], fields_json=json.dumps(fields)),
        pb.Resource(kind="route", key=[":1", "b"], fields_json='{"backend": "unix:/a b", "new_key": [1]}'),
    ]
    rows[0].provenance.origin = "/etc/mc/mc-proxy.toml:7"
    admin.answers["ListResources"] = pb.ListResourcesResponse(generation=3, resources=rows)
    result = ctl_run("--addr", admin.addr, "list", "route", ":1")
    assert (result.status, result.stderr) == (0, "")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["LISTENER", "HOSTNAME", "FIELDS", "FROM"],
        [":1", "a", "backend=b:2", "idle_timeout=9s", "mc-proxy.toml:7"],
        [":1", "b", "backend='unix:/a", "b'", "new_key='[1]'", "-"],
    ]
    told = json.loads(ctl_run("--addr", admin.addr, "list", "route", ":1", "--json").stdout)
    assert told["resources"][0]["fields"] == fields


@each_row(
    ("it", "word"),
    [
        (5, "5"),
        ("5", "'\"5\"'"),
        (True, "true"),
        ("true", "'\"true\"'"),
        ("5s", "5s"),
        ("unix:/a b", "'unix:/a b'"),
        ("it's", "'it'\"'\"'s'"),
        ("", "'\"\"'"),
        (None, ""),
        ([], "'[]'"),
        (["10.0.0.0/8"], "'[\"10.0.0.0/8\"]'"),
        ({}, "'{}'"),
        ({"type": "http", "path": "/x y", "fall": 2}, '\'{ type = "http", path = "/x y", fall = 2 }\''),
        ("a\tb\u00e9\\", None),
    ],
)
def test_what_is_shown_is_what_put_takes(it: Any, word: str | None) -> None:
    """As a shell reads it."""
    told = generic.shown(it)
    assert word in (None, told)
    (read,) = shlex.split(f"x={told}")
    assert generic.value(read.removeprefix("x=")) == it


def test_settings_are_listed_with_their_values(ctl_run: Ctl, admin: CannedAdmin) -> None:
    """Each by its path."""
    row = pb.Resource(kind="setting", key=["log.level"], fields_json='{"value": "info"}')
    admin.answers["ListResources"] = pb.ListResourcesResponse(resources=[row])
    result = ctl_run("--addr", admin.addr, "list", "setting")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["PATH", "FIELDS", "FROM"],
        ["log.level", "value=info", "-"],
    ]
