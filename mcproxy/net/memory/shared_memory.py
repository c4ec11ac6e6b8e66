"""Memory that control and all workers share: counters, connection limits, rate limits.

One sparse memfd; only touched pages cost memory. Everything is an aligned 8-byte word with one writer, so that a
reader never sees half a number. The parts, in this order:

* a header page: how many slots were ever in use, so that sums need not look further, how many indices were ever given
  out, which layout this is, the secret of session tickets, and who writes to which slot, so that a new control knows them;
* **admission**: per listener its connection limit (written by control) and, per slot, how many connections are open;
* **counter blocks**: per slot the counters of the process, of every listener, route and endpoint, addressed by the stable indices
  that control assigns. A process goes on where the last holder of its slot stopped, so that no total is lost by a kill
  or can be counted twice; what was open in it (the gauges) is zeroed when it is gone. Slot 0 is control's;
* **tables**: per slot the words of the rate limiter. They outlive the process that wrote them: a window's counts stay;
* **clients**: per slot how many connections each client has open (`client_counts`), empty while there is no limit to that;
* **endpoint states**: what control says of every endpoint (`endpoints`);
* **sparse**: per slot the counters of cases and filters (`sparse_counters`), which outlive the process as the blocks do.

A route has one cache line for what every connection counts, and apart from that a block for responses by protocol and
status, and one for errors by reason and gRPC statuses. Reading a hole of a mapped file fills it, so whoever reads many routes
looks at the line first: `ROUTE_HTTP` and `ROUTE_ERRORS` tell whether a block holds something.
"""

import mmap
import os
import sys
import zlib
from operator import add

from mcproxy.model.state.state import MAX_ENDPOINTS, MAX_LISTENERS, MAX_ROUTES
from mcproxy.model.values.reasons import COUNTED
from mcproxy.net.memory import client_counts, endpoints, grpc_statuses, histogram, http_codes, route_histograms
from mcproxy.net.memory import sparse_counters as sparse
from mcproxy.net.memory import ticket_secret as tickets
from mcproxy.net.memory.counted_words import LIMITS, POLICIES

SLOTS = 128
CONTROL_SLOT = 0

_ACCEPTED = 0
_FIRST_REASON = 1
LISTENER_DIAL_SECONDS = 64
"""Histogram of the time from the start of a dial to the connection, for those that were established."""
LISTENER_REQUEST_SECONDS = LISTENER_DIAL_SECONDS + histogram.WORDS
"""Histogram of the time from a request's head to the end of the response, of a tunnel to the response's head: of those
routes that have no histogram of their own (`route_histograms`)."""
_LISTENER_HEALTH_CHECKS = LISTENER_REQUEST_SECONDS + histogram.WORDS
_LISTENER_WORDS = 128

ROUTE_CONNECTIONS = 0
ROUTE_ACTIVE = 1
ROUTE_BYTES_RECEIVED = 2
"""Bytes of the client's stream that were taken from it: on L4 those passed on to the backend, TLS and all, as they are
in the stream behind a PROXY header; on L7 those that TLS has decrypted, so HTTP with its framing, whether a request
came of them or not."""
ROUTE_BYTES_SENT = 3
"""Bytes of the client's stream that were given to it: on L4 those that its socket took, on L7 those that were handed to
TLS. Neither counts what TLS (L7), TCP and IP add."""
ROUTE_POLICIES = 4
"""Requests that each of `POLICIES` has blocked, one word each."""
ROUTE_HTTP = 6
"""Flags: `SPOKE_HTTP` and `SPOKE_GRPC` once a client has: only then there is something in the route's block of codes, or among
its gRPC statuses."""
SPOKE_HTTP, SPOKE_GRPC = 1, 2
ROUTE_ERRORS = 7
"""Connections and requests that ended for one of `COUNTED`, all of these together."""
_ROUTE_WORDS = 8
_ROUTE_REASONS = 56
_ERRORS_WORDS = _ROUTE_REASONS + grpc_statuses.WORDS
PROCESS_DRAINING = 48
"""Open connections that were told to end; a gauge."""
PROCESS_LOG_LINES_DROPPED = 49
"""Lines of the access log that could not be written."""
PROCESS_WORKER_RESTARTS = 50
"""Workers that died or hung and were replaced; control alone counts here."""
PROCESS_LOOP_CLOCK = 51
"""When the event loop turned last (monotonic milliseconds), looked at every 0.1 s; no counter, so no sum makes sense."""
PROCESS_BACKEND_REDIALS = 52
"""Dials of L7 routes' backends that were made after one that had brought nothing."""
_PROCESS_WORDS = 64

_CODES_WORDS = len(http_codes.PROTOCOLS) * http_codes.WORDS
_LISTENERS_AT = _PROCESS_WORDS
_ROUTES_AT = _LISTENERS_AT + MAX_LISTENERS * _LISTENER_WORDS
_CODES_AT = _ROUTES_AT + MAX_ROUTES * _ROUTE_WORDS
_ERRORS_AT = _CODES_AT + MAX_ROUTES * _CODES_WORDS
_DURATIONS_AT = _ERRORS_AT + MAX_ROUTES * _ERRORS_WORDS
_ENDPOINTS_AT = _DURATIONS_AT + route_histograms.MOST * histogram.WORDS
_COUNTER_BLOCK_WORDS = _ENDPOINTS_AT + MAX_ENDPOINTS * endpoints.WORDS
PROCESS_COUNTS_CLIENTS = 53
"""1 once the process has counted connections by client: only then there may be something among its words for that."""
TABLE_WORDS = 1 << 16

_HEADER_WORDS = 512
_SLOTS_USED, _LISTENERS_GIVEN, _ROUTES_GIVEN, _LAYOUT_AT, _ENDPOINTS_GIVEN, _TICKETS_AT = 0, 1, 2, 3, 4, 8
_HOLDERS_AT = 128
_ADMISSION_AT = _HEADER_WORDS
_ADMISSION_WORDS = 1 + SLOTS
_COUNTER_BLOCKS_AT = _ADMISSION_AT + MAX_LISTENERS * _ADMISSION_WORDS
_TABLES_AT = _COUNTER_BLOCKS_AT + SLOTS * _COUNTER_BLOCK_WORDS
_ASSIGNED_AT = _TABLES_AT + SLOTS * TABLE_WORDS
_ASSIGNED_WORDS = route_histograms.MOST + MAX_ROUTES
_CLIENTS_AT = _ASSIGNED_AT + _ASSIGNED_WORDS
_ENDPOINT_STATES_AT = _CLIENTS_AT + SLOTS * client_counts.WORDS
_SPARSE_AT = _ENDPOINT_STATES_AT + MAX_ENDPOINTS
_SIZE = (_SPARSE_AT + SLOTS * sparse.WORDS) * 8
_REASON_PLACE = {reason: number for number, reason in enumerate(COUNTED)}
assert len(COUNTED) <= min(_ROUTE_REASONS, LISTENER_DIAL_SECONDS - _FIRST_REASON)  # noqa: S101 - of two constants
_WORDS_IN_ORDER = (
    COUNTED,
    POLICIES,
    LIMITS,
    http_codes.CODES,
    endpoints.VERDICTS,
    endpoints.COUNTERS,
    sparse.STAGES,
)
_LAYOUT = zlib.crc32(repr((*_WORDS_IN_ORDER, histogram.BOUNDS, PROCESS_LOOP_CLOCK, _COUNTER_BLOCKS_AT, _SIZE)).encode())


def accepted_counter(listener: int) -> int:
    """Return the index, within a counter block, of what counts a listener's accepted connections."""
    return _LISTENERS_AT + listener * _LISTENER_WORDS + _ACCEPTED


def reason_counter(listener: int, reason: str) -> int:
    """Return the word that counts one reason of a listener, for connections without a route; raises KeyError if none does."""
    return _LISTENERS_AT + listener * _LISTENER_WORDS + _FIRST_REASON + _REASON_PLACE[reason]


def route_reason_counter(route: int, reason: str) -> int:
    """Return the word that counts one reason of a route, beside `ROUTE_ERRORS`; raises KeyError for one that is not counted."""
    return _ERRORS_AT + route * _ERRORS_WORDS + _REASON_PLACE[reason]


def grpc_counter(route: int, place: int) -> int:
    """Return the word that counts a route's gRPC requests of one status, by its place in `grpc_statuses.NAMES`."""
    return _ERRORS_AT + route * _ERRORS_WORDS + _ROUTE_REASONS + place


def health_counter(listener: int) -> int:
    """Return the word that counts the health checks of a listener's trusted proxies."""
    return _LISTENERS_AT + listener * _LISTENER_WORDS + _LISTENER_HEALTH_CHECKS


def route_counter(route: int, counter: int) -> int:
    """Return the word of one of a route's counters (``ROUTE_...``)."""
    return _ROUTES_AT + route * _ROUTE_WORDS + counter


def policy_counter(route: int, policy: str) -> int:
    """Return the word that counts the requests a type of policy has blocked on a route."""
    return route_counter(route, ROUTE_POLICIES + POLICIES.index(policy))


def codes_counter(route: int, protocol: str) -> int:
    """Return the first word of a route's responses in one of `http_codes.PROTOCOLS`, `http_codes.WORDS` of them."""
    return _CODES_AT + route * _CODES_WORDS + http_codes.PROTOCOLS.index(protocol) * http_codes.WORDS


def histogram_counter(listener: int, which: int) -> int:
    """Return the first word of a listener's histogram (``LISTENER_..._SECONDS``), `histogram.WORDS` of them."""
    return _LISTENERS_AT + listener * _LISTENER_WORDS + which


def route_histogram_counter(number: int) -> int:
    """Return the first word of one of the histograms that routes have (`route_histograms`)."""
    return _DURATIONS_AT + number * histogram.WORDS


def endpoint_counter(endpoint: int, counter: int) -> int:
    """Return the word of one of an endpoint's counters (`endpoints.COUNTERS`)."""
    return _ENDPOINTS_AT + endpoint * endpoints.WORDS + counter


def limit_counter(limit: str) -> int:
    """Return the index, within a counter block, of what counts how often a limit was hit."""
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
        memory = cls(fd)
        memory._words[_LAYOUT_AT] = _LAYOUT
        return memory

    @staticmethod
    def fits(fd: int) -> bool:
        """Tell whether a memory that another process has made is laid out as this version does it."""
        return os.fstat(fd).st_size == _SIZE and os.pread(fd, 8, 8 * _LAYOUT_AT) == _LAYOUT.to_bytes(8, sys.byteorder)

    def counter_block(self, slot: int) -> memoryview:
        """Return the counters of one slot."""
        start = _COUNTER_BLOCKS_AT + slot * _COUNTER_BLOCK_WORDS
        return self._words[start : start + _COUNTER_BLOCK_WORDS]

    def table(self, slot: int) -> memoryview:
        """Return the rate limiter's words of one slot, `TABLE_WORDS` of them."""
        start = _TABLES_AT + slot * TABLE_WORDS
        return self._words[start : start + TABLE_WORDS]

    def clients(self, slot: int) -> memoryview:
        """Return the words of one slot that count connections by client, `client_counts.WORDS` of them."""
        start = _CLIENTS_AT + slot * client_counts.WORDS
        return self._words[start : start + client_counts.WORDS]

    def sparse(self, slot: int) -> memoryview:
        """Return the words of one slot that count cases and filters, `sparse_counters.WORDS` of them."""
        start = _SPARSE_AT + slot * sparse.WORDS
        return self._words[start : start + sparse.WORDS]

    def admission(self, listener: int) -> memoryview:
        """Return a listener's connection limit, followed by every slot's number of open connections."""
        start = _ADMISSION_AT + listener * _ADMISSION_WORDS
        return self._words[start : start + _ADMISSION_WORDS]

    def endpoint_states(self) -> memoryview:
        """Return the state word of every endpoint; control alone writes there."""
        return self._words[_ENDPOINT_STATES_AT : _ENDPOINT_STATES_AT + MAX_ENDPOINTS]

    def endpoint_cells(self, endpoint: int, counter: int) -> memoryview:
        """Return one of an endpoint's counters as every slot has it, `SLOTS` words."""
        start = _COUNTER_BLOCKS_AT + endpoint_counter(endpoint, counter)
        return self._words[start : start + SLOTS * _COUNTER_BLOCK_WORDS : _COUNTER_BLOCK_WORDS]

    def assigned_histograms(self) -> memoryview:
        """Return the words by which `route_histograms` assigns histograms: the owners of these, then a word per route."""
        return self._words[_ASSIGNED_AT : _ASSIGNED_AT + _ASSIGNED_WORDS]

    def open_connections(self, listener: int) -> int:
        """Return how many connections of a listener are open in all slots."""
        with self.admission(listener) as cells:
            return sum(cells[1 : 1 + self.slots_used()])

    def slots_used(self) -> int:
        """Return the number of slots from 0 that were ever in use."""
        return self._words[_SLOTS_USED]

    def slots_used_word(self) -> memoryview:
        """Return the word that says how many slots were ever in use."""
        return self._words[_SLOTS_USED : _SLOTS_USED + 1]

    def ticket_secret(self) -> tickets.TicketSecret:
        """Return the secret of session tickets."""
        return tickets.TicketSecret(self._words[_TICKETS_AT : _TICKETS_AT + tickets.WORDS])

    def use_slot(self, slot: int) -> None:
        """Make the other processes look at a slot too; control alone calls this."""
        self._words[_SLOTS_USED] = max(self._words[_SLOTS_USED], slot + 1)

    def given(self) -> tuple[int, int, int]:
        """Return how many indices of listeners, of routes and of endpoints were ever given out."""
        words = self._words
        return words[_LISTENERS_GIVEN], words[_ROUTES_GIVEN], words[_ENDPOINTS_GIVEN]

    def note_given(self, listeners: int, routes: int, endpoints: int) -> None:
        """Remember how many indices were given out; control alone calls this."""
        self._words[_LISTENERS_GIVEN], self._words[_ROUTES_GIVEN] = listeners, routes
        self._words[_ENDPOINTS_GIVEN] = endpoints

    def holder(self, slot: int) -> int:
        """Return the pid of the worker that writes to a slot, 0 for none."""
        return self._words[_HOLDERS_AT + slot]

    def hold(self, slot: int, pid: int) -> None:
        """Say who writes to a slot from now on: each worker for itself."""
        self._words[_HOLDERS_AT + slot] = pid

    def loop_clock(self, slot: int) -> int:
        """Return when the event loop of a slot's process turned last (monotonic milliseconds), 0 before."""
        return self._words[_COUNTER_BLOCKS_AT + slot * _COUNTER_BLOCK_WORDS + PROCESS_LOOP_CLOCK]

    def total(self, word: int) -> int:
        """Return a counter's sum over all slots."""
        return sum(
            self._words[_COUNTER_BLOCKS_AT + slot * _COUNTER_BLOCK_WORDS + word] for slot in range(self.slots_used())
        )

    def totals(self, word: int, count: int) -> list[int]:
        """Return the sums over all slots of ``count`` counters that follow each other from ``word``."""
        sums = [0] * count
        for slot in range(self.slots_used()):
            with self.counter_block(slot) as block:
                sums = list(map(add, sums, block[word : word + count].tolist()))
        return sums

    def by_slot(self, counter: int, routes: int) -> list[list[int]]:
        """Return, per slot, one counter (``ROUTE_...``) of each route whose index is below ``routes``."""
        return self._each(_ROUTES_AT + counter, _ROUTES_AT + routes * _ROUTE_WORDS, _ROUTE_WORDS)

    def endpoints_by_slot(self, counter: int, count: int) -> list[list[int]]:
        """Return, per slot, one counter (`endpoints.COUNTERS`) of each endpoint whose index is below ``count``."""
        return self._each(endpoint_counter(0, counter), endpoint_counter(count, counter), endpoints.WORDS)

    def _each(self, first: int, last: int, step: int) -> list[list[int]]:
        found = []
        for slot in range(self.slots_used()):
            with self.counter_block(slot) as block:
                found.append(block[first:last:step].tolist())
        return found

    def codes(self, slot: int, route: int) -> list[int]:
        """Return the responses that one slot has counted for a route: those of each protocol one after the other."""
        start = _COUNTER_BLOCKS_AT + slot * _COUNTER_BLOCK_WORDS + _CODES_AT + route * _CODES_WORDS
        return self._words[start : start + _CODES_WORDS].tolist()

    def errors(self, slot: int, route: int) -> list[int]:
        """Return what one slot has counted of a route by reason, in the order of `COUNTED`."""
        start = _COUNTER_BLOCKS_AT + slot * _COUNTER_BLOCK_WORDS + _ERRORS_AT + route * _ERRORS_WORDS
        return self._words[start : start + len(COUNTED)].tolist()

    def end_slot(self, slot: int) -> None:
        """Zero what a process had open that is gone; its totals stay, and the next one in this slot goes on from there."""
        listeners, routes, given = self.given()
        for listener in range(listeners):
            with self.admission(listener) as cells:
                cells[1 + slot] = 0
        active = self.by_slot(ROUTE_ACTIVE, routes)[slot]
        with self.counter_block(slot) as block:
            block[PROCESS_DRAINING] = 0
            block[PROCESS_LOOP_CLOCK] = 0
            if block[PROCESS_COUNTS_CLIENTS]:
                block[PROCESS_COUNTS_CLIENTS] = 0
                with self.clients(slot) as words:
                    words[:] = memoryview(bytes(8 * client_counts.WORDS)).cast("Q")
            for route, count in enumerate(active):
                if count:
                    block[route_counter(route, ROUTE_ACTIVE)] = 0
            first = endpoint_counter(0, endpoints.ACTIVE)
            last = endpoint_counter(given, endpoints.ACTIVE)
            for endpoint, count in enumerate(block[first : last : endpoints.WORDS].tolist()):
                if count:
                    block[endpoint_counter(endpoint, endpoints.ACTIVE)] = 0
        self.hold(slot, 0)

    def clear_listener(self, listener: int) -> None:
        """Zero an index before it is given to another listener."""
        self._clear(accepted_counter(listener), _LISTENER_WORDS)

    def clear_route(self, route: int) -> None:
        """Zero an index before it is given to another route; nothing of the old one may be open any more."""
        if self.total(route_counter(route, ROUTE_HTTP)):
            self._clear(codes_counter(route, http_codes.PROTOCOLS[0]), _CODES_WORDS)
            self._clear(grpc_counter(route, 0), grpc_statuses.WORDS)
        if self.total(route_counter(route, ROUTE_ERRORS)):
            self._clear(route_reason_counter(route, COUNTED[0]), len(COUNTED))
        self._clear(route_counter(route, 0), _ROUTE_WORDS)

    def clear_endpoint(self, endpoint: int) -> None:
        """Zero an index before it is given to another endpoint; nothing of the old one may be open any more."""
        self._words[_ENDPOINT_STATES_AT + endpoint] = 0
        self._clear(endpoint_counter(endpoint, 0), endpoints.WORDS)

    def close(self) -> None:
        """Unmap and close; views of parts must be released before."""
        self._words.release()
        self._map.close()
        os.close(self.fd)

    def clear_histogram(self, number: int) -> None:
        """Zero a histogram of a route before another route gets it."""
        self._clear(route_histogram_counter(number), histogram.WORDS)

    def _clear(self, start: int, count: int) -> None:
        for slot in range(self.slots_used()):
            with self.counter_block(slot) as block:
                block[start : start + count] = memoryview(bytes(8 * count)).cast("Q")
