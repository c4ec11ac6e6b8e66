"""Splices of a TOML document that leave everything else in it as it is, byte for byte.

An edit is made of splices at the places that the layout tells; the document is never written anew. How new things are
written follows their neighbours: header or inline table, one line or many, indents, line ends.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mcproxy.control.export import toml_values
from mcproxy.control.export.toml_arrays import add_items, remove_items
from mcproxy.control.export.toml_layout import Layout, Span, Splice, splice
from mcproxy.model.config.positions import skip_blanks
from mcproxy.model.config.problems import KeyPath
from mcproxy.model.config.toml_text import BOM

_ALIGNED_COMMENT = re.compile(" {2,}(?=#)")


class Short(NamedTuple):
    """An item of an array that has a short form, for where it does not get a header of its own."""

    text: str
    table: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Splices:
    """What is to be done to a document, by paths of the document as it is before.

    Attributes:
        assigned: values of keys of tables, whether the key is there or not; a table may be missing too, if its parts are names.
            And values of items of arrays, which are there.
        appended: items for the ends of arrays, which may be missing. An item that is a table is a mapping, with its
            sub-tables as lists of mappings, or has a short form (`Short`).
        removed: items of arrays, and keys of tables, a table under its name among them.
    """

    assigned: dict[KeyPath, Any] = field(default_factory=dict)
    appended: defaultdict[KeyPath, list[Any]] = field(default_factory=lambda: defaultdict(list))
    removed: set[KeyPath] = field(default_factory=set)


def edit(text: str, edits: Splices) -> str:
    """Return the document, which tomllib must have accepted, after the edits; a byte order mark in front stays."""
    if text.startswith(BOM):
        return BOM + edit(text.removeprefix(BOM), edits)
    if edits.assigned or edits.appended:
        layout = Layout(text)
        tables = {path for path in edits.assigned if layout.is_table(path)}
        if tables:  # with headers or dotted keys, which no value can take the place of
            text = splice(text, tuple(_removals(layout, tables)))
            layout = Layout(text)
        # What is new comes last everywhere, so the paths of what is to be removed stay.
        text = splice(text, tuple(_additions(layout, edits)))
    if edits.removed:
        ended_blank = text.endswith(("\n\n", "\n\r\n"))
        text = splice(text, tuple(_removals(Layout(text), edits.removed)))
        if not ended_blank:
            text = re.sub(r"(\r?\n)(?:\r?\n)+\Z", r"\1", text)
    return text


class _Block(NamedTuple):
    """A new table with a header of its own; ``path`` is that of the table, or of the array that it is an item of."""

    path: KeyPath
    is_item: bool
    values: Mapping[str, Any]


def _additions(layout: Layout, edits: Splices) -> Iterator[Splice]:
    pairs: defaultdict[KeyPath, dict[str, Any]] = defaultdict(dict)
    blocks: list[_Block] = []
    for path, value in edits.assigned.items():
        old = layout.values.get(path)
        if old is None:
            pairs[path[:-1]][str(path[-1])] = value
        else:
            yield _replacement(layout, old, value)
    for path, items in edits.appended.items():
        if path in layout.values:
            yield from add_items(layout, path, [toml_values.write(_inline(item)) for item in items])
        elif isinstance(items[0], Mapping | Short) and path[:-1] not in layout.values:
            tables = (item.table if isinstance(item, Short) else item for item in items)
            blocks += (_Block(path, is_item=True, values=table) for table in tables)
        else:
            pairs[path[:-1]][str(path[-1])] = [_inline(item) for item in items]
    for path, values in pairs.items():
        place = _pairs(layout, path, [toml_values.pair(key, value) for key, value in values.items()])
        if place is None:
            blocks.append(_Block(path, is_item=False, values=values))
        else:
            yield place
    yield from _blocks(layout, blocks)


def _inline(item: object) -> object:
    return item.text if isinstance(item, Short) else item


def _replacement(layout: Layout, old: Span, value: Any) -> Splice:
    """Return what puts a value in the place of another; a comment behind it stays in its column if there is room."""
    was = layout.text[old.start : old.end]
    new = toml_values.write(value, was)
    aligned = _ALIGNED_COMMENT.match(layout.text, old.end)
    if aligned is None:
        return Splice(*old, new)
    return Splice(old.start, aligned.end(), new + " " * max(1, len(was) + len(aligned[0]) - len(new)))


def _pairs(layout: Layout, table: KeyPath, pairs: Iterable[str]) -> Splice | None:
    """Return what puts pairs, already written, at the end of a table; None if it is not there."""
    if table in layout.values:
        inner = ", ".join(pairs)
        at = layout.last_pairs.get(table)
        return Splice(*layout.values[table], f"{{ {inner} }}") if at is None else Splice(at, at, f", {inner}")
    number = layout.number(table)
    if number is not None:
        at = layout.line_end(layout.sections[number].end)
        front = _style(layout, number).key_indent
    else:
        dotted = [span.end for path, span in layout.values.items() if path[:-1] == table]
        if not dotted:
            return None
        at = layout.line_end(max(dotted))
        section = layout.section_at(at)
        front = layout.indent(at) + "".join(
            f"{toml_values.key_text(str(part))}." for part in table[len(section.path) :]
        )
    return Splice(at, at, "".join(f"\n{front}{pair}" for pair in pairs))


def _blocks(layout: Layout, blocks: list[_Block]) -> Iterator[Splice]:
    """Return what adds tables with headers, each where it belongs."""
    # At the same place the deepest come first, since a header is about the last one above it; then the root's own
    # tables, and last the items of its arrays.
    blocks.sort(key=lambda block: (-len(block.path), block.is_item))
    places: defaultdict[int, list[_Block]] = defaultdict(list)
    for block in blocks:
        places[_place(layout, block)].append(block)
    size = len(layout.text)
    for at, here in places.items():
        parts = ["\n"] if at and layout.text[at - 1] != "\n" else []
        blank = layout.is_spaced(at)
        spaced = True
        for block in here:
            spaced, lines = _lines(layout, block)
            parts.append("\n" if spaced and not blank else "")
            parts += (f"{line}\n" for line in lines)
            blank = False
        if spaced and at < size and layout.line(at):
            parts.append("\n")
        yield Splice(at, at, "".join(parts))


def _place(layout: Layout, block: _Block) -> int:
    """Return where a new table goes.

    After the last part of what it is a part of; any other table after the last of its kind; else at the end.
    """
    above = layout.last_sections.get(block.path[:-1])
    if above is not None:
        return layout.tail(above)
    if not block.is_item:
        plain = [
            number
            for number, section in enumerate(layout.sections)
            if section.end and all(isinstance(part, str) for part in section.path)
        ]
        if plain:
            return layout.tail(plain[-1])
    return len(layout.text)


def _lines(layout: Layout, block: _Block) -> tuple[bool, list[str]]:
    """Return whether a new table wants a blank line above it, and its lines."""
    number = None
    if block.is_item:
        number = layout.number((*block.path, layout.counts.get(block.path, 0) - 1)) or layout.number_like(block.path)
    if number is None:
        name = ".".join(toml_values.key_text(part) for part in block.path if isinstance(part, str))
        style = _Style(f"[[{name}]]" if block.is_item else f"[{name}]", "", "", spaced=True)
    else:
        style = _style(layout, number)
    lines = [f"{style.indent}{style.header}"]
    inner: list[str] = []
    for key, value in block.values.items():
        if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value) and block.is_item:
            for item in value:
                spaced, below = _lines(layout, _Block((*block.path, -1, key), is_item=True, values=item))
                inner += ("", *below) if spaced else below
        else:
            lines.append(f"{style.key_indent}{toml_values.pair(key, value)}")
    return style.spaced, lines + inner


class _Style(NamedTuple):
    """How a section is written."""

    header: str
    indent: str
    key_indent: str
    spaced: bool


def _style(layout: Layout, number: int) -> _Style:
    section = layout.sections[number]
    header = section.header
    indent = layout.indent(header.start)
    first = layout.first_pairs.get(section.path)
    return _Style(
        layout.text[header.start : header.end],
        indent,
        indent if first is None else layout.indent(first),
        layout.is_spaced(layout.extent(number).start),
    )


def _removals(layout: Layout, removed: Collection[KeyPath]) -> Iterator[Splice]:
    arrays: defaultdict[KeyPath, set[int]] = defaultdict(set)
    keys = [path for path in removed if isinstance(path[-1], str)]
    yield from _removed_keys(layout, keys)
    for path in removed:
        if isinstance(path[-1], int) and path in layout.values:
            arrays[path[:-1]].add(path[-1])
    for array, indices in arrays.items():
        yield from remove_items(layout, array, indices)
    size = len(layout.text)
    end, spaced = 0, True
    for number, section in enumerate(layout.sections):
        if not any(section.path[:depth] in removed for depth in range(len(section.path) + 1)):
            continue
        start, below = layout.extent(number)
        # Of the blank lines above and below one lot goes too. What was removed just above counts as not there.
        spaced = spaced if start == end else layout.is_spaced(start)
        end = below
        while spaced and end < size and not layout.line(end):
            end = layout.next_line(end)
        yield Splice(start, end)


def _removed_keys(layout: Layout, paths: Collection[KeyPath]) -> Iterator[Splice]:
    """Return what takes out the pairs of keys, several of a key if it is a table that dotted keys make."""
    text = layout.text
    inline: list[Span] = []
    for start, end in sorted(span for path in paths for span in _pairs_of(layout, path)):
        if layout.begins_line(start):
            yield Splice(layout.line_start(start), layout.next_line(end))
        elif inline and _next(text, inline[-1].end) == start:  # the neighbour goes too, and the comma between them
            inline[-1] = Span(inline[-1].start, end)
        else:
            inline.append(Span(start, end))
    for start, end in inline:
        behind = _next(text, end)
        if behind:
            yield Splice(start, behind)
            continue
        front = text[:start].rstrip(" \t")
        yield Splice(len(front) - 1 if front.endswith(",") else start, end)


def _pairs_of(layout: Layout, path: KeyPath) -> Iterator[Span]:
    """Return where the pairs of a key are, but those within another pair of it."""
    for pair, (start, end) in layout.pairs.items():
        if pair[: len(path)] == path and not any(pair[:size] in layout.pairs for size in range(len(path), len(pair))):
            yield Span(start, end)


def _next(text: str, end: int) -> int:
    """Return where the next pair of an inline table begins, behind one that ends here; 0 if there is none."""
    comma = skip_blanks(text, end)
    return skip_blanks(text, comma + 1) if text[comma : comma + 1] == "," else 0
