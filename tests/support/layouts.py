"""States, and config files that say them: in every layout that TOML has for it, with comments everywhere.

All choices come from one `random.Random`, so that a case can be made again from its seed.
"""

import json
import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

import msgspec

from mcproxy.model.config import schema as config
from mcproxy.model.config import walker
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.config.upstreams import Upstream as UpstreamTable
from mcproxy.model.config.upstreams import UpstreamEndpoint as EndpointTable
from mcproxy.model.state.route_options import RouteOptions
from mcproxy.model.state.state import (
    Listener,
    Policy,
    Route,
    RouteKey,
    Rule,
    SettingValue,
    State,
    Upstream,
    UpstreamEndpoint,
)
from mcproxy.model.state.upstream_options import BackendTls, Check, EndpointOptions, UpstreamOptions
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.origins import Key
from tests.support.field_values import another_value

MAIN = "/etc/mc/mc-proxy.toml"
INCLUDES = ("/etc/mc/conf.d/a.toml", "/etc/other/b.toml")

ADDRS = (":1", "127.0.0.1:2", "[::1]:3", "0.0.0.0:4")
HOSTS = ("*", "*.example.com", "app.example.com", "xn--bcher-kva.example", "a_b.example.com")
BACKENDS = (
    Endpoint("127.0.0.1", 80),
    Endpoint("::1", 81),
    Endpoint("app.internal", 82),
    Endpoint(path='/run/a "b" \\c#.sock'),
)
NAMES = ("web", "api-2", "db", "7")
POLICIES = (
    ("block_user_agent", "BadBot"),
    ("require_header", 'X-A: "b\\c" # d'),
    ("require_header", "X-B: é, [x] = {y}"),
)
NETWORKS = ("10.0.0.0/8", "::1/128", "192.0.2.1/32")
RULES = (
    Rule("ip", "192.0.2.1"),
    Rule("ip", "::1"),
    Rule("ip", "192.0.2.2"),
    Rule("cidr", "10.0.0.0/8"),
    Rule("cidr", "2001:db8::/32"),
    Rule("country", "SE"),
    Rule("country", "NO"),
)
FILES = ("", "/etc/mc/certs/a.pem", "/etc/mc/conf.d/b.pem", "/elsewhere/c.pem", "/etc/mc/-")
SETTINGS: dict[str, tuple[SettingValue, ...]] = {
    "proxy.workers": (0, 1, 4),
    "proxy.idle_timeout": (300.0, 90.0, 0.25),
    "proxy.user": ("", "a 'b'", "ü"),
    "log.level": ("info", "debug"),
    "limits.header_timeout": (10.0, 3661.001),
    "limits.header_count": (100, 7),
    "firewall.rate_limit": (0, 5),
    "firewall.geoip_db": ("/etc/mc/geo.mmdb", "/geo.mmdb"),
    "database.path": ("/etc/mc/mc-proxy.db", "/var/lib/x.db"),
}
DEFAULTS = resolve([Source(MAIN, "")]).state.settings

Owner: TypeAlias = Key | None


def draw_state(random: Random) -> State:
    """Return a valid State."""
    state = State(settings={**DEFAULTS, **{key: random.choice(values) for key, values in SETTINGS.items()}})
    for name in random.sample(NAMES, random.randrange(len(NAMES))):
        _add_upstream(random, state, name)
    for addr in random.sample(ADDRS, random.randrange(len(ADDRS))):
        state.listeners[addr] = _listener(random, addr)
        for host in random.sample(HOSTS, random.randrange(len(HOSTS))):
            _add_route(random, state, addr, host)
    for rule in random.sample(RULES, random.randrange(len(RULES))):
        state.rules[rule.type, rule.value] = rule
    return state


def draw_edits(random: Random, state: State) -> State:
    """Return a valid State that differs in some resources, or in none."""
    other = draw_state(random)
    portion = random.choice((0.1, 0.5, 1.0))

    def mixed(old: dict[Any, Any], new: dict[Any, Any]) -> dict[Any, Any]:
        keys = list(dict.fromkeys((*old, *new)))
        random.shuffle(keys)
        chosen = {key: (new if random.random() < portion else old).get(key) for key in keys}
        return {key: value for key, value in chosen.items() if value is not None}

    result = State(**{name: mixed(getattr(state, name), getattr(other, name)) for name in State.__struct_fields__})
    endpoints = {key: endpoint for key, endpoint in result.endpoints.items() if key[0] in result.upstreams}
    upstreams = {name: it for name, it in result.upstreams.items() if any(name == key[0] for key in endpoints)}
    routes = {
        key: route
        for key, route in result.routes.items()
        if key[0] in result.listeners
        and (not route.upstream or route.upstream in upstreams)
        and not (route.mode == "l4" and route.upstream and upstreams[route.upstream].sticky_cookie)
    }
    l7 = {key for key, route in routes.items() if route.mode == "l7"}
    policies = {key: policy for key, policy in result.policies.items() if key[:2] in l7}
    return msgspec.structs.replace(result, routes=routes, policies=policies, upstreams=upstreams, endpoints=endpoints)


def _listener(random: Random, addr: str) -> Listener:
    networks = tuple(sorted(random.sample(NETWORKS, random.randrange(len(NETWORKS) + 1))))
    return Listener(addr, random.random() < 0.5, networks, random.choice((0, 0, 7)))


def _add_upstream(random: Random, state: State, name: str) -> None:
    options = {key: another_value(UpstreamOptions, key) for key in _some(random, UpstreamOptions)}
    for key, table in (("check", Check), ("tls", BackendTls)):
        if key in options:
            options[key] = table(**_paired({inner: another_value(table, inner) for inner in _some(random, table)}))
    state.upstreams[name] = Upstream(name=name, **options)
    for backend in random.sample(BACKENDS, random.randrange(1, len(BACKENDS))):
        own = {key: another_value(EndpointOptions, key) for key in _some(random, EndpointOptions)}
        state.endpoints[name, str(backend)] = UpstreamEndpoint(upstream=name, address=str(backend), **own)


def _some(random: Random, table: type[msgspec.Struct]) -> list[str]:
    return [key for key in table.__struct_fields__ if random.random() < 0.3]


def _paired(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with both or neither of the certificate that backends get to see, and its key."""
    alone = {key for key in options if "cert" in key and key.replace("cert", "key") not in options}
    alone |= {key for key in options if "key" in key and key.replace("key", "cert") not in options}
    return {key: value for key, value in options.items() if key not in alone}


def _add_route(random: Random, state: State, addr: str, host: str) -> None:
    mode = random.choice(("l4", "l4", "l7"))
    files = FILES[1:] if mode == "l7" else FILES
    some: Callable[..., Any] = lambda *values: random.choice(values)  # noqa: E731
    others = (key for key in RouteOptions.__struct_fields__ if random.random() < 0.3)
    options = {key: another_value(RouteOptions, key) for key in others}
    options |= {
        "mode": some("l4") if mode == "l4" else some("l7"),
        "tls_cert": random.choice(files) if mode == "l7" else "",
        "tls_key": random.choice(files) if mode == "l7" else "",
        "backend_tls": some(False, False, True),
        "backend_ca": random.choice(FILES),
        "backend_server_name": some("", "", "b.example.com"),
        "backend_protocol": some("auto", "h2", "http/1.1"),
        "send_proxy_protocol": some(False, True),
        "on_remove": some("drain", "drain", "keep", "close"),
    }
    options = _paired({key: value for key, value in options.items() if key not in ("redirect", "respond", "status")})
    own_answers: tuple[dict[str, Any], ...] = (
        {"redirect": "https://{host}{uri}"},
        {"redirect": "/new", "status": 301},
        {"respond": 'Back "soon"\n{x}', "status": 503},
    )
    led = random.choice(("", "", *state.upstreams))
    if mode == "l7" and random.random() < 0.3:
        state.routes[addr, host] = Route(addr, host, **options, **random.choice(own_answers))
    elif led and not (mode == "l4" and state.upstreams[led].sticky_cookie):
        kept = ("mode", "tls_cert", "tls_key", "on_remove", "idle_timeout", "preserve_header_case")
        own = {key: value for key, value in options.items() if key in kept}
        state.routes[addr, host] = Route(addr, host, (), led, **own)
    else:
        backends = tuple(random.sample(BACKENDS, random.choice((1, 1, 2))))
        state.routes[addr, host] = Route(addr, host, backends, **options)
    if mode == "l7":
        for kind, value in random.sample(POLICIES, random.randrange(len(POLICIES) + 1)):
            state.policies[addr, host, kind, value] = Policy(addr, host, kind, value)  # type: ignore[arg-type]  # of its literals


@dataclass
class Written:
    """Config files, and whose their comments are.

    Attributes:
        sources: the main file first.
        owners: for each comment the resource that may take it along when it goes; None if nothing may.
    """

    sources: list[Source]
    owners: dict[str, Owner] = field(default_factory=dict)


def write_state(random: Random, state: State) -> Written:
    """Write a State into one or more files, in any layout."""
    paths = (MAIN, *INCLUDES[: random.choice((0, 0, 1, 2))])
    listeners: dict[str, list[str]] = {path: [] for path in paths}
    for addr in state.listeners:
        listeners[random.choice(paths)].append(addr)
    tables: dict[str, dict[str, dict[str, Any]]] = {path: {} for path in paths}
    for key in SETTINGS:
        if state.settings[key] != DEFAULTS[key] or random.random() < 0.2:
            table, _, name = key.partition(".")
            tables[random.choice(paths)].setdefault(table, {})[name] = state.settings[key]
    for kind, name in (("ip", "blocked_ips"), ("cidr", "blocked_cidrs"), ("country", "blocked_countries")):
        for path in paths if random.random() < 0.2 else random.sample(paths, 1):
            tables[path].setdefault("firewall", {})[name] = []
        naming = [path for path in paths if name in tables[path].get("firewall", {})]
        for rule in state.rules.values():
            if rule.type == kind:
                tables[random.choice(naming)]["firewall"][name].append(rule.value)
    if random.random() < 0.2:
        tables[random.choice(paths)].setdefault("limits", {})
    portion = random.choice((0.0, 0.0, 0.5, 1.0))
    apart = {key: random.choice(paths) for key in state.routes if random.random() < portion}
    upstreams = {name: random.choice(paths) for name in state.upstreams}
    written = Written([])
    for path in paths:
        writer = _Writer(random, state, posixpath.dirname(path), written.owners)
        writer.upstreams = [name for name, file in upstreams.items() if file == path]
        writer.apart = {key: file == path for key, file in apart.items()}
        written.sources.append(Source(path, writer.file(tables[path], listeners[path])))
    return written


class _Writer:
    def __init__(self, random: Random, state: State, folder: str, owners: dict[str, Owner]) -> None:
        self.random = random
        self.state = state
        self.folder = folder
        self.owners = owners
        self.upstreams: list[str] = []  # those of this file
        self.apart: dict[RouteKey, bool] = {}  # routes outside of their listeners, and whether they stand in this file
        self.commented = random.random()
        self.indented = random.choice(("", "", "  ", "\t"))
        self.spaced = random.random() < 0.8

    def chance(self, portion: float) -> bool:
        return self.random.random() < portion

    # Comments. What follows one at once, or what it follows at once, is its owner.

    def comment(self, owner: Owner) -> str:
        """Return a comment that nothing but its owner's removal may remove."""
        text = f"# {len(self.owners)} " + self.random.choice(("é", "= 1", "] , }", '"', "[[listeners]]", "", '"""'))
        self.owners[text.rstrip()] = owner
        return text.rstrip()

    def above(self, owner: Owner, indent: str = "") -> list[str]:
        if not self.chance(self.commented / 2):
            return []
        return [indent + self.comment(owner) for _ in range(self.random.choice((1, 1, 2)))]

    def behind(self, owner: Owner) -> str:
        return self.random.choice((" ", "   ", "\t")) + self.comment(owner) if self.chance(self.commented / 2) else ""

    def floating(self) -> list[str]:
        if not self.chance(self.commented / 2):
            return [""] if self.spaced else []
        return ["", self.comment(None), *self.above(None), ""]

    # Keys and values.

    def key(self, name: str) -> str:
        return self.random.choice((name, name, name, name, f'"{name}"', f"'{name}'"))

    def header(self, *names: str, item: bool) -> str:
        dot = self.random.choice((".", ".", " . "))
        blank = self.random.choice(("", "", " "))
        inner = f"{blank}{dot.join(map(self.key, names))}{blank}"
        return f"[[{inner}]]" if item else f"[{inner}]"

    def string(self, text: str) -> str:
        forms = [json.dumps(text, ensure_ascii=False), json.dumps(text), f'"""{json.dumps(text)[1:-1]}"""']
        if "'" not in text:
            forms += [f"'{text}'", f"'''\n{text}'''"] if "\n" not in text else []
        return self.random.choice([forms[0], forms[0], forms[0], *forms])

    def spelled(self, name: str, text: str) -> str:
        """Return another spelling of a value, if its key has several."""
        if name in ("hostname", "backend_server_name") and text and text != "*":
            return self.random.choice((text, text.upper(), f"{text}.", text.replace("xn--bcher-kva", "Bücher")))
        if name in ("addr", "address", "listener", "backend", "blocked_ips", "trusted_proxies") and not text.startswith(
            "unix:"
        ):
            return self.random.choice((text, text.replace("::1", "0:0::1"), text.replace("app.", "App.")))
        if name == "blocked_countries":
            return self.random.choice((text, text.lower()))
        return text

    def scalar(self, name: str, value: Any) -> str:
        if isinstance(value, list):
            return f"[{', '.join(self.scalar(name, item) for item in value)}]"
        if isinstance(value, dict):
            return self.inline([self.pair(key, self.scalar(key, item)) for key, item in value.items()])
        if isinstance(value, bool):
            return str(value).lower()
        return self.string(self.spelled(name, value)) if isinstance(value, str) else str(value)

    def pair(self, name: str, value: str) -> str:
        blank = self.random.choice((" ", " ", " ", "", "  "))
        return f"{self.key(name)}{blank}={blank}{value}"

    def table_values(self, table: msgspec.Struct) -> dict[str, Any]:
        """Return the keys of a table as TOML has them, some defaults among them."""
        result = {}
        for info in msgspec.structs.fields(table):
            value = getattr(table, info.name)
            if value != info.default or (self.chance(0.1) and not isinstance(value, tuple | None)):
                result[info.name] = walker.written(type(table), info.name, value, self.folder)
        return result

    # Arrays.

    def array(self, items: Iterable[tuple[str, Owner]], outer: Owner) -> str:
        """Return an array on one line or many; what stands above a table in it belongs to that."""
        items = list(items)
        if self.chance(0.4) and not any("\n" in text for text, _ in items):
            pad = self.random.choice(("", "", " "))
            comma = "," if items and self.chance(0.2) else ""
            return f"[{pad}{self.random.choice((', ', ', ', ',')).join(text for text, _ in items)}{comma}{pad}]"
        indent = self.indented + "  "
        lines: list[str] = ["[" + (" " + self.comment(outer) if self.chance(0.1) else "")]
        trailing = self.chance(0.6)
        leading = self.chance(0.1)
        for number, (text, owner) in enumerate(items):
            last = number == len(items) - 1
            if self.chance(0.1):
                lines += ["", indent + self.comment(outer), ""]
            lines += self.above(owner if text.startswith("{") else outer, indent)
            comma = "," if trailing or not last else ""
            if leading:
                lines.append(f"{indent}{', ' if number else ''}{text}{self.behind(owner)}")
            elif comma and self.chance(0.1):
                lines += [f"{indent}{text}{self.behind(owner)}", f"{indent},{self.behind(outer)}"]
            elif not last and self.chance(0.1):
                lines.append(f"{indent}{text}{comma} ")
                continue
            elif lines[-1].endswith(", "):
                lines[-1] += f"{text}{comma}{self.behind(owner)}"
            else:
                lines.append(f"{indent}{text}{comma}{self.behind(owner)}")
        if self.chance(0.2):
            lines.append(indent + self.comment(outer))
        if self.chance(0.1) and items and "#" not in lines[-1]:
            return "\n".join(lines) + "]"
        return "\n".join((*lines, f"{self.indented}]"))

    def scalars(self, name: str, values: list[str], prefix: Key, outer: Owner) -> str:
        """Return an array of plain values; ``prefix`` with the value is the owner of its comments."""
        return self.array([(self.scalar(name, value), (*prefix, value)) for value in values], outer)

    def inline(self, pairs: list[str]) -> str:
        pad = self.random.choice(("", " "))
        return f"{{{pad}{', '.join(pairs)}{pad}}}" if pairs else "{}"

    # Tables.

    def listener_pairs(self, listener: Listener) -> list[tuple[str, str]]:
        """Return a listener's own keys."""
        table = config.Listener(**msgspec.structs.asdict(listener))
        values = self.table_values(table)
        owner = ("listener", listener.addr)
        networks = values.pop("trusted_proxies", [])
        pairs = [(name, self.scalar(name, value)) for name, value in values.items()]
        if networks or self.chance(0.1):
            value = self.scalars("trusted_proxies", networks, ("trusted", listener.addr), owner)
            pairs.append(("trusted_proxies", value))
        self.random.shuffle(pairs)
        return pairs

    def route_pairs(self, route: Route) -> list[tuple[str, str]]:
        own = {name: getattr(route, name) for name in config.Route.__struct_fields__ if hasattr(route, name)}
        values = self.table_values(config.Route(**own))
        if (route.listener, route.hostname) in self.apart:
            values["listener"] = route.listener
        backend = values.get("backend")
        if isinstance(backend, str) and route.endpoints and self.chance(0.1):
            values["backend"] = [backend]
        pairs = [(name, self.scalar(name, value)) for name, value in values.items()]
        self.random.shuffle(pairs)
        return pairs

    def policies(self, route: Route) -> list[Policy]:
        key = (route.listener, route.hostname)
        return [policy for policy in self.state.policies.values() if (policy.listener, policy.hostname) == key]

    def policy_array(self, route: Route) -> str:
        tables = []
        for policy in self.policies(route):
            pairs = [self.pair("type", self.string(policy.type)), self.pair("value", self.string(policy.value))]
            owner = ("policy", policy.listener, policy.hostname, policy.type, policy.value)
            tables.append((self.inline(pairs), owner))
        return self.array(tables, ("route", route.listener, route.hostname))

    def route_array(self, routes: list[Route], outer: Owner) -> str:
        tables = []
        for route in routes:
            pairs = [self.pair(*pair) for pair in self.route_pairs(route)]
            if self.policies(route) or self.chance(0.1):
                pairs.append(self.pair("l7_policies", self.policy_array(route)))
            tables.append((self.inline(pairs), ("route", route.listener, route.hostname)))
        return self.array(tables, outer)

    def routes(self, listener: Listener) -> list[Route]:
        return [route for key, route in self.state.routes.items() if key[0] == listener.addr and key not in self.apart]

    def upstream_pairs(self, upstream: Upstream) -> list[tuple[str, str]]:
        """Return an upstream's own keys; of the tables within it those that are to be on one line."""
        fields = msgspec.structs.asdict(upstream)
        del fields["name"]
        values = self.table_values(UpstreamTable(**fields, endpoints=()))
        values.pop("endpoints", None)
        return [(name, self.scalar(name, value)) for name, value in values.items()]

    def endpoint_values(self, endpoint: UpstreamEndpoint) -> dict[str, Any]:
        fields = msgspec.structs.asdict(endpoint)
        del fields["upstream"]
        return self.table_values(EndpointTable(**fields))

    def endpoint_array(self, name: str) -> str:
        items = []
        for endpoint in self.endpoints(name):
            values = self.endpoint_values(endpoint)
            plain = values.keys() == {"address"} and self.chance(0.7)
            text = self.scalar("address", values["address"]) if plain else self.scalar("", values)
            items.append((text, ("endpoint", name, endpoint.address)))
        return self.array(items, ("upstream", name))

    def endpoints(self, name: str) -> list[UpstreamEndpoint]:
        return [endpoint for key, endpoint in self.state.endpoints.items() if key[0] == name]

    def upstream_sections(self, upstream: Upstream) -> list[str]:
        """Return an upstream, its parts within it or each with a header of its own."""
        name, owner = upstream.name, ("upstream", upstream.name)
        pairs = self.upstream_pairs(upstream)
        inner: list[list[str]] = []
        for key in ("check", "tls"):
            table = getattr(upstream, key)
            if table is not None and self.chance(0.5):
                pairs = [pair for pair in pairs if pair[0] != key]
                own = [(each, self.scalar(each, value)) for each, value in self.table_values(table).items()]
                if own and self.chance(0.3):
                    pairs += ((f"{key}.{each}", value) for each, value in own)
                else:
                    header = self.header("upstreams", name, key, item=False)
                    inner.append(self.section(header, own, (key, name), 1))
        if self.chance(0.7):
            pairs.append(("endpoints", self.endpoint_array(name)))
        else:
            for endpoint in self.endpoints(name):
                own = [(each, self.scalar(each, value)) for each, value in self.endpoint_values(endpoint).items()]
                header = self.header("upstreams", name, "endpoints", item=True)
                inner.append(self.section(header, own, ("endpoint", name, endpoint.address), 1))
        self.random.shuffle(pairs)
        lines = self.section(self.header("upstreams", name, item=False), [], owner, 0)
        lines += (f"{self.dotted(key)} = {value}{self.behind((key.partition('.')[0], name))}" for key, value in pairs)
        return lines + [line for section in inner for line in section]

    def dotted(self, key: str) -> str:
        return ".".join(map(self.key, key.split(".")))

    def section(self, header: str, pairs: list[tuple[str, str]], owner: Owner, depth: int) -> list[str]:
        """Return a header and its pairs, with comments of theirs."""
        indent = self.indented * depth
        lines = [*self.floating(), *self.above(owner, indent), indent + header + self.behind(owner)]
        for name, value in pairs:
            lines += self.above(owner, indent) if self.chance(0.3) else []
            lines.append(f"{indent}{self.pair(name, value)}{self.behind(owner)}")
            lines += [""] if self.chance(0.05) else []
        if self.chance(0.1):
            lines += [indent + self.comment(owner), ""]
        return lines

    def setting_pairs(self, table: str, values: dict[str, Any]) -> list[tuple[str, str]]:
        pairs = []
        kinds = {"blocked_ips": "ip", "blocked_cidrs": "cidr", "blocked_countries": "country"}
        for name, value in values.items():
            if isinstance(value, list):
                pairs.append((name, self.scalars(name, value, ("rule", kinds[name]), None)))
            else:
                struct = type(getattr(config.Config(), table))
                pairs.append((name, self.scalar(name, walker.written(struct, name, value, self.folder))))
        return pairs

    def file(self, tables: dict[str, dict[str, Any]], addrs: list[str]) -> str:
        """Return the text of a file."""
        root: list[str] = []
        sections: list[list[str]] = []
        for table, values in tables.items():
            pairs = self.setting_pairs(table, values)
            if self.chance(0.7):
                sections.append(self.section(self.header(table, item=False), pairs, None, 0))
            elif pairs and self.chance(0.6):
                root += [f"{self.key(table)}.{self.pair(*pair)}{self.behind(None)}" for pair in pairs]
            else:
                line = f"{self.key(table)} = {self.inline([self.pair(*pair) for pair in pairs])}"
                root.append(line + self.behind(None))
        upstreams = [self.state.upstreams[name] for name in self.upstreams]
        form = self.random.random()
        for upstream in upstreams:
            if form < 0.2:
                pairs = [*self.upstream_pairs(upstream), ("endpoints", self.endpoint_array(upstream.name))]
                self.random.shuffle(pairs)
                name = f"{self.key('upstreams')}.{self.key(upstream.name)}"
                if form < 0.1:
                    root += (f"{name}.{self.pair(*pair)}{self.behind((pair[0], upstream.name))}" for pair in pairs)
                else:
                    root.append(f"{name} = {self.inline([self.pair(*pair) for pair in pairs])}")
            else:
                sections.append(self.upstream_sections(upstream))
        listeners = [self.state.listeners[addr] for addr in addrs]
        groups: list[list[str]] = []
        if listeners and self.chance(0.15):
            inline = []
            for listener in listeners:
                pairs = [*self.listener_pairs(listener)]
                if self.routes(listener) or self.chance(0.2):
                    pairs.append(("routes", self.route_array(self.routes(listener), ("listener", listener.addr))))
                inline.append((self.inline([self.pair(*pair) for pair in pairs]), ("listener", listener.addr)))
            root.append(f"listeners = {self.array(inline, None)}")
        else:
            groups = [lines for listener in listeners for lines in self.listener_sections(listener)]
        listed = [self.state.routes[key] for key, here in self.apart.items() if here]
        if listed and self.chance(0.2):
            root.append(f"routes = {self.route_array(listed, None)}")
        else:
            lines = [line for route in listed for section in self.route_sections(route, "routes") for line in section]
            groups.insert(self.random.choice((0, len(groups))), lines)
        for lines in sections:
            groups.insert(self.random.choice((0, 0, self.random.randint(0, len(groups)))), lines)
        lines = ["#:schema x.json"] if self.chance(0.1) else []
        lines += [*self.above(None), ""] if self.chance(0.3) else []
        lines += root
        for group in groups:
            lines += group
        lines += ["", self.comment(None)] if self.chance(0.2) else []
        text = "\n".join(lines) + self.random.choice(("\n", "\n", "\n", "", "\n\n", "\n  \n"))
        return text.replace("\n", "\r\n") if self.chance(0.15) else text

    def listener_sections(self, listener: Listener) -> list[list[str]]:
        """Return a listener and its parts, each with a header of its own, in an order that TOML allows."""
        pairs = self.listener_pairs(listener)
        routes = self.routes(listener)
        inline = self.chance(0.2)
        if inline and (routes or self.chance(0.2)):
            pairs.append(("routes", self.route_array(routes, ("listener", listener.addr))))
        owner = ("listener", listener.addr)
        sections = [self.section(self.header("listeners", item=True), pairs, owner, 0)]
        for route in [] if inline else routes:
            sections += self.route_sections(route, "listeners", "routes")
        return sections

    def route_sections(self, route: Route, *names: str) -> list[list[str]]:
        pairs = self.route_pairs(route)
        policies = self.policies(route)
        inline = self.chance(0.3)
        if inline and (policies or self.chance(0.1)):
            pairs.append(("l7_policies", self.policy_array(route)))
        owner = ("route", route.listener, route.hostname)
        sections = [self.section(self.header(*names, item=True), pairs, owner, 1)]
        for policy in [] if inline else policies:
            pairs = [("type", self.string(policy.type)), ("value", self.string(policy.value))]
            header = self.header(*names, "l7_policies", item=True)
            sections.append(self.section(header, pairs, (*("policy", *owner[1:]), policy.type, policy.value), 2))
        return sections
