"""How a backend is told about: what it is reached by, and as what."""

from msgspec import UnsetType

from mcproxy.model.state.state import Route
from mcproxy.model.values import durations


def backend(route: Route) -> str:
    """Return how the backend of a route is reached."""
    endpoints = ", ".join(map(str, route.endpoints))
    if route.mode == "l4":
        what = f"TLS is passed through (l4) to {endpoints}"
    else:
        speaks = {"h2": "HTTP/2", "http/1.1": "HTTP/1.1"}.get(route.backend_protocol)
        if route.backend_tls:
            name = route.backend_server_name or route.endpoints[0].host
            what = f"{endpoints} by {speaks or 'HTTP/2 or HTTP/1.1, as ALPN says,'} over TLS, verified for {name}"
        else:
            what = f"{endpoints} by {speaks or 'HTTP/2 if it answers that, else HTTP/1.1,'} in cleartext"
    if route.send_proxy_protocol:
        what += ", which is told the client's address by a PROXY header"
        if route.proxy_protocol_version != "v2":
            what += f" ({route.proxy_protocol_version})"
        if route.proxy_protocol_destination == "original":
            what += " with the client's original destination"
    own = {"connect_timeout": route.connect_timeout, "idle_timeout": route.idle_timeout}
    limits = [f"{name} {durations.render(value)}" for name, value in own.items() if not isinstance(value, UnsetType)]
    return "; ".join((what, ", ".join(limits))) if limits else what
