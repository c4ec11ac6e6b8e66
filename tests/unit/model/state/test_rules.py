"""Rules over several resources: what breaks them, who is told of it."""

from typing import Any

import pytest

from mcproxy.model.state.rules.violations import violations
from mcproxy.model.state.state import Listener, Policy, Route, Rule, State
from mcproxy.model.values.endpoint import Endpoint

ENDPOINTS = (Endpoint("h", 1),)
POLICY = Policy(":1", "a", "require_header", "X")
KEY = (":1", "a", "require_header", "X")


def listeners(*addrs: str, **settings: Any) -> State:
    """Return a State of listeners and settings."""
    return State(
        {addr: Listener(addr) for addr in addrs}, settings={n.replace("__", "."): v for n, v in settings.items()}
    )


def found(state: State) -> list[tuple[Any, str, tuple[Any, ...]]]:
    """Return subject, message and the others of each violation."""
    return [(violation.subject, violation.message, violation.others) for violation in violations(state)]


def test_the_later_of_two_addresses_that_overlap_is_told() -> None:
    """Settings come before listeners; one that overlaps with several is told once."""
    state = listeners(":2", "127.0.0.1:1", ":1", "127.0.0.1:3", metrics__addr="0.0.0.0:1", grpc__addr="")
    message = "cannot be bound beside metrics.addr 0.0.0.0:1"
    assert found(state) == [
        (("listener", addr), f"{addr} {message}", (("setting", "metrics.addr"),)) for addr in ("127.0.0.1:1", ":1")
    ]


@pytest.mark.parametrize(
    ("addrs", "settings", "count"),
    [
        ((":1", "127.0.0.1:2", "[::1]:2"), {}, 0),
        ((":1", "127.0.0.1:1"), {}, 1),
        ((":1",), {"grpc.addr": "[::1]:1"}, 1),
        ((), {"grpc.addr": ":1", "metrics.addr": ":1"}, 1),
        ((), {"metrics.addr": ":1"}, 0),
    ],
)
def test_addresses_that_overlap_exclude_each_other(
    addrs: tuple[str, ...], settings: dict[str, Any], count: int
) -> None:
    """Of listeners, of the API and of the metrics."""
    tls = {"grpc.tls_cert": "c", "grpc.tls_key": "k", "grpc.client_ca": "a"}
    state = State({addr: Listener(addr) for addr in addrs}, settings={**tls, **settings})
    assert len(found(state)) == count
    assert all(violation.rival in violation.others for violation in violations(state))


def test_policies_need_an_l7_route() -> None:
    """The policy is told, the route could be changed as well."""
    route = Route(":1", "a", ENDPOINTS)
    state = State({":1": Listener(":1")}, {(":1", "a"): route}, {KEY: POLICY})
    message = 'an l4 route sees no requests; policies need mode = "l7"'
    assert found(state) == [(("policy", KEY), message, (("route", (":1", "a")),))]
    state.routes[":1", "a"] = Route(":1", "a", ENDPOINTS, mode="l7", tls_cert="c", tls_key="k")
    assert found(state) == []


def test_the_api_is_open_to_tcp_under_mutual_tls_only() -> None:
    """Each file that is missing is told."""
    state = listeners(grpc__addr=":9", grpc__tls_cert="c", grpc__tls_key="")
    assert [(message.partition(":")[0], others) for _, message, others in found(state)] == [
        ("grpc.addr needs tls_key too", (("setting", "grpc.tls_key"),)),
        ("grpc.addr needs client_ca too", (("setting", "grpc.client_ca"),)),
    ]
    assert found(listeners(grpc__addr="", grpc__tls_cert="c")) == []


def test_countries_need_a_database() -> None:
    """Every rule of a country is told; other rules need none."""
    rules: dict[tuple[str, str], Rule] = {
        (rule.type, rule.value): rule for rule in (Rule("country", "SE"), Rule("ip", "::1"), Rule("country", "NO"))
    }
    state = State(rules=rules, settings={"firewall.geoip_db": ""})
    assert [subject for subject, _, _ in found(state)] == [("rule", ("country", "SE")), ("rule", ("country", "NO"))]
    state.settings["firewall.geoip_db"] = "/db"
    assert found(state) == []
