"""What filters set, add and remove in the headers of requests and responses.

In one filter a field is removed first, then set, then added. Of several filters that name a field, in whichever of the three ways, the
innermost alone counts.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.values.http.fields import template
from mcproxy.policy.answers import Asking, variable
from mcproxy.policy.field_names import fold
from mcproxy.policy.headers import Headers, RequestHead

_Said: TypeAlias = tuple[Iterable[str], Iterable[tuple[str, str]], Iterable[tuple[str, str]]]
_Parts: TypeAlias = tuple[bytes | str, ...]
"""Texts, and names of variables (str)."""


class Operations:
    """The changes to the headers of one direction.

    Attributes:
        gone: the names of fields that lose what they had, folded in requests; as trailers they don't pass either.
        fills: there are variables in values.
    """

    __slots__ = ("_added", "_filled", "_key", "_sizes", "fills", "gone")

    def __init__(self, filters: Iterable[_Said], key: Callable[[bytes], bytes]) -> None:
        """``filters`` say what they remove, set and add, the outermost first; ``key`` makes names alike that mean one field."""
        decided: dict[bytes, tuple[bool, list[tuple[bytes, str]]]] = {}
        for removed, put, added in filters:
            own: dict[bytes, tuple[bool, list[tuple[bytes, str]]]] = {}
            for name in removed:
                own[key(name.lower().encode())] = (True, [])
            for name, text in put:
                own[key(name.lower().encode())] = (True, [(name.lower().encode(), text)])
            for name, text in added:
                own.setdefault(key(name.lower().encode()), (False, []))[1].append((name.lower().encode(), text))
            decided.update(own)
        self._key = key
        self.gone = frozenset(name for name, (clears, _) in decided.items() if clears)
        self._sizes = frozenset(map(len, self.gone))
        values = [pair for _, (_, pairs) in sorted(decided.items()) for pair in pairs]
        parts = [(name, _parts(text)) for name, text in values]
        self._filled = tuple((name, each) for name, each in parts if any(isinstance(part, str) for part in each))
        self.fills = bool(self._filled)
        self._added: Headers = [
            (name, b"".join(_texts(each))) for name, each in parts if (name, each) not in self._filled
        ]

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self.gone or self._added or self._filled)

    def apply(self, headers: Headers, head: RequestHead, asking: Asking) -> Headers:
        """Return the fields as they go on.

        Args:
            headers: those of the request or of its response.
            head: the request as its client has sent it.
            asking: who asks; that matters only if it `fills` variables.
        """
        if self.gone:
            key, gone, sizes = self._key, self.gone, self._sizes
            kept = [header for header in headers if len(header[0]) not in sizes or key(header[0]) not in gone]
        else:
            kept = list(headers)
        kept += self._added
        for name, parts in self._filled:
            kept.append((name, fill(parts, head, asking)))
        return kept


def fill(parts: _Parts, head: RequestHead, asking: Asking) -> bytes:
    """Return a value with its variables filled in; one that would not be fit for a header is empty."""
    return b"".join(part if isinstance(part, bytes) else variable(part, head, asking) for part in parts).strip(b" ")


def request_operations(filters: Sequence[FilterOptions]) -> Operations:
    """Return what the filters of a scope do to requests: to fields of every spelling that a backend reads as the name."""
    return Operations(
        (
            (options.remove_request_headers, options.set_request_headers, options.add_request_headers)
            for options in filters
        ),
        fold,
    )


def response_operations(filters: Sequence[FilterOptions]) -> Operations:
    """Return what the filters of a scope do to responses."""
    return Operations(
        (
            (options.remove_response_headers, options.set_response_headers, options.add_response_headers)
            for options in filters
        ),
        bytes.lower,
    )


def _parts(text: str) -> _Parts:
    return tuple(part if number % 2 else part.encode() for number, part in enumerate(template(text)))


def _texts(parts: _Parts) -> list[bytes]:
    return [part for part in parts if isinstance(part, bytes)]
