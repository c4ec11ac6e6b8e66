"""Values for the keys of the config file, found by their declaration: for tests of all keys, those to come too."""

from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from mcproxy.model.state.route_options import RouteOptions

# One of them is good for any key that is a string in the file.
_TEXTS = ("x.example", "/x", "10.0.0.0/8", "192.0.2.7", "[::1]:7", "7s", "0640", "SE", "x")


@cache  # asked for by every example of a property
def another_value(table: type[msgspec.Struct], key: str) -> Any:
    """Return a value that a key can have and that is not its default, as the config's structs hold it."""
    (field,) = (each for each in msgspec.structs.fields(table) if each.encode_name == key)
    return _another(inspect.type_info(field.type), field.default)


def other_options() -> dict[str, Any]:
    """Return a value that is not its default for each key of a route's options, as the State has it: one that can be served."""
    options = {key: another_value(RouteOptions, key) for key in RouteOptions.__struct_fields__}
    return {**options, "mode": "l7"}


def route_options() -> st.SearchStrategy[dict[str, Any]]:
    """Draw some of a route's options, each with its default or another value."""
    return options(RouteOptions)


@cache
def options(table: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw some of the options of a table whose keys all have defaults, each with its default or another value."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(table)}
    return st.fixed_dictionaries(
        {},
        optional={key: st.sampled_from([default, another_value(table, key)]) for key, default in defaults.items()},
    )


def _another(info: inspect.Type, default: Any) -> Any:
    extra: dict[str, Any] = {}
    schema: dict[str, Any] = {}
    while isinstance(info, inspect.Metadata):
        extra, schema, info = extra | (info.extra or {}), schema | (info.extra_json_schema or {}), info.type
    if "names" in extra:
        return (tuple(_another(inspect.type_info(extra[part]), None) for part in ("names", "values")),)
    if "parse" in extra:
        texts = ("/x",) if "locate" in extra else (*schema.get("examples", ()), *_TEXTS)  # as they are held: absolute
        return next(value for text in texts for value in _parsed(extra, text, default))
    match info:
        case inspect.BoolType():
            return not default
        case inspect.IntType(le=int(most)):
            return default - 1 if default == most else default + 1
        case inspect.LiteralType(values=values):
            return next(value for value in values if value != default)
        case inspect.VarTupleType(item_type=item):
            return (_another(item, None),)
        case inspect.UnionType(types=(inspect.StructType(cls=table), inspect.NoneType())):
            fields = msgspec.structs.fields(table)
            return table(**{field.name: another_value(table, field.encode_name) for field in fields})
    raise TypeError(f"no value for {info!r}")


def _parsed(extra: dict[str, Any], text: str, default: Any) -> list[Any]:
    """Return the value that a text means, or nothing if it means none, or the default."""
    try:
        value = extra["parse"](text)
    except ValueError:
        return []
    return [] if value == default else [value]
