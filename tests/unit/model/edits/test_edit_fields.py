"""A request's fields are judged as if they stood in the file."""

from collections.abc import Mapping
from typing import Any

import pytest

from mcproxy.errors import ConfigError
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.edits.fields import (
    check_key,
    check_listener,
    check_policy,
    check_route,
    check_rule,
)
from mcproxy.model.edits.judging import Violation
from mcproxy.model.edits.stored import fields_of
from mcproxy.model.state.kinds import KindName
from mcproxy.model.state.state import Listener, Policy, Route, Rule, State
from mcproxy.model.values.endpoint import Endpoint
from tests.support.field_values import other_options

A = (":1", "a.example")
L7 = {"mode": "l7", "tls_cert": "c.pem", "tls_key": "/k.pem"}
LIVE = State(
    {":1": Listener(":1", proxy_protocol=True, trusted_proxies=("10.0.0.0/8",))},
    {
        A: Route(*A, (Endpoint("h", 1),), mode="l7", tls_cert="/c", tls_key="/k"),
        (":1", "b"): Route(":1", "b", (Endpoint("h", 1),)),
    },
    {(*A, "require_header", "X"): Policy(*A, "require_header", "X")},
    settings={"firewall.geoip_db": ""},
)


def in_file(table: str, fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return key (its last part) and message of each error of a file with these fields in a table."""
    text = '[[listeners]]\naddr = ":1"\n' + f"[[{table}]]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in fields.items())
    with pytest.raises(ConfigError) as caught:
        resolve([Source("/etc/mc.toml", text)])
    problems = [problem for problem in caught.value.problems if isinstance(problem, Problem)]
    return sorted((p.key.rpartition(".")[2], p.message) for p in problems if p.severity == "error")


def toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | int) else f"'{value}'"


def test_a_route_gets_its_canonical_form() -> None:
    """Names in lower case, paths absolute, what is left out has its default."""
    fields = {"hostname": "App.Example.", "backend": "H:8080", **L7, "backend_tls": True}
    checked = check_route(LIVE, ":1", fields, "/etc/mc")
    assert checked.violations == ()
    assert checked.result == Route(
        ":1",
        "app.example",
        (Endpoint("h", 8080),),
        mode="l7",
        tls_cert="/etc/mc/c.pem",
        tls_key="/k.pem",
        backend_tls=True,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"hostname": "a.*.b", "backend": "h:1"},
        {"hostname": "a", "backend": "h"},
        {"hostname": "a", "backend": "h:1", "mode": "l8"},
        {"hostname": "a", "backend": "h:1", "mode": "l7"},
        {"hostname": "a", "backend": "h:1", "mod": "l7"},
        {"hostname": "a", "backend": "h:1", "on_remove": 5},
        {"hostname": "a", "backend": "h:1", "backend_tls": "yes", "backend_server_name": "1.2.3.4"},
        {"hostname": "", "backend": "", "tls_cert": 5},
    ],
)
def test_a_route_gets_the_messages_of_the_file(fields: dict[str, Any]) -> None:
    """All of them, each at its field."""
    checked = check_route(LIVE, ":1", fields, "/etc/mc")
    assert checked.result is None
    assert sorted((v.field, v.message) for v in checked.violations) == in_file("listeners.routes", fields)


def test_fields_that_are_left_out_are_empty() -> None:
    """Requests can't tell the two apart, so the field is named."""
    assert [v.field for v in check_route(LIVE, ":1", {}, "/").violations] == ["hostname", "backend"]
    assert [v.field for v in check_policy(LIVE, A, {}).violations] == ["type", "value"]
    assert [v.field for v in check_rule(LIVE, {}).violations] == ["type"]
    assert [v.field for v in check_rule(LIVE, {"type": "ip"}).violations] == ["value"]


def test_warnings_are_those_of_the_route_alone() -> None:
    """What is doubtful, but accepted; not what its listener could be blamed for."""
    live = State({":1": Listener(":1", proxy_protocol=True)})
    checked = check_route(live, ":1", {"hostname": "c", "backend": "h:1", "tls_key": "x"}, "/")
    assert checked.result is not None
    assert [(w.field, "no effect on an l4 route" in w.message) for w in checked.warnings] == [("tls_key", True)]


def test_a_route_must_suit_the_policies_it_has() -> None:
    """It can't become l4 under them; a route without any can."""
    fields = {"hostname": "A.example", "backend": "h:1"}
    message = 'an l4 route sees no requests; policies need mode = "l7"'
    assert check_route(LIVE, ":1", fields, "/").violations == (Violation("l7_policies", message),)
    assert check_route(LIVE, ":1", {**fields, **L7}, "/").result is not None
    assert check_route(LIVE, ":1", {**fields, "hostname": "b"}, "/").result is not None


def test_a_policy_is_checked_with_its_route() -> None:
    """Its own values, and that the route can carry it."""
    good = {"type": "block_user_agent", "value": "Bad Bot"}
    assert check_policy(LIVE, A, good).result == Policy(*A, "block_user_agent", "Bad Bot")
    message = 'an l4 route sees no requests; policies need mode = "l7"'
    assert check_policy(LIVE, (":1", "b"), good).violations == (Violation("hostname", message),)
    (violation,) = check_policy(LIVE, A, {"type": "require_header", "value": "X Y"}).violations
    assert violation == Violation("value", 'must be a header\'s name, or "Name: value"')
    assert [v.field for v in check_policy(LIVE, A, {"type": "x", "value": 5}).violations] == ["type", "value"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "ip", "value": "::FFFF:192.0.2.1"}, Rule("ip", "192.0.2.1")),
        ({"type": "cidr", "value": "2001:DB8::/32"}, Rule("cidr", "2001:db8::/32")),
        ({"type": "cidr", "value": "10.0.0.1/8"}, "host bits"),
        ({"type": "ip", "value": "10.0.0.0/8"}, "blocked_cidrs"),
        ({"type": "country", "value": "Sweden"}, "two letters"),
        ({"type": "country", "value": "se"}, "needs geoip_db"),
    ],
)
def test_rules(fields: dict[str, Any], expected: Rule | str) -> None:
    """Canonical, or one message at the value."""
    checked = check_rule(LIVE, fields)
    if isinstance(expected, Rule):
        assert checked.result == expected
    else:
        assert [(v.field, expected in v.message) for v in checked.violations] == [("value", True)]


def test_a_country_can_be_blocked_when_there_is_a_database() -> None:
    """The file names it."""
    live = State(settings={"firewall.geoip_db": "/db.mmdb"})
    assert check_rule(live, {"type": "country", "value": "se"}).result == Rule("country", "SE")


@pytest.mark.parametrize("wrong", ["cidrs", "", 5, ["ip"], None])
def test_a_rule_of_no_type(wrong: object) -> None:
    """The field is the type; the value can't be judged then."""
    assert [v.field for v in check_rule(LIVE, {"type": wrong, "value": "x"}).violations] == ["type"]


@pytest.mark.parametrize("wrong", [-1, 2**31, 1.5, "5", True, None])
def test_max_connections_of_a_listener(wrong: object) -> None:
    """The rest of the listener stays; a wrong number is told."""
    listener = LIVE.listeners[":1"]
    changed = check_listener(LIVE, listener, {"max_connections": 7}, "/etc").result
    assert changed == Listener(":1", proxy_protocol=True, trusted_proxies=("10.0.0.0/8",), max_connections=7)
    assert [v.field for v in check_listener(LIVE, listener, {"max_connections": wrong}, "/etc").violations] == [
        "max_connections"
    ]


def test_paths_of_a_listener_begin_at_its_folder() -> None:
    """As those of other resources."""
    said = {"tls": {"client_ca": "ca.pem", "client_crl": "sub/revoked.crl"}}
    changed = check_listener(LIVE, LIVE.listeners[":1"], said, "/etc/mcproxy").result
    assert changed is not None
    assert changed.tls is not None
    assert changed.tls.client_ca == "/etc/mcproxy/ca.pem"
    assert changed.tls.client_crl == "/etc/mcproxy/sub/revoked.crl"


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("listener", {"addr": "[0:0::1]:08443"}, "[::1]:8443"),
        ("route", {"listener": ":1", "hostname": "*.Ü.example."}, (":1", "*.xn--tda.example")),
        (
            "policy",
            {"listener": ":1", "hostname": "A", "type": "require_header", "value": "X: y"},
            (":1", "a", "require_header", "X: y"),
        ),
        ("rule", {"type": "country", "value": "se"}, ("country", "SE")),
        ("listener", {}, ["addr"]),
        ("route", {"listener": "x"}, ["listener", "hostname"]),
        ("policy", {"listener": ":1", "hostname": "a", "type": "x", "value": " "}, ["type", "value"]),
        ("rule", {"type": "ip", "value": "x"}, ["value"]),
    ],
)
def test_keys_are_found_by_any_of_their_forms(kind: KindName, fields: dict[str, Any], expected: object) -> None:
    """The key in the State, or the fields that are wrong."""
    checked = check_key(kind, fields)
    assert (checked.result or [violation.field for violation in checked.violations]) == expected


def test_a_resource_in_the_words_of_the_file_is_itself_again() -> None:
    """So that a request can change one field and keep the others."""
    options = {**other_options(), "redirect": "", "respond": "", "status": 0, "certificate": "", "names": ()}
    route = Route(":1", "c", (Endpoint("::1", 2),), **options)
    assert check_route(LIVE, ":1", fields_of(route), "/").result == route
    assert check_listener(LIVE, LIVE.listeners[":1"], {}, "/etc").result == LIVE.listeners[":1"]
    policy = LIVE.policies[*A, "require_header", "X"]
    assert check_policy(LIVE, A, fields_of(policy)).result == policy
    assert check_rule(LIVE, fields_of(Rule("ip", "::1"))).result == Rule("ip", "::1")
    with pytest.raises(TypeError):
        fields_of(5)
