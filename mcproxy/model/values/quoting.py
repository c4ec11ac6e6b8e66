"""A user's text within a message."""

import json

_QUOTE_LIMIT = 80


def quote(text: str) -> str:
    """Return a user's text for use in a message: in quotes, control characters escaped, cut when very long."""
    if len(text) > _QUOTE_LIMIT:
        text = text[: _QUOTE_LIMIT - 1] + "…"
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if quoted.isprintable() else json.dumps(text)
