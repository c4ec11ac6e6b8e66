"""The outcome of a search for a mistake in a text."""

from mcproxy.model.values.quoting import quote


class Found(Exception):  # noqa: N818 - what ends the search is no error of it
    """A mistake, with the offset where it stands and what is told of it."""

    def __init__(self, at: int, message: str) -> None:
        # what the file has may be in it, and must not move the terminal's cursor
        self.message = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in message)
        super().__init__(self.message)
        self.at = at


def quoted(text: str) -> str:
    """Return what stands in a file for use in a message: in quotes that are not taken for its own, cut when very long."""
    return f"'{text}'" if text == '"' else quote(text)
