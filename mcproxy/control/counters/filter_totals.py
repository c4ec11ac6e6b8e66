"""What all processes have counted of cases and filters, read from shared memory, with the names of the live state."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from mcproxy.control.counters.quantiles import Histogram, as_histogram
from mcproxy.model.state.state import RouteKey
from mcproxy.net.memory import sparse_counters
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.memory.sparse_counters import AMBIGUOUS, CASE, COUNTERS, DURATIONS, FIXED, Key, hash_of

CaseName: TypeAlias = tuple[str, str, str]
"""A listener, a route's hostname and the case's match, or another name."""
Block: TypeAlias = tuple[str, str, str, str]
"""A listener, a route's hostname, a filter's name and the stage."""

_WORDS = {kind: {hash_of(word): word for word in words} for kind, words in FIXED.items()}
OTHER = "_other"
"""Stands for every name of those that found no room in the memory."""


class FilterTotals(NamedTuple):
    """What was counted of the live cases and filters, and of TLS; what never happened is left out.

    Attributes:
        cases: requests by the case that was chosen for them, `AMBIGUOUS` where none could be.
        blocks: connections and requests that a filter has refused.
        asked: how long the answers of ``forward_auth`` took, by filter.
        tls: what was counted of TLS, by the kind of it: each of `FIXED`, and by its names.
    """

    cases: Mapping[CaseName, int] = {}
    blocks: Mapping[Block, int] = {}
    asked: Mapping[str, Histogram] = {}
    tls: Mapping[str, Mapping[CaseName, int]] = {}


class Names:
    """The names of the cases and filters of a state, by what the memory has of them.

    Args:
        cases: the live ones.
        filters: the names of the live filters.
    """

    def __init__(self, cases: Iterable[CaseName] = (), filters: Collection[str] = ()) -> None:
        self._cases = cases
        self._filters = filters
        self._by_hash: dict[int, str] | None = None
        self._matches: dict[RouteKey, list[str]] | None = None
        self._by_route: dict[RouteKey, dict[int, str]] = {}
        self._known: dict[Key, tuple[RouteKey, str] | None] = {}

    def filter(self, name: int) -> str | None:
        """Return the filter whose name has this hash, None if there is none (any more)."""
        if self._by_hash is None:
            self._by_hash = {hash_of(each): each for each in self._filters}
        return self._by_hash.get(name)

    def case(self, route: RouteKey, name: int) -> str | None:
        """Return the match of the route's case that has this hash, or `AMBIGUOUS`; None if there is none (any more)."""
        if route not in self._by_route:
            if self._matches is None:
                self._matches = {}
                for listener, hostname, match in self._cases:
                    self._matches.setdefault((listener, hostname), []).append(match)
            matches = self._matches.get(route, ())
            self._by_route[route] = {hash_of(match): match for match in (*matches, AMBIGUOUS)}
        return self._by_route[route].get(name)

    def of(self, routes: Mapping[int, RouteKey], key: Key) -> tuple[RouteKey, str] | None:
        """Return the route, by its index, and the name that a key stands for, None if there is no such any more.

        Routes that there are keep their indices as long as a state is live, so what was found once is known.
        """
        if key in self._known:
            return self._known[key]
        owner, name = key
        route = routes.get(sparse_counters.route_of(owner))
        if route is None:
            return None
        kind = sparse_counters.kind_of(owner)
        found = (
            self.case(route, name) if kind == CASE else _WORDS[kind].get(name) if kind in _WORDS else self.filter(name)
        )
        told = self._known[key] = None if found is None else (route, found)
        return told


def read_filter_totals(memory: SharedMemory, routes: Mapping[RouteKey, int], names: Names) -> FilterTotals:
    """Add up what all slots hold.

    Args:
        memory: where it is.
        routes: the index of every route.
        names: what there is.
    """
    by_index = {index: key for key, index in routes.items()}
    views = [memory.sparse(slot) for slot in range(memory.slots_used())]
    counted, uncounted = sparse_counters.read_counts(map(sparse_counters.counters_in, views))
    durations = sparse_counters.read(map(sparse_counters.durations_in, views), DURATIONS)
    cases: dict[CaseName, int] = {}
    blocks: dict[Block, int] = {}
    tls: dict[str, dict[CaseName, int]] = {kind: {} for kind in FIXED}
    for key, count in counted.items():
        found = names.of(by_index, key)
        if found is None:
            continue
        (listener, hostname), name = found
        kind = sparse_counters.kind_of(key[0])
        if kind == CASE:
            cases[listener, hostname, name] = count
        elif kind in tls:
            tls[kind][listener, hostname, name] = count
        else:
            blocks[listener, hostname, name, kind] = count
    for number, count in enumerate(uncounted):
        kind = sparse_counters.kind_of(number)
        if count and kind == CASE:
            cases[OTHER, OTHER, OTHER] = count
        elif count and kind in tls:
            tls[kind][OTHER, OTHER, OTHER] = count
        elif count:
            blocks[OTHER, OTHER, OTHER, kind] = count
    asked = {
        named: as_histogram(value)
        for (_, name), value in durations.values.items()
        if (named := names.filter(name)) is not None
    }
    (late,) = durations.others
    if any(late):
        asked[OTHER] = as_histogram(late)
    return FilterTotals(cases, blocks, asked, tls)


def forget_routes(memory: SharedMemory, indices: Collection[int]) -> None:
    """Free what was counted under indices of routes, before others get them."""
    if not indices:
        return
    gone = frozenset(indices)
    for slot in range(memory.slots_used()):
        with memory.sparse(slot) as words, sparse_counters.counters_in(words) as counters:
            sparse_counters.free(counters, COUNTERS, lambda key: sparse_counters.route_of(key[0]) in gone)


def make_room(memory: SharedMemory, routes: Mapping[RouteKey, int], names: Names) -> None:
    """Free what nothing live has the name of, in the tables that are half full."""
    by_index = {index: key for key, index in routes.items()}
    for slot in range(memory.slots_used()):
        with memory.sparse(slot) as words:
            with sparse_counters.counters_in(words) as counters:
                if sparse_counters.is_half_full(counters, COUNTERS):
                    sparse_counters.free(counters, COUNTERS, lambda key: names.of(by_index, key) is None)
            with sparse_counters.durations_in(words) as durations:
                if sparse_counters.is_half_full(durations, DURATIONS):
                    sparse_counters.free(durations, DURATIONS, lambda key: names.filter(key[1]) is None)
