"""What walks through one configuration look up, each made once: whoever has many questions about it keeps these."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import get_args

import msgspec

from mcproxy.model.config.resolve import Resolution
from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.scopes import FilterKey, filters
from mcproxy.model.state.state import Case, Policy, Route, RouteKey, RuleType, UpstreamEndpoint
from mcproxy.policy.explain.cases import RouteCases
from mcproxy.policy.explain.filters import InForce
from mcproxy.policy.firewall import Firewall, Rules
from mcproxy.policy.requests import RequestRules
from mcproxy.policy.routing import RouteTable


class Tables:
    """The tables of a resolution; what is looked up costs the same however many routes, cases and upstreams there are.

    Attributes:
        resolution: what they are made of.
        state, origins: of that.
    """

    def __init__(self, resolution: Resolution) -> None:
        self.resolution = resolution
        self.state = state = resolution.state
        self.origins = resolution.origins
        self._listed: defaultdict[str, list[Route]] = defaultdict(list)
        self._cases: defaultdict[RouteKey, list[Case]] = defaultdict(list)
        self._policies: defaultdict[RouteKey, list[Policy]] = defaultdict(list)
        self._endpoints: defaultdict[str, list[UpstreamEndpoint]] = defaultdict(list)
        for route in state.routes.values():
            self._listed[route.listener].append(route)
        for case in state.cases.values():
            self._cases[case.listener, case.hostname].append(case)
        for policy in state.policies.values():
            self._policies[policy.listener, policy.hostname].append(policy)
        for endpoint in state.endpoints.values():
            self._endpoints[endpoint.upstream].append(endpoint)
        self._route_tables: dict[str, RouteTable[Route]] = {}
        self._case_tables: dict[RouteKey, RouteCases] = {}
        self._in_force: dict[tuple[str, ...], InForce] = {}
        self._requests: dict[bool, RequestRules] = {}

    def routes(self, addr: str) -> RouteTable[Route]:
        """Return the routes of a listener."""
        found = self._route_tables.get(addr)
        if found is None:
            listed = ((route.hostname, route) for route in self._listed.get(addr, ()))
            found = self._route_tables[addr] = RouteTable(listed)
        return found

    def has_cases(self, route: Route) -> bool:
        """Tell whether a route has cases."""
        return (route.listener, route.hostname) in self._cases

    def cases(self, route: Route) -> RouteCases:
        """Return the cases of a route."""
        key = (route.listener, route.hostname)
        found = self._case_tables.get(key)
        if found is None:
            found = self._case_tables[key] = RouteCases(key, self._cases.get(key, ()), self.origins)
        return found

    def policies(self, route: Route) -> Sequence[Policy]:
        """Return the policies of a route."""
        return self._policies.get((route.listener, route.hostname), ())

    def endpoints(self, upstream: str) -> Sequence[UpstreamEndpoint]:
        """Return the endpoints of a named upstream."""
        return self._endpoints.get(upstream, ())

    def in_force(self, route: Route, case: Case | None = None) -> InForce:
        """Return the filters that hold for a route, or for one of its cases."""
        key = (route.listener, route.hostname) if case is None else (case.listener, case.hostname, case.match)
        found = self._in_force.get(key)
        if found is None:
            found = self._in_force[key] = InForce(self.resolution, self._filters, route, case)
        return found

    def request_rules(self, *, keeps_ids: bool) -> RequestRules:
        """Return what of requests passes; ``keeps_ids`` for those of proxies that may name them."""
        found = self._requests.get(keeps_ids)
        if found is None:
            removed = msgspec.convert(self.state.settings["limits.remove_request_headers"], tuple[str, ...])
            found = self._requests[keeps_ids] = RequestRules(removed, keeps_ids=keeps_ids)
        return found

    @cached_property
    def rules(self) -> dict[RuleType, list[str]]:
        """The values of the firewall's rules by their types."""
        found: dict[RuleType, list[str]] = {kind: [] for kind in get_args(RuleType)}
        for rule in self.state.rules.values():
            found[rule.type].append(rule.value)
        return found

    @cached_property
    def firewall(self) -> Firewall:
        """The firewall, which denies nobody that no rule names."""
        rules = self.rules
        allowed = Rules(rules["allowed_ip"], rules["allowed_cidr"], rules["allowed_country"])
        return Firewall(rules["ip"], rules["cidr"], rules["country"], allowed)

    @cached_property
    def countries(self) -> Sequence[str]:
        """One of each kind of countries of which rules and filters tell no difference."""
        lists = [frozenset(self.rules[kind]) for kind in ("country", "allowed_country")]
        for options in self._filters.values():
            lists += (frozenset(each) for each in (options.allow_countries, options.block_countries) if each)
        kinds = {tuple(country in each for each in lists): country for country in sorted(frozenset().union(*lists))}
        return tuple(kinds.values())

    @cached_property
    def _filters(self) -> dict[FilterKey, FilterOptions]:
        return dict(filters(self.state))
