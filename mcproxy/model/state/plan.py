"""The plan: what a reload is going to do, as an object that can be counted, printed and sent.

It adds to the plain changes what an operator wants to know: where each comes from and how many connections it touches.
"""

import posixpath
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any

import msgspec

from mcproxy.model.state import kinds
from mcproxy.model.state.diff import Change, diff
from mcproxy.model.state.state import (
    Case,
    EndpointKey,
    Filter,
    Listener,
    Route,
    RouteKey,
    State,
    Upstream,
    UpstreamEndpoint,
)
from mcproxy.model.state.tls_options import Who, terms
from mcproxy.model.state.upstream_options import Check
from mcproxy.model.values import durations
from mcproxy.model.values.endpoint import Endpoint, RouteBackend
from mcproxy.model.values.http.amounts import Rate, render_size
from mcproxy.model.values.origins import Key, Origin
from mcproxy.model.values.quoting import quote

_DRAINED = "drained, as other clients may come"
_MARKS = {"add": "+", "change": "~", "remove": "-"}
_DONE = {"add": "added", "change": "changed", "remove": "removed"}


class Operation(msgspec.Struct, frozen=True):
    """One step of a plan.

    Attributes:
        change: what happens.
        origin: where the new value is declared, or the runtime edit behind it, also behind a removal; None for a default,
            and for what the file declares no more.
        connections: live connections of the resource that is changed or removed.
        drained: how many of these end because it is changed which clients may come.
    """

    change: Change
    origin: Origin | None
    connections: int
    drained: int = 0

    @property
    def is_default(self) -> bool:
        """Whether it is the default of a setting that nobody names: so all of them at the first start, and new ones of a new version."""
        return self.change.kind == "setting" and self.change.action == "add" and self.origin is None


class Plan(msgspec.Struct, frozen=True, dict=True):
    """All steps from the live State to the desired one, in the order in which they apply; false when there are none."""

    operations: tuple[Operation, ...]

    def __bool__(self) -> bool:
        """Tell whether there is anything to do."""
        return bool(self.operations)

    def told(self) -> list[Operation]:
        """Return the steps that say something: all but the defaults of settings."""
        return [operation for operation in self.operations if not operation.is_default]

    def summary(self) -> str:
        """Return one line such as ``2 added, 1 removed``, or ``no changes``."""
        counts = dict.fromkeys(_DONE, 0)
        for operation in self.told():
            counts[operation.change.action] += 1
        return ", ".join(f"{count} {_DONE[action]}" for action, count in counts.items() if count) or "no changes"

    def lines(self) -> tuple[str, ...]:
        """Return a readable diff, one line per operation, without line ends."""
        return self._lines

    def told_lines(self) -> tuple[str, ...]:
        """Return those of the steps that say something."""
        lines = zip(self._lines, self.operations, strict=True)
        return tuple(line for line, operation in lines if not operation.is_default)

    @cached_property
    def _lines(self) -> tuple[str, ...]:  # the log has them, the history, and whoever asks for the last plan
        return tuple(_line(operation) for operation in self.operations)

    def builtins(self) -> dict[str, Any]:
        """Return the plan as plain dicts, lists and values, for JSON."""
        return {
            "summary": self.summary(),
            "operations": [
                {
                    "action": operation.change.action,
                    "kind": operation.change.kind,
                    "key": list(kinds.parts_of(operation.change.key)),
                    "old": msgspec.to_builtins(operation.change.old),
                    "new": msgspec.to_builtins(operation.change.new),
                    "origin": msgspec.to_builtins(operation.origin),
                    "connections": operation.connections,
                    "drained": operation.drained,
                }
                for operation in self.operations
            ],
        }


def make_plan(
    live: State,
    desired: State,
    origins: Mapping[Key, Origin],
    connections: Mapping[RouteKey, int] | None = None,
    endpoints: Mapping[EndpointKey, int] | None = None,
) -> Plan:
    """Return the plan from ``live`` to ``desired``.

    Args:
        live: what runs.
        desired: what should run.
        origins: where the resources of ``desired`` are declared, and the runtime edits that removed others.
        connections: number of live connections by route; routes that are not named have none.
        endpoints: the same by endpoint of an upstream; connections or requests that are under way.
    """
    by_route = connections or {}
    by_listener: dict[str, int] = {}
    for (addr, _), count in by_route.items():
        by_listener[addr] = by_listener.get(addr, 0) + count
    by_endpoint = endpoints or {}
    by_upstream: dict[str, int] = {}
    for (name, _), count in by_endpoint.items():
        by_upstream[name] = by_upstream.get(name, 0) + count
    live_connections: Mapping[str, Mapping[Any, int]] = {
        "listener": by_listener,
        "route": by_route,
        "upstream": by_upstream,
        "endpoint": by_endpoint,
    }

    def origin_of(change: Change) -> Origin | None:
        origin = origins.get(kinds.origin_key(change.kind, change.key))
        return origin if origin is not None and (change.new is not None or not origin.line) else None

    def touched(change: Change) -> int:
        for kind, key in kinds.lineage(change.kind, change.key):
            if kind in live_connections:
                return live_connections[kind].get(key, 0)
        return 0

    drained = _drained(live, desired, by_route)
    return Plan(
        tuple(
            Operation(
                change=change,
                origin=origin_of(change),
                connections=touched(change) if change.action != "add" else 0,
                drained=drained.get((change.kind, change.key), 0) if change.action == "change" else 0,
            )
            for change in diff(live, desired)
        )
    )


def _line(operation: Operation) -> str:
    change = operation.change
    notes: list[str] = []
    if operation.origin is not None:
        origin = operation.origin
        notes.append(f"{posixpath.basename(origin.file)}:{origin.line}" if origin.line else origin.file)
    if operation.connections:
        is_upstreams = change.kind in ("upstream", "endpoint")  # what is counted there are requests, too
        notes.append(f"{operation.connections} open" if is_upstreams else _live(operation.connections))
        if operation.drained:
            notes.append(
                f"{operation.drained} of them {_DRAINED}" if operation.drained < operation.connections else _DRAINED
            )
        if isinstance(change.old, Route) and change.new is None:
            notes.append(f"on_remove: {change.old.on_remove}")
    tail = f"  ({', '.join(notes)})" if notes else ""
    return f"{_MARKS[change.action]} {named(change)}{_details(change)}{tail}"


def _live(connections: int) -> str:
    return f"{connections} live connection{'s' if connections > 1 else ''}"


def _drained(
    live: State, desired: State, connections: Mapping[RouteKey, int]
) -> Mapping[tuple[str, kinds.ResourceKey], int]:
    """Return how many connections end because other clients may come, by kind and key of routes and listeners."""
    found: dict[tuple[str, kinds.ResourceKey], int] = {}
    for key, count in connections.items():
        old, new = live.routes.get(key), desired.routes.get(key)
        if not count or old is None or new is None or _who(live, old) == _who(desired, new):
            continue
        for which in (("route", key), ("listener", key[0])):
            found[which] = found.get(which, 0) + count
    return found


def drained_by(state: State, path: str, connections: Mapping[RouteKey, int]) -> str:
    """Return in words how many connections end because clients are judged by another content of a file; "" for none."""
    count = 0
    for key, number in connections.items():
        route = state.routes.get(key)
        if route is not None and path in _who(state, route)[1:3]:
            count += number
    return f"{_live(count)}, {_DRAINED}" if count else ""


def _who(state: State, route: Route) -> Who:
    """Return which clients may come to a route, by their certificates."""
    listener = state.listeners.get(route.listener)
    asks = listener is not None and listener.protocol == "tls" and route.mode == "l7"
    return terms(*((listener.tls, route.tls) if asks and listener is not None else ())).who


def differing(old: msgspec.Struct, new: msgspec.Struct) -> list[str]:
    """Return the keys in which two resources of a kind differ; ``backend`` where a route or case is led to or from an upstream."""
    values = zip(new.__struct_fields__, msgspec.structs.astuple(old), msgspec.structs.astuple(new), strict=True)
    names = [name for name, was, now in values if was != now]
    if isinstance(new, Route | Case) and "upstream" in names:
        return ["backend", *(name for name in names if name not in ("endpoints", "upstream"))]
    return names


def named(change: Change) -> str:
    """Return kind and key of a change's resource for people, a free text in quotes."""
    *where, last = kinds.parts_of(change.key)
    return " ".join((change.kind, *where, quote(last) if kinds.KIND[change.kind].free_text else last))


def _details(change: Change) -> str:
    old, new = change.old, change.new
    if isinstance(new, msgspec.Struct) and isinstance(old, msgspec.Struct):
        pairs = ((name, getattr(old, name), getattr(new, name)) for name in differing(old, new))
        return "  " + ", ".join(f"{name}: {_said(name, was)} -> {_said(name, now)}" for name, was, now in pairs)
    if change.kind == "setting":
        return f"  {said(change)}"
    resource = new if old is None else old
    target = ""
    if isinstance(resource, Route | Case) and resource.backend != RouteBackend():
        target = f" -> {_show(resource.backend)}"
    return target + (_options(resource) if change.action == "add" else "")


def said(change: Change) -> str:
    """Return the value of a setting, or both of one that changes: ``2 -> 4``."""
    old, new = change.old, change.new
    return f"{_show(old)} -> {_show(new)}" if change.action == "change" else _show(new if old is None else old)


def _options(resource: object) -> str:
    """Return what a new listener, route, upstream, endpoint, filter or case says beyond its defaults."""
    if not isinstance(resource, Listener | Route | Upstream | UpstreamEndpoint | Filter | Case):
        return ""
    defaults = _defaults(type(resource))
    options = ", ".join(
        f"{name}: {_said(name, value)}"
        for name, default in defaults
        if (value := getattr(resource, name)) != default and name not in ("upstream", "endpoints")
    )
    return f"  {options}" if options else ""


@cache
def _defaults(struct: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in msgspec.structs.fields(struct) if not field.required)


def _said(key: str, value: object) -> str:
    """Return a key's value for people; a number of bytes is the only one whose type does not tell how it is written."""
    return render_size(value) if key == "max_body" and isinstance(value, int) else _show(value)


def _show(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():  # everything that is a float is a duration
            return durations.render(value)
        case msgspec.UnsetType():
            return quote("")
        case tuple() if value and isinstance(value[0], tuple):
            return f"{{ {', '.join(f'{name}: {_show(text)}' for name, text in value)} }}"
        case tuple():
            return "[]" if not value else ", ".join(_show(item) for item in value)
        case None:
            return "none"
        case RouteBackend():
            return _show(value.endpoints or value.upstream)
        case Endpoint():
            return str(value) if str(value).isprintable() else quote(str(value))
        case Rate():
            return _show(str(value))
        case msgspec.Struct():
            inner = ", ".join(_inner(value))
            return f"{{ {inner} }}" if inner else "{}"
        case str() if not value or not value.isprintable() or " " in value:
            return quote(value)
    return str(value)


def _inner(table: msgspec.Struct) -> Iterator[str]:
    """Yield what a table says beyond its defaults, and always the type of a check: which one it is."""
    for field in msgspec.structs.fields(table):
        value = getattr(table, field.name)
        if field.required or value != field.default or (field.name == "type" and isinstance(table, Check)):
            yield f"{field.encode_name}: {_said(field.name, value)}"
