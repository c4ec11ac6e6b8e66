"""Verdicts of checks and traffic, over reloads and restarts of control: on a clock of the test's."""

from typing import Any

import pytest

from mcproxy.control.health.probes.probe import Tls
from mcproxy.model.state.upstream_options import BackendTls
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.memory import endpoints as words
from tests.support.watched_upstreams import Watched, checked

A, B, C, D = (f"10.0.0.{number}:80" for number in range(1, 5))
REFUSED = "connection refused"


def test_an_endpoint_is_down_after_fall_failures_and_up_after_rise_passes() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=3, rise=2))
    assert world.verdict(A) == "unknown"
    world.check(A, "")
    assert world.verdict(A) == "up"
    world.check(A, REFUSED, REFUSED)
    assert world.verdict(A) == "up"
    world.check(A, "", REFUSED, REFUSED, REFUSED)
    assert world.verdict(A) == "down"
    assert world.events == [f"upstream api: {A} is down: connection refused"]
    world.pass_time(42)
    world.check(A, "", REFUSED, "", "")
    assert world.verdict(A) == "up"
    assert world.events[1:] == [f"upstream api: {A} is up after 42 s"]
    assert world.verdict(B) == "unknown"


def test_the_facts_tell_state_time_and_error() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=1), endpoints={B: {"state": "drain", "weight": 3, "backup": True}})
    world.pass_time(5)
    world.check(A, "", "status 500")
    world.count(A, active=3)
    first, second = world.watch.facts().endpoints
    assert (first.upstream, first.address, first.label) == ("api", A, A)
    assert (first.verdict, first.since, first.reason) == ("down", world.now.wall, "status 500")
    assert (first.last_check, first.last_error) == (world.now.wall, "status 500")
    assert (first.active, first.usable, first.checked) == (3, False, True)
    assert (second.state, second.verdict, second.usable, second.weight, second.backup) == (
        "drain",
        "unknown",
        False,
        3,
        True,
    )


def test_reloads_keep_what_is_known_and_another_check_counts_anew_from_there() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=3))
    world.check(A, "", REFUSED, REFUSED)
    world.apply({"api": [A, B]}, check=checked(fall=3), balance="least_conn")
    world.check(A, REFUSED)
    assert world.verdict(A) == "down"
    world.check(B, "", REFUSED, REFUSED)
    world.apply({"api": [A, B]}, check=checked(fall=3, path="/other"))
    assert (world.verdict(A), world.verdict(B)) == ("down", "up")
    world.check(B, REFUSED, REFUSED)
    assert world.verdict(B) == "up"
    world.check(B, REFUSED)
    assert world.verdict(B) == "down"


@pytest.mark.parametrize(
    "changed",
    [
        {"tls": BackendTls()},
        {"protocol": "h2"},
        {"send_proxy_protocol": True},
        {"check": checked(fall=2, timeout=5.0)},
        {"check": checked(fall=2, type="http")},
    ],
)
def test_whatever_changes_the_check_is_another_one(changed: dict[str, Any]) -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=2))
    world.check(A, "", REFUSED)
    before = world.probe(A)
    world.apply({"api": [A, B]}, **{"check": checked(fall=2), **changed})
    assert world.probe(A) != before
    world.check(A, REFUSED)
    assert world.verdict(A) == "up"
    world.check(A, REFUSED)
    assert world.verdict(A) == "down"


@pytest.mark.parametrize(
    "changed", [{"balance": "random_two"}, {"slow_start": 5.0}, {"tries": 1}, {"proxy_protocol_version": "v1"}]
)
def test_what_does_not_concern_checks_leaves_them_as_they_are(changed: dict[str, Any]) -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=2))
    world.check(A, "", REFUSED)
    before = world.probe(A)
    world.apply({"api": [A, B]}, check=checked(fall=2), **changed)
    assert world.probe(A) is before
    world.check(A, REFUSED)
    assert world.verdict(A) == "down"


def test_a_check_that_is_under_way_when_another_replaces_it_counts_nothing() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=1))
    old = world.watch._checker._planned[world.index(A)]
    number = old.begin()
    world.apply({"api": [A, B]}, check=checked(fall=1, path="/new"))
    assert world.watch._checker._planned[world.index(A)] is not old
    health = world.watch._upstreams["api"]
    said = health.ended(world.index(A), number, good=False, error=REFUSED, seconds=0.0, now=world.now)
    world.pass_time(1)
    assert said == []
    assert world.verdict(A) == "unknown"


def test_without_its_check_an_endpoint_is_used_again() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=1))
    world.check(A, REFUSED)
    assert world.verdict(A) == "down"
    world.apply({"api": [A, B]}, check=None)
    world.pass_time(1)
    assert world.verdict(A) == "unknown"
    assert "it is not checked any more" in world.events[-1]
    world.apply({"api": [A, B]}, check=checked(rise=2))
    world.check(A, REFUSED)
    assert world.verdict(A) == "down"  # one result is enough for what nobody knows


def test_an_endpoint_that_is_added_waits_for_its_first_success() -> None:
    world = Watched()
    world.apply({"api": [A, B]})
    world.check(A, "")
    world.apply({"api": [A, B, C]})
    assert words.verdict(world.prepared["api", C]) == words.WAITING  # before a worker learned of it
    world.check(C, REFUSED, REFUSED)
    assert world.verdict(C) == "waiting"
    world.check(C, "")
    assert world.verdict(C) == "up"
    assert world.events == [f"upstream api: {C} is up"]


def test_what_is_added_where_none_is_usable_does_not_wait() -> None:
    world = Watched()
    world.apply({"api": [A]}, check=checked(fall=1))
    world.check(A, REFUSED)
    world.apply({"api": [A, B]}, check=checked(fall=1))
    assert world.verdict(B) == "unknown"


def test_a_new_upstream_is_usable_until_its_first_results() -> None:
    world = Watched()
    world.apply({"api": [A]})
    world.check(A, "")
    world.apply({"api": [A], "web": [A, B]})
    assert world.verdict(A, "web") == world.verdict(B, "web") == "unknown"


def test_the_same_address_in_two_upstreams_is_two_endpoints() -> None:
    world = Watched()
    world.apply({"api": [A, B], "web": [A, B]}, check=checked(fall=1))
    world.check(A, REFUSED, upstream="api")
    assert (world.verdict(A, "api"), world.verdict(A, "web")) == ("down", "unknown")


def test_another_control_goes_on_with_the_verdicts() -> None:
    world = Watched()
    world.apply({"api": [A, B, C]}, check=checked(fall=2))
    world.check(A, "")
    world.check(B, REFUSED)
    world.pass_time(7)
    since = words.since(world.word(B))
    assert since == 1_800_000_000
    after = world.successor()
    after.apply({"api": [A, B, C, D]}, check=checked(fall=2))
    assert [after.verdict(each) for each in (A, B, C, D)] == ["up", "down", "unknown", "waiting"]
    assert [fact.since for fact in after.watch.facts().endpoints][1] == since
    after.check(A, REFUSED)
    assert after.verdict(A) == "up"
    after.check(B, "", "")
    assert after.verdict(B) == "up"
    assert after.events == [f"upstream api: {B} is up after 10 s"]


def test_another_version_goes_on_with_what_it_is_told() -> None:
    """Its memory is laid out in another way; what is not told of is usable, and nothing waits."""
    world = Watched()
    world.apply({"api": [A, B, C]}, check=checked(fall=2))
    world.check(A, "")
    world.check(B, REFUSED)
    told = world.watch.unusable()
    assert told == {("api", B): world.word(B)}
    after = Watched(told=told)
    after.apply({"api": [A, B, C, D]}, check=checked(fall=2))
    assert [after.verdict(each) for each in (A, B, C, D)] == ["unknown", "down", "unknown", "unknown"]
    after.check(B, "", "")
    assert after.verdict(B) == "up"


def fail(world: Watched, address: str, *, of: int = 10, failures: int = 10) -> None:
    world.count(address, taken=of, errors=failures)


def test_what_fails_its_traffic_is_ejected_and_comes_back() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=None)
    world.pass_time(1)
    fail(world, A, of=10, failures=6)
    fail(world, B, of=10, failures=4)
    world.pass_time(1)
    assert (world.verdict(A), world.verdict(B)) == ("ejected", "unknown")
    assert world.events == [f"upstream api: {A} is ejected: 6 of 10 failed in 10 s for 30 s"]
    assert world.watch.facts().endpoints[0].ejections == 1
    world.pass_time(29)
    assert world.verdict(A) == "ejected"
    world.pass_time(2)
    assert world.verdict(A) == "unknown"
    assert world.events[1:] == [f"upstream api: {A} is no longer ejected after 30 s: its time is over"]


@pytest.mark.parametrize("kind", ["dial_failures", "errors", "resets"])
def test_failures_of_every_kind_count(kind: str) -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=None)
    world.pass_time(1)
    world.count(A, taken=5, **{kind: 5})
    world.pass_time(1)
    assert world.verdict(A) == "ejected"


def test_an_ejection_goes_on_over_reloads_and_under_another_control() -> None:
    world = Watched()
    world.apply({"api": [A, B]})
    world.check(A, "")
    world.check(B, "")
    world.pass_time(1)
    fail(world, A)
    world.pass_time(1)
    world.apply({"api": [A, B]}, balance="random_two")
    world.pass_time(5)
    assert world.verdict(A) == "ejected"
    after = world.successor()
    after.apply({"api": [A, B]})
    after.pass_time(5)
    assert after.verdict(A) == "ejected"
    after.pass_time(30)
    assert after.verdict(A) == "up"


def test_switched_off_nothing_is_ejected() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=None, eject=False)
    world.pass_time(1)
    fail(world, A)
    world.pass_time(1)
    assert world.verdict(A) == "unknown"


def test_what_checks_say_comes_before_an_ejection() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=1))
    world.pass_time(1)
    fail(world, A)
    world.pass_time(1)
    world.check(A, REFUSED)
    assert world.verdict(A) == "down"


def test_a_share_grows_from_the_first_usable_verdict_on() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=1, rise=1), slow_start=10.0)
    world.check(A, "")
    world.check(B, "")
    world.pass_time(1)
    assert [words.withheld(world.word(each)) for each in (A, B)] == [0, 0]  # not at the start
    world.check(A, REFUSED, "")
    world.pass_time(1)
    held = []
    for _ in range(9):
        held.append(words.withheld(world.word(A)))
        world.pass_time(1)
    assert held == sorted(held, reverse=True)
    assert held[0] > 200
    assert held[-1] > 0 == words.withheld(world.word(A))
    assert words.withheld(world.word(B)) == 0


def test_a_slow_start_goes_on_under_another_control() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=1, rise=1), slow_start=100.0)
    world.check(A, "", REFUSED, "")
    world.pass_time(50)
    before = words.withheld(world.word(A))
    after = world.successor()
    after.apply({"api": [A, B]}, check=checked(fall=1, rise=1), slow_start=100.0)
    after.pass_time(1)
    assert 0 < words.withheld(after.word(A)) < before


def test_that_none_is_usable_is_told_once_and_when_it_is_over() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=1, rise=1))
    world.check(A, REFUSED)
    world.check(B, REFUSED)
    world.pass_time(3)
    told = [event for event in world.events if "usable" in event]
    assert told == ["upstream api: none of its 2 endpoints is usable: all are used"]
    world.check(A, "")
    world.pass_time(3)
    told = [event for event in world.events if "usable" in event]
    assert told[1:] == ["upstream api: an endpoint is usable again"]


def test_of_very_many_endpoints_the_number_is_told() -> None:
    world = Watched()
    addresses = [f"10.1.{number // 250}.{number % 250}:80" for number in range(1000)]
    world.apply({"api": addresses}, check=checked(fall=1))
    for address in addresses:
        world.check(address, REFUSED)
    world.pass_time(15)
    assert len(world.events) < 25
    assert "980 more endpoints have changed" in world.events


def test_a_word_that_somebody_else_has_written_is_put_right() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(fall=1))
    world.check(A, REFUSED)
    world.memory.endpoint_states()[world.index(A)] = 0
    world.pass_time(1)
    assert world.verdict(A) == "down"


def test_a_check_goes_where_the_upstream_says() -> None:
    world = Watched()
    world.apply(
        {"api": ["[::1]:80", "app.test:80", "unix:/run/a.sock"]},
        check=checked(type="http", path="/h", host="h.test", status="200,301-302", port=8080, timeout=1.5),
        tls=BackendTls(server_name="name.test"),
        send_proxy_protocol=True,
        proxy_protocol_version="v1",
        protocol="h2",
    )
    probe = world.probe("[::1]:80")
    assert (probe.endpoint, probe.type, probe.path, probe.host) == (Endpoint("::1", 8080), "http", "/h", "h.test")
    assert (probe.statuses, probe.timeout, probe.protocol) == (((200, 200), (301, 302)), 1.5, "h2")
    assert (probe.tls, probe.proxy_header) == (Tls(b"", "name.test"), "v1")
    assert world.probe("app.test:80").endpoint == Endpoint("app.test", 8080)
    assert world.probe("unix:/run/a.sock").endpoint == Endpoint(path="/run/a.sock")
    world.apply({"api": ["app.test:80"]}, tls=BackendTls())
    assert world.probe("app.test:80").tls == Tls(b"", "app.test")


def test_a_renewed_ca_is_used_and_counts_anew() -> None:
    world = Watched()
    world.files = {"/ca.pem": b"one"}
    for name in (b"one", b"two"):
        world.files = {"/ca.pem": name}
        world.apply({"api": [A, B]}, check=checked(fall=2), tls=BackendTls(ca="/ca.pem"))
        assert world.probe(A).tls == Tls(name, "10.0.0.1")
        world.check(A, "", REFUSED)
    assert world.verdict(A) == "up"
    known = world.probe(A)
    world.apply({"api": [A, B]}, check=checked(fall=2), tls=BackendTls(ca="/ca.pem"), balance="least_conn")
    assert world.probe(A) is known


def test_what_is_not_there_any_more_is_not_checked() -> None:
    world = Watched()
    world.apply({"api": [A, B], "web": [C]})
    world.apply({"api": [A]})
    assert list(world.watch._checker._planned) == [world.index(A)]
    assert [fact.address for fact in world.watch.facts().endpoints] == [A]


def test_the_times_of_checks_are_counted() -> None:
    world = Watched()
    world.apply({"api": [A]})
    world.check(A, "", "", REFUSED)
    assert sum(world.watch.seconds["api"][:15]) == 3


def test_an_address_that_stands_under_a_name_now_is_checked_for_the_name() -> None:
    world = Watched()
    world.apply({"api": [A, B]}, check=checked(type="tls"))
    world.check(A, "")
    assert world.probe(A).name == ""
    name = "web.test:80"
    world.apply({"api": [name, B]}, check=checked(type="tls"), answers={name: (Endpoint("10.0.0.1", 80),)})
    assert world.probe(A).name == "web.test"
    assert world.verdict(A) == "up"


def test_what_was_counted_under_a_name_never_becomes_less() -> None:
    """While its addresses come and go; it is forgotten with the name."""
    world, name = Watched(), "web.test:80"
    one, two = Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)

    def taken() -> int:
        return world.watch.facts().counted["api", name].totals.taken

    world.apply({"api": [name]}, answers={name: (one, two)})
    world.count(A, taken=5, active=2)
    world.count(B, taken=7, active=1)
    assert taken() == 12
    world.apply({"api": [name]}, answers={name: (one,)})
    assert taken() == 12
    assert world.watch.facts().counted["api", name].totals.active == 2
    world.apply({"api": [name]}, answers={name: (one, two)})
    world.count(B, taken=1)
    assert taken() == 13
    world.apply({"api": [C]})
    assert ("api", name) not in world.watch.facts().counted
    world.apply({"api": [name]}, answers={name: (Endpoint("10.0.0.4", 80),)})
    assert taken() == 0
