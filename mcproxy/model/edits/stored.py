"""Resources in the words of the config file, as JSON can hold them: ``"backend": "[::1]:443"``, durations as ``"5s"``.

Everything goes by the structs of `config.schema`, so a new key of the file needs nothing here. Paths are absolute.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import msgspec

from mcproxy.model.config import checks, walker
from mcproxy.model.config import schema as config
from mcproxy.model.state.diff import Kind, Resource, ResourceKey
from mcproxy.model.state.state import Listener, Policy, Route, Rule
from mcproxy.model.values.quoting import quote


class UnknownWordError(ValueError):
    """A kind or key that this version does not know: a newer mcproxy has written it."""


class _Nothing(msgspec.Struct, frozen=True):
    """The table of what is an item of a list in the file, and has no keys of its own."""


class _Form(msgspec.Struct, frozen=True):
    """How the resources of a kind are written.

    Attributes:
        resource: their struct in the State.
        key: the fields of it that are the parts of a resource's key, in order.
        table: their table in the file.
    """

    resource: type[Any]
    key: tuple[str, ...]
    table: type[msgspec.Struct]


_FORMS: dict[Kind, _Form] = {
    "listener": _Form(Listener, ("addr",), config.Listener),
    "route": _Form(Route, ("listener", "hostname"), config.Route),
    "policy": _Form(Policy, ("listener", "hostname", "type", "value"), config.L7Policy),
    "rule": _Form(Rule, ("type", "value"), _Nothing),
}


def fields_of(resource: Resource) -> dict[str, Any]:
    """Return all keys of a listener, route, policy or rule as the file would have them, children and parents aside."""
    if isinstance(resource, Rule):
        return {"type": resource.type, "value": resource.value}
    for form in _FORMS.values():
        if isinstance(resource, form.resource):
            return {key: walker.written(form.table, key, _get(resource, key), "") for key in _keys(form, with_key=True)}
    raise TypeError(f"the file has no table for {resource!r}")


def to_json(kind: Kind, key: ResourceKey, value: Resource) -> Any:
    """Return a resource without the parts of its key, and without what has its default; a setting's value as it is."""
    if kind == "setting":
        known = _settings().get(str(key))
        if known is not None:
            return walker.written(*known, value, "")
        return list(value) if isinstance(value, tuple) else value
    return dict(_differing(_FORMS[kind], value))


def from_json(kind: Kind, key: ResourceKey, raw: Any) -> Resource:
    """Return the resource that `to_json` gave ``raw`` for; the value of a setting that no longer exists as it stands.

    Raises:
        UnknownWordError: ``raw`` has a key that this version does not know.
        ValueError: ``raw`` is nothing that the file could say of the resource.
    """
    if kind == "setting":
        return _setting(str(key), raw)
    form = _FORMS[kind]
    fields = msgspec.convert(raw, dict[str, Any])
    unknown = sorted(fields.keys() - set(_keys(form)))
    if unknown:
        raise UnknownWordError(f"a {kind} has no key {quote(unknown[0])}")
    values: dict[str, Any] = dict(zip(form.key, parts_of(key), strict=True))
    for name, item in fields.items():
        value = walker.read(form.table, name, item, "")
        values |= {"endpoints": (value,)} if name == "backend" else {name: value}
    try:
        # checks the parts of the key that are one of a few words
        resource: Resource = msgspec.convert(values, form.resource)
    except msgspec.ValidationError as error:
        raise ValueError(f"the {kind} {' '.join(parts_of(key))}: {error}") from error
    return resource


def parts_of(key: ResourceKey) -> tuple[str, ...]:
    """Return the parts of a resource's key."""
    return (key,) if isinstance(key, str) else key


def key_from(kind: str, parts: Sequence[Any]) -> tuple[Kind, ResourceKey]:
    """Return a kind and a key of it, from the key's parts.

    Raises:
        UnknownWordError: this version has no such kind.
        ValueError: the parts are no key of the kind.
    """
    try:
        known = msgspec.convert(kind, Kind)
    except msgspec.ValidationError:
        raise UnknownWordError(f"there is no kind {quote(kind)}") from None
    size = 1 if known == "setting" else len(_FORMS[known].key)
    if len(parts) != size or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"{parts!r} is no key of a {kind}")
    return known, parts[0] if size == 1 else tuple(parts)


@cache
def _keys(form: _Form, *, with_key: bool = False) -> tuple[str, ...]:
    """Return the keys of the form's table that the State's struct has too; the others are children."""
    there = (key for key in form.table.__struct_fields__ if key == "backend" or key in form.resource.__struct_fields__)
    return tuple(key for key in there if with_key or key not in form.key)


def _get(resource: Any, key: str) -> Any:
    if key != "backend":
        return getattr(resource, key)
    (endpoint,) = resource.endpoints
    return endpoint


def _differing(form: _Form, resource: Resource) -> Iterator[tuple[str, Any]]:
    for key in _keys(form):
        value = _get(resource, key)
        if value != walker.default(form.table, key, ""):
            yield key, walker.written(form.table, key, value, "")


def _setting(path: str, raw: Any) -> Resource:
    known = _settings().get(path)
    if known is not None:
        value: Resource = walker.read(*known, raw, "")
        return value
    if isinstance(raw, list):
        return msgspec.convert(raw, tuple[str, ...])
    return msgspec.convert(raw, bool | int | float | str)


@cache
def _settings() -> dict[str, tuple[type[msgspec.Struct], str]]:
    """Return struct and key of each setting, by its path."""
    tables = {table: type(getattr(config.Config(), table)) for table in checks.SETTING_TABLES}
    return {f"{table}.{key}": (struct, key) for table, struct in tables.items() for key in struct.__struct_fields__}
