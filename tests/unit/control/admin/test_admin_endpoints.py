"""How the admin API tells of upstreams and endpoints: conditions, order, provenance, and what is old."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin.endpoints import AdminEndpoints, add_troubled
from mcproxy.control.admin.server import Caller
from mcproxy.control.counters.counters import Counters
from mcproxy.control.health.endpoint_health import EndpointHealth
from mcproxy.errors import NotFoundError
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.upstream_entries import upstream_entries
from mcproxy.net.memory import endpoints as words
from mcproxy.net.memory.shared_memory import SharedMemory

A, B, C = "10.0.0.3:80", "10.0.0.4:80", "10.0.0.5:80"
TEXT = f"""
[upstreams.web]
endpoints = ["{A}", {{ address = "{B}", max_active = 7 }}, {{ address = "{C}", backup = true }}]
check = {{ type = "http", path = "/healthz" }}
[upstreams.db]
endpoints = ["{A}", "{B}"]
check = {{ type = "grpc", service = "x.Y", interval = "1m" }}
panic = false
[upstreams.idle]
endpoints = ["{A}"]
[[listeners]]
addr = ":1"
routes = [
  {{ hostname = "a.test", backend = "web" }},
  {{ hostname = "b.test", backend = "web" }},
  {{ hostname = "own.test", backend = ["{A}", "{B}"] }},
]
"""
OWN = ":1 own.test"


class Served:
    """A state that is live, with a memory and what is known of its endpoints."""

    def __init__(self, text: str = TEXT) -> None:
        resolution = resolve([Source("/mc-proxy.toml", text)])
        state = resolution.state
        self.counters = Counters(SharedMemory.create())
        self.indices = self.counters.assign_endpoints(state, {})
        entries = upstream_entries(state, self.indices, {}, {}, lambda _: b"")
        self.current: Any = SimpleNamespace(
            applier=SimpleNamespace(state=state, upstreams=entries, generation=7),
            counters=self.counters,
            loaded=SimpleNamespace(resolution=resolution),
            merged=SimpleNamespace(standing=(), state=state),
        )
        self.known = {
            (entry.name, str(one.endpoint)): EndpointHealth(
                upstream=entry.name, address=str(one.endpoint), label=one.label, state=one.state
            )
            for entry in entries
            for one in entry.endpoints
        }

    def say(self, upstream: str, address: str, verdict: int) -> None:
        """Let the workers know a verdict."""
        self.counters.memory.endpoint_states()[self.indices[upstream, address]] = words.state_word(verdict)

    def know(self, upstream: str, address: str, **facts: Any) -> None:
        """Let something be known of an endpoint."""
        health = EndpointHealth(upstream=upstream, address=address, label=address, **facts)
        self.known[upstream, address] = health

    def listed(self, upstream: str = "") -> pb.ListEndpointsResponse:
        """Return what the method answers."""
        admin = AdminEndpoints(self.current, lambda: list(self.known.values()))
        answer: pb.ListEndpointsResponse = asyncio.run(
            admin.unary["ListEndpoints"](pb.ListEndpointsRequest(upstream=upstream), Caller(""))  # type: ignore[arg-type]
        )
        return answer


def test_everything_is_in_the_order_of_the_file() -> None:
    """Named upstreams, then those of a route alone; each with its place and its routes."""
    answer = Served().listed()
    assert [(one.name, one.own, one.routes, one.check, one.balance) for one in answer.upstreams] == [
        ("web", False, 2, "http /healthz every 10s", "round_robin"),
        ("db", False, 0, "grpc x.Y every 1m", "round_robin"),
        ("idle", False, 0, "", "round_robin"),
        (OWN, True, 1, "", "round_robin"),
    ]
    assert [(one.upstream, one.address) for one in answer.endpoints] == [
        *(("web", each) for each in (A, B, C)),
        *(("db", each) for each in (A, B)),
        ("idle", A),
        *((OWN, each) for each in (A, B)),
    ]
    assert [one.provenance.origin for one in answer.upstreams] == [f"/mc-proxy.toml:{line}" for line in (2, 5, 9, 16)]
    assert (answer.endpoints[1].max_active, answer.endpoints[2].backup) == (7, False)
    assert answer.generation == 7


def test_one_upstream_alone() -> None:
    """By its name, those of a route too; one that is not there is told with the nearest."""
    served = Served()
    assert [one.name for one in served.listed(OWN).upstreams] == [OWN]
    assert [one.address for one in served.listed("db").endpoints] == [A, B]
    with pytest.raises(NotFoundError, match="no upstream wbe; did you mean web"):
        served.listed("wbe")


@pytest.mark.parametrize(
    ("verdicts", "condition"),
    [
        ((words.UNKNOWN, words.UP), "ok"),
        ((words.UP, words.DOWN), "degraded"),
        ((words.EJECTED, words.UP), "degraded"),
        ((words.UP, words.WAITING), "degraded"),
        ((words.DOWN, words.EJECTED), "panic"),
    ],
)
def test_how_an_upstream_is(verdicts: tuple[int, int], condition: str) -> None:
    """By how many of those are usable that the operator has ready."""
    served = Served()
    for address, verdict in zip((A, B), verdicts, strict=True):
        served.say(OWN, address, verdict)
    (own,) = served.listed(OWN).upstreams
    assert (own.condition, own.ready, own.usable) == (condition, 2, sum(each <= words.UP for each in verdicts))


def test_without_panic_an_upstream_is_down() -> None:
    """And so is one that the operator has taken out as a whole."""
    served = Served()
    for address in (A, B):
        served.say("db", address, words.DOWN)
    assert served.listed("db").upstreams[0].condition == "down"
    drained = Served(f'[upstreams.web]\nendpoints = [{{ address = "{A}", state = "drain" }}]\n')
    (web,) = drained.listed("web").upstreams
    assert (web.condition, web.endpoints, web.ready, web.usable) == ("down", 1, 0, 0)


def test_the_status_names_the_worst_first() -> None:
    """Twenty of them, and how many there are."""
    served = Served()
    for upstream, address in (("web", A), ("db", A), ("db", B), (OWN, A), (OWN, B)):
        served.say(upstream, address, words.DOWN)
    status = pb.GetStatusResponse()
    add_troubled(status, served.current)
    told = [(one.name, one.condition) for one in status.troubled_upstreams]
    assert told == [("db", "down"), (OWN, "panic"), ("web", "degraded")]
    assert status.troubled_upstreams_total == 3
    many = Served("".join(f'[upstreams.u{number}]\nendpoints = ["{A}"]\n' for number in range(25)))
    for number in range(25):
        many.say(f"u{number}", A, words.DOWN)
    add_troubled(status := pb.GetStatusResponse(), many.current)
    assert (len(status.troubled_upstreams), status.troubled_upstreams_total) == (20, 25)


def test_what_is_known_of_an_endpoint_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its times as such; three missed checks are told of one that has them."""
    served = Served()
    now = 1_700_000_000.5
    monkeypatch.setattr("mcproxy.control.admin.endpoints.time.time", lambda: now)
    down = {"verdict": "down", "since": now - 100, "last_error": "refused", "check_seconds": 0.25, "usable": False}
    served.know("web", A, last_check=now - 31, **down)
    served.know("web", B, verdict="up", last_check=now - 33, share=0.5, weight=3, ejections=2)
    first, second, third = served.listed("web").endpoints
    assert (first.verdict, first.last_error, first.usable, first.overdue) == ("down", "refused", False, False)
    assert first.since.ToMilliseconds() == int((now - 100) * 1000)
    assert first.check_duration.ToMilliseconds() == 250
    assert (second.overdue, second.share, second.weight, second.ejections) == (True, 0.5, 3, 2)
    assert not third.HasField("since")
    assert not third.HasField("last_check")


def test_an_endpoint_that_is_not_known_yet_is_left_out() -> None:
    """It came with the state that is being made live."""
    served = Served()
    del served.known["web", B]
    assert [one.address for one in served.listed("web").endpoints] == [A, C]
