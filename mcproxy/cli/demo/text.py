"""What the demo prints: lines that stay readable in a terminal of 80 columns."""

import textwrap

_WIDTH = 80


def wrapped(text: str, indent: str = "   ") -> str:
    """Return a text in lines of 80 columns at most, the further ones indented deeper; a word that is longer stays whole."""
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
