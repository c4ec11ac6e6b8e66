"""Where a backend listens."""

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
