"""Resources in the words of the config file, as JSON can hold them: ``"backend": "[::1]:443"``, durations as ``"5s"``.

Everything goes by the structs of `config.schema`, so a new key of the file needs nothing here. Paths are absolute, or relative to a folder that is given.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import msgspec

from mcproxy.model.config import schema as config
from mcproxy.model.config import upstreams, walker
from mcproxy.model.config.checking.declarations import SETTINGS
from mcproxy.model.state import kinds
from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.kinds import KIND, KindName, Resource, ResourceKey, parts_of
from mcproxy.model.state.state import Rule
from mcproxy.model.values.quoting import quote


class UnknownWordError(ValueError):
    """A kind or key that this version does not know: a newer mcproxy has written it."""


class _Nothing(msgspec.Struct, frozen=True):
    """The table of what is an item of a list in the file, and has no keys of its own."""


_TABLES: dict[KindName, type[msgspec.Struct]] = {
    "listener": config.Listener,
    "route": config.Route,
    "policy": config.L7Policy,
    "rule": _Nothing,
    "upstream": upstreams.Upstream,
    "endpoint": upstreams.UpstreamEndpoint,
    "filter": FilterOptions,
    "case": config.Case,
}


def fields_of(resource: Resource) -> dict[str, Any]:
    """Return all keys of any resource but a setting as the file would have them, children and parents aside."""
    if isinstance(resource, Rule):
        return {"type": resource.type, "value": resource.value}
    for kind in _TABLES:
        if isinstance(resource, KIND[kind].type):
            values = ((key, getattr(resource, key), write) for key, write in _writers(kind))
            return {key: value if write is None else write(value, "") for key, value, write in values}
    raise TypeError(f"the file has no table for {resource!r}")


def to_json(kind: KindName, key: ResourceKey, value: Resource, folder: str = "") -> Any:
    """Return a resource without the parts of its key, and without what has its default; a setting's value as it is.

    Paths are relative to ``folder`` if they are below it.
    """
    if kind == "setting":
        known = SETTINGS.get(str(key))
        if known is not None:
            return walker.written(*known, value, folder)
        return list(value) if isinstance(value, tuple) else value
    return dict(_differing(kind, value, folder))


def from_json(kind: KindName, key: ResourceKey, raw: Any, folder: str = "") -> Resource:
    """Return the resource that `to_json` gave ``raw`` for; the value of a setting that no longer exists as it stands.

    Relative paths start from ``folder``, and stay relative where that is "".

    Raises:
        UnknownWordError: ``raw`` has a key that this version does not know.
        ValueError: ``raw`` is nothing that the file could say of the resource.
    """
    if kind == "setting":
        return _setting(str(key), raw, folder)
    fields = msgspec.convert(raw, dict[str, Any])
    unknown = fields.keys() - _keys(kind)
    if unknown:
        raise UnknownWordError(f"a {kind} has no key {quote(min(unknown))}")
    values: dict[str, Any] = dict(zip(KIND[kind].key, parts_of(key), strict=True))
    for name, item in fields.items():
        value = walker.read(_TABLES[kind], name, item, folder)
        if value is not msgspec.UNSET:
            values |= msgspec.structs.asdict(value) if name == "backend" else {name: value}
    try:
        # checks the parts of the key that are one of a few words
        resource: Resource = msgspec.convert(values, KIND[kind].type)
    except msgspec.ValidationError as error:
        raise ValueError(f"the {kinds.name_of(kind, key)}: {error}") from error
    return resource


def key_from(kind: str, parts: Sequence[Any]) -> tuple[KindName, ResourceKey]:
    """Return a kind and a key of it, from the key's parts.

    Raises:
        UnknownWordError: this version has no such kind.
        ValueError: the parts are no key of the kind.
    """
    known = next((each.name for each in kinds.KINDS if each.name == kind), None)
    if known is None:
        raise UnknownWordError(f"there is no kind {quote(kind)}")
    if not all(isinstance(part, str) for part in parts):
        raise ValueError(f"{parts!r} is no key of a {kind}")
    return known, kinds.key_from(known, tuple(parts))


@cache
def _keys(kind: KindName, *, with_key: bool = False) -> tuple[str, ...]:
    """Return the keys of a kind's table that the State's struct has too; the others are children."""
    fields, resource = walker.keys(_TABLES[kind]), KIND[kind]
    there = (key for key in fields if key == "backend" or key in resource.type.__struct_fields__)
    return tuple(key for key in there if with_key or key not in resource.key)


@cache
def _writers(kind: KindName) -> tuple[tuple[str, Callable[[Any, str], Any] | None], ...]:
    table = _TABLES[kind]
    return tuple((key, walker.writer(table, key)) for key in _keys(kind, with_key=True))


def _differing(kind: KindName, resource: Resource, folder: str) -> Iterator[tuple[str, Any]]:
    for key, default in _defaults(kind):
        value = getattr(resource, key)
        if value != default:
            yield key, walker.written(_TABLES[kind], key, value, folder)


@cache
def _defaults(kind: KindName) -> tuple[tuple[str, Any], ...]:
    return tuple((key, walker.default(_TABLES[kind], key, "")) for key in _keys(kind))


def _setting(path: str, raw: Any, folder: str) -> Resource:
    known = SETTINGS.get(path)
    if known is not None:
        value: Resource = walker.read(*known, raw, folder)
        return value
    if isinstance(raw, list):
        return msgspec.convert(raw, tuple[str, ...])
    return msgspec.convert(raw, bool | int | float | str)
