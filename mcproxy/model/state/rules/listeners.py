"""Rules about listeners and what they can serve: addresses that overlap, routes that suit no listener of theirs."""

from collections.abc import Iterator

from mcproxy.model.state.rules.violation import ResourceId, RuleViolation
from mcproxy.model.state.state import State
from mcproxy.model.values import addresses

_TLS_KEYS = ("tls_cert", "tls_key", "certificate", "names", "tls")
NEITHER = ', or certificate = "acme"'
_LISTENING = ("grpc.addr", "metrics.addr")


def overlaps(state: State) -> Iterator[RuleViolation]:
    """Yield the addresses that can't be bound beside an earlier one, each once."""
    by_port: dict[int, list[tuple[str, str, ResourceId]]] = {}
    listening: list[tuple[str, str, ResourceId]] = [
        (str(state.settings[path]), path, ("setting", path)) for path in _LISTENING if state.settings.get(path)
    ]
    listening += [(addr, "the listener", ("listener", addr)) for addr in state.listeners]
    for addr, name, subject in listening:
        taken = by_port.setdefault(addresses.listen_port(addr), [])
        for other, what, rival in taken:
            if addresses.overlap(addr, other):
                message = f"{addr} cannot be bound beside {what} {other}"
                setting = other if rival[0] == "setting" else addr
                yield RuleViolation("overlap", subject, message, (rival,), rival, setting)
                break
        taken.append((addr, name, subject))


def routes_on_tcp(state: State) -> Iterator[RuleViolation]:
    """Yield the routes that a listener with ``protocol = "tcp"`` can't serve."""
    blind = {addr for addr, listener in state.listeners.items() if listener.protocol == "tcp"}
    for key, route in state.routes.items() if blind else ():
        if key[0] not in blind:
            continue
        others: tuple[ResourceId, ...] = (("listener", key[0]),)
        if route.hostname != "*":
            message = 'must be "*": a listener with protocol = "tcp" reads no server name, and has this one route'
            yield RuleViolation("route_on_tcp", ("route", key), message, others, field="hostname")
        if route.mode != "l4":
            message = 'must be "l4": a listener with protocol = "tcp" reads nothing of what it passes on'
            yield RuleViolation("route_on_tcp", ("route", key), message, others, field="mode")


def routes_on_http(state: State) -> Iterator[RuleViolation]:
    """Yield the routes that don't suit whether the listener's clients speak TLS."""
    protocols = {addr: listener.protocol for addr, listener in state.listeners.items()}
    speaks_http = "http" in protocols.values()
    for key, route in state.routes.items():
        if route.mode == "l4" and not speaks_http:
            continue
        protocol = protocols.get(key[0], "tls")
        others: tuple[ResourceId, ...] = (("listener", key[0]),)
        if protocol == "http" and route.mode != "l7":
            message = 'must be "l7": on a listener with protocol = "http" each request has its route'
            yield RuleViolation("route_on_http", ("route", key), message, others, field="mode")
        elif protocol == "http":
            for field in _TLS_KEYS:
                if getattr(route, field):  # a table without keys is one, too
                    message = 'is for TLS; clients of a listener with protocol = "http" speak none'
                    yield RuleViolation("route_on_http", ("route", key), message, others, field=field)
        elif protocol == "tls" and not (route.mode == "l4" or route.certificate or (route.tls_cert and route.tls_key)):
            field = "tls_key" if route.tls_cert else "tls_cert"
            message = f"an l7 route needs {field}{'' if route.tls_cert else NEITHER}"
            yield RuleViolation("no_certificate", ("route", key), message, others, field=field)
