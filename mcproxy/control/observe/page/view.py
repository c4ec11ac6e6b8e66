"""What somebody who looks at the page wants to see of it, as the address of the page says."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlencode

import msgspec

Sort: TypeAlias = Literal[
    "trouble", "hostname", "backend", "live", "connections", "requests", "errors", "5xx", "p99", "received", "sent"
]
SORTS: tuple[Sort, ...] = get_args(Sort)


class View(msgspec.Struct, frozen=True):
    """A choice of routes.

    Attributes:
        search: routes that have this in hostname, listener or backend; "" for all.
        sort: what comes first: what is in trouble, then what is busy, or the highest of a column, or the alphabet's first.
        page: which part of the list, from 1 on.
        route: the route whose details are shown, as ``LISTENER HOSTNAME``; "" for none.
        generation: the one whose changes are shown; 0 for none.
    """

    search: str = ""
    sort: Sort = "trouble"
    page: int = 1
    route: str = ""
    generation: int = 0

    def link(self, **other: object) -> str:
        """Return the address of a view that differs in some attributes; of the list where nothing else is said."""
        wanted = msgspec.structs.replace(self, **{"page": 1, "route": "", "generation": 0, **other})
        fields = {"q": wanted.search, **{name: getattr(wanted, name) for name in _DEFAULTS if name != "q"}}
        return f"?{urlencode({name: value for name, value in fields.items() if value != _DEFAULTS[name]})}"


_DEFAULTS = {"q": "", "sort": "trouble", "page": 1, "route": "", "generation": 0}


def view(query: Mapping[str, str]) -> View:
    """Return the view that an address's query names; what makes no sense is left out."""
    sort: Sort = next((one for one in SORTS if one == query.get("sort")), "trouble")
    page, generation = (_number(query.get(name, "")) for name in ("page", "generation"))
    return View(query.get("q", "").strip(), sort, max(1, page), query.get("route", ""), generation)


def _number(text: str) -> int:
    """Return a number of a sensible size; 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
