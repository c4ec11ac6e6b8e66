"""What the workers have counted: the shared memory, and whose counters lie where in it."""

import os
import select
from collections.abc import Collection, Iterable
from itertools import compress

from mcproxy.control.counters.filter_totals import Names, forget_routes, make_room
from mcproxy.control.counters.indices import Indices
from mcproxy.control.counters.refusals import RecentRefusals, Refusals
from mcproxy.control.counters.route_health import RouteHealth
from mcproxy.control.counters.totals import Totals, read_totals, refused, route_sums
from mcproxy.errors import ApplyError
from mcproxy.model.state.scopes import CASE_FILTER, ROUTE_FILTER, FilterKey, filter_keys
from mcproxy.model.state.snapshot import Snapshot
from mcproxy.model.state.state import (
    MAX_ENDPOINTS,
    MAX_FILTERS,
    MAX_LISTENERS,
    MAX_ROUTES,
    EndpointKey,
    ListenerKey,
    RouteKey,
    State,
)
from mcproxy.model.state.upstream_entries import Answers, UpstreamEntry, endpoint_keys
from mcproxy.model.values.reasons import COUNTED, FAILURES
from mcproxy.net.memory.admission import AdmissionLock
from mcproxy.net.memory.counted_words import LIMITS, POLICIES
from mcproxy.net.memory.endpoints import ACTIVE, WORDS
from mcproxy.net.memory.route_histograms import RouteHistograms
from mcproxy.net.memory.shared_memory import (
    CONTROL_SLOT,
    PROCESS_WORKER_RESTARTS,
    ROUTE_ACTIVE,
    SLOTS,
    SharedMemory,
    accepted_counter,
    endpoint_counter,
    limit_counter,
    policy_counter,
    route_counter,
)

_IS_FAILURE = tuple(reason in FAILURES for reason in COUNTED)


class Counters:
    """Assigns indices and slots, and adds up what all slots hold.

    Attributes:
        memory: the counter blocks that workers write to.
        listeners: the index of every live listener.
        routes: the index of every live route.
        endpoints: the index of every endpoint of the live upstreams, by the name of its upstream and its address.
        filters: the index of every filter, of those that routes and cases have for themselves too.
        health: which routes fail.
        recent: what was refused in the last minutes.
    """

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self.listeners: Indices[ListenerKey] = Indices("listener", MAX_LISTENERS)
        self.routes: Indices[RouteKey] = Indices("route", MAX_ROUTES)
        self.endpoints: Indices[EndpointKey] = Indices("endpoint", MAX_ENDPOINTS)
        self.filters: Indices[FilterKey] = Indices("filter", MAX_FILTERS)
        self.health = RouteHealth(self._failures)
        self.recent = RecentRefusals(Refusals({}, {}))
        self._slots = {CONTROL_SLOT}
        self._histograms = RouteHistograms(memory, AdmissionLock(memory).fd)
        self._fence: frozenset[int] = frozenset()
        self._unknown: dict[int, int] = {}
        self._names = Names()
        memory.use_slot(CONTROL_SLOT)

    def seed(self, snapshot: Snapshot, taken: Collection[int] | None = None) -> None:
        """Go on with the indices of the snapshot that surviving workers serve, and keep what dead workers counted.

        Args:
            snapshot: that of the newest worker.
            taken: the slots of a control that still runs: it looks after them until `take_over`. None: there is none.
        """
        listeners, routes, endpoints = self.memory.given()
        self.listeners.seed({entry.listener.addr: entry.index for entry in snapshot.listeners}, listeners)
        self.routes.seed(
            {
                (route.route.listener, route.route.hostname): route.index
                for e in snapshot.listeners
                for route in e.routes
            },
            routes,
        )
        self.endpoints.seed(
            {(e.name, str(each.endpoint)): each.index for e in snapshot.upstreams for each in e.endpoints}, endpoints
        )
        self.filters.seed({entry.key: entry.index for entry in snapshot.filters}, 0)
        self._slots.update(taken or ())
        if taken is None:
            self._look_at_others()
        self.recent = RecentRefusals(self.refusals())

    def _look_at_others(self) -> None:
        """Find out which slots have workers that this control does not know, and keep what dead ones counted."""
        for slot in range(CONTROL_SLOT + 1, self.memory.slots_used()):
            pid = 0 if slot in self._slots else self.memory.holder(slot)
            if pid and _runs(pid):
                self._slots.add(slot)  # its worker has handed over, or may yet
                self._unknown[slot] = pid
            elif pid:
                self.free_slot(slot)

    def free_ended(self) -> None:
        """Free the slots of workers that have ended before this control came to know them."""
        for slot, pid in list(self._unknown.items()):
            if not _runs(pid):
                self.free_slot(slot)

    def share(self) -> tuple[int, ...]:
        """Leave all slots but those in use to another control that takes its own of this memory; return those in use."""
        self._fence = frozenset(self._slots)
        return tuple(sorted(self._fence))

    def unshare(self, state: State) -> None:
        """Have the memory for this control alone again, as it is for a state, when the other one is gone."""
        self._fence = frozenset()
        listeners, routes, endpoints = self.memory.given()
        self.listeners.skip(listeners)
        self.routes.skip(routes)
        self.endpoints.skip(endpoints)
        self._look_at_others()
        self.set_limits(state)

    def take_over(self, taken: Collection[int], workers: Collection[int]) -> None:
        """Look after the slots that another control has ``taken`` from now on: those of its ``workers`` are in use."""
        for slot in set(taken) - {CONTROL_SLOT} - set(workers):
            self.free_slot(slot)

    def assign(self, state: State) -> tuple[dict[ListenerKey, int], dict[RouteKey, int]]:
        """Return the index of every listener and route of ``state``; raises `ApplyError` when there are too many."""
        listeners, reused_listeners = self.listeners.extend(state.listeners, self._has_open_listener)
        routes, reused_routes = self.routes.extend(state.routes, self._has_open_route)
        self._note_given()
        for index in reused_listeners:
            self.memory.clear_listener(index)
        for index in reused_routes:
            self.memory.clear_route(index)
            self._histograms.forget(index)
        forget_routes(self.memory, reused_routes)
        self._histograms.release(set(routes.values()), self._has_open_route)
        return listeners, routes

    def assign_endpoints(self, state: State, answers: Answers) -> dict[EndpointKey, int]:
        """Return the index of every endpoint of ``state`` that can be dialed; raises `ApplyError` when there are too many.

        Args:
            state: of which `assign` was called.
            answers: what names with ``resolve = "all"`` stand for.
        """
        endpoints, reused = self.endpoints.extend(endpoint_keys(state, answers), self._has_open_endpoint)
        self._note_given()
        for index in reused:
            self.memory.clear_endpoint(index)
        return endpoints

    def assign_filters(self, state: State) -> dict[FilterKey, int]:
        """Return the index of every filter of ``state``; raises `ApplyError` when there are too many."""
        filters, _ = self.filters.extend(filter_keys(state), lambda _: False)
        return filters

    def retain(self, state: State, answers: Answers) -> None:
        """Give up the indices of what is not in ``state``, with these answers."""
        self.listeners.retain(state.listeners)
        self.routes.retain(state.routes)
        self.endpoints.retain(endpoint_keys(state, answers))
        self._names = Names(state.cases, (*state.filters, ROUTE_FILTER, CASE_FILTER))
        make_room(self.memory, self.routes.items(), self._names)
        self.filters.retain(filter_keys(state))

    def _note_given(self) -> None:
        self.memory.note_given(*(len(indices.used()) for indices in (self.listeners, self.routes, self.endpoints)))

    def take_slot(self, slot: int | None = None) -> int:
        """Return a free slot, or mark ``slot`` as taken by a surviving worker."""
        if slot is None:
            slot = next((number for number in self._fence or range(SLOTS) if number not in self._slots), None)
            if slot is None:
                raise ApplyError(f"more than {SLOTS - 1} workers, draining ones included")
        self._slots.add(slot)
        self._unknown.pop(slot, None)
        self.memory.use_slot(slot)
        return slot

    def set_limits(self, state: State) -> None:
        """Let every worker know the connection limits of a state's listeners, at once."""
        indices = self.listeners.items()
        for addr, listener in state.listeners.items():
            with self.memory.admission(indices[addr]) as cells:
                cells[0] = listener.max_connections

    def free_slot(self, slot: int) -> None:
        """Let the slot of a worker that is gone be used again; its totals stay."""
        self.memory.end_slot(slot)
        self._slots.discard(slot)
        self._unknown.pop(slot, None)

    def count_restart(self) -> None:
        """Count that a worker had to be replaced."""
        with self.memory.counter_block(CONTROL_SLOT) as counters:
            counters[PROCESS_WORKER_RESTARTS] += 1

    def worker_restarts(self) -> int:
        """Return how many workers had to be replaced."""
        return self.memory.total(PROCESS_WORKER_RESTARTS)

    def totals(self) -> Totals:
        """Return everything that was counted: for 10,000 routes, all of them busy, in some 0.1 s."""
        return read_totals(self.memory, self.listeners.items(), self.routes.items(), self._names)

    def active(self) -> dict[RouteKey, int]:
        """Return the number of open connections of each route."""
        return self._of_routes(ROUTE_ACTIVE)

    def active_endpoints(self, upstreams: Iterable[UpstreamEntry]) -> dict[EndpointKey, int]:
        """Return the connections and requests under way at each endpoint, by its upstream and its address in the file."""
        sums = self.memory.totals(endpoint_counter(0, 0), len(self.endpoints.used()) * WORDS)[ACTIVE::WORDS]
        found: dict[EndpointKey, int] = {}
        for entry in upstreams:
            for each in entry.endpoints:
                key = entry.name, each.label
                found[key] = found.get(key, 0) + sums[each.index]
        return found

    def open_by_listener(self) -> dict[ListenerKey, int]:
        """Return the number of open connections of each listener, also of those that have no route yet."""
        return {key: self.memory.open_connections(index) for key, index in self.listeners.items().items()}

    def accepted(self) -> dict[ListenerKey, int]:
        """Return how many connections each listener has accepted."""
        return {key: self.memory.total(accepted_counter(index)) for key, index in self.listeners.items().items()}

    def limits_hit(self) -> dict[str, int]:
        """Return how often each limit of ``[limits]`` was hit; those that never were are left out."""
        return {limit: total for limit in LIMITS if (total := self.memory.total(limit_counter(limit)))}

    def refusals(self) -> Refusals:
        """Return what each listener refused, and the limits that were hit, since the start."""
        listeners = {addr: refused(self.memory, index) for addr, index in self.listeners.items().items()}
        return Refusals(listeners, self.limits_hit())

    def refused_recently(self, now: float) -> Refusals:
        """Return the same of the last minutes (monotonic seconds)."""
        return self.recent.since(now, self.refusals())

    def follow_refusals(self, now: float) -> None:
        """Keep a sample for `refused_recently` if one is due (monotonic seconds)."""
        if self.recent.is_due(now):
            self.recent.keep(now, self.refusals())

    def policy_blocks(self) -> dict[RouteKey, dict[str, int]]:
        """Return how many requests each type of policy has blocked, by route; routes without any are left out."""
        found: dict[RouteKey, dict[str, int]] = {}
        for key, index in self.routes.items().items():
            totals = {policy: self.memory.total(policy_counter(index, policy)) for policy in POLICIES}
            if any(totals.values()):
                found[key] = {policy: total for policy, total in totals.items() if total}
        return found

    def _failures(self, route: RouteKey) -> int:
        """Return how many connections and requests of a route have failed, 0 for one that is going."""
        index = self.routes.items().get(route)
        if index is None:
            return 0
        return sum(
            sum(compress(self.memory.errors(slot, index), _IS_FAILURE)) for slot in range(self.memory.slots_used())
        )

    def _has_open_listener(self, index: int) -> bool:
        return self.memory.open_connections(index) > 0

    def _has_open_route(self, index: int) -> bool:
        return self.memory.total(route_counter(index, ROUTE_ACTIVE)) > 0

    def _has_open_endpoint(self, index: int) -> bool:
        return self.memory.total(endpoint_counter(index, ACTIVE)) > 0

    def _of_routes(self, counter: int) -> dict[RouteKey, int]:
        sums = route_sums(self.memory, counter, len(self.routes.used()))
        return {key: sums[index] for key, index in self.routes.items().items()}


def _runs(pid: int) -> bool:
    """Tell whether a process is alive: not gone, and not a zombie that nobody reaps."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return not poll.poll(0)
    finally:
        os.close(fd)
