"""The immutable copy of a State that workers get, encoded as MessagePack.

Beside the resources it carries what only control can assign: the generation, and for every listener and route the
stable index of its counters in shared memory.
"""

from collections.abc import Mapping

import msgspec

from mcproxy.model.state import Listener, ListenerKey, Route, RouteKey, SettingValue, State


class Timeouts(msgspec.Struct, frozen=True):
    """The workers' time limits, in seconds."""

    client_hello: float
    proxy_header: float
    handshake: float
    connect: float
    idle: float
    shutdown: float


class FirewallEntry(msgspec.Struct, frozen=True):
    """Whom the workers refuse.

    Attributes:
        ips, cidrs, countries: the values of the rules of each type, sorted.
        database: what tells one version of the country database from another; "" when there is none.
        rate_limit: connections per client and window, 0 for no limit.
        rate_window: length of a window in seconds.
    """

    ips: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    database: str = ""
    rate_limit: int = 0
    rate_window: float = 60.0


class RouteEntry(msgspec.Struct, frozen=True):
    """A route and the index of its counters."""

    index: int
    route: Route


class ListenerEntry(msgspec.Struct, frozen=True):
    """A listener, the index of its counters, the number of its listening sockets, and its routes."""

    index: int
    listener: Listener
    sockets: int
    routes: tuple[RouteEntry, ...]


class Snapshot(msgspec.Struct, frozen=True):
    """What every worker of one generation runs."""

    generation: int
    timeouts: Timeouts
    firewall: FirewallEntry
    listeners: tuple[ListenerEntry, ...]


def make_snapshot(
    state: State,
    generation: int,
    listener_indices: Mapping[ListenerKey, int],
    route_indices: Mapping[RouteKey, int],
    sockets: Mapping[ListenerKey, int],
    *,
    country_database: str,
) -> Snapshot:
    """Build the snapshot of a state.

    Args:
        state: what to run.
        generation: its number.
        listener_indices: the counters' index of every listener.
        route_indices: the counters' index of every route.
        sockets: the number of listening sockets of every listener.
        country_database: what tells the version of the country database that comes with it; "" for none.
    """
    routes: dict[ListenerKey, list[RouteEntry]] = {addr: [] for addr in state.listeners}
    for key, route in state.routes.items():
        routes[route.listener].append(RouteEntry(route_indices[key], route))
    return Snapshot(
        generation=generation,
        timeouts=_timeouts(state.settings),
        firewall=_firewall(state, country_database),
        listeners=tuple(
            ListenerEntry(listener_indices[addr], listener, sockets[addr], tuple(routes[addr]))
            for addr, listener in state.listeners.items()
        ),
    )


def _timeouts(settings: Mapping[str, SettingValue]) -> Timeouts:
    def seconds(key: str) -> float:
        return msgspec.convert(settings[f"proxy.{key}"], float)

    return Timeouts(
        client_hello=seconds("client_hello_timeout"),
        proxy_header=seconds("proxy_header_timeout"),
        handshake=seconds("handshake_timeout"),
        connect=seconds("connect_timeout"),
        idle=seconds("idle_timeout"),
        shutdown=seconds("shutdown_timeout"),
    )


def _firewall(state: State, country_database: str) -> FirewallEntry:
    def values(wanted: str) -> tuple[str, ...]:
        return tuple(sorted(rule.value for rule in state.rules.values() if rule.type == wanted))

    return FirewallEntry(
        ips=values("ip"),
        cidrs=values("cidr"),
        countries=values("country"),
        database=country_database,
        rate_limit=msgspec.convert(state.settings["firewall.rate_limit"], int),
        rate_window=msgspec.convert(state.settings["firewall.rate_window"], float),
    )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def encode(snapshot: Snapshot) -> bytes:
    """Return the snapshot as MessagePack."""
    return _encoder.encode(snapshot)


def decode(data: bytes) -> Snapshot:
    """Return the snapshot in ``data``; raises `msgspec.DecodeError` or `msgspec.ValidationError` if it is none."""
    return _decoder.decode(data)
