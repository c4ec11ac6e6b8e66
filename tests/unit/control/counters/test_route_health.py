"""What is said of routes that fail: at the first failure, now and then, and when they work again."""

from mcproxy.control.counters.route_health import MOST, PATIENCE, STILL, RouteHealth, Sentence
from mcproxy.model.state.state import RouteKey
from mcproxy.model.values.reasons import Failure

A: RouteKey = (":1", "a.test")
REFUSED = Failure("backend_refused", "connection refused", "10.0.0.5:80")
LATE = Failure("backend_timeout", "timed out after 5 s", "10.0.0.5:80")


class Played:
    """A clock, the counters and the routes that there are.

    Attributes:
        now: seconds.
        errors: what a route's failures were counted to.
        live: the routes.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.errors: dict[RouteKey, int] = {}
        self.live = {A}
        self.health = RouteHealth(lambda route: self.errors.get(route, 0))

    def fails(self, route: RouteKey = A, failure: Failure = REFUSED, count: int = 1) -> list[str]:
        self.errors[route] = self.errors.get(route, 0) + count
        return said(self.health.failed(route, failure, count, self.now))

    def works(self, route: RouteKey = A) -> None:
        self.health.worked(route, self.now)

    def after(self, seconds: float) -> list[str]:
        self.now += seconds
        return said(self.health.look(self.live, self.now))


def said(sentences: list[Sentence]) -> list[str]:
    return [f"{one.stage} {one.route[1]} {one.failure.reason} {one.errors} {one.seconds:g}" for one in sentences]


def test_a_failure_is_told_once_and_so_is_the_recovery() -> None:
    """With the number of failures, whatever the last of them was."""
    played = Played()
    assert played.fails(count=3) == ["fails a.test backend_refused 3 0"]
    assert played.after(1) == []
    assert played.fails(failure=LATE) == []
    assert played.health.failing[A].failure == LATE
    assert played.after(PATIENCE / 2) == []
    played.works()
    assert played.after(PATIENCE / 4) == [], "it may fail again at once"
    assert played.after(PATIENCE) == ["recovered a.test backend_timeout 4 4.5"]
    assert played.after(STILL) == []
    assert (A in played.health.failing, played.health.troubles[A].failure) == (False, LATE)


def test_one_that_nobody_asks_for_has_not_recovered() -> None:
    """Nor one that has failed since it served, be it a moment later."""
    played = Played()
    played.fails()
    played.after(1)
    played.works()
    played.fails()
    assert played.after(10 * STILL) == ["still fails a.test backend_refused 1 601"]
    assert A in played.health.failing
    played.works()
    assert played.after(0.5) == ["recovered a.test backend_refused 2 601.5"]


def test_while_it_lasts_the_number_is_told_once_a_minute() -> None:
    """And nothing in a minute without a failure."""
    played = Played()
    played.fails()
    played.errors[A] += 99  # a report tells of the last one
    played.fails(failure=LATE)
    assert played.after(STILL - 1) == []
    assert played.after(1) == ["still fails a.test backend_timeout 100 60"]
    assert played.after(STILL) == []
    played.fails()
    assert played.after(1) == ["still fails a.test backend_refused 1 121"]


def test_one_that_fails_now_and_then_is_told_of_less_and_less() -> None:
    """It has to work for longer from relapse to relapse, until it has worked for long."""
    played = Played()
    waits = []
    for _ in range(8):
        assert len(played.fails()) == 1
        played.now += 0.1
        played.works()
        failed_at = played.now - 0.1
        while not played.after(0.5):
            pass
        waits.append(played.now - failed_at)
    assert [round(wait) for wait in waits] == [2, 4, 8, 16, 32, 60, 60, 60]
    played.after(3600)
    played.fails()
    played.now += 0.1
    played.works()
    assert played.after(PATIENCE) != []


def test_a_storm_is_told_as_one() -> None:
    """Twenty routes by themselves, the others as a number; each of them is known."""
    played = Played()
    routes = [(":1", f"r{number}.test") for number in range(50)]
    played.live = set(routes)
    assert sum(len(played.fails(route)) for route in routes) == 20
    assert played.after(5) == []
    assert played.after(5) == ["more  backend_refused 30 0"]
    assert played.after(1) == []
    assert len(played.health.failing) == 50
    assert played.fails((":1", "later.test")) == ["fails later.test backend_refused 1 0"]


def test_what_is_kept_has_bounds() -> None:
    """A number of routes that fail at a time; and nothing of routes that are gone."""
    played = Played()
    routes = [(":1", f"r{number}.test") for number in range(MOST + 10)]
    for route in routes:
        played.fails(route)
    assert len(played.health.failing) == MOST
    played.after(1)
    assert (dict(played.health.failing), played.health.troubles) == ({}, {})
