"""The files whose contents belong to a state."""

from collections.abc import Collection
from typing import TypeAlias

from mcproxy.model.state.kinds import origin_key
from mcproxy.model.state.state import Route, State, Upstream
from mcproxy.model.values.origins import Key

Group: TypeAlias = tuple[str, ...]
"""Paths of files that are good or broken together: a certificate and its key, else a file alone."""

Owner: TypeAlias = Route | Upstream
"""What names files of its own."""


def named_files(state: State) -> list[str]:
    """Return the paths of the files whose contents belong to a state, each once."""
    found = dict.fromkeys([str(state.settings["firewall.geoip_db"])])
    for route in state.routes.values():
        if route.mode == "l7":
            found |= dict.fromkeys((route.tls_cert, route.tls_key, route.backend_ca if route.backend_tls else ""))
    found |= dict.fromkeys(upstream.tls.ca for upstream in state.upstreams.values() if upstream.tls)
    return [name for name in found if name]


def file_groups(state: State) -> list[Group]:
    """Return the groups of all files whose contents belong to a state, each once."""
    found: dict[Group, None] = {(str(state.settings["firewall.geoip_db"]),): None}
    for route in state.routes.values():
        if route.mode == "l7":
            found[group_of(route, "tls_cert")] = None
            if route.backend_tls:
                found[group_of(route, "backend_ca")] = None
    found |= dict.fromkeys((upstream.tls.ca,) for upstream in state.upstreams.values() if upstream.tls)
    return [group for group in found if all(group)]


def owners(state: State, only: Collection[Key] | None = None) -> dict[Key, Owner]:
    """Return the routes and upstreams that name files, by kind and key; ``only``: of these, None for all."""
    found: dict[Key, Owner] = {
        origin_key("route", key): route for key, route in state.routes.items() if route.mode == "l7"
    }
    found |= {origin_key("upstream", name): it for name, it in state.upstreams.items() if it.tls is not None}
    return found if only is None else {key: owner for key, owner in found.items() if key in only}


def group_of(owner: Owner, name: str) -> Group:
    """Return the group of the file that a route or an upstream names in its key ``name``."""
    if isinstance(owner, Upstream):
        return (owner.tls.ca,) if owner.tls else ()
    return (owner.backend_ca,) if name == "backend_ca" else (owner.tls_cert, owner.tls_key)
