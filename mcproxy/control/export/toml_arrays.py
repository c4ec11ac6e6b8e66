"""Adding to and removing from a TOML array, on one line or over many, so that its layout and comments stay.

A comment behind an item, on the same line, belongs to the item. Above it, it belongs to the item if that is a table: above
a list of plain values it is rather a heading.
"""

from collections.abc import Collection, Iterator, Sequence

from mcproxy.control.export.toml_layout import Layout, Splice
from mcproxy.model.config.problems import KeyPath


def add_items(layout: Layout, path: KeyPath, items: Sequence[str]) -> Iterator[Splice]:
    """Return what puts items, already written, at the end of an array.

    Each goes on a line of its own if the last item ends its line, else directly behind that.
    """
    text = layout.text
    start, end = layout.values[path]
    count = layout.counts.get(path, 0)
    if not count:
        if "\n" not in text[start:end]:
            yield Splice(start, end, f"[{', '.join(items)}]")
            return
        line = layout.line_start(end)  # blank up to the bracket: a comment would hide it
        above = layout.line_start(line - 1)
        indent = layout.indent(layout.line_end(above)) if above > start and layout.line(above) else ""
        indent = indent or layout.indent(end - 1) + "  "
        yield Splice(line, line, "".join(f"{indent}{item},\n" for item in items))
        return
    last = layout.values[*path, count - 1]
    comma = layout.comma((*path, count - 1))
    anchor = last.end if comma is None else comma + 1
    if "\n" not in text[anchor:end]:
        separator = _separator(layout, path, count)
        yield Splice(last.end, last.end, "".join(f"{separator}{item}" for item in items))
        return
    if comma is None:
        yield Splice(last.end, last.end, ",")
    indent = _item_indent(layout, path, count)
    lines = (",\n" if comma is None else "\n").join(f"{indent}{item}{'' if comma is None else ','}" for item in items)
    at = layout.line_end(anchor)
    yield Splice(at, at, f"\n{lines}")


def remove_items(layout: Layout, path: KeyPath, removed: Collection[int]) -> Iterator[Splice]:
    """Return what takes items, given by their indices, out of an array."""
    start, end = layout.values[path]
    count = layout.counts[path]
    if len(removed) == count and "#" not in _between(layout, path, count):
        yield Splice(start + 1, end - 1)
        return
    kept = max((index for index in range(count) if index not in removed), default=-1)
    for first, last in _runs(layout, path, sorted(removed)):
        yield from _remove_run(layout, path, first, last)
    comma = layout.comma((*path, kept)) if kept >= 0 else None
    if comma is not None and kept < count - 1 and layout.comma((*path, count - 1)) is None:
        yield Splice(comma, comma + 1)  # what is last now ends like what was last


def _remove_run(layout: Layout, path: KeyPath, first: int, last: int) -> Iterator[Splice]:
    """Return what takes out items that stand on one line, or one item."""
    text = layout.text
    bracket = layout.values[path].start
    start, end = layout.values[*path, first].start, layout.values[*path, last].end
    comma = layout.comma((*path, last))
    if comma is not None:
        if "\n" in text[end:comma]:
            yield Splice(comma, comma + 1)
        else:
            end = comma + 1
    line_end = layout.line_end(end)
    rest = text[end:line_end].strip()
    if layout.line_start(start) > bracket and layout.begins_line(start) and (not rest or rest.startswith("#")):
        floor = layout.values[*path, first - 1].end if first else bracket
        is_table = text[start] == "{"
        yield Splice(layout.lead(start, floor) if is_table else layout.line_start(start), layout.next_line(end))
    elif rest and not rest.startswith(("#", "]")):
        yield Splice(start, end + len(text[end:line_end]) - len(text[end:line_end].lstrip()))
    else:
        blanks = len(text[bracket + 1 : start]) - len(text[bracket + 1 : start].rstrip(" \t"))
        yield Splice(start - blanks, end)


def _runs(layout: Layout, path: KeyPath, indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Return the first and last of each run of items that follow one another on one line."""
    first = previous = indices[0]
    for index in indices[1:]:
        gap = layout.text[layout.values[*path, previous].end : layout.values[*path, index].start]
        if index > previous + 1 or "\n" in gap:
            yield first, previous
            first = index
        previous = index
    yield first, previous


def _between(layout: Layout, path: KeyPath, count: int) -> str:
    """Return what is in an array beside its items."""
    at, end = layout.values[path]
    parts: list[str] = []
    for index in range(count):
        item = layout.values[*path, index]
        parts.append(layout.text[at : item.start])
        at = item.end
    return "".join((*parts, layout.text[at:end]))


def _separator(layout: Layout, path: KeyPath, count: int) -> str:
    """Return what goes between two items on one line."""
    if count > 1:
        gap = layout.text[layout.values[*path, count - 2].end : layout.values[*path, count - 1].start]
        if not gap.strip(" \t,"):
            return gap
    return ", "


def _item_indent(layout: Layout, path: KeyPath, count: int) -> str:
    for index in reversed(range(count)):
        start = layout.values[*path, index].start
        if layout.begins_line(start) and layout.line_start(start) > layout.values[path].start:
            return layout.indent(start)
    return layout.indent(layout.values[path].start) + "  "
