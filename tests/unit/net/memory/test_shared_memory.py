"""Counters shared by processes: here by two mappings of one memory."""

import os
from collections.abc import Iterator

import pytest

from mcproxy.model.state.state import MAX_ENDPOINTS, MAX_LISTENERS, MAX_ROUTES
from mcproxy.model.values.reasons import COUNTED
from mcproxy.net.memory import client_counts, endpoints, grpc_statuses, histogram, route_histograms
from mcproxy.net.memory.counted_words import LIMITS, POLICIES
from mcproxy.net.memory.histogram import SUM
from mcproxy.net.memory.http_codes import PROTOCOLS, WORDS
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
    SLOTS,
    TABLE_WORDS,
    SharedMemory,
    accepted_counter,
    codes_counter,
    endpoint_counter,
    grpc_counter,
    histogram_counter,
    limit_counter,
    policy_counter,
    reason_counter,
    route_counter,
    route_histogram_counter,
    route_reason_counter,
)

ROUTE_COUNTERS = (ROUTE_CONNECTIONS, ROUTE_ACTIVE, ROUTE_BYTES_RECEIVED, ROUTE_BYTES_SENT, ROUTE_HTTP, ROUTE_ERRORS)


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create()
    for slot in range(4):
        memory.use_slot(slot)
    yield memory
    memory.close()


def add(memory: SharedMemory, slot: int, word: int, count: int) -> None:
    with memory.counter_block(slot) as block:
        block[word] += count


def value(memory: SharedMemory, slot: int, word: int) -> int:
    with memory.counter_block(slot) as block:
        return int(block[word])


def test_counters_of_a_block_are_all_different() -> None:
    """No counter of any listener or route shares its word with another."""
    listeners = [0, 1, MAX_LISTENERS - 1]
    routes = [0, 1, MAX_ROUTES - 1]
    words = [accepted_counter(each) for each in listeners]
    words += [reason_counter(each, reason) for each in listeners for reason in COUNTED]
    words += [route_reason_counter(each, reason) for each in routes for reason in COUNTED]
    words += [grpc_counter(each, place) for each in routes for place in range(len(grpc_statuses.NAMES))]
    words += [
        route_histogram_counter(each) + at for each in (0, route_histograms.MOST - 1) for at in range(histogram.WORDS)
    ]
    words += [route_counter(each, counter) for each in routes for counter in ROUTE_COUNTERS]
    words += [policy_counter(each, policy) for each in routes for policy in POLICIES]
    words += [codes_counter(each, protocol) + at for each in routes for protocol in PROTOCOLS for at in range(WORDS)]
    words += [
        endpoint_counter(each, counter) for each in (0, 1, MAX_ENDPOINTS - 1) for counter in range(endpoints.WORDS)
    ]
    words += [limit_counter(limit) for limit in LIMITS]
    words += [PROCESS_DRAINING, PROCESS_LOG_LINES_DROPPED, PROCESS_WORKER_RESTARTS, PROCESS_BACKEND_REDIALS]
    histograms = (LISTENER_DIAL_SECONDS, LISTENER_REQUEST_SECONDS)
    words += [
        histogram_counter(each, which) + at for each in listeners for which in histograms for at in range(SUM + 1)
    ]
    assert len(set(words)) == len(words)
    for counter in (reason_counter, route_reason_counter):
        with pytest.raises(KeyError):
            counter(0, "bad luck")


def test_parts_of_different_slots_do_not_overlap(memory: SharedMemory) -> None:
    """Every part, first word and last, of the first, second and last slot is a place of its own."""
    places = []
    for slot in (0, 1, SLOTS - 1):
        words = (
            0,
            route_counter(MAX_ROUTES - 1, ROUTE_BYTES_SENT),
            endpoint_counter(MAX_ENDPOINTS - 1, endpoints.SENT),
        )
        places += [(memory.counter_block(slot), word) for word in words]
        places += [(memory.table(slot), word) for word in (0, TABLE_WORDS - 1)]
    for listener in (0, 1, MAX_LISTENERS - 1):
        places += [(memory.admission(listener), word) for word in (0, 1, SLOTS)]
    places += [(memory.endpoint_states(), endpoint) for endpoint in (0, MAX_ENDPOINTS - 1)]
    places += [(memory.clients(SLOTS - 1), client_counts.WORDS - 1)]
    used = memory.slots_used()
    for number, (view, word) in enumerate(places, start=1):
        assert view[word] == 0
        view[word] = number
    assert [view[word] for view, word in places] == list(range(1, len(places) + 1))
    assert memory.slots_used() == used
    for view, _ in places:
        view.release()


def test_another_mapping_sees_what_was_written(memory: SharedMemory) -> None:
    """A process that maps the passed descriptor reads the same words, and writes for others to read."""
    other = SharedMemory(os.dup(memory.fd))
    add(memory, 2, accepted_counter(5), 7)
    assert value(other, 2, accepted_counter(5)) == 7
    add(other, 3, accepted_counter(5), 2**63)
    assert memory.total(accepted_counter(5)) == 2**63 + 7
    other.close()


def test_only_a_memory_of_the_same_layout_fits(memory: SharedMemory) -> None:
    """One that another layout has made, or that is none at all, is told before anything in it is believed."""
    assert SharedMemory.fits(memory.fd)
    other = os.memfd_create("other")
    try:
        assert not SharedMemory.fits(other)
        os.ftruncate(other, os.fstat(memory.fd).st_size)
        assert not SharedMemory.fits(other)
    finally:
        os.close(other)


def test_total_goes_over_the_slots_in_use(memory: SharedMemory) -> None:
    """Sums contain control's own slot and every slot that was ever used; the number of those never shrinks."""
    word = route_counter(9, ROUTE_BYTES_SENT)
    for slot in range(4):
        add(memory, slot, word, 10**slot)
    assert memory.total(word) == 1111
    memory.use_slot(1)
    assert memory.slots_used() == 4
    memory.use_slot(SLOTS - 1)
    add(memory, SLOTS - 1, word, 10_000)
    assert memory.total(word) == 11_111


def test_the_end_of_a_slot_keeps_totals_and_ends_what_was_open(memory: SharedMemory) -> None:
    """A dead worker's totals stay where the next one goes on, its gauges and its open connections are nobody's."""
    listener, route, endpoint = 3, 70, 9
    memory.note_given(listener + 1, route + 1, endpoint + 1)
    for slot in (1, 2):
        for counter in range(endpoints.WORDS):
            add(memory, slot, endpoint_counter(endpoint, counter), 100 + counter)
        add(memory, slot, PROCESS_DRAINING, 3)
        add(memory, slot, accepted_counter(listener), 5)
        add(memory, slot, reason_counter(listener, COUNTED[-1]), 1)
        add(memory, slot, codes_counter(route, "h2"), 1)
        for counter in ROUTE_COUNTERS:
            add(memory, slot, route_counter(route, counter), 100 + counter)
        with memory.admission(listener) as cells:
            cells[0] = 9
            cells[1 + slot] = 4
    words = [accepted_counter(listener), reason_counter(listener, COUNTED[-1]), codes_counter(route, "h2")]
    words += [route_counter(route, counter) for counter in ROUTE_COUNTERS if counter != ROUTE_ACTIVE]
    words += [endpoint_counter(endpoint, counter) for counter in range(endpoints.WORDS) if counter != endpoints.ACTIVE]
    before = [memory.total(word) for word in words]
    for _ in range(2):
        memory.end_slot(1)
        assert [memory.total(word) for word in words] == before
        assert memory.total(route_counter(route, ROUTE_ACTIVE)) == 100 + ROUTE_ACTIVE  # slot 2 is alive
        assert memory.total(endpoint_counter(endpoint, endpoints.ACTIVE)) == 100
        with memory.endpoint_cells(endpoint, endpoints.ACTIVE) as cells:
            assert cells[:4].tolist() == [0, 0, 100, 0]
        assert memory.total(PROCESS_DRAINING) == 3
        with memory.admission(listener) as cells:
            assert [cells[0], cells[2], cells[3]] == [9, 0, 4]


def test_clearing_an_index_leaves_its_neighbours(memory: SharedMemory) -> None:
    """An index that is given to another listener or route starts at zero in every slot; others keep their counts."""
    for slot in range(4):
        for listener in (1, 2, 3):
            add(memory, slot, accepted_counter(listener), 1)
            add(memory, slot, reason_counter(listener, COUNTED[-1]), 1)
        for route in (1, 2, 3):
            for counter in ROUTE_COUNTERS:
                add(memory, slot, route_counter(route, counter), 1)
            for protocol in PROTOCOLS:
                add(memory, slot, codes_counter(route, protocol), 1)
                add(memory, slot, codes_counter(route, protocol) + WORDS - 1, 1)
            for word in _edges(route):
                add(memory, slot, word, 1)
        for listener in (1, 2, 3):
            add(memory, slot, histogram_counter(listener, LISTENER_REQUEST_SECONDS) + SUM, 1)
    memory.clear_listener(2)
    memory.clear_route(2)
    assert [memory.total(accepted_counter(listener)) for listener in (1, 2, 3)] == [4, 0, 4]
    assert [memory.total(reason_counter(listener, COUNTED[-1])) for listener in (1, 2, 3)] == [4, 0, 4]
    sums = [memory.total(histogram_counter(listener, LISTENER_REQUEST_SECONDS) + SUM) for listener in (1, 2, 3)]
    assert sums == [4, 0, 4]
    for counter in ROUTE_COUNTERS:
        assert [memory.total(route_counter(route, counter)) for route in (1, 2, 3)] == [4, 0, 4]
    for place in (0, WORDS - 1):
        for protocol in PROTOCOLS:
            assert [memory.total(codes_counter(route, protocol) + place) for route in (1, 2, 3)] == [4, 0, 4]
    assert [[memory.total(word) for word in _edges(route)] for route in (1, 2, 3)] == [[4] * 4, [0] * 4, [4] * 4]


def _edges(route: int) -> list[int]:
    """Return the first and the last word of a route's errors and gRPC statuses."""
    errors = [route_reason_counter(route, reason) for reason in (COUNTED[0], COUNTED[-1])]
    return errors + [grpc_counter(route, place) for place in (0, grpc_statuses.NONE)]


def test_clearing_an_endpoint_leaves_its_neighbours(memory: SharedMemory) -> None:
    """An index that is given to another endpoint starts without counts, and with a state of which nothing is known."""
    state = endpoints.state_word(endpoints.EJECTED, 200)
    with memory.endpoint_states() as states:
        for endpoint in (1, 2, 3):
            states[endpoint] = state
            for slot in range(4):
                for counter in range(endpoints.WORDS):
                    add(memory, slot, endpoint_counter(endpoint, counter), 1)
        memory.clear_endpoint(2)
        assert states[1:4].tolist() == [state, 0, state]
    for counter in range(endpoints.WORDS):
        assert [memory.total(endpoint_counter(each, counter)) for each in (1, 2, 3)] == [4, 0, 4]
    words = endpoints.WORDS
    assert memory.totals(endpoint_counter(1, 0), 3 * words) == [4] * words + [0] * words + [4] * words


def test_untouched_parts_cost_no_memory(memory: SharedMemory) -> None:
    """Two busy counters of two slots take a few pages of the whole."""
    add(memory, 1, accepted_counter(0), 1)
    add(memory, 3, route_counter(0, ROUTE_ACTIVE), 1)
    assert os.fstat(memory.fd).st_blocks * 512 < 64 * 1024
