"""`tls` of routes and listeners in the file: what holds, and what is wrong or doubtful about it."""

from collections.abc import Sequence
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from mcproxy.errors import ConfigError
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import Resolution, resolve
from mcproxy.model.state.tls_options import RouteTls, TlsTerms, terms

ROUTE = """
[[listeners.routes]]
hostname = "a.test"
mode = "{}"
backend = "b:1"
"""
PAIR = 'tls_cert = "a.crt"\ntls_key = "a.key"\n'


def read(text: str) -> Resolution:
    return resolve([Source("/f/m.toml", text)])


def told(text: str) -> list[str]:
    """Return problems, and warnings where there are no errors, without their places."""
    try:
        problems: Sequence[Any] = read(text).warnings
    except ConfigError as error:
        problems = error.problems
    return [f"{each.severity}: {each.key}: {each.message}" for each in problems]


def served(tls: str = "", *, listener: str = "", mode: str = "l7", more: str = PAIR, around: str = "") -> str:
    head = f'[[listeners]]\naddr = ":1"\n{listener}\n'
    return head + ROUTE.format(mode) + more + (f"tls = {{ {tls} }}\n" if tls else "") + around


def test_a_route_has_its_listeners_terms_where_it_says_nothing() -> None:
    """Key by key; what is empty is said."""
    listener = RouteTls(client_auth="require", client_ca="/ca", client_names=("a.test",), min_version="1.3")
    assert terms(None, None) == TlsTerms()
    assert terms(listener, None) == TlsTerms(
        client_auth="require", client_ca="/ca", client_names=("a.test",), min_version="1.3"
    )
    own = RouteTls(client_names=(), client_auth="optional", forward_client_cert=False)
    assert terms(listener, own) == TlsTerms(client_auth="optional", client_ca="/ca", min_version="1.3")


def test_both_structs_have_the_same_keys_of_the_same_types() -> None:
    """In one of them each may be left out, in the other it has a default."""
    said = [(name, get_args(hint)) for name, hint in get_type_hints(RouteTls).items()]
    assert said == [(name, (hint, UnsetType)) for name, hint in get_type_hints(TlsTerms).items()]
    assert RouteTls() == RouteTls(**dict.fromkeys(RouteTls.__struct_fields__, UNSET))
    assert not [field.name for field in msgspec.structs.fields(TlsTerms) if field.required]


def test_names_are_in_one_form() -> None:
    route = read(
        served(
            'client_auth = "require", client_ca = "ca", client_names = ["*.B.test", "SPIFFE://Prod/X", "a.test", "*.b.test"]'
        )
    )
    (one,) = route.state.routes.values()
    assert one.tls is not None
    assert one.tls.client_names == ("*.b.test", "a.test", "spiffe://prod/X")
    assert one.tls.client_ca == "/f/ca"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("*", "leave it out"),
        ("a.*.test", "is not a pattern"),
        ("spiffe://*/a", 'in a URI "*" stands at the end alone'),
        ("spiffe://prod/*/a", 'in a URI "*" stands at the end alone'),
        ("spiffe://prod/a*", 'in a URI "*" stands at the end alone'),
        ("spiffe://prod/../a", "has no one meaning"),
        ("spiffe:///a", "is not a URI with a host"),
        ("*@a.test", "there are no wildcards"),
        ("192.0.2.1", "is an IP address"),
        ("a b", "is not allowed in one"),
        ("", "must not be empty"),
    ],
)
def test_names_that_are_none(name: str, words: str) -> None:
    (message,) = told(served(f'client_auth = "require", client_ca = "ca", client_names = ["{name}"]'))
    assert message.startswith("error: listeners[0].routes[0].tls.client_names[0]: ")
    assert words in message


@pytest.mark.parametrize("raw", ["1.2", "1.3"])
def test_a_version_is_no_number(raw: str) -> None:
    """What was meant is told."""
    (message,) = told(served(f"min_version = {raw}"))
    assert message.endswith(f'min_version: must be "1.2" or "1.3", not a float; write "{raw}"')


ASKS = 'client_auth = "{}" needs client_ca: the CAs that vouch for clients'
ROUTE_TLS = "listeners[0].routes[0].tls"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (served('client_auth = "require"'), [f"error: {ROUTE_TLS}: {ASKS.format('require')}"]),
        (served('client_auth = "optional"', listener='tls = { client_ca = "ca" }'), []),
        (served(listener='tls = { client_auth = "require" }'), [f"error: listeners[0].tls: {ASKS.format('require')}"]),
        (served('client_ca = ""', listener='tls = { client_auth = "require", client_ca = "ca" }'), [f"error: {ROUTE_TLS}: {ASKS.format('require')}"]),
        (served('client_auth = "off"', listener='tls = { client_auth = "require" }'), []),
        (served(listener='tls = { client_auth = "require" }', mode="l4", more=""), []),
        (
            served('client_names = ["a.test"]'),
            [f'warning: {ROUTE_TLS}.client_names: has no effect: the route does not ask clients for certificates; it needs client_auth = "require" or "optional"'],
        ),
        (served('client_names = ["a.test"]', listener='tls = { client_auth = "require", client_ca = "ca" }'), []),
        (
            served('min_version = "1.3"', mode="l4", more=""),
            [f'warning: {ROUTE_TLS}: has no effect on an l4 route, which passes TLS through; it needs mode = "l7"'],
        ),
        (
            served('ciphers = "AES"', listener='tls = { min_version = "1.3" }'),
            [f'warning: {ROUTE_TLS}.ciphers: has no effect: these are ciphers of TLS 1.2, and min_version is "1.3"'],
        ),
        (
            served("", listener='protocol = "http"\ntls = { min_version = "1.3" }', more=""),
            ['error: listeners[0].tls: is for TLS; clients of a listener with protocol = "http" speak none'],
        ),
        (
            served('min_version = "1.3"', listener='protocol = "http"', more=""),
            [f'error: {ROUTE_TLS}: is for TLS; clients of a listener with protocol = "http" speak none'],
        ),
        (
            served(more='tls_cert = ["a.crt", "b.crt"]\ntls_key = "a.key"\n'),
            ["error: listeners[0].routes[0].tls_key: has 1 key for 2 certificates; each certificate has its own, at the same place"],
        ),
        (served(more='tls_cert = ["a.crt"]\ntls_key = ["a.key"]\n'), []),
        (served(more=PAIR + 'backend_tls = true\nbackend_cert = "p.crt"\n'), ["error: listeners[0].routes[0].backend_cert: needs backend_key too"]),
        (
            served(more=PAIR + 'backend_cert = "p.crt"\nbackend_key = "p.key"\n'),
            ["warning: listeners[0].routes[0].backend_cert: has no effect without backend_tls = true"],
        ),
    ],
)  # fmt: skip
def test_keys_against_each_other(text: str, expected: list[str]) -> None:
    """Of the route and of its listener."""
    assert told(text) == expected


@pytest.mark.parametrize("place", ["route", "case", "listener"])
def test_a_guard_needs_certificates(place: str) -> None:
    """Else nobody would pass it; told where the filter is used."""
    filters = '[filters.names]\nclient_names = ["a.test"]\n'
    use = 'use = ["names"]\n'
    case = 'cases = [{ match = "/a", use = ["names"] }]\n'
    more = PAIR + (use if place == "route" else case if place == "case" else "")
    listener = use if place == "listener" else ""
    (message,) = told(filters + served(more=more, listener=listener))
    assert message.startswith("error: ")
    assert "the route does not ask for a certificate" in message
    assert "/f/m.toml:2" in message
    asks = 'client_auth = "optional", client_ca = "ca"'
    assert told(filters + served(asks, more=more, listener=listener)) == []
