"""The backend step of explain: which endpoints there are to choose from, and what keeps the others out."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.upstream_options import Check
from mcproxy.model.values.origins import Origin
from mcproxy.policy.explain.backend import overdue
from mcproxy.policy.explain.query import Candidate, Live, Query, Step
from mcproxy.policy.explain.walk import explain

NOW = datetime(2026, 11, 28, 14, 30, tzinfo=UTC).timestamp()
A, B, C = "10.0.0.3:80", "10.0.0.4:80", "10.0.0.5:80"
DOWN_SINCE = NOW - 28 * 60


def text(web: str = 'balance = "least_conn"', c: str = "", route: str = 'backend = "web"') -> str:
    return f"""
[upstreams.web]
endpoints = ["{A}", "{B}", {{ address = "{C}"{c} }}]
{web}
[[listeners]]
addr = ":1"
[[listeners.routes]]
hostname = "a.test"
{route}
"""


def step(source: str, live: Live | None) -> Step:
    """Return the last step of a connection."""
    resolution = resolve([Source("/mc-proxy.toml", source)])
    return explain(resolution, Query(sni="a.test"), lambda _: None, live)[-1]


def seen(*others: Candidate, upstream: str = "web", **facts: Any) -> Live:
    """Return that three endpoints are up, but for what ``others`` say, and that of the second one what ``facts`` say."""
    given = {each.address: each for each in others}
    given |= {B: Candidate(upstream=upstream, address=B, **facts)} if facts else {}
    up = (Candidate(upstream=upstream, address=each, verdict="up", last_check=NOW - 2) for each in (A, B, C))
    return Live(NOW, [given.get(each.address, each) for each in up])


DOWN: dict[str, Any] = {
    "verdict": "down",
    "since": DOWN_SINCE,
    "last_check": NOW - 1,
    "last_error": "connection refused",
    "reason": "3 checks failed",
    "usable": False,
}
EJECTED: dict[str, Any] = {"verdict": "ejected", "since": DOWN_SINCE, "reason": "5 of 8 failed", "usable": False}


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, f"least_conn over 3 of 3: {A}, {B}, {C}"),
        (DOWN, f"least_conn over 2 of 3: {A}, {C}; {B} down since 14:02Z (connection refused)"),
        (EJECTED, f"least_conn over 2 of 3: {A}, {C}; {B} ejected since 14:02Z (5 of 8 failed)"),
        (
            {**EJECTED, "since": NOW - 86_400},
            f"least_conn over 2 of 3: {A}, {C}; {B} ejected since 2026-11-27 14:30Z (5 of 8 failed)",
        ),
        ({"state": "drain", "usable": False, "verdict": "up"}, f"least_conn over 2 of 3: {A}, {C}; {B} drain"),
        ({"state": "maintenance", "usable": False}, f"least_conn over 2 of 3: {A}, {C}; {B} maintenance"),
        (
            {"verdict": "waiting", "usable": False},
            f"least_conn over 2 of 3: {A}, {C}; {B} waits for its first successful check",
        ),
        ({"backup": True}, f"least_conn over 2 of 3: {A}, {C}; {B} backup"),
    ],
)
def test_what_keeps_an_endpoint_out_is_told(facts: dict[str, Any], told: str) -> None:
    """With the time and the reason."""
    found = step(text(), seen(**facts))
    assert (found.step, found.outcome, found.detail) == (
        "backend",
        "ok",
        f"TLS is passed through (l4) to upstream web: {told}",
    )
    assert str(found.origin) == "/mc-proxy.toml:2"


def test_an_edit_that_takes_an_endpoint_out_is_named() -> None:
    """By the address in the file, where that is a name that stands for several."""
    resolution = resolve([Source("/mc-proxy.toml", text())])
    edited = {**resolution.origins, ("endpoint", "web", "all.test:80"): Origin("edit 7 by ann", 0, 0)}
    resolution = msgspec.structs.replace(resolution, origins=edited)
    live = seen(label="all.test:80", state="drain", usable=False, reason="3 checks failed", verdict="down")
    told = explain(resolution, Query(sni="a.test"), lambda _: None, live)[-1].detail
    assert told.endswith(f"least_conn over 2 of 3: {A}, {C}; {B} drain (edit 7 by ann)")


def test_old_knowledge_is_told_as_such() -> None:
    """Three checks are overdue; of one that is chosen, and of one that is not."""
    checked = text('check = { interval = "10s", timeout = "2s" }')
    late: dict[str, Any] = {"verdict": "up", "last_check": NOW - 45}
    assert step(checked, seen(**late)).detail.endswith(
        f"round_robin over 3 of 3: {A}, {B}, {C}; {B} last checked 45 s ago"
    )
    assert step(checked, seen(**{**DOWN, "last_check": NOW - 45})).detail.endswith(
        f"{B} down since 14:02Z (connection refused), last checked 45 s ago"
    )
    assert "last checked" not in step(checked, seen(**{**late, "last_check": NOW - 31})).detail


def test_what_files_alone_say_has_no_verdicts() -> None:
    """What the operator wants is known, what checks say is not."""
    assert step(text(c=', state = "drain"'), None).detail.endswith(
        f"least_conn over 2 of 3: {A}, {B}; {C} drain; states unknown"
    )


def test_backups_are_used_when_nothing_else_is() -> None:
    """And told as what is chosen."""
    down = [Candidate(upstream="web", address=each, **DOWN) for each in (A, B)]
    live = seen(*down, Candidate(upstream="web", address=C, backup=True, verdict="up"))
    assert f"least_conn over 1 of 3: {C}; {A} down" in step(text(), live).detail


def test_when_none_is_usable() -> None:
    """All that are ready are used, or with panic = false none; what is drained is not used in any case."""
    down = [Candidate(upstream="web", address=each, **DOWN) for each in (A, B)]
    live = seen(*down, Candidate(upstream="web", address=C, state="drain", usable=False))
    found = step(text(), live)
    assert found.outcome == "ok"
    assert f"panic, none of web is usable: least_conn over 2 of 3: {A}, {B}; {A} down since" in found.detail
    refused = step(text("panic = false"), live)
    assert refused.outcome == "refused"
    assert f"no endpoint is usable, and panic = false: refused; {A} down since" in refused.detail
    drained = [Candidate(upstream="web", address=each, state="drain", usable=False) for each in (A, B, C)]
    assert step(text(), seen(*drained)).detail.endswith(
        f"no endpoint is ready: refused; {A} drain; {B} drain; {C} drain"
    )


def test_the_way_is_the_upstreams() -> None:
    """What a route of l7 says of its own backend does not count for a named one; limits come last."""
    web = 'tls = { server_name = "in.test" }\nprotocol = "h2"\nsend_proxy_protocol = true\nconnect_timeout = "2s"'
    found = step(
        text(web, route='backend = "web"\nmode = "l7"\ntls_cert = "/c"\ntls_key = "/k"\nidle_timeout = "9s"'), seen()
    )
    assert found.detail == (
        "upstream web by HTTP/2 over TLS, verified for in.test, which is told the client's address by a PROXY header: "
        f"round_robin over 3 of 3: {A}, {B}, {C}; connect_timeout 2s, idle_timeout 9s"
    )


def test_a_routes_own_addresses_are_told_alike() -> None:
    """Under the route's line; a single one as ever."""
    own = text(route=f'backend = ["{A}", "{B}"]')
    found = step(own, Live(NOW, [Candidate(upstream=":1 a.test", address=each, verdict="up") for each in (A, B)]))
    assert found.detail == f"TLS is passed through (l4) to 2 addresses: round_robin over 2 of 2: {A}, {B}"
    assert str(found.origin).startswith("/mc-proxy.toml:7")
    single = step(text(route=f'backend = "{A}"'), None)
    assert single.detail == f"TLS is passed through (l4) to {A}"


def test_many_endpoints_are_cut_short() -> None:
    """Ten of each sort are named."""
    many = Live(
        NOW, [Candidate(upstream="web", address=f"h:{port}", **({} if port % 2 else DOWN)) for port in range(1, 41)]
    )
    told = step(text(), many).detail
    assert "h:19 and 10 more; h:2 down" in told
    assert told.endswith("; and 10 more")


def test_without_a_check_nothing_is_overdue() -> None:
    """However long ago the last one was."""
    assert not overdue(None, 1.0, 1e9)
    assert not overdue(Check(), 0.0, 1e9)  # there was none yet


def test_ten_are_all_named() -> None:
    """Nothing is left out then."""
    ten = [Candidate(upstream="web", address=f"h:{port}", verdict="up") for port in range(1, 11)]
    told = step(text(), Live(NOW, ten)).detail
    assert told.endswith("over 10 of 10: " + ", ".join(f"h:{port}" for port in range(1, 11)))
    out = [Candidate(upstream="web", address=f"x:{port}", state="drain", usable=False) for port in range(1, 11)]
    assert step(text(), Live(NOW, [*ten, *out])).detail.endswith("; x:10 drain")


def test_the_header_that_tells_the_client_is_told() -> None:
    """With its version and destination where they are not as by default."""
    web = 'send_proxy_protocol = true\nproxy_protocol_version = "v1"\nproxy_protocol_destination = "original"'
    assert step(text(web), seen()).detail.startswith(
        "TLS is passed through (l4) to upstream web, which is told the client's address by a PROXY header (v1) with the "
        "client's original destination: round_robin over 3 of 3: "
    )
