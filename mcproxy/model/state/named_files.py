"""The files whose contents belong to a state."""

from collections.abc import Collection, Iterator
from itertools import zip_longest
from operator import attrgetter
from typing import TypeAlias

from msgspec import UnsetType

from mcproxy.late_patterns import late
from mcproxy.model.state.filter_options import FilterOptions, Page
from mcproxy.model.state.kinds import KindName, origin_key, table_of
from mcproxy.model.state.state import Case, Filter, Listener, Route, State, Upstream
from mcproxy.model.values import paths
from mcproxy.model.values.acme.places import file_of
from mcproxy.model.values.origins import Key

Group: TypeAlias = tuple[str, ...]
"""Paths of files that are good or broken together: a certificate and its key, else a file alone."""

Owner: TypeAlias = Listener | Route | Upstream | Filter | Case
"""What names files of its own."""

_CERTIFICATE_OF = late(r"(?<=[._])key(?=$|\[\d+\]$)")
"""The part of a key's name in which it differs from that of its certificate."""

_said_of_files = attrgetter(
    "tls_cert", "tls_key", "certificate", "tls", "backend_ca", "backend_cert", "respond", "filter"
)
_NO_FILES = ("", "", "", None, "", "", "", None)

_OWNERS: tuple[KindName, ...] = ("upstream", "filter", "listener", "route", "case")


def named_files(state: State) -> list[str]:
    """Return the paths of the files whose contents belong to a state, each once."""
    return list(dict.fromkeys(path for group in file_groups(state) for path in group))


def file_groups(state: State) -> list[Group]:
    """Return the groups of all files whose contents belong to a state, each once."""
    countries = str(state.settings["firewall.geoip_db"])
    found: dict[Group, None] = {(countries,): None} if countries else {}
    for owner in _all_owners(state):
        if _names_none(owner):
            continue
        found |= dict.fromkeys(group for _, group in files_of(state, owner))
    return list(found)


def ordered_files(state: State) -> list[str]:
    """Return those of the files that hold certificates ordered from a CA, each once: they may be missing."""
    ordered = [route for route in state.routes.values() if route.certificate]
    return list(dict.fromkeys(path for route in ordered if (path := ordered_file(state, route))))


def ordered_file(state: State, route: Route) -> str:
    """Return the path of the file with a route's certificate and key where they are ordered from a CA, else ""."""
    return file_of(state.settings, route.hostname) if route.certificate and route.mode == "l7" else ""


def owners(state: State, only: Collection[Key] | None = None) -> dict[Key, Owner]:
    """Return the resources that name files, or what else is tried as workers do it, by kind and key; ``only``: of these, None for all."""
    found = {
        origin_key(kind, key): owner
        for kind in _OWNERS
        for key, owner in table_of(state, kind).items()
        if not _names_none(owner) and (next(files_of(state, owner), None) is not None or _offers(owner))
    }
    return found if only is None else {key: owner for key, owner in found.items() if key in only}


def _offers(owner: Owner) -> bool:
    """Tell whether a listener says which ciphers or curves its routes offer, which OpenSSL may not know."""
    return isinstance(owner, Listener) and owner.tls is not None and bool(owner.tls.ciphers or owner.tls.curves)


def _names_none(owner: Owner) -> bool:
    """Tell whether a resource surely names no files: most routes, of which there are many."""
    return isinstance(owner, Route) and _said_of_files(owner) == _NO_FILES


def files_of(state: State, owner: Owner) -> Iterator[tuple[str, Group]]:
    """Yield the files that a resource of a state names: the key that does, with dots within tables, and the group of the file."""
    if isinstance(owner, Route) and (path := ordered_file(state, owner)):
        yield "certificate", (path,)
    yield from _said(owner)


def _said(owner: Owner) -> Iterator[tuple[str, Group]]:
    """Yield the files that a resource alone names."""
    if isinstance(owner, Upstream):
        if owner.tls is not None and owner.tls.ca:
            yield "tls.ca", (owner.tls.ca,)
        if owner.tls is not None and owner.tls.cert and owner.tls.key:
            yield "tls.cert", (owner.tls.cert, owner.tls.key)
        return
    if isinstance(owner, Listener):
        yield from _of_clients(owner)
        return
    if isinstance(owner, Filter):
        yield from _of_filter(owner, "")
        return
    if isinstance(owner, Route) and owner.mode == "l7":
        pairs = _pairs_said(owner)
        for index, pair in enumerate(pairs):
            yield f"tls_cert[{index}]" if len(pairs) > 1 else "tls_cert", pair
        yield from _of_clients(owner)
        if owner.backend_tls and owner.backend_ca:
            yield "backend_ca", (owner.backend_ca,)
        if owner.backend_tls and owner.backend_cert and owner.backend_key:
            yield "backend_cert", (owner.backend_cert, owner.backend_key)
    if isinstance(owner.respond, Page):
        yield "respond.file", (owner.respond.file,)
    if owner.filter is not None:
        yield from _of_filter(owner.filter, "filter.")


def group_of(state: State, owner: Owner, name: str) -> Group:
    """Return the group of the file that a resource of a state names in its key ``name``; () if it names none there."""
    name = _CERTIFICATE_OF.sub("cert", name)
    return next((group for each, group in files_of(state, owner) if each == name), ())


def key_name_of(name: str) -> str:
    """Return the key that names the key of the certificate that is named by another: ``tls_key[1]`` for ``tls_cert[1]``."""
    return name.replace("cert", "key")


def pages_of(owner: Owner) -> Iterator[tuple[str, str]]:
    """Yield the files that clients get to see of a resource: the key that names each, and its path."""
    for name, group in _said(owner):
        if name == "respond.file" or "error_pages." in name:
            yield name, group[0]


def pairs_of(state: State, route: Route) -> tuple[tuple[str, str], ...]:
    """Return the paths of a route's certificates, each with its key: of one that is ordered from a CA both are in one file."""
    path = ordered_file(state, route)
    return ((path, path),) if path else _pairs_said(route)


def _pairs_said(route: Route) -> tuple[tuple[str, str], ...]:
    """Return the pairs that a route names; where one of the two is missing there is none."""
    pairs = zip_longest(paths.each_of(route.tls_cert), paths.each_of(route.tls_key), fillvalue="")
    return tuple((certificate, key) for certificate, key in pairs if certificate and key)


def _of_clients(owner: Listener | Route) -> Iterator[tuple[str, Group]]:
    """Yield what the certificates of clients are judged by."""
    for name in ("client_ca", "client_crl") if owner.tls is not None else ():
        path: str | UnsetType = getattr(owner.tls, name)
        if not isinstance(path, UnsetType) and path:
            yield f"tls.{name}", (path,)


def _of_filter(options: FilterOptions, within: str) -> Iterator[tuple[str, Group]]:
    if options.basic_auth:
        yield f"{within}basic_auth", (options.basic_auth,)
    for statuses, path in options.error_pages:
        yield f"{within}error_pages.{statuses}", (path,)


def _all_owners(state: State) -> Iterator[Owner]:
    yield from state.listeners.values()
    yield from state.routes.values()
    yield from state.upstreams.values()
    yield from state.filters.values()
    yield from state.cases.values()
