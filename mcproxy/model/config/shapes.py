"""How values of each type are read from TOML and written again, as a tree of small shapes; what `walker` compiles types into."""

# ruff: noqa: D102 - `Shape` says what the methods of all shapes do

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from mcproxy.model.config.mistakes import characters, unknown_keys, variables
from mcproxy.model.config.mistakes.unknown_keys import Home
from mcproxy.model.config.problems import KeyPath, key_name
from mcproxy.model.values.quoting import quote

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
INVALID: Final = object()  # what a conversion returns after it has reported a problem


class Walk(msgspec.Struct, frozen=True):
    """What a conversion needs beside the value: the file's folder, the reports, and the tables where each key belongs."""

    folder: str
    report: Callable[[KeyPath, str], None]
    unknown: Callable[[KeyPath, str, KeyPath], None]
    homes: Mapping[str, Sequence[Home]]


class Shape(Protocol):
    """How one type is converted; ``blank`` is the type's empty value."""

    @property
    def blank(self) -> Any:
        """Return the empty value."""

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        """Return the value of ``raw``; when there is none, report why and return the invalid mark."""

    def written(self, value: Any, folder: str) -> Any:
        """Return a value as TOML in a file of ``folder`` would have it."""


class TextShape(msgspec.Struct, frozen=True):
    """A string in the file that may mean something else; ``parse`` says what, or raises ValueError."""

    parse: Callable[[str], Any]
    render: Callable[[Any], str]
    locate: Callable[[str, str], str] | None
    relate: Callable[[str, str], str] | None
    blank: Any
    example: str

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        if not isinstance(raw, str):
            meant = str(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) and self.example else ""
            bare = f"; write {quote(meant)}" if meant and self._takes(meant) else _single(raw)
            walk.report(path, f"must be a string{self.example}, not {toml_type(raw)}{bare}")
            return INVALID
        try:
            value = self.parse(raw)
        except ValueError as error:
            walk.report(path, variables.refusal(raw) or f"{error}{self._cleaned(raw)}")
            return INVALID
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


class PlainShape(msgspec.Struct, frozen=True):
    """A value that the file has as it is."""

    def written(self, value: Any, folder: str) -> Any:  # noqa: ARG002 - it says nothing of files
        return value


class IntegerShape(PlainShape, frozen=True):
    """An integer within limits; ``below`` is told of one that is too small."""

    least: int
    most: int
    blank: int = 0
    below: str = ""

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        if not isinstance(raw, int) or isinstance(raw, bool):
            bare = "; write it without quotes" if isinstance(raw, str) and raw.isascii() and raw.isdecimal() else ""
            bare = bare or _variable(raw)
            walk.report(path, f"must be an integer, not {toml_type(raw)}{bare}")
        elif raw < self.least:
            walk.report(path, f"must be at least {self.least}{self.below}")
        elif raw > self.most:
            walk.report(path, f"must be at most {self.most}")
        else:
            return raw
        return INVALID


class BooleanShape(PlainShape, frozen=True):
    """A boolean."""

    blank: bool = False

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        if isinstance(raw, bool):
            return raw
        meant = _BOOLEANS.get(raw.strip().lower(), "") if isinstance(raw, str) else ""
        bare = f"; write {meant}, without quotes" if meant else _variable(raw)
        walk.report(path, f"must be true or false, not {toml_type(raw)}{bare}")
        return INVALID


class ChoiceShape(PlainShape, frozen=True):
    """One of a few words."""

    values: tuple[str, ...]
    blank: str = ""

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        if isinstance(raw, str) and raw in self.values:
            return raw
        choices = f"{', '.join(map(quote, self.values[:-1]))} or {quote(self.values[-1])}"
        if isinstance(raw, str):
            near = unknown_keys.choice(raw, self.values) or _variable(raw)
        else:
            near = f"; write {quote(str(raw))}" if str(raw) in self.values else ""
        walk.report(path, f"must be {choices}, not {toml_type(raw)}{near}")
        return INVALID


class ArrayShape(msgspec.Struct, frozen=True):
    """An array of items of one shape."""

    item: Shape
    blank: tuple[Any, ...] = ()

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        if not isinstance(raw, list):
            walk.report(path, f"must be {self._wanted(raw, path)}")
            return INVALID
        values = (self.item.convert(item, (*path, index), walk) for index, item in enumerate(raw))
        return tuple(self.item.blank if value is INVALID else value for value in values)

    def _wanted(self, raw: object, path: KeyPath) -> str:
        """Return what should be there instead of ``raw``, which is no array."""
        if not isinstance(self.item, TableShape) or self.item.short:
            example = f"; write [{quote(raw)}]" if isinstance(raw, str) else ""
            return f"an array, [...], not {toml_type(raw)}{example}"
        name = ".".join(part for part in path if isinstance(part, str))
        example = ""
        if isinstance(raw, dict):
            below = next((key for key, value in raw.items() if isinstance(value, list)), "")
            is_early = bool(below) and all(isinstance(value, list) for value in raw.values())
            example = f"; write [[{name}]], in double brackets"
            example += f", in front of the [[{name}.{below}]] that belong to it" if is_early else ""
        return f"an array of tables, [[...]], not {toml_type(raw)}{example}"

    def written(self, value: Any, folder: str) -> list[Any]:
        return [self.item.written(item, folder) for item in value]


class Field(msgspec.Struct, frozen=True):
    """A key of a table; ``attribute`` is what the struct has for it, under another name where the key is a word of Python."""

    shape: Shape
    required: bool
    default: Any
    attribute: str


class TableShape(msgspec.Struct, frozen=True):
    """A table.

    Attributes:
        cls: its struct.
        fields: its keys.
        required: those that have to be there.
        short: the key that a string in its place stands for, "" where there can be none.
        renamed: whether the struct has another name for some key.
    """

    cls: type[msgspec.Struct]
    fields: dict[str, Field]
    required: frozenset[str]
    short: str = ""
    renamed: bool = False

    @property
    def blank(self) -> Any:
        return self.cls(**self._as_attributes({key: self.fields[key].shape.blank for key in self.required}))

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        if isinstance(raw, str) and self.short:
            value = self.fields[self.short].shape.convert(raw, path, walk)
            return value if value is INVALID else self.cls(**{self.short: value})
        if not isinstance(raw, dict):
            is_tables = isinstance(raw, list) and bool(raw) and all(isinstance(item, dict) for item in raw)
            example = f"; write [{key_name(path)}], in single brackets" if is_tables else ""
            wanted = "a string or a table" if self.short else "a table"
            walk.report(path, f"must be {wanted}, not {toml_type(raw)}{example}")
            return INVALID
        values: dict[str, Any] = {}
        meant: set[str] = set()
        for key, item in raw.items():
            field = self.fields.get(key)
            if field is None:
                meant.add(self._unknown(key, path, walk))
                continue
            value = field.shape.convert(item, (*path, key), walk)
            if value is not INVALID:
                values[key] = value
        if self.required.issubset(values):  # as nearly always
            return self.cls(**(self._as_attributes(values) if self.renamed else values))
        for key in sorted(self.required - values.keys()):
            if key not in raw and key not in meant:
                walk.report(path, f"the key {quote(key)} is missing")
            values[key] = self.fields[key].shape.blank
        return self.cls(**(self._as_attributes(values) if self.renamed else values))

    def _as_attributes(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {self.fields[key].attribute: value for key, value in values.items()}

    def _unknown(self, key: str, path: KeyPath, walk: Walk) -> str:
        """Report an unknown key; return the key of this table that is meant, "" if none is known to be."""
        place = Home(tuple(part for part in path if isinstance(part, str)), bool(path) and isinstance(path[-1], int))
        names = [base.__name__ for base in self.cls.__mro__]
        hint = unknown_keys.hint(key, names, place, tuple(self.fields), walk.homes)
        meant = () if hint.elsewhere or not hint.meant else path
        walk.unknown((*path, key), f"unknown key{hint.text}", (*meant, hint.meant) if hint.meant else ())
        return "" if hint.elsewhere else hint.meant

    def written(self, value: Any, folder: str) -> Any:
        fields = ((key, field, getattr(value, field.attribute)) for key, field in self.fields.items())
        table = {key: field.shape.written(item, folder) for key, field, item in fields if item != field.default}
        return table[self.short] if self.short and table.keys() == {self.short} else table


class OptionalShape(msgspec.Struct, frozen=True):
    """A table that may be left out; in JSON it may be null, which is the same."""

    item: TableShape
    blank: None = None

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        return None if raw is None else self.item.convert(raw, path, walk)

    def written(self, value: Any, folder: str) -> Any:
        return None if value is None else self.item.written(value, folder)


class NamedShape(msgspec.Struct, frozen=True):
    """Tables by their names."""

    name: TextShape
    item: TableShape

    @property
    def blank(self) -> dict[str, Any]:
        return {}

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        if not isinstance(raw, dict):
            walk.report(path, f"must be tables with names, [{key_name(path)}.NAME], not {toml_type(raw)}")
            return INVALID
        tables: dict[str, Any] = {}
        for key, item in raw.items():
            name = self.name.convert(key, (*path, key), walk)
            table = self.item.convert(item, (*path, key), walk)
            if name is not INVALID:
                tables[name] = self.item.blank if table is INVALID else table
        return tables

    def written(self, value: Any, folder: str) -> dict[str, Any]:
        return {name: self.item.written(item, folder) for name, item in value.items()}


class TextOrTableShape(msgspec.Struct, frozen=True):
    """A string, or a table that is something else than any string."""

    text: TextShape
    table: TableShape

    @property
    def blank(self) -> Any:
        return self.text.blank

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        if isinstance(raw, dict):
            return self.table.convert(raw, path, walk)
        if isinstance(raw, str):
            return self.text.convert(raw, path, walk)
        walk.report(path, f"must be a string or a table, not {toml_type(raw)}")
        return INVALID

    def written(self, value: Any, folder: str) -> Any:
        return (self.text if isinstance(value, str) else self.table).written(value, folder)


class TextOrArrayShape(msgspec.Struct, frozen=True):
    """A string, or an array of strings: ``join`` makes the value of the items, ``split`` gives those that need an array."""

    text: TextShape
    array: ArrayShape
    join: Callable[[tuple[Any, ...]], Any]
    split: Callable[[Any], tuple[Any, ...]]

    @property
    def blank(self) -> Any:
        return self.text.blank

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        if not isinstance(raw, list):
            return self.text.convert(raw, path, walk)
        try:
            return self.join(self.array.convert(raw, path, walk))
        except ValueError as error:
            walk.report(path, str(error))
            return INVALID

    def written(self, value: Any, folder: str) -> Any:
        items = self.split(value)
        return self.array.written(items, folder) if items or value == () else self.text.written(value, folder)


def _variable(raw: object) -> str:
    """Return a hint for who has written a variable."""
    return "; there are no variables here" if isinstance(raw, str) and variables.refusal(raw) else ""


def _single(raw: object) -> str:
    """Return a hint for who has written an array where one value is wanted, or an endpoint of an upstream."""
    if isinstance(raw, dict) and "address" in raw:
        return "; name the upstream: endpoints with options belong into [upstreams.NAME], which backend then names"
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
        return ""
    return f"; write {quote(raw[0])}" if len(raw) == 1 else "; it takes one alone"


def toml_type(raw: object) -> str:
    """Return what a wrong value is, for people."""
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
