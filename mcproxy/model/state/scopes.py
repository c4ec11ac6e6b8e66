"""Which filters hold in which place: those of the listener, of the route and of the case, from the outermost to the innermost.

``use`` adds a named filter to those of the places around, ``without`` takes one of these away, and an inline ``filter`` is the innermost of
its place. A filter that several places name holds once, in the innermost of them. Guards of all of them add up; of modifiers that say
different things the last one in a scope wins (`filter_options`).
"""

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import TypeAlias

import msgspec

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.kinds import origin_key
from mcproxy.model.state.state import Case, Listener, Route, State
from mcproxy.model.values.origins import Key

FilterKey: TypeAlias = Key
"""Kind and key of a named filter, or of the route or case whose own it is."""
Scope: TypeAlias = tuple[FilterKey, ...]
"""The filters that hold in a place, the outermost first."""

ROUTE_FILTER = "(route)"
CASE_FILTER = "(case)"
"""The names of filters that have none: that of the request's route, and of its case."""


_own_filter = attrgetter("filter")


class FilterEntry(msgspec.Struct, frozen=True):
    """A filter as workers get it.

    Attributes:
        index: stable as long as the filter is there; its rates are counted under it.
        key: which filter it is.
        name: that of a named one, else `ROUTE_FILTER` or `CASE_FILTER`.
        options: its keys.
        digests: of the contents of the files that it names, by their paths; the contents come beside the snapshot.
    """

    index: int
    key: FilterKey
    name: str
    options: FilterOptions
    digests: dict[str, str]

    @property
    def upstream(self) -> str:
        """The upstream that `forward_auth` asks; "" for none, and for a single address."""
        asked = self.options.forward_auth
        return asked.backend.upstream if asked is not None else ""


def filter_keys(state: State) -> Iterator[FilterKey]:
    """Yield the key of every filter of a state, of those that routes and cases have for themselves too."""
    for key, _ in filters(state):
        yield key


def filters(state: State) -> Iterator[tuple[FilterKey, FilterOptions]]:
    """Yield every filter of a state with its key."""
    for name, named in state.filters.items():
        yield ("filter", name), named
    for route in filter(_own_filter, state.routes.values()):
        if route.filter is not None:
            yield origin_key("route", (route.listener, route.hostname)), route.filter
    for case_key, case in state.cases.items():
        if case.filter is not None:
            yield origin_key("case", case_key), case.filter


def filter_name(key: FilterKey) -> str:
    """Return the name of a filter for people."""
    return {"route": ROUTE_FILTER, "case": CASE_FILTER}.get(key[0], key[-1])


def scope_of(listener: Listener, route: Route, case: Case | None = None) -> Scope:
    """Return the filters that hold for a route, or for one of its cases."""
    if not (listener.use or route.use or route.filter) and (case is None or not (case.use or case.filter)):
        return ()  # as nearly everywhere
    lifted = (*route.without, *case.without) if case is not None else route.without
    found: list[FilterKey] = [("filter", name) for name in listener.use if name not in lifted]
    lifted = case.without if case is not None else ()
    found += (("filter", name) for name in route.use if name not in lifted)
    if route.filter is not None:
        found.append(("route", route.listener, route.hostname))
    if case is not None:
        found += (("filter", name) for name in case.use)
        if case.filter is not None:
            found.append(("case", case.listener, case.hostname, case.match))
    return tuple(reversed(dict.fromkeys(reversed(found))))


def filter_entries(
    state: State, indices: Mapping[FilterKey, int], digests: Mapping[str, str]
) -> tuple[FilterEntry, ...]:
    """Return the filters of a state.

    Args:
        state: what is to run.
        indices: of every filter that `filter_keys` tells.
        digests: what tells one version of a file from another, by path.
    """
    return tuple(
        FilterEntry(
            indices[key],
            key,
            filter_name(key),
            options if type(options) is FilterOptions else plain(options),
            {path: digests.get(path, "") for path in named_by(options)},
        )
        for key, options in filters(state)
    )


def plain(options: FilterOptions) -> FilterOptions:
    """Return the keys of a named filter without its name."""
    return FilterOptions(**{name: getattr(options, name) for name in FilterOptions.__struct_fields__})


def named_by(options: FilterOptions) -> tuple[str, ...]:
    """Return the paths of the files that a filter names, each once."""
    found = (options.basic_auth, *(path for _, path in options.error_pages))
    return tuple(dict.fromkeys(path for path in found if path))
