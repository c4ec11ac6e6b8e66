"""Memory that control and all workers share: counters, connection limits, rate limits.

One sparse memfd; only touched pages cost memory. Everything is an aligned 8-byte word with one writer, so that a
reader never sees half a number. The parts, in this order:

* a header page: how many slots were ever in use, so that sums need not look further, how many indices were ever given
  out, and who writes to which slot, so that a new control knows them;
* **admission**: per listener its connection limit (written by control) and, per slot, how many connections are open;
* **rooms**: per slot the counters of every listener and route, addressed by the stable indices that control assigns.
  Slot 0 is control's: it receives the totals of slots whose process is gone, so that nothing is lost by a kill;
* **tables**: per slot the words of the rate limiter. They outlive the process that wrote them: a window's counts stay.
"""

import mmap
import os
from collections.abc import Iterable

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
    "tls_failed",
    "tls_timeout",
    "limit",
    "untrusted_proxy",
    "no_proxy_header",
    "bad_proxy_header",
    "proxy_header_too_large",
    "proxy_header_truncated",
    "proxy_header_timeout",
    "ip",
    "cidr",
    "country",
    "rate_limit",
)
"""Why a connection got no route or no backend; each is a counter of its listener."""

_ACCEPTED = 0
_FIRST_REASON = 1
_LISTENER_WORDS = 64

ROUTE_CONNECTIONS = 0
ROUTE_ACTIVE = 1
ROUTE_BYTES_RECEIVED = 2
ROUTE_BYTES_SENT = 3
_ROUTE_POLICIES = 4
_ROUTE_WORDS = 8
POLICIES = ("block_user_agent", "require_header")

LIMITS = (
    "header_bytes",
    "header_count",
    "header_timeout",
    "concurrent_streams",
    "stream_resets_per_second",
    "resets_before_response",
    "continuation_frames",
    "pings_per_second",
    "settings_per_second",
    "empty_frames",
    "stalled_window_timeout",
)
"""Keys of ``[limits]`` that a peer can hit; each is a counter of the process."""
_GAUGES = (ROUTE_ACTIVE,)

_LIMIT_WORDS = 64
_LISTENERS_AT = _LIMIT_WORDS
_ROUTES_AT = _LISTENERS_AT + MAX_LISTENERS * _LISTENER_WORDS
_ROOM_WORDS = _ROUTES_AT + MAX_ROUTES * _ROUTE_WORDS
TABLE_WORDS = 1 << 16

_HEADER_WORDS = 512
_SLOTS_USED, _LISTENERS_GIVEN, _ROUTES_GIVEN = 0, 1, 2
_HOLDERS_AT = 128
_ADMISSION_AT = _HEADER_WORDS
_ADMISSION_WORDS = 1 + SLOTS
_ROOMS_AT = _ADMISSION_AT + MAX_LISTENERS * _ADMISSION_WORDS
_TABLES_AT = _ROOMS_AT + SLOTS * _ROOM_WORDS
_SIZE = (_TABLES_AT + SLOTS * TABLE_WORDS) * 8
_REASON_WORD = {reason: _FIRST_REASON + number for number, reason in enumerate(REASONS)}


def accepted_word(listener: int) -> int:
    """Return the word, relative to a room, that counts a listener's accepted connections."""
    return _LISTENERS_AT + listener * _LISTENER_WORDS + _ACCEPTED


def reason_word(listener: int, reason: str) -> int:
    """Return the word that counts one reason of a listener; raises KeyError for a reason not in `REASONS`."""
    return _LISTENERS_AT + listener * _LISTENER_WORDS + _REASON_WORD[reason]


def route_word(route: int, counter: int) -> int:
    """Return the word of one of a route's counters (``ROUTE_...``)."""
    return _ROUTES_AT + route * _ROUTE_WORDS + counter


def policy_word(route: int, policy: str) -> int:
    """Return the word that counts the requests a type of policy has blocked on a route."""
    return route_word(route, _ROUTE_POLICIES + POLICIES.index(policy))


def limit_word(limit: str) -> int:
    """Return the word, relative to a room, that counts how often a limit was hit."""
    return LIMITS.index(limit)


class SharedMemory:
    """The whole memory, mapped into this process.

    Attributes:
        fd: the memfd.
    """

    def __init__(self, fd: int) -> None:
        """Map an existing memory; ``fd`` belongs to this object from now on."""
        self.fd = fd
        self._map = mmap.mmap(fd, _SIZE)
        self._words = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls) -> "SharedMemory":
        """Make a new memory, all zero."""
        fd = os.memfd_create("mcproxy-shared")
        os.ftruncate(fd, _SIZE)
        return cls(fd)

    def room(self, slot: int) -> memoryview:
        """Return the counters of one slot."""
        start = _ROOMS_AT + slot * _ROOM_WORDS
        return self._words[start : start + _ROOM_WORDS]

    def table(self, slot: int) -> memoryview:
        """Return the rate limiter's words of one slot, `TABLE_WORDS` of them."""
        start = _TABLES_AT + slot * TABLE_WORDS
        return self._words[start : start + TABLE_WORDS]

    def admission(self, listener: int) -> memoryview:
        """Return a listener's connection limit, followed by every slot's number of open connections."""
        start = _ADMISSION_AT + listener * _ADMISSION_WORDS
        return self._words[start : start + _ADMISSION_WORDS]

    def slots_used(self) -> int:
        """Return the number of slots from 0 that were ever in use."""
        return self._words[_SLOTS_USED]

    def use_slot(self, slot: int) -> None:
        """Make the other processes look at a slot too; control alone calls this."""
        self._words[_SLOTS_USED] = max(self._words[_SLOTS_USED], slot + 1)

    def given(self) -> tuple[int, int]:
        """Return how many indices of listeners and of routes were ever given out."""
        return self._words[_LISTENERS_GIVEN], self._words[_ROUTES_GIVEN]

    def note_given(self, listeners: int, routes: int) -> None:
        """Remember how many indices were given out; control alone calls this."""
        self._words[_LISTENERS_GIVEN], self._words[_ROUTES_GIVEN] = listeners, routes

    def holder(self, slot: int) -> int:
        """Return the pid of the worker that writes to a slot, 0 for none."""
        return self._words[_HOLDERS_AT + slot]

    def hold(self, slot: int, pid: int) -> None:
        """Say who writes to a slot from now on: each worker for itself."""
        self._words[_HOLDERS_AT + slot] = pid

    def total(self, word: int) -> int:
        """Return a counter's sum over all slots."""
        return sum(self._words[_ROOMS_AT + slot * _ROOM_WORDS + word] for slot in range(self.slots_used()))

    def fold(self, slot: int, listeners: Iterable[int], routes: Iterable[int]) -> None:
        """Add a dead process' totals to control's own and clean its room; what was open is closed."""
        with self.room(CONTROL_SLOT) as own, self.room(slot) as dead:
            _fold_block(own, dead, 0, _LIMIT_WORDS, ())
            for listener in listeners:
                _fold_block(own, dead, accepted_word(listener), _LISTENER_WORDS, ())
                with self.admission(listener) as cells:
                    cells[1 + slot] = 0
            for route in routes:
                _fold_block(own, dead, route_word(route, 0), _ROUTE_WORDS, _GAUGES)
        self.hold(slot, 0)

    def clear_listener(self, listener: int) -> None:
        """Zero an index before it is given to another listener."""
        self._clear(accepted_word(listener), _LISTENER_WORDS)

    def clear_route(self, route: int) -> None:
        """Zero an index before it is given to another route; nothing of the old one may be open any more."""
        self._clear(route_word(route, 0), _ROUTE_WORDS)

    def close(self) -> None:
        """Unmap and close; views of parts must be released before."""
        self._words.release()
        self._map.close()
        os.close(self.fd)

    def _clear(self, start: int, count: int) -> None:
        for slot in range(self.slots_used()):
            with self.room(slot) as room:
                room[start : start + count] = memoryview(bytes(8 * count)).cast("Q")


def _fold_block(own: memoryview, dead: memoryview, start: int, count: int, gauges: tuple[int, ...]) -> None:
    for offset in range(count):
        word = start + offset
        if dead[word]:
            if offset not in gauges:
                own[word] += dead[word]
            dead[word] = 0
