"""The route of a request: over TLS that of the connection, without TLS any of the listener's."""

import pytest

from mcproxy.model.state.state import ListenerProtocol
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.requests.route_choice import choose, has_changed, why_none
from tests.support.fake_worker import FakeWorker


class Site:
    """A listener with routes for a.example, *.b.example and everything."""

    def __init__(self, protocol: ListenerProtocol = "tls", *, mode: str = "l7") -> None:
        self.worker = FakeWorker()
        clear = protocol == "http"
        self.a, self.b, self.all = (
            self.worker.route(host, "192.0.2.1:80", mode=mode, clear=clear)
            for host in ("a.example", "*.b.example", "*")
        )
        self.listener = self.worker.listener(self.a, self.b, self.all, protocol=protocol)

    def arrival(self, route: LiveRoute | None) -> Arrival:
        return self.worker.arrival(self.listener, route)

    def serves(self, *routes: LiveRoute, protocol: ListenerProtocol = "tls") -> None:
        """Have the listener serve other routes from now on."""
        other = self.worker.listener(*routes, protocol=protocol)
        self.listener.routes, self.listener.clear = other.routes, other.clear


@pytest.mark.parametrize(
    ("authority", "name"),
    [(b"A.Example:80", "a"), (b"x.b.example", "b"), (b"other", "all"), (b"[::1]:8080", "all"), (b"", "all")],
)
def test_without_tls_any_route_serves(authority: bytes, name: str) -> None:
    """By the host that the request names; one without is everybody's."""
    site = Site("http")
    assert choose(site.arrival(None), authority, draining=False) is getattr(site, name)


@pytest.mark.parametrize("authority", [b"a..example", b"user@a.example"])
def test_what_is_no_host_has_no_route(authority: bytes) -> None:
    """Not even that of everything."""
    assert choose(Site("http").arrival(None), authority, draining=False) is None
    site = Site()
    assert choose(site.arrival(site.all), authority, draining=False) is None


def test_over_tls_only_the_connections_own_route_serves() -> None:
    """Others are another connection's; that may be a newer version of the route."""
    site = Site()
    arrival = site.arrival(site.a)
    assert choose(arrival, b"a.example", draining=False) is site.a
    assert choose(arrival, b"x.b.example", draining=False) is None
    assert why_none(arrival) == "misdirected"
    newer = site.worker.route("a.example", "192.0.2.2:80", mode="l7")
    site.serves(newer)
    assert choose(arrival, b"a.example", draining=False) is newer
    assert not has_changed(arrival)


@pytest.mark.parametrize(("kept", "draining"), [(True, False), (False, True), (False, False)])
def test_a_removed_route_serves_on_where_its_connections_may(*, kept: bool, draining: bool) -> None:
    """Those that were to be kept, and those that are told to end."""
    site = Site()
    site.a.kept = kept
    site.serves(site.all)
    found = choose(site.arrival(site.a), b"a.example", draining=draining)
    assert found is (site.a if kept or draining else None)
    assert choose(site.arrival(site.a), b"b.example", draining=draining) is None


def test_a_route_that_is_l4_now_serves_no_requests() -> None:
    """They would go to its backend without TLS."""
    site = Site()
    site.serves(site.worker.route("a.example", "192.0.2.1:80", mode="l4"))
    assert choose(site.arrival(site.a), b"a.example", draining=False) is None


def test_no_route_serves_when_the_listeners_clients_speak_something_else() -> None:
    """A request without TLS must not come to a route that wants it, nor the other way round."""
    site = Site("http")
    clear, secured = site.arrival(None), site.arrival(site.worker.route("a.example", "192.0.2.1:80", mode="l7"))
    assert why_none(clear) == "no_route"
    assert (has_changed(clear), has_changed(secured)) == (False, True)
    assert choose(secured, b"a.example", draining=False) is None
    site.serves(Site().a)
    assert choose(clear, b"a.example", draining=False) is None
    assert (has_changed(clear), has_changed(secured)) == (True, False)
    assert [why_none(each) for each in (clear, secured)] == ["misdirected", "misdirected"]
