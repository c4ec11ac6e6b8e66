"""Resources as the tables of the config file have them, and what makes one table of another."""

from collections.abc import Iterator
from typing import Any

import msgspec

from mcproxy.control.export.toml_edit import Splices
from mcproxy.model.config import schema as config
from mcproxy.model.config import upstreams, walker
from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath
from mcproxy.model.state.state import Case, Policy, UpstreamEndpoint

CHILDREN = ("routes", "l7_policies", "endpoints", "cases")
"""The keys of tables that hold other resources."""
_WHOLE = ("tls_cert", "tls_key", "curves", "names")
"""The keys of arrays that are written anew: in which each item has its place, or for which a string may stand."""


def endpoint_table(endpoint: UpstreamEndpoint) -> upstreams.UpstreamEndpoint:
    """Return an endpoint as the file would have it."""
    fields = msgspec.structs.asdict(endpoint)
    del fields["upstream"]
    return upstreams.UpstreamEndpoint(**fields)


def policy_table(policy: Policy) -> config.L7Policy:
    """Return a policy as the file would have it."""
    return config.L7Policy(type=policy.type, value=policy.value)


def case_table(case: Case) -> config.Case:
    """Return a case as the file would have it, its conditions within its match."""
    return config.Case(**{name: getattr(case, name) for name in config.Case.__struct_fields__ if hasattr(case, name)})


def amend(edits: Splices, read: Document, path: KeyPath, new: msgspec.Struct) -> None:
    """Give a table of a document the values of another one, but those in which they are alike; children aside."""
    old = at(read.config, path)
    for field in msgspec.structs.fields(type(new)):
        was, now = getattr(old, field.name), getattr(new, field.name)
        if field.name in CHILDREN or was == now:
            continue
        place = (*path, field.encode_name)
        if now is None:
            edits.removed.add(place)
        elif is_table(now) and type(now) is type(was):
            amend(edits, read, place, now)
        elif isinstance(now, tuple) and isinstance(was, tuple) and field.name not in _WHOLE and read.names(*place):
            _change_items(edits, read, place, was, now)
        else:
            _assign(edits, read, place, type(new), now)


def is_table(value: object) -> bool:
    """Tell whether a value is a table of the file, none that a string stands for."""
    return isinstance(value, msgspec.Struct) and value.__struct_config__.forbid_unknown_fields


def at(value: Any, path: KeyPath) -> Any:
    """Return what is at a path of a config."""
    for part in path:
        value = value[part] if isinstance(part, int) or isinstance(value, dict) else getattr(value, str(part))
    return value


def _assign(edits: Splices, read: Document, path: KeyPath, table: type[msgspec.Struct], value: object) -> None:
    edits.assigned[path] = walker.written(table, str(path[-1]), value, read.folder)


def _change_items(edits: Splices, read: Document, path: KeyPath, was: tuple[Any, ...], now: tuple[Any, ...]) -> None:
    """Change an array, or a table of texts by names, that the document has."""
    if any(isinstance(item, tuple) for item in (*was, *now)):
        _change_texts(edits, read, path, was, now)
        return
    table = type(at(read.config, path[:-1]))
    edits.removed.update((*path, index) for index, item in enumerate(was) if item not in now)
    added = [item for item in now if item not in was]
    if added:
        edits.appended[path] += walker.written(table, str(path[-1]), added, read.folder)


def _change_texts(edits: Splices, read: Document, path: KeyPath, was: tuple[Any, ...], now: tuple[Any, ...]) -> None:
    """Change a table of texts by names, which the document may spell otherwise."""
    table = type(at(read.config, path[:-1]))
    key = str(path[-1])
    before, after = (walker.written(table, key, pairs, read.folder) for pairs in (was, now))
    spelled = {_name(table, key, name): name for name in _names_at(read, path)}
    for name in before.keys() | after.keys():
        place = (*path, spelled.get(name, name))
        if name not in after:
            edits.removed.add(place)
        elif before.get(name) != after[name]:
            edits.assigned[place] = after[name]


def _names_at(read: Document, path: KeyPath) -> Iterator[str]:
    for place in read.positions:
        if place[:-1] == path and isinstance(place[-1], str):
            yield place[-1]


def _name(table: type[msgspec.Struct], key: str, name: str) -> str:
    """Return the one form of a name, as the file may spell it."""
    ((found, _),) = walker.read(table, key, {name: "x"}, "/")
    return str(found)
