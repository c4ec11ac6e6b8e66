"""Who the firewall refuses, and why."""

import ipaddress

import pytest

from mcproxy.policy.firewall import CidrSet, Firewall, Rules, unmap
from tests.support.rows import each_row


def packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed


def nobody_asks(address: bytes) -> str | None:
    raise AssertionError(f"the country of {address!r} was looked up")


@each_row(
    ("host", "reason"),
    [
        ("192.0.2.1", "ip"),
        ("::ffff:192.0.2.1", "ip"),
        ("192.0.2.2", None),
        ("2001:db8::1", "ip"),
        ("198.51.100.7", "cidr"),
        ("::ffff:198.51.100.7", "cidr"),
        ("198.51.101.7", None),
        ("2001:db8:1::7", "cidr"),
        ("2001:db8:2::7", None),
        ("203.0.113.9", "cidr"),
        ("100.64.0.1", "ip"),
    ],
)
def test_addresses_and_networks(host: str, reason: str | None) -> None:
    """Addresses and networks of both families refuse, rules and clients in IPv4-mapped form being IPv4."""
    firewall = Firewall(
        ["192.0.2.1", "2001:db8::1", "::ffff:100.64.0.1"],
        ["198.51.100.0/24", "2001:db8:1::/48", "::ffff:203.0.113.0/120"],
        [],
    )
    assert firewall.judge(packed(host), nobody_asks) == reason


def test_first_reason_wins() -> None:
    """The order is ip, cidr, country; a country is looked up last and by the unmapped address."""
    asked: list[bytes] = []

    def country(address: bytes) -> str | None:
        asked.append(address)
        return {10: "DE", 11: None}.get(address[0], "AQ")

    firewall = Firewall(["10.0.0.1"], ["10.0.0.0/24"], ["DE"])
    assert firewall.judge(packed("10.0.0.1"), country) == "ip"
    assert firewall.judge(packed("10.0.0.2"), country) == "cidr"
    assert asked == []
    assert firewall.judge(packed("::ffff:10.0.1.2"), country) == "country"
    assert asked == [packed("10.0.1.2")]
    assert firewall.judge(packed("11.0.0.1"), country) is None
    assert firewall.judge(packed("12.0.0.1"), country) is None


def test_empty_firewall_lets_everyone_pass() -> None:
    """Without rules nothing is looked up."""
    firewall = Firewall([], [], [])
    assert firewall.judge(packed("192.0.2.1"), nobody_asks) is None
    assert firewall.judge(packed("2001:db8::1"), nobody_asks) is None


def test_the_whole_internet_of_one_family() -> None:
    """A network of length 0 refuses its own family and leaves the other alone."""
    everything = CidrSet(["0.0.0.0/0", "10.0.0.0/8"])
    assert packed("0.0.0.0") in everything
    assert packed("255.255.255.255") in everything
    assert packed("2001:db8::1") not in everything
    assert packed("192.0.2.1") not in CidrSet(["::/0"])


def test_the_deciding_network_can_be_named() -> None:
    """Of nested networks the widest one is named, in canonical form."""
    networks = CidrSet(["10.1.0.0/16", "10.0.0.0/8", "10.1.2.3/32", "2001:db8::/32", "::ffff:192.0.2.0/120"])
    assert networks.find(packed("10.1.2.3")) == "10.0.0.0/8"
    assert networks.find(packed("2001:db8:9::1")) == "2001:db8::/32"
    assert networks.find(packed("192.0.2.9")) == "192.0.2.0/24"
    assert networks.find(packed("11.0.0.0")) is None


@pytest.mark.parametrize(
    "cidr", ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0.0", "x/8", "::1/64", ""]
)
def test_malformed_networks(cidr: str) -> None:
    """What is no network in canonical form is refused, not guessed at."""
    with pytest.raises(ValueError, match=r".+"):
        CidrSet([cidr])


def test_an_empty_set_is_false() -> None:
    """An empty set can be told without a look-up."""
    assert not CidrSet([])
    assert CidrSet(["::/0"])
    assert CidrSet(["10.0.0.0/8"])


def test_unmap() -> None:
    """Only IPv4-mapped addresses are changed."""
    assert unmap(packed("::ffff:192.0.2.1")) == packed("192.0.2.1")
    assert unmap(packed("::1")) == packed("::1")
    assert unmap(packed("192.0.2.1")) == packed("192.0.2.1")


ALLOWED = Rules(["192.0.2.1", "2001:db8::1"], ["198.51.100.0/25", "::ffff:203.0.113.0/121"], ["NO"])
COUNTRIES = {"81.0.0.1": "SE", "82.0.0.1": "NO"}


def country_of(address: bytes) -> str | None:
    return COUNTRIES.get(str(ipaddress.ip_address(address)))


@each_row(
    ("host", "allowing", "denying"),
    [
        ("192.0.2.1", None, None),  # blocked by address too
        ("::ffff:192.0.2.1", None, None),
        ("2001:db8::1", None, None),
        ("198.51.100.7", None, None),  # its network is blocked
        ("203.0.113.9", None, None),
        ("198.51.100.200", "cidr", "cidr"),
        ("192.0.2.2", "ip", "ip"),
        ("82.0.0.1", None, None),
        ("81.0.0.1", "country", "country"),
        ("83.0.0.1", None, "not_allowed"),
        ("2001:db8::2", None, "not_allowed"),
    ],
)
def test_allowed_beats_blocked_and_deny_lets_nobody_else_in(
    host: str, allowing: str | None, denying: str | None
) -> None:
    """Whatever blocks whom, by whatever kind of rule; who is blocked as well is told the rule."""
    for denies, expected in ((False, allowing), (True, denying)):
        firewall = Firewall(
            ["192.0.2.1", "192.0.2.2"], ["198.51.100.0/24", "203.0.113.0/24"], ["SE", "NO"], ALLOWED, denies=denies
        )
        assert firewall.judge(packed(host), country_of) == expected


def test_the_rule_that_lets_in_is_named_before_one_that_blocks() -> None:
    """With its type as the State has it."""
    firewall = Firewall(["192.0.2.1"], ["198.51.100.0/24"], ["SE"], ALLOWED, denies=True)
    hosts = ("192.0.2.1", "198.51.100.1", "82.0.0.1", "81.0.0.1", "83.0.0.1")
    assert [firewall.find(packed(host), country_of) for host in hosts] == [
        ("allowed_ip", "192.0.2.1"),
        ("allowed_cidr", "198.51.100.0/25"),
        ("allowed_country", "NO"),
        ("country", "SE"),
        None,
    ]


def test_no_country_is_asked_for_who_is_allowed_by_address() -> None:
    """The database is slow beside a set."""
    firewall = Firewall([], [], ["SE"], Rules(["192.0.2.1"], ["198.51.100.0/24"], ["NO"]), denies=True)
    assert firewall.judge(packed("192.0.2.1"), nobody_asks) is None
    assert firewall.judge(packed("198.51.100.1"), nobody_asks) is None
