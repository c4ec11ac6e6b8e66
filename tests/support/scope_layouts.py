"""States of filters, and of cases and what else uses them, and config files that say them in the layouts that TOML has for that.

All choices come from one `random.Random`, so that a case can be made again from its seed.
"""

import json
from random import Random
from typing import Any

import msgspec

from mcproxy.model.config import schema as config
from mcproxy.model.config import walker
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.filter_options import Cors, FilterOptions, ForwardAuth, Page, RealIp, Rewrite
from mcproxy.model.state.rules.violations import violations
from mcproxy.model.state.state import Case, Filter, Listener, Route, State, Upstream, UpstreamEndpoint
from mcproxy.model.values.endpoint import Endpoint, RouteBackend
from mcproxy.model.values.http import matches
from mcproxy.model.values.http.amounts import Rate

MAIN, INCLUDED = "/etc/mc/mc-proxy.toml", "/etc/mc/conf.d/a.toml"
FILTERS: dict[str, tuple[Any, ...]] = {
    "allow_cidrs": (("10.0.0.0/8",), ("10.0.0.0/8", "2001:db8::/32")),
    "block_countries": (("NO", "SE"),),
    "rate_limit": (Rate(5, 60.0), Rate(200, 0.25)),
    "rate_key": ("header:X-Api-Key",),
    "max_body": (0, 1000, 10 << 20),
    "basic_auth": ("/etc/mc/users", "/elsewhere/users"),
    "pass_credentials": (True,),
    "forward_auth": (
        ForwardAuth(backend=RouteBackend((), "web")),
        ForwardAuth(backend=RouteBackend((Endpoint("::1", 81),)), path="/v?x=1", copy_headers=("X-A", "X-B")),
    ),
    "block_user_agents": (('Bad "Bot"', "x"), ("x",)),
    "require_headers": (("X-A", "X-B: y z"),),
    "set_request_headers": ((("X-A", "1"),), (("X-A", "{client_ip}"), ("X-B", 'a "q" \\'), ("X.c", ""))),
    "add_request_headers": ((("Link", "a"),), (("Link", "a"), ("Link", "b"), ("X-Z", "z"))),
    "remove_request_headers": (("Cookie", "X-Gone"),),
    "set_response_headers": ((("Strict-Transport-Security", "max-age=1"),),),
    "remove_response_headers": (("Server",),),
    "rewrite": (Rewrite(from_="/api", to="/"), Rewrite(from_="/api", to="/v2")),
    "rewrite_host": ("app.internal:81",),
    "request_timeout": (0.0, 10.0),
    "idle_timeout": (1800.0,),
    "error_pages": ((("404", "/etc/mc/lost.html"),), (("404", "/x.html"), ("5xx", "/etc/mc/sorry.html"))),
    "backend_errors": (True,),
    "cors": (
        Cors(origins=("*",)),
        Cors(origins=("https://a.test", "https://b.test:81"), methods=("GET",), credentials=True, max_age=600.0),
    ),
}
_TEXTS = ("/*", "GET /a b=1 X-Env=prod", "/a/* ?v=2", "POST|PUT /form", "/%C3%BC", "/q X-Q=%22a%20b%22 ?%3D=")
MATCHES = tuple(str(matches.parse(text)) for text in _TEXTS)
ACTIONS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"upstream": "web"},
    {"endpoints": (Endpoint("h", 1),)},
    {"endpoints": (Endpoint("h", 1), Endpoint(path="/s"))},
    {"redirect": "/new", "status": 301},
    {"respond": 'Back "soon"\n', "status": 503},
    {"respond": Page(file="/etc/mc/m.html")},
    {"respond": Page(file="/m.txt", type="text/plain"), "status": 404},
)
NAMES = ("office", "public", "7")
BARE = resolve([Source(MAIN, '[firewall]\ngeoip_db = "/geo.mmdb"\n')]).state.settings


def draw_scopes(random: Random) -> State:
    """Return a valid State with filters and cases."""
    while True:
        state = _draw(random)
        if not any(violations(state)):
            return state


def draw_other_scopes(random: Random, state: State) -> State:
    """Return a valid State that differs in some resources, or in none."""
    while True:
        other, portion = _draw(random), random.choice((0.1, 0.5, 1.0))
        tables: dict[str, dict[Any, Any]] = {}
        for name in State.__struct_fields__:
            old, new = getattr(state, name), getattr(other, name)
            chosen = {key: (new if random.random() < portion else old).get(key) for key in {**old, **new}}
            tables[name] = {key: value for key, value in chosen.items() if value is not None}
        tables["routes"] = {key: it for key, it in tables["routes"].items() if key[0] in tables["listeners"]}
        tables["cases"] = {key: it for key, it in tables["cases"].items() if key[:2] in tables["routes"]}
        result = State(**tables)
        if not any(violations(result)):
            return result


def _draw(random: Random) -> State:
    state = State(settings=BARE, upstreams={"web": Upstream(name="web")})
    state.endpoints["web", "h:1"] = UpstreamEndpoint(upstream="web", address="h:1")
    for name in random.sample(NAMES, random.randrange(len(NAMES) + 1)):
        state.filters[name] = Filter(name=name, **_keys(random))
    some = list(state.filters)

    def names() -> tuple[str, ...]:
        return tuple(sorted(random.sample(some, random.randrange(len(some) + 1)))) if random.random() < 0.5 else ()

    def scope() -> dict[str, Any]:
        use = names()
        own = FilterOptions(**_keys(random)) if random.random() < 0.4 else None
        return {"use": use, "without": tuple(name for name in names() if name not in use), "filter": own}

    for addr in random.sample((":1", ":2"), random.choice((1, 2))):
        believed = RealIp(from_=("10.0.0.0/8",), header=random.choice(("X-Forwarded-For", "X-A")))
        state.listeners[addr] = Listener(addr, use=names(), real_ip=random.choice((None, believed)))
        for host in random.sample(("a", "b"), random.choice((1, 2))):
            keys = {"mode": "l7", "tls_cert": "/c", "tls_key": "/k"}
            state.routes[addr, host] = Route(addr, host, upstream="web", **keys, **scope())  # type: ignore[arg-type]  # of its literals
            for match in random.sample(MATCHES, random.randrange(4)):
                state.cases[addr, host, match] = Case(addr, host, match, **random.choice(ACTIONS), **scope())
    return state


def _keys(random: Random) -> dict[str, Any]:
    return {key: random.choice(values) for key, values in FILTERS.items() if random.random() < 0.15}


def write_scopes(random: Random, state: State) -> list[Source]:
    """Write a State into a file, or two."""
    main, included = _Writer(random, state, "/etc/mc"), _Writer(random, state, "/etc/mc/conf.d")
    two = random.random() < 0.5
    for name in state.filters:
        random.choice((main, included) if two else (main,)).filter(name)
    for addr in state.listeners:
        random.choice((main, included) if two else (main,)).listener(addr)
    random.shuffle(main.sections)
    head = '[firewall]\ngeoip_db = "/geo.mmdb"\n[upstreams.web]\nendpoints = ["h:1"]\n'
    sources = [Source(MAIN, head + "".join(main.sections))]
    return [*sources, Source(INCLUDED, "".join(included.sections))] if two else sources


class _Writer:
    def __init__(self, random: Random, state: State, folder: str) -> None:
        self.random, self.state, self.folder = random, state, folder
        self.sections: list[str] = []

    def filter(self, name: str) -> None:
        keys = {key: getattr(self.state.filters[name], key) for key in FilterOptions.__struct_fields__}
        values = self.written(config.Config, "filters", {name: FilterOptions(**keys)})[name]
        self.sections.append("\n".join([f"[filters.{name}]", *self.lines(values, f"filters.{name}")]) + "\n")

    def listener(self, addr: str) -> None:
        listener = self.state.listeners[addr]
        table = config.Listener(**msgspec.structs.asdict(listener))
        values = {key: self.written(config.Listener, key, getattr(table, key)) for key in ("addr", "use", "real_ip")}
        lines = ["[[listeners]]", *self.lines({key: it for key, it in values.items() if it}, "listeners")]
        for route in (route for key, route in self.state.routes.items() if key[0] == addr):
            lines += self.route(route)
        self.sections.append("\n".join(lines) + "\n")

    def route(self, route: Route) -> list[str]:
        own = {key: getattr(route, key) for key in config.Route.__struct_fields__ if hasattr(route, key)}
        values = self.nondefault(config.Route(**own))
        cases = [
            self.case(case) for key, case in self.state.cases.items() if key[:2] == (route.listener, route.hostname)
        ]
        inline = self.random.random() < 0.5
        if inline and cases:
            values["cases"] = cases
        lines = ["[[listeners.routes]]", *self.lines(values, "listeners.routes")]
        for case in [] if inline else cases:
            lines += ["[[listeners.routes.cases]]", *self.lines(case, "listeners.routes.cases")]
        return lines

    def case(self, case: Case) -> dict[str, Any]:
        own = {key: getattr(case, key) for key in config.Case.__struct_fields__ if hasattr(case, key)}
        match = matches.parse(case.match)
        if self.random.random() < 0.5:  # conditions in tables of their own
            own |= {"headers": match.headers, "query": match.query}
            own["match"] = str(msgspec.structs.replace(match, headers=(), query=()))
        values = self.nondefault(config.Case(**own))
        if "headers" in values:
            values["headers"] = {self.spelled(name): text for name, text in values["headers"].items()}
        return values

    def lines(self, values: dict[str, Any], header: str) -> list[str]:
        """Return the keys of a table; what is a table in one of them on one line, with dotted keys, or with a header."""
        lines, below = [], []
        for key, value in values.items():
            if (
                isinstance(value, list)
                and len(value) > 1
                and self.random.random() < 0.3
                and not isinstance(value[0], dict)
            ):
                inner = ",\n".join(f"  {self.value(item)}" for item in value)
                lines.append(f"{key} = [\n{inner},\n]")
            elif not isinstance(value, dict) or not value or self.random.random() < 0.4:
                lines.append(f"{key} = {self.value(value, key)}")
            elif self.random.random() < 0.4:
                lines += (f"{key}.{name} = {self.value(item)}" for name, item in self.pairs(key, value))
            else:
                below += [
                    f"[{header}.{key}]",
                    *(f"{name} = {self.value(item)}" for name, item in self.pairs(key, value)),
                ]
        return lines + below

    def pairs(self, key: str, table: dict[str, Any]) -> list[tuple[str, Any]]:
        names = {name: self.spelled(name) if key.endswith("_headers") or key == "headers" else name for name in table}
        return [(self.key(names[name]), value) for name, value in table.items()]

    def spelled(self, name: str) -> str:
        return self.random.choice((name, name.lower(), name.upper()))

    def key(self, name: str) -> str:
        return (
            name
            if name.replace("-", "").replace("_", "").isalnum() and self.random.random() < 0.8
            else json.dumps(name)
        )

    def value(self, value: Any, key: str = "") -> str:
        if isinstance(value, dict):
            inner = ", ".join(f"{name} = {self.value(item, name)}" for name, item in self.pairs(key, value))
            return f"{{ {inner} }}" if inner else "{}"
        if isinstance(value, list):
            return f"[{', '.join(self.value(item) for item in value)}]"
        return json.dumps(value, ensure_ascii=False)

    def nondefault(self, table: Any) -> dict[str, Any]:
        fields = msgspec.structs.fields(type(table))
        given = [field for field in fields if field.required or getattr(table, field.name) != field.default]
        return {
            field.name: self.written(type(table), field.encode_name, getattr(table, field.name))
            for field in given
            if field.name not in ("cases", "l7_policies")
        }

    def written(self, table: type[msgspec.Struct], key: str, value: Any) -> Any:
        return walker.written(table, key, value, self.folder)
