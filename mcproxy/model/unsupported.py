"""The keys that are part of the file format but have no effect yet.

Setting one of them to anything but its default is an error, so that nothing a user relies on is silently ignored.
Whoever builds the effect deletes the line.
"""

from collections.abc import Iterator

import msgspec

from mcproxy.model import walker
from mcproxy.model.document import Document
from mcproxy.model.problems import KeyPath, Problem, quote

NOT_YET: dict[str, tuple[str, ...]] = {
    # key path ("[]" = each item, "*" = each key): the values that have their effect already; the default always has
    "metrics.*": (),
}


def check(document: Document) -> Iterator[Problem]:
    """Return an error for each value of the file that would have no effect."""
    for pattern, effective in NOT_YET.items():
        for table, path in _matches(document.config, pattern.split("."), ()):
            if not document.names(*path):
                continue
            key = str(path[-1])
            value = getattr(table, key)
            if value == walker.default(type(table), key, document.folder) or value in effective:
                continue
            if effective:
                choices = ", ".join(map(quote, effective))
                yield document.problem(path, f"{quote(value)} is not supported yet; supported: {choices}")
            else:
                yield document.problem(path, "is not supported yet; leave the key out")


def _matches(table: msgspec.Struct, parts: list[str], path: KeyPath) -> Iterator[tuple[msgspec.Struct, KeyPath]]:
    """Return each table and path of a key that fits the pattern."""
    part, rest = parts[0], parts[1:]
    key = part.removesuffix("[]")
    if part == "*":
        yield from ((table, (*path, name)) for name in table.__struct_fields__)
    elif key != part:
        for index, item in enumerate(getattr(table, key)):
            yield from _matches(item, rest, (*path, key, index))
    elif rest:
        yield from _matches(getattr(table, key), rest, (*path, key))
    else:
        yield table, (*path, key)
