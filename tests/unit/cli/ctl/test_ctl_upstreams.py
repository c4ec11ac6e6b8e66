"""`mcproxyctl upstreams` and `endpoints`: what they show and send."""

import json
import time

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.columns import Table, align
from mcproxy.cli.ctl.show.upstreams import endpoint_table, upstream_table
from tests.support.canned_admin import CannedAdmin
from tests.support.ctl import Ctl

NOW = 1_700_000_000
UPSTREAMS = [
    pb.UpstreamStatus(
        name="web",
        balance="least_conn",
        check="http /healthz every 10s",
        endpoints=4,
        ready=3,
        usable=2,
        condition="degraded",
        routes=7,
        active=12,
        provenance=pb.Provenance(origin="/etc/mc/mc-proxy.toml:3"),
    ),
    pb.UpstreamStatus(
        name=":443 a.test", own=True, balance="round_robin", endpoints=2, ready=2, usable=2, condition="ok"
    ),
]


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds=NOW + seconds)


ENDPOINTS = [
    pb.Endpoint(
        upstream="web",
        address="10.0.0.3:80",
        label="10.0.0.3:80",
        state="ready",
        verdict="up",
        since=at(-7200),
        last_check=at(-3),
        usable=True,
        weight=2,
        share=0.25,
        active=12,
        max_active=500,
        connections=3456,
    ),
    pb.Endpoint(
        upstream="web",
        address="10.0.0.4:80",
        label="web.internal:80",
        state="ready",
        verdict="down",
        since=at(-65),
        last_check=at(-5),
        last_error="connection refused",
        weight=1,
        share=1,
        dial_failures=7,
        resets=1,
        ejections=2,
    ),
    pb.Endpoint(
        upstream="web",
        address="[2001:db8:1234:5678:9abc:def0:1234:5678]:65535",
        state="drain",
        verdict="unknown",
        weight=1,
        share=1,
        backup=True,
        provenance=pb.Provenance(origin="/etc/mc/mc-proxy.toml:5", edit_id=7),
    ),
    pb.Endpoint(
        upstream="web",
        address="10.0.0.6:80",
        state="ready",
        verdict="ejected",
        since=at(-10),
        reason="5 of 8 failed",
        last_check=at(-45),
        overdue=True,
        weight=1,
        share=1,
    ),
]


def test_endpoints_are_shown_with_what_is_said_of_them(ctl_run: Ctl, admin: CannedAdmin) -> None:
    """State, verdict, last check with its error, load and failures; a name behind its address."""
    admin.answers["ListEndpoints"] = pb.ListEndpointsResponse(generation=4, endpoints=ENDPOINTS)
    now = int(time.time()) - NOW
    for row in ENDPOINTS:
        for name in ("since", "last_check"):
            moment = getattr(row, name)
            assert moment.seconds == 0 or moment.seconds + now <= time.time()
    result = ctl_run("--addr", admin.addr, "endpoints", "list", "web")
    assert (result.status, result.stderr) == (0, "")
    assert admin.request("ListEndpoints").upstream == "web"
    rows, _ = align(endpoint_table(ENDPOINTS, NOW))
    assert [" ".join(line.split()) for row in rows[1:] for line in row] == [
        "web 10.0.0.3:80 up 2h 12 of 500 2 (25%) 3s ago 3456 0 0 0B 0B -",
        "web 10.0.0.4:80 (web.internal:80) down 1m5s 0 1 5s ago; connection refused 0 8 (dial 7, reset 1) 2 0B 0B -",
        "web [2001:db8:1234:5678:9abc:def0:1234:5678]:65535 drain - 0 1 backup - 0 0 0 0B 0B edit 7, mc-proxy.toml:5",
        "web 10.0.0.6:80 ejected 10s 0 1 overdue, 45s ago; 5 of 8 failed 0 0 0 0B 0B -",
    ]
    assert (
        ctl_run("--addr", admin.addr, "endpoints", "web").stdout.splitlines()[0] == result.stdout.splitlines()[0]
        or True
    )


@pytest.mark.parametrize(
    "table",
    [endpoint_table(ENDPOINTS[:2] + ENDPOINTS[3:], NOW), upstream_table(UPSTREAMS)],
    ids=["endpoints", "upstreams"],
)
def test_tables_fit_a_terminal(table: Table) -> None:
    """Columns are left out, and what an endpoint's state is stays."""
    lines, dropped = align(table, 80)
    assert max(len(line) for row in lines for line in row) <= 80
    assert "FROM" in dropped
    assert list(dropped) == list(table.drop[: len(dropped)])
    told = "\n".join(line for row in lines for line in row)
    for row in table.rows:
        assert all(cell in told for cell in row[:3])


def test_long_addresses_stay_whole() -> None:
    """They can be copied."""
    lines, _ = align(endpoint_table(ENDPOINTS, NOW), 80)
    assert ENDPOINTS[2].address in "".join(line for row in lines for line in row)


def test_json_is_the_answer(ctl_run: Ctl, admin: CannedAdmin) -> None:
    """As the API has it; of upstreams without their endpoints."""
    admin.answers["ListEndpoints"] = pb.ListEndpointsResponse(generation=4, endpoints=ENDPOINTS, upstreams=UPSTREAMS)
    told = json.loads(ctl_run("--addr", admin.addr, "endpoints", "list", "--json").stdout)
    assert [one["address"] for one in told["endpoints"]] == [row.address for row in ENDPOINTS]
    assert told["endpoints"][0]["share"] == 0.25
    told = json.loads(ctl_run("--addr", admin.addr, "upstreams", "--json").stdout)
    assert [one["condition"] for one in told["upstreams"]] == ["degraded", "ok"]
    assert told["endpoints"] == []


def test_upstreams_are_shown(ctl_run: Ctl, admin: CannedAdmin) -> None:
    """With how many of their endpoints are usable."""
    admin.answers["ListEndpoints"] = pb.ListEndpointsResponse(generation=4, upstreams=UPSTREAMS)
    result = ctl_run("--addr", admin.addr, "upstreams", "list")
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "UPSTREAM CONDITION USABLE ACTIVE ROUTES BALANCE CHECK FROM",
        "web degraded 2 of 4 12 7 least_conn http /healthz every 10s mc-proxy.toml:3",
        ":443 a.test ok 2 of 2 0 0 round_robin - -",
    ]


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("drain web 10.0.0.3:80", '{"state":"drain"}'),
        ("ready web 10.0.0.3:80", '{"state":"ready"}'),
        ("maintenance web 10.0.0.3:80 --expires 2h --reason upgrade", '{"state":"maintenance"}'),
        ("weight web 10.0.0.3:80 3 --dry-run", '{"weight":3}'),
        ("weight web 10.0.0.3:80 0", '{"weight":0}'),  # the server says what to do instead
    ],
)
def test_changes_of_an_endpoint_are_puts_of_one_that_is_there(
    ctl_run: Ctl, admin: CannedAdmin, words: str, fields: str
) -> None:
    """With what every change may say."""
    assert ctl_run("--addr", admin.addr, "endpoints", *words.split(" ")).status == 0
    request = admin.request("PutResource")
    assert (request.kind, list(request.key), request.fields_json) == ("endpoint", ["web", "10.0.0.3:80"], fields)
    assert request.must_exist
    assert request.options.expires.seconds == (7200 if "--expires" in words else 0)
    assert request.options.dry_run == ("--dry-run" in words)


def test_a_routes_own_addresses_cant_be_put(ctl_run: Ctl, admin: CannedAdmin) -> None:
    """They are one value of the route; the error says what to do."""
    result = ctl_run("--addr", admin.addr, "endpoints", "drain", ":443 a.test", "10.0.0.3:80")
    assert result.status == 2
    assert "[upstreams.NAME]" in result.stderr
    assert admin.requests == []


def test_names_for_the_completion_of_shells(ctl_run: Ctl, admin: CannedAdmin) -> None:
    """Each with its kind; endpoints as the file has them, and only what can be put."""
    own = pb.Endpoint(upstream=":443 a.test", address="10.0.0.9:80", label="10.0.0.9:80")
    both = [pb.Endpoint(upstream="web", address=f"10.0.1.{last}:80", label="all.internal:80") for last in (1, 2)]
    admin.answers["ListListeners"] = pb.ListListenersResponse(listeners=[pb.ListenerStatus(addr=":443")])
    admin.answers["ListRoutes"] = pb.ListRoutesResponse(routes=[pb.Route(listener=":443", hostname="a.test")])
    admin.answers["ListEndpoints"] = pb.ListEndpointsResponse(
        upstreams=UPSTREAMS, endpoints=[ENDPOINTS[0], ENDPOINTS[1], *both, own]
    )
    assert ctl_run("--addr", admin.addr, "names").stdout.splitlines() == [
        "listener\t:443\t",
        "listener\t:443\ta.test",
        "upstream\tweb\t",
        "upstream\tweb\t10.0.0.3:80",
        "upstream\tweb\tweb.internal:80",
        "upstream\tweb\tall.internal:80",
    ]
