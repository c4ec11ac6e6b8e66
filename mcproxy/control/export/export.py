"""Export: the user's files with the runtime edits written into them; comments, order and layout stay.

The difference between what the files say and what they should say becomes edits of the documents that declare the
resources. Whatever comes of that is read back like any configuration, and counts only if it says exactly what it should.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

import msgspec

from mcproxy.control.export.tables import amend, at, case_table, endpoint_table, policy_table
from mcproxy.control.export.toml_edit import Short, Splices, edit
from mcproxy.errors import ConfigError, ExportError
from mcproxy.model.config import document, upstreams, walker
from mcproxy.model.config import schema as config
from mcproxy.model.config.checking.declarations import RULE_LISTS
from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath, Problem, Source, path_of
from mcproxy.model.config.resolve import Resolution, resolve
from mcproxy.model.state.diff import Change, diff
from mcproxy.model.state.kinds import ResourceKey
from mcproxy.model.state.plan import make_plan
from mcproxy.model.state.scopes import plain
from mcproxy.model.state.state import (
    Case,
    Filter,
    Listener,
    ListenerKey,
    Policy,
    Route,
    RouteKey,
    Rule,
    State,
    Upstream,
    UpstreamEndpoint,
)
from mcproxy.model.state.upstream_options import UpstreamOptions


class Exported(msgspec.Struct, frozen=True):
    """One of the files.

    Attributes:
        path: absolute.
        before: the file's text as it was given.
        after: the text with the edits in it; ``before`` itself when they don't touch the file.
    """

    path: str
    before: str
    after: str


def export(sources: Sequence[Source], desired: State) -> tuple[Exported, ...]:
    """Return the files as they should be to say ``desired``, all of them, in the order given.

    What is changed is written where it stands; a new route after the last one of its listener, a new case after the last one of its route, a
    new endpoint after the last one of its upstream, a new listener, upstream or filter at the end of the main file, a new setting where its
    table is. A comment directly above a route, policy, case or listener that is removed goes with it.

    Args:
        sources: the main file, then those it includes.
        desired: what they should say, with nothing in it that files could not say.

    Raises:
        ConfigError: the files as they are have errors.
        ExportError: what was written does not read back as ``desired``; it tells the difference.
    """
    resolution = resolve(sources)
    changes = diff(resolution.state, desired)
    writer = _Writer(sources, resolution, desired)
    writer.write(changes)
    files = tuple(
        Exported(source.path, source.text, edit(source.text, edits) if edits else source.text)
        for source in sources
        for edits in [writer.edits.get(source.path)]
    )
    if changes:
        _read_back(sources, files, desired)
    return files


def _read_back(sources: Sequence[Source], files: Sequence[Exported], desired: State) -> None:
    texts = zip(sources, files, strict=True)
    try:
        state = resolve([msgspec.structs.replace(source, text=file.after) for source, file in texts]).state
    except ConfigError as error:
        wrong = "\n".join(str(problem) for problem in error.problems if _is_error(problem))
        raise ExportError(f"with the edits in them the files would not be valid:\n{wrong}") from None
    left = make_plan(state, desired, {}).lines()
    if left:
        raise ExportError("\n".join(("the files can't be made to say this:", *left)))


def _is_error(problem: object) -> bool:
    return isinstance(problem, Problem) and problem.severity == "error"


class _Writer:
    """Turns changes of the State into edits of documents.

    Attributes:
        edits: by the path of the file.
    """

    def __init__(self, sources: Sequence[Source], resolution: Resolution, desired: State) -> None:
        known = {read.source.path: read for read, _ in resolution.places.values()}
        reads = (known.get(source.path) or document.read(source).document for source in sources)
        self._documents = [read for read in reads if read is not None]
        self._places = resolution.places
        self._file = resolution.state
        self._desired = desired
        self._new_policies: defaultdict[RouteKey, list[config.L7Policy]] = defaultdict(list)
        self._new_cases: defaultdict[RouteKey, list[config.Case]] = defaultdict(list)
        self._new_routes: defaultdict[ListenerKey, list[config.Route]] = defaultdict(list)
        for _, policy in sorted(desired.policies.items()):
            if (policy.listener, policy.hostname) not in self._file.routes:
                self._new_policies[policy.listener, policy.hostname].append(policy_table(policy))
        for _, case in sorted(desired.cases.items()):
            if (case.listener, case.hostname) not in self._file.routes:
                self._new_cases[case.listener, case.hostname].append(case_table(case))
        for _, route in sorted(desired.routes.items()):
            if route.listener not in self._file.listeners:
                self._new_routes[route.listener].append(self._route_table(route))
        self.edits: defaultdict[str, Splices] = defaultdict(Splices)

    def write(self, changes: Iterable[Change]) -> None:
        """Add the edits that the changes need."""
        rules: defaultdict[str, list[Change]] = defaultdict(list)
        for change in changes:
            match change.new if change.old is None else change.old:
                case Upstream() as upstream:
                    self._upstream(upstream, change.new)
                case UpstreamEndpoint() as endpoint if self._stays("upstreams", endpoint.upstream):
                    self._endpoint(endpoint, change.new)
                case Listener() as listener:
                    self._listener(listener, change.new)
                case Route() as route if self._stays("listeners", route.listener) or self._stands_alone(route):
                    self._route(route, change.new)
                case Policy() as policy if self._stays("routes", (policy.listener, policy.hostname)):
                    self._policy(policy, change.new)
                case Case() as case if self._stays("routes", (case.listener, case.hostname)):
                    self._case(case, change.new)
                case Filter() as named:
                    self._filter(named, change.new)
                case Rule(type=rule_type):
                    rules[RULE_LISTS[rule_type]].append(change)
                case _ if change.action == "change":
                    self._setting(str(change.key), change.new)
        for name, group in rules.items():
            self._rules(name, group)

    def _stays(self, table: str, key: ResourceKey) -> bool:
        """Tell whether a resource is there before and after; if not, its children come and go with it."""
        return key in getattr(self._file, table) and key in getattr(self._desired, table)

    def _stands_alone(self, route: Route) -> bool:
        """Tell whether the file has a route elsewhere than within its listener, with which it does not go."""
        place = self._places.get(("route", route.listener, route.hostname))
        return place is not None and place[1][0] == "routes"

    def _upstream(self, upstream: Upstream, new: object) -> None:
        if upstream.name not in self._file.upstreams:
            path: KeyPath = ("upstreams", upstream.name)
            read = self._documents[0]
            table = self._upstream_table(upstream)
            for name in ("endpoints", *UpstreamOptions.__struct_fields__):
                if name == "endpoints" or getattr(table, name) != walker.default(upstreams.Upstream, name, ""):
                    written = walker.written(upstreams.Upstream, name, getattr(table, name), read.folder)
                    self.edits[read.source.path].assigned[*path, name] = written
            return
        read, path = self._places["upstream", upstream.name]
        if isinstance(new, Upstream):
            amend(self.edits[read.source.path], read, path, self._upstream_table(new))
        else:
            self.edits[read.source.path].removed.add(path)

    def _endpoint(self, endpoint: UpstreamEndpoint, new: object) -> None:
        if (endpoint.upstream, endpoint.address) not in self._file.endpoints:
            read, path = self._places["upstream", endpoint.upstream]
            written = walker.written(upstreams.Upstream, "endpoints", [endpoint_table(endpoint)], read.folder)
            items = [Short(item, {"address": item}) if isinstance(item, str) else item for item in written]
            self.edits[read.source.path].appended[*path, "endpoints"] += items
            return
        read, path = self._places["endpoint", endpoint.upstream, endpoint.address]
        if not isinstance(new, UpstreamEndpoint):
            self.edits[read.source.path].removed.add(path)
        elif read.names(*path, "address"):
            amend(self.edits[read.source.path], read, path, endpoint_table(new))
        else:  # it is a string so far
            (written,) = walker.written(upstreams.Upstream, "endpoints", [endpoint_table(new)], read.folder)
            self.edits[read.source.path].assigned[path] = written

    def _listener(self, listener: Listener, new: object) -> None:
        if listener.addr not in self._file.listeners:
            self._append(self._documents[0], ("listeners",), [self._listener_table(listener)])
            return
        read, path = self._places["listener", listener.addr]
        if isinstance(new, Listener):
            amend(self.edits[read.source.path], read, path, self._listener_table(new))
        else:
            self.edits[read.source.path].removed.add(path)

    def _route(self, route: Route, new: object) -> None:
        if (route.listener, route.hostname) not in self._file.routes:
            read, path = self._places["listener", route.listener]
            self._append(read, (*path, "routes"), [self._route_table(route)])
            return
        read, path = self._places["route", route.listener, route.hostname]
        if isinstance(new, Route):
            amend(self.edits[read.source.path], read, path, self._route_table(new))
        else:
            self.edits[read.source.path].removed.add(path)

    def _policy(self, policy: Policy, new: object) -> None:
        read, path = self._places["route", policy.listener, policy.hostname]
        path = (*path, "l7_policies")
        if new is None:
            self._remove(read, path, [policy_table(policy)])
        else:
            self._append(read, path, [policy_table(policy)])

    def _case(self, case: Case, new: object) -> None:
        if (case.listener, case.hostname, case.match) not in self._file.cases:
            read, path = self._places["route", case.listener, case.hostname]
            self._append(read, (*path, "cases"), [case_table(case)])
            return
        read, path = self._places["case", case.listener, case.hostname, case.match]
        if isinstance(new, Case):
            table = case_table(new)
            old = at(read.config, path)  # which may have its conditions in tables of their own
            written_so = {"match": old.match, "headers": old.headers, "query": old.query}
            amend(self.edits[read.source.path], read, path, msgspec.structs.replace(table, **written_so))
        else:
            self.edits[read.source.path].removed.add(path)

    def _filter(self, named: Filter, new: object) -> None:
        path: KeyPath = ("filters", named.name)
        if named.name not in self._file.filters:
            read = self._documents[0]
            table = walker.written(config.Config, "filters", {named.name: plain(named)}, read.folder)[named.name]
            assigned = self.edits[read.source.path].assigned
            assigned.update({(*path, key): value for key, value in table.items()} if table else {path: {}})
            return
        read, path = self._places["filter", named.name]
        if isinstance(new, Filter):
            amend(self.edits[read.source.path], read, path, plain(new))
        else:
            self.edits[read.source.path].removed.add(path)

    def _rules(self, name: str, changes: Iterable[Change]) -> None:
        removed = {change.old.value for change in changes if isinstance(change.old, Rule)}
        added = [change.new.value for change in changes if isinstance(change.new, Rule)]
        path = ("firewall", name)
        for read in self._documents:
            self._remove(read, path, removed)
        self._append(self._naming(*path), path, added)

    def _setting(self, key: str, value: object) -> None:
        path = path_of(key)
        self._assign(self._naming(*path), path, value)

    def _naming(self, *key: str | int) -> Document:
        """Return the file that names the key, else one that names the table, the main file first, else that."""
        for path in (key, key[:-1]):
            for read in self._documents:
                if read.names(*path):
                    return read
        return self._documents[0]

    def _assign(self, read: Document, path: KeyPath, value: object) -> None:
        table = type(at(read.config, path[:-1]))
        self.edits[read.source.path].assigned[path] = walker.written(table, str(path[-1]), value, read.folder)

    def _append(self, read: Document, array: KeyPath, items: Sequence[object]) -> None:
        if items:
            table = type(at(read.config, array[:-1]))
            written = walker.written(table, str(array[-1]), items, read.folder)
            self.edits[read.source.path].appended[array] += written

    def _remove(self, read: Document, array: KeyPath, items: Collection[object]) -> None:
        """Remove what equals one of the items, however often and however it is written."""
        found = {(*array, index) for index, item in enumerate(at(read.config, array)) if item in items}
        if found:
            self.edits[read.source.path].removed.update(found)

    def _listener_table(self, listener: Listener) -> config.Listener:
        """Return a listener as the file would have it, with its routes if it is new."""
        routes = self._new_routes.get(listener.addr, ())
        return config.Listener(**msgspec.structs.asdict(listener), routes=tuple(routes))

    def _upstream_table(self, upstream: Upstream) -> upstreams.Upstream:
        """Return an upstream as the file would have it, with its endpoints."""
        fields = msgspec.structs.asdict(upstream)
        del fields["name"]
        endpoints = [each for key, each in self._desired.endpoints.items() if key[0] == upstream.name]
        return upstreams.Upstream(**fields, endpoints=tuple(map(endpoint_table, endpoints)))

    def _route_table(self, route: Route) -> config.Route:
        """Return a route as the file would have it, with its policies and cases if it is new."""
        own = {name: getattr(route, name) for name in config.Route.__struct_fields__ if hasattr(route, name)}
        policies = self._new_policies.get((route.listener, route.hostname), ())
        cases = self._new_cases.get((route.listener, route.hostname), ())
        return config.Route(**own, l7_policies=tuple(policies), cases=tuple(cases))
