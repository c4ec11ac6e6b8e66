"""Metrics of upstreams and their endpoints; one home of prometheus_client.

The label ``endpoint`` is the address of the file: what stands under a name with ``resolve = "all"`` is summed up.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from mcproxy.control.health.endpoint_health import EndpointFacts
from mcproxy.control.observe.series import Lines, add_histogram, quoted
from mcproxy.model.state.state import EndpointKey


def endpoint_families(facts: EndpointFacts) -> Iterator[tuple[Metric, Lines]]:
    """Return what is known and counted of endpoints."""
    usable: dict[EndpointKey, list[bool]] = {}
    for endpoint in facts.endpoints:
        usable.setdefault((endpoint.upstream, endpoint.label), []).append(endpoint.usable)
    labels = {key: f"endpoint={quoted(key[1])}" for key in usable}
    upstreams = {key: f"upstream={quoted(key[0])}" for key in usable}
    yield (
        GaugeMetricFamily(
            "mcproxy_endpoint_usable",
            "1 if an endpoint gets new connections and requests: by its checks, by its traffic, and by the operator. Of a name with "
            'resolve = "all" the part of its addresses that do.',
            labels=("upstream", "endpoint"),
        ),
        [
            f"mcproxy_endpoint_usable{{{labels[key]},{upstreams[key]}}} {sum(each) / len(each):g}\n"
            for key, each in usable.items()
        ],
    )
    active: list[str] = []
    taken: list[str] = []
    failures: list[str] = []
    ejections: list[str] = []
    retries: dict[tuple[str, str], int] = {}
    for key, counted in facts.counted.items():
        both, totals = f"{labels[key]},{upstreams[key]}", counted.totals
        if not (totals.taken or counted.ejections):
            continue
        active.append(f"mcproxy_endpoint_active{{{both}}} {totals.active}\n")
        taken.append(f"mcproxy_endpoint_connections_total{{{both}}} {totals.taken}\n")
        for reason, count in totals.failures.items():
            if count:
                series = f'{labels[key]},reason="{reason}",{upstreams[key]}'
                failures.append(f"mcproxy_endpoint_failures_total{{{series}}} {count}\n")
        if counted.ejections:
            ejections.append(f"mcproxy_endpoint_ejections_total{{{both}}} {counted.ejections}\n")
        for reason, count in totals.retries.items():
            retries[key[0], reason] = retries.get((key[0], reason), 0) + count
    yield (
        GaugeMetricFamily(
            "mcproxy_endpoint_active",
            "Connections (l4) and requests (l7) that are open at an endpoint.",
            labels=("upstream", "endpoint"),
        ),
        active,
    )
    yield (
        CounterMetricFamily(
            "mcproxy_endpoint_connections",
            "Connections (l4) and requests (l7) that an endpoint was chosen for.",
            labels=("upstream", "endpoint"),
        ),
        taken,
    )
    yield (
        CounterMetricFamily(
            "mcproxy_endpoint_failures",
            "Those that failed there, by what did: the dial, the answer (502, 503, 504), or the connection (reset).",
            labels=("upstream", "endpoint", "reason"),
        ),
        failures,
    )
    yield (
        CounterMetricFamily(
            "mcproxy_endpoint_ejections",
            "How often an endpoint was left out for a while because half of its traffic failed.",
            labels=("upstream", "endpoint"),
        ),
        ejections,
    )
    yield (
        CounterMetricFamily(
            "mcproxy_retries",
            "Connections (l4) and requests (l7) that went on to another endpoint, by what had failed at the one before.",
            labels=("upstream", "reason"),
        ),
        [
            f'mcproxy_retries_total{{reason="{reason}",upstream={quoted(upstream)}}} {count}\n'
            for (upstream, reason), count in retries.items()
            if count
        ],
    )
    yield _panic(facts), ()
    yield _checks(facts), ()


def _panic(facts: EndpointFacts) -> Metric:
    family = GaugeMetricFamily(
        "mcproxy_upstream_panic",
        "1 while no endpoint of an upstream is usable that the operator has ready; without trouble there is no series.",
        labels=("upstream",),
    )
    for upstream in facts.panicking:
        family.add_metric((upstream,), 1)
    return family


def _checks(facts: EndpointFacts) -> Metric:
    family = HistogramMetricFamily(
        "mcproxy_check_seconds",
        "Time that checks of an upstream's endpoints took, failed ones included.",
        labels=("upstream",),
        unit="seconds",
    )
    for upstream, durations in facts.checks.items():
        add_histogram(family, (upstream,), durations)
    return family
