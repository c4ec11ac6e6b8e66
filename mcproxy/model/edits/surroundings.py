"""What is put around a resource that is judged: as much of the live state as the checks of the file look at."""

from collections.abc import Iterable, Mapping
from typing import Any

from mcproxy.model.edits.stored import fields_of, to_json
from mcproxy.model.state.kinds import KindName, table_of
from mcproxy.model.state.state import Listener, RouteKey, State

SOME_ADDRESS = "some.invalid:1"
_MOST = 200  # upstreams or filters among which the one that may be meant is looked for


def around(live: State, addr: str, *tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of what places at a listener lead to and use, without the listener.

    Args:
        live: what is in effect.
        addr: the address of the listener; "" for none.
        tables: of the places, in the words of the file: route, case, filter.
    """
    used = list(live.listeners[addr].use) if addr in live.listeners else []
    asked: list[object] = []
    for table in tables:
        used += [name for key in ("use", "without") for name in _listed(table.get(key))]
        asked += [table.get("backend"), _asked(table), _asked(_table(table.get("filter")))]
    filters = _named(live, "filter", used)
    asked += (_asked(table) for table in filters.values())
    database = live.settings.get("firewall.geoip_db", "")
    return {
        **_acme(live, tables),
        "upstreams": _upstreams(live, asked),
        "filters": filters,
        **({"firewall": {"geoip_db": database}} if database else {}),
    }


def listener_around(live: State, addr: str) -> dict[str, Any]:
    """Return as much of a listener as its routes are judged by."""
    listener = live.listeners.get(addr, Listener(addr))
    tls = {} if listener.tls is None else {"tls": fields_of(listener)["tls"]}
    return {"addr": addr, "protocol": listener.protocol, "use": list(listener.use), **tls}


def children_around(live: State, route: RouteKey) -> dict[str, Any]:
    """Return what belongs to a route as far as the route has to suit it: its policies, and one of its cases if it has any."""
    policies = [fields_of(policy) for key, policy in live.policies.items() if key[:2] == route]
    cases = [{"match": key[2]} for key in live.cases if key[:2] == route]
    return {"l7_policies": policies, "cases": cases[:1]}


def _acme(live: State, tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return whom certificates are ordered from, as far as routes that order theirs are judged by it."""
    ordered = any(table.get("certificate") for table in tables) and live.settings.get("acme.directory")
    return {"acme": {name: live.settings[f"acme.{name}"] for name in ("directory", "challenge")}} if ordered else {}


def _upstreams(live: State, backends: Iterable[object]) -> dict[str, Any]:
    """Return the upstreams that backends name as they are in the file, with some endpoint.

    Where there is none, the names of all, for one of them may be meant.
    """
    named = [backend for backend in backends if isinstance(backend, str) and backend and not set(":/") & set(backend)]
    found = _named(live, "upstream", named)
    return {name: {**table, "endpoints": [SOME_ADDRESS]} for name, table in found.items()}


def _named(live: State, kind: KindName, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return resources of a kind by their names, in the words of the file; if one is not there, the names of all beside them."""
    table = table_of(live, kind)
    wanted = set(names)
    found = {name: to_json(kind, name, table[name]) for name in sorted(wanted & table.keys())}
    all_names = table if wanted - table.keys() and len(table) <= _MOST else ()
    return {**{name: {} for name in all_names}, **found}


def _asked(table: Mapping[str, Any]) -> object:
    return _table(table.get("forward_auth")).get("backend")


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list | tuple) else []
