"""What one configuration does with requests and connections of which an access log tells, each found once for all that are alike."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.scopes import FilterKey, filter_name, filters, scope_of
from mcproxy.model.state.state import ALLOWING, Case, Listener, Policy, Route
from mcproxy.model.values.origins import Key, Origin
from mcproxy.policy.answers import OwnAnswer
from mcproxy.policy.authority import authority_host
from mcproxy.policy.cases.table import Ambiguous
from mcproxy.policy.explain.cases import RouteCases
from mcproxy.policy.explain.query import CountryOf
from mcproxy.policy.explain.traffic.lines import Line
from mcproxy.policy.explain.walk import Walker
from mcproxy.policy.filters.access import Access
from mcproxy.policy.filters.scope import BodyLimit, Scope
from mcproxy.policy.headers import RequestHead
from mcproxy.policy.l7 import L7Rules

_BLOCKS = "block_user_agent"
Policies: TypeAlias = Sequence[Policy]
Held: TypeAlias = Sequence[tuple[FilterKey, FilterOptions]]


class Outcome(msgspec.Struct, frozen=True):
    """What becomes of a request or connection.

    Attributes:
        what: ``backend`` and its name, a status, or ``reset``.
        more: what tells two of these apart that are called the same.
        by: the resource that decides it, None for none.
        key: the key of it that does, "" for the whole.
        refuses: it is turned away, and not led or answered as its route or case says.
    """

    what: str
    more: tuple[object, ...] = ()
    by: Key | None = None
    key: str = ""
    refuses: bool = False

    def is_as(self, other: "Outcome") -> bool:
        """Tell whether clients see the same of both."""
        return self is other or (self.what == other.what and self.more == other.more)


NOBODY_KNOWS = Outcome("?", ("country",))
"""What becomes of a client depends on its country, which is not known here."""


_NOT_YET = Outcome("", ("not judged yet",))


class _UnknownCountryError(Exception):
    pass


class Spot(msgspec.Struct, frozen=True, eq=False):
    """Where a name leads on a listener.

    Attributes:
        route: the route, None where the connection or request ends there.
        ends: how it ends.
        cases: those of the route, None where it has none.
        scenes: what holds for the route, and for each case, by its match; as far as somebody has asked.
    """

    route: Route | None = None
    ends: Outcome | None = None
    cases: RouteCases | None = None
    scenes: dict[str, "Scene"] = {}


class Scene(msgspec.Struct, frozen=True, eq=False):
    """What holds for a route or case.

    Attributes:
        access: networks and countries.
        keys: the filters, as `Access` numbers them.
        agents: user agents that are blocked, and how.
        limit: of bodies, and how those are answered that are longer.
        then: what becomes of all others.
        unseen: what else decides, and by what no log can tell, by what it is called.
        plain: nothing is asked of anybody.
    """

    access: Access | None
    keys: tuple[FilterKey, ...]
    agents: tuple[tuple[L7Rules, Outcome], ...]
    limit: tuple[BodyLimit, Outcome] | None
    then: Outcome
    unseen: Mapping[str, object]
    plain: bool


class Side:
    """One configuration.

    Attributes:
        tables: what it looks up.
        has_firewall: clients are judged by their addresses before anything else.

    Args:
        walker: walks through it.
        country: looks up a packed address; None where there is no database.
        shown: writes where something stands.
    """

    def __init__(self, walker: Walker, country: CountryOf | None, shown: Callable[[Origin], str] = str) -> None:
        self.tables = walker.tables
        self._shown = shown
        self._country = _no_country if country is None else country
        self._declared: dict[FilterKey, FilterOptions] = dict(filters(self.tables.state))
        self._compiled: dict[tuple[FilterKey, ...], Scope] = {}
        self._refused: dict[bytes, Outcome | None] = {}
        self._allowed: dict[tuple[int, bytes], Outcome | None] = {}
        self._agents: dict[tuple[int, str], Outcome | None] = {}
        self._denies = self.tables.state.settings.get("firewall.default") == "deny"
        self.has_firewall = self._denies or bool(self.tables.state.rules)

    def spot(self, line: Line) -> Spot:
        """Return where a line's name leads: the same for all of one listener, SNI and authority, whether requests or connections."""
        listener = self.tables.state.listeners.get(line.listener)
        if listener is None:
            return Spot(ends=Outcome("reset", ("nothing listens",), refuses=True))
        by: Key = ("listener", listener.addr)
        routes = self.tables.routes(listener.addr)
        host = authority_host(line.authority.encode()) if line.authority else None
        if listener.protocol == "http" and line.is_request:
            route = routes.find(host) if host is not None or not line.authority else None
            return self._led(route) if route is not None else Spot(ends=Outcome("421", (), by, refuses=True))
        route = routes.find(None if listener.protocol == "tcp" else line.sni or None)
        if route is None or listener.protocol == "http":
            return Spot(ends=Outcome("reset", (), by, refuses=True))
        if route.mode == "l7" and line.is_request and line.authority:
            serving = None if host is None else routes.find(host)
            if serving is not route:
                where: Key = by if serving is None else ("route", listener.addr, serving.hostname)
                return Spot(ends=Outcome("421", (), where, refuses=True))
        return self._led(route)

    def place(self, outcome: Outcome) -> str:
        """Return where it stands what decides an outcome."""
        if outcome.by is None:
            return "-"
        found = self.tables.resolution.origin(outcome.by, outcome.key) if outcome.key else None
        origin = found or self.tables.origins.get(outcome.by)
        return "default" if origin is None else self._shown(origin)

    def refuses(self, packed: bytes) -> Outcome | None:
        """Return how the firewall refuses a client, None if it does not."""
        found = self._refused.get(packed, _NOT_YET)
        if found is _NOT_YET:
            try:
                found = self._judge(packed)
            except _UnknownCountryError:
                found = NOBODY_KNOWS
            self._refused[packed] = found
        return found

    def scene(self, spot: Spot, case: Case | None) -> Scene:
        """Return what holds for the route of a spot, or a case of it."""
        match = "" if case is None else case.match
        found = spot.scenes.get(match)
        if found is None:
            assert spot.route is not None  # noqa: S101 - who asks has looked
            found = spot.scenes[match] = self._make_scene(spot.route, case)
        return found

    def judge(self, scene: Scene, line: Line, packed: bytes) -> Outcome:
        """Return what becomes of a request or connection in a scene, as far as a log can tell."""
        refused = None if scene.access is None else self._once(scene, packed)
        if refused is None and scene.agents and line.is_request:
            refused = self._agent(scene, line.user_agent)
        if refused is None and scene.limit is not None and line.received > scene.limit[0].size:
            refused = scene.limit[1]
        return refused or scene.then

    def sign(self, spot: Spot) -> object:
        """Return what is the same in another configuration where it does the same with all that comes to a spot."""
        route = spot.route
        if route is None:
            return spot.ends and (spot.ends.what, spot.ends.more)
        listener = self.tables.state.listeners[route.listener]
        cases = () if spot.cases is None else spot.cases.all()
        held = [self._held(route, case) for case in (None, *cases)]
        return route, cases, held, self.tables.policies(route), whence(listener), listener.tls

    def _held(self, route: Route, case: Case | None) -> list[tuple[FilterKey, FilterOptions]]:
        """Return the filters that hold for a route or case, the outermost first."""
        keys = scope_of(self.tables.state.listeners[route.listener], route, case)
        return [(key, self._declared[key]) for key in keys]

    def _led(self, route: Route) -> Spot:
        return Spot(route, cases=self.tables.cases(route) if self.tables.has_cases(route) else None)

    def _judge(self, packed: bytes) -> Outcome | None:
        found = self.tables.firewall.find(packed, self._country) if self.tables.state.rules else None
        if found is not None and found[0] not in ALLOWING:
            return Outcome("reset", (), ("rule", *found), refuses=True)
        if found is None and self._denies:
            return Outcome("reset", (), ("setting", "firewall.default"), refuses=True)
        return None

    def _once(self, scene: Scene, packed: bytes) -> Outcome | None:
        key = (id(scene), packed)
        if key not in self._allowed:
            try:
                refusal = None if scene.access is None else scene.access.judge(packed, self._country)
            except _UnknownCountryError:
                return self._allowed.setdefault(key, NOBODY_KNOWS)
            outcome = None
            if refusal is not None:
                what = "reset" if scene.then.more[:1] == ("l4",) else str(refusal.status)
                outcome = Outcome(
                    what, (), scene.keys[refusal.place], _in(scene.keys[refusal.place], refusal.key), refuses=True
                )
            self._allowed[key] = outcome
        return self._allowed[key]

    def _agent(self, scene: Scene, agent: str) -> Outcome | None:
        key = (id(scene), agent)
        if key not in self._agents:
            head = RequestHead(b"GET", b"", b"/", [(b"user-agent", agent.encode())])
            blocked = (outcome for rules, outcome in scene.agents if rules.judge(head, []) is not None)
            self._agents[key] = next(blocked, None)
        return self._agents[key]

    def _make_scene(self, route: Route, case: Case | None) -> Scene:
        held = self._held(route, case)
        keys = tuple(key for key, _ in held)
        scope = self._compiled.get(keys)
        if scope is None:
            scope = self._compiled[keys] = Scope([(filter_name(key), options) for key, options in held])
        policies = self.tables.policies(route)
        listener = self.tables.state.listeners[route.listener]
        limit = scope.max_body if route.mode == "l7" else None
        agents = tuple(_agents(held, policies)) if route.mode == "l7" else ()
        longer: tuple[BodyLimit, Outcome] | None = None
        if limit is not None:
            owner = keys[limit.filter]
            longer = limit, Outcome("413", (), owner, _in(owner, "max_body"), refuses=True)
        plain = scope.access is None and not agents and longer is None
        unseen = _unseen(route, listener, held, policies)
        return Scene(scope.access, keys, agents, longer, _then(route, case, held), unseen, plain)


def whence(listener: Listener) -> tuple[object, ...]:
    """Return how a listener is told who its clients are."""
    return listener.proxy_protocol, listener.trusted_proxies, listener.untrusted, listener.real_ip


def _no_country(_: bytes) -> str | None:
    raise _UnknownCountryError


def chosen(cases: RouteCases, spot: Spot, line: Line) -> tuple[Case | None, Outcome | None, tuple[str, ...]]:
    """Return the case of a request, or how it ends where that can't be told, and the cases whose conditions no log can tell of."""
    if not line.is_request:
        return None, None, ()
    method, path = line.method.encode(), line.path.encode()
    asks = cases.conditional(line.method, path)
    if asks and line.case in asks:
        return cases.named(line.case), None, asks
    found = cases.find(method, path)
    if isinstance(found, Ambiguous):
        route = spot.route
        assert route is not None  # noqa: S101 - it has cases
        name = found.one or found.other
        key = (route.listener, route.hostname)
        by: Key = ("case", *key, name) if name else ("route", *key)
        return None, Outcome("400", ("ambiguous_path",), by, refuses=True), asks
    return found, None, asks


def _in(owner: FilterKey, key: str) -> str:
    """Return a key of a filter as its owner has it: a route or case has it in a table of its own."""
    return key if owner[0] == "filter" else f"filter.{key}"


def _agents(held: Held, policies: Policies) -> list[tuple[L7Rules, Outcome]]:
    found = [
        (
            L7Rules(Policy("", "", "block_user_agent", value) for value in options.block_user_agents),
            Outcome("403", (), key, _in(key, "block_user_agents"), refuses=True),
        )
        for key, options in held
        if options.block_user_agents
    ]
    for policy in policies:
        if policy.type == _BLOCKS:
            by: Key = ("policy", policy.listener, policy.hostname, policy.type, policy.value)
            found.append((L7Rules([policy]), Outcome("403", (), by, refuses=True)))
    return found


def _then(route: Route, case: Case | None, held: Held) -> Outcome:
    """Return what the route or case does with whatever nothing refuses."""
    own = case is not None and bool(case.action)
    place: Route | Case = case if case is not None and own else route
    key: Key = ("route", route.listener, route.hostname)
    if case is not None:
        key = ("case", route.listener, route.hostname, case.match) if own else key
    if place.answers:
        what = place.redirect or repr(place.respond)
        return Outcome(str(OwnAnswer(place).status), (what,), key, "redirect" if place.redirect else "respond")
    if not place.action:
        return Outcome("404", (), key, refuses=True)
    name = place.upstream or ", ".join(map(str, place.endpoints))
    rewrites = tuple(each for _, options in held for each in (options.rewrite, options.rewrite_host) if each)
    return Outcome(f"backend {name}", (route.mode, *rewrites) if route.mode == "l7" else ("l4",), key, "backend")


def _unseen(route: Route, listener: Listener, held: Held, policies: Policies) -> dict[str, object]:
    options = [each for _, each in held]
    required = [each.require_headers for each in options if each.require_headers]
    required += [(each.value,) for each in policies if each.type != _BLOCKS]
    return {
        "passwords, and whom forward_auth asks": [
            (each.basic_auth, each.forward_auth) for each in options if each.basic_auth or each.forward_auth
        ],
        "required headers": required,
        "rates": [(each.rate_limit, each.rate_key) for each in options if each.rate_limit],
        "certificates of clients": (
            listener.tls,
            route.tls,
            [each.client_names for each in options if each.client_names],
        ),
    }
