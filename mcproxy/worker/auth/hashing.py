"""Checks passwords in threads of the lowest priority, and remembers the verdicts; home of bcrypt.

A check takes a twentieth of a second of a CPU, and anybody may ask for one. So there are as many threads as this worker's share of the
CPUs, which get what nothing else wants of these; a bounded number of checks wait for them, of which one client has a quarter at most, so
that who knocks fast does not keep others out. Verdicts are kept by a keyed hash of all that they depend on, those that say yes apart from
those that say no: wrong passwords can be made up without end, and must not push out the right ones.

A thread takes the interpreter for some ten microseconds per check, as bcrypt and scrypt work without it.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

import bcrypt
import msgspec

from mcproxy.policy.filters.passwords import Bcrypt, PasswordHash, is_scrypt_of, verdict_key

WAITING = 64
"""Checks that may wait for a thread of this worker."""
OF_ONE = WAITING // 4
"""Those of them that may come from one client."""
KEPT = 300.0
"""Seconds that a verdict is kept after it was asked for last."""
_MOST = 4096  # verdicts of each kind
_LOWEST = 19
_BCRYPT_BYTES = 72  # of a password, that count


class Waiter(Protocol):
    """Who waits for a verdict."""

    def on_verdict(self, *, right: bool) -> None:
        """Go on: the password is right, or not."""


class Check(msgspec.Struct, eq=False):
    """A password that is being checked, or waits for that.

    Attributes:
        key: what the verdict is remembered by.
        stored: what it is checked against.
        password: itself.
        known: whether there is such a user; if not, the verdict is no, whatever the hash says.
        source: the client who asked first, as `rate_window.client_key` tells it.
        waiters: who wants to know.
        right: the verdict.
    """

    key: bytes
    stored: PasswordHash
    password: bytes
    known: bool
    source: bytes
    waiters: list[Waiter]
    right: bool = False


class Hashing:
    """The checks of one worker."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], report: Callable[[Exception], object]
    ) -> None:
        """Start no thread before the first check.

        Args:
            loop: the event loop, in which all methods are called.
            clock: tells the time (monotonic seconds).
            report: gets the exceptions that waiters raise.
        """
        self._loop = loop
        self._clock = clock
        self._report = report
        self._secret = os.urandom(64)
        self._verdicts: dict[bool, dict[bytes, float]] = {True: {}, False: {}}  # when they are forgotten, by key
        self._checks: dict[bytes, Check] = {}
        self._waiting: deque[Check] = deque()
        self._ready: SimpleQueue[bool] = SimpleQueue()  # True: something waits; False: a thread is to end
        self._wanted = 1
        self._threads = 0

    def share(self, workers: int) -> None:
        """Have so many threads that all ``workers`` together have one per CPU, each one at least."""
        self._wanted = max(1, len(os.sched_getaffinity(0)) // max(1, workers))
        for _ in range(self._threads - self._wanted):
            self._ready.put(False)
        self._threads = min(self._threads, self._wanted)

    def key(self, stored: PasswordHash, user: bytes, password: bytes) -> bytes:
        """Return what the verdict about a password is remembered by."""
        return verdict_key(self._secret, stored, user, password)

    def verdict(self, key: bytes) -> bool | None:
        """Return what is known, None for nothing; it is kept for longer by that."""
        now = self._clock()
        for right, kept in self._verdicts.items():
            until = kept.pop(key, 0.0)
            if until > now:
                kept[key] = now + KEPT
                return right
        return None

    def ask(self, check: Check) -> bool:
        """Have the waiters of a new check told the verdict, with those who ask the same; tell whether there is room for it."""
        under_way = self._checks.get(check.key)
        if under_way is not None:
            under_way.waiters += check.waiters
            return True
        waiting = self._waiting
        if len(waiting) >= WAITING or sum(other.source == check.source for other in waiting) >= OF_ONE:
            return False
        self._checks[check.key] = check
        waiting.append(check)
        self._ready.put(True)
        if self._threads < self._wanted:
            self._threads += 1
            threading.Thread(target=self._work, name="passwords", daemon=True).start()
        return True

    def forget(self, key: bytes, waiter: Waiter) -> bool:
        """Tell nothing to who waits no longer; tell whether it did."""
        check = self._checks.get(key)
        if check is None or waiter not in check.waiters:
            return False
        check.waiters.remove(waiter)
        if not check.waiters:
            try:
                self._waiting.remove(check)
            except ValueError:
                return True  # a thread has it: somebody may ask the same before it is done
            del self._checks[key]
        return True

    def _work(self) -> None:
        """Check one after another, in a thread of its own."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
        while self._ready.get():
            try:
                check = self._waiting.popleft()
            except IndexError:
                continue  # it was forgotten
            check.right = _is_right(check)
            self._loop.call_soon_threadsafe(self._done, check)

    def _done(self, check: Check) -> None:
        kept = self._verdicts[check.right]
        if len(kept) >= _MOST:
            del kept[next(iter(kept))]
        kept[check.key] = self._clock() + KEPT
        self._checks.pop(check.key, None)
        for waiter in check.waiters:
            try:
                waiter.on_verdict(right=check.right)
            except Exception as error:  # noqa: BLE001 - the others have to hear of it as well
                self._report(error)


def _is_right(check: Check) -> bool:
    """Tell whether a password is right; an error of the libraries says no."""
    stored, password = check.stored, check.password
    try:
        if isinstance(stored, Bcrypt):
            same = bcrypt.checkpw(password[:_BCRYPT_BYTES], stored.text)
        else:
            same = is_scrypt_of(stored, password)
    except (ValueError, MemoryError):
        return False
    return same and check.known
