"""Whose address counts where another proxy stands in front, and what backends are told then."""

import ipaddress

import pytest

from mcproxy.model.state.filter_options import RealIp
from mcproxy.policy.filters.real_ip import RealIpRule, Told, forwarding_fields
from mcproxy.policy.headers import Headers
from tests.support.rows import each_row

PEER = ipaddress.ip_address("10.0.0.9").packed


def rule(header: str = "X-Forwarded-For") -> RealIpRule:
    return RealIpRule(RealIp(from_=("10.0.0.0/8", "2001:db8:1::/48"), header=header))


def client(*values: str, header: str = "X-Forwarded-For") -> tuple[str, bool]:
    told = rule(header).read(PEER, [(header.lower().encode(), value.encode()) for value in values])
    return str(ipaddress.ip_address(told.client)), told.malformed


@each_row(
    ("values", "ip"),
    [
        (["203.0.113.5"], "203.0.113.5"),
        (["1.1.1.1, 203.0.113.5"], "203.0.113.5"),
        (["1.1.1.1, 203.0.113.5, 10.1.1.1"], "203.0.113.5"),
        (["1.1.1.1,203.0.113.5,10.1.1.1 ,2001:db8:1::7"], "203.0.113.5"),
        (["1.1.1.1", "203.0.113.5", "10.1.1.1"], "203.0.113.5"),
        (["203.0.113.5, "], "203.0.113.5"),
        (["nonsense, 203.0.113.5"], "203.0.113.5"),
        (["203.0.113.5:4711"], "203.0.113.5"),
        (["2001:db8::5"], "2001:db8::5"),
        (["[2001:db8::5]"], "2001:db8::5"),
        (["[2001:db8::5]:4711"], "2001:db8::5"),
        (["::ffff:203.0.113.5"], "203.0.113.5"),
        (["::ffff:10.0.0.1"], "10.0.0.1"),
        (["10.2.2.2, 10.1.1.1"], "10.2.2.2"),
        ([], "10.0.0.9"),
        ([""], "10.0.0.9"),
    ],
)
def test_the_rightmost_address_that_is_no_proxys_counts(values: list[str], ip: str) -> None:
    """Where all are, the leftmost; where there is none, the peer."""
    assert client(*values) == (ip, False)


@pytest.mark.parametrize(
    "value",
    [
        "203.0.113.5, unknown",
        "203.0.113.5, nonsense, 10.1.1.1",
        "203.0.113.256",
        "203.0.113.5:port",
        "fe80::1%eth0",
        "203.0.113.5 10.1.1.1",
        "010.0.0.1",
        "\u0661.1.1.1",
        "203.0.113.5, " + "10.0.0.1, " * 70,
    ],
)
def test_where_an_address_is_none_the_peer_counts(value: str) -> None:
    """Of those that are looked at; and more than some dozens are not."""
    assert client(value) == ("10.0.0.9", True)


@pytest.mark.parametrize(
    ("value", "ip"),
    [
        ("for=203.0.113.5", "203.0.113.5"),
        ('For="[2001:db8::5]:4711";proto=https', "2001:db8::5"),
        ("for=1.1.1.1, proto=https;for=203.0.113.5;by=10.0.0.1, for=10.1.1.1", "203.0.113.5"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(value: str, ip: str) -> None:
    assert client(value, header="Forwarded") == (ip, False)


@pytest.mark.parametrize("value", ["for=_hidden", "proto=https", "for=unknown", 'for="'])
def test_what_forwarded_hides_is_no_address(value: str) -> None:
    assert client(value, header="Forwarded") == ("10.0.0.9", True)


def test_any_other_header_may_be_the_one() -> None:
    """And then X-Forwarded-For says nothing; other spellings of it are what clients have sent."""
    fields: Headers = [(b"cf-connecting-ip", b"203.0.113.5"), (b"x-forwarded-for", b"1.1.1.1")]
    assert rule("CF-Connecting-IP").read(PEER, fields).client == bytes((203, 0, 113, 5))
    assert rule().read(PEER, [(b"x_forwarded_for", b"1.1.1.1")]) == Told(PEER)


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.0.0.9", True),
        ("::ffff:10.0.0.9", True),
        ("2001:db8:1::9", True),
        ("11.0.0.9", False),
        ("2001:db8:2::9", False),
    ],
)
def test_only_connections_from_the_networks_are_believed(peer: str, *, trusted: bool) -> None:
    assert rule().trusts(ipaddress.ip_address(peer).packed) is trusted


def test_what_else_a_trusted_proxy_tells() -> None:
    fields: Headers = [
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"x-forwarded-for", b"203.0.113.5"),
        (b"x-forwarded-proto", b"HTTPS"),
        (b"x-forwarded-host", b"shop.test:8443"),
        (b"x-forwarded-port", b"65535"),
    ]
    assert rule().read(PEER, fields) == Told(
        bytes((203, 0, 113, 5)), False, b"1.1.1.1, 203.0.113.5", b"https", b"shop.test:8443", b"65535"
    )


@each_row(
    "fields",
    [
        *([(b"x-forwarded-proto", value)] for value in (b"ftp", b"", b"https, http")),
        *([(b"x-forwarded-host", value)] for value in (b"a/b", b"u@h", b"")),
        *([(b"x-forwarded-port", value)] for value in (b"0", b"65536", b"x", b"", b"-1")),
        [(b"x-forwarded-proto", b"https"), (b"x-forwarded-proto", b"https")],
    ],
)
def test_what_is_malformed_or_told_twice_counts_as_not_told(fields: Headers) -> None:
    assert rule().read(PEER, fields) == Told(PEER)


def test_the_fields_for_backends() -> None:
    """The chain goes on with the peer; scheme, host and port are those of the URL that the client has."""
    told = Told(bytes((203, 0, 113, 5)), False, b"1.1.1.1, 203.0.113.5", b"https", b"shop.test", b"")
    assert forwarding_fields(told, "10.0.0.9", "203.0.113.5", b"app.test:80", b"http") == [
        (b"x-forwarded-for", b"1.1.1.1, 203.0.113.5, 10.0.0.9"),
        (b"x-real-ip", b"203.0.113.5"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-port", b"443"),
        (b"x-forwarded-host", b"shop.test"),
        (b"forwarded", b'for=203.0.113.5;proto=https;host="shop.test"'),
    ]
    assert forwarding_fields(Told(b""), "2001:db8:1::9", "2001:db8::5", b"", b"http") == [
        (b"x-forwarded-for", b"2001:db8:1::9"),
        (b"x-real-ip", b"2001:db8::5"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-port", b"80"),
        (b"forwarded", b'for="[2001:db8::5]";proto=http'),
    ]
