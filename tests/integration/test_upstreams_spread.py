"""Three nginx behind an l4 and an l7 route: how connections and requests are spread, and what happens when one is gone."""

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import tomlkit

from tests.support.certificates import Certificates
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
            "upstreams": {"web": {"endpoints": endpoints, "tls": tls, **keys}},
            "listeners": [
                listener(
                    "127.0.0.1:PORT",
                    [
                        {"hostname": "l4.test", "backend": "web"},
                        l7_route(self.certs, "web", "l7.test"),
                        l7_route(self.certs, "web", "other.test"),
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


def warm(site: Site) -> tuple[dict[str, int], dict[str, set[str]]]:
    """Have both workers make connections to all servers; return the requests and connections of each so far."""
    load(site, 640, "-c", "32")
    return site.requests(), {name: {connection for _, connection in site.nginx.requests(name)} for name in NAMES}


def test_connections_are_spread_by_weight(site: Site) -> None:
    """3,000 of an l4 route over two workers: each endpoint gets its share within 3 % of it."""
    found = who_answers(site.address, 3000)
    assert found[""] == 0
    for name, weight in zip(NAMES, WEIGHTS, strict=True):
        assert found[name] == pytest.approx(3000 * weight / 6, rel=0.03), found


@pytest.mark.parametrize("version", ["h2", "http/1.1"])
def test_requests_are_spread_by_weight(site: Site, version: str) -> None:
    """3,000 of an l7 route likewise."""
    before = site.requests()
    assert load(site, 3000, version=version) == {"2xx": 3000}
    found = {name: count - before[name] for name, count in site.requests().items()}
    for name, weight in zip(NAMES, WEIGHTS, strict=True):
        assert found[name] == pytest.approx(3000 * weight / 6, rel=0.03), found


def test_routes_of_one_upstream_share_connections(site: Site) -> None:
    """Those that one route's requests have left are used for the other's."""
    before, known = warm(site)
    assert load(site, 60, "-c", "1", "-m", "1", hostname="other.test") == {"2xx": 60}
    for name in NAMES:
        used = {connection for _, connection in site.nginx.requests(name)[before[name] :]}
        assert used, f"{name} got none of the requests"
        assert used <= known[name]


def test_a_server_that_is_gone_costs_no_connection_and_no_request(site: Site, tmp_path: Path) -> None:
    """3,000 connections and 3,000 requests, GET and POST over both versions; when it is back it is used again."""
    body = tmp_path / "body"
    body.write_bytes(b"x" * 1000)
    site.nginx.kill("second")
    try:
        found = who_answers(site.address, 3000)
        assert found[""] == 0
        assert found["second"] == 0
        assert load(site, 1500) == {"2xx": 1500}
        assert load(site, 500, "-d", str(body)) == {"2xx": 500}
        assert load(site, 500, version="http/1.1") == {"2xx": 500}
        assert load(site, 500, "-d", str(body), version="http/1.1") == {"2xx": 500}
    finally:
        site.nginx.start("second")
    until(lambda: who_answers(site.address, 60)["second"] >= 17, "both workers use the server that is back")


def test_a_changed_weight_counts_at_once_and_touches_nothing(site: Site) -> None:
    """Connections to endpoints that stay are kept over the reload."""
    before, known = warm(site)
    apply(site.proxy, site.text(weights=(4, 1, 1)))
    try:
        assert load(site, 60, "-c", "1", "-m", "1") == {"2xx": 60}
        for name in NAMES:
            used = {connection for _, connection in site.nginx.requests(name)[before[name] :]}
            assert used <= known[name]
        before = site.requests()
        assert load(site, 600) == {"2xx": 600}
        found = {name: count - before[name] for name, count in site.requests().items()}
        for name, weight in zip(NAMES, (4, 1, 1), strict=True):
            assert found[name] == pytest.approx(600 * weight / 6, rel=0.1), found
    finally:
        apply(site.proxy, site.text())


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
