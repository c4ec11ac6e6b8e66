"""The L7 policies of a route."""

from typing import Literal

import pytest

from mcproxy.model.state.state import Policy
from mcproxy.policy.headers import Forwarding, Headers, RequestHead
from mcproxy.policy.l7 import L7Rules
from mcproxy.policy.requests import RequestRules

HEADERS = [(b"user-agent", b"Mozilla/5.0 (BadBot/1.0)"), (b"x-key", b"Secret")]


def rules(*policies: tuple[Literal["block_user_agent", "require_header"], str]) -> L7Rules:
    """Return the rules of a route with these policies."""
    return L7Rules(Policy(":443", "a.example", kind, value) for kind, value in policies)


def judged(some: L7Rules, headers: Headers, *, websocket: bool = False) -> str | None:
    """Return what the rules say of a request to a.example with these end-to-end fields."""
    head = RequestHead(b"GET", b"a.example", b"/", headers, websocket)
    blocking = some.judge(head, Forwarding("192.0.2.1").fields(b"a.example"))
    return None if blocking is None else blocking.type


def test_no_policies_block_nothing() -> None:
    """A route without policies lets everything pass."""
    assert judged(rules(), []) is None
    assert judged(rules(), HEADERS) is None


@pytest.mark.parametrize("value", ["BadBot", "badbot", "BADBOT/1", "(b", "mozilla/5.0 (badbot/1.0)"])
def test_user_agent_is_blocked(value: str) -> None:
    """Any part of the user agent matches, whatever the case."""
    assert judged(rules(("block_user_agent", value)), HEADERS) == "block_user_agent"


def test_other_user_agents_pass() -> None:
    """Another agent passes, and so does a request that names none."""
    blocked = rules(("block_user_agent", "GoodBot"), ("block_user_agent", "badbot2"))
    assert judged(blocked, HEADERS) is None
    assert judged(rules(("block_user_agent", "BadBot")), [(b"x-agent", b"BadBot")]) is None


def test_every_user_agent_line_is_judged() -> None:
    """A second User-Agent does not hide behind the first."""
    headers = [(b"user-agent", b"fine"), (b"user-agent", b"badbot")]
    assert judged(rules(("block_user_agent", "other"), ("block_user_agent", "BadBot")), headers) == "block_user_agent"


@pytest.mark.parametrize(
    "value", ["X-Key", "x-key", " X-Key ", "X-Key: Secret", "x-key:Secret", "X-Key:  Secret ", "X-Key:"]
)
def test_requirement_met(value: str) -> None:
    """A header of that name is enough, or one of exactly that value."""
    assert judged(rules(("require_header", value)), HEADERS) is None


@pytest.mark.parametrize("value", ["X-Other", "X-Key: secret", "X-Key: Secret2", "X-Key: Secre"])
def test_requirement_not_met(value: str) -> None:
    """A missing header or another value blocks; values are compared exactly."""
    assert judged(rules(("require_header", value)), HEADERS) == "require_header"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-key", b"a"), (b"x-key", b"b")],
        [(b"x-key", b"b"), (b"x-key", b"a")],
        [(b"x-key", b"b"), (b"x_key", b"a")],
        [(b"x.key", b"a"), (b"x-key", b"b")],
        [(b"x_key", b"b")],
        [(b"x-key", b"b, a")],
    ],
)
def test_no_header_beside_the_required_one_says_something_else(headers: Headers) -> None:
    """Which of several the backend reads is not known, and a CGI-style one reads other spellings as well."""
    assert judged(rules(("require_header", "X-Key: b")), headers) == "require_header"


def test_the_required_header_may_be_repeated() -> None:
    """The same value on several lines is that value; without one in the policy any will do."""
    assert judged(rules(("require_header", "X-Key: b")), [(b"x-key", b"b"), (b"x-key", b"b"), (b"x_key", b"b")]) is None
    assert judged(rules(("require_header", "X-Key")), [(b"x-key", b"b"), (b"x_key", b"a")]) is None
    assert judged(rules(("require_header", "X-Key")), [(b"x_key", b"a")]) == "require_header"


@pytest.mark.parametrize("name", [b"user_agent", b"user.agent", b"user!agent"])
def test_other_spellings_of_user_agent_are_judged(name: bytes) -> None:
    """They are the same to a CGI-style backend."""
    headers = [(b"user-agent", b"fine"), (name, b"BadBot")]
    assert judged(rules(("block_user_agent", "badbot")), headers) == "block_user_agent"


def test_what_the_proxy_says_counts() -> None:
    """The backend sees the proxy's forwarding headers, and the upgrade of a WebSocket."""
    assert judged(rules(("require_header", "X-Real-IP: 192.0.2.1")), []) is None
    assert judged(rules(("require_header", "X-Forwarded-Proto: http")), []) == "require_header"
    assert judged(rules(("require_header", "Upgrade: websocket")), [], websocket=True) is None
    assert judged(rules(("require_header", "Upgrade: websocket")), []) == "require_header"


def test_what_connection_takes_away_is_not_there() -> None:
    """A header that the backend will not see meets no requirement, in both versions."""
    needed = rules(("require_header", "X-Env: prod"))
    received = [(b"x-env", b"prod"), (b"connection", b"close, X-Env")]
    forwarding = Forwarding("192.0.2.1").fields(b"a.example")
    blocking = needed.judge(RequestRules().from_http1(b"GET", b"/", b"a", received), forwarding)
    assert blocking == Policy(":443", "a.example", "require_header", "X-Env: prod")
    assert needed.judge(RequestRules().from_http1(b"GET", b"/", b"a", received[:1]), forwarding) is None


def test_all_requirements_must_be_met() -> None:
    """Several requirements add up."""
    both = rules(("require_header", "X-Key"), ("require_header", "X-Other"))
    assert judged(both, HEADERS) == "require_header"
    assert judged(both, [*HEADERS, (b"x-other", b"")]) is None


def test_required_host_is_the_authority() -> None:
    """A required Host is met by the authority, in whichever version it came."""
    assert judged(rules(("require_header", "Host: a.example")), HEADERS) is None
    assert judged(rules(("require_header", "Host: b.example")), HEADERS) == "require_header"


def test_blocked_agent_is_told_before_a_missing_header() -> None:
    """When both policies block, the agent's is counted."""
    both = rules(("require_header", "X-Other"), ("block_user_agent", "badbot"))
    assert judged(both, HEADERS) == "block_user_agent"
