"""Explanations name the step that decides about a connection, and the line that made it."""

import ipaddress

import msgspec
import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.policy.explain.query import Query, Step
from mcproxy.policy.explain.walk import explain

FIREWALL = """\
[firewall]
geoip_db = "countries.mmdb"
blocked_ips = [
  "203.0.113.7",
]
blocked_cidrs = [
  "198.51.100.0/24",
  "198.51.0.0/16",
  "2001:db8:bad::/48",
]
blocked_countries = ["KP"]
rate_limit = 50
rate_window = "10s"
"""
LISTENERS = """\
[[listeners]]
addr = ":8443"
proxy_protocol = true
trusted_proxies = ["10.0.0.0/8", "fd00::/8"]
max_connections = 100
[[listeners.routes]]
hostname = "app.test"
backend = "127.0.0.1:9001"
send_proxy_protocol = true
[[listeners]]
addr = "127.0.0.1:9443"
[[listeners.routes]]
hostname = "*"
backend = "127.0.0.1:9002"
"""
COUNTRIES = {"175.45.176.1": "KP", "81.0.0.1": "SE"}


def country(packed: bytes) -> str | None:
    return COUNTRIES.get(str(ipaddress.ip_address(packed)))


def ask(query: Query, text: str = FIREWALL + LISTENERS) -> list[Step]:
    return list(explain(resolve([Source("/etc/mc.toml", text)]), query, country))


def edge(ip: str | None = None, proxy_ip: str | None = None) -> list[Step]:
    return ask(Query(":8443", "app.test", ip, proxy_ip))


def line(step: Step) -> int:
    return step.origin.line if step.origin else 0


def test_every_stage_of_the_data_plane_is_a_step() -> None:
    """A client that passes: the steps in the order of its life, each with its line."""
    steps = edge("192.0.2.1", "10.1.2.3")
    assert [(step.step, step.outcome, line(step)) for step in steps] == [
        ("listener", "ok", 14),
        ("limit", "ok", 14),
        ("proxy_header", "ok", 14),
        ("firewall", "ok", 0),
        ("rate_limit", "ok", 12),
        ("hello", "ok", 0),
        ("route", "ok", 19),
        ("backend", "ok", 19),
    ]
    texts = [step.detail for step in steps]
    assert texts[1] == "unless 100 connections are open (max_connections)"
    assert texts[2] == "10.1.2.3 says that the client is 192.0.2.1"
    assert texts[3] == "none of 5 rules blocks 192.0.2.1, in no known country"
    assert texts[4] == "192.0.2.1 may connect 50 times in 10s"
    assert texts[7].endswith("which is told the client's address by a PROXY header")


@pytest.mark.parametrize(
    ("ip", "detail", "declared"),
    [
        ("203.0.113.7", "203.0.113.7 is blocked by ip 203.0.113.7", 4),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.7 is blocked by ip 203.0.113.7", 4),
        ("198.51.100.1", "198.51.100.1 is blocked by cidr 198.51.0.0/16", 8),
        ("2001:db8:bad::1", "2001:db8:bad::1 is blocked by cidr 2001:db8:bad::/48", 9),
        ("175.45.176.1", "175.45.176.1 is blocked by country KP", 11),
        ("::ffff:175.45.176.1", "::ffff:175.45.176.1 is blocked by country KP", 11),
    ],
)
def test_the_rule_that_blocks_is_named(ip: str, detail: str, declared: int) -> None:
    """The last step is the firewall's, with the rule's value and its own line."""
    last = edge(ip)[-1]
    assert (last.step, last.outcome, last.detail, line(last)) == ("firewall", "refused", detail, declared)


def test_a_country_that_passes_is_told() -> None:
    """Who wonders why a country rule does not strike sees what the database says."""
    assert [step.detail for step in edge("81.0.0.1") if step.step == "firewall"] == [
        "none of 5 rules blocks 81.0.0.1, country SE"
    ]


@pytest.mark.parametrize(
    ("proxy_ip", "trusted"), [("10.255.0.1", True), ("fd12::1", True), ("::ffff:10.0.0.1", True), ("192.0.2.9", False)]
)
def test_only_trusted_proxies_may_name_the_client(proxy_ip: str, *, trusted: bool) -> None:
    """An untrusted sender ends the walk at the header, before any rule is judged."""
    steps = edge("203.0.113.7", proxy_ip)
    last = steps[-1]
    assert (last.step == "firewall") is trusted
    if not trusted:
        assert (last.step, last.outcome) == ("proxy_header", "refused")
        assert last.detail == "192.0.2.9 is in none of trusted_proxies"


def test_untrusted_clients_may_be_direct() -> None:
    """Who is not a trusted proxy is judged as a client then; proxies and unknown peers as before."""
    text = LISTENERS.replace("trusted_proxies = [", 'untrusted = "direct"\ntrusted_proxies = [', 1)
    steps = ask(Query(":8443", "app.test", proxy_ip="192.0.2.9"), text)
    assert {step.outcome for step in steps} == {"ok"}
    by_name = {step.step: step.detail for step in steps}
    assert by_name["proxy_header"] == "192.0.2.9 is in none of trusted_proxies: a client without a header"
    header = next(s for s in ask(Query(":8443", "app.test", proxy_ip="10.0.0.1"), text) if s.step == "proxy_header")
    assert header.detail == "10.0.0.1 may say who the client is"


def test_without_addresses_nothing_is_judged() -> None:
    """The steps say what will be asked, and refuse nobody."""
    steps = edge()
    assert {step.outcome for step in steps} == {"ok"}
    by_name = {step.step: step.detail for step in steps}
    assert by_name["proxy_header"] == "a PROXY header is expected, it must come from 10.0.0.0/8, fd00::/8"
    assert by_name["firewall"] == "5 rules, not judged without a client address"
    assert by_name["rate_limit"] == "each client may connect 50 times in 10s"


def test_anyone_may_send_a_header_where_nobody_is_named() -> None:
    """Without trusted_proxies every sender is believed."""
    text = LISTENERS.replace('trusted_proxies = ["10.0.0.0/8", "fd00::/8"]\n', "")
    header = next(s for s in ask(Query(":8443", "app.test"), text) if s.step == "proxy_header")
    assert header.detail == "a PROXY header is expected, it may come from anyone"
    steps = ask(Query(":8443", "app.test", proxy_ip="192.0.2.9"), text)
    assert {step.outcome for step in steps} == {"ok"}


def test_ipv6_clients_count_by_their_64() -> None:
    """The rate limit's step shows what is counted as one client."""
    detail = next(step.detail for step in edge("2001:db8:1:2:3:4:5:6") if step.step == "rate_limit")
    assert detail == "2001:db8:1:2::/64 may connect 50 times in 10s"


def test_a_header_that_is_not_expected_is_refused_after_the_firewall() -> None:
    """Without proxy_protocol it is the sender who is judged, and then its header is no ClientHello."""
    steps = ask(Query("127.0.0.1:9443", "x.test", "203.0.113.7", "192.0.2.9"))
    assert [(step.step, step.outcome) for step in steps] == [
        ("listener", "ok"),
        ("firewall", "ok"),
        ("rate_limit", "ok"),
        ("hello", "refused"),
    ]
    assert "192.0.2.9" in steps[1].detail
    assert ask(Query("127.0.0.1:9443", "x.test", None, "203.0.113.7"))[-1].step == "firewall"


def test_who_connects_must_reach_the_listener() -> None:
    """It is the proxy's family that counts where one stands in front, not the client's."""
    assert ask(Query("127.0.0.1:9443", "x.test", "2001:db8::1"))[-1].step == "listener"
    assert edge("192.0.2.1", "fd00::1")[-1].step == "backend"
    text = LISTENERS.replace('":8443"', '"10.0.0.1:8443"')
    assert ask(Query("10.0.0.1:8443", "app.test", "2001:db8::1", "10.0.0.2"), text)[-1].step == "backend"
    assert ask(Query("10.0.0.1:8443", "app.test", "192.0.2.1", "fd00::1"), text)[-1].step == "listener"


def test_what_is_not_configured_is_no_step() -> None:
    """A plain file is explained by listener, hello, route and backend alone."""
    steps = ask(Query("127.0.0.1:9443", "x.test", "192.0.2.1"), LISTENERS)
    assert [step.step for step in steps] == ["listener", "hello", "route", "backend"]


L7 = """\
[[listeners]]
addr = ":8443"
[[listeners.routes]]
hostname = "web.test"
backend = "10.0.0.1:8080"
mode = "l7"
tls_cert = "web.crt"
tls_key = "web.key"
[[listeners.routes.l7_policies]]
type = "require_header"
value = "X-Env: prod"
[[listeners.routes.l7_policies]]
type = "block_user_agent"
value = "BadBot"
[[listeners.routes.l7_policies]]
type = "block_user_agent"
value = "Worse"
[[listeners.routes]]
hostname = "api.test"
backend = "api.internal:443"
mode = "l7"
tls_cert = "api.crt"
tls_key = "api.key"
backend_tls = true
backend_protocol = "h2"
[[listeners.routes]]
hostname = "*.test"
backend = "10.0.0.3:443"
"""
PROD = ("X-Env", "prod")


def request(*headers: tuple[str, str], method: str | None = None, path: str | None = None) -> list[Step]:
    return ask(Query(sni="web.test", headers=headers, method=method, path=path), L7)


def test_a_request_that_passes_shows_every_stage_of_l7() -> None:
    """From the certificate, told with the line of its key, to what the backend is spoken to with."""
    steps = ask(Query(sni="web.test", alpn=("http/1.1", "h2"), headers=(PROD, ("User-Agent", "curl"))), L7)
    assert [(step.step, step.outcome, line(step)) for step in steps[2:]] == [
        ("route", "ok", 3),
        ("tls", "ok", 7),
        ("alpn", "ok", 0),
        ("authority", "ok", 3),
        ("policy", "ok", 0),
        ("backend", "ok", 3),
    ]
    assert [step.detail for step in steps[3:]] == [
        "TLS is terminated with the certificate /etc/web.crt",
        "h2 is offered: HTTP/2",
        "web.test belongs to this route",
        "none of 3 policies blocks the request",
        "10.0.0.1:8080 by HTTP/2 if it answers that, else HTTP/1.1, in cleartext",
    ]


@pytest.mark.parametrize(
    ("alpn", "detail"),
    [
        (None, "HTTP/2 if the client offers h2, else HTTP/1.1"),
        (("http/1.1",), "http/1.1 is offered: HTTP/1.1"),
        (("http/1.1", "h2"), "h2 is offered: HTTP/2"),
        (("acme-tls/1",), "nothing that is known is offered: HTTP/1.1"),
    ],
)
def test_the_protocol_follows_what_the_client_offers(alpn: tuple[str, ...] | None, detail: str) -> None:
    """The proxy likes h2 best, and does without ALPN."""
    steps = ask(Query(sni="web.test", alpn=alpn), L7)
    assert [step.detail for step in steps if step.step == "alpn"] == [detail]


@pytest.mark.parametrize(
    ("agent", "env", "detail", "declared"),
    [
        ("x badbot/1", "prod", 'answered with 403: block_user_agent "BadBot"', 12),
        ("WORSE", "prod", 'answered with 403: block_user_agent "Worse"', 15),
        ("curl", "test", 'answered with 403: require_header "X-Env: prod"', 9),
    ],
)
def test_the_policy_that_blocks_is_named(agent: str, env: str, detail: str, declared: int) -> None:
    """Of several of one type it is the one that strikes, with its own line, and nothing comes after it."""
    last = request(("X-Env", env), ("User-Agent", agent))[-1]
    assert (last.step, last.outcome, last.detail, line(last)) == ("policy", "refused", detail, declared)


@pytest.mark.parametrize(
    ("host", "outcome", "detail", "declared"),
    [
        ("web.test:8443", "ok", "web.test:8443 belongs to this route", 3),
        ("WEB.test.", "ok", "WEB.test. belongs to this route", 3),
        ("api.test", "refused", "answered with 421: api.test belongs to the route api.test", 18),
        ("x.test", "refused", "answered with 421: x.test belongs to the route *.test", 26),
        ("elsewhere", "refused", "answered with 421: no route serves elsewhere", 1),
        ("web.test..", "refused", "answered with 421: no route serves web.test..", 1),
        ("a b", "refused", "answered with 400: bad_authority: :authority is not a host and port", 0),
    ],
)
def test_another_routes_authority_is_misdirected(host: str, outcome: str, detail: str, declared: int) -> None:
    """The route whose authority it is is told with its line."""
    step = next(step for step in request(PROD, ("Host", host)) if step.step == "authority")
    assert (step.outcome, step.detail, line(step)) == (outcome, detail, declared)


def test_policies_are_judged_on_what_the_backend_will_see() -> None:
    """As the workers do: without what Connection names, with every spelling, and with what the proxy itself says."""
    hidden = request(PROD, ("Connection", "X-Env"))[-1]
    assert hidden.detail == 'answered with 403: require_header "X-Env: prod"'
    assert request(PROD, ("X_Env", "test"))[-1].detail == 'answered with 403: require_header "X-Env: prod"'
    assert request(PROD, ("User_Agent", "badbot"))[-1].detail == 'answered with 403: block_user_agent "BadBot"'
    assert request(PROD)[-1].step == "backend"
    about = L7.replace('value = "X-Env: prod"', 'value = "X-Real-IP: 192.0.2.1"')
    query = Query(sni="web.test", method="GET")
    assert [step.detail for step in ask(query, about) if step.step == "policy"] == [
        "1 policy, not judged without a client address",
        "none of 2 policies blocks the request",
    ]
    assert ask(msgspec.structs.replace(query, ip="192.0.2.1"), about)[-1].step == "backend"
    assert ask(msgspec.structs.replace(query, ip="192.0.2.2"), about)[-1].detail == (
        'answered with 403: require_header "X-Real-IP: 192.0.2.1"'
    )


def test_a_websocket_has_its_upgrade() -> None:
    """A policy may ask for it."""
    asked = L7.replace('value = "X-Env: prod"', 'value = "Upgrade: websocket"')
    upgrade = (("Connection", "Upgrade"), ("Upgrade", "websocket"))
    assert ask(Query(sni="web.test", headers=upgrade), asked)[-1].step == "backend"
    assert ask(Query(sni="web.test", headers=upgrade[1:]), asked)[-1].step == "policy"


@pytest.mark.parametrize("name", ["web.test..", "web..test", ".web.test", "."])
def test_a_name_with_an_empty_label_is_no_server_name(name: str) -> None:
    """Workers take such a ClientHello for malformed."""
    assert (ask(Query(sni=name), L7)[-1].step, ask(Query(sni=name), L7)[-1].outcome) == ("hello", "refused")


def test_two_hosts_are_refused() -> None:
    """Whatever they say."""
    assert request(PROD, ("Host", "web.test"), ("Host", "web.test"))[-1].detail.startswith(
        "answered with 400: bad_host"
    )


def test_what_no_backend_may_see_is_refused() -> None:
    """CONNECT, and what is no path."""
    assert request(PROD, method="CONNECT")[-1].detail.startswith("answered with 501")
    assert request(PROD, path="nowhere")[-1].detail.startswith("answered with 400: bad_path")
    assert request(PROD, ("Content.Length", "0"))[-1].detail.startswith("answered with 400: ambiguous_framing")


def test_without_a_request_none_is_judged() -> None:
    """Policies are counted, and refuse nobody."""
    steps = ask(Query(sni="web.test"), L7)
    assert {step.outcome for step in steps} == {"ok"}
    assert [(step.step, step.detail) for step in steps[5:6]] == [("policy", "3 policies, not judged without a request")]
    assert [step.step for step in ask(Query(sni="api.test"), L7)][3:] == ["tls", "alpn", "backend"]
    assert [step.step for step in ask(Query(sni="x.test", method="GET"), L7)] == [
        "listener",
        "hello",
        "route",
        "backend",
    ]


def test_a_backend_behind_tls_is_told_with_the_name_it_must_have() -> None:
    """Its host, unless another name is given."""
    assert ask(Query(sni="api.test"), L7)[-1].detail == (
        "api.internal:443 by HTTP/2 over TLS, verified for api.internal"
    )


def test_nothing_is_read_of_a_client_of_a_tcp_listener() -> None:
    """There is no step for a hello, whatever a client would send; a PROXY header that comes is its backend's."""
    text = LISTENERS.replace('addr = "127.0.0.1:9443"', 'addr = "127.0.0.1:9443"\nprotocol = "tcp"')
    for query in (
        Query("127.0.0.1:9443"),
        Query("127.0.0.1:9443", "any.test", "127.0.0.9"),
        Query("127.0.0.1:9443", "..", proxy_ip="127.0.0.1"),
    ):
        steps = ask(query, text)
        assert [(step.step, step.outcome) for step in steps] == [("listener", "ok"), ("route", "ok"), ("backend", "ok")]
        assert [step.detail for step in steps[1:]] == [
            '* takes every connection (protocol = "tcp")',
            "all that comes is passed through (l4) to 127.0.0.1:9002",
        ]


PLAIN = """\
[[listeners]]
addr = ":80"
protocol = "http"
[[listeners.routes]]
hostname = "app.test"
redirect = "https://{host}{uri}"
[[listeners.routes]]
hostname = "*.test"
backend = "127.0.0.1:9001"
[[listeners.routes.l7_policies]]
type = "require_header"
value = "X-Forwarded-Proto: http"
"""


@pytest.mark.parametrize(
    ("query", "steps", "last"),
    [
        (
            Query(":80", "app.test", path="/a?b=1"),
            "listener route authority action",
            "with 308, to https://app.test/a?b=1",
        ),
        (Query(":80", headers=(("Host", "APP.test:80"),)), "listener route authority action", "https://app.test/"),
        (Query(":80", "app.test", headers=(("host", "x.test"),)), "listener route authority policy backend", "9001"),
        (Query(":80", "x.test"), "listener route policy backend", "9001"),
        (Query(":80", "other.example"), "listener route", "no route matches; the request is answered with 421"),
        (Query(":80"), "listener route", "no route matches; the request is answered with 421"),
        (Query(":80", "a..test"), "listener route", "no route matches; the request is answered with 421"),
        (Query(":80", "app.test", proxy_ip="10.0.0.1"), "listener hello", "a PROXY header is not expected here"),
    ],
)
def test_requests_without_tls_are_routed_by_their_host(query: Query, steps: str, last: str) -> None:
    """There is no handshake to tell of."""
    found = ask(query, PLAIN)
    assert " ".join(step.step for step in found) == steps
    assert last in found[-1].detail
