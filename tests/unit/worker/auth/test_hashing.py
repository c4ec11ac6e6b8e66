"""Checks of passwords in threads: who is told what, what waits, and what is remembered."""

import asyncio
import base64
import hashlib
import os
import threading
from collections.abc import Iterator

import bcrypt
import pytest

from mcproxy.policy.filters.passwords import Bcrypt, PasswordHash, read_users
from mcproxy.worker.auth import hashing
from mcproxy.worker.auth.hashing import KEPT, OF_ONE, WAITING, Check, Hashing
from tests.support.guarded import turn_until


class Waits:
    """Who waits for a verdict."""

    def __init__(self) -> None:
        self.told: list[bool] = []

    def on_verdict(self, *, right: bool) -> None:
        self.told.append(right)


class Desk:
    """A service with a clock of the test's, and hashes that are made to wait until the test lets them go."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.now = 1000.0
        self.failures: list[Exception] = []
        self.hashing = Hashing(loop, lambda: self.now, self.failures.append)
        self.stored: PasswordHash = Bcrypt(bcrypt.hashpw(b"secret", bcrypt.gensalt(4)))

    def ask(self, password: bytes, *, known: bool = True, source: bytes = b"1") -> tuple[Waits, bool]:
        waits = Waits()
        key = self.hashing.key(self.stored, b"anna", password)
        return waits, self.hashing.ask(Check(key, self.stored, password, known, source, [waits]))

    def verdict(self, password: bytes) -> bool | None:
        return self.hashing.verdict(self.hashing.key(self.stored, b"anna", password))

    def until_told(self, *waiting: Waits) -> None:
        turn_until(self.loop, lambda: all(each.told for each in waiting))

    def until_idle(self) -> None:
        turn_until(self.loop, lambda: not self.hashing._checks)


@pytest.fixture
def desk() -> Iterator[Desk]:
    loop = asyncio.new_event_loop()
    desk = Desk(loop)
    yield desk
    desk.until_idle()
    loop.close()


class Held:
    """Hashes wait here until `let_go`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Semaphore(0)
        self._go = threading.Semaphore(0)
        real = bcrypt.checkpw
        self.priorities: list[int] = []
        self.threads: set[threading.Thread] = set()

        class Library:
            @staticmethod
            def checkpw(password: bytes, text: bytes) -> bool:
                self.priorities.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
                self.threads.add(threading.current_thread())
                self.begun.release()
                assert self._go.acquire(timeout=60)
                return real(password, text)

        monkeypatch.setattr(hashing, "bcrypt", Library)

    def let_go(self, count: int) -> None:
        self._go.release(count)


@pytest.mark.parametrize("kind", ["bcrypt", "scrypt"])
def test_verdicts(desk: Desk, kind: str) -> None:
    """Right and wrong; an unknown user is wrong whatever the hash says, and each verdict is known from then on."""
    if kind == "scrypt":
        digest = base64.b64encode(hashlib.scrypt(b"secret", salt=b"s" * 16, n=16, r=8, p=1))
        line = b"a:$scrypt$ln=4,r=8,p=1$" + base64.b64encode(b"s" * 16).rstrip(b"=") + b"$" + digest
        desk.stored = read_users(line).hashes[b"a"]
    right, wrong = desk.ask(b"secret")[0], desk.ask(b"Secret")[0]
    assert desk.verdict(b"secret") is None
    desk.until_told(right, wrong)
    assert (right.told, wrong.told) == ([True], [False])
    assert (desk.verdict(b"secret"), desk.verdict(b"Secret"), desk.verdict(b"other")) == (True, False, None)
    desk.stored = desk.stored if kind == "scrypt" else Bcrypt(bcrypt.hashpw(b"secret", bcrypt.gensalt(4)))
    desk.now += KEPT + 1
    unknown, _ = desk.ask(b"secret", known=False)
    desk.until_told(unknown)
    assert unknown.told == [False]
    assert desk.failures == []


@pytest.mark.parametrize("password", [b"", b"x" * 200, b"a\0b", b"\xff\xfe"])
def test_any_password_has_a_verdict(desk: Desk, password: bytes) -> None:
    """What the library would not take is wrong, or as right as its first 72 bytes, as everywhere."""
    waits, _ = desk.ask(password)
    desk.until_told(waits)
    assert waits.told == [False]
    desk.stored = Bcrypt(bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)))
    waits, _ = desk.ask(b"x" * 200)
    desk.until_told(waits)
    assert waits.told == [True]


def test_a_verdict_is_kept_for_five_minutes_after_its_last_use(desk: Desk) -> None:
    """Then the password has to be checked again."""
    waits, _ = desk.ask(b"secret")
    desk.until_told(waits)
    for _ in range(3):
        desk.now += KEPT - 1
        assert desk.verdict(b"secret") is True
    desk.now += KEPT + 1
    assert desk.verdict(b"secret") is None


def test_the_numbers_are_those_of_the_documentation() -> None:
    """What waits, what one client may have of it, and how long a verdict is kept."""
    assert (WAITING, OF_ONE, KEPT) == (64, 16, 300)


def test_wrong_passwords_do_not_push_out_right_ones(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have a place of their own, where the oldest make room."""
    monkeypatch.setattr(hashing, "_MOST", 8)
    waits, _ = desk.ask(b"secret")
    desk.until_told(waits)
    wrong = []
    for number in range(20):
        each, room = desk.ask(b"wrong%d" % number, source=b"%d" % number)
        assert room
        wrong.append(each)
    desk.until_told(*wrong)
    assert desk.verdict(b"secret") is True
    assert [desk.verdict(b"wrong%d" % number) for number in range(20)].count(False) == 8


def test_what_waits_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In all, and for one client, so that others find room beside who knocks fast; threads have the lowest priority."""
    held = Held(monkeypatch)
    first, _ = desk.ask(b"p")
    assert held.begun.acquire(timeout=30)
    rooms = [desk.ask(b"a%d" % number, source=b"loud")[1] for number in range(WAITING)]
    assert rooms == [True] * OF_ONE + [False] * (WAITING - OF_ONE)
    rooms = [desk.ask(b"b%d" % number, source=b"%d" % number)[1] for number in range(WAITING)]
    assert rooms == [True] * (WAITING - OF_ONE) + [False] * OF_ONE
    joined, room = desk.ask(b"p", source=b"another")
    assert room, "the same is being checked already"
    held.let_go(1 + WAITING)
    desk.until_told(first, joined)
    assert first.told == joined.told == [False]
    assert set(held.priorities) == {19}


def test_who_asks_the_same_is_told_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one check; and who has left meanwhile is told nothing."""
    held = Held(monkeypatch)
    asked = [desk.ask(b"secret")[0] for _ in range(3)]
    key = desk.hashing.key(desk.stored, b"anna", b"secret")
    assert held.begun.acquire(timeout=30)
    assert desk.hashing.forget(key, asked[1])
    assert not desk.hashing.forget(key, asked[1])
    held.let_go(1)
    desk.until_told(asked[0], asked[2])
    assert [each.told for each in asked] == [[True], [], [True]]
    assert len(held.priorities) == 1


def test_who_leaves_gives_up_the_place(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody waits for any more is not checked, and what has begun leaves a verdict."""
    held = Held(monkeypatch)
    begun, _ = desk.ask(b"begun")
    assert held.begun.acquire(timeout=30)
    waits, _ = desk.ask(b"waits")
    last, _ = desk.ask(b"secret")
    for each, password in ((begun, b"begun"), (waits, b"waits")):
        assert desk.hashing.forget(desk.hashing.key(desk.stored, b"anna", password), each)
    held.let_go(3)
    desk.until_told(last)
    assert (begun.told, waits.told) == ([], [])
    assert (desk.verdict(b"begun"), desk.verdict(b"waits"), desk.verdict(b"secret")) == (False, None, True)
    assert len(held.priorities) == 2


def test_a_waiter_that_fails_takes_no_other_along(desk: Desk) -> None:
    """Its error is reported."""

    class Faulty(Waits):
        def on_verdict(self, *, right: bool) -> None:
            raise RuntimeError

    key = desk.hashing.key(desk.stored, b"anna", b"secret")
    faulty, good = Faulty(), Waits()
    assert desk.hashing.ask(Check(key, desk.stored, b"secret", True, b"1", [faulty, good]))
    desk.until_told(good)
    assert [type(each) for each in desk.failures] == [RuntimeError]


def test_threads_are_this_workers_share_of_the_cpus(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One per CPU over all workers, and one at least; those that are too many end when they are done with what they have."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    held = Held(monkeypatch)
    desk.hashing.share(2)
    asked = [desk.ask(b"a%d" % number, source=b"%d" % number)[0] for number in range(5)]
    for _ in range(3):
        assert held.begun.acquire(timeout=30)
    mine = held.threads
    assert len(mine) == 3
    desk.hashing.share(12)
    held.let_go(5)
    desk.until_told(*asked)
    last = desk.ask(b"b", source=b"b")[0]
    held.let_go(1)
    desk.until_told(last)
    turn_until(desk.loop, lambda: sum(thread.is_alive() for thread in mine) == 1)
