"""Rules over several resources: what can't be together in one State, whether a file or a runtime edit asks for it.

What makes a single resource right is judged where it is read; that a child has its parent, where it is added.
"""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Literal, TypeAlias

import msgspec

from mcproxy.model.state.kinds import KindName, ResourceKey, name_of
from mcproxy.model.state.state import ALLOWING, State
from mcproxy.model.values import addresses
from mcproxy.model.values.quoting import quote

ResourceId: TypeAlias = tuple[KindName, ResourceKey]
Rule: TypeAlias = Literal[
    "overlap",
    "policy_on_l4",
    "api_without_tls",
    "country_without_database",
    "nobody_allowed",
    "unknown_upstream",
    "cookie_on_l4",
    "no_endpoints",
    "route_on_tcp",
    "route_on_http",
    "no_certificate",
]

_LISTENING = ("grpc.addr", "metrics.addr")
_ALLOWED_LISTS = ("allowed_ips", "allowed_cidrs", "allowed_countries")
NOBODY_ALLOWED = (
    'nobody could connect: default = "deny" needs an entry in allowed_ips, allowed_cidrs or allowed_countries'
)
_TLS_KEYS = ("tls_cert", "tls_key")
_MUTUAL_TLS = ("tls_cert", "tls_key", "client_ca")


_MOST_NEAR = 500  # upstreams among which the nearest is looked for
_HINTS = 20  # names for which it is looked for: that takes a millisecond each


class RuleViolation(msgspec.Struct, frozen=True):
    """Resources that can't be together as they are.

    Attributes:
        rule: which one it breaks.
        subject: the one that asks for what the others don't allow; of two that are alike the one that comes later.
        message: what is wrong, for the operator.
        others: the others; a setting may be among them that is not there.
        rival: the one of the others that asks for the same thing; None where it is not about that.
        addr: what a setting asks for that can't be bound beside a listener.
        field: the subject's key that is wrong; "" where that is clear, or none.
    """

    rule: Rule
    subject: ResourceId
    message: str
    others: tuple[ResourceId, ...]
    rival: ResourceId | None = None
    addr: str = ""
    field: str = ""

    @property
    def resources(self) -> tuple[ResourceId, ...]:
        """All of them, the subject first."""
        return (self.subject, *self.others)

    def reason(self, resource: ResourceId) -> str:
        """Return why a runtime edit of one of them can't be in effect: what drift shows of it."""
        kind = resource[0]
        other = self.others[0] if self.others and resource == self.subject else self.subject
        match self.rule:
            case "overlap" if kind == other[0] == "setting":
                return "grpc.addr and metrics.addr overlap"
            case "overlap" if kind == "setting":
                return f"{self.addr} can't be bound beside the listener {other[1]}"
            case "overlap":
                return f"it can't be bound beside {other[1] if other[0] == 'setting' else f'the listener {other[1]}'}"
            case "policy_on_l4" if kind == "policy":
                return "the route is l4 now, and sees no requests"
            case "policy_on_l4":
                return "the file has policies for this route, and an l4 route sees no requests"
            case "api_without_tls":
                return "grpc.addr needs tls_cert, tls_key and client_ca too"
            case "country_without_database":
                if kind == "rule":
                    return "firewall.geoip_db is not set"
                doing = "allowed" if self.subject[1][0] == "allowed_country" else "blocked"
                return f"the file's {doing}_countries need it"
            case "nobody_allowed":
                return NOBODY_ALLOWED
            case "route_on_tcp" if kind == "listener":
                return f"its {name_of(*self.subject)} can't be served by tcp"
            case "route_on_tcp":
                return 'the listener has protocol = "tcp", which takes one l4 route "*"'
            case "route_on_http" if kind == "listener":
                return f"its {name_of(*self.subject)} can't be served without TLS"
            case "route_on_http":
                return 'the listener has protocol = "http", which takes l7 routes without tls_cert and tls_key'
            case "no_certificate" if kind == "listener":
                return f"its {name_of(*self.subject)} has no certificate"
            case "no_certificate":
                return "the listener's clients speak TLS, and the route has no tls_cert and tls_key"
            case "unknown_upstream" if kind == "upstream":
                return f"the {name_of(*self.subject)} leads to it"
            case "unknown_upstream":
                return f"there is no upstream {self.others[0][1]}"
            case "no_endpoints" if kind == "endpoint":
                return f"it would leave the {name_of(*self.subject)} without endpoints"
            case "no_endpoints":
                return "it has no endpoints"
            case "cookie_on_l4" if kind == "route":
                return f"the upstream {self.others[0][1]} has a sticky_cookie, and an l4 route sees no cookies"
            case "cookie_on_l4":
                return f"the l4 {name_of(*self.subject)} leads to it, and sees no cookies"


def violations(state: State) -> Iterator[RuleViolation]:
    """Yield every violation of a rule in a State; the order of resources within a kind is theirs in the State."""
    yield from _overlaps(state)
    yield from _policies_on_l4(state)
    yield from _api_without_tls(state)
    yield from _countries_without_database(state)
    yield from _upstreams_of_routes(state)
    yield from _without_endpoints(state)
    yield from _routes_on_tcp(state)
    yield from _routes_on_http(state)
    if allows_nobody(state):
        lists: tuple[ResourceId, ...] = tuple(("setting", f"firewall.{name}") for name in _ALLOWED_LISTS)
        yield RuleViolation("nobody_allowed", ("setting", "firewall.default"), NOBODY_ALLOWED, lists)


def allows_nobody(state: State) -> bool:
    """Tell whether the firewall would let nobody in: it denies who is not allowed, and nobody is."""
    return state.settings.get("firewall.default") == "deny" and not any(key[0] in ALLOWING for key in state.rules)


def _overlaps(state: State) -> Iterator[RuleViolation]:
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


def _policies_on_l4(state: State) -> Iterator[RuleViolation]:
    for key in state.policies:
        route = state.routes.get(key[:2])
        if route is not None and route.mode == "l4":
            message = 'an l4 route sees no requests; policies need mode = "l7"'
            yield RuleViolation("policy_on_l4", ("policy", key), message, (("route", key[:2]),))


def _api_without_tls(state: State) -> Iterator[RuleViolation]:
    if state.settings.get("grpc.addr"):
        for name in _MUTUAL_TLS:
            if not state.settings.get(f"grpc.{name}"):
                message = f"grpc.addr needs {name} too: the API is open to TCP under mutual TLS only"
                yield RuleViolation(
                    "api_without_tls", ("setting", "grpc.addr"), message, (("setting", f"grpc.{name}"),)
                )


def _countries_without_database(state: State) -> Iterator[RuleViolation]:
    if not state.settings.get("firewall.geoip_db"):
        for key in state.rules:
            if key[0] in ("country", "allowed_country"):
                doing = "blocking" if key[0] == "country" else "allowing"
                message = f"{doing} a country needs geoip_db, a database of countries"
                yield RuleViolation(
                    "country_without_database", ("rule", key), message, (("setting", "firewall.geoip_db"),)
                )


def _upstreams_of_routes(state: State) -> Iterator[RuleViolation]:
    told: dict[str, str] = {}
    for key, route in state.routes.items():
        name = route.upstream
        if not name:
            continue
        upstream = state.upstreams.get(name)
        if upstream is None:
            if name not in told:
                told[name] = _unknown(name, state.upstreams if len(told) < _HINTS else ())
            yield RuleViolation("unknown_upstream", ("route", key), told[name], (("upstream", name),))
        elif upstream.sticky_cookie and route.mode == "l4":
            message = f'the upstream {name} has a sticky_cookie, and an l4 route sees no cookies; it needs mode = "l7"'
            yield RuleViolation("cookie_on_l4", ("route", key), message, (("upstream", name),))


def _without_endpoints(state: State) -> Iterator[RuleViolation]:
    having = {upstream for upstream, _ in state.endpoints}
    for name in state.upstreams:
        if name not in having:
            yield RuleViolation("no_endpoints", ("upstream", name), "must have at least one endpoint", ())


def _routes_on_tcp(state: State) -> Iterator[RuleViolation]:
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


def _routes_on_http(state: State) -> Iterator[RuleViolation]:
    protocols = {addr: listener.protocol for addr, listener in state.listeners.items()}
    for key, route in state.routes.items():
        protocol = protocols.get(key[0], "tls")
        others: tuple[ResourceId, ...] = (("listener", key[0]),)
        if protocol == "http" and route.mode != "l7":
            message = 'must be "l7": on a listener with protocol = "http" each request has its route'
            yield RuleViolation("route_on_http", ("route", key), message, others, field="mode")
        elif protocol == "http":
            for field in _TLS_KEYS:
                if getattr(route, field):
                    message = 'is for TLS; clients of a listener with protocol = "http" speak none'
                    yield RuleViolation("route_on_http", ("route", key), message, others, field=field)
        elif protocol == "tls" and route.mode == "l7" and not (route.tls_cert and route.tls_key):
            field = "tls_key" if route.tls_cert else "tls_cert"
            yield RuleViolation("no_certificate", ("route", key), f"an l7 route needs {field}", others, field=field)


def _unknown(name: str, known: Collection[str]) -> str:
    near = next(iter(get_close_matches(name, known, 1)), "") if len(known) <= _MOST_NEAR else ""
    meant = f"127.0.0.1:{name}" if name.isdecimal() else near
    hint = f"; did you mean {quote(meant)}?" if meant else ""
    return f"there is no upstream {quote(name)}{hint} (an address needs a port)"
