"""Counters in memory that control and all workers share.

One sparse memfd holds a room per slot; every process writes into the room of its own slot only, in aligned 8-byte
words, so that a reader never sees half a number. Slot 0 is control's: it receives the totals of slots whose process
is gone, so that nothing is lost by a kill. Only touched pages cost memory.

A room is a row of listener blocks and a row of route blocks, addressed by the stable indices that control assigns.
"""

import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

SLOTS = 128
CONTROL_SLOT = 0
MAX_LISTENERS = 1024
MAX_ROUTES = 65_536

REASONS = (
    "not_tls",
    "bad_hello",
    "hello_too_large",
    "hello_truncated",
    "hello_timeout",
    "unexpected_proxy_header",
    "no_sni",
    "no_route",
    "backend_dns",
    "backend_refused",
    "backend_timeout",
    "no_resources",
    "client_gone",
)
"""Why a connection got no route or no backend; each is a counter of its listener."""

_ACCEPTED = 0
_FIRST_REASON = 1
_LISTENER_WORDS = 64

ROUTE_CONNECTIONS = 0
ROUTE_ACTIVE = 1
ROUTE_BYTES_RECEIVED = 2
ROUTE_BYTES_SENT = 3
_ROUTE_WORDS = 8
_GAUGES = (ROUTE_ACTIVE,)

_ROUTES_AT = MAX_LISTENERS * _LISTENER_WORDS
_ROOM_WORDS = _ROUTES_AT + MAX_ROUTES * _ROUTE_WORDS
_REASON_WORD = {reason: _FIRST_REASON + number for number, reason in enumerate(REASONS)}


def accepted_word(listener: int) -> int:
    """Return the word, relative to a room, that counts a listener's accepted connections."""
    return listener * _LISTENER_WORDS + _ACCEPTED


def reason_word(listener: int, reason: str) -> int:
    """Return the word that counts one reason of a listener; raises KeyError for a reason not in `REASONS`."""
    return listener * _LISTENER_WORDS + _REASON_WORD[reason]


def route_word(route: int, counter: int) -> int:
    """Return the word of one of a route's counters (``ROUTE_...``)."""
    return _ROUTES_AT + route * _ROUTE_WORDS + counter


class SharedMemory:
    """The rooms of all slots."""

    def __init__(self, fd: int) -> None:
        """Map an existing memory; ``fd`` belongs to this object from now on."""
        self.fd = fd
        self._map = mmap.mmap(fd, SLOTS * _ROOM_WORDS * 8)
        self._words = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls) -> "SharedMemory":
        """Make a new memory, all zero."""
        fd = os.memfd_create("mcproxy-counters")
        os.ftruncate(fd, SLOTS * _ROOM_WORDS * 8)
        return cls(fd)

    def room(self, slot: int) -> memoryview:
        """Return the words of one slot."""
        return self._words[slot * _ROOM_WORDS : (slot + 1) * _ROOM_WORDS]

    def total(self, word: int, slots: Iterable[int]) -> int:
        """Return a counter's sum over the slots in use (reading a word of an untouched room would cost it a page)."""
        words = self._words
        return sum(words[slot * _ROOM_WORDS + word] for slot in slots)

    def fold(self, slot: int, listeners: Iterable[int], routes: Iterable[int]) -> None:
        """Add a dead process' totals to control's own and clean its room; what was active is active no more."""
        with self._view(CONTROL_SLOT) as own, self._view(slot) as dead:
            for listener in listeners:
                start = listener * _LISTENER_WORDS
                _fold_block(own, dead, start, _LISTENER_WORDS, ())
            for route in routes:
                _fold_block(own, dead, route_word(route, 0), _ROUTE_WORDS, _GAUGES)

    def clear_listener(self, listener: int, slots: Iterable[int]) -> None:
        """Zero an index before it is given to another listener."""
        self._clear(listener * _LISTENER_WORDS, _LISTENER_WORDS, slots)

    def clear_route(self, route: int, slots: Iterable[int]) -> None:
        """Zero an index before it is given to another route; nothing of the old one may be active any more."""
        self._clear(route_word(route, 0), _ROUTE_WORDS, slots)

    def close(self) -> None:
        """Unmap and close; views handed out by `room` must be released before."""
        self._words.release()
        self._map.close()
        os.close(self.fd)

    def _clear(self, start: int, count: int, slots: Iterable[int]) -> None:
        for slot in slots:
            at = slot * _ROOM_WORDS + start
            self._words[at : at + count] = memoryview(bytes(8 * count)).cast("Q")

    @contextmanager
    def _view(self, slot: int) -> Iterator[memoryview]:
        view = self.room(slot)
        try:
            yield view
        finally:
            view.release()


def _fold_block(own: memoryview, dead: memoryview, start: int, count: int, gauges: tuple[int, ...]) -> None:
    for offset in range(count):
        word = start + offset
        if dead[word]:
            if offset not in gauges:
                own[word] += dead[word]
            dead[word] = 0
