"""The files whose contents belong to a state."""

from collections.abc import Collection, Iterator
from typing import TypeAlias

from mcproxy.model.state.filter_options import FilterOptions, Page
from mcproxy.model.state.kinds import KindName, origin_key, table_of
from mcproxy.model.state.state import Case, Filter, Route, State, Upstream
from mcproxy.model.values.origins import Key

Group: TypeAlias = tuple[str, ...]
"""Paths of files that are good or broken together: a certificate and its key, else a file alone."""

Owner: TypeAlias = Route | Upstream | Filter | Case
"""What names files of its own."""

_OWNERS: tuple[KindName, ...] = ("upstream", "filter", "route", "case")


def named_files(state: State) -> list[str]:
    """Return the paths of the files whose contents belong to a state, each once."""
    return list(dict.fromkeys(path for group in file_groups(state) for path in group))


def file_groups(state: State) -> list[Group]:
    """Return the groups of all files whose contents belong to a state, each once."""
    countries = str(state.settings["firewall.geoip_db"])
    found: dict[Group, None] = {(countries,): None} if countries else {}
    for owner in _all_owners(state):
        found |= dict.fromkeys(group for _, group in files_of(owner))
    return list(found)


def owners(state: State, only: Collection[Key] | None = None) -> dict[Key, Owner]:
    """Return the resources that name files, by kind and key; ``only``: of these, None for all."""
    found = {
        origin_key(kind, key): owner
        for kind in _OWNERS
        for key, owner in table_of(state, kind).items()
        if next(files_of(owner), None) is not None
    }
    return found if only is None else {key: owner for key, owner in found.items() if key in only}


def files_of(owner: Owner) -> Iterator[tuple[str, Group]]:
    """Yield the files that a resource names: the key that does, with dots within tables, and the group of the file."""
    if isinstance(owner, Upstream):
        if owner.tls is not None and owner.tls.ca:
            yield "tls.ca", (owner.tls.ca,)
        return
    if isinstance(owner, Filter):
        yield from _of_filter(owner, "")
        return
    if isinstance(owner, Route) and owner.mode == "l7":
        if owner.tls_cert and owner.tls_key:
            yield "tls_cert", (owner.tls_cert, owner.tls_key)
        if owner.backend_tls and owner.backend_ca:
            yield "backend_ca", (owner.backend_ca,)
    if isinstance(owner.respond, Page):
        yield "respond.file", (owner.respond.file,)
    if owner.filter is not None:
        yield from _of_filter(owner.filter, "filter.")


def group_of(owner: Owner, name: str) -> Group:
    """Return the group of the file that a resource names in its key ``name``; () if it names none there."""
    name = "tls_cert" if name == "tls_key" else name
    return next((group for each, group in files_of(owner) if each == name), ())


def pages_of(owner: Owner) -> Iterator[tuple[str, str]]:
    """Yield the files that clients get to see of a resource: the key that names each, and its path."""
    for name, group in files_of(owner):
        if name == "respond.file" or "error_pages." in name:
            yield name, group[0]


def _of_filter(options: FilterOptions, within: str) -> Iterator[tuple[str, Group]]:
    if options.basic_auth:
        yield f"{within}basic_auth", (options.basic_auth,)
    for statuses, path in options.error_pages:
        yield f"{within}error_pages.{statuses}", (path,)


def _all_owners(state: State) -> Iterator[Owner]:
    yield from state.routes.values()
    yield from state.upstreams.values()
    yield from state.filters.values()
    yield from state.cases.values()
