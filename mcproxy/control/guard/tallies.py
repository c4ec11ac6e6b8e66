"""How requests ended, by what the guard judges, from what the workers have counted."""

from collections.abc import Collection, Mapping

from mcproxy.control.counters.counters import Counters
from mcproxy.control.counters.totals import ListenerTotals, RouteTotals, read_totals
from mcproxy.model.state.state import Route, RouteKey
from mcproxy.model.values.reasons import FAILURES, FIREWALL, of_group
from mcproxy.policy.guard.parts import Subject, What
from mcproxy.policy.guard.tally import Tally

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


def read(counters: Counters, routes: Mapping[RouteKey, Route], subjects: Collection[Subject]) -> dict[Subject, Tally]:
    """Return what the counters of subjects say; those that are not live are left out.

    Args:
        counters: of all processes.
        routes: the live ones.
        subjects: what is asked for.
    """
    known_listeners, known_routes = counters.listeners.items(), counters.routes.items()
    keys = {(one.listener, one.hostname) for one in subjects if one.what == "route"}
    addrs = {one.listener for one in subjects if one.what != "route"}
    totals = read_totals(
        counters.memory,
        {addr: known_listeners[addr] for addr in addrs if addr in known_listeners},
        {key: known_routes[key] for key in keys if key in known_routes},
    )
    found: dict[Subject, Tally] = {}
    for subject in subjects:
        key = subject.listener, subject.hostname
        if subject.what != "route" and subject.listener in totals.listeners:
            found[subject] = of_listener(totals.listeners[subject.listener], subject.what)
        elif key in routes and key in known_routes:
            counted = totals.routes.get(key)
            found[subject] = Tally() if counted is None else of_route(counted, routes[key])
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
