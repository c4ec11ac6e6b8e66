"""Runtime edits: what someone changed without the file, and what the file said about it at the time.

An edit concerns one resource of the State, by its kind and key, and carries the resource as it should be, or nothing
(a tombstone: the resource should not be). Beside it stands its *base*, the hash of the file's declaration when the
edit was made: as long as the file says the same, the edit stands. What becomes of edits is decided in `overlay`.
"""

import hashlib
from functools import cache
from typing import Any, get_type_hints

import msgspec

from mcproxy.model.state import kinds
from mcproxy.model.state.kinds import KIND, KindName, Resource, ResourceKey
from mcproxy.model.state.state import State
from mcproxy.model.values.endpoint import Endpoint


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
        parent: `parent_hash` of what the resource belongs to, when that was last seen.
        orphaned: the parent is gone; what returns in its place must be as ``parent`` says.
    """

    kind: KindName
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
    kind: KindName,
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
        author: of the request.
        reason: why.
        expires: when the edit ends by itself, in seconds since the epoch.
        request_id: of the request.

    Raises:
        ValueError: the edit means nothing: a resource under another key, a setting that does not exist or is removed,
            the removal of what the file does not declare (revert the edit that added it), a parent that is not there.
    """
    declared = kinds.table_of(file, kind).get(key)
    if declared is None and (value is None or kind == "setting"):
        raise ValueError(f"the file declares no {kind} {key!r}")
    if value is None and kind == "setting":
        raise ValueError(f"the setting {key!r} can't be removed, only set")
    if value is not None and kind != "setting" and kinds.key_of(value) != key:
        raise ValueError(f"{value!r} does not belong under the key {key!r}")
    parent = parent_hash(file, live, kind, key)
    if parent is None and KIND[kind].parent is not None:
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


def base_hash(resource: Resource | None) -> str | None:
    """Return a hash of a resource's own keys, not its children; None for None.

    Keys that have their default don't count, so that a version of mcproxy with more keys gives the same hash.
    """
    if resource is None:
        return None
    own = _without_defaults(resource) if isinstance(resource, msgspec.Struct) else resource
    return hashlib.sha256(msgspec.json.encode(own, order="sorted")).hexdigest()


def parent_hash(file: State, live: State, kind: KindName, key: ResourceKey) -> str | None:
    """Return the hash of a resource's parent; None when it has none, or the parent is not there.

    The file's declaration counts, where there is one: an edit of a listener does not change what its routes stand on.
    """
    parent = kinds.parent_of(kind, key)
    if parent is None:
        return None
    present = kinds.table_of(live, parent[0]).get(parent[1])
    return None if present is None else base_hash(kinds.table_of(file, parent[0]).get(parent[1], present))


def encode(edit: Edit) -> bytes:
    """Return the edit as JSON."""
    return msgspec.json.encode(edit)


def decode(data: bytes | str) -> Edit:
    """Return the edit in ``data``; raises `msgspec.DecodeError` or `msgspec.ValidationError` if it is none."""
    raw = msgspec.json.decode(data, type=dict[str, Any])
    kind = KIND[msgspec.convert(raw.get("kind"), KindName)]
    types: dict[str, Any] = _types() | {"key": kind.key_type, "value": kind.type | None}
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


def _without_defaults(struct: msgspec.Struct) -> dict[str, object]:
    pairs = ((name, getattr(struct, name), default) for name, default in _fields(type(struct)))
    return {name: _plain(value) for name, value, default in pairs if value != default}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Endpoint):
        return str(value)
    return _without_defaults(value) if isinstance(value, msgspec.Struct) else value
