"""Targets: what operators write: config text, and the fields of requests over the admin API."""

import contextlib
import copy
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from mcproxy.errors import ConfigError, RequestError
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.edits import requests
from mcproxy.model.edits.edit import decode, encode
from mcproxy.model.edits.overlay import merge
from mcproxy.model.edits.requests import Draft, EditMetadata, View
from mcproxy.policy.explain.testing.run import run, untouched
from tests.fuzz.target import Target

# What takes part in requests: a route of each mode, a policy, a rule.
_FILE = """
[firewall]
blocked_ips = ["192.0.2.1"]
[[listeners]]
addr = ":8443"
max_connections = 10
[[listeners.routes]]
hostname = "a.example"
backend = "192.0.2.2:443"
[[listeners.routes]]
hostname = "b.example"
backend = "unix:/run/b.sock"
mode = "l7"
tls_cert = "/c.pem"
tls_key = "/k.pem"
l7_policies = [{type = "require_header", value = "x-env"}]
"""
_METADATA = EditMetadata(created=1000.0, author="ann")


def _check_text(data: bytes) -> None:
    """A text is a configuration whose tests can be run, or a ConfigError; problems stand at places that exist."""
    text = data.decode("utf-8", "replace")
    problems: Sequence[Problem]
    try:
        resolution = resolve([Source("/etc/mc-proxy.toml", text)])
        tested = run(resolution, None, "/etc")
        problems = (*resolution.warnings, *tested.failed, *tested.unjudged, *untouched(resolution, tested.touched))
    except ConfigError as error:
        problems = cast("tuple[Problem, ...]", error.problems)
        assert problems
    lines = text.split("\n")
    for problem in problems:
        assert problem.message
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem


def _check_request(data: bytes) -> None:
    """A request is a draft whose edits can be stored and merged, or a RequestError."""
    try:
        asked = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(asked, dict) and isinstance(fields := asked.get("fields"), dict):
        for draft in _drafts(_view(), str(asked.get("listener", "")), str(asked.get("hostname", "")), fields):
            with contextlib.suppress(RequestError):
                made = draft()
                stored = [decode(encode(edit)) for edit in made.add]
                assert stored == list(made.add)
                merge(_view().file, stored, 1000.0)


def _view() -> View:
    state = resolve([Source("/etc/mc-proxy.toml", _FILE)]).state
    return View(state, state, (), "/etc")


def _drafts(view: View, listener: str, hostname: str, fields: Mapping[str, Any]) -> list[Callable[[], Draft]]:
    """Return the request as each kind of it; what names a route is no field of an update."""
    named = {name: value for name, value in fields.items() if name not in ("hostname", "l7_policies")}
    return [
        lambda: requests.add_route(view, _METADATA, listener, fields),
        lambda: requests.update_route(view, _METADATA, listener, hostname, named),
        lambda: requests.add_policy(view, _METADATA, listener, hostname, fields),
        lambda: requests.add_rule(view, _METADATA, fields),
        lambda: requests.set_max_connections(view, _METADATA, listener, fields.get("max_connections", 1)),
        lambda: requests.remove(view, _METADATA, "route", fields),
        lambda: requests.remove(view, _METADATA, "policy", fields),
        lambda: requests.remove(view, _METADATA, "rule", fields),
    ]


_ODD: list[Any] = [
    None, True, False, 0, -1, 1, 65536, 2**63, 2**64, 10**400, 0.5, 1e300, "", " ", "\0", "a.example", "*.example", "*",
    "é.example", "xn--", "a" * 300, ".", "..", "192.0.2.9", "192.0.2.9/33", "::1", "[::1]:443", ":0", ":8443", "unix:/x",
    "/run/x.sock", "l4", "l7", "h2", "10s", "0s", "-1s", "1e9h", [], {}, [[]], [None], [1, "a"], {"a": {}},
    ["192.0.2.9:443"] * 3, [["x"]], {"": ""}, "block_user_agent", "require_header", "country", "DE", "cidr",
]  # fmt: skip


def _mutate_json(rng: random.Random, inputs: Sequence[bytes]) -> bytes:
    """Return a request with some values replaced, added or left out."""
    asked = json.loads(rng.choice(inputs))
    others = json.loads(rng.choice(inputs))["fields"]
    fields = asked["fields"]
    for _ in range(rng.choice((1, 1, 2, 4))):
        name = rng.choice(sorted({*fields, *others, "l7_policies", "backend", "idle_timeout", "unknown", ""}))
        odd = copy.deepcopy(rng.choice(_ODD))  # what was put in may be changed the next time
        match rng.randrange(5):
            case 0:
                fields.pop(name, None)
            case 1 if name in others:
                fields[name] = others[name]
            case 2 if isinstance(fields.get(name), list):
                fields[name].insert(0, odd)
            case 3:
                asked[rng.choice(("listener", "hostname"))] = odd
            case _:
                fields[name] = odd
    return json.dumps(asked).encode()


CONFIG = Target("config", _check_text)
FIELDS = Target("fields", _check_request, mutate=_mutate_json)
