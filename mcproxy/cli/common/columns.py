"""Tables as lines of text. Pure.

Made for many rows: ten thousand take a tenth of a second, where a table of rich takes many.
"""

import textwrap
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple

_GAP = "  "
_ROOM = 12  # characters that a folded cell gets at least, where there are so many
_LONGEST_WORD = 48  # characters of a word that are not folded: an IPv6 address with its port


class Table(NamedTuple):
    """Rows below headers, and what is to be done where a terminal has not enough room for them.

    Attributes:
        headers: one per column.
        rows: the cells, one per column, as plain text.
        right: the headers of columns whose cells end at the same place.
        whole: those of columns that are never folded, such as addresses: they can be copied.
        drop: those of columns that are left out, the first one first.
    """

    headers: Sequence[str]
    rows: Iterable[Sequence[str]]
    right: Container[str] = ()
    whole: Container[str] = ()
    drop: Sequence[str] = ()


def align(
    table: Table, width: int | None = None, measure: Callable[[str], int] = len
) -> tuple[list[list[str]], Sequence[str]]:
    """Return the lines of the headers, then those of each row, without blanks at their ends; and the headers left out.

    A row has more than one line where a cell is folded. What is not printable in a cell is shown as an escape.

    Args:
        table: the rows and headers.
        width: of the terminal, in characters: columns are left out, and cells folded between words, so that lines fit as far as
            that is possible. None: they are as long as it takes.
        measure: how many characters of a terminal a text takes.
    """
    cells = [list(table.headers), *([printable(cell) for cell in row] for row in table.rows)]
    needed = [max(map(measure, column)) for column in zip(*cells, strict=True)]
    shown = list(range(len(needed)))
    dropped: list[str] = []
    for name in table.drop if width is not None else ():
        if _total(needed[index] for index in shown) <= (width or 0):
            break
        shown.remove(table.headers.index(name))
        dropped.append(name)
    cells = [[row[index] for index in shown] for row in cells]
    names = [table.headers[index] for index in shown]
    needed = [needed[index] for index in shown]
    ends = {index for index, name in enumerate(names) if name in table.right}
    widths = needed
    if width is not None and _total(needed) > width:
        least = [
            each if name in table.whole else _least(column, measure)
            for each, name, column in zip(needed, names, zip(*cells, strict=True), strict=True)
        ]
        widths = _fitted(needed, least, width)

    def line(row: Sequence[str]) -> str:
        padded = []
        for index, cell in enumerate(row):
            blanks = " " * (widths[index] - measure(cell))
            padded.append(blanks + cell if index in ends else cell + blanks)
        return _GAP.join(padded).rstrip()

    if widths == needed:
        return [[line(row)] for row in cells], dropped
    return [
        [line(row) for row in zip_longest(*(_folded(*pair) for pair in zip(cell, widths, strict=True)), fillvalue="")]
        for cell in cells
    ], dropped


def printable(cell: str) -> str:
    """Return a cell that stays in its place, whoever wrote it: a refused request may hold anything."""
    if cell.isprintable():
        return cell
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in cell)


def _folded(cell: str, width: int) -> list[str]:
    return textwrap.wrap(cell, width, break_on_hyphens=False) or [""]


def _total(widths: Iterable[int]) -> int:
    """Return how wide a line is."""
    widths = list(widths)
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _least(column: Iterable[str], measure: Callable[[str], int]) -> int:
    """Return the width that a column gets in any case: that of its longest word, since words may be addresses."""
    words = [measure(word) for cell in column for word in cell.split()]
    return max([min(word, _LONGEST_WORD) for word in words], default=0)


def _fitted(needed: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Return what each column gets: narrow ones all they need, since numbers are easier to read whole, the others a share."""
    room = width - len(_GAP) * (len(needed) - 1)
    widths = [min(each, max(_ROOM, small)) for each, small in zip(needed, least, strict=True)]
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
