"""Where a backend listens, and where a route leads: to one address or several, or to the upstream of a name."""

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """Where a backend listens: a host (name, IPv4 or IPv6 without brackets) and port, or a Unix socket's path."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """Return the form the config file uses."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class RouteBackend(msgspec.Struct, frozen=True):
    """Where a route leads: its own endpoints, or those of an upstream; one of the two is empty, both where the route answers itself."""

    endpoints: tuple[Endpoint, ...] = ()
    upstream: str = ""

    def __str__(self) -> str:
        """Return the name, or the addresses joined by commas."""
        return self.upstream or ", ".join(map(str, self.endpoints))
