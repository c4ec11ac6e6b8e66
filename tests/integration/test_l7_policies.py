"""Policies judge what the backend will see, in both versions, and explain says the same."""

from collections.abc import Iterator

import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.policy.explain.query import Query
from mcproxy.policy.explain.walk import explain
from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.http_clients import client
from tests.support.l7 import l7_config, l7_route
from tests.support.proxy import Proxy

NAME = "l7.test"
LAST_STEP = {403: "policy", 421: "authority", 502: "backend"}
POLICIES = [
    {"type": "block_user_agent", "value": "BadBot"},
    {"type": "require_header", "value": "X-Env: prod"},
]
ENV = ("x-env", "prod")
REQUESTS: dict[str, tuple[list[tuple[str, str]], int]] = {
    "met": ([ENV, ("user-agent", "curl")], 502),  # the backend does not answer, but was asked
    "missing": ([], 403),
    "named in Connection": ([ENV, ("connection", "X-Env")], 403),
    "another value under another spelling": ([ENV, ("x_env", "test")], 403),
    "another value on another line": ([ENV, ("x-env", "test")], 403),
    "another spelling alone": ([("x.env", "prod")], 403),
    "agent": ([ENV, ("user-agent", "a BadBot/1")], 403),
    "agent under another spelling": ([ENV, ("user_agent", "BadBot")], 403),
    "agent on the second line": ([ENV, ("user-agent", "curl"), ("user-agent", "badbot")], 403),
    "host with two dots": ([ENV, ("host", f"{NAME}..")], 421),
    "host with one dot": ([ENV, ("host", f"{NAME}.")], 502),
}


@pytest.fixture(scope="module")
def proxy(fleet: Fleet, certs: Certificates) -> Iterator[Proxy]:
    route = l7_route(certs, "127.0.0.1:1", NAME, backend_protocol="http/1.1", l7_policies=POLICIES)
    with fleet.serve(l7_config(route)) as proxy:
        yield proxy


@pytest.mark.parametrize("case", REQUESTS)
def test_http1(proxy: Proxy, case: str) -> None:
    """Over HTTP/1.1."""
    headers, status = REQUESTS[case]
    with client("http/1.1", ("127.0.0.1", proxy.port()), NAME) as peer:
        assert peer.request("GET", "/", headers).status == status


@pytest.mark.parametrize("case", [case for case in REQUESTS if "Connection" not in case and "host" not in case])
def test_http2(proxy: Proxy, case: str) -> None:
    """Over HTTP/2, which has no Connection."""
    headers, status = REQUESTS[case]
    with client("h2", ("127.0.0.1", proxy.port()), NAME) as peer:
        assert peer.request("GET", "/", headers).status == status


@pytest.mark.parametrize("case", REQUESTS)
def test_explain_agrees(proxy: Proxy, case: str) -> None:
    """The step that decides is the one that the status tells of."""
    headers, status = REQUESTS[case]
    resolution = resolve([Source(str(proxy.config), proxy.config.read_text())])
    *_, last = explain(resolution, Query(sni=NAME, method="GET", headers=tuple(headers)), lambda _: None)
    assert last.step == LAST_STEP[status]
