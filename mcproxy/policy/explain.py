"""What the data plane would do with a connection, step by step, and which line of which file decided it.

The steps stand in the order of a connection's life and call the very code that the workers run; a step that refuses
the connection is the last one.
"""

import ipaddress
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from mcproxy.model.problems import Origin
from mcproxy.model.resolve import Resolution
from mcproxy.model.state import Listener, Route
from mcproxy.policy.routing import RouteTable

Outcome: TypeAlias = Literal["ok", "refused"]


class Query(msgspec.Struct, frozen=True):
    """A connection to think through.

    Attributes:
        listener: the listener's canonical address; None asks about every listener.
        sni: the name the client asks for, as it sends it; None for a client without SNI.
        ip: the client's address; None leaves it open.
    """

    listener: str | None = None
    sni: str | None = None
    ip: str | None = None


class Step(msgspec.Struct, frozen=True):
    """One decision.

    Attributes:
        step: what decided: ``listener``, ``hello``, ``route``, ``backend``.
        outcome: ``ok`` when the connection goes on to the next step, ``refused`` when it ends here.
        detail: why, for people.
        origin: the declaration that decided it, None where no line of a file did.
    """

    step: str
    outcome: Outcome
    detail: str
    origin: Origin | None


def explain(resolution: Resolution, query: Query) -> tuple[Step, ...]:
    """Return the decisions about a connection; every ``listener`` step begins the walk for one more listener."""
    listeners = resolution.state.listeners
    if query.listener is None:
        wanted = list(listeners)
    elif query.listener in listeners:
        wanted = [query.listener]
    else:
        return (Step("listener", "refused", f"nothing listens on {query.listener}; {_choice(listeners)}", None),)
    return tuple(step for addr in wanted for step in _walk(resolution, query, listeners[addr]))


def _walk(resolution: Resolution, query: Query, listener: Listener) -> Iterator[Step]:
    origins = resolution.origins
    origin = origins.get(("listener", listener.addr))
    if query.ip is not None and not _reaches(query.ip, listener.addr):
        yield Step("listener", "refused", f"{listener.addr} cannot be reached from {query.ip}", origin)
        return
    yield Step("listener", "ok", f"{listener.addr} accepts {query.ip or 'the client'}", origin)

    yield Step("hello", "ok", "no server name (SNI)" if query.sni is None else f"server name {query.sni}", None)

    routes = [route for route in resolution.state.routes.values() if route.listener == listener.addr]
    route = RouteTable((route.hostname, route) for route in routes).find(query.sni)
    if route is None:
        yield Step("route", "refused", "no route matches; the connection is reset", origin)
        return
    yield Step("route", "ok", _match(route), origins.get(("route", route.listener, route.hostname)))

    yield Step("backend", "ok", _backend(route), origins.get(("route", route.listener, route.hostname)))


def _reaches(ip: str, addr: str) -> bool:
    """Tell whether a client of this address's family can connect to a listening address (``:port`` takes both)."""
    host = addr.rpartition(":")[0].strip("[]")
    return not host or ipaddress.ip_address(host).version == ipaddress.ip_address(ip).version


def _match(route: Route) -> str:
    if route.hostname == "*":
        return "* takes what no other route matches"
    if route.hostname.startswith("*."):
        return f"{route.hostname} is the longest wildcard that matches"
    return f"{route.hostname} matches exactly"


def _backend(route: Route) -> str:
    endpoints = ", ".join(map(str, route.endpoints))
    return f"TLS is passed through (l4) to {endpoints}" if route.mode == "l4" else f"terminated (l7) for {endpoints}"


def _choice(listeners: dict[str, Listener]) -> str:
    return f"there is {', '.join(listeners)}" if listeners else "the file has no listeners"
