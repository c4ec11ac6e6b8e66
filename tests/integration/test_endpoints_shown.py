"""How endpoints are, as every place shows it that an operator looks at: lists, explain, status and top."""

import json
import re
from collections.abc import Iterator

import pytest

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client import Client
from tests.support.admin import client
from tests.support.ctl import Result, run_ctl
from tests.support.fleet import Fleet
from tests.support.load import Load, until
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"
CHECK = 'check = { type = "tcp", interval = "100ms", timeout = "20s", fall = 1, rise = 1 }'


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    with Load() as load:
        yield load


@pytest.fixture(scope="module")
def ports(load: Load) -> tuple[int, int, int]:
    """Return the ports of a backend that is there, and of two that are not."""
    return load.backend("one"), free_port(), free_port()


@pytest.fixture(scope="module")
def edge(fleet: Fleet, ports: tuple[int, int, int]) -> Iterator[Proxy]:
    here, gone, lost = ports
    upstreams = (
        f'[upstreams.web]\nendpoints = ["{HOST}:{here}", "{HOST}:{gone}"]\n{CHECK}\n'
        f'[upstreams.db]\nendpoints = ["{HOST}:{gone}", "{HOST}:{lost}"]\n{CHECK}\n'
    )
    own = f'[[listeners.routes]]\nhostname = "own.test"\nbackend = ["{HOST}:{here}", "{HOST}:{gone}"]\n'
    routes = (route("web.test", "web"), route("db.test", "db"), own)
    with fleet.serve(upstreams + config(listener("PORT", *routes), workers=1)) as proxy, client(proxy) as admin:

        def checked() -> bool:
            found = admin.list_endpoints().endpoints
            return all(one.verdict in ("up", "down") for one in found if one.upstream in ("web", "db"))

        until(checked, "all endpoints were checked")
        yield proxy


@pytest.fixture
def admin(edge: Proxy) -> Iterator[Client]:
    with client(edge) as admin:
        yield admin


def ctl(edge: Proxy, *words: str) -> Result:
    return run_ctl("--addr", f"unix:{edge.folder / 'mc-proxy.sock'}", *words)


def detail(admin: Client, name: str) -> pb.Step:
    """Return the last step of a connection."""
    return admin.explain(sni=name).steps[-1]


def test_a_list_tells_verdict_time_and_error(edge: Proxy, admin: Client, ports: tuple[int, int, int]) -> None:
    """Of checks that are still going on; the load and the failures of traffic beside them."""
    here, gone, _ = ports
    found = {one.address: one for one in admin.list_endpoints("web").endpoints}
    up, down = found[f"{HOST}:{here}"], found[f"{HOST}:{gone}"]
    assert (up.verdict, up.usable, up.last_error, up.overdue, up.share) == ("up", True, "", False, 1.0)
    assert (down.verdict, down.usable, down.share) == ("down", False, 1.0)
    assert "connection refused" in down.last_error
    assert 0 < down.since.seconds <= down.last_check.seconds
    assert down.provenance.origin.endswith("mc-proxy.toml:2")
    before = down.last_check.ToNanoseconds()

    def again() -> bool:
        (one,) = (one for one in admin.list_endpoints("web").endpoints if one.address == down.address)
        return one.last_check.ToNanoseconds() > before

    until(again, "it is checked again")
    printed = ctl(edge, "endpoints", "list", "web").stdout
    assert re.search(rf"web +{HOST}:{gone} +down .* ago; .*connection refused", printed)


def test_what_was_counted_is_told(edge: Proxy, admin: Client, load: Load, ports: tuple[int, int, int]) -> None:
    """Connections that were sent there, and their bytes when they have ended."""

    def counted() -> pb.Endpoint:
        return admin.list_endpoints("web").endpoints[0]

    before = counted()
    results = [load.once((HOST, edge.port()), "web.test") for _ in range(3)]
    assert [one.backend for one in results] == ["one"] * 3
    until(lambda: counted().connections - before.connections == 3, "workers have written their counts")
    until(lambda: counted().active == 0, "the connections have ended")
    after = counted()
    assert after.connections - before.connections == 3
    assert after.bytes_received - before.bytes_received >= sum(one.sent for one in results)
    assert after.bytes_sent - before.bytes_sent >= sum(one.received for one in results)


def test_explain_tells_which_endpoints_there_are_to_choose_from(admin: Client, ports: tuple[int, int, int]) -> None:
    """And what keeps the others out; in panic all, with what is known of each."""
    here, gone, lost = ports
    web, db = detail(admin, "web.test"), detail(admin, "db.test")
    assert re.search(
        rf"upstream web: round_robin over 1 of 2: {HOST}:{here}; {HOST}:{gone} down since \d\d:\d\dZ \(.*connection refused\)$",
        web.detail,
    )
    assert web.outcome == "ok"
    assert web.decided_by.endswith("mc-proxy.toml:1")
    assert f"panic, none of db is usable: round_robin over 2 of 2: {HOST}:{gone}, {HOST}:{lost}; " in db.detail
    assert f"2 addresses: round_robin over 2 of 2: {HOST}:{here}, {HOST}:{gone}" in detail(admin, "own.test").detail


def test_status_and_top_name_upstreams_that_are_not_well(edge: Proxy) -> None:
    """The worst in front, those of a route alone among them if they are."""
    status = [" ".join(line.split()) for line in ctl(edge, "status").stdout.splitlines()]
    assert "PANIC upstream db: panic, 0 of 2 endpoints usable" in status
    assert "DEGRADED upstream web: degraded, 1 of 2 endpoints usable" in status
    top = ctl(edge, "top", "--once", "--interval", "10ms").stdout.splitlines()
    assert top[1:3] == [
        "PANIC: upstream db: panic, 0 of 2 endpoints usable",
        "DEGRADED: upstream web: degraded, 1 of 2 endpoints usable",
    ]
    told = json.loads(ctl(edge, "upstreams", "--json").stdout)["upstreams"]
    found = {one["name"]: (one["condition"], one["own"], one["routes"], one["check"]) for one in told}
    assert found == {
        "web": ("degraded", False, 1, "tcp every 100ms"),
        "db": ("panic", False, 1, "tcp every 100ms"),
        f"{HOST}:{edge.port()} own.test": ("ok", True, 1, ""),
    }


def test_a_probe_dials_every_endpoint(edge: Proxy, admin: Client, ports: tuple[int, int, int]) -> None:
    """Those that are known to be down, too."""
    here, gone, _ = ports

    def probed(name: str) -> list[tuple[str, str]]:
        steps = admin.explain(sni=name, probe=True).steps
        return [(step.outcome, step.detail) for step in steps if step.step == "probe"]

    assert [outcome for outcome, _ in probed("db.test")] == ["failed", "failed"]
    for name in ("web.test", "own.test"):
        (_, first), (second, words) = probed(name)
        assert first.startswith(f"{HOST}:{here}: connected in ")
        assert (second, words) == ("failed", f"backend_refused: {HOST}:{gone}: connection refused")
