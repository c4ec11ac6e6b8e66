"""Config texts for `tests.support.proxy.Proxy`, built from what a test is about."""

import json
from collections.abc import Mapping

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.state import State


def config(*listeners: str, head: str = "", **proxy: int | str) -> str:
    """Return a whole file; ``proxy`` are keys of ``[proxy]`` (2 workers unless told), ``head`` comes before it."""
    return f"{head}\n[proxy]\n{_keys({'workers': 2, 'shutdown_timeout': '10s', **proxy})}{''.join(listeners)}"


def listener(port: str, *routes: str) -> str:
    """Return a listener on a placeholder port of 127.0.0.1 (``"PORT"``, ``"PORT_X"``) or on a whole address."""
    addr = port if ":" in port else f"127.0.0.1:{port}"
    return f"\n[[listeners]]\naddr = {json.dumps(addr)}\n{''.join(routes)}"


def route(hostname: str, backend: int | str, **options: str) -> str:
    """Return a route to a port on 127.0.0.1 or to any address."""
    address = f"127.0.0.1:{backend}" if isinstance(backend, int) else backend
    return f"[[listeners.routes]]\n{_keys({'hostname': hostname, 'backend': address, **options})}"


def _keys(values: Mapping[str, int | str]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def state(*listeners: str, **proxy: int | str) -> State:
    """Return what a config says, for tests of single parts; its addresses must be whole ones."""
    return resolve([Source("/tmp/mc-proxy.toml", config(*listeners, head="", **proxy))]).state
