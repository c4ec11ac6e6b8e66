"""What the data plane would do with a connection, step by step, and which line of which file decided it.

The steps stand in the order of a connection's life and call the very code that the workers run; a step that refuses
the connection, or its request, is the last one. Steps that the file asks nothing of are left out. On an L7 route the
walk goes on with one request.
"""

import ipaddress
from collections.abc import Iterator, Sequence

import msgspec

from mcproxy.model.config.checking.declarations import RULE_LISTS
from mcproxy.model.config.resolve import Resolution
from mcproxy.model.state.state import ALLOWING, Listener, Route
from mcproxy.model.values import durations
from mcproxy.model.values.origins import Key, Origin
from mcproxy.model.values.quoting import quote
from mcproxy.policy.authority import authority_host, canonical_name
from mcproxy.policy.explain.backend import backend
from mcproxy.policy.explain.filters import Asked, InForce, counted_as
from mcproxy.policy.explain.query import CountryOf, Live, Query, Step, count, host_of
from mcproxy.policy.explain.session import Session
from mcproxy.policy.explain.tables import Tables
from mcproxy.policy.firewall import CidrSet, trusts, unmap


class Walker:
    """Walks through one configuration, for as many questions as there are; its tables are made once.

    Attributes:
        tables: what it looks up.
    """

    def __init__(self, resolution: Resolution) -> None:
        self.tables = Tables(resolution)

    def explain(self, query: Query, country: CountryOf, live: Live | None = None) -> tuple[Step, ...]:
        """Return the decisions about a connection; every ``listener`` step begins the walk for one more listener.

        Args:
            query: the connection.
            country: looks an address up in the country database, if there is one.
            live: what is known of endpoints; None where nothing is.
        """
        listeners = self.tables.state.listeners
        if query.listener is not None and query.listener not in listeners:
            detail = f"nothing listens on {query.listener}; {_choice(listeners)}"
            return (Step("listener", "refused", detail, None),)
        return tuple(step for addr in self._wanted(query) for step in self.walk(addr, query, country, live).steps())

    def reached(self, query: Query, country: CountryOf) -> tuple[Route, ...]:
        """Return the routes whose backends the connection gets to, with its request if it has one; arguments as of `explain`."""
        walks = [self.walk(addr, query, country) for addr in self._wanted(query)]
        return tuple(walk.found for walk in walks if list(walk.steps())[-1].outcome == "ok" and walk.found is not None)

    def walk(self, addr: str, query: Query, country: CountryOf, live: Live | None = None) -> "Walk":
        """Return the way through one listener of the configuration, not yet gone; the other arguments as of `explain`."""
        return Walk(self.tables, query, country, self.tables.state.listeners[addr], live)

    def _wanted(self, query: Query) -> Sequence[str]:
        listeners = self.tables.state.listeners
        return list(listeners) if query.listener is None else [query.listener] if query.listener in listeners else []


def explain(resolution: Resolution, query: Query, country: CountryOf, live: Live | None = None) -> tuple[Step, ...]:
    """Return the decisions about the one connection that somebody asks about; see `Walker.explain`."""
    return Walker(resolution).explain(query, country, live)


class Walk:
    """The way through one listener; the attributes are known when the steps have been gone.

    Attributes:
        route: what the connection, or its request, comes to; None for none.
        found: the same with what is done with the request, of its case if that has an action; None where no backend gets it.
        session: the part behind the choice of an l7 route, None for none.
        client: who the connection comes from, None where that is left open.
        decides: the resource that says where it leads.
    """

    def __init__(
        self, tables: Tables, query: Query, country: CountryOf, listener: Listener, live: Live | None = None
    ) -> None:
        self._tables = tables
        self._origins = tables.origins
        self._query = query
        self._country = country
        self._listener = listener
        self._live = live
        self._origin = self._origins.get(("listener", listener.addr))
        # Without a header that the listener expects, who connects is who is judged.
        expected = listener.proxy_protocol
        self._peer = query.proxy_ip or (None if expected else query.ip)
        self._direct = (
            expected
            and listener.untrusted == "direct"
            and self._peer is not None
            and not trusts(CidrSet(listener.trusted_proxies), _packed(self._peer))
        )
        self.client = query.ip if expected and not self._direct else self._peer
        self.route: Route | None = None
        self.found: Route | None = None
        self.session: Session | None = None
        self.decides: Key = ("listener", listener.addr)

    @property
    def force(self) -> InForce | None:
        """The filters that hold for the request, or for the connection; None where there is no route."""
        if self.session is not None and self.session.force is not None:
            return self.session.force
        return None if self.route is None else self._tables.in_force(self.route)

    def steps(self) -> Iterator[Step]:
        """Yield the steps up to the one that refuses."""
        stages = (
            self._accept,
            self._limit,
            self._header,
            self._firewall,
            self._rate,
            self._connections,
            self._hello,
            self._route,
        )
        for stage in (*stages, self._session, self._backend):
            for step in stage():
                yield step
                if step.outcome == "refused":
                    return

    def _accept(self) -> Iterator[Step]:
        addr = self._listener.addr
        if self._peer is not None and not reaches(self._peer, addr):
            yield Step("listener", "refused", f"{addr} cannot be reached from {self._peer}", self._origin)
        yield Step("listener", "ok", f"{addr} accepts {self._peer or 'the client'}", self._origin)

    def _limit(self) -> Iterator[Step]:
        limit = self._listener.max_connections
        if limit:
            detail = f"unless {limit} connections are open (max_connections)"
            yield Step("limit", "ok", detail, self._origin, names=("limit", "max_connections"))

    def _header(self) -> Iterator[Step]:
        if not self._listener.proxy_protocol:
            return
        proxies = self._listener.trusted_proxies
        peer = self._peer
        if peer is None:
            senders = f"must come from {', '.join(proxies)}" if proxies else "may come from anyone"
            yield Step("proxy_header", "ok", f"a PROXY header is expected, it {senders}", self._origin)
        elif self._direct:
            yield Step(
                "proxy_header", "ok", f"{peer} is in none of trusted_proxies: a client without a header", self._origin
            )
        elif not trusts(CidrSet(proxies), _packed(peer)):
            detail, names = f"{peer} is in none of trusted_proxies", ("trusted_proxies", "untrusted_proxy")
            yield Step("proxy_header", "refused", detail, self._origin, names=names)
        else:
            says = f"says that the client is {self.client}" if self.client else "may say who the client is"
            yield Step("proxy_header", "ok", f"{peer} {says}", self._origin)

    def _firewall(self) -> Iterator[Step]:
        rules = self._tables.state.rules
        denies = self._tables.state.settings.get("firewall.default") == "deny"
        if not rules and not denies:
            return
        if self.client is None:
            yield Step("firewall", "ok", f"{count(len(rules), 'rule')}, not judged without a client address", None)
            return
        packed = _packed(self.client)
        found = self._tables.firewall.find(packed, self._country)
        kind, value = found or ("", "")
        origin = self._origins.get(("rule", kind, value))
        where = "" if found else self._whereabouts(packed)
        if found is None and denies:
            detail = f"none of {count(len(rules), 'rule')} allows {self.client}{where}, and default is deny"
            default = self._origins.get(("setting", "firewall.default"))
            yield Step("firewall", "refused", detail, default, names=("firewall", "default", "not_allowed"))
        elif found is None:
            detail = f"none of {count(len(rules), 'rule')} blocks {self.client}{where}"
            yield Step("firewall", "ok", detail, None)
        elif kind in ALLOWING:
            detail = f"{self.client} is allowed by {kind.removeprefix('allowed_')} {value}"
            yield Step("firewall", "ok", detail, origin)
        else:
            detail, names = f"{self.client} is blocked by {kind} {value}", ("firewall", RULE_LISTS[kind], kind)
            yield Step("firewall", "refused", detail, origin, names=names)

    def _whereabouts(self, packed: bytes) -> str:
        """Tell the country of a client about whom no rule says anything, if any rule is about countries."""
        by_type = self._tables.rules
        if not by_type["country"] and not by_type["allowed_country"]:
            return ""
        code = self._country(unmap(packed))
        return f", country {code}" if code else ", in no known country"

    def _rate(self) -> Iterator[Step]:
        settings = self._tables.state.settings
        limit = msgspec.convert(settings["firewall.rate_limit"], int)
        if limit:
            window = durations.render(msgspec.convert(settings["firewall.rate_window"], float))
            who = "each client" if self.client is None else counted_as(self.client)
            detail = f"{who} may connect {count(limit, 'time')} in {window}"
            origin = self._origins.get(("setting", "firewall.rate_limit"))
            yield Step("rate_limit", "ok", detail, origin, names=("firewall", "rate_limit"))

    def _connections(self) -> Iterator[Step]:
        limit = self._tables.state.settings.get("firewall.connections_per_client")
        if limit:
            who = "the client" if self.client is None else counted_as(self.client)
            detail = f"unless {limit} connections of {who} are open (connections_per_client)"
            origin = self._origins.get(("setting", "firewall.connections_per_client"))
            yield Step("connections", "ok", detail, origin, names=("firewall", "connections_per_client"))

    def _hello(self) -> Iterator[Step]:
        if self._listener.protocol == "tcp":
            return  # a PROXY header that is not expected is the backend's, as all that comes
        if self._query.proxy_ip is not None and not self._listener.proxy_protocol:
            detail = "a PROXY header is not expected here; it needs proxy_protocol = true on the listener"
            yield Step("hello", "refused", detail, self._origin, names=("unexpected_proxy_header",))
        if self._listener.protocol == "http":
            return
        sni = self._query.sni
        if sni is not None and canonical_name(sni) is None:
            yield Step(
                "hello", "refused", f"{quote(sni)} is no server name: a label is empty", None, names=("bad_hello",)
            )
        yield Step("hello", "ok", "no server name (SNI)" if sni is None else f"server name {sni}", None)

    def _route(self) -> Iterator[Step]:
        protocol = self._listener.protocol
        blind = protocol == "tcp"
        table = self._tables.routes(self._listener.addr)
        if protocol == "http":
            authority = host_of(self._query)
            host = authority_host(authority)
            route = table.find(host) if host is not None or not authority else None
        else:
            route = table.find(None if blind else self._query.sni)
        if route is None:
            then = "the request is answered with 421" if protocol == "http" else "the connection is reset"
            word = "misdirected" if protocol == "http" else "no_sni" if self._query.sni is None else "no_route"
            status = 421 if protocol == "http" else 0
            yield Step("route", "refused", f"no route matches; {then}", self._origin, status, (word,))
            return
        self.route = self.found = route
        self.decides = ("route", route.listener, route.hostname)
        detail = '* takes every connection (protocol = "tcp")' if blind else _match(route)
        yield Step("route", "ok", detail, self._of(route))

    def _session(self) -> Iterator[Step]:
        route = self.found
        if route is None:
            return
        asked = Asked(self.client, self._country, self._query.client_cert)
        if route.mode == "l4":
            force = self._tables.in_force(route)
            yield from force.admission(asked, None, [], l4=True)
            yield from force.without_effect()
            return
        proxied = self._listener.proxy_protocol and not self._direct
        session = self.session = Session(self._tables, self._query, route, asked, proxied=proxied, live=self._live)
        yield from session.steps()
        self.found, self.decides = session.leads, session.decides

    def _backend(self) -> Iterator[Step]:
        route = self.found
        if route is not None and not route.answers:
            told = backend(route, self._tables, self._live)
            origin = self._origins.get(("upstream", route.upstream) if route.upstream else self.decides)
            if told.reached:
                yield Step("backend", "ok", told.words, origin)
            else:
                status = 503 if route.mode == "l7" else 0
                yield Step("backend", "refused", told.words, origin, status, (route.upstream, "upstream_down"))

    def _of(self, route: Route) -> Origin | None:
        return self._origins.get(("route", route.listener, route.hostname))


def _packed(ip: str) -> bytes:
    return ipaddress.ip_address(ip).packed


def reaches(ip: str, addr: str) -> bool:
    """Tell whether a client of this address's family can connect to a listening address (``:port`` takes both)."""
    host = addr.rpartition(":")[0].strip("[]")
    return not host or len(ipaddress.ip_address(host).packed) == len(unmap(_packed(ip)))


def _match(route: Route) -> str:
    if route.hostname == "*":
        return "* takes what no other route matches"
    if route.hostname.startswith("*."):
        return f"{route.hostname} is the longest wildcard that matches"
    return f"{route.hostname} matches exactly"


def _choice(listeners: dict[str, Listener]) -> str:
    return f"there is {', '.join(listeners)}" if listeners else "the file has no listeners"
