"""What the demo prints: lines that stay readable in a terminal of 80 columns."""

import sys
import textwrap
from io import TextIOWrapper

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


class Checks:
    """Tells of each step whether it ended as it should.

    Attributes:
        surprises: steps that went wrong.
    """

    def __init__(self) -> None:
        self.surprises = 0
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # into a pipe too, each step shows when it is done

    def check(self, what: str, holds: bool) -> None:
        """Tell what should hold, and whether it does."""
        if holds:
            print(wrapped(what))
        else:
            self.surprise(f"not so: {what}")

    def surprise(self, what: str) -> None:
        """Tell what went wrong."""
        self.surprises += 1
        print(f"!! {what}")

    def end(self) -> int:
        """Tell whether all went as it should; return the exit status."""
        print("\nAll went as it should." if not self.surprises else f"\n{self.surprises} steps went wrong, see above.")
        return 1 if self.surprises else 0
