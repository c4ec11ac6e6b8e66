"""What the files that a configuration names hold, each read once in a look at them: what is checked is what is used."""

from mcproxy.named_file import LIMIT, read_file


class Contents:
    """Reads files, and remembers what they hold; made for one look, and forgotten after it."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def read(self, path: str, limit: int = LIMIT) -> bytes:
        """Return what a file holds.

        Args:
            path: of the file.
            limit: bytes that it may have.

        Raises:
            OSError: it can't be read, as `read_file` says; the next time it is tried again.
        """
        if path not in self._known:
            self._known[path] = read_file(path, limit)
        return self._known[path]
