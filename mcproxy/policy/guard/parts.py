"""What a change touches, in parts that can be undone each for itself.

A changed upstream, filter, listener or file touches the routes that use it, before or after. Changes that touch a route in common belong
together, for only together they are known to work; so what is not connected stays when another part is undone.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from mcproxy.model.state.diff import Change
from mcproxy.model.state.kinds import KindName, ResourceKey, name_of, parts_of, table_of
from mcproxy.model.state.named_files import files_of, owners
from mcproxy.model.state.rules.references import references
from mcproxy.model.state.state import Case, Filter, Listener, Route, RouteKey, State
from mcproxy.policy.routing import RouteTable

What: TypeAlias = Literal["route", "listener", "names", "firewall"]

_NAMED: tuple[KindName, ...] = ("upstream", "filter")
_FIREWALL = "firewall."
_DATABASE = "firewall.geoip_db"


class Subject(msgspec.Struct, frozen=True, order=True):
    """Something whose requests or connections are judged.

    Attributes:
        listener: its address.
        hostname: of a route; "" where connections of the listener are judged that came to no route.
        what: a "route"; or which refusals of a listener: all that a "listener" may bring about, those of "names" that nobody serves, those of
            the "firewall".
    """

    listener: str
    hostname: str = ""
    what: What = "route"

    def __str__(self) -> str:
        """Return its name for people."""
        return f"route {self.listener} {self.hostname}" if self.what == "route" else f"listener {self.listener}"


class Part(msgspec.Struct, frozen=True):
    """Changes that belong together.

    Attributes:
        changes: of resources; none where only contents of files are others.
        subjects: what is judged, in order.
        upstreams: those that are touched, whose endpoints may go down.
        files: paths of files that hold something else than before.
    """

    changes: tuple[Change, ...]
    subjects: tuple[Subject, ...]
    upstreams: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def touches(self, other: "Part") -> bool:
        """Tell whether both change or judge the same."""
        return not _marks(self).isdisjoint(_marks(other))


class Survey(msgspec.Struct, frozen=True):
    """What a plan comes to.

    Attributes:
        parts: those that can be judged.
        left: what can't be, with why, a line each.
    """

    parts: tuple[Part, ...]
    left: tuple[str, ...] = ()


def survey(before: State, after: State, changes: Sequence[Change], files: Collection[str] = ()) -> Survey:
    """Return what a change touches.

    Args:
        before: what was live.
        after: what is.
        changes: from the one to the other.
        files: paths of files that are named as before, and hold something else.
    """
    whole = _Survey(before, after, changes)
    for change in changes:
        whole.add(change)
    if files:
        whole.add_files(frozenset(files))
    return Survey(whole.parts(), tuple(whole.left))


class _Survey:
    """A survey in the making: sets of marks, of which each change has one, that grow together where they meet."""

    def __init__(self, before: State, after: State, changes: Sequence[Change]) -> None:
        self._states = before, after
        self._before, self._after = before, after
        named = any(change.kind in ("upstream", "endpoint", "filter") for change in changes)
        self._users = [_users(state) for state in self._states] if named else []
        self._routes_of: dict[str, list[RouteKey]] = {}
        for key in after.routes:
            self._routes_of.setdefault(key[0], []).append(key)
        self._tables: dict[str, RouteTable[RouteKey]] = {}
        self._found: list[tuple[list[Change], set[Subject], set[str], set[str]]] = []
        self.left: list[str] = []

    def add(self, change: Change) -> None:
        """Add what a change touches."""
        kind, key, name = change.kind, change.key, name_of(change.kind, change.key)
        parts = parts_of(key)
        if kind == "setting" and not parts[0].startswith(_FIREWALL):
            self.left.append(f"{name}: settings are not watched")
        elif kind in ("setting", "rule"):
            self._note(change, self._firewall())
        elif kind == "listener":
            self._add_listener(change, name)
        elif kind in ("route", "policy", "case"):
            self._add_route(change, (parts[0], parts[1]))
        else:
            owner: KindName = "filter" if kind == "filter" else "upstream"
            users = {user for found in self._users for user in found.get((owner, parts[0]), ())}
            subjects = {Subject(*user) for user in users if user in self._after.routes}
            if subjects:
                self._note(change, subjects, {parts[0]} if owner == "upstream" else set())

    def add_files(self, files: frozenset[str]) -> None:
        """Add what other contents of files touch."""
        users = _users(self._after)
        for path in sorted(files):
            found: set[RouteKey] = set()
            for key, owner in owners(self._after).items():
                if not any(path in group for _, group in files_of(self._after, owner)):
                    continue
                if isinstance(owner, Listener):
                    found.update(self._routes_of.get(owner.addr, ()))
                else:
                    found |= _users_of(owner, key, users)
            if found:
                self._found.append(([], {Subject(*user) for user in found}, set(), {path}))
        if self._after.settings.get(_DATABASE) in files:
            self._found.append(([], self._firewall(), set(), {str(self._after.settings[_DATABASE])}))

    def parts(self) -> tuple[Part, ...]:
        """Return the parts, each of all that is connected."""
        owner: dict[object, int] = {}
        groups: dict[int, list[int]] = {}
        for number, (changes, subjects, _, files) in enumerate(self._found):
            marks: list[object] = [*subjects, *files, *((change.kind, change.key) for change in changes)]
            met = {owner[mark] for mark in marks if mark in owner}
            first = min(met, default=number)
            members = [number]
            for other in met:
                members += groups.pop(other)
            groups[first] = members
            for member in members if len(met) > 1 else [number]:
                there = self._found[member]
                for mark in (*there[1], *there[3], *((change.kind, change.key) for change in there[0])):
                    owner[mark] = first
        return tuple(self._part(sorted(groups[first])) for first in sorted(groups))

    def _part(self, members: Sequence[int]) -> Part:
        found = [self._found[member] for member in members]
        return Part(
            tuple(change for changes, _, _, _ in found for change in changes),
            tuple(sorted({subject for _, subjects, _, _ in found for subject in subjects})),
            tuple(sorted({name for _, _, names, _ in found for name in names})),
            tuple(sorted({path for _, _, _, files in found for path in files})),
        )

    def _note(self, change: Change, subjects: set[Subject], upstreams: Iterable[str] = ()) -> None:
        self._found.append(([change], subjects, set(upstreams), set()))

    def _firewall(self) -> set[Subject]:
        return {Subject(addr, what="firewall") for addr in self._after.listeners}

    def _add_listener(self, change: Change, name: str) -> None:
        addr = str(change.key)
        if change.action != "change":
            what = "is new, so nothing else would serve there" if change.old is None else "is there no more"
            self.left.append(f"{name} {what}")
            return
        routes = {Subject(*key) for key in self._routes_of.get(addr, ())}
        self._note(change, {*routes, Subject(addr, what="listener")})

    def _add_route(self, change: Change, route: RouteKey) -> None:
        addr = route[0]
        if addr not in self._before.listeners or addr not in self._after.listeners:
            return  # with its listener, of which it is told
        if route in self._after.routes:
            upstreams = _upstreams(self._after.routes[route]) | _upstreams(change.new)
            self._note(change, {Subject(*route)}, upstreams)
            return
        subjects = {Subject(addr, what="names")}
        instead = self._table(addr).find(route[1].replace("*", "any", 1) if route[1] != "*" else None)
        if instead is not None:
            subjects.add(Subject(*instead))
        self._note(change, subjects)

    def _table(self, addr: str) -> RouteTable[RouteKey]:
        if addr not in self._tables:
            self._tables[addr] = RouteTable((key[1], key) for key in self._routes_of.get(addr, ()))
        return self._tables[addr]


def _marks(part: Part) -> set[object]:
    return {*part.subjects, *part.files, *((change.kind, change.key) for change in part.changes)}


def _upstreams(resource: object) -> set[str]:
    if not isinstance(resource, Route | Case | Filter):
        return set()
    return {name for kind, name, _ in references(resource) if kind == "upstream"}


def _users(state: State) -> Mapping[tuple[KindName, str], set[RouteKey]]:
    """Return which routes use each upstream and filter, themselves, by their cases, or by their listener."""
    users: dict[tuple[KindName, str], set[RouteKey]] = {}
    routes_of: dict[str, list[RouteKey]] = {}
    for key in state.routes:
        routes_of.setdefault(key[0], []).append(key)
    for kind in ("listener", "route", "case"):
        for key, resource in table_of(state, kind).items():
            named = [(each, name) for each, name, field in references(resource) if field != "without"]
            if named:
                at = _at(kind, key, routes_of)
                for one in named:
                    users.setdefault(one, set()).update(at)
    for name, options in state.filters.items():
        for kind, asked, _ in references(options):
            users.setdefault((kind, asked), set()).update(users.get(("filter", name), ()))
    return users


def _at(kind: KindName, key: ResourceKey, routes_of: Mapping[str, list[RouteKey]]) -> Iterable[RouteKey]:
    parts = parts_of(key)
    return routes_of.get(parts[0], ()) if kind == "listener" else [(parts[0], parts[1])]


def _users_of(
    owner: object, key: tuple[str, ...], users: Mapping[tuple[KindName, str], set[RouteKey]]
) -> set[RouteKey]:
    if isinstance(owner, Route | Case):
        return {(owner.listener, owner.hostname)}
    return users.get(("filter" if isinstance(owner, Filter) else "upstream", key[1])) or set()
