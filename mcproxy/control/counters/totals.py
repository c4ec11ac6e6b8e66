"""Everything that all processes have counted, read from shared memory in one go: what a scrape or a status page wants.

Reading costs 64 bytes per route and slot, and more only for routes on which something has happened. It takes no lock
and must run in control's own thread, where slots end and indices are given to others.
"""

from collections.abc import Mapping, Sequence
from itertools import compress
from operator import add
from typing import NamedTuple

from mcproxy.control.counters.filter_totals import FilterTotals, Names, read_filter_totals
from mcproxy.control.counters.quantiles import Histogram, as_histogram
from mcproxy.model.state.state import ListenerKey, RouteKey
from mcproxy.model.values.reasons import COUNTED, FIREWALL, Group, of_group
from mcproxy.net.memory import grpc_statuses, histogram, http_codes, route_histograms
from mcproxy.net.memory.counted_words import LIMITS, POLICIES
from mcproxy.net.memory.shared_memory import (
    LISTENER_DIAL_SECONDS,
    LISTENER_REQUEST_SECONDS,
    PROCESS_BACKEND_REDIALS,
    PROCESS_DRAINING,
    PROCESS_LOG_LINES_DROPPED,
    PROCESS_WORKER_RESTARTS,
    ROUTE_ACTIVE,
    ROUTE_BYTES_RECEIVED,
    ROUTE_BYTES_SENT,
    ROUTE_CONNECTIONS,
    ROUTE_ERRORS,
    ROUTE_HTTP,
    ROUTE_POLICIES,
    SPOKE_GRPC,
    SharedMemory,
    accepted_counter,
    grpc_counter,
    health_counter,
    histogram_counter,
    limit_counter,
    reason_counter,
    route_histogram_counter,
)


class ListenerTotals(NamedTuple):
    """What was counted for a listener; words that never occurred are left out.

    Attributes:
        accepted: connections.
        open: connections at this moment, those without a route included.
        errors: connections that got no route, by reason; those that the firewall refused are apart.
        blocks: connections that the firewall refused, by reason.
        dials: time to connect to backends.
        requests: time from a request to the end of its response, on those routes that have no histogram of their own.
        health_checks: connections by which trusted proxies looked whether the listener is there; among ``accepted``.
    """

    accepted: int
    open: int
    errors: Mapping[str, int]
    blocks: Mapping[str, int]
    dials: Histogram
    requests: Histogram
    health_checks: int = 0


class RouteTotals(NamedTuple):
    """What was counted for a route; words that never occurred are left out.

    Attributes:
        connections: how many it was given.
        active: how many of them are open.
        received, sent: bytes of clients' streams, see `ROUTE_BYTES_RECEIVED` and `ROUTE_BYTES_SENT`.
        requests: how many HTTP requests it was given.
        responses: the same by protocol (`http_codes.PROTOCOLS`) and code (`http_codes.CODES`).
        blocks: requests that a policy refused, by its type; they are among ``responses``, too.
        errors: connections and requests that ended for one of `COUNTED`.
        grpc: gRPC requests by the name of their status (`grpc_statuses.NAMES`); they are among ``responses``, too.
        durations: of its requests, None for a route that shares its listener's histogram.
    """

    connections: int
    active: int
    received: int
    sent: int
    requests: int
    responses: Mapping[tuple[str, str], int]
    blocks: Mapping[str, int]
    errors: Mapping[str, int] = {}
    grpc: Mapping[str, int] = {}
    durations: Histogram | None = None

    @property
    def failures(self) -> dict[str, int]:
        """Those of the errors that say that the route, or the proxy, is unwell."""
        return self.of("backend", "proxy")

    def of(self, *groups: Group) -> dict[str, int]:
        """Return those of the errors that are of some groups."""
        wanted = of_group(*groups)
        return {reason: count for reason, count in self.errors.items() if reason in wanted}


class Totals(NamedTuple):
    """All counters.

    Attributes:
        listeners: every live listener.
        routes: the live routes that ever had a connection.
        limits: how often each key of ``[limits]`` was hit; those that never were are left out.
        draining: open connections that were told to end.
        log_lines_dropped: lines of the access log that could not be written.
        worker_restarts: workers that died or hung and were replaced.
        backend_redials: dials of L7 backends after one that had brought nothing.
        filters: what was counted of cases and filters.
    """

    listeners: Mapping[ListenerKey, ListenerTotals]
    routes: Mapping[RouteKey, RouteTotals]
    limits: Mapping[str, int]
    draining: int
    log_lines_dropped: int
    worker_restarts: int
    backend_redials: int
    filters: FilterTotals = FilterTotals()

    def ended(self, *groups: Group) -> dict[ListenerKey, dict[str, int]]:
        """Return how many connections and requests of each listener ended for the reasons of some groups, routes included."""
        wanted = of_group(*groups)
        found: dict[ListenerKey, dict[str, int]] = {addr: {} for addr in self.listeners}
        parts = [(addr, listener.errors) for addr, listener in self.listeners.items()]
        parts += [(addr, listener.blocks) for addr, listener in self.listeners.items()]
        parts += [(addr, route.errors) for (addr, _), route in self.routes.items() if route.errors]
        for addr, errors in parts:
            sums = found.setdefault(addr, {})
            for reason, count in errors.items():
                if reason in wanted:
                    sums[reason] = sums.get(reason, 0) + count
        return found


_NOTHING: Mapping[str, int] = {}
_REFUSED = of_group("refused")
_NO_RESPONSES: Mapping[tuple[str, str], int] = {}
_SERIES = tuple((protocol, code) for protocol in http_codes.PROTOCOLS for code in http_codes.CODES)
_PLACES = tuple(
    protocol * http_codes.WORDS + code
    for protocol in range(len(http_codes.PROTOCOLS))
    for code in range(len(http_codes.CODES))
)
_SERIES_AT = dict(zip(_PLACES, _SERIES, strict=True))
_ALL_PLACES = range(len(http_codes.PROTOCOLS) * http_codes.WORDS)


def read_totals(
    memory: SharedMemory,
    listeners: Mapping[ListenerKey, int],
    routes: Mapping[RouteKey, int],
    names: Names | None = None,
) -> Totals:
    """Add up the counters of all slots.

    Args:
        memory: where they are.
        listeners: the index of every listener.
        routes: the index of every route.
        names: of cases and filters; without them nothing of these is told.
    """
    return Totals(
        {key: _listener(memory, index) for key, index in listeners.items()},
        _routes(memory, routes),
        {limit: total for limit in LIMITS if (total := memory.total(limit_counter(limit)))},
        memory.total(PROCESS_DRAINING),
        memory.total(PROCESS_LOG_LINES_DROPPED),
        memory.total(PROCESS_WORKER_RESTARTS),
        memory.total(PROCESS_BACKEND_REDIALS),
        FilterTotals() if names is None else read_filter_totals(memory, routes, names),
    )


def refused(memory: SharedMemory, index: int) -> dict[str, int]:
    """Return how many connections a listener refused, by reason."""
    totals = memory.totals(reason_counter(index, COUNTED[0]), len(COUNTED))
    return {word: total for word, total in zip(COUNTED, totals, strict=True) if total and word in _REFUSED}


def route_sums(memory: SharedMemory, counter: int, count: int) -> list[int]:
    """Return one counter (``ROUTE_...``) of each route whose index is below ``count``, summed over all slots."""
    return _sums(memory.by_slot(counter, count), count)


def _sums(columns: list[list[int]], count: int) -> list[int]:
    sums = [0] * count
    for column in columns:
        sums = list(map(add, sums, column))
    return sums


def _listener(memory: SharedMemory, index: int) -> ListenerTotals:
    reasons = zip(COUNTED, memory.totals(reason_counter(index, COUNTED[0]), len(COUNTED)), strict=True)
    occurred = {reason: total for reason, total in reasons if total}
    return ListenerTotals(
        memory.total(accepted_counter(index)),
        memory.open_connections(index),
        {reason: total for reason, total in occurred.items() if reason not in FIREWALL},
        {reason: total for reason, total in occurred.items() if reason in FIREWALL},
        _histogram(memory, histogram_counter(index, LISTENER_DIAL_SECONDS)),
        _histogram(memory, histogram_counter(index, LISTENER_REQUEST_SECONDS)),
        memory.total(health_counter(index)),
    )


def _histogram(memory: SharedMemory, word: int) -> Histogram:
    return as_histogram(memory.totals(word, histogram.WORDS))


def _routes(memory: SharedMemory, routes: Mapping[RouteKey, int]) -> dict[RouteKey, RouteTotals]:
    count = max(routes.values(), default=-1) + 1
    connections = route_sums(memory, ROUTE_CONNECTIONS, count)
    active = route_sums(memory, ROUTE_ACTIVE, count)
    received = route_sums(memory, ROUTE_BYTES_RECEIVED, count)
    sent = route_sums(memory, ROUTE_BYTES_SENT, count)
    by_slot = memory.by_slot(ROUTE_HTTP, count)
    blocks = [route_sums(memory, ROUTE_POLICIES + number, count) for number in range(len(POLICIES))]
    failing = memory.by_slot(ROUTE_ERRORS, count)
    histograms = route_histograms.owned(memory)
    found = {}
    for key, index in routes.items():
        if not connections[index]:
            continue
        responses, blocked, grpc, durations = _NO_RESPONSES, _NOTHING, _NOTHING, None
        slots = [slot for slot, column in enumerate(by_slot) if column[index]]
        if slots:
            responses = _responses(memory, index, slots)
            if any(column[index] & SPOKE_GRPC for column in by_slot):
                grpc = _named(grpc_statuses.NAMES, memory.totals(grpc_counter(index, 0), len(grpc_statuses.NAMES)))
            if index in histograms:
                durations = _histogram(memory, route_histogram_counter(histograms[index]))
            blocked = {policy: column[index] for policy, column in zip(POLICIES, blocks, strict=True) if column[index]}
        found[key] = RouteTotals(
            connections[index],
            active[index],
            received[index],
            sent[index],
            sum(responses.values()),
            responses,
            blocked,
            _errors(memory, index, [slot for slot, column in enumerate(failing) if column[index]]),
            grpc,
            durations,
        )
    return found


def _errors(memory: SharedMemory, index: int, slots: list[int]) -> Mapping[str, int]:
    if not slots:
        return _NOTHING
    return _named(COUNTED, _sums([memory.errors(slot, index) for slot in slots], len(COUNTED)))


def _named(names: Sequence[str], counts: Sequence[int]) -> dict[str, int]:
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def _responses(memory: SharedMemory, index: int, slots: list[int]) -> dict[tuple[str, str], int]:
    sums: dict[int, int] = {}
    for slot in slots:
        counts = memory.codes(slot, index)
        for place in compress(_ALL_PLACES, counts):  # a few: adding up all that are possible takes three times as long
            sums[place] = sums.get(place, 0) + counts[place]
    return {_SERIES_AT[place]: count for place, count in sums.items()}
