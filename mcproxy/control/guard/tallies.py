"""How requests ended, by what the guard judges, from what the workers have counted."""

from collections.abc import Collection, Mapping

from mcproxy.control.counters.counters import Counters
from mcproxy.control.counters.totals import ListenerTotals, RouteTotals, read_totals, route_sums
from mcproxy.model.state.state import Route, RouteKey
from mcproxy.model.values.reasons import FAILURES, FIREWALL, of_group
from mcproxy.net.memory.shared_memory import ROUTE_BYTES_RECEIVED, ROUTE_BYTES_SENT, ROUTE_CONNECTIONS, ROUTE_ERRORS
from mcproxy.policy.guard.parts import Subject, What
from mcproxy.policy.guard.tally import Tally

_GROWING = (ROUTE_CONNECTIONS, ROUTE_BYTES_RECEIVED, ROUTE_BYTES_SENT, ROUTE_ERRORS)
"""What of a route grows with everything that comes to it."""
_SPARE = 1000  # routes that are gone and may be remembered
_NAMES = frozenset(("no_sni", "no_route"))
_WORDS: Mapping[What, frozenset[str]] = {
    "listener": of_group("refused") - frozenset(FIREWALL),
    "names": _NAMES,
    "firewall": frozenset(FIREWALL),
}
"""The refusals of a listener that a change of each may bring about."""

_TURNED = of_group("refused") | frozenset(("client_gone", "tls_failed", "tls_timeout", "client_reset"))
_AMONG_ANSWERS = of_group("refused")  # of an l7 route each has been answered, with 403 or 429
_GATEWAY = frozenset(("502", "503", "504"))  # the proxy's own answers when a backend fails, and some of backends
_GRPC_FAILED = frozenset(("2", "13", "14", "15", "none"))
_GRPC_UNKNOWN = "12"  # UNIMPLEMENTED, what gRPC says for 404


class Tallies:
    """Reads the counters of subjects; those of a route in full only where something has come since the last time."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._known: dict[RouteKey, tuple[object, Tally]] = {}

    def read(self, routes: Mapping[RouteKey, Route], subjects: Collection[Subject]) -> dict[Subject, Tally]:
        """Return what the counters of subjects say; those that are not live are left out.

        Args:
            routes: the live ones.
            subjects: what is asked for.
        """
        counters = self._counters
        known_listeners, known_routes = counters.listeners.items(), counters.routes.items()
        keys = {(one.listener, one.hostname) for one in subjects if one.what == "route"}
        addrs = {one.listener for one in subjects if one.what != "route"}
        there = {key: known_routes[key] for key in keys if key in routes and key in known_routes}
        tallies = self._of_routes(routes, there)
        listeners = read_totals(
            counters.memory, {addr: known_listeners[addr] for addr in addrs if addr in known_listeners}, {}
        ).listeners
        found: dict[Subject, Tally] = {}
        for subject in subjects:
            if subject.what != "route":
                if subject.listener in listeners:
                    found[subject] = of_listener(listeners[subject.listener], subject.what)
            elif (key := (subject.listener, subject.hostname)) in tallies:
                found[subject] = tallies[key]
        return found

    def _of_routes(self, routes: Mapping[RouteKey, Route], indices: Mapping[RouteKey, int]) -> dict[RouteKey, Tally]:
        memory, known = self._counters.memory, self._known
        count = max(indices.values(), default=-1) + 1
        columns = [route_sums(memory, counter, count) for counter in _GROWING]
        marks = {
            key: (index, routes[key].mode, *(column[index] for column in columns)) for key, index in indices.items()
        }
        changed = {key: indices[key] for key, mark in marks.items() if key not in known or known[key][0] != mark}
        if changed:
            totals = read_totals(memory, {}, changed).routes
            for key in changed:
                counted = totals.get(key)
                known[key] = marks[key], Tally() if counted is None else of_route(counted, routes[key])
        found = {key: known[key][1] for key in indices}
        if len(known) > 2 * len(routes) + _SPARE:
            self._known = {key: known[key] for key in routes if key in known}
        return found


def of_listener(listener: ListenerTotals, what: What) -> Tally:
    """Return how a listener's connections ended: those refused for what is asked for, and the others that were not refused."""
    refused = {**listener.errors, **listener.blocks}
    turned = sum(count for reason, count in refused.items() if reason in _WORDS[what])
    return Tally(max(listener.accepted - sum(refused.values()), 0), 0, turned)


def of_route(counted: RouteTotals, route: Route) -> Tally:
    """Return how a route's requests ended, on l4 its connections."""
    failures = sum(count for reason, count in counted.errors.items() if reason in FAILURES)
    if route.mode == "l4":
        turned = sum(count for reason, count in counted.errors.items() if reason in _TURNED)
        return Tally(max(counted.connections - failures - turned, 0), failures, turned)
    grpc_failed = sum(count for status, count in counted.grpc.items() if status in _GRPC_FAILED)
    grpc_unknown = counted.grpc.get(_GRPC_UNKNOWN, 0)
    good, own, other, refused = -grpc_failed - grpc_unknown, grpc_failed, 0, grpc_unknown
    for (_, code), count in counted.responses.items():
        if code in _GATEWAY:
            own += count
        elif code.startswith("5"):
            other += count
        elif code.startswith("4"):
            refused += count
        elif code.startswith(("1", "2", "3")):
            good += count
    refused += sum(count for reason, count in counted.errors.items() if reason in _TURNED - _AMONG_ANSWERS)
    # A failure has been answered with 502 to 504, or amid the response with none: what is counted of both overlaps.
    return Tally(max(good, 0), other + max(own, failures), refused)
