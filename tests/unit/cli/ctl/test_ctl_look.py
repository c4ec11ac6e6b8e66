"""`mcproxyctl`: what it shows of a running server, for people and for machines."""

import json
import re
import time
from collections.abc import Iterable

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.ctl.resources import SortOption
from mcproxy.cli.ctl.show.lists import ORDERS
from tests.support.canned_admin import CannedAdmin
from tests.support.ctl import Ctl

T0 = 1_700_000_000  # 2023-11-14 22:13:20 UTC

LISTENERS = [
    pb.ListenerStatus(
        addr=":8443",
        routes=3,
        active_connections=12,
        accepted_connections=10423,
        refused={"ip": 2, "no_route": 5, "limit": 0},
        failed={"backend_dns": 4},
        client_aborts={"client_gone": 2, "client_reset": 1},
        health_checks=9,
        provenance=pb.Provenance(origin="/etc/mc/mc-proxy.toml:12"),
    ),
    pb.ListenerStatus(
        addr="[::1]:9443",
        proxy_protocol=True,
        trusted_proxies=["10.0.0.0/8", "::1/128"],
        max_connections=100,
        provenance=pb.Provenance(origin="mc-proxy.toml:30", edit_id=4),
    ),
    pb.ListenerStatus(addr=":1", proxy_protocol=True, protocol="tcp"),
]
LISTENER_TABLE = [
    "LISTENER  PROTOCOL  ROUTES  ACTIVE  LIMIT  ACCEPTED  REFUSED  FAILED  ABORTED  PROXY PROTOCOL  FROM",
    ":8443  tls  3  12  -  10423  7 (no_route 5, ip 2)  4 (backend_dns 4)  3  -  mc-proxy.toml:12",
    "[::1]:9443  tls  0  0  100  0  0  0  0  of 10.0.0.0/8, ::1/128  edit 4, mc-proxy.toml:30",
    ":1  tcp  0  0  -  0  0  0  0  of anyone  -",
]


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds=T0 + seconds)


def words(lines: Iterable[str]) -> list[list[str]]:
    """Return what stands in a table, whatever its columns' widths."""
    return [line.split() for line in lines]


class TestStatus:
    ANSWER = pb.GetStatusResponse(
        version="0.1.0",
        pid=100,
        started=at(0),
        config_path="/etc/mcproxy/mc-proxy.toml",
        generation=17,
        workers=[pb.Worker(pid=101, slot=1, generation=17), pb.Worker(pid=102, slot=2, generation=17)],
        listeners=LISTENERS[:1],
        routes=3,
        last_reload=pb.Reload(succeeded=True, time=at(60)),
        database=pb.Database(path="/var/lib/mcproxy/mc-proxy.db"),
        data_path="native",
    )

    def test_a_server_that_is_well(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Names and values, then the listeners."""
        admin.answers["GetStatus"] = self.ANSWER
        result = ctl("status")
        assert (result.status, result.stderr) == (0, "")
        lines = result.stdout.splitlines()
        running = lines.pop(1)
        assert running.startswith("running      ")
        assert running.endswith(", since 2023-11-14 22:13:20Z, pid 100")
        assert lines == [
            "version      mcproxy 0.1.0",
            "config       /etc/mcproxy/mc-proxy.toml",
            "generation   17",
            "last reload  succeeded, 2023-11-14 22:14:20Z",
            "workers      2 (pid 101, 102)",
            "data path    native",
            "routes       3",
            "drift        none",
            "database     /var/lib/mcproxy/mc-proxy.db",
            "",
            "LISTENER  PROTOCOL  ROUTES  ACTIVE  LIMIT  ACCEPTED  REFUSED               FAILED             ABORTED  PROXY PROTOCOL  FROM",
            ":8443     tls            3      12      -     10423  7 (no_route 5, ip 2)  4 (backend_dns 4)        3  -               mc-proxy.toml:12",
        ]

    @pytest.mark.parametrize(
        ("path", "why", "line"),
        [
            ("python", "", "python"),
            ("python", "there is no C compiler", "python: there is no C compiler"),
            ("", "", None),
        ],
    )
    def test_what_relays_connections_is_told(
        self, path: str, why: str, line: str | None, admin: CannedAdmin, ctl: Ctl
    ) -> None:
        """And why it is not the native core; nothing where the server is of a version that had none."""
        answer = pb.GetStatusResponse()
        answer.CopyFrom(self.ANSWER)
        answer.data_path, answer.data_path_reason = path, why
        admin.answers["GetStatus"] = answer
        told = [one.split(maxsplit=2)[-1] for one in ctl("status").stdout.splitlines() if one.startswith("data path")]
        assert told == ([] if line is None else [line])

    def test_upstreams_that_are_not_well_are_told(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """The worst in front, as the server sends them, and how many more there are."""
        answer = pb.GetStatusResponse()
        answer.CopyFrom(self.ANSWER)
        answer.troubled_upstreams.add(name="db", condition="panic", ready=2)
        answer.troubled_upstreams.add(name=":443 a.test", own=True, condition="degraded", ready=3, usable=2)
        answer.troubled_upstreams.add(name="out", condition="down", endpoints=2)
        answer.troubled_upstreams_total = 4
        admin.answers["GetStatus"] = answer
        lines = ctl("status").stdout.splitlines()
        begin = next(number for number, line in enumerate(lines) if line.startswith("PANIC"))
        assert [" ".join(line.split()) for line in lines[begin : begin + 4]] == [
            "PANIC upstream db: panic, 0 of 2 endpoints usable",
            "DEGRADED upstream :443 a.test: degraded, 2 of 3 endpoints usable",
            "DOWN upstream out: down, all its endpoints are in drain or maintenance",
            "and 1 more upstream: mcproxyctl upstreams list",
        ]

    def test_certificates_that_can_not_be_ordered_are_told(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """With the last error in a few words, and how many more there are."""
        answer = pb.GetStatusResponse()
        answer.CopyFrom(self.ANSWER)
        answer.failing_certificates.add(name="a.test", summary="waiting: refused, tried again in 5m")
        answer.failing_certificates_total = 3
        admin.answers["GetStatus"] = answer
        lines = [" ".join(line.split()) for line in ctl("status").stdout.splitlines()]
        begin = lines.index("certificate a.test: waiting: refused, tried again in 5m")
        assert lines[begin + 1] == "and 2 more certificates: mcproxyctl certificates list"

    def test_what_the_guard_watches_and_has_undone_is_told(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """For an hour, and as long as there is drift, which may be its doing."""
        answer = pb.GetStatusResponse()
        answer.CopyFrom(self.ANSWER)
        guard = answer.guards.add(
            generation=17, touched=["route :1 a", "route :1 b"], touched_total=9, answered=7, errors=2
        )
        guard.until.CopyFrom(at(60))
        answer.last_guarded.generation, answer.last_guarded.detail = 16, "withdrawn by guard: route :1 a: why"
        answer.last_guarded.time.CopyFrom(at(60))
        watched = "guard        watches generation 17 until 2023-11-14 22:14:20Z: route :1 a and 8 more: 2 of 7 requests failed so far"
        undone = "guard        generation 16 withdrawn by guard: route :1 a: why, 2023-11-14 22:14:20Z"
        for drift, seconds, told in ((0, 3700, [watched]), (1, 3700, [undone, watched]), (0, 3500, [undone, watched])):
            answer.drift = drift
            answer.last_guarded.time.FromSeconds(int(time.time()) - seconds)
            admin.answers["GetStatus"] = answer
            lines = [line for line in ctl("status").stdout.splitlines() if line.startswith("guard")]
            assert [re.sub(r"why, .*", "why, 2023-11-14 22:14:20Z", line) for line in lines] == told

    def test_a_node_of_a_fleet_tells_of_it(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """What it runs and with whom, and in front what is not well: its store away, problems, what was taken back."""
        answer = pb.GetStatusResponse()
        answer.CopyFrom(self.ANSWER)
        fleet = answer.fleet
        fleet.node, fleet.prefix, fleet.connected, fleet.nodes = "edge-1", "/mcproxy/edge", True, 3

        def told() -> list[str]:
            admin.answers["GetStatus"] = answer
            lines = ctl("status").stdout.splitlines()
            return [" ".join(line.split()) for line in lines if line.lower().startswith("fleet")]

        assert told() == ["fleet node edge-1 of /mcproxy/edge: no document yet; 3 nodes"]
        fleet.revision, fleet.label, fleet.nodes_off = 41, "3fa9c1", 1
        fleet.tried_revision, fleet.canary = 41, True
        fleet.connected, fleet.why = False, "no quorum"
        fleet.since.CopyFrom(at(60))
        fleet.problems.extend(["two machines have one name", "its document is gone"])
        fleet.returned_revision, fleet.returned_why = 40, "edge-2: 9 of 50 requests failed"
        assert told() == [
            "FLEET its store is away since 2023-11-14 22:14:20Z: no quorum",
            "FLEET two machines have one name",
            "FLEET its document is gone",
            "fleet revision 40 was taken back: edge-2: 9 of 50 requests failed",
            "fleet node edge-1 of /mcproxy/edge: revision 41 (3fa9c1); 3 nodes, 1 not as it should be; revision 41 is tried on canaries, this one too",
        ]

    def test_whatever_is_wrong_is_told(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """A failed reload with its problems, workers that drain or lag, a damaged database, drift, a rollback that waits."""
        answer = pb.GetStatusResponse()
        answer.CopyFrom(self.ANSWER)
        answer.last_reload.succeeded = False
        answer.last_reload.problems.append("/etc/mcproxy/mc-proxy.toml:7:11: error: listeners[0].addr: no port")
        answer.workers[1].generation = 16
        answer.workers.add(pid=99, generation=15, draining=True)
        answer.worker_restarts = 1
        answer.last_reload.tries = 3
        answer.last_reload.next_try.CopyFrom(at(64))
        answer.broken_files.add(listener=":8443", hostname="a.org", key="tls_cert", message="a.crt is cut off")
        answer.broken_files.add(key="firewall.geoip_db", message="geo.mmdb is missing")
        down = answer.failing_routes.add(listener=":8443", hostname="a.org", backend="10.0.0.5:80", errors=3)
        down.last_error = "backend_refused: 10.0.0.5:80: connection refused"
        down.since.FromSeconds(int(time.time()) - 65)
        answer.failing_routes_total = 3
        answer.drift = 2
        answer.confirm_id = 3
        answer.confirm_by.CopyFrom(at(90))
        answer.database.error = "disk full"
        answer.database.set_aside = "/var/lib/mcproxy/mc-proxy.db.damaged"
        answer.limits_hit.update({"header_bytes": 1, "header_count": 4})
        answer.limits_hit_recently.update({"header_count": 2})
        soon = answer.expiring_certificates.add(listener=":8443", hostname="b.org")
        soon.not_after.FromSeconds(int(time.time()) + 86_400 * 2 + 3_630)
        for number in range(6):
            answer.listeners.add(addr=f":{number}").refused_recently.update({"ip": 1 + number})
        answer.listeners.add(addr=":9").refused_recently.update({"limit": 1, "ip": 1})
        admin.answers["GetStatus"] = answer
        lines = ctl("status").stdout.splitlines()
        failing = lines.pop(9)
        assert failing.startswith("FAILING      route :8443 a.org -> 10.0.0.5:80, for 1m")
        assert failing.endswith(", 3 errors: backend_refused: 10.0.0.5:80: connection refused")
        assert lines.pop(9) == "             and 2 more routes: mcproxyctl routes list --sort errors"
        expiring = lines.pop(9)
        assert expiring.startswith("expires      certificate of route :8443 b.org: in 2d1h, 20")
        assert lines[4:27] == [
            "last reload  FAILED, 2023-11-14 22:14:20Z",
            "             /etc/mcproxy/mc-proxy.toml:7:11: error: listeners[0].addr: no port",
            "             tried 3 times, again at 2023-11-14 22:14:24Z",
            "broken file  route :8443 a.org: tls_cert: a.crt is cut off; the last good content is served",
            "broken file  firewall.geoip_db: geo.mmdb is missing; the last good content is served",
            "behind       at an earlier generation: pid 102",
            "refused      :9 in the last 5 minutes: 2 (ip 1, limit 1)",
            "refused      :5 in the last 5 minutes: 6 (ip 6)",
            "refused      :4 in the last 5 minutes: 5 (ip 5)",
            "refused      :3 in the last 5 minutes: 4 (ip 4)",
            "refused      :2 in the last 5 minutes: 3 (ip 3)",
            "             and 2 more listeners: mcproxyctl listeners list",
            "limits       [limits] in the last 5 minutes: 2 (header_count 2)",
            "workers      2 (pid 101, 102)",
            "draining     1 (pid 99)",
            "restarts     1 worker replaced after a crash or hang",
            "data path    native",
            "routes       3",
            "drift        2 differences from the files: mcproxyctl drift",
            "to confirm   mcproxyctl confirm 3; undone at 2023-11-14 22:14:50Z",
            "database     /var/lib/mcproxy/mc-proxy.db: disk full",
            "             a damaged one was set aside as /var/lib/mcproxy/mc-proxy.db.damaged",
            "limits hit   5 (header_count 4, header_bytes 1) since the start",
        ]

    def test_json_is_the_answer(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """With all fields, times as RFC 3339."""
        admin.answers["GetStatus"] = self.ANSWER
        status = json.loads(ctl("status", "--json").stdout)
        assert status == api.to_builtins(self.ANSWER)
        assert (status["generation"], status["started"]) == (17, "2023-11-14T22:13:20Z")


def test_listeners(admin: CannedAdmin, ctl: Ctl) -> None:
    """A line for each; numbers end at the same place."""
    answer = pb.ListListenersResponse(generation=17, listeners=LISTENERS)
    admin.answers["ListListeners"] = answer
    lines = ctl("listeners", "list").stdout.splitlines()
    assert words(lines) == words(LISTENER_TABLE)
    assert lines[1].index("12 ") + 2 == lines[0].index("ACTIVE") + len("ACTIVE")
    assert json.loads(ctl("listeners", "list", "--json").stdout) == api.to_builtins(answer)


def test_routes(admin: CannedAdmin, ctl: Ctl) -> None:
    """Where each leads and how, what passed, and where it comes from; of one listener alone when it is named."""
    answer = pb.ListRoutesResponse(
        generation=17,
        routes=[
            pb.Route(
                listener=":8443",
                hostname="app.example.com",
                backend="127.0.0.1:9001",
                mode="l4",
                backend_tls=True,  # without effect
                backend_protocol="auto",
                active_connections=2,
                connections=1000,
                bytes_received=999,
                bytes_sent=12_345_678,
                provenance=pb.Provenance(origin="mc-proxy.toml:15"),
            ),
            pb.Route(
                listener=":8443",
                hostname="*",
                backend="[::1]:9002",
                mode="l7",
                backend_tls=True,
                backend_server_name="b.internal",
                backend_protocol="h2",
                send_proxy_protocol=True,
                provenance=pb.Provenance(edit_id=7),
                errors_total=3,
                errors={"backend_dns": 1, "bad_response": 2},
            ),
        ],
    )
    admin.answers["ListRoutes"] = answer
    result = ctl("routes", "list")
    assert result.stdout.splitlines() == [
        "LISTENER  HOSTNAME         MODE  BACKEND                                 ACTIVE  TOTAL  ERRORS                               IN   OUT  FROM",
        ":8443     app.example.com  l4    127.0.0.1:9001                               2   1000  0                                  999B  12MB  mc-proxy.toml:15",
        ":8443     *                l7    [::1]:9002 (TLS b.internal, h2, PROXY)       0      0  3 (bad_response 2, backend_dns 1)    0B    0B  edit 7",
    ]
    some = ctl("routes", "list", "--match", "APP.")
    assert [line.split()[1] for line in some.stdout.splitlines()] == ["HOSTNAME", "app.example.com"]
    assert "9002" in ctl("routes", "list", "--match", "[::1]").stdout
    assert len(ctl("routes", "list", "--match", "nothing").stdout.splitlines()) == 1
    first = ctl("routes", "list", "--limit", "1")
    assert (len(first.stdout.splitlines()), first.stderr) == (2, "and 1 route more: --limit\n")
    [only] = json.loads(ctl("routes", "list", "--sort", "errors", "--limit", "1", "--json").stdout)["routes"]
    assert (only["hostname"], ctl("routes", "list", "--limit", "2").stderr) == ("*", "")
    worst = ctl("routes", "list", "--sort", "errors").stdout.splitlines()
    assert [line.split()[1] for line in worst] == ["HOSTNAME", "*", "app.example.com"]
    assert ctl("routes", "list", "--sort", "luck").status == 2
    assert json.loads(ctl("routes", "list", ":8443", "--json").stdout) == api.to_builtins(answer)
    assert {request.listener for _, request in admin.requests[:-1]} == {""}
    assert admin.requests[-1][1].listener == ":8443"


def test_routes_with_cases_and_filters(admin: CannedAdmin, ctl: Ctl) -> None:
    """How many cases there are, which filters hold for the route, and how often these have refused; as JSON all of it."""
    answer = pb.ListRoutesResponse(
        routes=[
            pb.Route(
                listener=":8443",
                hostname="a.test",
                backend="web",
                mode="l7",
                filters=["public", "(route)"],
                cases=[pb.RouteCase(match="/a/*", requests=3), pb.RouteCase(match="/b")],
                filter_blocks={"public (rate)": 3, "(case) (auth)": 4},
            ),
            pb.Route(listener=":8443", hostname="b.test", backend="web", mode="l7"),
        ]
    )
    admin.answers["ListRoutes"] = answer
    assert ctl("routes", "list").stdout.splitlines() == [
        "LISTENER  HOSTNAME  MODE  BACKEND  CASES  FILTERS                      ACTIVE  TOTAL  ERRORS  IN  OUT  FROM",
        ":8443     a.test    l7    web          2  public, (route) (7 refused)       0      0  0       0B   0B  -",
        ":8443     b.test    l7    web          -  -                                 0      0  0       0B   0B  -",
    ]
    assert json.loads(ctl("routes", "list", "--json").stdout) == api.to_builtins(answer)


def test_policies(admin: CannedAdmin, ctl: Ctl) -> None:
    """With what they blocked; of one route alone when it is named."""
    answer = pb.ListL7PoliciesResponse(
        policies=[
            pb.L7Policy(
                listener=":8443",
                hostname="a.org",
                type="require_header",
                value="X-Env: prod",
                blocked_requests=12,
                provenance=pb.Provenance(origin="mc-proxy.toml:25"),
            )
        ]
    )
    admin.answers["ListL7Policies"] = answer
    assert ctl("policies", "list", ":8443", "a.org").stdout.splitlines() == [
        "LISTENER  HOSTNAME  TYPE            VALUE        BLOCKED  FROM",
        ":8443     a.org     require_header  X-Env: prod       12  mc-proxy.toml:25",
    ]
    request = admin.request("ListL7Policies")
    assert (request.listener, request.hostname) == (":8443", "a.org")
    assert json.loads(ctl("policies", "list", "--json").stdout) == api.to_builtins(answer)


def test_firewall(admin: CannedAdmin, ctl: Ctl) -> None:
    """The rules, if there are any, then rate limit, country database and what was refused."""
    answer = pb.GetFirewallRulesResponse(
        rules=[
            pb.FirewallRule(type="ip", value="192.0.2.1", provenance=pb.Provenance(origin="mc-proxy.toml:4")),
            pb.FirewallRule(type="country", value="SE", provenance=pb.Provenance(edit_id=8)),
        ],
        rate_limit=100,
        geoip_db="/geo.mmdb",
        blocked={"ip": 4},
    )
    answer.rate_window.seconds = 90
    admin.answers["GetFirewallRules"] = answer
    assert ctl("firewall", "list").stdout.splitlines() == [
        "TYPE     VALUE      FROM",
        "ip       192.0.2.1  mc-proxy.toml:4",
        "country  SE         edit 8",
        "",
        "rules       2",
        "rate limit  100 connections per client and 1m30s",
        "countries   /geo.mmdb",
        "refused     4 (ip 4)",
    ]
    assert json.loads(ctl("firewall", "list", "--json").stdout) == api.to_builtins(answer)
    admin.answers["GetFirewallRules"] = pb.GetFirewallRulesResponse()
    assert ctl("firewall", "list").stdout.splitlines() == [
        "rules       none",
        "rate limit  off",
        "countries   no database",
        "refused     0",
    ]


class TestDrift:
    ANSWER = pb.GetDriftResponse(
        generation=17,
        differences=[
            pb.Difference(
                kind="route",
                target="route :8443 a.org",
                action="changed",
                declared_json='{"backend": "b:1"}',
                effective_json='{"backend": "b:2"}',
                origin="/etc/mc/mc-proxy.toml:15",
                summary="route :8443 a.org: backend b:1 -> b:2 (edit 7 by ann)",
                edit=pb.Edit(id=7, author="ann", reason="moved", created=at(0), expires=at(3600), value_json="{}"),
            ),
            pb.Difference(
                kind="rule",
                target="rule ip 192.0.2.1",
                action="suspended",
                suspended="its listener is gone",
                summary="rule ip 192.0.2.1: an edit without effect: its listener is gone (edit 8)",
                edit=pb.Edit(id=8, created=at(0), tombstone=True),
            ),
        ],
    )

    def test_some(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """A line for each with the edit behind it; the exit status is 3."""
        admin.answers["GetDrift"] = self.ANSWER
        result = ctl("drift")
        assert result.status == 3
        assert words(result.stdout.splitlines()) == words(
            [
                "DIFFERENCE FILE SINCE UNTIL REASON",
                "route :8443 a.org: backend b:1 -> b:2 (edit 7 by ann) mc-proxy.toml:15 2023-11-14 22:13:20Z 2023-11-14 23:13:20Z moved",
                "rule ip 192.0.2.1: an edit without effect: its listener is gone (edit 8) - 2023-11-14 22:13:20Z until reverted -",
            ]
        )

    def test_json_is_a_list_with_values_as_they_are(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Texts that hold JSON are objects; the exit status is the same."""
        admin.answers["GetDrift"] = self.ANSWER
        result = ctl("drift", "--json")
        assert result.status == 3
        first, second = json.loads(result.stdout)
        assert (first["declared"], first["effective"], first["edit"]["value"]) == (
            {"backend": "b:1"},
            {"backend": "b:2"},
            {},
        )
        assert (second["declared"], second["edit"]["tombstone"], second["edit"]["value"]) == (None, True, None)
        assert not [name for name in (*first, *first["edit"]) if name.endswith("_json")]

    @pytest.mark.parametrize(("args", "output"), [([], "nothing differs from the files\n"), (["--json"], "[]\n")])
    def test_none(self, ctl: Ctl, args: list[str], output: str) -> None:
        """The exit status is 0."""
        result = ctl("drift", *args)
        assert (result.status, result.stdout) == (0, output)


def test_connections(admin: CannedAdmin, ctl: Ctl) -> None:
    """Who is connected, where to, and since when; what the limit leaves out is counted."""
    answer = pb.ListConnectionsResponse(
        total=5,
        connections=[
            pb.Connection(
                listener=":8443",
                route="a.org",
                client="192.0.2.1:50000",
                stage="relay",
                age={"seconds": 5025},
                worker_pid=101,
            ),
            pb.Connection(listener=":8443", client="[2001:db8::1]:1", stage="hello", worker_pid=102, streams=3),
        ],
    )
    admin.answers["ListConnections"] = answer
    assert ctl("connections", ":8443", "a.org", "--limit", "2").stdout.splitlines() == [
        "CLIENT           LISTENER  ROUTE  STAGE    AGE  STREAMS  WORKER",
        "192.0.2.1:50000  :8443     a.org  relay  1h23m        -     101",
        "[2001:db8::1]:1  :8443     -      hello     0s        3     102",
        "",
        "2 of 5; --limit shows more",
    ]
    request = admin.request("ListConnections")
    assert (request.listener, request.hostname, request.limit) == (":8443", "a.org", 2)
    assert json.loads(ctl("connections", "--json").stdout) == api.to_builtins(answer)


class TestExplain:
    ANSWER = pb.ExplainResponse(
        generation=17,
        steps=[
            pb.Step(
                step="listener", outcome="ok", detail=":8443 accepts 192.0.2.1", decided_by="/etc/mc/mc-proxy.toml:12"
            ),
            pb.Step(step="route", outcome="refused", detail="no route", decided_by=""),
        ],
    )

    def test_what_was_live_then(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """The generation is told first, and what is not as it was at the end."""
        then = pb.Revision(generation=4, origin="file", time=Timestamp(seconds=1_700_000_000), label="3fa9c1d Move")
        answer = pb.ExplainResponse(generation=9, then=then, steps=self.ANSWER.steps, notes=["countries are today's"])
        admin.answers["Explain"] = answer
        lines = ctl("explain", "--sni", "a.org", "--generation", "4").stdout.splitlines()
        assert lines[:2] == ["generation 4 (file), since 2023-11-14 22:13:20Z: 3fa9c1d Move", ""]
        assert lines[-1] == "note: countries are today's"
        assert admin.request("Explain").then.generation == 4
        ctl("explain", "--sni", "a.org", "--at", "2026-11-20 14:02")
        assert admin.request("Explain").then.time.seconds == 1_795_183_320
        for wrong in (["--at", "soon"], ["--at", "14:02", "--generation", "4"], ["--at", "14:02", "--probe"]):
            assert ctl("explain", *wrong).status == 2

    def test_the_steps_are_those_of_mcproxy_explain(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """The same table, of the live server."""
        admin.answers["Explain"] = self.ANSWER
        assert ctl("explain", "--sni", "a.org").stdout.splitlines() == [
            "STEP      OUTCOME  WHY                      DECIDED BY",
            "listener  ok       :8443 accepts 192.0.2.1  mc-proxy.toml:12",
            "route     refused  no route",
        ]
        assert json.loads(ctl("explain", "--json").stdout) == api.to_builtins(self.ANSWER)
        assert not admin.request("Explain").HasField("sni")

    def test_all_that_can_be_asked(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Every option arrives, addresses in canonical form."""
        ctl(
            *("explain", "--sni", "a.org", "--listener", "[::0]:8443", "--ip", "2001:DB8::1", "--proxy-ip", "10.0.0.1"),
            *("--alpn", "h2", "--alpn", "http/1.1", "--method", "PUT", "--path", "/x", "--header", "X-Env:  prod"),
        )
        assert admin.request("Explain") == pb.ExplainRequest(
            listener="[::]:8443",
            sni="a.org",
            ip="2001:db8::1",
            proxy_ip="10.0.0.1",
            alpn=["h2", "http/1.1"],
            method="PUT",
            path="/x",
            headers=[pb.Header(name="X-Env", value="prod")],
        )

    @pytest.mark.parametrize("args", [["--ip", "x"], ["--header", "x"], ["--listener", "x"], ["FILE"]])
    def test_wrong_usage(self, admin: CannedAdmin, ctl: Ctl, args: list[str]) -> None:
        """Is found without a server."""
        assert ctl("explain", *args).status == 2
        assert admin.requests == []


def test_the_orders_of_routes_are_those_that_the_command_line_takes() -> None:
    """It knows them without what sorts by them."""
    assert SortOption.__metadata__[0].complete == ORDERS  # type: ignore[attr-defined]  # of an Annotated type


def test_connections_are_closed(admin: CannedAdmin, ctl: Ctl) -> None:
    """Those that are named, or all; how many is told. `list` may be left out of the other command."""
    admin.answers["CloseConnections"] = pb.CloseConnectionsResponse(closed=2)
    told = ctl("connections", "close", ":8443", "a.org", "--client", "::1", "--author", "ann", "--reason", "why")
    assert (told.status, told.stdout) == (0, "2 connections closed\n")
    assert admin.request("CloseConnections") == pb.CloseConnectionsRequest(
        listener=":8443", hostname="a.org", client="::1", author="ann", reason="why"
    )
    assert ctl("connections", "close", "--all", "--drain", "90s").stdout == "2 connections to end within 1m30s\n"
    assert (admin.request("CloseConnections").all, admin.request("CloseConnections").drain.seconds) == (True, 90)
    assert json.loads(ctl("connections", "close", "--all", "--json").stdout)["closed"] == 2
    for words in ([], ["--all", ":8443"], ["--all", "--drain", "soon"]):
        assert ctl("connections", "close", *words).status == 2
    assert ctl("connections", ":8443", "--limit", "3").stdout == ctl("connections", "list", ":8443").stdout
    assert admin.request("ListConnections").listener == ":8443"


def test_the_form_of_the_output_is_chosen(admin: CannedAdmin, ctl: Ctl) -> None:
    """`-o json` is `--json`; in a pipe a table has all columns anyway."""
    assert ctl("routes", "list", "-o", "json") == ctl("routes", "list", "--json")
    assert ctl("routes", "list", "-o", "wide") == ctl("routes", "list", "--output=table") == ctl("routes", "list")
    assert ctl("routes", "list", "-o", "yaml").status == 2
