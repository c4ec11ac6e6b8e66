"""Everything in a State that breaks a rule over several resources.

What makes a single resource right is judged where it is read; that a child has its parent, where it is added.
"""

from collections.abc import Iterator

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.kinds import KindName, ResourceKey
from mcproxy.model.state.rules.client_certificates import names_without_certificates, without_authority
from mcproxy.model.state.rules.listeners import overlaps, routes_on_http, routes_on_tcp
from mcproxy.model.state.rules.ordered_certificates import unfit_names, without_ca
from mcproxy.model.state.rules.references import unknown_names, unsuitable_upstreams, without_endpoints
from mcproxy.model.state.rules.scopes import on_l4, set_twice
from mcproxy.model.state.rules.ties import tied_cases
from mcproxy.model.state.rules.violation import NOBODY_ALLOWED, ResourceId, RuleViolation
from mcproxy.model.state.state import ALLOWING, State

_ALLOWED_LISTS = ("allowed_ips", "allowed_cidrs", "allowed_countries")
_MUTUAL_TLS = ("tls_cert", "tls_key", "client_ca")


def violations(state: State) -> Iterator[RuleViolation]:
    """Yield every violation of a rule in a State; the order of resources within a kind is theirs in the State."""
    yield from overlaps(state)
    yield from _policies_on_l4(state)
    yield from _api_without_tls(state)
    yield from _countries_without_database(state)
    yield from unknown_names(state)
    yield from unsuitable_upstreams(state)
    yield from without_endpoints(state)
    yield from routes_on_tcp(state)
    yield from routes_on_http(state)
    yield from on_l4(state)
    yield from set_twice(state)
    yield from tied_cases(state)
    yield from without_authority(state)
    yield from names_without_certificates(state)
    yield from without_ca(state)
    yield from unfit_names(state)
    if allows_nobody(state):
        lists: tuple[ResourceId, ...] = tuple(("setting", f"firewall.{name}") for name in _ALLOWED_LISTS)
        yield RuleViolation("nobody_allowed", ("setting", "firewall.default"), NOBODY_ALLOWED, lists)


def allows_nobody(state: State) -> bool:
    """Tell whether the firewall would let nobody in: it denies who is not allowed, and nobody is."""
    return state.settings.get("firewall.default") == "deny" and not any(key[0] in ALLOWING for key in state.rules)


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
    if state.settings.get("firewall.geoip_db"):
        return
    database: tuple[ResourceId, ...] = (("setting", "firewall.geoip_db"),)
    for key in state.rules:
        if key[0] in ("country", "allowed_country"):
            doing = "blocking" if key[0] == "country" else "allowing"
            message = f"{doing} a country needs geoip_db, a database of countries"
            yield RuleViolation("country_without_database", ("rule", key), message, database)
    for kind, name, within, options in _filters(state):
        for field in ("allow_countries", "block_countries"):
            if getattr(options, field):
                yield RuleViolation(
                    "filter_without_database",
                    (kind, name),
                    f"{'blocking' if field[0] == 'b' else 'allowing'} a country needs geoip_db in [firewall], a database of countries",
                    database,
                    field=f"{within}{field}",
                    own="firewall.geoip_db is not set",
                    other=f"{field} of a filter needs it",
                )


def _filters(state: State) -> Iterator[tuple[KindName, ResourceKey, str, FilterOptions]]:
    """Yield every filter with what has it, and the key that it is in, with a dot, if that is a route or case."""
    for name, named in state.filters.items():
        yield "filter", name, "", named
    for key, route in state.routes.items():
        if route.filter is not None:
            yield "route", key, "filter.", route.filter
    for case_key, case in state.cases.items():
        if case.filter is not None:
            yield "case", case_key, "filter.", case.filter
