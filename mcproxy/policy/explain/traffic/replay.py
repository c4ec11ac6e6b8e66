"""Lines of an access log, asked of two configurations: how many would be answered differently, and by which line."""

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from mcproxy.model.state.state import Case
from mcproxy.model.values.http.matches import parse
from mcproxy.policy.explain.traffic.lines import Clients, Line
from mcproxy.policy.explain.traffic.side import NOBODY_KNOWS, Outcome, Scene, Side, Spot, chosen, whence

GROUPS = 10_000
"""Groups that are told apart; clients may ask for any number of paths."""
_OTHERS = "(others)"
_Key: TypeAlias = tuple[str, str, str, str, str, str]
_Found: TypeAlias = tuple[Outcome, Outcome] | str


class Group(msgspec.Struct, kw_only=True):
    """Requests or connections that would change alike.

    Attributes:
        method: of the requests, ``TLS`` or ``TCP`` for connections.
        host: what they ask for, "" for nothing.
        path: its beginning, or the whole of a short one; "" for connections.
        old, new: what becomes of them.
        by: what decides that, with its line.
        count: how many there are.
        largest: bytes of the largest body, where its length decides; else 0.
    """

    method: str
    host: str
    path: str
    old: str
    new: str
    by: str
    count: int = 0
    largest: int = 0


class Report(msgspec.Struct, frozen=True):
    """What came of all lines.

    Attributes:
        total: lines that tell of a request or connection.
        changed: those that would be answered, or led, differently.
        since, until: the earliest time of a line, and the latest.
        groups: the changed ones, the largest groups first.
        unjudged: how many could not be judged, by why.
        damaged: lines that are none of an access log.
    """

    total: int
    changed: int
    since: str
    until: str
    groups: Sequence[Group]
    unjudged: dict[str, int]
    damaged: int


class _Scenes(msgspec.Struct, frozen=True, eq=False):
    """What holds in both where a route has no cases in either.

    Attributes:
        old, new: what holds.
        plain: nothing is asked of anybody.
        found: what then becomes of all, or why that can't be told.
    """

    old: Scene
    new: Scene
    plain: bool
    found: "_Found"


class _Pair(msgspec.Struct, frozen=True, eq=False):
    """Where a name leads in both.

    Attributes:
        old, new: where.
        same: nothing differs there.
        unknown: why nothing can be told of it, "" if something can.
        scenes: what holds for all that come there, where that does not depend on what they ask for.
    """

    old: Spot
    new: Spot
    same: bool
    unknown: str
    scenes: _Scenes | None = None


class _Said(msgspec.Struct, frozen=True, eq=False):
    """What is told of a change.

    Attributes:
        old, new: the outcomes; kept, so that no others get their ids.
        was, will: what becomes of it.
        by: what decides that, with its line.
        depth: segments of a path that tell groups apart.
        limited: by the length of bodies.
        answered: what it was is the status that the backend has answered with.
    """

    old: Outcome
    new: Outcome
    was: str
    will: str
    by: str
    depth: int
    limited: bool
    answered: bool


class Replay:
    """Asks both.

    Args:
        old: the configuration that is taken as running.
        new: the one to get to.
    """

    def __init__(self, old: Side, new: Side) -> None:
        self._old = old
        self._new = new
        self._clients = Clients()
        self._pairs: dict[tuple[str, str, str, bool], _Pair] = {}
        self._unseen: dict[tuple[int, int], str] = {}
        rules = [(side.tables.state.rules, side.tables.state.settings.get("firewall.default")) for side in (old, new)]
        self._said: dict[tuple[int, int], _Said] = {}
        self._same_firewall = rules[0] == rules[1]
        self._no_firewall = not old.has_firewall and not new.has_firewall
        self._total = self._changed = self._damaged = 0
        self._since = self._until = ""
        self._groups: dict[_Key, Group] = {}
        self._unjudged: Counter[str] = Counter()

    def damaged(self) -> None:
        """Count a line that is none."""
        self._damaged += 1

    def feed(self, line: Line) -> None:
        """Judge a line."""
        try:
            packed, connected = self._clients.of(line.client)
        except ValueError:
            self._damaged += 1
            return
        self._total += 1
        self._since = min(self._since or line.time, line.time or self._since)  # rotated logs may come in any order
        self._until = max(self._until, line.time)
        if line.reason != "complete" and not line.is_routed:
            return
        pair = self._pair(line)
        if pair.same and self._same_firewall:
            return
        found = self._judge(pair, line, packed, connected=connected)
        if isinstance(found, str):
            self._unjudged[found] += 1
        elif not found[0].is_as(found[1]):
            self._changed += 1
            self._count(line, *found)

    def report(self) -> Report:
        """Return what has come of it so far."""
        groups = sorted(
            self._groups.values(), key=lambda each: (-each.count, each.host, each.path, each.method, each.new)
        )
        unjudged = dict(self._unjudged.most_common())
        return Report(self._total, self._changed, self._since, self._until, groups, unjudged, self._damaged)

    def _pair(self, line: Line) -> _Pair:
        key = (line.listener, line.sni, line.authority, line.method != "" and line.path != "")
        found = self._pairs.get(key)
        if found is None:
            old, new = self._old.spot(line), self._new.spot(line)
            same = self._old.sign(old) == self._new.sign(new)
            unknown = self._unknown(line.listener)
            scenes = None if unknown or (same and self._same_firewall) else self._scenes(old, new)
            found = self._pairs[key] = _Pair(old, new, same, unknown, scenes)
        return found

    def _scenes(self, old: Spot, new: Spot) -> _Scenes | None:
        if old.ends or new.ends or old.cases is not None or new.cases is not None:
            return None
        one, other = self._old.scene(old, None), self._new.scene(new, None)
        unseen = "" if other.then.refuses else self._differs(one, other)
        found = _not_in_log(unseen) if unseen else (one.then, other.then)
        return _Scenes(one, other, one.plain and other.plain, found)

    def _unknown(self, addr: str) -> str:
        """Return why nothing can be told of what comes to a listener, "" if something can."""
        old, new = (side.tables.state.listeners.get(addr) for side in (self._old, self._new))
        if old is None:
            return f"nothing listens on {addr} in the old file"
        if new is not None and whence(old) != whence(new):
            return "who the client is, is told in another way (proxy_protocol, real_ip)"
        return ""

    def _judge(self, pair: _Pair, line: Line, packed: bytes, *, connected: bool) -> _Found:
        """Return what becomes of a line in both, or why that can't be told."""
        if pair.unknown:
            return pair.unknown
        scenes = pair.scenes
        if scenes is not None and (self._no_firewall or not connected) and line.reason != "body_too_large":
            if scenes.plain:
                return scenes.found
            was, will = self._old.judge(scenes.old, line, packed), self._new.judge(scenes.new, line, packed)
            if was is scenes.old.then and will is scenes.new.then:
                return scenes.found
        old_scene, was, old_asks = _way(self._old, pair.old, line, packed, connected=connected)
        new_scene, will, new_asks = _way(self._new, pair.new, line, packed, connected=connected)
        if was is NOBODY_KNOWS or will is NOBODY_KNOWS:
            return "it depends on the client's country, and geoip_db is not read"
        if old_asks != new_asks:
            return _condition(old_asks, new_asks)
        if old_scene is None or new_scene is None:
            return was, will
        if line.reason == "body_too_large" and old_scene.limit is not None:
            limit = new_scene.limit
            was = old_scene.limit[1]
            if limit is not None and limit[0].size > old_scene.limit[0].size:
                return "the log does not have the length of bodies that were refused"
            will = will if limit is None else limit[1]
        if not will.refuses and (unseen := self._differs(old_scene, new_scene)):
            return _not_in_log(unseen)
        return was, will

    def _differs(self, old: Scene, new: Scene) -> str:
        """Return what that no log can tell of is not the same in both, "" for nothing."""
        key = (id(old), id(new))
        if key not in self._unseen:
            names = (name for name, value in old.unseen.items() if value != new.unseen[name])
            self._unseen[key] = next(names, "")
        return self._unseen[key]

    def _count(self, line: Line, old: Outcome, new: Outcome) -> None:
        said = self._said.get((id(old), id(new)))
        if said is None:
            said = self._said[id(old), id(new)] = self._say(old, new)
        was, will = said.was, said.will
        if said.answered and line.status:
            was = str(line.status)
            if was == will:
                will += f" ({_difference(old, new)})"
        method = line.method or ("TLS" if line.sni or line.mode == "l4" else "TCP")
        key = (method, line.authority or line.sni, _cut(line.path, said.depth), was, will, said.by)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= GROUPS:
                key = (method, _OTHERS, "", was, will, said.by)
                group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = Group(
                    method=key[0], host=key[1], path=key[2], old=key[3], new=key[4], by=key[5]
                )
        group.count += 1
        if said.limited:
            group.largest = max(group.largest, line.received)

    def _say(self, old: Outcome, new: Outcome) -> _Said:
        was, will = old.what, new.what
        led, leads = (what.startswith("backend ") for what in (was, will))
        if was == will:
            will += f" ({_difference(old, new)})"
        elif led and leads:
            will = will.removeprefix("backend ")
        limited = any(each.key.endswith("max_body") for each in (old, new))
        depth = max(1, _depth(old), _depth(new))
        return _Said(old, new, was, will, self._words(old, new), depth, limited, led and not leads)

    def _words(self, old: Outcome, new: Outcome) -> str:
        """Return what decides, with its line: what refuses now, what has refused before, or where it leads to now."""
        if old.refuses and not new.refuses and not (new.by is not None and _is_new(self._old, new)):
            return f"{_named(old)} ({self._old.place(old)}) no more" if old.by else "nothing listened there"
        if new.by is None or (new.refuses and new.by[0] == "listener" and old.by is not None):
            return f"{_named(old)} ({self._old.place(old)}) is gone" if old.by else _named(new)
        return f"{_named(new)} ({self._new.place(new)})"


def _is_new(side: Side, outcome: Outcome) -> bool:
    """Tell whether a configuration does not have the resource that decides in the other one."""
    return outcome.by not in side.tables.origins


def _named(outcome: Outcome) -> str:
    """Return what decides in words: ``case /api/*``, ``max_body``."""
    if outcome.by is None:
        return "nothing listens there"
    kind, *parts = outcome.by
    if kind in ("route", "case") and (
        outcome.key in ("backend", "redirect", "respond", "") or outcome.refuses is False
    ):
        return f"{kind} {parts[-1]}"
    if kind == "setting":
        return parts[-1]
    if kind == "rule":
        return " ".join(parts)
    return outcome.key.removeprefix("filter.") or f"{kind} {parts[-1]}"


def _difference(old: Outcome, new: Outcome) -> str:
    if old.what.startswith("backend "):
        return "by l4" if ("l4",) in (old.more[:1], new.more[:1]) and old.more[:1] != new.more[:1] else "rewritten"
    targets = [each.more[0] for each in (old, new) if each.more]
    return f"to {targets[-1]}" if new.key == "redirect" else "another text"


def _depth(outcome: Outcome) -> int:
    """Return how many segments of a path tell groups apart: those of the case that decides."""
    return parse(outcome.by[-1]).path.count("/") if outcome.by is not None and outcome.by[0] == "case" else 0


def _cut(path: str, depth: int) -> str:
    """Return the beginning of a path."""
    segments = path.split("/", depth + 1)
    if len(segments) <= depth + 1:
        return path
    return "/".join(segments[: depth + 1]) + "/..."


def _not_in_log(what: str) -> str:
    return f"{what} are others, and the log does not have what they ask for"


def _way(
    side: Side, spot: Spot, line: Line, packed: bytes, *, connected: bool
) -> tuple[Scene | None, Outcome, tuple[str, ...]]:
    """Return what holds for a line in a configuration, what becomes of it, and the cases whose conditions no log can tell of."""
    refused = side.refuses(packed) if connected and side.has_firewall else None
    if refused is None:
        refused = spot.ends
    if refused is not None:
        return None, refused, ()
    case: Case | None = None
    asks: tuple[str, ...] = ()
    if spot.cases is not None:
        case, refused, asks = chosen(spot.cases, spot, line)
        if refused is not None:
            return None, refused, asks
    scene = spot.scenes.get("" if case is None else case.match) or side.scene(spot, case)
    return scene, scene.then if scene.plain else side.judge(scene, line, packed), asks


def _condition(old: Sequence[str], new: Sequence[str]) -> str:
    """Return which case asks for what the log does not have."""
    name = min(set(old) ^ set(new))
    match = parse(name)
    wanted = [f"header {header}" for header, _ in match.headers] + (["the query"] if match.query else [])
    return f"case {name} needs {', '.join(wanted)}, which the log does not have"
