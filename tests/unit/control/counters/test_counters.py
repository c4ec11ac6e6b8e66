"""Counters over the deaths of workers and of control itself."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mcproxy.control.counters.counters import Counters
from mcproxy.errors import ApplyError
from mcproxy.model.state.snapshot import make_snapshot
from mcproxy.model.state.state import MAX_ENDPOINTS, Listener, State, Upstream, UpstreamEndpoint
from mcproxy.model.state.upstream_entries import upstream_entries
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.memory import grpc_statuses
from mcproxy.net.memory.admission import AdmissionLock
from mcproxy.net.memory.endpoints import ACTIVE, DOWN, TAKEN, state_word
from mcproxy.net.memory.histogram import BOUNDS, observe
from mcproxy.net.memory.http_codes import OFFSETS
from mcproxy.net.memory.route_histograms import RouteHistograms
from mcproxy.net.memory.shared_memory import (
    LISTENER_DIAL_SECONDS,
    LISTENER_REQUEST_SECONDS,
    PROCESS_DRAINING,
    ROUTE_ACTIVE,
    ROUTE_BYTES_RECEIVED,
    ROUTE_BYTES_SENT,
    ROUTE_CONNECTIONS,
    ROUTE_ERRORS,
    ROUTE_HTTP,
    SLOTS,
    SPOKE_GRPC,
    SPOKE_HTTP,
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
from tests.support import toml

ADDR = ":8443"


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    made = SharedMemory.create()
    yield made
    made.close()


def state(*hostnames: str) -> State:
    return toml.state(toml.listener(ADDR, *(toml.route(name, 9000) for name in hostnames)))


def count(memory: SharedMemory, slot: int, route: int, *, connections: int, active: int) -> None:
    """Count as a worker does."""
    with memory.counter_block(slot) as words:
        words[accepted_counter(0)] += connections
        words[route_counter(route, ROUTE_CONNECTIONS)] += connections
        words[route_counter(route, ROUTE_ACTIVE)] += active
        words[route_counter(route, ROUTE_BYTES_RECEIVED)] += 10 * connections
        words[route_counter(route, ROUTE_BYTES_SENT)] += 100 * connections
        words[reason_counter(0, "no_route")] += 1


def test_totals_are_those_of_all_slots_and_outlive_a_worker(memory: SharedMemory) -> None:
    """What a dead worker has counted stays counted; what it had open is closed."""
    counters = Counters(memory)
    _, routes = counters.assign(state("a.test", "b.test"))
    slots = [counters.take_slot() for _ in range(2)]
    for slot in slots:
        count(memory, slot, routes[ADDR, "a.test"], connections=3, active=2)
    assert counters.active() == {(ADDR, "a.test"): 4, (ADDR, "b.test"): 0}
    counters.free_slot(slots[0])
    assert counters.active()[ADDR, "a.test"] == 2
    totals = counters.totals().routes[ADDR, "a.test"]
    assert (totals.connections, totals.active, totals.received, totals.sent) == (6, 2, 60, 600)
    assert counters.accepted() == {ADDR: 6}
    assert counters.totals().ended("refused") == {ADDR: {"no_route": 2}}
    # the next worker in the same slot begins with nothing open
    assert counters.take_slot() == slots[0]
    assert counters.active()[ADDR, "a.test"] == 2


def test_slots_come_to_an_end(memory: SharedMemory) -> None:
    """More workers than slots are refused with a message, and a freed one is good again."""
    counters = Counters(memory)
    slots = [counters.take_slot() for _ in range(SLOTS - 1)]
    assert len(set(slots)) == SLOTS - 1
    with pytest.raises(ApplyError, match=f"more than {SLOTS - 1} workers"):
        counters.take_slot()
    counters.free_slot(slots[5])
    assert counters.take_slot() == slots[5]


def take_over(memory: SharedMemory, before: Counters, desired: State) -> Counters:
    """Return the counters of a new control that finds ``desired`` live."""
    listeners, routes = before.assign(desired)
    before.retain(desired, {})
    snapshot = make_snapshot(desired, 1, listeners, routes, {ADDR: 1}, digests={})
    after = Counters(memory)
    after.seed(snapshot)
    after.assign(desired)
    return after


def test_endpoints_keep_their_indices(memory: SharedMemory) -> None:
    """Over changes of the state and of what names stand for, and a new control; a reused one begins at zero."""
    web = '[upstreams.web]\nendpoints = ["10.0.0.1:80", { address = "h:80", resolve = "all" }]\n'
    desired = toml.state(web + toml.listener(ADDR, toml.route("a.test", 9000)))
    counters = Counters(memory)
    assert counters.assign_endpoints(desired, {}) == {("web", "10.0.0.1:80"): 0, ("web", "h:80"): 1}
    answers = {"h:80": (Endpoint("10.0.0.2", 80), Endpoint("10.0.0.3", 80))}
    indices = counters.assign_endpoints(desired, answers)
    assert indices == {
        ("web", "10.0.0.1:80"): 0,
        ("web", "h:80"): 1,
        ("web", "10.0.0.2:80"): 2,
        ("web", "10.0.0.3:80"): 3,
    }
    counters.retain(desired, answers)
    assert ("web", "h:80") not in counters.endpoints.items()
    snapshot = make_snapshot(
        desired, 1, {ADDR: 0}, {(ADDR, "a.test"): 0}, {ADDR: 1}, digests={}, endpoint_indices=indices, answers=answers
    )
    after = Counters(memory)
    after.seed(snapshot)
    assert after.assign_endpoints(desired, answers) == {key: index for key, index in indices.items() if index != 1}
    assert after.assign_endpoints(desired, {})["web", "h:80"] == 4


def test_what_is_under_way_is_told_by_the_address_in_the_file(memory: SharedMemory) -> None:
    """Of a name that stands for several endpoints the sum, over all workers."""
    web = '[upstreams.web]\nendpoints = ["10.0.0.1:80", { address = "h:80", resolve = "all" }]\n'
    desired = toml.state(web + toml.listener(ADDR, toml.route("a.test", "web")))
    counters = Counters(memory)
    answers = {"h:80": (Endpoint("10.0.0.2", 80), Endpoint("10.0.0.3", 80))}
    indices = counters.assign_endpoints(desired, answers)
    for slot, key in ((counters.take_slot(), "10.0.0.2:80"), (counters.take_slot(), "10.0.0.3:80")):
        with memory.counter_block(slot) as words:
            words[endpoint_counter(indices["web", key], ACTIVE)] = 3
    entries = upstream_entries(desired, indices, answers, {}, lambda _: b"")
    assert counters.active_endpoints(entries) == {("web", "10.0.0.1:80"): 0, ("web", "h:80"): 6}


def test_an_endpoint_with_open_connections_gives_its_index_to_no_other(memory: SharedMemory) -> None:
    """When all were given out, those given up are reused, the counters of the former endpoint gone."""

    def upstreams(**ports: range) -> State:
        endpoints = [
            UpstreamEndpoint(upstream=name, address=f"h:{port}") for name, each in ports.items() for port in each
        ]
        return State(
            upstreams={name: Upstream(name=name) for name in ports},
            endpoints={(each.upstream, each.address): each for each in endpoints},
        )

    counters = Counters(memory)
    kept = range(4, MAX_ENDPOINTS + 1)
    counters.assign_endpoints(upstreams(gone=range(1, 4), kept=kept), {})
    counters.retain(upstreams(kept=kept), {})
    with memory.counter_block(counters.take_slot()) as words:
        words[endpoint_counter(0, ACTIVE)] = 1
        words[endpoint_counter(1, TAKEN)] = words[endpoint_counter(2, TAKEN)] = 7
    memory.endpoint_states()[1] = state_word(DOWN)
    with pytest.raises(ApplyError, match=f"more than {MAX_ENDPOINTS} endpoints"):
        counters.assign_endpoints(upstreams(kept=kept, new=range(1, 4)), {})
    indices = counters.assign_endpoints(upstreams(kept=kept, new=range(1, 3)), {})
    assert {indices["new", "h:1"], indices["new", "h:2"]} == {1, 2}
    assert memory.total(endpoint_counter(1, TAKEN)) == memory.total(endpoint_counter(2, TAKEN)) == 0
    assert memory.endpoint_states()[1] == 0


def test_a_new_control_keeps_the_counts_of_workers_that_are_dead_by_then(memory: SharedMemory) -> None:
    """Their totals stay, what they had open is closed, and their slots are free."""
    desired = state("a.test")
    before = Counters(memory)
    before.assign(desired)
    slot = before.take_slot()
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    memory.hold(slot, dead.pid)
    count(memory, slot, 0, connections=5, active=2)
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # a zombie counts as dead, too
    after = take_over(memory, before, desired)
    dead.wait()
    assert after.active() == {(ADDR, "a.test"): 0}
    assert {key: route.connections for key, route in after.totals().routes.items()} == {(ADDR, "a.test"): 5}
    assert after.take_slot() == slot


def test_a_new_control_leaves_alone_the_slot_of_a_worker_that_lives(memory: SharedMemory) -> None:
    """Also before that worker has offered itself: nobody else may write there."""
    desired = state("a.test")
    before = Counters(memory)
    before.assign(desired)
    slot = before.take_slot()
    memory.hold(slot, os.getpid())
    count(memory, slot, 0, connections=5, active=2)
    after = take_over(memory, before, desired)
    assert after.active() == {(ADDR, "a.test"): 2}
    assert after.take_slot() != slot
    assert after.take_slot(slot) == slot


def test_a_new_control_does_not_give_a_used_index_to_another_route(memory: SharedMemory) -> None:
    """A route that was removed may have connections yet; a route that is added later begins with none."""
    before = Counters(memory)
    before.assign(state("a.test", "old.test"))
    slot = before.take_slot()
    memory.hold(slot, os.getpid())
    count(memory, slot, 1, connections=5, active=2)
    after = take_over(memory, before, state("a.test"))
    after.assign(state("a.test", "new.test"))
    assert after.active() == {(ADDR, "a.test"): 0, (ADDR, "new.test"): 0}
    assert (ADDR, "new.test") not in after.totals().routes  # those that never had a connection are left out


def beside(memory: SharedMemory, old: Counters, desired: State) -> Counters:
    """Return the counters of a control that is to replace another one, which lives and has ``desired`` live."""
    listeners, routes = old.assign(desired)
    new = Counters(memory)
    new.seed(make_snapshot(desired, 1, listeners, routes, {ADDR: 1}, digests={}), old.share())
    return new


def test_two_controls_never_take_the_same_slot(memory: SharedMemory) -> None:
    """The old one replaces its workers in the slots that it has, the new one uses others; then it looks after all."""
    old = Counters(memory)
    slots = [old.take_slot(), old.take_slot()]
    new = beside(memory, old, state("a.test"))
    old.free_slot(slots[0])
    mine = [new.take_slot() for _ in range(3)]
    assert old.take_slot() == slots[0]
    with pytest.raises(ApplyError):
        old.take_slot()
    assert not set(mine) & {*slots, 0}
    count(memory, slots[1], 0, connections=4, active=2)
    new.take_slot(slots[0])
    new.take_over([0, *slots], [*mine, slots[0]])
    assert new.active() == {(ADDR, "a.test"): 0}  # the worker of the other one had ended unseen
    assert new.take_slot() == slots[1]


def test_a_control_that_goes_on_after_all_cleans_up_behind_the_other(memory: SharedMemory) -> None:
    """Limits, indices and the gauges of workers that are dead are its own again; slots of living ones stay theirs."""
    old, desired = Counters(memory), state("a.test")
    new = beside(memory, old, desired)
    _, routes = new.assign(state("a.test", "b.test"))
    new.set_limits(State(listeners={ADDR: Listener(ADDR, max_connections=5)}))
    dead, living = new.take_slot(), new.take_slot()
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    memory.hold(dead, ended.pid)
    ended.wait()
    with subprocess.Popen(["sleep", "60"]) as lives:
        memory.hold(living, lives.pid)
        for slot in (dead, living):
            count(memory, slot, routes[ADDR, "a.test"], connections=3, active=2)
            count(memory, slot, routes[ADDR, "b.test"], connections=3, active=2)
        old.unshare(desired)
        with memory.admission(0) as cells:
            assert cells[0] == 0
        assert old.active() == {(ADDR, "a.test"): 2}
        assert old.take_slot() == dead
        assert old.assign(state("a.test", "c.test"))[1][ADDR, "c.test"] not in routes.values()
        lives.kill()
    old.free_ended()
    assert old.active()[ADDR, "a.test"] == 0
    assert old.take_slot() == living


def test_totals_say_everything_that_was_counted(memory: SharedMemory) -> None:
    """By listener, route and process, over all slots; what never occurred is left out."""
    counters = Counters(memory)
    _, routes = counters.assign(state("a.test", "idle.test", "b.test"))
    a, b = routes[ADDR, "a.test"], routes[ADDR, "b.test"]
    lock = AdmissionLock(memory)
    number = RouteHistograms(memory, lock.fd).assign(b)
    assert number == 0
    own = route_histogram_counter(number)
    slots = [counters.take_slot() for _ in range(2)]
    for slot in slots:
        count(memory, slot, a, connections=3, active=2)
        count(memory, slot, b, connections=1, active=0)
        with memory.counter_block(slot) as words:
            words[reason_counter(0, "cidr")] += 1
            words[limit_counter("header_bytes")] += 1
            words[route_reason_counter(a, "backend_refused")] += 2
            words[route_reason_counter(a, "client_gone")] += 1
            words[route_counter(a, ROUTE_ERRORS)] += 3
            words[PROCESS_DRAINING] += 2
            words[route_counter(b, ROUTE_HTTP)] = SPOKE_HTTP | SPOKE_GRPC
            words[grpc_counter(b, 14)] += 3
            words[grpc_counter(b, grpc_statuses.NONE)] += 1
            observe(words, own, 0.25)
            words[codes_counter(b, "http/1.1") + OFFSETS[200]] += 2
            words[codes_counter(b, "h2") + OFFSETS[200]] += 1
            words[codes_counter(b, "h2") + OFFSETS[0]] += 1
            words[policy_counter(b, "require_header")] += 1
            observe(words, histogram_counter(0, LISTENER_DIAL_SECONDS), 0.001)
            observe(words, histogram_counter(0, LISTENER_DIAL_SECONDS), 0.0010001)
            observe(words, histogram_counter(0, LISTENER_REQUEST_SECONDS), 86_400.0)
    counters.free_slot(slots[0])
    counters.count_restart()
    totals = counters.totals()
    assert set(totals.routes) == {(ADDR, "a.test"), (ADDR, "b.test")}
    a_totals = totals.routes[ADDR, "a.test"]
    assert (a_totals.connections, a_totals.active, a_totals.received, a_totals.sent) == (6, 2, 60, 600)
    assert (a_totals.requests, a_totals.responses, a_totals.blocks, a_totals.durations) == (0, {}, {}, None)
    assert a_totals.errors == {"backend_refused": 4, "client_gone": 2}
    assert (sum(a_totals.failures.values()), totals.routes[ADDR, "b.test"].errors) == (4, {})
    assert totals.ended("backend", "proxy") == {ADDR: {"backend_refused": 4}}
    assert totals.ended("refused") == {ADDR: {"no_route": 4, "cidr": 2}}
    assert totals.ended("client") == {ADDR: {"client_gone": 2}}
    assert (a_totals.grpc, totals.routes[ADDR, "b.test"].grpc) == ({}, {"14": 6, "none": 2})
    durations = totals.routes[ADDR, "b.test"].durations
    assert durations is not None
    assert (durations.total, durations.seconds) == (2, 0.5)
    assert totals.routes[ADDR, "b.test"].requests == 8
    responses = {("http/1.1", "200"): 4, ("h2", "200"): 2, ("h2", "aborted"): 2}
    assert totals.routes[ADDR, "b.test"].responses == responses
    assert totals.routes[ADDR, "b.test"].blocks == {"require_header": 2}
    listener = totals.listeners[ADDR]
    assert (listener.accepted, listener.errors, listener.blocks) == (8, {"no_route": 4}, {"cidr": 2})
    assert listener.dials.buckets[: len(BOUNDS)] == (0, 4, *[0] * 12)  # 1 us is the least that counts
    assert (listener.dials.total, listener.dials.seconds) == (4, 0.004)
    assert (listener.requests.buckets[-1], listener.requests.seconds) == (2, 172_800.0)
    assert (totals.limits, totals.draining, totals.worker_restarts) == ({"header_bytes": 2}, 2, 1)


def test_totals_of_many_routes_leave_untouched_memory_alone(memory: SharedMemory) -> None:
    """Reading fills holes of the mapping: a scrape takes one line per route and slot, and the blocks only where used."""
    counters = Counters(memory)
    _, routes = counters.assign(state(*(f"r{number}.test" for number in range(2000))))
    slot = counters.take_slot()
    with memory.counter_block(slot) as words:
        words[route_counter(routes[ADDR, "r1234.test"], ROUTE_CONNECTIONS)] += 1
        words[route_counter(routes[ADDR, "r1234.test"], ROUTE_HTTP)] = 1
        words[codes_counter(routes[ADDR, "r1234.test"], "h2") + OFFSETS[404]] += 1
    totals = counters.totals()
    assert {key: route.responses for key, route in totals.routes.items()} == {(ADDR, "r1234.test"): {("h2", "404"): 1}}
    assert os.fstat(memory.fd).st_blocks * 512 < (2 * 2000 * 64) + 64 * 1024
