"""What is counted of cases and filters, as metrics; one home of prometheus_client."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from mcproxy.control.counters.filter_totals import FilterTotals
from mcproxy.control.observe.series import Lines, add_histogram, quoted
from mcproxy.net.memory.sparse_counters import AMBIGUOUS, BACKEND_TLS, CLIENT_CERTIFICATE, HANDSHAKE, SESSION


def filter_families(totals: FilterTotals) -> Iterator[tuple[Metric, Lines]]:
    """Return the metrics of cases and filters; what never happened has no series."""
    cases = CounterMetricFamily(
        "mcproxy_case_requests",
        f'HTTP requests by the case that was chosen for them, of the cases that were; "{AMBIGUOUS}" where the path could be read as '
        'belonging to several. A worker counts 16,384 of these and of the like one by one; "_other" stands for the rest.',
        labels=("listener", "route", "case"),
    )
    yield (
        cases,
        [
            f"mcproxy_case_requests_total{{case={quoted(match)},listener={quoted(addr)},route={quoted(route)}}} {count}\n"
            for (addr, route, match), count in totals.cases.items()
        ],
    )
    blocks = CounterMetricFamily(
        "mcproxy_filter_blocks",
        "Connections (l4) and HTTP requests (l7) that a filter has refused, by the stage at which it did.",
        labels=("listener", "route", "filter", "stage"),
    )
    yield (
        blocks,
        [
            f"mcproxy_filter_blocks_total{{filter={quoted(name)},listener={quoted(addr)},route={quoted(route)},"
            f'stage="{stage}"}} {count}\n'
            for (addr, route, name, stage), count in totals.blocks.items()
        ],
    )
    for name, about, label, kind in (
        (
            "mcproxy_client_certificates",
            "Handshakes with clients of routes that ask for certificates, by what became of these: accepted, none where it may be so, else why not.",
            "result",
            CLIENT_CERTIFICATE,
        ),
        (
            "mcproxy_tls_handshake_failures",
            "Handshakes with clients that have failed for another reason than the client's certificate, by why.",
            "cause",
            HANDSHAKE,
        ),
        (
            "mcproxy_tls_sessions",
            "TLS sessions with clients, and whether they went on from an earlier connection, without a full handshake.",
            "resumed",
            SESSION,
        ),
        (
            "mcproxy_backend_tls_failures",
            "Connections to backends on which TLS has failed, by why.",
            "cause",
            BACKEND_TLS,
        ),
    ):
        yield (
            CounterMetricFamily(name, about, labels=("listener", "route", label)),
            [
                f"{name}_total{{{label}={quoted(word)},listener={quoted(addr)},route={quoted(route)}}} {count}\n"
                for (addr, route, word), count in totals.tls.get(kind, {}).items()
            ],
        )
    asked = HistogramMetricFamily(
        "mcproxy_forward_auth_seconds",
        "Time until the backend of a filter's forward_auth had answered a request, or it was given up.",
        labels=("filter",),
        unit="seconds",
    )
    for name, durations in totals.asked.items():
        add_histogram(asked, (name,), durations)
    yield asked, ()
