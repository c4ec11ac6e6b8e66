import json

import msgspec

from mcproxy.model.state.plan import drained_by, make_plan
from mcproxy.model.state.state import Listener, Policy, Route, Rule, State, Upstream, UpstreamEndpoint
from mcproxy.model.state.tls_options import RouteTls
from mcproxy.model.state.upstream_options import BackendTls, Check
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.origins import Origin
from tests.support.field_values import other_options

FILE = "/etc/mc/mc-proxy.toml"


def backend(port: int) -> tuple[Endpoint, ...]:
    return (Endpoint("127.0.0.1", port),)


LIVE = State(
    listeners={":8443": Listener(":8443"), ":9443": Listener(":9443")},
    routes={
        (":8443", "a.test"): Route(":8443", "a.test", backend(1)),
        (":9443", "old.test"): Route(":9443", "old.test", backend(1)),
    },
    settings={"proxy.idle_timeout": 300.0, "log.level": "info", "log.access": ""},
)
DESIRED = State(
    listeners={":8443": Listener(":8443", max_connections=5)},
    routes={
        (":8443", "a.test"): Route(":8443", "a.test", backend(2), send_proxy_protocol=True),
        (":8443", "b.test"): Route(":8443", "b.test", (Endpoint(path="/run/b.sock"),), on_remove="close"),
    },
    policies={(":8443", "b.test", "require_header", "X: y"): Policy(":8443", "b.test", "require_header", "X: y")},
    rules={("cidr", "10.0.0.0/8"): Rule("cidr", "10.0.0.0/8")},
    settings={"proxy.idle_timeout": 90.0, "log.level": "debug", "log.access": "", "x": "a\nb"},
)
ORIGINS = {
    ("route", ":8443", "a.test"): Origin(FILE, 20, 1),
    ("route", ":8443", "b.test"): Origin(FILE, 12, 1),
    ("setting", "log.level"): Origin("/etc/mc/conf.d/log.toml", 2, 1),
}
# b.test has connections from an earlier life; an added route touches none.
CONNECTIONS = {(":8443", "a.test"): 3, (":8443", "b.test"): 2, (":9443", "old.test"): 1}
PLAN = make_plan(LIVE, DESIRED, ORIGINS, CONNECTIONS)


def test_a_plan_reads_as_a_diff() -> None:
    """One line per operation: what, from what to what, where it is written, whom it touches."""
    assert PLAN.lines() == (
        "- route :9443 old.test -> 127.0.0.1:1  (1 live connection, on_remove: drain)",
        "- listener :9443  (1 live connection)",
        "~ setting log.level  info -> debug  (log.toml:2)",
        "~ setting proxy.idle_timeout  5m -> 1m30s",
        '+ setting x  "a\\nb"',
        "+ rule cidr 10.0.0.0/8",
        "~ listener :8443  max_connections: 0 -> 5  (5 live connections)",
        (
            "~ route :8443 a.test  endpoints: 127.0.0.1:1 -> 127.0.0.1:2, send_proxy_protocol: false -> true  "
            "(mc-proxy.toml:20, 3 live connections)"
        ),
        "+ route :8443 b.test -> unix:/run/b.sock  on_remove: close  (mc-proxy.toml:12)",
        '+ policy :8443 b.test require_header "X: y"',
    )


def test_a_plan_can_be_counted() -> None:
    """The summary leaves out what does not happen, and settings that merely have their default; an empty plan is false."""
    assert PLAN.summary() == "3 added, 4 changed, 2 removed"
    assert PLAN
    nothing = make_plan(LIVE, LIVE, ORIGINS)
    assert nothing.summary() == "no changes"
    assert not nothing
    assert nothing.lines() == ()


def test_a_plan_can_be_sent_as_json() -> None:
    """Plain values, with old and new whole."""
    data = json.loads(json.dumps(PLAN.builtins()))
    assert data["summary"] == PLAN.summary()
    assert [operation["action"] for operation in data["operations"]][:2] == ["remove", "remove"]
    changed = data["operations"][7]
    assert changed["key"] == [":8443", "a.test"]
    assert changed["old"]["endpoints"] == [{"host": "127.0.0.1", "port": 1, "path": ""}]
    assert changed["origin"] == {"file": FILE, "line": 20, "column": 1, "note": ""}
    assert changed["connections"] == 3
    assert data["operations"][0]["new"] is None


def test_every_field_of_a_route_shows_in_a_change() -> None:
    """A field that is added later cannot be forgotten."""
    old = Route(":1", "a", backend(1))
    new = Route(":1", "a", backend(2), **other_options())
    live = State(listeners={":1": Listener(":1")}, routes={(":1", "a"): old})
    (line,) = make_plan(live, msgspec.structs.replace(live, routes={(":1", "a"): new}), {}).lines()
    for field in ("endpoints", *other_options()):
        assert f"{field}: " in line


API = Upstream(name="api")
ONE = UpstreamEndpoint(upstream="api", address="10.0.0.3:80")


def test_a_check_that_is_all_defaults_is_told_from_none() -> None:
    """It names its type, which the file need not."""
    checked = msgspec.structs.replace(API, check=Check())
    live, desired = State(upstreams={"api": API}), State(upstreams={"api": checked})
    assert make_plan(live, desired, {}).lines() == ("~ upstream api  check: none -> { type: tcp }",)
    assert make_plan(desired, live, {}).lines() == ("~ upstream api  check: { type: tcp } -> none",)


def test_upstreams_and_endpoints_are_told_as_the_file_has_them() -> None:
    """New ones with what is not default, changed ones with what was; how much is under way, and which edit until when."""
    two = UpstreamEndpoint(upstream="api", address="10.0.0.4:80")
    new = UpstreamEndpoint(upstream="web", address="unix:/s", weight=3, backup=True)
    listeners = {":1": Listener(":1")}
    live = State(
        listeners=listeners,
        routes={(":1", "a"): Route(":1", "a", (), "api"), (":1", "b"): Route(":1", "b", backend(1))},
        upstreams={"api": API},
        endpoints={("api", each.address): each for each in (ONE, two)},
    )
    desired = State(
        listeners=listeners,
        routes={(":1", "a"): Route(":1", "a", (*backend(1), *backend(2))), (":1", "b"): Route(":1", "b", (), "web")},
        upstreams={
            "api": msgspec.structs.replace(API, balance="least_conn", check=Check(type="http", interval=5.0)),
            "web": Upstream(name="web", tls=BackendTls(), retry_on=("502", "reset"), slow_start=30.0),
        },
        endpoints={
            ("api", ONE.address): msgspec.structs.replace(ONE, state="drain"),
            ("web", new.address): new,
        },
    )
    origins = {
        ("endpoint", "api", "10.0.0.3:80"): Origin("edit 7 by ops-1, until 2026-11-28 15:00Z", 0, 0),
        ("upstream", "web"): Origin(FILE, 5, 1),
    }
    open_ones = {("api", "10.0.0.3:80"): 12, ("api", "10.0.0.4:80"): 1}
    assert make_plan(live, desired, origins, endpoints=open_ones).lines() == (
        "- endpoint api 10.0.0.4:80  (1 open)",
        "~ upstream api  balance: round_robin -> least_conn, check: none -> { type: http, interval: 5s }  (13 open)",
        "+ upstream web  slow_start: 30s, retry_on: 502, reset, tls: {}  (mc-proxy.toml:5)",
        "~ endpoint api 10.0.0.3:80  state: ready -> drain  (edit 7 by ops-1, until 2026-11-28 15:00Z, 12 open)",
        "+ endpoint web unix:/s  weight: 3, backup: true",
        "~ route :1 a  backend: api -> 127.0.0.1:1, 127.0.0.1:2",
        "~ route :1 b  backend: 127.0.0.1:1 -> web",
    )


def test_where_an_edit_decided_the_edit_is_named() -> None:
    """Of what it made, changed or removed; a line of a file is named only for what is there."""
    origins = {
        ("route", ":8443", "a.test"): Origin("edit 7 by ann", 0, 0),
        ("route", ":8443", "b.test"): Origin("edit 8", 0, 0),
        ("route", ":9443", "old.test"): Origin("edit 9 by bob", 0, 0),
        ("listener", ":9443"): Origin(FILE, 4, 1),
    }
    plan = make_plan(LIVE, DESIRED, origins)
    notes = {line.split("  ")[0]: line.split("  ")[-1] for line in plan.lines()}
    assert notes["- route :9443 old.test -> 127.0.0.1:1"] == "(edit 9 by bob)"
    assert notes["~ route :8443 a.test"] == "(edit 7 by ann)"
    assert notes["+ route :8443 b.test -> unix:/run/b.sock"] == "(edit 8)"
    assert notes["- listener :9443"] == "- listener :9443"
    told = {operation["key"][-1]: operation["origin"] for operation in plan.builtins()["operations"]}
    assert told["a.test"] == {"file": "edit 7 by ann", "line": 0, "column": 0, "note": ""}


def test_a_plan_tells_whom_other_certificates_drain() -> None:
    """Where it makes a difference who may come: not where a listener says what its routes have said, or none of them asks."""
    asks = RouteTls(client_auth="require", client_ca="ca.pem")

    def at(listener: RouteTls | None, a: RouteTls | None, b: RouteTls | None) -> State:
        routes = {
            (":8443", name): Route(":8443", name, backend(1), mode="l7", tls=tls)
            for name, tls in (("a.test", a), ("b.test", b))
        }
        return State(listeners={":8443": Listener(":8443", tls=listener)}, routes=routes)

    def told(live: State, desired: State) -> list[str]:
        connections = {(":8443", "a.test"): 3, (":8443", "b.test"): 2}
        return [line.partition("  (")[2] for line in make_plan(live, desired, {}, connections).lines()]

    drained = "drained, as other clients may come)"
    off = RouteTls(client_auth="off")
    assert told(at(None, None, None), at(None, asks, None)) == [f"3 live connections, {drained}"]
    assert told(at(None, None, None), at(asks, None, off)) == [
        f"5 live connections, 3 of them {drained}",
        "2 live connections)",
    ]
    assert told(at(None, asks, None), at(RouteTls(client_ca="ca.pem"), RouteTls(client_auth="require"), None)) == [
        "5 live connections)",
        "3 live connections)",
    ]
    assert told(at(None, off, None), at(None, RouteTls(client_names=("a.test",)), None)) == ["3 live connections)"]
    others = RouteTls(client_auth="require", client_ca="other.pem")
    assert told(at(asks, None, None), at(others, None, None)) == [f"5 live connections, {drained}"]
    (operation,) = make_plan(at(asks, None, off), at(others, None, off), {}, {(":8443", "a.test"): 3}).builtins()[
        "operations"
    ]
    assert operation["drained"] == 3


def test_what_a_file_that_is_renewed_drains_is_told() -> None:
    """Of the routes that judge clients by it."""
    asks = RouteTls(client_auth="optional", client_ca="ca.pem", client_crl="crl.pem")
    routes = {
        (":8443", "a.test"): Route(":8443", "a.test", backend(1), mode="l7", tls=asks),
        (":8443", "b.test"): Route(":8443", "b.test", backend(1), mode="l7", tls=RouteTls(client_ca="ca.pem")),
    }
    state = State(listeners={":8443": Listener(":8443")}, routes=routes)
    connections = {(":8443", "a.test"): 1, (":8443", "b.test"): 2, (":8443", "gone.test"): 4}
    for path in ("ca.pem", "crl.pem"):
        assert drained_by(state, path, connections) == "1 live connection, drained, as other clients may come"
    assert drained_by(state, "other.pem", connections) == ""
