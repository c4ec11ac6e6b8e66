"""Which step and line has refused a connection or request, by what a worker has kept of it."""

import pytest

from mcproxy.control.files import config_file
from mcproxy.model.values.reasons import REASONS
from mcproxy.policy.explain.refused import PLACES, Refused, why
from mcproxy.policy.explain.walk import Walker
from mcproxy.worker.requests.refusals import UNTOLD

TEXT = """\
[proxy]
idle_timeout = "40s"
[limits]
header_bytes = 8192
[firewall]
rate_limit = 100
[filters.office]
allow_cidrs = ["10.0.0.0/8"]
rate_limit = "5/1m"
[filters.agents]
block_user_agents = ["BadBot"]
max_body = "32KiB"

[upstreams.web]
endpoints = ["10.0.0.3:80"]

[[listeners]]
addr = ":80"
protocol = "http"
real_ip = { from = ["192.0.2.0/24"], header = "X-Forwarded-For" }

[[listeners.routes]]
hostname = "a.test"
backend = "10.0.0.1:80"
idle_timeout = "5s"
use = ["agents"]
[[listeners.routes.l7_policies]]
type = "require_header"
value = "X-Key"
[[listeners.routes.l7_policies]]
type = "require_header"
value = "X-Env: prod"
[[listeners.routes.cases]]
match = "/admin/* ?v=2 X-Beta=*"
use = ["office"]
backend = "web"

[[listeners.routes]]
hostname = "b.test"
backend = "10.0.0.2:80"
filter = { max_body = "1MiB" }

[[listeners]]
addr = ":443"
max_connections = 3
proxy_protocol = true
trusted_proxies = ["192.0.2.0/24"]
[[listeners.routes]]
hostname = "l4.test"
backend = "10.0.0.5:443"
"""


@pytest.fixture(scope="module")
def walker(tmp_path_factory: pytest.TempPathFactory) -> Walker:
    path = tmp_path_factory.mktemp("refused") / "mc-proxy.toml"
    path.write_text(TEXT, encoding="utf-8")
    return Walker(config_file.load(path, syntax_only=True).resolution)


def line(walker: Walker, **known: object) -> tuple[str, str, list[str], str]:
    """Return step, text of the line, the names of the steps before, and the words of a refusal."""
    fields = {"listener": ":80", "client": "203.0.113.9", "route": "a.test", "method": "GET", "authority": "a.test"}
    refused = Refused(**{**fields, "path": "/", **known})  # type: ignore[arg-type]
    step, passed = why(refused, walker, lambda _: None)
    text = "" if step.origin is None else TEXT.splitlines()[step.origin.line - 1]
    assert step.outcome == "refused"
    return step.step, text, [each.step for each in passed], step.detail


def test_every_reason_has_a_place() -> None:
    """But those of connections and requests that were served."""
    assert set(PLACES) == {word for word in REASONS if word not in UNTOLD}


ROUTED = ["listener", "rate_limit", "route", "authority"]
CASE = {"case": "/admin/* ?v=2 X-Beta=*", "path": "/admin/x"}


@pytest.mark.parametrize(
    ("known", "step", "text", "passed"),
    [
        (
            {"reason": "filter_network", "filter": "office", "status": 403, **CASE},
            "allow",
            'allow_cidrs = ["10.0.0.0/8"]',
            [*ROUTED, "real_ip", "case"],
        ),
        (
            {"reason": "filter_rate", "filter": "office", "status": 429, "client": "10.1.2.3", **CASE},
            "rate",
            'rate_limit = "5/1m"',
            [*ROUTED, "real_ip", "case", "allow"],
        ),
        (
            {"reason": "body_too_large", "filter": "agents", "status": 413},
            "body",
            'max_body = "32KiB"',
            [*ROUTED, "real_ip", "case", "allow"],
        ),
        (
            {"reason": "body_too_large", "filter": "(route)", "status": 413, "route": "b.test", "authority": "b.test"},
            "body",
            'filter = { max_body = "1MiB" }',
            [*ROUTED, "real_ip"],
        ),
        ({"reason": "block_user_agent", "filter": "agents"}, "allow", 'block_user_agents = ["BadBot"]', None),
        ({"reason": "require_header", "detail": "X-Env: prod"}, "policy", "[[listeners.routes.l7_policies]]", None),
        ({"reason": "header_bytes", "status": 431, "route": ""}, "limits", "header_bytes = 8192", None),
        ({"reason": "response_timeout", "status": 504}, "time_limit", 'idle_timeout = "5s"', None),
        ({"reason": "response_timeout", "route": "b.test"}, "time_limit", 'idle_timeout = "40s"', None),
        ({"reason": "backend_refused", "status": 502}, "backend", 'backend = "10.0.0.1:80"', None),
        ({"reason": "backend_refused", "status": 502, **CASE}, "backend", "[upstreams.web]", None),
        (
            {"reason": "no_route", "route": "", "authority": "c.test"},
            "route",
            "[[listeners]]",
            ["listener", "rate_limit"],
        ),
        ({"reason": "bad_chunk", "status": 400}, "request", "", None),
        ({"reason": "rate_limit", "method": "", "path": ""}, "rate_limit", "rate_limit = 100", ["listener"]),
    ],
)
def test_requests(walker: Walker, known: dict[str, object], step: str, text: str, passed: list[str] | None) -> None:
    """The step, its line, and what came before it as far as that can be known."""
    found = line(walker, **known)
    assert found[:2] == (step, text)
    if passed is not None:
        assert found[2] == passed


@pytest.mark.parametrize(
    ("reason", "step", "text", "words"),
    [
        ("limit", "limit", "max_connections = 3", "reset: The listener's `max_connections` were open; unless 3 "),
        (
            "untrusted_proxy",
            "proxy_header",
            'trusted_proxies = ["192.0.2.0/24"]',
            "203.0.113.9 is in none of trusted_proxies",
        ),
        ("no_route", "route", "[[listeners]]", "no route matches"),
        ("backend_no_answer", "backend", 'backend = "10.0.0.5:443"', "reset: The backend (l4) took the connection"),
        ("hello_timeout", "hello", "", "(proxy.client_hello_timeout = 5s)"),
        ("drained", "end", "", "(proxy.shutdown_timeout = "),
    ],
)
def test_connections(walker: Walker, reason: str, step: str, text: str, words: str) -> None:
    """Numbers are told that a connection was measured by; without a line where that is the default."""
    sni = "none.test" if reason == "no_route" else "l4.test"
    route = "l4.test" if reason in ("backend_no_answer", "drained") else ""
    found = line(walker, reason=reason, listener=":443", route=route, sni=sni, method="", authority="", path="")
    assert found[:2] == (step, text)
    assert words in found[3]


@pytest.mark.parametrize("value", ["X-Key", "X-Env: prod"])
def test_which_of_several_policies(walker: Walker, value: str) -> None:
    """That of the value that was not met."""
    refused = Refused(listener=":80", client="::1", route="a.test", reason="require_header", detail=value, status=403)
    origin = why(refused, walker, lambda _: None)[0].origin
    assert origin is not None
    assert TEXT.splitlines()[origin.line + 1] == f'value = "{value}"'


def test_a_client_that_another_proxy_names(walker: Walker) -> None:
    """The walk goes by what that has said."""
    refused = Refused(
        listener=":80",
        reason="filter_network",
        client="203.0.113.9",
        peer="192.0.2.1",
        route="a.test",
        authority="a.test",
        method="GET",
        filter="office",
        status=403,
        **CASE,
    )
    step, passed = why(refused, walker, lambda _: None)
    assert step.detail == "answered with 403: 203.0.113.9 is in none of allow_cidrs (office)"
    assert any("X-Forwarded-For says that the client is 203.0.113.9" in each.detail for each in passed)
