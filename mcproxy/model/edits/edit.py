"""Runtime edits: what someone changed without the file, and what the file said about it at the time.

An edit concerns one resource of the State, by its kind and key, and carries the resource as it should be, or nothing
(a tombstone: the resource should not be). Beside it stands its *base*, the hash of the file's declaration when the
edit was made: as long as the file says the same, the edit stands. What becomes of edits is decided in `overlay`.
"""

import hashlib
from functools import cache
from typing import Any, get_type_hints

import msgspec

from mcproxy.model.state.diff import Kind, Resource, ResourceKey
from mcproxy.model.state.state import (
    Listener,
    ListenerKey,
    Policy,
    PolicyKey,
    Route,
    RouteKey,
    Rule,
    RuleKey,
    SettingValue,
    State,
)
from mcproxy.model.values.endpoint import Endpoint

TABLES: dict[Kind, str] = {
    "setting": "settings",
    "rule": "rules",
    "listener": "listeners",
    "route": "routes",
    "policy": "policies",
}
"""The field of the State that holds the resources of a kind."""

_VALUES: dict[Kind, Any] = {
    "setting": SettingValue,
    "rule": Rule,
    "listener": Listener,
    "route": Route,
    "policy": Policy,
}

_KEYS: dict[Kind, Any] = {
    "setting": str,
    "rule": RuleKey,
    "listener": ListenerKey,
    "route": RouteKey,
    "policy": PolicyKey,
}


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """One runtime edit.

    Attributes:
        kind: of the resource.
        key: the resource's key in the State.
        value: the resource as it should be; None for a tombstone.
        base: `base_hash` of the file's declaration when the edit was made; None when the file had none.
        author: who made it; "" when nobody said.
        reason: why; "" when nobody said.
        created: when, in seconds since the epoch.
        expires: when it ends by itself, in seconds since the epoch; None for never.
        request_id: the request that made it; "" when it had no id.
        id: given by the store, one more with every edit; 0 before.
        parent: `parent_hash` of the listener of a route, or the route of a policy, when it was last seen.
        orphaned: the parent is gone; what returns in its place must be as ``parent`` says.
    """

    kind: Kind
    key: ResourceKey
    value: Resource | None
    base: str | None = None
    author: str = ""
    reason: str = ""
    created: float
    expires: float | None = None
    request_id: str = ""
    id: int = 0
    parent: str | None = None
    orphaned: bool = False

    @property
    def tombstone(self) -> bool:
        """Whether the edit says that the resource should not be."""
        return self.value is None


def make_edit(
    file: State,
    live: State,
    kind: Kind,
    key: ResourceKey,
    value: Resource | None,
    *,
    created: float,
    author: str = "",
    reason: str = "",
    expires: float | None = None,
    request_id: str = "",
) -> Edit:
    """Return a new edit with what file and live state say about its resource now.

    Args:
        file: what the file says.
        live: what is in effect, edits included.
        kind: of the resource.
        key: the resource's key in the State.
        value: the resource as it should be, in canonical form; None to remove it.
        created: now, in seconds since the epoch.
        author: who asks.
        reason: why.
        expires: when the edit ends by itself, in seconds since the epoch.
        request_id: of the request.

    Raises:
        ValueError: the edit means nothing: a resource under another key, a setting that does not exist or is removed,
            the removal of what the file does not declare (revert the edit that added it), a parent that is not there.
    """
    declared = getattr(file, TABLES[kind]).get(key)
    if declared is None and (value is None or kind == "setting"):
        raise ValueError(f"the file declares no {kind} {key!r}")
    if value is None and kind == "setting":
        raise ValueError(f"the setting {key!r} can't be removed, only set")
    if value is not None and kind != "setting" and key_of(value) != key:
        raise ValueError(f"{value!r} does not belong under the key {key!r}")
    parent = parent_hash(file, live, kind, key)
    if parent is None and kind in ("route", "policy"):
        raise ValueError(f"the {kind} {key!r} has no parent")
    return Edit(
        kind=kind,
        key=key,
        value=value,
        base=base_hash(declared),
        author=author,
        reason=reason,
        created=created,
        expires=expires,
        request_id=request_id,
        parent=parent,
    )


def key_of(resource: Resource) -> ResourceKey:
    """Return the key of a resource; raises TypeError for a setting's value, which does not know its own."""
    match resource:
        case Listener(addr=addr):
            return addr
        case Route(listener=listener, hostname=hostname):
            return listener, hostname
        case Policy():
            return resource.listener, resource.hostname, resource.type, resource.value
        case Rule():
            return resource.type, resource.value
    raise TypeError(f"the value of a setting has no key: {resource!r}")


def parent_key(kind: Kind, key: ResourceKey) -> tuple[Kind, ResourceKey] | None:
    """Return kind and key of what a resource belongs to; None for one that stands alone."""
    if kind == "route":
        return "listener", key[0]
    if kind == "policy":
        return "route", (key[0], key[1])
    return None


def base_hash(resource: Resource | None) -> str | None:
    """Return a hash of a resource's own keys, not its children; None for None.

    Keys that have their default don't count, so that a version of mcproxy with more keys gives the same hash.
    """
    if resource is None:
        return None
    own: object = resource
    if isinstance(resource, msgspec.Struct):
        pairs = ((name, getattr(resource, name), default) for name, default in _fields(type(resource)))
        own = {name: _plain(value) for name, value, default in pairs if value != default}
    return hashlib.sha256(msgspec.json.encode(own, order="sorted")).hexdigest()


def parent_hash(file: State, live: State, kind: Kind, key: ResourceKey) -> str | None:
    """Return the hash of a resource's parent; None when it has none, or the parent is not there.

    The file's declaration counts, where there is one: an edit of a listener does not change what its routes stand on.
    """
    parent = parent_key(kind, key)
    if parent is None:
        return None
    field = TABLES[parent[0]]
    present = getattr(live, field).get(parent[1])
    return None if present is None else base_hash(getattr(file, field).get(parent[1], present))


def encode(edit: Edit) -> bytes:
    """Return the edit as JSON."""
    return msgspec.json.encode(edit)


def decode(data: bytes | str) -> Edit:
    """Return the edit in ``data``; raises `msgspec.DecodeError` or `msgspec.ValidationError` if it is none."""
    raw = msgspec.json.decode(data, type=dict[str, Any])
    kind = msgspec.convert(raw.get("kind"), Kind)
    types: dict[str, Any] = _types() | {"key": _KEYS[kind], "value": _VALUES[kind] | None}
    missing = {"kind", "key", "value", "created"} - raw.keys()
    if missing:
        raise msgspec.ValidationError(f"the edit lacks {', '.join(sorted(missing))}")
    return Edit(**{name: msgspec.convert(raw[name], types[name]) for name in types if name in raw})


@cache
def _types() -> dict[str, Any]:
    return get_type_hints(Edit)


@cache
def _fields(struct: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in msgspec.structs.fields(struct))


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Endpoint) else value
