"""Turns parsed TOML into the structs of `config`, leaf by leaf, and collects every problem on the way; and values back.

msgspec's own conversion stops at the first problem. The walker goes by the same type information
(`msgspec.inspect`), compiled once into a tree of small shapes.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from mcproxy.model.config.map_shape import MapShape
from mcproxy.model.config.mistakes.unknown_keys import Home
from mcproxy.model.config.problems import KeyPath, key_name
from mcproxy.model.config.shapes import (
    ArrayShape,
    BooleanShape,
    ChoiceShape,
    Field,
    IntegerShape,
    NamedShape,
    OptionalShape,
    PlainShape,
    Shape,
    TableShape,
    TextOrArrayShape,
    TextOrTableShape,
    TextShape,
    Walk,
)
from mcproxy.model.values.quoting import quote

T = TypeVar("T", bound=msgspec.Struct)


def convert(
    table: type[T],
    raw: Mapping[str, object],
    folder: str,
    report: Callable[[KeyPath, str], None],
    unknown: Callable[[KeyPath, str, KeyPath], None] | None = None,
) -> T:
    """Return ``raw`` as an instance of ``table``, reporting every problem.

    What did not convert has its default in the result, or the empty value of its type where the key is required; no
    valid file yields that. So the result of a wrong file can still be checked for what else is wrong with it.

    Args:
        table: the root of the structs, `config.Config`.
        raw: the document as tomllib gives it.
        folder: absolute; relative paths become absolute by it.
        report: called with key path and message once for each problem.
        unknown: called with each unknown key instead of ``report``, and with the path of the key that is probably meant:
            of one part for a key that belongs into some other table, empty if nothing is known.
    """
    walk = Walk(folder, report, unknown or (lambda path, message, _: report(path, message)), _homes(table))
    value: T = _table(table).convert(raw, (), walk)
    return value


def default(table: type[msgspec.Struct], key: str, folder: str) -> Any:
    """Return the default of a key that is not required; a path becomes absolute by ``folder``."""
    field = _table(table).fields[key]
    locate = field.shape.locate if isinstance(field.shape, TextShape) else None
    return locate(folder, field.default) if locate else field.default


def written(table: type[msgspec.Struct], key: str, value: Any, folder: str) -> Any:
    """Return a key's value as TOML in a file of ``folder`` would have it: the inverse of its conversion."""
    return _table(table).fields[key].shape.written(value, folder)


def writer(table: type[msgspec.Struct], key: str) -> Callable[[Any, str], Any] | None:
    """Return what `written` does with values of a key, for many of them; None where they stay as they are."""
    shape = _table(table).fields[key].shape
    return None if isinstance(shape, PlainShape) else shape.written


def keys(table: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the keys of a table, in the order in which they are written."""
    return tuple(_table(table).fields)


def read(table: type[msgspec.Struct], key: str, raw: object, folder: str) -> Any:
    """Return a key's value from what `written` gives for it; raises ValueError if it can't be that."""
    problems: list[str] = []

    def report(path: KeyPath, message: str) -> None:
        problems.append(f"{key_name(path)}: {message}")

    value = (
        _table(table)
        .fields[key]
        .shape.convert(raw, (key,), Walk(folder, report, lambda path, message, _: report(path, message), {}))
    )
    if problems:
        raise ValueError("; ".join(problems))
    return value


@cache
def _table(table: type[msgspec.Struct]) -> TableShape:
    declared = msgspec.inspect.type_info(table).fields  # type: ignore[attr-defined]  # a Struct's type info has fields
    fields = {
        field.encode_name: Field(
            _shape(field.type),
            field.required,
            _default(field),
            field.name,
        )
        for field in sorted(declared, key=lambda field: not (field.required or _leads(field.type)))
    }
    required = frozenset(key for key, field in fields.items() if field.required)
    renamed = any(key != field.attribute for key, field in fields.items())
    return TableShape(table, fields, required, renamed=renamed)


def _leads(info: inspect.Type) -> bool:
    """Tell whether a key stands among the required ones though it may be left out."""
    return isinstance(info, inspect.Metadata) and "leading" in (info.extra or {})


def _default(field: inspect.Field) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    # msgspec.inspect tells of a default that is UNSET as if there were none
    return msgspec.UNSET if field.default is msgspec.NODEFAULT and not field.required else field.default


def _shape(info: inspect.Type) -> Shape:
    extra: dict[str, Any] = {}
    schema: dict[str, Any] = {}
    while isinstance(info, inspect.Metadata):  # one within another where a key may be UNSET
        extra, schema, info = extra | (info.extra or {}), schema | (info.extra_json_schema or {}), info.type
    if "names" in extra:
        name, value = (_shape(inspect.type_info(extra[part])) for part in ("names", "values"))
        if isinstance(name, TextShape) and isinstance(value, TextShape):
            return MapShape(name, value, extra["several"])
    if "parse" in extra:
        example = f" such as {quote(schema['examples'][0])}" if "examples" in schema else ""
        blank = info.cls() if isinstance(info, inspect.StructType) else ""
        text = TextShape(extra["parse"], extra["render"], extra.get("locate"), extra.get("relate"), blank, example)
        if "table" in extra:
            return TextOrTableShape(text, _table(extra["table"]))
        if "items" not in extra:
            return text
        return TextOrArrayShape(
            text, ArrayShape(_shape(inspect.type_info(extra["items"]))), extra["join"], extra["split"]
        )
    match info:
        case inspect.BoolType():
            return BooleanShape()
        case inspect.IntType(ge=int(least), le=int(most)):
            return IntegerShape(least, most, below=extra.get("below", ""))
        case inspect.LiteralType(values=values):
            return ChoiceShape(tuple(map(str, values)))
        case inspect.VarTupleType(item_type=item):
            return ArrayShape(_shape(item))
        case inspect.StructType(cls=table):
            return msgspec.structs.replace(_table(table), short=extra.get("short", ""))
        case inspect.UnionType(types=(inspect.StructType(cls=table), inspect.NoneType())):
            return OptionalShape(_table(table))
        case inspect.DictType(key_type=key, value_type=inspect.StructType(cls=table)):
            name = _shape(key)
            if isinstance(name, TextShape):
                return NamedShape(name, _table(table))
    raise TypeError(f"no way to convert {info!r}; give it a parse function")


@cache
def _homes(root: type[msgspec.Struct]) -> Mapping[str, Sequence[Home]]:
    """Return for each key of the file where it belongs, for those who wrote it into another table."""
    homes: dict[str, list[Home]] = {}

    def visit(shape: Shape, home: Home) -> None:
        if isinstance(shape, ArrayShape):
            visit(shape.item, Home(home.path, is_array=True))
        elif isinstance(shape, NamedShape):
            visit(shape.item, Home((*home.path, "NAME"), is_array=False))
        elif isinstance(shape, OptionalShape):
            visit(shape.item, home)
        elif isinstance(shape, TextOrTableShape):
            visit(shape.table, home)
        elif isinstance(shape, TableShape):
            for key, field in shape.fields.items():
                homes.setdefault(key, []).append(home)
                visit(field.shape, Home((*home.path, key), is_array=False))

    visit(_table(root), Home((), is_array=False))
    return homes
