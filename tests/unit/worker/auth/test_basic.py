"""The guard of `basic_auth`: who passes, who is refused, and with which words."""

import asyncio
import base64
from collections.abc import Iterator

import bcrypt
import pytest

from mcproxy.policy.filters.passwords import read_users
from mcproxy.policy.headers import RequestHead
from mcproxy.policy.rate_window import client_key
from mcproxy.worker.auth.basic import BasicAuth
from mcproxy.worker.auth.hashing import Check, Hashing
from tests.support.guarded import GRPC, Guarded, turn_until

SECRET = bcrypt.hashpw(b"secret", bcrypt.gensalt(4))
USERS = read_users(b"anna:" + SECRET)


def basic(user: bytes = b"anna", password: bytes = b"secret") -> tuple[bytes, bytes]:
    return b"authorization", b"Basic " + base64.b64encode(user + b":" + password)


class Door:
    """A guard, its service and requests that come to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, keeps: bool = False) -> None:
        self.loop = loop
        self.hashing = Hashing(loop, lambda: 1000.0, _fail)
        self.guard = BasicAuth("ops", USERS, self.hashing, keeps=keeps)

    def come(self, *headers: tuple[bytes, bytes]) -> Guarded:
        asked = Guarded(self.guard, RequestHead(b"GET", b"a.example", b"/", list(headers)))
        self.guard.acquire(asked.exchange)
        return asked

    def until_decided(self, asked: Guarded) -> None:
        turn_until(self.loop, lambda: asked.passed or asked.exchange.over)


def _fail(error: Exception) -> None:
    raise error


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_who_has_the_password_passes_without_it(loop: asyncio.AbstractEventLoop) -> None:
    """The first time it is hashed, then it is known; the backend does not get it."""
    door = Door(loop)
    asked = door.come((b"accept", b"*/*"), basic())
    assert asked.verdicts() == []
    door.until_decided(asked)
    assert asked.verdicts() == ["passed"]
    assert asked.exchange.head.headers == [(b"accept", b"*/*")]
    assert asked.exchange.asked.headers[1] == basic(), "the client's own words stay"
    assert door.come(basic()).passed


def test_a_backend_gets_the_password_where_it_is_to(loop: asyncio.AbstractEventLoop) -> None:
    """It has users of its own, who have the same passwords."""
    door = Door(loop, keeps=True)
    asked = door.come(basic())
    door.until_decided(asked)
    assert asked.exchange.head.headers == [basic()]


@pytest.mark.parametrize("header", [basic(password=b"Secret"), basic(user=b"otto"), basic(user=b"")])
def test_who_has_not_is_asked_for_it(loop: asyncio.AbstractEventLoop, header: tuple[bytes, bytes]) -> None:
    """Whether it is the user or the password that is wrong, also when that is known already."""
    door = Door(loop)
    asked = door.come(header)
    assert asked.client.heard() == []
    door.until_decided(asked)
    for each in (asked, door.come(header)):
        assert each.client.heard()[0] == "respond 401 content-type content-length www-authenticate"
        assert (each.refusals, each.passed) == ([("auth", "ops")], False)
        assert each.exchange.reason == "basic_auth"


def test_who_says_nothing_is_asked_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """There is nothing to hash."""
    for headers in ([], [(b"authorization", b"Bearer x")], [basic(), basic()]):
        asked = Door(loop).come(*headers)
        assert asked.client.fields[b"www-authenticate"] == b'Basic realm="ops", charset="UTF-8"'
        assert asked.exchange.status == 401


def test_a_client_of_grpc_is_told_by_its_status(loop: asyncio.AbstractEventLoop) -> None:
    """UNAUTHENTICATED, in a response of 200."""
    asked = Door(loop).come(*GRPC)
    assert asked.exchange.status == 200
    assert asked.client.fields[b"grpc-status"] == b"16"


def test_who_finds_no_room_may_come_again(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is worth it is told."""
    monkeypatch.setattr(Hashing, "ask", lambda *_: False)
    asked = Door(loop).come(basic())
    assert asked.client.heard()[0] == "respond 503 content-type content-length retry-after"
    assert asked.exchange.reason == "basic_auth_busy"
    assert asked.refusals == [("auth", "ops")]


@pytest.mark.parametrize("named", [b"", b"\x20\x01\x0d\xb8" + bytes(12)])
def test_a_client_is_who_has_sent_the_request(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, named: bytes
) -> None:
    """Behind a trusted proxy not that, so that its clients do not take each other's places; of IPv6 a network is one client."""
    checks: list[Check] = []

    def ask(_: Hashing, check: Check) -> bool:
        checks.append(check)
        return True

    monkeypatch.setattr(Hashing, "ask", ask)
    door = Door(loop)
    for last in (b"\1", b"\2"):
        asked = Guarded(door.guard, RequestHead(b"GET", b"a.example", b"/", [basic()]))
        asked.exchange.source = named and named[:-1] + last
        door.guard.acquire(asked.exchange)
    assert len({check.source for check in checks}) == 1
    assert (checks[0].source == client_key(asked.client.source)) == (not named)


def test_who_leaves_is_forgotten(loop: asyncio.AbstractEventLoop) -> None:
    """Its password gets its verdict, and nothing else happens."""
    door = Door(loop)
    asked = door.come(basic())
    asked.exchange.on_client_gone("client_reset")
    other = door.come(basic())
    door.until_decided(other)
    assert other.passed
    assert not asked.passed
    assert asked.client.heard() == ["over: client_reset", "finished"]


def test_who_waits_for_room_asks_again(loop: asyncio.AbstractEventLoop) -> None:
    """A client that does not read has its requests put aside; they come to the guard again."""
    door = Door(loop)
    asked = door.come(basic())
    assert door.guard.abandon(asked.exchange)
    assert not door.guard.abandon(asked.exchange)
    door.guard.acquire(asked.exchange)
    door.until_decided(asked)
    assert asked.passed


def test_an_error_behind_the_guard_ends_the_request(loop: asyncio.AbstractEventLoop) -> None:
    """Nobody would tell the client otherwise."""
    failures: list[Exception] = []
    door = Door(loop)
    door.hashing._report = failures.append
    asked = door.come(basic())
    asked.failing = True
    door.until_decided(asked)
    assert [type(each) for each in failures] == [RuntimeError]
    assert "finished" in asked.client.heard()
