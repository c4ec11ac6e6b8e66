"""Single words of a command line: what they may mean."""

from collections.abc import Sequence
from typing import Any


def is_duration(pending: Sequence[str]) -> bool:
    """Tell whether the next word looks like a time, such as ``1m30s``."""
    import re  # noqa: PLC0415 - only for what seldom is asked

    return bool(pending) and re.fullmatch(r"(?:[0-9.]+(?:h|ms|m|s))+", pending[-1]) is not None


def nearest(word: str, known: Sequence[str] | dict[str, Any]) -> str:
    """Return a hint at the known word that is most like one that is not known, "" for none."""
    import difflib  # noqa: PLC0415 - only for what was mistyped

    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
