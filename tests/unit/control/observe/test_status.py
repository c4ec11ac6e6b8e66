"""What the status page shows, as plain structs: order, rates, and what is left out."""

from datetime import timedelta

import pytest

from mcproxy.control.counters.sample import Sample
from mcproxy.control.counters.totals import RouteTotals, Totals
from mcproxy.control.files.certificate_checks import EXPIRES_SOON
from mcproxy.control.observe.facts import Facts
from mcproxy.control.observe.status import _SOON, LINES_SHOWN, ROUTES_SHOWN, Status, make_status
from mcproxy.control.store.revisions import Revision
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Difference
from mcproxy.model.state.plan import make_plan
from mcproxy.model.state.state import State
from tests.support.observed import ADDR, facts, listener_totals, route, route_totals, state, totals

DAY = 86_400.0


def hostnames(status: Status) -> list[str]:
    return [one.hostname for one in status.routes.shown]


def counted(**routes: RouteTotals) -> Totals:
    """Return counts by the first label of a route's hostname."""
    return totals({}, {(ADDR, f"{name}.test"): its for name, its in routes.items()})


def test_the_busiest_route_comes_first() -> None:
    """Live connections and those and requests per second count together; then what has been, then the name."""
    known = facts(state(*(route(f"{name}.test") for name in ("z", "idle", "b", "was", "fresh", "web"))))
    before = Sample(0, counted(web=route_totals(requests=0), was=route_totals(connections=9)))
    now = Sample(
        10,
        counted(
            web=route_totals(requests=500, connections=1),
            fresh=route_totals(connections=30, active=1),
            b=route_totals(active=9, connections=9),
            was=route_totals(connections=9),
        ),
    )
    status = make_status(known, now, before)
    assert hostnames(status) == ["web.test", "b.test", "fresh.test", "was.test", "idle.test", "z.test"]
    assert [one.requests.rate for one in status.routes.shown] == [50, 0, 0, 0, 0, 0]


def test_of_many_routes_some_are_shown_and_the_rest_are_counted() -> None:
    """And can be searched for, by any part of hostname, listener or backend, in any case."""
    many = [route(f"r{number}.test") for number in range(10_000)]
    known = facts(state(*many, route("other.test", "127.0.0.1:9000")))
    status = make_status(known, Sample(0, counted(r777=route_totals(active=1))))
    assert len(status.routes.shown) == ROUTES_SHOWN
    assert (status.routes.all, status.routes.hidden) == (10_001, 10_001 - ROUTES_SHOWN)
    assert hostnames(status)[0] == "r777.test"
    for search, found in [("R9999", ["r9999.test"]), (" 127.0.0.1:9 ", ["other.test"]), ("nowhere", [])]:
        status = make_status(known, Sample(0, totals()), search=search)
        assert hostnames(status) == found
        assert (status.routes.matching, status.routes.all, status.routes.search) == (len(found), 10_001, search.strip())
    assert make_status(known, Sample(0, totals()), search="10.0.0.1:8080").routes.matching == 10_001


def test_rates_need_two_samples_and_time_between_them() -> None:
    """Until then they are unknown, which is not zero; a count that starts anew is no negative rate."""
    known = facts(state(route("a.test")))
    older, newer = counted(a=route_totals(connections=10, sent=500)), counted(a=route_totals(connections=4, sent=900))
    (alone,) = make_status(known, Sample(5, newer)).routes.shown
    assert (alone.connections.count, alone.connections.rate, alone.sent.rate) == (4, None, None)
    (still,) = make_status(known, Sample(5, newer), Sample(5, older)).routes.shown
    assert still.sent.rate is None
    (moving,) = make_status(known, Sample(7, newer), Sample(5, older)).routes.shown
    assert (moving.connections.rate, moving.sent.rate) == (0, 200)


def test_a_listener_tells_what_it_refuses_and_when_it_is_full() -> None:
    """The most frequent reason first, firewall and errors together."""
    known = facts(state(route("a.test"), route("b.test"), max_connections=3))
    before = totals({ADDR: listener_totals(10, 1, errors={"no_route": 5})})
    now = totals({ADDR: listener_totals(30, 3, errors={"no_route": 7}, blocks={"ip": 9})})
    (one,) = make_status(known, Sample(2, now), Sample(0, before)).listeners
    assert (one.addr, one.routes, one.open, one.limit, one.full) == (ADDR, 2, 3, 3, True)
    assert (one.accepted.count, one.accepted.rate) == (30, 10)
    assert [(why.name, why.count, why.rate) for why in one.refused] == [("ip", 9, 4.5), ("no_route", 7, 1)]
    (fresh,) = make_status(known, Sample(0, totals())).listeners
    assert (fresh.open, fresh.full, fresh.refused) == (0, False, ())
    unlimited = facts(state(route("a.test")))
    assert not make_status(unlimited, Sample(0, now)).listeners[0].full


def test_sums_over_everything() -> None:
    """Listeners and routes, with rates."""
    now = totals(
        {":1": listener_totals(5, 2, blocks={"ip": 1}), ":2": listener_totals(7, 1, blocks={"ip": 2, "country": 9})},
        {
            (":1", "a"): route_totals(received=10, sent=1, blocks={"require_header": 4}),
            (":2", "b"): route_totals(received=20, requests=3, blocks={"require_header": 1, "block_user_agent": 7}),
        },
        limits={"header_count": 2},
        draining=3,
        worker_restarts=1,
    )
    status = make_status(facts(), Sample(1, now), Sample(0, totals({}, {(":1", "a"): route_totals(received=6)})))
    counts = status.counts
    assert (counts.open, counts.accepted.count, counts.draining, counts.restarts) == (3, 12, 3, 1)
    assert (counts.received.count, counts.received.rate, counts.sent.count, counts.requests.count) == (30, 24, 1, 3)
    blocks = [("country", 9), ("ip", 3), ("cidr", 0), ("rate_limit", 0)]
    assert [(one.name, one.count) for one in status.blocks] == blocks
    assert [(one.name, one.count) for one in status.policy_blocks] == [("block_user_agent", 7), ("require_header", 5)]
    assert [(one.name, one.count, one.rate) for one in status.limits_hit] == [("header_count", 2, 2)]


def test_certificates_are_told_by_file_and_urgency() -> None:
    """One line for all routes that share a file; what has no certificate any more is left out."""
    now = 100 * DAY
    names = {"a.test": "/shared", "b.test": "/shared", "soon.test": "/soon", "gone.test": "/over"}
    live = state(*(route(name, mode="l7", tls_cert=path) for name, path in names.items()))
    ends = {"a.test": 190.5, "b.test": 190.5, "soon.test": 113.9, "gone.test": 99.9, "removed.test": 1}
    known = facts(live, now=now, expiries={(ADDR, name): day * DAY for name, day in ends.items()})
    status = make_status(known, Sample(0, totals()))
    assert [(one.path, one.routes, one.days, one.health) for one in status.certificates] == [
        ("/over", ("gone.test",), -1, "bad"),
        ("/soon", ("soon.test",), 13, "warning"),
        ("/shared", ("a.test", "b.test"), 90, "good"),
    ]
    assert [one.path for one in status.expiring] == ["/over", "/soon"]


def edit(**fields: object) -> Edit:
    known = {
        "kind": "route",
        "key": (ADDR, "a.test"),
        "created": 5.0,
        "author": "ann",
        "reason": "INC-1",
        "expires": 9.0,
    }
    return Edit(**{**known, **fields})  # type: ignore[arg-type]


def test_drift_reads_like_a_plan() -> None:
    """From what the file says to what runs, or to what a suspended edit wants."""
    declared, other = route("a.test"), route("a.test", send_proxy_protocol=True)
    differences = [
        Difference("route", (ADDR, "a.test"), declared, other, edit(value=other)),
        Difference("route", (ADDR, "a.test"), declared, None, edit(value=None)),
        Difference("route", (ADDR, "a.test"), None, other, edit(value=other)),
        Difference("route", (ADDR, "a.test"), declared, declared, edit(value=other), "there is no listener :1"),
    ]
    status = make_status(facts(drift=differences), Sample(0, totals()))
    assert [one.line for one in status.drift] == [
        "~ route :8443 a.test  send_proxy_protocol: false -> true",
        "- route :8443 a.test -> 10.0.0.1:8080",
        "+ route :8443 a.test -> 10.0.0.1:8080  send_proxy_protocol: true",
        "~ route :8443 a.test  send_proxy_protocol: false -> true",
    ]
    assert [one.suspended for one in status.drift] == ["", "", "", "there is no listener :1"]
    first = status.drift[0]
    assert (first.author, first.reason, first.since, first.expires) == ("ann", "INC-1", 5.0, 9.0)


def test_long_lists_are_cut_and_say_so() -> None:
    """A first plan of thousands of routes does not fill the page."""
    live = state(*(route(f"r{number}.test") for number in range(200)))
    differences = [
        Difference("route", key, None, value, edit(key=key, value=value)) for key, value in live.routes.items()
    ]
    known = facts(live, plan=make_plan(State(), live, {}), drift=differences)
    status = make_status(known, Sample(0, totals()))
    assert (len(status.plan_lines), status.plan_hidden) == (LINES_SHOWN, 201 - LINES_SHOWN)
    assert status.plan_summary == "201 added"
    assert (len(status.drift), status.drift_hidden) == (LINES_SHOWN, 200 - LINES_SHOWN)
    assert all(one.drifts for one in status.routes.shown)


@pytest.mark.parametrize(
    ("known", "health"),
    [
        (facts(), "good"),
        (facts(unready=["worker 1 of 1 (pid 5) serves nothing yet; 7 is wanted"]), "bad"),
        (facts(problems=["mc-proxy.toml:1:1: error: x"]), "bad"),
        (facts(revisions=[Revision(7, 1.0, "file", "", "", "1 added")]), "good"),
    ],
)
def test_health(known: Facts, health: str) -> None:
    """Bad as long as something does not serve as it should, or the files can't be used."""
    status = make_status(known, Sample(0, totals()))
    assert status.health == health
    assert status.uptime == 1000


def test_a_certificate_is_told_as_early_as_validation_does() -> None:
    """The page and the warnings of a reload agree."""
    assert timedelta(days=_SOON) == EXPIRES_SOON
