"""Upstreams and their endpoints in tables."""

import time
from collections.abc import Iterable

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.columns import Table
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import print_json, print_table
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.text import age, amount, counts, source

_UPSTREAMS = ("UPSTREAM", "CONDITION", "USABLE", "ACTIVE", "ROUTES", "BALANCE", "CHECK", "FROM")
_ENDPOINTS = (
    *("UPSTREAM", "ADDRESS", "STATE", "SINCE", "ACTIVE", "WEIGHT", "LAST CHECK"),
    *("TOTAL", "FAILURES", "EJECTED", "IN", "OUT", "FROM"),
)
_CONDITIONS = {"degraded": "yellow", "panic": "red", "down": "red"}


def upstreams(server: Server) -> int:
    """Print every upstream."""
    with server.client() as client:
        answer = client.list_endpoints()
    if server.as_json:
        print_json(api.to_builtins(pb.ListEndpointsResponse(generation=answer.generation, upstreams=answer.upstreams)))
        return OK
    styles = [_CONDITIONS.get(row.condition, "") for row in answer.upstreams]
    _print(upstream_table(answer.upstreams), styles, server)
    return OK


def endpoints(server: Server, upstream: str) -> int:
    """Print the endpoints of an upstream, or all."""
    with server.client() as client:
        answer = client.list_endpoints(upstream)
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    styles = ["" if row.usable else "yellow" if row.state != "ready" else "red" for row in answer.endpoints]
    _print(endpoint_table(answer.endpoints, time.time()), styles, server)
    return OK


def condition(row: pb.UpstreamStatus) -> str:
    """Return what is to be said of an upstream that is not well."""
    if not row.ready:
        return f"{row.name}: {row.condition}, all its endpoints are in drain or maintenance"
    return f"{row.name}: {row.condition}, {row.usable} of {row.ready} endpoints usable"


def upstream_table(rows: Iterable[pb.UpstreamStatus]) -> Table:
    """Return a table of upstreams."""
    cells = [
        (
            row.name,
            row.condition,
            f"{row.usable} of {row.endpoints}",
            str(row.active),
            str(row.routes),
            row.balance,
            row.check or "-",
            source(row.provenance),
        )
        for row in rows
    ]
    return Table(
        _UPSTREAMS, cells, ("ACTIVE", "ROUTES"), ("UPSTREAM",), ("FROM", "CHECK", "BALANCE", "ROUTES", "ACTIVE")
    )


def endpoint_table(rows: Iterable[pb.Endpoint], now: float) -> Table:
    """Return a table of endpoints; ``now`` in seconds since the epoch."""
    cells = [
        (
            row.upstream,
            _address(row),
            _state(row),
            age(now - row.since.seconds) if row.since.seconds else "-",
            f"{row.active} of {row.max_active}" if row.max_active else str(row.active),
            _weight(row),
            _check(row, now),
            str(row.connections),
            counts({"dial": row.dial_failures, "answer": row.errors, "reset": row.resets}),
            str(row.ejections),
            amount(row.bytes_received),
            amount(row.bytes_sent),
            source(row.provenance),
        )
        for row in rows
    ]
    return Table(
        _ENDPOINTS,
        cells,
        ("SINCE", "ACTIVE", "WEIGHT", "TOTAL", "EJECTED", "IN", "OUT"),
        ("UPSTREAM", "ADDRESS"),
        ("FROM", "IN", "OUT", "EJECTED", "TOTAL", "WEIGHT", "FAILURES"),
    )


def _print(table: Table, styles: Iterable[str], server: Server) -> None:
    headers, rows, right, whole, drop = table
    print_table(headers, rows, styles, right=right, whole=whole, drop=drop, wide=server.wide)


def _address(row: pb.Endpoint) -> str:
    return row.address if row.label in ("", row.address) else f"{row.address} ({row.label})"


def _state(row: pb.Endpoint) -> str:
    """Return what is known of an endpoint, and what the operator wants of it if that is something special, or all there is."""
    known = "" if row.verdict == "unknown" or (row.verdict == "up" and row.state != "ready") else row.verdict
    return ", ".join(filter(None, (row.state if row.state != "ready" or not known else "", known)))


def _weight(row: pb.Endpoint) -> str:
    share = "" if row.share == 1 else f" ({row.share:.0%})"
    return f"{row.weight}{share}{' backup' if row.backup else ''}"


def _check(row: pb.Endpoint, now: float) -> str:
    """Return when an endpoint was checked, and what came of it."""
    if not row.last_check.seconds:
        return row.reason or "-"
    when = f"{age(now - row.last_check.seconds)} ago"
    told = row.last_error or (row.reason if row.verdict == "ejected" else "")
    return "; ".join(filter(None, (f"overdue, {when}" if row.overdue else when, told)))
