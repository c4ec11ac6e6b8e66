"""Config texts with any key, for `tests.support.proxy.Proxy`; counters are read by `tests.support.l4.stop_and_count`."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import tomlkit

Table: TypeAlias = dict[str, Any]


def config(*listeners: Table, firewall: Mapping[str, object] | None = None, **proxy: object) -> str:
    """Return a config; ``proxy`` are further keys of ``[proxy]`` (one worker unless told)."""
    tables: Table = {
        "log": {"format": "json"},
        "proxy": {"workers": 1, "shutdown_timeout": "1s", **proxy},
        "firewall": dict(firewall or {}),
        "listeners": list(listeners),
    }
    return tomlkit.dumps(tables)


def listener(addr: str, routes: Sequence[Table], **keys: object) -> Table:
    """Return a listener with further keys (``proxy_protocol=True``)."""
    return {"addr": addr, **keys, "routes": list(routes)}


def route(backend: str | int, hostname: str = "*", **keys: object) -> Table:
    """Return a route to an address, or to a port of 127.0.0.1, with further keys (``send_proxy_protocol=True``)."""
    address = f"127.0.0.1:{backend}" if isinstance(backend, int) else backend
    return {"hostname": hostname, "backend": address, **keys}
