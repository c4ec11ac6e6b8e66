"""Which page stands for an error: the innermost filter that has one for the status, and in it the narrowest entry."""

from collections.abc import Sequence

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.values.http.fields import pages_range

_TYPES = {
    "html": b"text/html; charset=utf-8",
    "htm": b"text/html; charset=utf-8",
    "json": b"application/json",
    "svg": b"image/svg+xml",
    "txt": b"text/plain; charset=utf-8",
    "xml": b"application/xml",
}
_PLAIN = b"text/plain; charset=utf-8"


class ErrorPages:
    """The pages of all filters of a scope.

    Args:
        filters: the keys of the filters, the outermost first.
    """

    __slots__ = ("_of_backends", "_own")

    def __init__(self, filters: Sequence[FilterOptions]) -> None:
        self._own: dict[int, str] = {}
        self._of_backends: dict[int, str] = {}
        for options in filters:
            pages = _pages(options)
            self._own.update(pages)
            if options.backend_errors:
                self._of_backends.update(pages)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._own)

    def page(self, status: int, *, own: bool) -> str | None:
        """Return the path of the page for an answer with this status; None for none.

        Args:
            status: of the answer.
            own: whether it is the proxy's own, and not the backend's, which is replaced only by filters with ``backend_errors``.
        """
        return (self._own if own else self._of_backends).get(status)


def media_type(path: str) -> bytes:
    """Return the Content-Type of a page by the end of its name; HTML and whatever is a text."""
    return _TYPES.get(path.rpartition(".")[2].lower(), _PLAIN)


def _pages(options: FilterOptions) -> dict[int, str]:
    """Return the page of each status of one filter."""
    ranges = [(*pages_range(statuses), path) for statuses, path in options.error_pages]
    found: dict[int, str] = {}
    for low, high, path in sorted(ranges, key=lambda entry: (entry[0] - entry[1], entry)):  # the widest first
        found.update(dict.fromkeys(range(low, high + 1), path))
    return found
