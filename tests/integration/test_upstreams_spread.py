"""Three nginx behind an l4 and an l7 route: how connections and requests are spread, and what happens when one is gone."""

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import tomlkit

from tests.support.certificates import Certificates
from tests.support.curl import curl
from tests.support.l7 import l7_route
from tests.support.lifecycle import apply
from tests.support.load import until
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.require import require
from tests.support.settings import Table, listener
from tests.support.three_nginx import NAMES, SITE, ThreeNginx, who_answers

WEIGHTS = (1, 2, 3)


class Site(NamedTuple):
    """The servers, the proxy in front of them, and its config without upstreams."""

    nginx: ThreeNginx
    proxy: Proxy
    certs: Certificates

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.proxy.port()

    def text(self, weights: tuple[int, ...] = WEIGHTS, **keys: object) -> str:
        """Return the config with an upstream "web" for an l4 route and two l7 routes."""
        endpoints = [
            {"address": address, "weight": weight}
            for address, weight in zip(self.nginx.addresses(), weights, strict=False)
        ]
        tls = {"ca": str(self.certs.ca), "server_name": SITE}
        tables: Table = {
            "proxy": {"workers": 2, "shutdown_timeout": "2s"},
            "upstreams": {
                "web": {"endpoints": endpoints, "tls": tls, **keys},
                "shop": {"endpoints": endpoints, "tls": tls, "sticky_cookie": "at", **keys},
            },
            "listeners": [
                listener(
                    "127.0.0.1:PORT",
                    [
                        {"hostname": "l4.test", "backend": "web"},
                        l7_route(self.certs, "web", "l7.test"),
                        l7_route(self.certs, "web", "other.test"),
                        l7_route(self.certs, "shop", "shop.test"),
                    ],
                )
            ],
        }
        return tomlkit.dumps(tables)

    def requests(self) -> dict[str, int]:
        """Return how many requests each nginx has answered so far."""
        return {name: len(self.nginx.requests(name)) for name in NAMES}


@pytest.fixture(scope="module")
def site(certs: Certificates) -> Iterator[Site]:
    """Start everything once for all tests here."""
    with tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Processes(folder) as processes:
            nginx = ThreeNginx(processes, folder, certs)
            started = Site(nginx, Proxy(processes, folder, ""), certs)
            proxy = Proxy(processes, folder, started.text())
            with contextlib.closing(proxy):
                proxy.start()
                yield Site(nginx, proxy, certs)


def load(site: Site, count: int, *args: str, version: str = "h2", hostname: str = "l7.test") -> dict[str, int]:
    """Send requests by h2load on ten connections; return how many had which status ("2xx"), and how many none."""
    result = subprocess.run(
        [
            *(require("h2load", "nghttp2-client"), "-n", str(count), "-c", "10", "-m", "10", f"--npn-list={version}"),
            *(f"--connect-to=127.0.0.1:{site.proxy.port()}", *args, f"https://{hostname}:{site.proxy.port()}/"),
        ],
        capture_output=True,
        timeout=120,
        check=False,
        text=True,
    )
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", result.stdout)
    failed = re.search(r"(\d+) failed, (\d+) errored", result.stdout)
    assert codes, result.stdout + result.stderr
    assert failed, result.stdout
    named = dict(zip(("2xx", "3xx", "4xx", "5xx"), map(int, codes.groups()), strict=True))
    return {kind: number for kind, number in {**named, "none": int(failed[2])}.items() if number}


def warm(site: Site) -> tuple[dict[str, int], dict[str, int]]:
    """Have both workers make connections to all servers; return the requests of each so far, and its newest connection."""
    load(site, 640, "-c", "32")
    newest = {name: site.nginx.newest(name) for name in NAMES}
    return site.requests(), newest


def used_since(site: Site, name: str, before: dict[str, int]) -> set[int]:
    """Return the connections on which a server has got requests since there were so many."""
    return {int(connection) for _, connection in site.nginx.requests(name)[before[name] :]}


def used_again(site: Site, name: str) -> bool:
    """Tell whether a server gets its whole share of the requests from both workers."""
    before = site.requests()
    load(site, 180, "-c", "32")
    weight = WEIGHTS[NAMES.index(name)]
    until(lambda: sum(site.requests().values()) == sum(before.values()) + 180, "all are in the servers' logs")
    return site.requests()[name] - before[name] >= 180 * weight / 6 - 4


counts = pytest.mark.parametrize("count", [600, pytest.param(3000, marks=pytest.mark.soak)])


@counts
def test_connections_are_spread_by_weight(site: Site, count: int) -> None:
    """Those of an l4 route over two workers: each endpoint gets its share within 3 % of it."""
    found = who_answers(site.address, count)
    assert found[""] == 0
    for name, weight in zip(NAMES, WEIGHTS, strict=True):
        assert found[name] == pytest.approx(count * weight / 6, rel=0.03), found


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_curl_connections_are_spread_by_weight(site: Site) -> None:
    """3,000 processes, a few at once: who sends each of its requests on a connection of its own is spread alike."""
    known = site.requests()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: curl("l7.test", site.address, site.certs.ca).status, range(3000)))
    assert set(answers) == {0}
    for name, weight in zip(NAMES, WEIGHTS, strict=True):
        assert site.requests()[name] - known[name] == pytest.approx(3000 * weight / 6, rel=0.03)


@counts
@pytest.mark.parametrize("version", ["h2", "http/1.1"])
def test_requests_are_spread_by_weight(site: Site, version: str, count: int) -> None:
    """Those of an l7 route likewise."""
    before = site.requests()
    assert load(site, count, version=version) == {"2xx": count}
    until(
        lambda: sum(site.requests().values()) == sum(before.values()) + count, "all requests are in the servers' logs"
    )
    found = {name: now - before[name] for name, now in site.requests().items()}
    for name, weight in zip(NAMES, WEIGHTS, strict=True):
        assert found[name] == pytest.approx(count * weight / 6, rel=0.03), found


def test_routes_of_one_upstream_share_connections(site: Site) -> None:
    """Those that one route's requests have left are used for the other's."""
    before, newest = warm(site)
    assert load(site, 60, "-c", "1", "-m", "1", hostname="other.test") == {"2xx": 60}
    for name in NAMES:
        assert 0 < max(used_since(site, name, before)) < newest[name]


@counts
def test_a_server_that_is_gone_costs_no_connection_and_no_request(site: Site, tmp_path: Path, count: int) -> None:
    """Connections and requests, GET and POST over both versions; when it is back it is used again."""
    body = tmp_path / "body"
    body.write_bytes(b"x" * 1000)
    site.nginx.kill("second")
    try:
        found = who_answers(site.address, count)
        assert found[""] == 0
        assert found["second"] == 0
        quarter = count // 4
        for version in ("h2", "http/1.1"):
            assert load(site, quarter, version=version) == {"2xx": quarter}
            assert load(site, quarter, "-d", str(body), version=version) == {"2xx": quarter}
    finally:
        site.nginx.start("second")
    until(partial(used_again, site, "second"), "both workers use the server that is back", timeout=90)


def test_a_changed_weight_counts_at_once_and_touches_nothing(site: Site) -> None:
    """Connections to endpoints that stay are kept over the reload."""
    before, newest = warm(site)
    apply(site.proxy, site.text(weights=(4, 1, 1)))
    try:
        assert load(site, 60, "-c", "1", "-m", "1") == {"2xx": 60}
        for name in NAMES:
            assert 0 < max(used_since(site, name, before)) < newest[name]
        before = site.requests()
        assert load(site, 600) == {"2xx": 600}
        until(lambda: sum(site.requests().values()) == sum(before.values()) + 600, "all are in the servers' logs")
        found = {name: now - before[name] for name, now in site.requests().items()}
        for name, weight in zip(NAMES, (4, 1, 1), strict=True):
            assert found[name] == pytest.approx(600 * weight / 6, rel=0.1), found
    finally:
        apply(site.proxy, site.text())


@pytest.mark.parametrize("version", ["--http2", "--http1.1"])
def test_a_cookie_keeps_a_client_at_its_server_until_that_is_gone(site: Site, tmp_path: Path, version: str) -> None:
    """A jar of curl: over connections and a reload; the first request after the server's end is answered by another one."""
    jar = tmp_path / "jar"

    def get() -> str:
        answer = curl("shop.test", site.address, site.certs.ca, version, "-b", str(jar), "-c", str(jar))
        assert answer.status == 0, answer.messages
        return answer.body.decode()

    home = get()
    cookie = re.search(r"^#HttpOnly_shop\.test\tFALSE\t/\tTRUE\t0\tat\t([0-9a-f]{16})$", jar.read_text(), re.MULTILINE)
    assert cookie, jar.read_text()
    assert [get() for _ in range(6)] == [home] * 6
    apply(site.proxy, site.text(weights=(3, 3, 3)))
    try:
        assert [get() for _ in range(6)] == [home] * 6
        assert cookie[1] in jar.read_text()
        site.nginx.kill(home)
        try:
            away = get()
            assert away != home
            assert cookie[1] not in jar.read_text()
            assert [get() for _ in range(6)] == [away] * 6
        finally:
            site.nginx.start(home)
        assert [get() for _ in range(6)] == [away] * 6
    finally:
        apply(site.proxy, site.text())
    until(partial(used_again, site, home), "both workers use the server that is back", timeout=90)


def test_an_endpoint_that_is_taken_out_gets_nothing_more(site: Site) -> None:
    """Its connections are closed, and requests that are sent meanwhile all succeed."""
    load(site, 300)
    apply(site.proxy, site.text(weights=(1, 1)))
    try:
        before = site.requests()
        found = who_answers(site.address, 300)
        assert (found[""], found["third"]) == (0, 0)
        assert load(site, 300) == {"2xx": 300}
        assert site.requests()["third"] == before["third"]
    finally:
        apply(site.proxy, site.text())
    assert who_answers(site.address, 60)["third"] > 0
