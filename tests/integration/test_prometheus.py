"""A real Prometheus, started as docs/observability.md says, scrapes a real proxy and understands all rules and queries."""

import json
import subprocess
from collections.abc import Iterator

import pytest
import tomlkit

from tests.support.certificates import Certificates
from tests.support.endpoint import get
from tests.support.http_clients import H2Client
from tests.support.l4 import RawBackend, serve
from tests.support.l7 import l7_route, start_uvicorn
from tests.support.load import until
from tests.support.processes import Processes
from tests.support.prometheus import ASSETS, Prometheus, documented
from tests.support.proxy import Proxy
from tests.support.require import require
from tests.support.settings import listener, route


@pytest.fixture(scope="module")
def served(certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Prometheus]]:
    """Return a proxy that has had a connection and a request, and the Prometheus that watches it."""
    require("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    with Processes(folder) as processes, RawBackend() as backend:
        routes = [route(backend.port, "l4.test"), l7_route(certs, start_uvicorn(processes), "l7.test")]
        config = tomlkit.dumps(
            {
                "metrics": {"addr": "127.0.0.1:PORT_M"},
                "proxy": {"workers": 1},
                "listeners": [listener("127.0.0.1:PORT", routes, max_connections=50)],
            }
        )
        with serve(config) as proxy:
            address = "127.0.0.1", proxy.port()
            prometheus = Prometheus(processes, folder, proxy.port("M"))
            backend.join(address)
            with H2Client(address, "l7.test") as client:
                assert client.request("GET", "/bytes/10").status == 200
            yield proxy, prometheus


def test_it_is_scraped(served: tuple[Proxy, Prometheus]) -> None:
    """The target is up, without a fault, and its series are there."""
    _, prometheus = served
    until(lambda: prometheus.values('up{job="mcproxy"}') == [1], "the target is up")
    until(
        lambda: prometheus.values('mcproxy_connections_total{route="l4.test",mode="l4"}') == [1],
        "the connection is known",
    )
    until(lambda: prometheus.values('mcproxy_http_requests_total{code="200"}') == [1], "the request is known")
    (target,) = prometheus.ask("targets")["activeTargets"]
    assert target["lastError"] == ""
    known = prometheus.ask("metadata")
    assert known["mcproxy_connections"][0]["type"] == "counter", (
        "it asked for OpenMetrics, where the family has this name"
    )
    assert known["mcproxy_http_request_seconds"][0] == {
        "type": "histogram",
        "help": "Time from a request to the end of its response; of a tunnel (WebSocket) to the response's head. The first 200 "
        'routes that had requests have series of their own; route="_other" stands for the others of a listener.',
        "unit": "seconds",
    }


def test_the_rules_are_evaluated(served: tuple[Proxy, Prometheus]) -> None:
    """None fails, and none fires for a proxy that does well."""
    _, prometheus = served

    def rules() -> list[dict[str, str]]:
        return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]

    until(lambda: prometheus.values('up{job="mcproxy"}') == [1], "the target is up")
    until(lambda: all(rule["health"] == "ok" for rule in rules()), "all rules were evaluated")
    assert len(rules()) >= 10
    assert [rule["name"] for rule in rules() if rule["state"] == "firing"] == []


def test_the_dashboard_is_understood(served: tuple[Proxy, Prometheus]) -> None:
    """Every query is one, and those about state have an answer."""
    _, prometheus = served
    until(lambda: prometheus.values('mcproxy_http_requests_total{code="200"}') == [1], "the request is known")
    dashboard = json.loads((ASSETS / "grafana-dashboard.json").read_text(encoding="utf-8"))
    chosen = {"$job": "mcproxy", "$instance": ".*", "$listener": ".*", "$route": ".*"}
    chosen |= {"$__rate_interval": "1m", "$__range": "6h"}
    answers = {}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for variable, value in chosen.items():
                query = query.replace(variable, value)
            answers[panel["title"], target["refId"]] = prometheus.values(query)
    assert answers["Up", "A"] == [1]
    assert answers["Last reload", "A"] == [1]
    assert answers["Open connections", "A"] == [1]
    (left,) = answers["Next certificate to expire", "A"]
    assert 80 * 86_400 < left < 400 * 86_400
    assert answers["Versions", "A"] == [1]


def test_promtool_finds_nothing_to_blame(served: tuple[Proxy, Prometheus]) -> None:
    """In what a real proxy tells."""
    proxy, _ = served
    command = [require("promtool", "prometheus"), "check", "metrics"]
    text = get(proxy.port("M"), "/metrics").text
    result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_documented_installation_is_one() -> None:
    """Debian's programs would do it; as root, and without starting a service."""
    sudo, quiet, program, *words = documented()[0]
    assert (sudo, quiet, program) == ("sudo", "RUNLEVEL=1", "apt-get")
    ran = subprocess.run(
        [require("apt-get", "apt"), "--simulate", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "prometheus is already the newest version" in ran.stdout or "Inst prometheus " in ran.stdout
