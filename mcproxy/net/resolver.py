"""Backend names to addresses, without waiting where an answer is at hand.

An answer counts for 30 s. One that is used in the second half of that time is refreshed behind the use, so that a busy
backend never waits for DNS. An older one is used as well: whoever asks waits 0.2 s for a newer, once; while DNS does not
answer or fails, nobody waits, and the name is asked for again behind the use.

Lookups are getaddrinfo(3), so that /etc/hosts, search domains and nsswitch.conf count as everywhere else on the system
(a resolver of our own, as c-ares has one, reads only part of these). A lookup has a thread, which lives as long as it
does: nothing waits for a thread of another name. The bounds are one lookup per name, 64 for the names of one zone (what
follows a name's first dot), so that a dead zone leaves room for others, and 256 in all.
"""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import TypeAlias

from mcproxy.net.sockets import SocketAddress

_TTL = 30.0  # seconds
_REFRESH_AFTER = 15.0  # seconds
_PATIENCE = 0.2  # seconds for a newer answer than one that is too old
_PAUSE = 1.0  # seconds between the lookups of a name whose address is known, when they fail
_PER_ZONE = 64
_LOOKUPS = 256

Addresses: TypeAlias = tuple[SocketAddress, ...]
"""Every address of a name, in the order to try them; empty when the lookup failed and nothing is known."""
Callback: TypeAlias = Callable[[Addresses], None]


class _Name:
    """What is known of a name, and who waits for more.

    Attributes:
        answered_at: when the last answer came (monotonic seconds).
        asked_at: when the last lookup began or was queued.
        asking: that lookup is not over.
        failing: the last lookup has failed, or takes too long.
        waiting: ports, and who is to be told.
        renewing: the same, of those to whom a new answer alone counts.
    """

    __slots__ = ("_addresses", "_by_port", "answered_at", "asked_at", "asking", "failing", "renewing", "waiting")

    def __init__(self) -> None:
        self._addresses: Addresses = ()
        self._by_port: dict[int, Addresses] = {}
        self.answered_at = self.asked_at = 0.0
        self.asking = self.failing = False
        self.waiting: list[tuple[int, Callback]] = []
        self.renewing: list[tuple[int, Callback]] = []

    def learn(self, addresses: Addresses) -> None:
        """Take an answer, whose ports are 0."""
        if addresses != self._addresses:
            self._addresses = addresses
            self._by_port.clear()

    def addresses(self, port: int) -> Addresses:
        """Return the last answer, with a port."""
        found = self._by_port.get(port)
        if found is None:
            found = self._by_port[port] = tuple(
                (family, (address[0], port, *address[2:]))  # host, port, and for IPv6 two more
                for family, address in self._addresses
            )
        return found

    def tell(self) -> None:
        """Let everybody who waits have what is known."""
        waiting, self.waiting = self.waiting, []
        for port, callback in waiting:
            callback(self.addresses(port))


class Resolver:
    """A cache in front of getaddrinfo(3)."""

    __slots__ = ("_closed", "_loop", "_names", "_queued", "_running")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._names: dict[str, _Name] = {}
        self._queued: list[str] = []
        self._running: Counter[str] = Counter()  # lookups by zone
        self._closed = False

    def lookup(self, host: str, port: int, callback: Callback) -> None:
        """Call back with the addresses of ``host``: at once when they are known, else when the lookup is done."""
        name = self._names.get(host)
        if name is None:
            name = self._names[host] = _Name()
        known = name.addresses(port)
        now = time.monotonic()
        age = now - name.answered_at
        if not name.asking and (
            not known or (age >= _REFRESH_AFTER and not (name.failing and now - name.asked_at < _PAUSE))
        ):
            self._ask(host, name, now)
        if known and (age < _TTL or name.failing or now - name.asked_at >= _PATIENCE):
            callback(known)
            return
        if known and not name.waiting:
            self._loop.call_later(_PATIENCE, self._wait_no_longer, name)
        name.waiting.append((port, callback))

    def renew(self, host: str, port: int, callback: Callback) -> None:
        """Ask for ``host`` whatever is known; call back with the answer, with nothing if the lookup fails."""
        name = self._names.setdefault(host, _Name())
        name.renewing.append((port, callback))
        if not name.asking:
            self._ask(host, name, time.monotonic())

    def close(self) -> None:
        """Drop the lookups that have not begun; nobody is told of the others."""
        self._closed = True
        self._queued.clear()

    def _ask(self, host: str, name: _Name, now: float) -> None:
        name.asking = True
        name.asked_at = now
        self._queued.append(host)
        self._begin()

    def _begin(self) -> None:
        """Begin the queued lookups for which there is room."""
        waiting, self._queued = self._queued, []
        for host in waiting:
            zone = _zone(host)
            if self._running[zone] >= _PER_ZONE or self._running.total() >= _LOOKUPS:
                self._queued.append(host)
                continue
            self._running[zone] += 1
            try:
                threading.Thread(target=self._look_up, args=(host,), name="resolver", daemon=True).start()
            except RuntimeError:  # the system has no thread to give
                self._loop.call_soon(self._answer, host, ())

    def _look_up(self, host: str) -> None:
        """In a thread of its own."""
        found = _addresses(host)
        if not self._closed:
            self._loop.call_soon_threadsafe(self._answer, host, found)

    def _answer(self, host: str, addresses: Addresses) -> None:
        name = self._names[host]
        name.asking = False
        name.failing = not addresses
        if addresses:
            name.answered_at = time.monotonic()
            name.learn(addresses)
        zone = _zone(host)
        self._running[zone] -= 1
        if not self._running[zone]:
            del self._running[zone]
        if self._queued:
            self._begin()
        renewing, name.renewing = name.renewing, []
        for port, callback in renewing:
            callback(name.addresses(port) if addresses else ())
        name.tell()

    def _wait_no_longer(self, name: _Name) -> None:
        if name.waiting:  # else the newer answer came in time
            name.failing = True
            name.tell()


def _zone(host: str) -> str:
    return host.partition(".")[2]


def _addresses(host: str) -> Addresses:
    """Ask the system; the families take turns, beginning with the one that the system prefers (RFC 8305, section 4)."""
    try:
        # No AI_ADDRCONFIG: it hides an IPv6 address in /etc/hosts where loopback alone has one. An address whose family
        # can't be reached fails at once when it is dialed.
        # As bytes: of a str Python would encode each label, by a module that a worker's user may not be able to read.
        found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    # only AF_INET and AF_INET6 come with SOCK_STREAM; /etc/hosts may name an address twice
    addresses: list[SocketAddress] = list(dict.fromkeys((int(each[0]), each[4]) for each in found))  # type: ignore[misc]
    if not addresses:
        return ()
    first = [each for each in addresses if each[0] == addresses[0][0]]
    second = [each for each in addresses if each[0] != addresses[0][0]]
    return tuple(each for each in chain.from_iterable(zip_longest(first, second)) if each is not None)
