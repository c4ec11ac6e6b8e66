"""The commands of `mcproxyctl` about the running process: restart, and those that go on until Ctrl-C, events and top."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import msgspec

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.columns import Table, printable
from mcproxy.cli.common.options import FAILED, OK
from mcproxy.cli.common.output import print_json, print_table
from mcproxy.cli.ctl.options import Server, user
from mcproxy.cli.ctl.show.status import troubles
from mcproxy.cli.ctl.text import amount, counts, moment, rate


def restart(server: Server, author: str | None, reason: str) -> int:
    """Have the program started anew, and print what serves then."""
    with server.client() as client:
        answer = client.restart(author=user() if author is None else author, reason=reason)
    if server.as_json:
        print_json(api.to_builtins(answer))
    else:
        print(
            f"restarted: mcproxy {answer.version} serves as process {answer.pid}, generation {answer.generation} is live"
        )
    return OK


def events(server: Server, recent: int) -> int:
    """Print what happens, as it happens."""
    try:
        with server.client() as client:
            for event in client.watch_events(recent):
                if server.as_json:
                    print(msgspec.json.encode(api.to_builtins(event)).decode(), flush=True)
                else:
                    why = [f"label: {event.label}"] if event.label else []
                    lines = "".join(f"\n    {line}" for line in (*why, *event.lines))
                    print(f"{moment(event.time)}  {event.kind:<11}  {event.message}{lines}", flush=True)
    except KeyboardInterrupt:
        return OK
    print("mcproxyctl: the server has ended", file=sys.stderr)
    return FAILED


class Row(msgspec.Struct, frozen=True):
    """What one route did between two samples.

    Attributes:
        listener: the listener's address.
        hostname: the route's.
        active_connections: open now.
        connections_per_second: new ones.
        requests_per_second: of HTTP.
        bytes_received_per_second: from clients.
        bytes_sent_per_second: to clients.
        errors_per_second: connections and requests that failed.
        errors: how many of them since the earlier sample, by reason.
        failing: what failed last, of a route that fails now; else "".
    """

    listener: str
    hostname: str
    active_connections: int
    connections_per_second: float
    requests_per_second: float
    bytes_received_per_second: float
    bytes_sent_per_second: float
    errors_per_second: float = 0.0
    errors: Mapping[str, int] = {}
    failing: str = ""


class Sample(msgspec.Struct, frozen=True):
    """The counters of all routes at one time.

    Attributes:
        taken: when, in seconds of `time.monotonic`.
        generation: the live one.
        routes: by listener and hostname.
    """

    taken: float
    generation: int
    routes: Mapping[tuple[str, str], pb.Route]


def busiest(before: Sample, after: Sample) -> list[Row]:
    """Return what every route did between two samples: first those that fail, then the busiest."""
    seconds = after.taken - before.taken
    none = pb.Route()
    rows = []
    for key, now in after.routes.items():
        then = before.routes.get(key, none)
        if now.connections < then.connections:
            then = none  # the server has begun anew
        errors = {
            reason: count - then.errors[reason] if reason in then.errors else count
            for reason, count in now.errors.items()
            if reason not in then.errors or count > then.errors[reason]
        }
        rows.append(
            Row(
                *key,
                now.active_connections,
                (now.connections - then.connections) / seconds,
                max(0, now.requests - then.requests) / seconds,
                max(0, now.bytes_received - then.bytes_received) / seconds,
                max(0, now.bytes_sent - then.bytes_sent) / seconds,
                sum(errors.values()) / seconds,
                errors,
                now.last_error if now.failing_since.seconds else "",
            )
        )
    return sorted(rows, key=_calm)


def _calm(row: Row) -> tuple[bool, float, float, float, float, int, str, str]:
    return (
        not row.failing,
        -row.errors_per_second,
        -row.bytes_received_per_second - row.bytes_sent_per_second,
        -row.requests_per_second,
        -row.connections_per_second,
        -row.active_connections,
        row.hostname,
        row.listener,
    )


_HEADERS = ("LISTENER", "HOSTNAME", "ACTIVE", "CONN/S", "REQ/S", "IN/S", "OUT/S", "ERR/S", "ERRORS")
_RIGHT = _HEADERS[2:-1]
_FRAME = Table(_HEADERS, (), _RIGHT, ("LISTENER", "HOSTNAME"), ("CONN/S", "IN/S", "OUT/S"))

_DUMB = ("dumb", "unknown", "")
"""Terminals on which nothing can be drawn over: they get sample after sample, as a pipe."""

_Show = Callable[[Sequence[str], Sequence[Sequence[str]]], None]


def top(server: Server, interval: float, *, once: bool) -> int:
    """Show what the routes do, sample by sample, ``interval`` seconds apart."""
    screen: AbstractContextManager[_Show] = nullcontext(_print_sample)
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in _DUMB and not once and not server.as_json:
        from mcproxy.cli.common.render import live_table

        screen = live_table(_FRAME)
    try:
        with server.client() as client, screen as show:
            before = _sample(client.list_routes())
            while True:
                time.sleep(interval)
                after, known = _sample(client.list_routes()), client.get_status()
                rows, troubled = busiest(before, after), list(map(_line, troubles(known, routes=False)))
                if server.as_json:
                    upstreams = [api.to_builtins(one) for one in known.troubled_upstreams]
                    told = {
                        "generation": after.generation,
                        "troubles": troubled,
                        "routes": rows,
                        "upstreams": upstreams,
                    }
                    print(msgspec.json.encode(told).decode(), flush=True)
                else:
                    show([_title(after, rows), *troubled], [_cells(row) for row in rows])
                if once:
                    return OK
                before = after
    except KeyboardInterrupt:
        return OK


def _sample(answer: pb.ListRoutesResponse) -> Sample:
    routes = {(route.listener, route.hostname): route for route in answer.routes}
    return Sample(time.monotonic(), answer.generation, routes)


def _title(sample: Sample, rows: Sequence[Row]) -> str:
    active = sum(row.active_connections for row in rows)
    connections, requests = (
        sum(getattr(row, f"{what}_per_second") for row in rows) for what in ("connections", "requests")
    )
    received, sent = (sum(getattr(row, f"bytes_{way}_per_second") for row in rows) for way in ("received", "sent"))
    return (
        f"{time.strftime('%H:%M:%SZ', time.gmtime())}  generation {sample.generation}  {active} active  "
        f"{rate(connections)} connections/s  {rate(requests)} requests/s  in {amount(received)}/s  out {amount(sent)}/s"
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.listener,
        row.hostname,
        str(row.active_connections),
        rate(row.connections_per_second),
        rate(row.requests_per_second),
        amount(row.bytes_received_per_second),
        amount(row.bytes_sent_per_second),
        rate(row.errors_per_second),
        "; ".join(filter(None, (counts(row.errors) if row.errors else "", row.failing))),
    )


def _line(trouble: tuple[str, str]) -> str:
    name, what = trouble
    return printable(f"{name}: {what}" if name else what)


def _print_sample(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(*head, sep="\n", end="\n\n")
    print_table(_HEADERS, rows, right=_RIGHT, whole=_FRAME.whole, drop=_FRAME.drop)
    sys.stdout.flush()
