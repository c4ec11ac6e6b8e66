"""What the data plane would do with a connection, step by step, and which line of which file decided it.

The steps stand in the order of a connection's life and call the very code that the workers run; a step that refuses
the connection is the last one. Steps that the file asks nothing of are left out.
"""

import ipaddress
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import msgspec

from mcproxy.model import durations
from mcproxy.model.problems import Origin
from mcproxy.model.resolve import Resolution
from mcproxy.model.state import Listener, Route
from mcproxy.policy.firewall import CidrSet, Firewall, trusts, unmap
from mcproxy.policy.rate_window import client_key
from mcproxy.policy.routing import RouteTable

Outcome: TypeAlias = Literal["ok", "refused"]
CountryOf: TypeAlias = Callable[[bytes], str | None]
"""Tells the country of a packed address, None if it is not known."""


class Query(msgspec.Struct, frozen=True):
    """A connection to think through.

    Attributes:
        listener: the listener's canonical address; None asks about every listener.
        sni: the name the client asks for, as it sends it; None for a client without SNI.
        ip: the real client's address; None leaves it open.
        proxy_ip: the address of another proxy, which connects and names the client in a PROXY header; None for none,
            or, where the listener expects a header, for one that is trusted.
    """

    listener: str | None = None
    sni: str | None = None
    ip: str | None = None
    proxy_ip: str | None = None


class Step(msgspec.Struct, frozen=True):
    """One decision.

    Attributes:
        step: what decided: ``listener``, ``limit``, ``proxy_header``, ``firewall``, ``rate_limit``, ``hello``,
            ``route``, ``backend``.
        outcome: ``ok`` when the connection goes on to the next step, ``refused`` when it ends here.
        detail: why, for people.
        origin: the declaration that decided it, None where no line of a file did.
    """

    step: str
    outcome: Outcome
    detail: str
    origin: Origin | None


def explain(resolution: Resolution, query: Query, country: CountryOf) -> tuple[Step, ...]:
    """Return the decisions about a connection; every ``listener`` step begins the walk for one more listener.

    Args:
        resolution: what is served.
        query: the connection.
        country: looks an address up in the country database, if there is one.
    """
    listeners = resolution.state.listeners
    if query.listener is None:
        wanted = list(listeners)
    elif query.listener in listeners:
        wanted = [query.listener]
    else:
        return (Step("listener", "refused", f"nothing listens on {query.listener}; {_choice(listeners)}", None),)
    return tuple(step for addr in wanted for step in _Walk(resolution, query, country, listeners[addr]).steps())


class _Walk:
    """The way through one listener."""

    def __init__(self, resolution: Resolution, query: Query, country: CountryOf, listener: Listener) -> None:
        self._state = resolution.state
        self._origins = resolution.origins
        self._query = query
        self._country = country
        self._listener = listener
        self._origin = self._origins.get(("listener", listener.addr))
        # Without a header that the listener expects, who connects is who is judged.
        expected = listener.proxy_protocol
        self._peer = query.proxy_ip or (None if expected else query.ip)
        self._client = query.ip if expected else self._peer

    def steps(self) -> Iterator[Step]:
        """Yield the steps up to the one that refuses."""
        for stage in (self._accept, self._limit, self._header, self._firewall, self._rate, self._hello, self._route):
            for step in stage():
                yield step
                if step.outcome == "refused":
                    return

    def _accept(self) -> Iterator[Step]:
        addr = self._listener.addr
        if self._peer is not None and not _reaches(self._peer, addr):
            yield Step("listener", "refused", f"{addr} cannot be reached from {self._peer}", self._origin)
        yield Step("listener", "ok", f"{addr} accepts {self._peer or 'the client'}", self._origin)

    def _limit(self) -> Iterator[Step]:
        limit = self._listener.max_connections
        if limit:
            yield Step("limit", "ok", f"unless {limit} connections are open (max_connections)", self._origin)

    def _header(self) -> Iterator[Step]:
        if not self._listener.proxy_protocol:
            return
        proxies = self._listener.trusted_proxies
        peer = self._peer
        if peer is None:
            senders = f"must come from {', '.join(proxies)}" if proxies else "may come from anyone"
            yield Step("proxy_header", "ok", f"a PROXY header is expected, it {senders}", self._origin)
        elif not trusts(CidrSet(proxies), _packed(peer)):
            yield Step("proxy_header", "refused", f"{peer} is in none of trusted_proxies", self._origin)
        else:
            says = f"says that the client is {self._client}" if self._client else "may say who the client is"
            yield Step("proxy_header", "ok", f"{peer} {says}", self._origin)

    def _firewall(self) -> Iterator[Step]:
        rules = list(self._state.rules.values())
        if not rules:
            return
        if self._client is None:
            yield Step("firewall", "ok", f"{_count(len(rules), 'rule')}, not judged without a client address", None)
            return
        by_type = {kind: [rule.value for rule in rules if rule.type == kind] for kind in ("ip", "cidr", "country")}
        firewall = Firewall(by_type["ip"], by_type["cidr"], by_type["country"])
        packed = _packed(self._client)
        found = firewall.find(packed, self._country)
        where = ""
        if by_type["country"]:
            code = self._country(unmap(packed))
            where = f", country {code}" if code else ", in no known country"
        if found is None:
            detail = f"none of {_count(len(rules), 'rule')} blocks {self._client}{where}"
            yield Step("firewall", "ok", detail, None)
        else:
            kind, value = found
            detail = f"{self._client} is blocked by {kind} {value}"
            yield Step("firewall", "refused", detail, self._origins.get(("rule", kind, value)))

    def _rate(self) -> Iterator[Step]:
        settings = self._state.settings
        limit = msgspec.convert(settings["firewall.rate_limit"], int)
        if limit:
            window = durations.render(msgspec.convert(settings["firewall.rate_window"], float))
            who = "each client" if self._client is None else _counted_as(self._client)
            detail = f"{who} may connect {_count(limit, 'time')} in {window}"
            yield Step("rate_limit", "ok", detail, self._origins.get(("setting", "firewall.rate_limit")))

    def _hello(self) -> Iterator[Step]:
        if self._query.proxy_ip is not None and not self._listener.proxy_protocol:
            detail = "a PROXY header is not expected here; it needs proxy_protocol = true on the listener"
            yield Step("hello", "refused", detail, self._origin)
        sni = self._query.sni
        yield Step("hello", "ok", "no server name (SNI)" if sni is None else f"server name {sni}", None)

    def _route(self) -> Iterator[Step]:
        routes = [route for route in self._state.routes.values() if route.listener == self._listener.addr]
        route = RouteTable((route.hostname, route) for route in routes).find(self._query.sni)
        if route is None:
            yield Step("route", "refused", "no route matches; the connection is reset", self._origin)
            return
        origin = self._origins.get(("route", route.listener, route.hostname))
        yield Step("route", "ok", _match(route), origin)
        yield Step("backend", "ok", _backend(route), origin)


def _packed(ip: str) -> bytes:
    return ipaddress.ip_address(ip).packed


def _reaches(ip: str, addr: str) -> bool:
    """Tell whether a client of this address's family can connect to a listening address (``:port`` takes both)."""
    host = addr.rpartition(":")[0].strip("[]")
    return not host or len(ipaddress.ip_address(host).packed) == len(unmap(_packed(ip)))


def _counted_as(ip: str) -> str:
    """Return what the rate limit counts an address as."""
    key = client_key(_packed(ip))
    return str(ipaddress.ip_address(key)) if len(key) == 4 else f"{ipaddress.ip_address(key + bytes(8))}/64"


def _match(route: Route) -> str:
    if route.hostname == "*":
        return "* takes what no other route matches"
    if route.hostname.startswith("*."):
        return f"{route.hostname} is the longest wildcard that matches"
    return f"{route.hostname} matches exactly"


def _backend(route: Route) -> str:
    endpoints = ", ".join(map(str, route.endpoints))
    what = f"TLS is passed through (l4) to {endpoints}" if route.mode == "l4" else f"terminated (l7) for {endpoints}"
    return f"{what}, which is told the client's address by a PROXY header" if route.send_proxy_protocol else what


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _choice(listeners: dict[str, Listener]) -> str:
    return f"there is {', '.join(listeners)}" if listeners else "the file has no listeners"
