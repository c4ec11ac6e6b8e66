"""What a change touches, and what belongs together."""

import copy
from typing import Any

import pytest
import tomlkit

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.diff import diff
from mcproxy.model.state.state import State
from mcproxy.policy.guard.parts import Part, Subject, Survey, survey

ADDR = "127.0.0.1:1"


def site() -> dict[str, Any]:
    """Return a file of a listener without TLS, with routes, cases, filters and upstreams."""
    return {
        "upstreams": {"web": {"endpoints": ["10.0.0.1:80"]}, "auth": {"endpoints": ["10.0.0.2:80"]}},
        "filters": {
            "login": {"forward_auth": {"backend": "auth"}},
            "plain": {"max_body": "1MiB"},
            "all": {"max_body": "2MiB"},
        },
        "listeners": [
            {
                "addr": ADDR,
                "protocol": "http",
                "routes": [
                    {"hostname": "a.test", "backend": "web"},
                    {"hostname": "b.test", "backend": "10.0.0.9:80", "use": ["login"]},
                    {
                        "hostname": "c.test",
                        "backend": "10.0.0.9:80",
                        "cases": [{"match": "/api/*", "backend": "web"}, {"match": "/x", "use": ["plain"]}],
                    },
                    {"hostname": "d.test", "backend": "10.0.0.9:80"},
                    {"hostname": "*.test", "backend": "10.0.0.9:80"},
                ],
            },
            {"addr": "127.0.0.1:2", "protocol": "http", "use": ["all"], "routes": [{"hostname": "*", "redirect": "/"}]},
        ],
    }


def state(table: dict[str, Any]) -> State:
    return resolve([Source("/t/mc-proxy.toml", tomlkit.dumps(table))]).state


def found(table: dict[str, Any]) -> Survey:
    """Return what a changed file touches."""
    before, after = state(site()), state(table)
    return survey(before, after, diff(before, after))


def judged(part: Part) -> list[str]:
    return [f"{one.hostname or one.listener} {one.what}".removesuffix(" route") for one in part.subjects]


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the file with another value at a path of keys and numbers; None takes the key away."""
    table: dict[str, Any] = copy.deepcopy(site())
    *way, last = (int(step) if step.isdigit() else step for step in path.split("/"))
    place: Any = table
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return table


@pytest.mark.parametrize(
    ("path", "value", "touched"),
    [
        pytest.param("listeners/0/routes/3/idle_timeout", "9s", [["d.test"]], id="route"),
        pytest.param("upstreams/web/balance", "least_conn", [["a.test", "c.test"]], id="upstream"),
        pytest.param("upstreams/web/endpoints/0", "10.0.0.7:80", [["a.test", "c.test"]], id="endpoint"),
        pytest.param("upstreams/auth/balance", "least_conn", [["b.test"]], id="upstream-of-forward_auth"),
        pytest.param("filters/login/max_body", "9KiB", [["b.test"]], id="filter"),
        pytest.param("filters/plain/max_body", "9KiB", [["c.test"]], id="filter-of-a-case"),
        pytest.param("filters/all/max_body", "9KiB", [["*"]], id="filter-of-a-listener"),
        pytest.param("listeners/0/routes/2/cases/0/backend", "10.0.0.8:80", [["c.test"]], id="case"),
        pytest.param("listeners/0/routes/2/cases/0", None, [["c.test"]], id="removed-case"),
        pytest.param(
            "listeners/0/max_connections",
            9,
            [["127.0.0.1:1 listener", "*.test", "a.test", "b.test", "c.test", "d.test"]],
            id="listener",
        ),
        pytest.param("listeners/0/routes/3", None, [["127.0.0.1:1 names", "*.test"]], id="removed-route"),
        pytest.param(
            "firewall", {"blocked_cidrs": ["10.0.0.0/8"]}, [["127.0.0.1:1 firewall", "127.0.0.1:2 firewall"]], id="rule"
        ),
        pytest.param("proxy", {"workers": 3}, [], id="setting"),
        pytest.param("upstreams/more", {"endpoints": ["10.0.0.1:80"]}, [], id="unused-upstream"),
        pytest.param(
            "listeners/2",
            {"addr": "127.0.0.1:3", "routes": [{"hostname": "*", "backend": "h:1"}]},
            [],
            id="new-listener",
        ),
        pytest.param("listeners/0/addr", "127.0.0.1:4", [], id="another-address"),
        pytest.param("listeners/1", None, [], id="removed-listener"),
    ],
)
def test_a_change_touches_the_routes_that_use_it(path: str, value: object, touched: list[list[str]]) -> None:
    """And those of its listener that it refuses; settings, and listeners that come or go, are not watched."""
    assert [judged(part) for part in found(changed(path, value)).parts] == touched


def test_what_is_not_watched_is_told() -> None:
    """With why."""
    table = changed("proxy", {"workers": 3})
    table["listeners"][1]["addr"] = "127.0.0.1:4"
    assert found(table).left == (
        "listener 127.0.0.1:2 is there no more",
        "setting proxy.workers: settings are not watched",
        "listener 127.0.0.1:4 is new, so nothing else would serve there",
    )


def test_changes_that_touch_a_route_in_common_belong_together() -> None:
    """A route and the upstream that it is led to; another route stands for itself."""
    table = changed("upstreams/new", {"endpoints": ["10.0.0.5:80", "10.0.0.6:80"]})
    routes = table["listeners"][0]["routes"]
    routes[0]["backend"] = "new"
    routes[1]["idle_timeout"] = "7s"
    parts = found(table).parts
    assert [judged(part) for part in parts] == [["a.test"], ["b.test"]]
    assert [change.kind for change in parts[0].changes] == ["upstream", "endpoint", "endpoint", "route"]
    assert [part.upstreams for part in parts] == [("new",), ()]


def test_files_that_hold_something_else_touch_who_names_them() -> None:
    """A page, by the route of its case; the country database touches whoever connects."""
    table = site()
    table["filters"]["login"]["error_pages"] = {"502": "/t/502.html"}
    table["firewall"] = {"geoip_db": "/t/geo.mmdb"}
    live = state(table)
    parts = survey(live, live, (), ["/t/502.html", "/t/geo.mmdb", "/t/other"]).parts
    assert [(judged(part), part.files, part.changes) for part in parts] == [
        (["b.test"], ("/t/502.html",), ()),
        (["127.0.0.1:1 firewall", "127.0.0.1:2 firewall"], ("/t/geo.mmdb",), ()),
    ]


def test_parts_meet_where_they_change_or_judge_the_same() -> None:
    """Another part of the same route, and none of another one."""
    one, other = Subject(ADDR, "a.test"), Subject(ADDR, "b.test")
    assert Part((), (one,)).touches(Part((), (one, other)))
    assert not Part((), (one,)).touches(Part((), (other,)))


def test_a_file_of_a_listener_touches_its_routes() -> None:
    """A CA of clients."""
    table = site()
    keys = {"mode": "l7", "tls_cert": "/t/x.crt", "tls_key": "/t/x.key", "respond": "well"}
    routes = [{"hostname": name, **keys} for name in ("x.test", "y.test")]
    tls = {"client_ca": "/t/ca.pem", "client_auth": "require"}
    table["listeners"].append({"addr": "127.0.0.1:7", "tls": tls, "routes": routes})
    live = state(table)
    assert [judged(part) for part in survey(live, live, (), ["/t/ca.pem"]).parts] == [["x.test", "y.test"]]
    assert [judged(part) for part in survey(live, live, (), ["/t/x.crt"]).parts] == [["x.test", "y.test"]]
