"""Explanations name the step that decides about a connection, and the line that made it."""

import ipaddress

import pytest

from mcproxy.model.problems import Source
from mcproxy.model.resolve import resolve
from mcproxy.policy.explain import Query, Step, explain

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
