"""Tables as lines of text. Pure.

Made for many rows: ten thousand take a tenth of a second, where a table of rich takes many.
"""

import textwrap
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import zip_longest

_GAP = "  "
_ROOM = 12  # characters that a folded cell gets at least, where there are so many


def align(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Container[str] = (),
    width: int | None = None,
    measure: Callable[[str], int] = len,
) -> list[list[str]]:
    """Return the lines of the headers, then those of each row, without blanks at their ends.

    A row has more than one line where a cell is folded. What is not printable in a cell is shown as an escape.

    Args:
        headers: one per column.
        rows: the cells, one per column.
        right: the headers of columns whose cells end at the same place.
        width: of the terminal, in characters; cells are folded so that lines fit. None: they are as long as it takes.
        measure: how many characters of a terminal a text takes.
    """
    table = [headers, *([_printable(cell) for cell in row] for row in rows)]
    needed = [max(map(measure, column)) for column in zip(*table, strict=True)]
    ends = {index for index, name in enumerate(headers) if name in right}
    widths = needed if width is None else _fitted(needed, width)

    def line(cells: Sequence[str]) -> str:
        padded = []
        for index, cell in enumerate(cells):
            blanks = " " * (widths[index] - measure(cell))
            padded.append(blanks + cell if index in ends else cell + blanks)
        return _GAP.join(padded).rstrip()

    if widths == needed:
        return [[line(row)] for row in table]
    return [
        [
            line(cells)
            for cells in zip_longest(*(_folded(*pair) for pair in zip(row, widths, strict=True)), fillvalue="")
        ]
        for row in table
    ]


def _printable(cell: str) -> str:
    """Return a cell that stays in its place, whoever wrote it: a refused request may hold anything."""
    if cell.isprintable():
        return cell
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in cell)


def _folded(cell: str, width: int) -> list[str]:
    return textwrap.wrap(cell, width, break_on_hyphens=False) or [""]


def _fitted(needed: Sequence[int], width: int) -> list[int]:
    """Return what each column gets: narrow ones all they need, since numbers are easier to read whole, the others a share."""
    room = width - len(_GAP) * (len(needed) - 1)
    if sum(needed) <= room:
        return list(needed)
    widths = [min(each, _ROOM) for each in needed]
    spare = room - sum(widths)
    folded = sorted(range(len(needed)), key=needed.__getitem__)
    while folded and needed[folded[0]] - widths[folded[0]] <= spare:
        index = folded.pop(0)
        spare -= needed[index] - widths[index]
        widths[index] = needed[index]
    while folded and spare > 0:
        index = folded.pop(0)
        more = min(spare // (len(folded) + 1), needed[index] - widths[index])
        widths[index] += more
        spare -= more
    return widths
