"""Guards of filters: all of a scope are asked, and the one that refuses is named."""

import ipaddress

import pytest

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.values.http.amounts import Rate
from mcproxy.policy.filters.rates import RateRule
from mcproxy.policy.filters.scope import BodyLimit, Scope
from mcproxy.policy.headers import Headers, RequestHead
from tests.support.rows import each_row

COUNTRIES = {"81.0.0.1": "SE", "10.0.0.1": "NO", "2001:db8::1": "SE"}


def country(packed: bytes) -> str | None:
    return COUNTRIES.get(str(ipaddress.ip_address(packed)))


def refused(ip: str, *filters: FilterOptions) -> tuple[str, str, int] | None:
    """Return name, key and status of the guard that refuses an address."""
    access = Scope([(f"f{place}", options) for place, options in enumerate(filters)]).access
    assert access is not None
    refusal = access.judge(ipaddress.ip_address(ip).packed, country)
    assert refusal is None or (refusal.stage == "allow" and refusal.filter == f"f{refusal.place}")
    return None if refusal is None else (refusal.filter, refusal.key, refusal.status)


OFFICE = FilterOptions(allow_cidrs=("10.0.0.0/8", "2001:db8::/32"))
NORDIC = FilterOptions(allow_countries=("NO", "SE"))
SPAM = FilterOptions(block_cidrs=("10.66.0.0/16", "203.0.113.7/32"), block_countries=("KP",))


@each_row(
    ("ip", "filters", "by"),
    [
        ("10.0.0.1", [OFFICE], None),
        ("::ffff:10.0.0.1", [OFFICE], None),
        ("2001:db8::1", [OFFICE], None),
        ("11.0.0.1", [OFFICE], ("f0", "allow_cidrs", 403)),
        ("2001:db9::1", [OFFICE], ("f0", "allow_cidrs", 403)),
        ("81.0.0.1", [NORDIC], None),
        ("192.0.2.1", [NORDIC], ("f0", "allow_countries", 403)),
        ("192.0.2.1", [SPAM], None),
        ("203.0.113.7", [SPAM], ("f0", "block_cidrs", 403)),
        ("10.66.1.1", [OFFICE, SPAM], ("f1", "block_cidrs", 403)),
        ("10.0.0.1", [OFFICE, SPAM, NORDIC], None),
        ("10.0.0.2", [OFFICE, SPAM, NORDIC], ("f2", "allow_countries", 403)),
        ("81.0.0.1", [NORDIC, OFFICE], ("f1", "allow_cidrs", 403)),
        ("192.0.2.1", [OFFICE, NORDIC], ("f0", "allow_cidrs", 403)),
    ],
)
def test_a_client_has_to_pass_every_filter(
    ip: str, filters: list[FilterOptions], by: tuple[str, str, int] | None
) -> None:
    """None lifts what another one refuses, and the outermost that refuses is told."""
    assert refused(ip, *filters) == by


def test_both_keys_of_one_filter_hold() -> None:
    """Networks and countries are guards of their own, and what is blocked is blocked whatever else is allowed."""
    both = FilterOptions(
        allow_cidrs=("10.0.0.0/8", "81.0.0.0/8"), allow_countries=("SE",), block_cidrs=("81.0.0.2/32",)
    )
    assert refused("81.0.0.1", both) is None
    assert refused("81.0.0.2", both) == ("f0", "block_cidrs", 403)
    assert refused("10.0.0.1", both) == ("f0", "allow_countries", 403)
    assert refused("11.0.0.1", both) == ("f0", "allow_cidrs", 403)


def test_a_country_is_looked_up_once_and_only_if_networks_leave_it_open() -> None:
    asked: list[bytes] = []
    access = Scope([("a", OFFICE), ("b", NORDIC), ("c", SPAM)]).access
    assert access is not None

    def look_up(packed: bytes) -> str | None:
        asked.append(packed)
        return "SE"

    access.judge(bytes((11, 0, 0, 1)), look_up)
    assert not asked
    access.judge(bytes((10, 0, 0, 1)), look_up)
    assert len(asked) == 1


def demanded(headers: Headers, *filters: FilterOptions) -> tuple[str, str] | None:
    demands = Scope([(f"f{place}", options) for place, options in enumerate(filters)]).demands
    assert demands is not None
    refusal = demands.judge(RequestHead(b"GET", b"a.test", b"/", headers), [])
    return None if refusal is None else (refusal.filter, refusal.key)


def test_user_agents_and_required_headers_add_up() -> None:
    """They mean what policies of these types mean, of each filter."""
    agents = FilterOptions(block_user_agents=("BadBot", "curl/7"))
    headers = FilterOptions(require_headers=("X-Api-Key", "X-Env: prod"))
    good: Headers = [(b"user-agent", b"Mozilla"), (b"x-api-key", b"k"), (b"x-env", b"prod")]
    assert demanded(good, agents, headers) is None
    assert demanded([(b"user-agent", b"x badbot/2"), *good[1:]], headers, agents) == ("f1", "block_user_agents")
    assert demanded([(b"user_agent", b"CURL/7.8"), *good], agents) == ("f0", "block_user_agents")
    assert demanded(good[:2], agents, headers) == ("f1", "require_headers")
    assert demanded([*good, (b"x_env", b"dev")], agents, headers) == ("f1", "require_headers")


def test_rates_of_all_filters_count() -> None:
    """Each has its own limit and window, and says by what it counts."""
    scope = Scope(
        [
            ("public", FilterOptions(rate_limit=Rate(200, 10.0))),
            ("none", OFFICE),
            ("keys", FilterOptions(rate_limit=Rate(5, 60.0), rate_key="header:X-Api-Key")),
        ]
    )
    assert scope.rates == (RateRule(0, "public", 200, 10.0), RateRule(2, "keys", 5, 60.0, b"x-api-key"))


def test_what_a_rate_counts_as_one() -> None:
    """A client's address or /64, or a header's value in any spelling of the name; without that the client."""
    by_client, by_key = RateRule(0, "", 1, 1.0), RateRule(0, "", 1, 1.0, b"x-api-key")
    v6 = ipaddress.ip_address("2001:db8:1:2:3::1").packed
    same = ipaddress.ip_address("2001:db8:1:2:ffff::").packed
    other = ipaddress.ip_address("2001:db8:1:3::1").packed
    mapped = ipaddress.ip_address("::ffff:192.0.2.1").packed
    plain = bytes((192, 0, 2, 1))
    assert by_client.subject(v6, []) == by_client.subject(same, []) != by_client.subject(other, [])
    assert by_client.subject(mapped, []) == by_client.subject(plain, [(b"x-api-key", b"k")])
    keys = [by_key.subject(each, [(name, b"k")]) for each in (v6, other) for name in (b"x-api-key", b"x_api.key")]
    assert len(set(keys)) == 1
    assert by_key.subject(v6, [(b"x-api-key", b"k"), (b"x_api_key", b"l")]) not in keys
    for nothing in ([], [(b"x-api-key", b"")]):
        assert by_key.subject(v6, nothing) == by_client.subject(v6, [])
    # a value that looks like an address is none
    assert by_key.subject(v6, [(b"x-api-key", plain)]) != by_client.subject(plain, [])


@pytest.mark.parametrize(
    ("window", "now", "seconds"),
    [(10.0, 100.0, 10), (10.0, 109.5, 1), (10.0, 103.2, 7), (0.25, 1.2, 1), (3600.0, 1.0, 3599)],
)
def test_retry_after_is_the_next_window(window: float, now: float, seconds: int) -> None:
    """In whole seconds, at least one."""
    refusal = RateRule(0, "slow", 1, window).refusal(now)
    assert (refusal.status, refusal.headers) == (429, ((b"retry-after", b"%d" % seconds),))
    assert (refusal.stage, refusal.filter, refusal.reason) == ("rate", "slow", "filter_rate")


def test_the_smallest_body_limit_counts() -> None:
    """Guards add up, so an inner filter allows no more than an outer one; also nothing at all can be allowed."""
    outer, inner = FilterOptions(max_body=1000), FilterOptions(max_body=2000)
    nothing = FilterOptions(max_body=0)
    assert Scope([("a", outer), ("b", inner)]).max_body == BodyLimit(1000, 0, "a")
    assert Scope([("a", inner), ("b", FilterOptions()), ("c", nothing)]).max_body == BodyLimit(0, 2, "c")


@pytest.mark.parametrize(
    "filters", [[], [FilterOptions()], [FilterOptions(), FilterOptions(basic_auth="x", pass_credentials=True)]]
)
def test_a_scope_without_anything_has_nothing(filters: list[FilterOptions]) -> None:
    """Every part is None then, so that requests pass by at no cost."""
    scope = Scope([("", options) for options in filters])
    assert not scope
    assert [getattr(scope, name) for name in Scope.__slots__] == [None] * len(Scope.__slots__)
