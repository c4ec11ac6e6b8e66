"""`mcproxyctl events` and `top`."""

import io
import json

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.ctl.show.live import Row, Sample, busiest
from tests.support.canned_admin import CannedAdmin, Refusal
from tests.support.ctl import Ctl

EVENTS = [
    pb.Event(
        id=4,
        time=Timestamp(seconds=1_700_000_000),
        kind="applied",
        message="1 added",
        generation=17,
        lines=["+ a", "- b"],
    ),
    pb.Event(id=5, time=Timestamp(seconds=1_700_000_001), kind="certificate", message="renewed: /a.crt"),
]


class TestEvents:
    def test_for_people(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """A line for each, further lines below it."""
        admin.answers["WatchEvents"] = EVENTS
        result = ctl("events", "--recent", "2")
        assert (result.status, result.stderr) == (1, "mcproxyctl: the server has ended\n")
        assert result.stdout.splitlines() == [
            "2023-11-14 22:13:20Z  applied      1 added",
            "    + a",
            "    - b",
            "2023-11-14 22:13:21Z  certificate  renewed: /a.crt",
        ]
        assert admin.request("WatchEvents").recent == 2

    def test_for_machines(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """An object a line."""
        admin.answers["WatchEvents"] = EVENTS
        lines = [json.loads(line) for line in ctl("events", "--json").stdout.splitlines()]
        assert [(event["id"], event["kind"], event["lines"]) for event in lines] == [
            (4, "applied", ["+ a", "- b"]),
            (5, "certificate", []),
        ]

    def test_the_end_of_the_server(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Is an error: somebody was to be told what happens."""
        admin.answers["WatchEvents"] = [EVENTS[0], Refusal(grpc.StatusCode.UNAVAILABLE, "the server stops")]
        result = ctl("events", "--json")
        assert result.status == 1
        assert len(result.stdout.splitlines()) == 1
        assert result.stderr.endswith("the server stops\n")


def route(hostname: str, active: int, total: int, received: int, sent: int, requests: int = 0) -> pb.Route:
    return pb.Route(
        listener=":1",
        hostname=hostname,
        active_connections=active,
        connections=total,
        bytes_received=received,
        bytes_sent=sent,
        requests=requests,
    )


def failing(hostname: str, errors: dict[str, int]) -> pb.Route:
    return pb.Route(listener=":1", hostname=hostname, errors_total=sum(errors.values()), errors=errors)


def sample(taken: float, *routes: pb.Route) -> Sample:
    return Sample(taken, 17, {(each.listener, each.hostname): each for each in routes})


class TestBusiest:
    def test_rates_are_differences_over_time(self) -> None:
        """Two samples, two seconds apart."""
        before, after = (
            sample(10.0, route("a", 1, 100, 1000, 5000, 70)),
            sample(12.0, route("a", 3, 107, 1500, 9000, 100)),
        )
        assert busiest(before, after) == [Row(":1", "a", 3, 3.5, 15.0, 250.0, 2000.0)]

    def test_the_busiest_is_the_first(self) -> None:
        """By bytes, then requests, then new connections, then open ones, then name."""
        names = ("idle", "another", "open", "new", "asked", "bytes")
        before = sample(0.0, *(route(name, 0, 0, 0, 0) for name in names))
        after = sample(
            1.0,
            route("idle", 0, 0, 0, 0),
            route("another", 0, 0, 0, 0),
            route("open", 5, 0, 0, 0),
            route("new", 0, 1, 0, 0),
            route("asked", 0, 0, 0, 0, 1),
            route("bytes", 0, 0, 0, 1),
        )
        assert [row.hostname for row in busiest(before, after)] == ["bytes", "asked", "new", "open", "another", "idle"]

    def test_those_that_fail_come_first(self) -> None:
        """With what is new of each reason; a calm one has none, however much went wrong before."""
        old = {"backend_refused": 7, "backend_timeout": 1}
        before = sample(0.0, failing("busy", {}), failing("calm", old), failing("bad", old), failing("worse", {}))
        now = {"backend_refused": 9, "backend_timeout": 1, "backend_dns": 1}
        after = sample(
            2.0, route("busy", 1, 0, 9999, 0), failing("calm", old), failing("bad", now), failing("worse", now)
        )
        told = [(row.hostname, row.errors_per_second, row.errors) for row in busiest(before, after)]
        new = {"backend_refused": 2, "backend_dns": 1}
        assert told == [("worse", 5.5, now), ("bad", 1.5, new), ("busy", 0.0, {}), ("calm", 0.0, {})]

    def test_one_that_fails_stays_on_top_while_nobody_asks_for_it(self) -> None:
        """With what it fails by, until it works again."""
        down = failing("down", {"backend_refused": 7})
        down.last_error = "backend_refused: 10.0.0.5:80: connection refused"
        mended = failing("mended", {"backend_refused": 7})
        mended.last_error = down.last_error
        down.failing_since.FromSeconds(1)
        before, after = (sample(at, route("busy", 1, 0, int(at), 0), mended, down) for at in (1.0, 2.0))
        told = [(row.hostname, row.failing) for row in busiest(before, after)]
        assert told == [("down", down.last_error), ("busy", ""), ("mended", "")]

    def test_routes_come_and_go(self) -> None:
        """A new one has counted all of it since; one that is gone is left out."""
        before, after = sample(0.0, route("old", 1, 9, 9, 9)), sample(1.0, route("new", 1, 2, 30, 40))
        assert busiest(before, after) == [Row(":1", "new", 1, 2.0, 0.0, 30.0, 40.0)]

    def test_counters_that_begin_anew(self) -> None:
        """After a restart of the server nothing is negative: all that was counted since is new."""
        before, after = sample(0.0, route("a", 1, 100, 1000, 1000)), sample(1.0, route("a", 1, 2, 30, 1001))
        assert busiest(before, after) == [Row(":1", "a", 1, 2.0, 0.0, 30.0, 1001.0)]


class Terminal(io.TextIOWrapper):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class TestTop:
    def test_one_sample(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Totals, then the routes, busiest first; over a pipe plain."""
        down = failing("down", {"backend_refused": 4})
        admin.answers["ListRoutes"] = [
            pb.ListRoutesResponse(generation=17, routes=[route("a", 0, 0, 0, 0), route("b", 1, 0, 0, 0)]),
            pb.ListRoutesResponse(generation=17, routes=[route("a", 0, 0, 0, 0), route("b", 2, 1, 0, 0), down]),
        ]
        result = ctl("top", "--once", "--interval", "100ms")
        title, blank, header, *rows = result.stdout.splitlines()
        assert result.status == 0
        assert "  generation 17  2 active  " in title
        assert title.endswith("connections/s  0 requests/s  in 0B/s  out 0B/s")
        assert blank == ""
        assert header.split() == [
            "LISTENER",
            "HOSTNAME",
            "ACTIVE",
            "CONN/S",
            "REQ/S",
            "IN/S",
            "OUT/S",
            "ERR/S",
            "ERRORS",
        ]
        assert [row.split()[1:3] for row in rows] == [["down", "0"], ["b", "2"], ["a", "0"]]
        assert rows[0].endswith("4 (backend_refused 4)")

    def test_what_is_not_well_stands_above_the_routes(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """As in `status`, also where no route fails; what somebody else wrote can't leave its line."""
        admin.answers["ListRoutes"] = pb.ListRoutesResponse(generation=17, routes=[route("a", 1, 2, 3, 4)])
        answer = pb.GetStatusResponse(last_reload=pb.Reload(problems=["a.toml:1:1: error: \x1b[2J"]))
        answer.listeners.add(addr=":1").refused_recently.update({"ip": 3})
        answer.failing_routes.add(listener=":1", hostname="down")
        answer.limits_hit_recently.update({"header_bytes": 1})
        admin.answers["GetStatus"] = answer
        _, *told = ctl("top", "--once", "--interval", "1ms").stdout.splitlines()[:6]
        lines = [
            "last reload: FAILED, -",
            r"a.toml:1:1: error: \x1b[2J",
            "refused: :1 in the last 5 minutes: 3 (ip 3)",
            "limits: [limits] in the last 5 minutes: 1 (header_bytes 1)",
        ]
        assert told == [*lines, ""]
        assert json.loads(ctl("top", "--once", "--interval", "1ms", "--json").stdout)["troubles"] == lines

    def test_json(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """One object, on one line."""
        admin.answers["ListRoutes"] = pb.ListRoutesResponse(generation=17, routes=[route("a", 1, 2, 3, 4)])
        result = ctl("top", "--once", "--interval", "1ms", "--json")
        assert json.loads(result.stdout) == {
            "generation": 17,
            "troubles": [],
            "routes": [
                {
                    "listener": ":1",
                    "hostname": "a",
                    "active_connections": 1,
                    "connections_per_second": 0.0,
                    "requests_per_second": 0.0,
                    "bytes_received_per_second": 0.0,
                    "bytes_sent_per_second": 0.0,
                    "errors_per_second": 0.0,
                    "errors": {},
                    "failing": "",
                }
            ],
            "upstreams": [],
        }
        assert len(result.stdout.splitlines()) == 1

    def test_upstreams_that_are_not_well_are_named(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Below the totals, with how many of their endpoints are usable."""
        web = pb.UpstreamStatus(name="web", condition="panic", usable=0, ready=2, endpoints=3)
        admin.answers["GetStatus"] = pb.GetStatusResponse(troubled_upstreams=[web], troubled_upstreams_total=1)
        told = ctl("top", "--once", "--interval", "1ms").stdout.splitlines()
        assert told[1:3] == ["PANIC: upstream web: panic, 0 of 2 endpoints usable", ""]
        (one,) = json.loads(ctl("top", "--once", "--interval", "1ms", "--json").stdout)["upstreams"]
        assert (one["name"], one["condition"]) == ("web", "panic")

    @pytest.mark.parametrize(("term", "tables"), [("xterm", 0), ("dumb", 2), (None, 2)])
    def test_a_terminal_that_can_not_be_drawn_on_gets_sample_after_sample(
        self, admin: CannedAdmin, ctl: Ctl, monkeypatch: pytest.MonkeyPatch, term: str | None, tables: int
    ) -> None:
        """Lines as in a pipe, where others get a screen."""
        answer = pb.ListRoutesResponse(generation=17, routes=[route("a", 1, 2, 3, 4)])
        admin.answers["ListRoutes"] = [answer, answer, answer, Refusal(grpc.StatusCode.INTERNAL, "gone")]
        monkeypatch.setattr(io, "TextIOWrapper", Terminal)
        monkeypatch.delenv("TERM", raising=False)
        if term is not None:
            monkeypatch.setenv("TERM", term)
        shown = ctl("top", "--interval", "1ms").stdout
        assert "generation 17" in shown
        assert ("\x1b[?1049h" in shown) == (not tables)
        assert not tables or shown.count("LISTENER") == tables

    def test_it_goes_on_until_the_server_ends(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Without --once a sample follows the other."""
        answer = pb.ListRoutesResponse(generation=17, routes=[route("a", 1, 2, 3, 4)])
        gone = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "the server stops")
        admin.answers["ListRoutes"] = [answer, answer, answer, gone]
        result = ctl("top", "--interval", "1ms", "--json")
        assert len(result.stdout.splitlines()) == 2
        assert (result.status, result.stderr) == (1, "mcproxyctl: the server stops\n")
