"""Everything that is counted, in the formats of Prometheus; one home of prometheus_client.

Labels are names from the configuration and words of ours, never what a client says. Series without activity are left
out: a proxy of ten thousand routes, a hundred of them in use, has a hundred times as many series as one of one route.
"""

import gzip
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import exposition
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from mcproxy.control.counters.totals import Totals
from mcproxy.control.observe.endpoint_metrics import endpoint_families
from mcproxy.control.observe.facts import Facts
from mcproxy.control.observe.filter_metrics import filter_families
from mcproxy.control.observe.fleet_metrics import fleet_families
from mcproxy.control.observe.order_metrics import order_families
from mcproxy.control.observe.series import Lines, add_histogram, quoted
from mcproxy.model.state.state import RouteKey

_FAST = 1  # of gzip's levels: metrics repeat themselves, more time gains little


def expose(facts: Facts, totals: Totals, accept: str, *, compress: bool) -> tuple[bytes, str]:
    """Return all metrics in the format that a client accepts (its Accept header), and the content type.

    Takes long when there is much to tell, so it may run in a thread of its own.

    Args:
        facts: what control knows.
        totals: what the workers have counted.
        accept: the client's Accept header, "" if there is none.
        compress: with gzip.
    """
    try:
        encode, kind = exposition.choose_encoder(accept)
    except (ValueError, TypeError):  # a version that is none
        encode, kind = exposition.choose_encoder("")
    end = encode(_Families(()))
    parts = []
    for family, lines in families(facts, totals):
        parts.append(encode(_Families((family,))).removesuffix(end))
        parts.append("".join(lines).encode())
    body = b"".join((*parts, end))
    return gzip.compress(body, _FAST, mtime=0) if compress else body, kind


def families(facts: Facts, totals: Totals) -> Iterator[tuple[Metric, Lines]]:
    """Return all metrics, in an order in which people may read them; the arguments are those of `expose`."""
    for family in (*_control(facts, totals), *_listeners(facts, totals), _durations(facts, totals), _limits(totals)):
        yield family, ()
    yield _certificates(facts)
    yield _lists(facts)
    yield from order_families(facts.orders, facts.now)
    for family in fleet_families(facts.fleet):
        yield family, ()
    yield _broken_files(facts)
    yield from _routes(facts, totals)
    yield from filter_families(totals.filters)
    yield from endpoint_families(facts.endpoints)


class _Families(Collector):
    """Ready families, as the library takes them."""

    def __init__(self, ready: Iterable[Metric]) -> None:
        self._ready = ready

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._ready


def _control(facts: Facts, totals: Totals) -> Iterator[Metric]:
    yield InfoMetricFamily(
        "mcproxy_build",
        "Which mcproxy this is, and what relays its l4 connections; the value is always 1.",
        value={
            "version": facts.version,
            "python_version": platform.python_version(),
            "data_path": facts.data_path[0],
        },
    )
    yield GaugeMetricFamily(
        "mcproxy_config_generation",
        "Number of the live configuration: one more with every change, by the file or at run time.",
        value=facts.generation,
    )
    yield GaugeMetricFamily(
        "mcproxy_config_last_reload_successful",
        "1 if the configuration files, as they are now, are live; 0 if they are invalid, could not be applied, or their tests fail.",
        value=not facts.problems and not facts.failing_tests,
    )
    yield GaugeMetricFamily(
        "mcproxy_config_last_reload_success_timestamp_seconds",
        "When the configuration files were read last and found good, in seconds since the epoch.",
        value=facts.reloaded,
        unit="seconds",
    )
    yield GaugeMetricFamily(
        "mcproxy_config_drift",
        "Resources that are not as the configuration files say, because of runtime edits (mcproxyctl drift).",
        value=len(facts.drift),
    )
    yield GaugeMetricFamily(
        "mcproxy_guard_watching",
        "Generations whose routes are watched, to be withdrawn if they fail.",
        value=len(facts.guard.watches),
    )
    yield CounterMetricFamily(
        "mcproxy_guard_withdrawn",
        "Changes that the guard has undone since control started: their routes failed.",
        value=facts.guard.withdrawn,
    )
    yield CounterMetricFamily(
        "mcproxy_log_lines_dropped",
        "Lines of control's own log that standard error did not take.",
        value=facts.log_lines_dropped,
    )
    yield CounterMetricFamily(
        "mcproxy_worker_restarts",
        "Worker processes that died or hung and were replaced; each has cut its connections.",
        value=totals.worker_restarts,
    )
    yield GaugeMetricFamily(
        "mcproxy_draining_connections",
        "Open connections that were told to end: their route, listener or worker is going.",
        value=totals.draining,
    )
    yield CounterMetricFamily(
        "mcproxy_access_log_lines_dropped",
        "Lines of the access log that could not be written.",
        value=totals.log_lines_dropped,
    )
    yield CounterMetricFamily(
        "mcproxy_backend_redials",
        "Dials of backends of l7 routes that were made after one that had brought no connection, or one without use.",
        value=totals.backend_redials,
    )


def _listeners(facts: Facts, totals: Totals) -> Iterator[Metric]:
    accepted = CounterMetricFamily(
        "mcproxy_connections_accepted",
        "Connections that a listener has accepted, whatever became of them.",
        labels=("listener",),
    )
    opened = GaugeMetricFamily(
        "mcproxy_listener_connections_active",
        "Open connections of a listener, those without a route yet included: what max_connections limits.",
        labels=("listener",),
    )
    limit = GaugeMetricFamily(
        "mcproxy_listener_connections_limit",
        "The listener's max_connections; without a limit there is no series.",
        labels=("listener",),
    )
    blocks = CounterMetricFamily(
        "mcproxy_firewall_blocks",
        "Connections that the firewall has refused, by reason.",
        labels=("listener", "reason"),
    )
    checks = CounterMetricFamily(
        "mcproxy_health_checks",
        "Connections by which trusted proxies looked whether a listener is there: PROXY headers with LOCAL, or not a byte.",
        labels=("listener",),
    )
    dials = HistogramMetricFamily(
        "mcproxy_backend_dial_seconds",
        "Time to connect to a backend, of the connections that were established.",
        labels=("listener",),
        unit="seconds",
    )
    for addr, listener in totals.listeners.items():
        accepted.add_metric((addr,), listener.accepted)
        opened.add_metric((addr,), listener.open)
        for reason, count in listener.blocks.items():
            blocks.add_metric((addr, reason), count)
        if listener.health_checks:
            checks.add_metric((addr,), listener.health_checks)
        add_histogram(dials, (addr,), listener.dials)
    for addr, wanted in facts.state.listeners.items():
        if wanted.max_connections:
            limit.add_metric((addr,), wanted.max_connections)
    yield from (accepted, opened, limit, blocks, checks, dials)


def _durations(facts: Facts, totals: Totals) -> Metric:
    family = HistogramMetricFamily(
        "mcproxy_http_request_seconds",
        "Time from a request to the end of its response; of a tunnel (WebSocket) to the response's head. The first 200 routes that "
        'had requests have series of their own; route="_other" stands for the others of a listener.',
        labels=("listener", "route"),
        unit="seconds",
    )
    for (addr, hostname), route in totals.routes.items():
        if route.durations is not None and (addr, hostname) in facts.state.routes:
            add_histogram(family, (addr, hostname), route.durations)
    for addr, listener in totals.listeners.items():
        add_histogram(family, (addr, "_other"), listener.requests)
    return family


def _broken_files(facts: Facts) -> tuple[Metric, Lines]:
    name = "mcproxy_broken_files"
    family = GaugeMetricFamily(
        name,
        "Files that are broken or missing, and have their last good content in their place; without a route the country database.",
        labels=("listener", "route"),
    )
    broken = Counter(one.route or ("", "") for one in facts.stand_ins).items()
    return family, [f"{name}{{listener={quoted(addr)},route={quoted(route)}}} {n}\n" for (addr, route), n in broken]


def _certificates(facts: Facts) -> tuple[Metric, Lines]:
    text = "When the certificate that a route serves expires, in seconds since the epoch."
    return _ends("mcproxy_certificate_not_after_seconds", text, facts.expiries)


def _lists(facts: Facts) -> tuple[Metric, Lines]:
    text = "When the first of the CRLs ends by which a route judges clients, in seconds since the epoch."
    return _ends("mcproxy_client_crl_not_after_seconds", text, facts.crl_ends)


def _ends(name: str, text: str, ends: Mapping[RouteKey, float]) -> tuple[Metric, Lines]:
    family = GaugeMetricFamily(name, text, labels=("listener", "route"), unit="seconds")
    lines = [f"{name}{{listener={quoted(addr)},route={quoted(route)}}} {end}\n" for (addr, route), end in ends.items()]
    return family, lines


def _routes(facts: Facts, totals: Totals) -> Iterator[tuple[Metric, Lines]]:
    connections: list[str] = []
    active: list[str] = []
    octets: list[str] = []
    responses: list[str] = []
    blocks: list[str] = []
    errors = [
        f'mcproxy_connection_errors_total{{listener={quoted(addr)},reason="{reason}",route=""}} {count}\n'
        for addr, counted in totals.listeners.items()
        for reason, count in counted.errors.items()
    ]
    statuses: list[str] = []
    for key, route in totals.routes.items():
        wanted = facts.state.routes.get(key)
        if wanted is None:
            continue  # it is going
        listener, name = f"listener={quoted(key[0])}", f"route={quoted(key[1])}"
        labels = f'{listener},mode="{wanted.mode}",{name}'
        connections.append(f"mcproxy_connections_total{{{labels}}} {route.connections}\n")
        active.append(f"mcproxy_connections_active{{{labels}}} {route.active}\n")
        octets.append(f'mcproxy_bytes_total{{direction="received",{listener},{name}}} {route.received}\n')
        octets.append(f'mcproxy_bytes_total{{direction="sent",{listener},{name}}} {route.sent}\n')
        for (protocol, code), count in route.responses.items():
            labels = f'code="{code}",{listener},protocol="{protocol}",{name}'
            responses.append(f"mcproxy_http_requests_total{{{labels}}} {count}\n")
        for policy, count in route.blocks.items():
            blocks.append(f'mcproxy_policy_blocks_total{{{listener},{name},type="{policy}"}} {count}\n')
        for reason, count in route.errors.items():
            errors.append(f'mcproxy_connection_errors_total{{{listener},reason="{reason}",{name}}} {count}\n')
        for status, count in route.grpc.items():
            statuses.append(f'mcproxy_grpc_requests_total{{grpc_status="{status}",{listener},{name}}} {count}\n')
    family = CounterMetricFamily(
        "mcproxy_connections",
        "Connections that were given to a route.",
        labels=("listener", "route", "mode"),
    )
    yield family, connections
    gauge = GaugeMetricFamily(
        "mcproxy_connections_active",
        "Open connections of a route.",
        labels=("listener", "route", "mode"),
    )
    yield gauge, active
    family = CounterMetricFamily(
        "mcproxy_bytes",
        "Bytes between clients and proxy: received from them, sent to them; on l4 routes TLS included, on l7 without it.",
        labels=("listener", "route", "direction"),
        unit="bytes",
    )
    yield family, octets
    family = CounterMetricFamily(
        "mcproxy_http_requests",
        "HTTP requests by the client's protocol and the status it was answered, or aborted: the client left before that.",
        labels=("listener", "route", "protocol", "code"),
    )
    yield family, responses
    family = CounterMetricFamily(
        "mcproxy_connection_errors",
        "Connections and requests that were refused, failed or were broken off, by reason; without a route where none was chosen.",
        labels=("listener", "route", "reason"),
    )
    yield family, errors
    family = CounterMetricFamily(
        "mcproxy_grpc_requests",
        "gRPC requests by the status that the client was told; none: it was broken off, or what came was no gRPC.",
        labels=("listener", "route", "grpc_status"),
    )
    yield family, statuses
    family = CounterMetricFamily(
        "mcproxy_policy_blocks",
        "HTTP requests that a policy of the route has refused, by its type.",
        labels=("listener", "route", "type"),
    )
    yield family, blocks


def _limits(totals: Totals) -> Metric:
    limits = CounterMetricFamily(
        "mcproxy_limits_hit",
        "How often a peer ran into one of [limits], by its key.",
        labels=("limit",),
    )
    for limit, count in totals.limits.items():
        limits.add_metric((limit,), count)
    return limits
