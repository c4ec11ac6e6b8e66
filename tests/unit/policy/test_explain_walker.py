"""A walker explains many connections and requests with tables that are made once."""

from collections.abc import Callable
from functools import cache

import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import Resolution, resolve
from mcproxy.policy.explain.query import Query
from mcproxy.policy.explain.walk import Walker, explain
from tests.support.call_counts import calls

MOST = 1.1
"""How much more work a question may be in a large configuration than in a small one."""


@cache
def site(routes: int) -> Resolution:
    """Return a configuration whose every part grows: routes, cases, filters, policies, upstreams and rules."""
    text = ['[[listeners]]\naddr = ":80"\nprotocol = "http"']
    text += (
        f"""
[upstreams.u{number}]
endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
[filters.f{number}]
block_cidrs = ["198.51.100.0/24"]
[[listeners.routes]]
hostname = "h{number}.test"
backend = "u{number}"
use = ["f{number}"]
cases = [{{ match = "/api/*", backend = "10.0.0.9:80" }}, {{ match = "GET /x", respond = "x" }}]
[[listeners.routes.l7_policies]]
type = "block_user_agent"
value = "BadBot"
"""
        for number in range(routes)
    )
    many = ", ".join(f'{{ match = "/c{number}/*", respond = "{number}" }}' for number in range(routes))
    text.append(f'[[listeners.routes]]\nhostname = "many.test"\nbackend = "u0"\ncases = [{many}]\n')
    blocked = ", ".join(f'"192.0.{number >> 8}.{number & 255}"' for number in range(routes))
    return resolve([Source("/mc.toml", "\n".join((f"firewall.blocked_ips = [{blocked}]", *text)))])


@pytest.mark.parametrize(("host", "path"), [("h7.test", "/api/a"), ("h7.test", "/b"), ("many.test", "/c3/x/y")])
def test_a_question_costs_the_same_however_large_the_configuration_is(host: str, path: str) -> None:
    """The first question to a route makes its tables; from then on nothing depends on the number of anything."""
    query = Query(":80", ip="203.0.113.9", method="GET", path=path, headers=(("Host", host),))

    def asked(walker: Walker) -> Callable[[], object]:
        return lambda: walker.explain(query, lambda _: None)

    cost = []
    for routes in (20, 500):
        walker = Walker(site(routes))
        asked(walker)()
        cost.append(calls(asked(walker)))
    assert 0 < cost[1] <= MOST * cost[0]


def test_a_walker_says_the_same_again_and_what_a_single_question_says() -> None:
    """What is kept from one question changes nothing of the next."""
    resolution = site(20)
    walker = Walker(resolution)
    queries = [
        Query(ip=ip, method="GET", path=path, headers=(("Host", host), ("User-Agent", agent)))
        for ip in ("203.0.113.9", "198.51.100.1", "192.0.0.5")
        for host in ("h1.test", "many.test", "none.test")
        for path in ("/api/a", "/x", "/c5", "/c5x", "/")
        for agent in ("curl", "BadBot/1")
    ]
    first = [walker.explain(query, lambda _: None) for query in queries]
    assert first == [walker.explain(query, lambda _: None) for query in queries]
    assert first == [explain(resolution, query, lambda _: None) for query in queries]
    assert len({steps[-1].step for steps in first}) >= 5
