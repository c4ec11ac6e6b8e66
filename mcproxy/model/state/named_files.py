"""The files whose contents belong to a state."""

from mcproxy.model.state.state import State


def named_files(state: State) -> list[str]:
    """Return the paths of the files whose contents belong to a state, each once."""
    found = dict.fromkeys([str(state.settings["firewall.geoip_db"])])
    for route in state.routes.values():
        if route.mode == "l7":
            found |= dict.fromkeys((route.tls_cert, route.tls_key, route.backend_ca if route.backend_tls else ""))
    return [name for name in found if name]
