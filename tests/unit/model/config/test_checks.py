import pytest

from mcproxy.errors import ConfigError
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.config.resolve import resolve


def found(text: str) -> list[tuple[str, str, str]]:
    """Return severity, key and message of every problem."""
    try:
        problems: tuple[object, ...] = resolve([Source("/etc/mc/mc-proxy.toml", text)]).warnings
    except ConfigError as error:
        problems = error.problems
    return [(p.severity, p.key, p.message) for p in problems if isinstance(p, Problem)]


def listener(text: str, addr: str = ":1") -> str:
    return f'[[listeners]]\naddr = "{addr}"\n{text}\n'


def route(text: str = "", hostname: str = "a.example") -> str:
    return listener(f'[[listeners.routes]]\nhostname = "{hostname}"\nbackend = "b:1"\n{text}')


@pytest.mark.parametrize(
    "key",
    [
        'tls_cert = "x"',
        'tls_key = "x"',
        "backend_tls = true",
        'backend_ca = "x"',
        'backend_server_name = "x"',
        'backend_protocol = "h2"',
    ],
)
def test_what_only_l7_knows_is_doubtful_on_l4(key: str) -> None:
    """A warning, since the connection works all the same."""
    ((severity, where, message),) = found(route(key))
    assert severity == "warning"
    assert where == f"listeners[0].routes[0].{key.partition(' ')[0]}"
    assert "no effect on an l4 route" in message


def test_defaults_that_are_written_out_are_not_doubtful() -> None:
    """Only what is set to something says something."""
    assert found(route('tls_cert = ""\nbackend_tls = false\nmode = "l4"\nl7_policies = []')) == []


@pytest.mark.parametrize(("value", "expected"), [("0s", True), ("1ms", False), ("", False)])
def test_an_idle_time_without_end_is_doubtful(value: str, *, expected: bool) -> None:
    """A client that has vanished is noticed by nobody but the kernel."""
    problems = [(severity, key) for severity, key, _ in found(route(f'idle_timeout = "{value}"'))]
    assert problems == ([("warning", "listeners[0].routes[0].idle_timeout")] if expected else [])


def test_policies_on_an_l4_route_are_an_error() -> None:
    """They would protect nothing."""
    text = route('l7_policies = [{ type = "require_header", value = "X" }]')
    assert (
        "error",
        "listeners[0].routes[0].l7_policies",
        'an l4 route sees no requests; policies need mode = "l7"',
    ) in found(text)


def test_a_required_header_must_be_one() -> None:
    """Name, or name and value."""
    text = route(
        'mode = "l7"\ntls_cert = "c"\ntls_key = "k"\nl7_policies = [{ type = "require_header", value = "%s" }]'
    )
    bad = [key for _, key, message in found(text % "X Y: z") if "header's name" in message]
    assert bad == ["listeners[0].routes[0].l7_policies[0].value"]
    for good in ("X-Api", "X-Env: prod"):
        assert not any("header's name" in message for _, _, message in found(text % good))


def test_an_l7_route_needs_certificate_and_key() -> None:
    """Each that is missing is named."""
    messages = {key: message for _, key, message in found(route('mode = "l7"\ntls_cert = "c"'))}
    assert messages["listeners[0].routes[0].tls_key"] == "an l7 route needs tls_key"
    assert "listeners[0].routes[0].tls_cert" not in messages


def test_backend_certificates_without_backend_tls_are_doubtful() -> None:
    """A warning on each key."""
    text = route('mode = "l7"\ntls_cert = "c"\ntls_key = "k"\nbackend_ca = "x"\nbackend_server_name = "x"')
    warned = [key.rpartition(".")[2] for severity, key, _ in found(text) if severity == "warning"]
    assert warned == ["backend_ca", "backend_server_name"]


@pytest.mark.parametrize(
    ("addr", "proxies", "expected"),
    [(":1", "[]", True), ("192.0.2.1:1", "[]", True), ("127.0.0.1:1", "[]", False), (":1", '["10.0.0.0/8"]', False)],
)
def test_a_proxy_header_from_anyone_is_doubtful_on_a_public_address(addr: str, proxies: str, *, expected: bool) -> None:
    """Whoever reaches it could claim any address."""
    warnings = [
        p for p in found(listener(f"proxy_protocol = true\ntrusted_proxies = {proxies}", addr)) if p[0] == "warning"
    ]
    assert bool(warnings) is expected


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ('proxy_protocol_version = "v1"', ["proxy_protocol_version"]),
        ('proxy_protocol_destination = "original"', ["proxy_protocol_destination"]),
        ("proxy_protocol_tlvs = true", ["proxy_protocol_tlvs"]),
        (
            'send_proxy_protocol = true\nproxy_protocol_version = "v1"\nproxy_protocol_tlvs = true',
            ["proxy_protocol_tlvs"],
        ),
        ('send_proxy_protocol = true\nproxy_protocol_destination = "original"\nproxy_protocol_tlvs = true', []),
        ('proxy_protocol_version = "v2"\nproxy_protocol_destination = "backend"\nproxy_protocol_tlvs = false', []),
    ],
)
def test_keys_of_a_header_that_is_not_sent_are_doubtful(text: str, warned: list[str]) -> None:
    """They have no effect; neither have TLVs in a header of version 1."""
    assert [key.rpartition(".")[2] for _, key, _ in found(route(text))] == warned


def test_trusted_proxies_without_proxy_protocol_are_doubtful() -> None:
    """They have no effect."""
    warnings = [
        key for severity, key, _ in found(listener('trusted_proxies = ["10.0.0.0/8"]')) if severity == "warning"
    ]
    assert warnings == ["listeners[0].trusted_proxies"]


def test_untrusted_without_trusted_proxies_is_doubtful() -> None:
    """Everybody is trusted then."""
    text = 'proxy_protocol = true\nuntrusted = "direct"\n'
    assert [key for _, key, _ in found(listener(text, "127.0.0.1:1"))] == ["listeners[0].untrusted"]
    assert found(listener(text + 'trusted_proxies = ["10.0.0.0/8"]')) == []


def test_a_route_that_no_name_can_match_is_doubtful() -> None:
    """A wildcard so long that nothing fits in front of it."""
    base = ".".join(["a" * 62] * 4)
    assert len(base) == 251
    assert found(route(hostname=f"*.{base}")) == []
    assert [p[:2] for p in found(route(hostname=f"*.{base}a"))] == [("warning", "listeners[0].routes[0].hostname")]


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('[grpc]\naddr = ":9"\ntls_cert = "c"', "grpc.addr", "needs tls_key too"),
        ('[grpc]\naddr = ":9"\ntls_cert = "c"', "grpc.addr", "needs client_ca too"),
        (f'[grpc]\nsocket = "{"s" * 100}"', "grpc.socket", "at most 107"),
        ('[firewall]\nblocked_countries = ["SE"]', "firewall.blocked_countries", "needs geoip_db"),
        (
            '[metrics]\naddr = "127.0.0.1:1"\n' + listener(""),
            "listeners[0].addr",
            "cannot be bound beside metrics.addr 127.0.0.1:1",
        ),
        ('[metrics]\naddr = ":1"\n' + listener(""), "listeners[0].addr", "cannot be bound beside metrics.addr :1"),
    ],
)
def test_keys_that_need_or_exclude_others(text: str, key: str, message: str) -> None:
    """Each is an error at the key that asks for it."""
    assert any(p[0] == "error" and p[1] == key and message in p[2] for p in found(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate_limit = 16777216", "16777215"),
        ("rate_limit = -1", "0"),
        ('rate_limit = "5"', "integer"),
        ('rate_limit = 5\nrate_window = "0s"', "no time at all"),
        ('rate_limit = 5\nrate_window = "9000h"', "too long"),
        ('blocked_ips = ["192.0.2.0/24"]', "blocked_cidrs"),
        ('blocked_cidrs = ["192.0.2.1/24"]', "host bits set"),
        ('geoip_db = "x"\nblocked_countries = ["Sweden"]', "two letters"),
    ],
)
def test_values_that_the_firewall_cannot_take(text: str, message: str) -> None:
    """One error, at the key, that says what would be right."""
    ((severity, key, said),) = found(f"[firewall]\n{text}")
    assert severity == "error"
    assert key.startswith("firewall.")
    assert message in said


@pytest.mark.parametrize("text", ["rate_limit = 16777215", 'rate_limit = 1\nrate_window = "1ms"', 'geoip_db = "x"'])
def test_values_that_the_firewall_can_take(text: str) -> None:
    """The highest limit, the shortest window, a database for rules to come."""
    assert found(f"[firewall]\n{text}") == []


def test_a_rate_window_without_a_limit_is_doubtful() -> None:
    """It measures nothing."""
    assert [p[:2] for p in found('[firewall]\nrate_window = "10s"')] == [("warning", "firewall.rate_window")]


def test_a_rule_that_is_listed_twice_is_doubtful() -> None:
    """The same network in another form counts."""
    text = '[firewall]\nblocked_cidrs = ["::ffff:1.2.3.0/120", "1.2.3.0/24"]'
    assert ("warning", "firewall.blocked_cidrs[1]", "repeats /etc/mc/mc-proxy.toml:2") in found(text)


def test_an_l7_route_with_all_its_keys_is_nothing_to_speak_of() -> None:
    """The files that it names are looked at elsewhere."""
    text = route('mode = "l7"\ntls_cert = "c"\ntls_key = "k"\nbackend_tls = true\nbackend_protocol = "h2"')
    assert found(text) == []


ALLOWED = {
    "allowed_ips": '["192.0.2.1"]',
    "allowed_cidrs": '["2001:db8::/32"]',
    "allowed_countries": '["SE"]\ngeoip_db = "x"',
}


@pytest.mark.parametrize("others", ["", 'blocked_ips = ["192.0.2.1"]\n', "allowed_ips = []\n"])
def test_denying_everybody_is_an_error(others: str) -> None:
    """Deny needs somebody who is allowed; the error stands at the value."""
    ((severity, key, message),) = found(f'[firewall]\n{others}default = "deny"\n')
    assert (severity, key) == ("error", "firewall.default")
    assert "nobody could connect" in message


@pytest.mark.parametrize("name", ALLOWED)
def test_denying_all_but_some_is_nothing_to_speak_of(name: str) -> None:
    """Whatever kind of entry it is, in whatever file."""
    assert found(f'[firewall]\ndefault = "deny"\n{name} = {ALLOWED[name]}\n') == []
    sources = [
        Source("/etc/mc/mc-proxy.toml", '[firewall]\ndefault = "deny"\n'),
        Source("/etc/mc/more.toml", f"[firewall]\n{name} = {ALLOWED[name]}\n"),
    ]
    state = resolve(sources).state
    assert state.settings["firewall.default"] == "deny"
    assert [key[0] for key in state.rules] == [name.replace("ies", "y").removesuffix("s")]


@pytest.mark.parametrize(
    "text",
    [
        'default = "deny"\nallowed_ips = ["x"]',
        'default = "deny"\nallowed_ips = "192.0.2.1"',
        'default = "deny"\nallowed_countries = ["UK"]\ngeoip_db = "x"',
        'default = "deny"\nallow_ips = ["192.0.2.1"]',
        'default = "deny"\nwhitelist_cidrs = ["192.0.2.0/24"]',
        'default = "deni"',
        'default = "reject"',
    ],
)
def test_a_wrong_entry_of_those_allowed_is_one_message(text: str) -> None:
    """Nobody concludes that nobody is allowed."""
    assert len(found(f"[firewall]\n{text}\n")) == 1


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('allowed_countries = ["SE"]', "firewall.allowed_countries", "allowing a country needs geoip_db"),
        ('allowed_ips = ["192.0.2.0/24"]', "firewall.allowed_ips[0]", "networks belong into allowed_cidrs"),
        ('allowed_cidrs = ["192.0.2.1/24"]', "firewall.allowed_cidrs[0]", "host bits set"),
        ("connections_per_client = -1", "firewall.connections_per_client", "at least 0"),
        ("connections_per_client = 16777216", "firewall.connections_per_client", "at most 16777215"),
        ('default = "drop"', "firewall.default", 'must be "allow" or "deny"'),
    ],
)
def test_values_that_the_lists_of_those_allowed_cannot_take(text: str, key: str, message: str) -> None:
    """One error, at the key, that says what would be right, and never the list of those who are blocked."""
    ((severity, where, said),) = found(f"[firewall]\n{text}")
    assert (severity, where) == ("error", key)
    assert message in said
    assert "blocked" not in said


def test_the_same_can_be_allowed_and_blocked() -> None:
    """It is allowed then."""
    assert found('[firewall]\nblocked_ips = ["192.0.2.1"]\nallowed_ips = ["192.0.2.1"]') == []
