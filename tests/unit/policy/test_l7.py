"""The L7 policies of a route."""

from typing import Literal

import pytest

from mcproxy.model.state.state import Policy
from mcproxy.policy.l7 import L7Rules

HEADERS = [(b"host", b"a.example"), (b"user-agent", b"Mozilla/5.0 (BadBot/1.0)"), (b"x-key", b"Secret")]


def rules(*policies: tuple[Literal["block_user_agent", "require_header"], str]) -> L7Rules:
    """Return the rules of a route with these policies."""
    return L7Rules(Policy(":443", "a.example", kind, value) for kind, value in policies)


def test_no_policies_block_nothing() -> None:
    """A route without policies lets everything pass."""
    assert rules().judge([]) is None
    assert rules().judge(HEADERS) is None


@pytest.mark.parametrize("value", ["BadBot", "badbot", "BADBOT/1", "(b", "mozilla/5.0 (badbot/1.0)"])
def test_user_agent_is_blocked(value: str) -> None:
    """Any part of the user agent matches, whatever the case."""
    assert rules(("block_user_agent", value)).judge(HEADERS) == "block_user_agent"


def test_other_user_agents_pass() -> None:
    """Another agent passes, and so does a request that names none."""
    blocked = rules(("block_user_agent", "GoodBot"), ("block_user_agent", "badbot2"))
    assert blocked.judge(HEADERS) is None
    assert rules(("block_user_agent", "BadBot")).judge([(b"x-agent", b"BadBot")]) is None


def test_every_user_agent_line_is_judged() -> None:
    """A second User-Agent does not hide behind the first."""
    headers = [(b"user-agent", b"fine"), (b"user-agent", b"badbot")]
    assert rules(("block_user_agent", "other"), ("block_user_agent", "BadBot")).judge(headers) == "block_user_agent"


@pytest.mark.parametrize(
    "value", ["X-Key", "x-key", " X-Key ", "X-Key: Secret", "x-key:Secret", "X-Key:  Secret ", "X-Key:"]
)
def test_requirement_met(value: str) -> None:
    """A header of that name is enough, or one of exactly that value."""
    assert rules(("require_header", value)).judge(HEADERS) is None


@pytest.mark.parametrize("value", ["X-Other", "X-Key: secret", "X-Key: Secret2", "X-Key: Secre"])
def test_requirement_not_met(value: str) -> None:
    """A missing header or another value blocks; values are compared exactly."""
    assert rules(("require_header", value)).judge(HEADERS) == "require_header"


def test_any_line_of_a_header_counts() -> None:
    """The value may be on any of several lines of the header."""
    headers = [(b"x-key", b"a"), (b"x-key", b"b")]
    assert rules(("require_header", "X-Key: b")).judge(headers) is None


def test_all_requirements_must_be_met() -> None:
    """Several requirements add up."""
    both = rules(("require_header", "X-Key"), ("require_header", "X-Other"))
    assert both.judge(HEADERS) == "require_header"
    assert both.judge([*HEADERS, (b"x-other", b"")]) is None


def test_required_host_is_the_authority_in_http2() -> None:
    """A required Host is met by ``:authority`` too."""
    required = rules(("require_header", "Host: a.example"))
    assert required.judge([(b":authority", b"a.example")]) is None
    assert required.judge(HEADERS) is None
    assert required.judge([(b":authority", b"b.example")]) == "require_header"


def test_blocked_agent_is_told_before_a_missing_header() -> None:
    """When both policies block, the agent's is counted."""
    both = rules(("require_header", "X-Other"), ("block_user_agent", "badbot"))
    assert both.judge(HEADERS) == "block_user_agent"
