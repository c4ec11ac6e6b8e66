"""What the status page shows, as plain structs: order, rates, and what is left out."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from mcproxy.control.counters.quantiles import Histogram
from mcproxy.control.counters.refusals import Refusals
from mcproxy.control.counters.sample import Sample
from mcproxy.control.counters.totals import RouteTotals, Totals
from mcproxy.control.files.certificate_checks import EXPIRES_SOON
from mcproxy.control.files.contents import StandIn
from mcproxy.control.observe.facts import Facts, WorkerFacts
from mcproxy.control.observe.page.routes import ROUTES_SHOWN
from mcproxy.control.observe.page.status import _SOON, LINES_SHOWN, Status, Watched
from mcproxy.control.observe.page.status import make_status as made
from mcproxy.control.observe.page.view import Sort, View
from mcproxy.control.store.revisions import Revision
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Difference
from mcproxy.model.state.plan import make_plan
from mcproxy.model.state.state import Policy, State
from mcproxy.model.values.origins import Origin
from mcproxy.policy.acme.facts import CertificateFacts, OrderFacts
from tests.support.observed import ADDR, facts, listener_totals, route, route_totals, state, totals

DAY = 86_400.0
ALL = View()


def make_status(known: Facts, now: Sample, before: Sample | None = None, search: str = "") -> Status:
    return made(Watched(known, now, before), View(search))


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
    assert (status.routes.all, status.routes.pages) == (10_001, -(-10_001 // ROUTES_SHOWN))
    assert hostnames(status)[0] == "r777.test"
    for search, found in [("R9999", ["r9999.test"]), ("127.0.0.1:9", ["other.test"]), ("nowhere", [])]:
        status = make_status(known, Sample(0, totals()), search=search)
        assert hostnames(status) == found
        assert (status.routes.matching, status.routes.all, status.routes.view.search) == (len(found), 10_001, search)
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
    """The most frequent reason first, firewall and errors together; what backends and clients have done is apart."""
    known = facts(state(route("a.test"), route("b.test"), max_connections=3))
    before = totals({ADDR: listener_totals(10, 1, errors={"no_route": 5})})
    errors = {"no_route": 7, "client_gone": 3}
    routes = {(ADDR, "a.test"): route_totals(connections=9, errors={"backend_dns": 4, "client_reset": 1})}
    now = totals({ADDR: listener_totals(30, 3, errors=errors, blocks={"ip": 9})}, routes)
    (one,) = make_status(known, Sample(2, now), Sample(0, before)).listeners
    assert (one.addr, one.routes, one.open, one.limit, one.full) == (ADDR, 2, 3, 3, True)
    assert (one.accepted.count, one.accepted.rate) == (30, 10)
    assert [(why.name, why.count, why.rate) for why in one.refused] == [("ip", 9, 4.5), ("no_route", 7, 1)]
    (fresh,) = make_status(known, Sample(0, totals())).listeners
    assert (fresh.open, fresh.full, fresh.refused) == (0, False, ())
    assert [(why.name, why.count) for why in one.failed] == [("backend_dns", 4)]
    assert [(why.name, why.count) for why in one.broken_off] == [("client_gone", 3), ("client_reset", 1)]
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
    blocks = [
        ("country", 9),
        ("ip", 3),
        ("cidr", 0),
        ("connections_per_client", 0),
        ("not_allowed", 0),
        ("rate_limit", 0),
    ]
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


def lately(now: Totals, recent: Totals | None, view: View = ALL, live: State | None = None) -> Status:
    known = facts(live or state(route("a.test"), route("b.test"), route("c.test", mode="l7"), route("idle.test")))
    return made(Watched(known, Sample(400, now), None, None if recent is None else Sample(100, recent)), view)


def test_the_worst_route_comes_first_and_is_told() -> None:
    """By what failed lately; what clients did, and what is long over, is no failure."""
    recent = counted(a=route_totals(connections=9, errors={"backend_refused": 50}))
    now = counted(
        a=route_totals(connections=9, active=99, errors={"backend_refused": 50, "client_gone": 7}),
        b=route_totals(connections=3, errors={"backend_timeout": 2, "backend_refused": 1}),
        c=route_totals(connections=8, requests=4, errors={"no_resources": 9}),
    )
    status = lately(now, recent)
    assert hostnames(status) == ["c.test", "b.test", "a.test", "idle.test"]
    assert [(one.hostname, one.lately.failed) for one in status.failing] == [("c.test", 9), ("b.test", 3)]
    assert [(one.name, one.count) for one in status.failing[1].lately.errors] == [
        ("backend_timeout", 2),
        ("backend_refused", 1),
    ]
    assert status.health == "warning"
    assert [check.answer for check in status.checks if check.name == "Backends"] == ["2 routes fail"]
    assert lately(now, now).failing == ()
    assert len(lately(now, None).failing) == 3, "nothing is known of before: all of it is lately"


def test_the_share_of_5xx_and_latency_are_of_the_last_minutes() -> None:
    old, new = Histogram((10, *(0,) * 14), 10, 1.0), Histogram((10, 10, *(0,) * 13), 20, 2.0)
    recent = counted(c=route_totals(connections=1, requests=10, responses={("h2", "502"): 10}, durations=old))
    responses = {("h2", "502"): 11, ("h2", "5xx"): 1, ("http/1.1", "200"): 7, ("h2", "404"): 1}
    now = counted(c=route_totals(connections=1, requests=20, responses=responses, durations=new))
    (one,) = lately(now, recent, View("c.test")).routes.shown
    assert (one.lately.requests, one.lately.share_5xx) == (10, 0.2)
    assert one.lately.p50 == pytest.approx(0.00075)
    told = {"0": 4, "5": 2, "13": 1, "14": 2, "none": 1}  # 5, NOT_FOUND, is no fault of the server
    grpc = counted(c=route_totals(connections=1, requests=10, responses={("h2", "200"): 10}, grpc=told))
    (one,) = lately(grpc, None, View("c.test")).routes.shown
    assert one.lately.share_5xx == 0.3
    (one,) = lately(now, now, View("c.test")).routes.shown
    assert (one.lately.requests, one.lately.share_5xx, one.lately.p99) == (0, None, None)


@pytest.mark.parametrize(
    ("sort", "first"),
    [("hostname", "a.test"), ("live", "b.test"), ("errors", "c.test"), ("5xx", "c.test"), ("backend", "a.test")],
)
def test_routes_are_sorted(sort: Sort, first: str) -> None:
    now = counted(
        b=route_totals(connections=3, active=3),
        c=route_totals(connections=1, requests=2, responses={("h2", "503"): 1}, errors={"backend_refused": 1}),
    )
    assert hostnames(lately(now, None, View(sort=sort)))[0] == first


def test_names_of_a_domain_stand_together() -> None:
    live = state(route("b.y.test"), route("a.z.test"), route("a.y.test"))
    assert hostnames(lately(totals(), None, View(sort="hostname"), live)) == ["a.y.test", "b.y.test", "a.z.test"]


def test_the_list_has_parts() -> None:
    """Every route is on one of them; a part that is not there is the last one."""
    live = state(*(route(f"r{number:03}.test") for number in range(120)))
    parts = [lately(totals(), None, View(page=page), live).routes for page in (1, 2, 3, 9)]
    assert [len(part.shown) for part in parts] == [50, 50, 20, 20]
    assert len({one.hostname for part in parts for one in part.shown}) == 120
    assert [part.view.page for part in parts] == [1, 2, 3, 3]
    assert {part.pages for part in parts} == {3}


def test_routes_are_grouped_by_listener_idle_ones_apart() -> None:
    """The listener of the worst or busiest route first."""
    live = state(route("a.test", ":1"), route("b.test", ":2"), route("c.test", ":2"))
    now = totals({}, {(":2", "c.test"): route_totals(connections=1, active=1)})
    groups = lately(now, None, live=live).routes.groups
    named = [(group.listener, [r.hostname for r in group.busy], [r.hostname for r in group.idle]) for group in groups]
    assert named == [(":2", ["c.test"], ["b.test"]), (":1", [], ["a.test"])]


def test_a_route_in_detail() -> None:
    """Where it is declared, what differs from the defaults, what it answered; nothing for one that is not there."""
    one = route("c.test", mode="l7", tls_cert=("/c", "/d"), backend_tls=True)
    policy = Policy(ADDR, "c.test", "block_user_agent", "Bot")
    live = State(state(one).listeners, {(ADDR, "c.test"): one}, {(ADDR, "c.test", "block_user_agent", "Bot"): policy})
    known = facts(
        live,
        origins={("route", ADDR, "c.test"): Origin("/etc/x.toml", 7, 1)},
        expiries={(ADDR, "c.test"): 5.0},
    )
    totals_ = route_totals(
        connections=1,
        requests=3,
        responses={("h2", "200"): 1, ("http/1.1", "200"): 1, ("h2", "502"): 1},
        errors={"backend_refused": 1},
        grpc={"14": 2},
    )
    watched = Watched(known, Sample(1, counted(c=totals_)))
    detail = made(watched, View(route=f"{ADDR} c.test")).detail
    assert detail is not None
    assert detail.declared == "/etc/x.toml:7"
    assert detail.settings == (("mode", "l7"), ("tls_cert", "/c, /d"), ("backend_tls", "true"))
    assert detail.policies == (("block_user_agent", "Bot"),)
    assert [(code.name, code.count) for code in detail.codes] == [("200", 2), ("502", 1)]
    assert [(one.name, one.count) for one in (*detail.errors, *detail.grpc)] == [("backend_refused", 1), ("14", 2)]
    assert detail.not_after == 5.0
    assert made(watched, View(route=":9 nowhere.test")).detail is None


def test_the_row_of_checks_is_as_bad_as_its_worst() -> None:
    """A word for each: what is wrong, or that nothing is."""
    live = state(route("a.test", mode="l7", tls_cert="/a"))
    well = facts(live, workers=[WorkerFacts(1, 7, leaving=False)], expiries={(ADDR, "a.test"): 1_000_000.0 + 90 * DAY})
    status = make_status(well, Sample(0, totals()))
    assert status.health == "good"
    assert [check.answer for check in status.checks] == [
        "1 serve",
        "read 8m20s ago",
        "no route fails",
        "nobody",
        "90 days left",
        "as the file says",
        "well",
    ]
    for field, value, health, answer in [
        ("unready", ["worker 2 is behind"], "bad", "1 not ready"),
        ("problems", ["x"], "bad", "reload failed"),
        ("expiries", {(ADDR, "a.test"): 999_999.0}, "bad", "expired"),
        ("expiries", {(ADDR, "a.test"): 1_000_000.0 + 2 * DAY}, "warning", "2d left"),
        ("stand_ins", [StandIn(("route", ADDR, "a.test"), "tls_cert", "broken")], "warning", "1 broken file"),
        ("store_problems", ["x"], "warning", "in trouble"),
        ("refused", Refusals({ADDR: {"limit": 1, "ip": 7}}, {}), "warning", "1 listener full"),
        ("refused", Refusals({ADDR: {"ip": 7}}, {"header_bytes": 2}), "good", "9 by rules"),
    ]:
        status = make_status(msgspec.structs.replace(well, **{field: value}), Sample(0, totals()))
        assert status.health == health
        assert answer in [check.answer for check in status.checks]


def test_what_was_refused_is_told_by_listener_and_rule() -> None:
    """A listener that was full in front, with what the rule means; then the limits; the rest is counted."""
    listeners = {f":{number}": {"ip": number, "not_tls": 1} for number in range(1, 7)} | {":9": {"limit": 1, "ip": 4}}
    status = make_status(
        facts(refused=Refusals(listeners, {"header_bytes": 2, "control_frames": 1})), Sample(0, totals())
    )
    assert [one.listener for one in status.refused] == [":9", ":6", ":5", ":4", ":3"]
    assert status.refused_hidden == 3
    (full, *_) = status.refused
    assert [(rule.name, rule.count) for rule in full.rules] == [("limit", 1), ("ip", 4)]
    assert full.rules[0].meaning == "The listener's max_connections were open."
    (limits,) = make_status(facts(refused=Refusals({}, {"header_bytes": 2})), Sample(0, totals())).refused
    assert (limits.listener, limits.total, limits.full) == ("", 2, False)


def test_a_route_that_fails_says_why() -> None:
    """In words, as its log line."""
    known = facts(state(route("a.test")), last_errors={(ADDR, "a.test"): "backend_refused: connection refused"})
    now = counted(a=route_totals(connections=1, errors={"backend_refused": 1}))
    (failing,) = make_status(known, Sample(0, now)).failing
    assert failing.last_error == "backend_refused: connection refused"


def test_certificates_that_are_ordered_are_told_by_what_becomes_of_them() -> None:
    """Those in trouble first; one of short life is well as long as its renewal is not late; one from a file stands beside them."""
    now = 1_000_000.0
    known: dict[str, Any] = {"issuer": "Test CA", "not_before": now - DAY, "not_after": now + DAY}
    orders = (
        CertificateFacts(
            name="fails.test", names=("fails.test",), renewal=now - 60, error="no", next_try=now + 60, **known
        ),
        CertificateFacts(name="late.test", names=("late.test",), renewal=now - DAY, ordering=True, **known),
        CertificateFacts(name="new.test", names=("new.test", "www.new.test")),
        CertificateFacts(name="refused.test", names=("refused.test",), error="the CA says:\n no", next_try=now + 60),
        CertificateFacts(name="short.test", names=("short.test",), renewal=now + 3600, **known),
    )
    routes = [route(each.name, mode="l7") for each in orders]
    live = state(*routes, route("file.test", mode="l7", tls_cert="/file"))
    ends = {(ADDR, name): now + 90 * DAY for name in ("short.test", "file.test")}
    status = make_status(facts(live, now=now, expiries=ends, orders=OrderFacts(orders)), Sample(0, totals()))
    assert [(one.routes, one.days, one.health, one.words) for one in status.certificates] == [
        (("refused.test",), 0, "warning", "waiting: the CA says: no, tried again in 1m"),
        (("fails.test",), 1, "warning", "from Test CA, renewed 1d ago, renewal fails: no, tried again in 1m"),
        (("new.test",), 0, "good", "the first one waits to be ordered"),
        (("late.test",), 1, "warning", "from Test CA, renewed 1d ago, is being renewed"),
        (("short.test",), 1, "good", "from Test CA, renewed 1d ago, next about 1970-01-12"),
        (("file.test",), 90, "good", ""),
    ]
    assert [one.routes[0] for one in status.unordered] == ["refused.test", "fails.test"]
    assert status.expiring == ()
    (check,) = [one for one in status.checks if one.name == "Certificates"]
    assert (check.health, check.answer) == ("warning", "2 not ordered")


def test_a_first_certificate_that_is_being_ordered_is_no_trouble() -> None:
    """Only that there is none yet is told."""
    orders = OrderFacts((CertificateFacts(name="new.test", names=("new.test",), ordering=True),))
    status = make_status(facts(state(route("new.test", mode="l7")), orders=orders), Sample(0, totals()))
    (check,) = [one for one in status.checks if one.name == "Certificates"]
    assert (check.health, check.answer) == ("good", "the first is being ordered")


def test_a_certificate_that_has_ended_is_told_though_it_is_ordered() -> None:
    """Whoever comes now is refused by the client."""
    ended = CertificateFacts(
        name="a.test", names=("a.test",), issuer="Test CA", not_before=1.0, not_after=2.0, error="no"
    )
    status = make_status(facts(state(route("a.test", mode="l7")), orders=OrderFacts((ended,))), Sample(0, totals()))
    assert [one.health for one in status.expiring] == ["bad"]
    (check,) = [one for one in status.checks if one.name == "Certificates"]
    assert (check.health, check.answer) == ("bad", "expired")
