"""``python -m tests.bench.plot FILE.json > FILE.svg``: a figure of what a run of the bench has measured.

For each load one bar per peer, as a multiple of what the first of the peers needs, with the figure itself behind it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec

_WIDTH, _LEFT, _RIGHT = 790, 180, 150  # pixels: all, names, figures
_BAR, _GAP, _HEAD = 16, 3, 30
_COLOURS = {"mcproxy": "#1b6ac9", "mcproxy-python": "#7fb2ee"}
_OTHER = "#9aa0a6"
_NAMES = {
    "mcproxy": "mcproxy, native",
    "mcproxy-python": "mcproxy, Python",
    "haproxy-splice": "haproxy, splicing always",
}


class Row(msgspec.Struct):
    """One load of the document that ``--json`` writes."""

    load: str
    unit: str
    figures: dict[str, float]


class Document(msgspec.Struct):
    """What of the document is drawn."""

    rows: list[Row]


def draw(rows: Sequence[Row]) -> str:
    """Return the figure as SVG; a row's first peer is the measure of the others."""
    parts: list[str] = []
    top = 8
    for row in rows:
        if not row.figures:
            continue
        first = next(iter(row.figures))
        most = max(row.figures.values())
        parts.append(_text(8, top + 16, f"{row.load}, {row.unit}", 'font-weight="bold"'))
        top += _HEAD - 6
        for peer, figure in row.figures.items():
            width = round((_WIDTH - _LEFT - _RIGHT) * figure / most, 1)
            colour = _COLOURS.get(peer, _OTHER)
            parts.append(_text(_LEFT - 8, top + 12, _NAMES.get(peer, peer), 'text-anchor="end"'))
            parts.append(f'<rect class="bar" x="{_LEFT}" y="{top}" width="{width}" height="{_BAR}" fill="{colour}"/>')
            told = f"{_number(figure)}" if peer == first else f"{_number(figure)} ({figure / row.figures[first]:.2f}x)"
            parts.append(_text(_LEFT + width + 6, top + 12, told))
            top += _BAR + _GAP
        top += 10
    style = 'font-family="sans-serif" font-size="12" fill="#202124"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}" {style}>'
    )
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{top}" fill="#fff"/>', *parts, "</svg>", ""])


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x}" y="{y}" {attributes}>{escape(text)}</text>'


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}"


def main() -> None:
    """Draw the document that is named."""
    document = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Document)
    sys.stdout.write(draw(document.rows))


if __name__ == "__main__":
    main()
