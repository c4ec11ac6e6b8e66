"""From files to the State: all defaults are filled in, and all references checked, here and nowhere else."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from mcproxy.errors import ConfigError
from mcproxy.model.config import document, walker
from mcproxy.model.config import schema as config
from mcproxy.model.config.checking import checks, declarations, modes
from mcproxy.model.config.checking.declarations import Place
from mcproxy.model.config.document import Document, Reading
from mcproxy.model.config.fleet.checks import check_document, check_node
from mcproxy.model.config.problems import Problem, Severity, Source, path_of
from mcproxy.model.config.testing.declared import DeclaredTest, tests
from mcproxy.model.state.filter_options import FilterOptions, RealIp, sorted_lists
from mcproxy.model.state.route_options import CaseOptions, RouteOptions
from mcproxy.model.state.state import (
    Case,
    Filter,
    Listener,
    Policy,
    Route,
    Rule,
    SettingValue,
    State,
    Upstream,
    UpstreamEndpoint,
)
from mcproxy.model.state.tls_options import in_one_form
from mcproxy.model.state.upstream_options import EndpointOptions, UpstreamOptions
from mcproxy.model.values.acme.words import LETS_ENCRYPT
from mcproxy.model.values.origins import Key, Origin

S = TypeVar("S", Route, Case)

_DEFAULTS = config.Config()


class Resolution(msgspec.Struct, frozen=True):
    """What the files mean.

    Attributes:
        state: what should run.
        origins: where each resource is declared; settings that no file names have none.
        warnings: what is valid but doubtful, in file order.
        places: for each of the origins the file, read, and the resource's path in it.
        tests: what the files ask of themselves; no part of the state, so that another test changes nothing that runs.
    """

    state: State
    origins: dict[Key, Origin]
    warnings: tuple[Problem, ...]
    places: Mapping[Key, Place]
    tests: tuple[DeclaredTest, ...] = ()

    def origin(self, key: Key, name: str) -> Origin | None:
        """Return where a resource's key ``name`` (``tls.ca`` of a table within it) stands, else the resource.

        None if nothing declares it.
        """
        if key not in self.places:
            return self.origins.get(key)
        read, path = self.places[key]
        return read.origin((*path, *path_of(name)))

    def place_problem(self, key: Key, message: str, severity: Severity) -> Problem:
        """Return a problem of a declared resource as a whole; raises KeyError if no file declares it."""
        read, path = self.places[key]
        return read.problem(path, message, severity)

    def problem(self, key: Key, name: str, message: str, severity: Severity = "error") -> Problem:
        """Return a problem of the value of a declared resource's key ``name``; raises KeyError if no file declares the resource."""
        read, path = self.places[key]
        return read.value_problem((*path, *path_of(name)), message, severity)


def include_patterns(main: Reading) -> tuple[str, ...]:
    """Return the file's ``include`` as it stands; raises ConfigError when the file is not TOML or the key is wrong."""
    if main.document is None:
        raise ConfigError(main.problems)
    if wrong := tuple(problem for problem in main.problems if problem.key.startswith("include")):
        raise ConfigError(wrong)
    return main.document.config.include


def include_problem(main: Document, index: int, message: str, severity: Severity = "error") -> Problem:
    """Return a problem of one item of the file's ``include``."""
    return main.problem(("include", index), message, severity)


def resolve(sources: Sequence[Source]) -> Resolution:
    """Return what the files mean together; see `resolve_read`."""
    return resolve_read([document.read(source) for source in sources])


def resolve_read(readings: Sequence[Reading], *, complete: bool = True) -> Resolution:
    """Return what files mean together that have been read.

    Args:
        readings: of the main file, then of those it includes; of a node those of its own file and of the fleet's document, if it is known,
            in either order.
        complete: whether these are all; if not, nothing is missed that may stand in the others.

    Raises:
        ConfigError: something is wrong; it carries all problems of all files, warnings too, in file order.
    """
    readings = _node_first(readings)
    problems = [problem for reading in readings for problem in reading.problems]
    documents = modes.settled([reading.document for reading in readings if reading.document is not None])
    main = documents[0] if readings and readings[0].document is not None else None
    if main is not None and main.names("fleet"):
        problems += check_node(main)
        problems += check_document(documents[1:])
        if len(readings) > 1 and readings[1].document is not None:
            main = documents[1]
    declared = tuple(declarations.declarations(documents))
    state = state_of(documents, main)
    complete = complete and len(documents) == len(readings)
    problems += checks.check(documents, main, declared, state, complete=complete)
    problems = _in_file_order(problems, [reading.source for reading in readings])
    if main is None or any(problem.severity == "error" for problem in problems):
        raise ConfigError(tuple(problems))
    places = {key: (read, path) for key, read, path in declared}
    origins = {key: read.origin(path) for key, (read, path) in places.items()}
    return Resolution(state, origins, tuple(problems), places, tuple(tests(documents)))


def _node_first(readings: Sequence[Reading]) -> Sequence[Reading]:
    """Return the file of a node before the fleet's document, where it stands behind it."""
    last = readings[-1].document if readings else None
    if last is None or not readings[0].source.note or not last.names("fleet"):
        return readings
    return (readings[-1], *readings[:-1])


def _in_file_order(problems: Iterable[Problem], sources: Sequence[Source]) -> list[Problem]:
    rank = {source.path: index for index, source in enumerate(sources)}
    return sorted(problems, key=lambda problem: (rank[problem.file], problem.line, problem.column))


def state_of(documents: Sequence[Document], main: Document | None) -> State:
    """Return the State of files; where something is wrong, of what is right, and of two declarations the first.

    Args:
        documents: all files that are valid TOML.
        main: the one that includes the others; None when it is not valid TOML.
    """
    listeners: dict[str, Listener] = {}
    routes: dict[tuple[str, str], Route] = {}
    policies: dict[tuple[str, str, str, str], Policy] = {}
    rules: dict[tuple[str, str], Rule] = {}
    for read in documents:
        for name, rule_type in declarations.RULE_TYPES.items():
            for value in getattr(read.config.firewall, name):
                if value:
                    rules[rule_type, value] = Rule(rule_type, value)
    upstreams: dict[str, Upstream] = {}
    endpoints: dict[tuple[str, str], UpstreamEndpoint] = {}
    for _, path, name, upstream in declarations.upstreams(documents):
        if name in upstreams:
            continue
        options = {**_only(UpstreamOptions, upstream), "retry_on": tuple(sorted(set(upstream.retry_on)))}
        upstreams[name] = Upstream(name=name, **options)
        for _, endpoint in declarations.endpoints(path, upstream):
            if (name, endpoint.address) not in endpoints:
                own = _only(EndpointOptions, endpoint)
                endpoints[name, endpoint.address] = UpstreamEndpoint(upstream=name, address=endpoint.address, **own)
    for _, _, addr, listener in declarations.listeners(documents):
        if listener.addr == addr:
            listeners[addr] = Listener(
                addr=addr,
                proxy_protocol=listener.proxy_protocol,
                trusted_proxies=tuple(sorted(set(listener.trusted_proxies))),
                max_connections=listener.max_connections,
                untrusted=listener.untrusted,
                freebind=listener.freebind,
                protocol=listener.protocol,
                use=_ordered(listener.use),
                real_ip=_real_ip(listener.real_ip),
                tls=in_one_form(listener.tls),
            )
    cases: dict[tuple[str, str, str], Case] = {}
    for read, path, addr, route in declarations.routes(documents):
        if not route.hostname or (addr, route.hostname) in routes:
            continue
        routes[addr, route.hostname] = _route(addr, route)
        for _, policy in declarations.policies(read, path, route) if route.l7_policies else ():
            key = (addr, route.hostname, policy.type, policy.value)
            policies[key] = Policy(*key)
        for _, match, case in declarations.cases(path, route) if route.cases else ():
            cases.setdefault((addr, route.hostname, match), _case(addr, route.hostname, match, case))
    filters: dict[str, Filter] = {}
    for read in documents:
        for name, table in read.config.filters.items():
            filters.setdefault(name, Filter(name=name, **_only(FilterOptions, sorted_lists(table))))
    settings = _settings(documents, main)
    return State(listeners, routes, policies, rules, settings, upstreams, endpoints, filters, cases)


_OPTIONS = RouteOptions.__struct_fields__
_options_of = attrgetter(*_OPTIONS)
_PLAIN = _options_of(Route("", ""))
"""What most routes of large files say: nothing beside where they lead."""
_CASE_OPTIONS = CaseOptions.__struct_fields__
_case_options_of = attrgetter(*_CASE_OPTIONS)


def _route(addr: str, route: config.Route) -> Route:
    said = _options_of(route)
    options = {} if said == _PLAIN else dict(zip(_OPTIONS, said, strict=True))
    if route.names:
        options["names"] = _ordered(route.names)
    made = Route(
        addr, route.hostname, route.backend.endpoints, route.backend.upstream, tls=in_one_form(route.tls), **options
    )
    return _in_scope(made, route) if route.use or route.without or route.filter else made


def _case(addr: str, hostname: str, match: str, case: config.Case) -> Case:
    options = dict(zip(_CASE_OPTIONS, _case_options_of(case), strict=True))
    made = Case(addr, hostname, match, case.backend.endpoints, case.backend.upstream, **options)
    return _in_scope(made, case) if case.use or case.without or case.filter else made


def _in_scope(made: S, table: config.Route | config.Case) -> S:
    """Return a route or case with the filters that its table says; their order says nothing."""
    return msgspec.structs.replace(
        made,
        use=_ordered(table.use),
        without=_ordered(table.without),
        filter=None if table.filter is None else sorted_lists(table.filter),
    )


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in set(names) if name))


def _real_ip(table: RealIp | None) -> RealIp | None:
    return None if table is None else msgspec.structs.replace(table, from_=_ordered(table.from_))


def _only(options: type[msgspec.Struct], table: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(table, name) for name in options.__struct_fields__}


def _settings(documents: Sequence[Document], main: Document | None) -> dict[str, SettingValue]:
    settings: dict[str, SettingValue] = {}
    for path, (struct, name) in declarations.SETTINGS.items():
        naming = next((read for read in documents if read.names(*path.split("."))), None)
        settings[path] = (
            walker.default(struct, name, main.folder if main else "/")
            if naming is None
            else attrgetter(path)(naming.config)
        )
    if not settings["acme.directory"] and any(read.names("acme") for read in documents):
        settings["acme.directory"] = LETS_ENCRYPT  # without the table nothing is agreed to
    return settings
