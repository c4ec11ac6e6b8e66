"""Turns parsed TOML into the structs of `config`, leaf by leaf, and collects every problem on the way; and values back.

msgspec's own conversion stops at the first problem. The walker goes by the same type information
(`msgspec.inspect`), compiled once into a tree of small shapes.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import inspect

from mcproxy.model.config.mistakes import characters, unknown_keys, variables
from mcproxy.model.config.mistakes.unknown_keys import Home
from mcproxy.model.config.problems import KeyPath, key_name
from mcproxy.model.values.quoting import quote

T = TypeVar("T", bound=msgspec.Struct)

_BOOLEANS = {
    "true": "true",
    "yes": "true",
    "on": "true",
    "1": "true",
    "false": "false",
    "no": "false",
    "off": "false",
    "0": "false",
}
_INVALID: Final = object()  # what a conversion returns after it has reported a problem


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
    walk = _Walk(folder, report, unknown or (lambda path, message, _: report(path, message)), _homes(table))
    value: T = _table(table).convert(raw, (), walk)
    return value


def default(table: type[msgspec.Struct], key: str, folder: str) -> Any:
    """Return the default of a key that is not required; a path becomes absolute by ``folder``."""
    field = _table(table).fields[key]
    locate = field.shape.locate if isinstance(field.shape, _Text) else None
    return locate(folder, field.default) if locate else field.default


def written(table: type[msgspec.Struct], key: str, value: Any, folder: str) -> Any:
    """Return a key's value as TOML in a file of ``folder`` would have it: the inverse of its conversion."""
    return _table(table).fields[key].shape.written(value, folder)


def writer(table: type[msgspec.Struct], key: str) -> Callable[[Any, str], Any] | None:
    """Return what `written` does with values of a key, for many of them; None where they stay as they are."""
    shape = _table(table).fields[key].shape
    return None if isinstance(shape, _Plain) else shape.written


def read(table: type[msgspec.Struct], key: str, raw: object, folder: str) -> Any:
    """Return a key's value from what `written` gives for it; raises ValueError if it can't be that."""
    problems: list[str] = []

    def report(path: KeyPath, message: str) -> None:
        problems.append(f"{key_name(path)}: {message}")

    value = (
        _table(table)
        .fields[key]
        .shape.convert(raw, (key,), _Walk(folder, report, lambda path, message, _: report(path, message), {}))
    )
    if problems:
        raise ValueError("; ".join(problems))
    return value


class _Walk(msgspec.Struct, frozen=True):
    """What a conversion needs beside the value: the file's folder, the reports, and the tables where each key belongs."""

    folder: str
    report: Callable[[KeyPath, str], None]
    unknown: Callable[[KeyPath, str, KeyPath], None]
    homes: Mapping[str, Sequence[Home]]


class _Shape(Protocol):
    """How one type is converted; ``blank`` is the type's empty value."""

    @property
    def blank(self) -> Any: ...

    def convert(self, raw: object, path: KeyPath, walk: _Walk) -> Any:
        """Return the value of ``raw``; when there is none, report why and return the invalid mark."""

    def written(self, value: Any, folder: str) -> Any:
        """Return a value as TOML in a file of ``folder`` would have it."""


class _Text(msgspec.Struct, frozen=True):
    """A string in the file that may mean something else; ``parse`` says what, or raises ValueError."""

    parse: Callable[[str], Any]
    render: Callable[[Any], str]
    locate: Callable[[str, str], str] | None
    relate: Callable[[str, str], str] | None
    blank: Any
    example: str

    def convert(self, raw: object, path: KeyPath, walk: _Walk) -> Any:
        if not isinstance(raw, str):
            meant = str(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) and self.example else ""
            bare = f"; write {quote(meant)}" if meant and self._takes(meant) else _single(raw)
            walk.report(path, f"must be a string{self.example}, not {_toml_type(raw)}{bare}")
            return _INVALID
        try:
            value = self.parse(raw)
        except ValueError as error:
            walk.report(path, variables.refusal(raw) or f"{error}{self._cleaned(raw)}")
            return _INVALID
        return self.locate(walk.folder, value) if self.locate else value

    def _cleaned(self, raw: str) -> str:
        """Return a hint at characters in a wrong value that can't be seen, or look like others."""
        text = characters.cleaned(raw)
        meant = f"; did you mean {quote(text)}?" if text not in ("", raw) and self._takes(text) else ""
        strange = characters.STRANGE.search(raw)
        return f"{meant}; there is {characters.describe(strange[0])} in it" if strange else meant

    def _takes(self, text: str) -> bool:
        try:
            self.parse(text)
        except ValueError:
            return False
        return self.locate is None

    def written(self, value: Any, folder: str) -> str:
        text = self.render(value)
        return self.relate(folder, text) if self.relate else text


class _Plain(msgspec.Struct, frozen=True):
    """A value that the file has as it is."""

    def written(self, value: Any, folder: str) -> Any:  # noqa: ARG002 - it says nothing of files
        return value


class _Integer(_Plain, frozen=True):
    least: int
    most: int
    blank: int = 0

    def convert(self, raw: object, path: KeyPath, walk: _Walk) -> Any:
        if not isinstance(raw, int) or isinstance(raw, bool):
            bare = "; write it without quotes" if isinstance(raw, str) and raw.isascii() and raw.isdecimal() else ""
            bare = bare or _variable(raw)
            walk.report(path, f"must be an integer, not {_toml_type(raw)}{bare}")
        elif raw < self.least:
            walk.report(path, f"must be at least {self.least}")
        elif raw > self.most:
            walk.report(path, f"must be at most {self.most}")
        else:
            return raw
        return _INVALID


class _Boolean(_Plain, frozen=True):
    blank: bool = False

    def convert(self, raw: object, path: KeyPath, walk: _Walk) -> Any:
        if isinstance(raw, bool):
            return raw
        meant = _BOOLEANS.get(raw.strip().lower(), "") if isinstance(raw, str) else ""
        bare = f"; write {meant}, without quotes" if meant else _variable(raw)
        walk.report(path, f"must be true or false, not {_toml_type(raw)}{bare}")
        return _INVALID


class _Choice(_Plain, frozen=True):
    values: tuple[str, ...]
    blank: str = ""

    def convert(self, raw: object, path: KeyPath, walk: _Walk) -> Any:
        if isinstance(raw, str) and raw in self.values:
            return raw
        choices = f"{', '.join(map(quote, self.values[:-1]))} or {quote(self.values[-1])}"
        near = unknown_keys.choice(raw, self.values) or _variable(raw) if isinstance(raw, str) else ""
        walk.report(path, f"must be {choices}, not {_toml_type(raw)}{near}")
        return _INVALID


class _Array(msgspec.Struct, frozen=True):
    item: _Shape
    blank: tuple[Any, ...] = ()

    def convert(self, raw: object, path: KeyPath, walk: _Walk) -> Any:
        if not isinstance(raw, list):
            walk.report(path, f"must be {self._wanted(raw, path)}")
            return _INVALID
        values = (self.item.convert(item, (*path, index), walk) for index, item in enumerate(raw))
        return tuple(self.item.blank if value is _INVALID else value for value in values)

    def _wanted(self, raw: object, path: KeyPath) -> str:
        """Return what should be there instead of ``raw``, which is no array."""
        if not isinstance(self.item, _Table):
            example = f"; write [{quote(raw)}]" if isinstance(raw, str) else ""
            return f"an array, [...], not {_toml_type(raw)}{example}"
        name = ".".join(part for part in path if isinstance(part, str))
        example = ""
        if isinstance(raw, dict):
            below = next((key for key, value in raw.items() if isinstance(value, list)), "")
            is_early = bool(below) and all(isinstance(value, list) for value in raw.values())
            example = f"; write [[{name}]], in double brackets"
            example += f", in front of the [[{name}.{below}]] that belong to it" if is_early else ""
        return f"an array of tables, [[...]], not {_toml_type(raw)}{example}"

    def written(self, value: Any, folder: str) -> list[Any]:
        return [self.item.written(item, folder) for item in value]


class _Field(msgspec.Struct, frozen=True):
    shape: _Shape
    required: bool
    default: Any


class _Table(msgspec.Struct, frozen=True):
    cls: type[msgspec.Struct]
    fields: dict[str, _Field]
    required: frozenset[str]

    @property
    def blank(self) -> Any:
        return self.cls(**{key: self.fields[key].shape.blank for key in self.required})

    def convert(self, raw: object, path: KeyPath, walk: _Walk) -> Any:
        if not isinstance(raw, dict):
            is_tables = isinstance(raw, list) and bool(raw) and all(isinstance(item, dict) for item in raw)
            example = f"; write [{key_name(path)}], in single brackets" if is_tables else ""
            walk.report(path, f"must be a table, not {_toml_type(raw)}{example}")
            return _INVALID
        values: dict[str, Any] = {}
        meant: set[str] = set()
        for key, item in raw.items():
            field = self.fields.get(key)
            if field is None:
                meant.add(self._unknown(key, path, walk))
                continue
            value = field.shape.convert(item, (*path, key), walk)
            if value is not _INVALID:
                values[key] = value
        for key in sorted(self.required - values.keys()):
            if key not in raw and key not in meant:
                walk.report(path, f"the key {quote(key)} is missing")
            values[key] = self.fields[key].shape.blank
        return self.cls(**values)

    def _unknown(self, key: str, path: KeyPath, walk: _Walk) -> str:
        """Report an unknown key; return the key of this table that is meant, "" if none is known to be."""
        place = Home(tuple(part for part in path if isinstance(part, str)), bool(path) and isinstance(path[-1], int))
        names = [base.__name__ for base in self.cls.__mro__]
        hint = unknown_keys.hint(key, names, place, tuple(self.fields), walk.homes)
        meant = () if hint.elsewhere or not hint.meant else path
        walk.unknown((*path, key), f"unknown key{hint.text}", (*meant, hint.meant) if hint.meant else ())
        return "" if hint.elsewhere else hint.meant

    def written(self, value: Any, folder: str) -> dict[str, Any]:
        fields = ((key, field, getattr(value, key)) for key, field in self.fields.items())
        return {key: field.shape.written(item, folder) for key, field, item in fields if item != field.default}


@cache
def _table(table: type[msgspec.Struct]) -> _Table:
    declared = msgspec.inspect.type_info(table).fields  # type: ignore[attr-defined]  # a Struct's type info has fields
    fields = {
        # msgspec.inspect tells of a default that is UNSET as if there were none
        field.encode_name: _Field(
            _shape(field.type),
            field.required,
            msgspec.UNSET if field.default is msgspec.NODEFAULT and not field.required else field.default,
        )
        for field in sorted(declared, key=lambda field: not field.required)
    }
    return _Table(table, fields, frozenset(key for key, field in fields.items() if field.required))


def _shape(info: inspect.Type) -> _Shape:
    extra: dict[str, Any] = {}
    schema: dict[str, Any] = {}
    if isinstance(info, inspect.Metadata):
        extra, schema, info = info.extra or {}, info.extra_json_schema or {}, info.type
    if "parse" in extra:
        example = f" such as {quote(schema['examples'][0])}" if "examples" in schema else ""
        blank = info.cls() if isinstance(info, inspect.StructType) else ""
        return _Text(extra["parse"], extra["render"], extra.get("locate"), extra.get("relate"), blank, example)
    match info:
        case inspect.BoolType():
            return _Boolean()
        case inspect.IntType(ge=int(least), le=int(most)):
            return _Integer(least, most)
        case inspect.LiteralType(values=values):
            return _Choice(tuple(map(str, values)))
        case inspect.VarTupleType(item_type=item):
            return _Array(_shape(item))
        case inspect.StructType(cls=table):
            return _table(table)
    raise TypeError(f"no way to convert {info!r}; give it a parse function")


@cache
def _homes(root: type[msgspec.Struct]) -> Mapping[str, Sequence[Home]]:
    """Return for each key of the file where it belongs, for those who wrote it into another table."""
    homes: dict[str, list[Home]] = {}

    def visit(shape: _Shape, home: Home) -> None:
        if isinstance(shape, _Array):
            visit(shape.item, Home(home.path, is_array=True))
        elif isinstance(shape, _Table):
            for key, field in shape.fields.items():
                homes.setdefault(key, []).append(home)
                visit(field.shape, Home((*home.path, key), is_array=False))

    visit(_table(root), Home((), is_array=False))
    return homes


def _variable(raw: object) -> str:
    """Return a hint for who has written a variable."""
    return "; there are no variables here" if isinstance(raw, str) and variables.refusal(raw) else ""


def _single(raw: object) -> str:
    """Return a hint for who has written an array where one value is wanted."""
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
        return ""
    return f"; write {quote(raw[0])}" if len(raw) == 1 else "; it takes one alone"


def _toml_type(raw: object) -> str:
    match raw:
        case bool():
            return f"the boolean {'true' if raw else 'false'}"
        case int():
            return "an integer"
        case float():
            return "a float"
        case str():
            return quote(raw)
        case list():
            return "an array"
        case dict():
            return "a table"
        case dt.datetime() | dt.date() | dt.time():
            return "a date or time"
    return type(raw).__name__
