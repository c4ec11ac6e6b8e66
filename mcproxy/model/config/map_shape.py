"""A table of texts by their names: headers with their values, statuses with the files of their pages."""

# ruff: noqa: D102 - `Shape` says what the methods of all shapes do

from typing import Any

import msgspec

from mcproxy.model.config.problems import KeyPath
from mcproxy.model.config.shapes import INVALID, TextShape, Walk, toml_type
from mcproxy.model.values.quoting import quote


class MapShape(msgspec.Struct, frozen=True):
    """Pairs of names and texts in the order of the names; with ``several`` a name may have an array of texts."""

    name: TextShape
    value: TextShape
    several: bool
    blank: tuple[()] = ()

    def convert(self, raw: object, path: KeyPath, walk: Walk) -> Any:
        if not isinstance(raw, dict):
            walk.report(path, f'must be a table, {{ name = "text" }}, not {toml_type(raw)}')
            return INVALID
        pairs: list[tuple[str, str]] = []
        spelled: dict[str, str] = {}
        for key, item in raw.items():
            name = self.name.convert(key, (*path, key), walk)
            values = self._values(item, (*path, key), walk)
            if name is INVALID:
                continue
            if name in spelled:
                walk.report((*path, key), f"is the same as {quote(spelled[name])}, which is there already")
                continue
            spelled[name] = key
            pairs += ((name, value) for value in values)
        return tuple(sorted(pairs, key=lambda pair: pair[0]))

    def _values(self, raw: object, path: KeyPath, walk: Walk) -> list[str]:
        if self.several and isinstance(raw, list):
            values = [self.value.convert(item, (*path, index), walk) for index, item in enumerate(raw)]
        else:
            values = [self.value.convert(raw, path, walk)]
        return [value for value in values if value is not INVALID]

    def written(self, value: Any, folder: str) -> dict[str, Any]:
        found: dict[str, list[str]] = {}
        for name, text in value:
            found.setdefault(name, []).append(self.value.written(text, folder))
        return {name: texts[0] if len(texts) == 1 else texts for name, texts in found.items()}
