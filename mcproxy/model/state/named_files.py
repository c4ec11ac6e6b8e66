"""The files whose contents belong to a state."""

from typing import TypeAlias

from mcproxy.model.state.state import Route, State

Group: TypeAlias = tuple[str, ...]
"""Paths of files that are good or broken together: a certificate and its key, else a file alone."""


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


def group_of(route: Route, name: str) -> Group:
    """Return the group of the file that a route names in its key ``name``."""
    return (route.backend_ca,) if name == "backend_ca" else (route.tls_cert, route.tls_key)
