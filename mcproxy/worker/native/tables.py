"""The routes of a listener, as the native core takes them: it relays what leads to addresses, and leaves the rest to Python."""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from mcproxy.net.native import records
from mcproxy.net.native.addresses import ROUTE_SIZE, pack_route, sockaddr
from mcproxy.worker.backends.target import Target
from mcproxy.worker.live.endpoint import LiveEndpoint
from mcproxy.worker.live.listener import LiveRoute

if TYPE_CHECKING:
    from mcproxy.worker.live.upstream import LiveUpstream


_LEFT = (records.ROUTE_PYTHON, b"")
"""What is left to Python, to the core."""


def is_fixed(route: LiveRoute) -> bool:
    """Tell whether a route stays to the core what it is as long as it is the same object: nothing else has a say in it."""
    return route.upstream is None and route.door is None


def pack(
    routes: list[LiveRoute],
    number_of: Callable[["LiveUpstream"], int],
    former: Sequence[LiveRoute] = (),
    rows: bytes = b"",
    proven: Collection[str] = (),
) -> tuple[bytes, bytes]:
    """Return routes in their order, and their hostname patterns, for `Core.table`.

    Args:
        routes: those of a listener.
        number_of: tells what the core calls an upstream whose turns it takes, 0 for others.
        former: routes of an earlier table, all of them fixed.
        rows: what they were packed to, of which is taken what is at the same place again: most changes are of few routes, and
            there may be ten thousand.
        proven: names that are left to Python, whatever route serves them; nothing is taken of `rows` then.
    """
    names = [route.entry.route.hostname.encode("ascii") for route in routes]
    packed = []
    at = 0
    same_place = True
    for index, (route, name) in enumerate(zip(routes, names, strict=True)):
        old = former[index] if index < len(former) else None
        if same_place and route is old and is_fixed(route):
            packed.append(rows[index * ROUTE_SIZE : (index + 1) * ROUTE_SIZE])
        else:
            kind, address = _destination(route) if route.entry.route.hostname not in proven else _LEFT
            words = route.connections_counter, route.active_counter, *route.byte_counters
            limits, upstream = (route.connect_timeout, route.idle_timeout), route.upstream
            number = 0 if upstream is None else number_of(upstream)
            packed.append(pack_route(at, len(name), kind, words, address, *limits, number))
            same_place = same_place and old is not None and len(old.entry.route.hostname) == len(name)
        at += len(name)
    exact = {route.entry.route.hostname for route in routes} if proven else ()
    for name in (each.encode("ascii") for each in proven if each not in exact):
        packed.append(pack_route(at, len(name), records.ROUTE_PYTHON, (0, 0, 0, 0)))
        names.append(name)
        at += len(name)
    return b"".join(packed), b"".join(names)


def endpoint_address(endpoint: LiveEndpoint) -> bytes | None:
    """Return what the core connects to for an endpoint, None for what it can't: Python dials that."""
    return _address(endpoint.targets)


def _destination(route: LiveRoute) -> tuple[int, bytes]:
    """Return what kind of route it is to the core, and the address if it leads to one."""
    if route.is_plain:
        if route.upstream is not None:
            if all(endpoint_address(each) is not None for each in route.upstream.endpoints.values()):
                return records.ROUTE_UPSTREAM, b""
        elif (address := _address(route.targets)) is not None:
            return records.ROUTE_ADDRESS, address
    return _LEFT


def _address(targets: tuple[Target, ...]) -> bytes | None:
    """Return the address of a single target, None for others and for names."""
    if len(targets) != 1 or len(targets[0].addresses) != 1:
        return None
    return sockaddr(targets[0].addresses[0])
