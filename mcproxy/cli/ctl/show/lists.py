"""Listeners, routes, policies, the firewall and connections in tables; connections can be closed."""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import count, print_json, print_table
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.text import age, amount, counts, source
from mcproxy.model.values import durations


def listeners(server: Server) -> int:
    """Print every listener."""
    with server.client() as client:
        answer = client.list_listeners()
    if server.as_json:
        print_json(api.to_builtins(answer))
    else:
        print_listeners(answer.listeners, wide=server.wide)
    return OK


def print_listeners(rows: Iterable[pb.ListenerStatus], *, wide: bool) -> None:
    """Print listeners in a table."""
    print_table(
        (
            "LISTENER",
            "PROTOCOL",
            "ROUTES",
            "ACTIVE",
            "LIMIT",
            "ACCEPTED",
            "REFUSED",
            "FAILED",
            "ABORTED",
            "PROXY PROTOCOL",
            "FROM",
        ),
        [
            (
                row.addr,
                row.protocol or "tls",
                str(row.routes),
                str(row.active_connections),
                str(row.max_connections or "-"),
                str(row.accepted_connections),
                counts(row.refused),
                counts(row.failed),
                str(sum(row.client_aborts.values())),
                _proxy_protocol(row),
                source(row.provenance),
            )
            for row in rows
        ],
        right=("ROUTES", "ACTIVE", "LIMIT", "ACCEPTED", "ABORTED"),
        whole=("LISTENER",),
        drop=("PROXY PROTOCOL", "PROTOCOL", "FROM", "ABORTED", "ROUTES", "LIMIT", "ACCEPTED"),
        wide=wide,
    )


def _proxy_protocol(row: pb.ListenerStatus) -> str:
    if not row.proxy_protocol:
        return "-"
    if not row.trusted_proxies:
        return "of anyone"
    others = "; others direct" if row.untrusted == "direct" else ""
    return f"of {', '.join(row.trusted_proxies)}{others}"


_ORDERS: Mapping[str, Callable[[pb.Route], int]] = {
    "errors": lambda row: row.errors_total,
    "active": lambda row: row.active_connections,
    "total": lambda row: row.connections,
    "bytes": lambda row: row.bytes_received + row.bytes_sent,
}
ORDERS = ("hostname", *_ORDERS)
"""What routes can be sorted by; what is counted the highest first."""


def routes(server: Server, listener: str, order: str, match: str, limit: int) -> int:
    """Print the routes of a listener, or all, in one of `ORDERS`; those with a text in them, and 0 or at most ``limit``."""
    with server.client() as client:
        answer = client.list_routes(listener)
    by = _ORDERS.get(order)
    if by is not None:
        answer.routes.sort(key=lambda row: -by(row))
    found = [
        row for row in answer.routes if match.lower() in f"{row.hostname} {row.backend} {row.provenance.origin}".lower()
    ]
    shown = found[: limit or None]
    if server.as_json:
        print_json(api.to_builtins(pb.ListRoutesResponse(generation=answer.generation, routes=shown)))
        return OK
    http = ("CASES", "FILTERS") if any(row.cases or row.filters for row in shown) else ()
    print_table(
        ("LISTENER", "HOSTNAME", "MODE", "BACKEND", *http, "ACTIVE", "TOTAL", "ERRORS", "IN", "OUT", "FROM"),
        [
            (
                row.listener,
                row.hostname,
                row.mode,
                _action(row),
                *((str(len(row.cases) or "-"), _filters(row)) if http else ()),
                str(row.active_connections),
                str(row.connections),
                counts(row.errors),
                amount(row.bytes_received),
                amount(row.bytes_sent),
                source(row.provenance),
            )
            for row in shown
        ],
        right=("CASES", "ACTIVE", "TOTAL", "IN", "OUT"),
        whole=("LISTENER", "HOSTNAME", "BACKEND"),
        drop=("FROM", "OUT", "IN", "TOTAL", "MODE", *reversed(http)),
        wide=server.wide,
    )
    if len(shown) < len(found):
        print(f"and {count(len(found) - len(shown), 'route')} more: --limit", file=sys.stderr)
    return OK


def _action(row: pb.Route) -> str:
    """Return where a route leads, or what it answers."""
    if row.redirect:
        return f"redirect {row.redirect}"
    if row.respond or row.respond_file:
        return f"respond {row.status or 200} {row.respond_file}".rstrip()
    return row.backend + _backend_notes(row)


def _filters(row: pb.Route) -> str:
    """Return the filters that hold for a route, with what they have refused."""
    blocked = sum(row.filter_blocks.values())
    return (", ".join(row.filters) or "-") + (f" ({blocked} refused)" if blocked else "")


def _backend_notes(row: pb.Route) -> str:
    """Return what is special about the way to the backend."""
    notes = []
    if row.mode == "l7":  # what has no effect is not told
        if row.backend_tls:
            notes.append(f"TLS {row.backend_server_name}".rstrip())
        if row.backend_protocol not in ("", "auto"):
            notes.append(row.backend_protocol)
    if row.send_proxy_protocol:
        notes.append("PROXY v1" if row.proxy_protocol_version == "v1" else "PROXY")
    return f" ({', '.join(notes)})" if notes else ""


def policies(server: Server, listener: str, hostname: str) -> int:
    """Print the policies of a route or listener, or all."""
    with server.client() as client:
        answer = client.list_l7_policies(listener, hostname)
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    print_table(
        ("LISTENER", "HOSTNAME", "TYPE", "VALUE", "BLOCKED", "FROM"),
        [
            (row.listener, row.hostname, row.type, row.value, str(row.blocked_requests), source(row.provenance))
            for row in answer.policies
        ],
        right=("BLOCKED",),
        whole=("LISTENER", "HOSTNAME"),
        drop=("FROM",),
        wide=server.wide,
    )
    return OK


def firewall(server: Server) -> int:
    """Print the firewall's rules, the rate limit, and what both refused."""
    with server.client() as client:
        answer = client.get_firewall_rules()
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    if answer.rules:
        print_table(
            ("TYPE", "VALUE", "FROM"),
            [(rule.type, rule.value, source(rule.provenance)) for rule in answer.rules],
            whole=("VALUE",),
            drop=("FROM",),
            wide=server.wide,
        )
        print()
    window = durations.render(answer.rate_window.seconds + answer.rate_window.nanos / 1e9)
    rate = f"{count(answer.rate_limit, 'connection')} per client and {window}" if answer.rate_limit else "off"
    print_table(
        ("", ""),
        [
            ("rules", str(len(answer.rules) or "none")),
            *([("others", "denied")] if answer.default == "deny" else []),
            *([("open", f"{answer.connections_per_client} per client")] if answer.connections_per_client else []),
            ("rate limit", rate),
            ("countries", answer.geoip_db or "no database"),
            ("refused", counts(answer.blocked)),
        ],
        header=False,
    )
    return OK


def connections(server: Server, listener: str, hostname: str, limit: int) -> int:
    """Print open connections, oldest first."""
    with server.client() as client:
        answer = client.list_connections(listener, hostname, limit)
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    print_table(
        ("CLIENT", "LISTENER", "ROUTE", "STAGE", "AGE", "STREAMS", "WORKER"),
        [
            (
                row.client,
                row.listener,
                row.route or "-",
                row.stage,
                age(row.age.seconds),
                str(row.streams or "-"),
                str(row.worker_pid),
            )
            for row in answer.connections
        ],
        right=("AGE", "STREAMS", "WORKER"),
        whole=("CLIENT", "LISTENER", "ROUTE"),
        drop=("WORKER", "STREAMS"),
        wide=server.wide,
    )
    if len(answer.connections) < answer.total:
        print(f"\n{len(answer.connections)} of {answer.total}; --limit shows more")
    return OK


def close_connections(server: Server, listener: str, hostname: str, of: str, **asked: Any) -> int:
    """Close the open connections of a listener, route or client, as `Client.close_connections` takes them."""
    with server.client() as client:
        answer = client.close_connections(listener, hostname, of, **asked)
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    done = "closed" if not asked["drain"] else f"to end within {durations.render(asked['drain'])}"
    print(f"{count(answer.closed, 'connection')} {done}")
    return OK
