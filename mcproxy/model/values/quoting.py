"""A user's text within a message."""

_QUOTE_LIMIT = 80


def quote(text: str) -> str:
    """Return a user's text for use in a message: in quotes, control characters escaped, cut when very long."""
    import json  # noqa: PLC0415 - a millisecond of a worker's start, and workers have nothing to quote

    if len(text) > _QUOTE_LIMIT:
        text = text[: _QUOTE_LIMIT - 1] + "…"
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if quoted.isprintable() else json.dumps(text)
