"""Metrics of certificates that are ordered from a CA; one home of prometheus_client.

The label ``name`` is the hostname of the routes that a certificate is for.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mcproxy.control.observe.series import Lines, quoted
from mcproxy.policy.acme.facts import OrderFacts


def order_families(facts: OrderFacts, now: float) -> Iterator[tuple[Metric, Lines]]:
    """Return what is known of orders; ``now`` in seconds since the epoch. Where nothing is ordered there are no series."""
    orders = CounterMetricFamily(
        "mcproxy_acme_orders",
        "Orders of certificates that have ended since control started: issued, or failed, tries that go on later among them.",
        labels=("result",),
    )
    if facts.certificates or facts.issued or facts.failed:
        orders.add_metric(("issued",), facts.issued)
        orders.add_metric(("failed",), facts.failed)
    yield orders, ()
    name = "mcproxy_acme_last_error"
    yield (
        GaugeMetricFamily(
            name,
            "1 if the last try to order a certificate has failed: `mcproxyctl certificates show`.",
            labels=("name",),
        ),
        [f"{name}{{name={quoted(each.name)}}} {int(bool(each.error))}\n" for each in facts.certificates],
    )
    name = "mcproxy_acme_renewal_overdue"
    yield (
        GaugeMetricFamily(
            name,
            "The part that has passed of the time that a certificate had left when it was to be renewed: 0 before, 1 when it has ended. "
            "Before the first certificate there is no series.",
            labels=("name",),
        ),
        [f"{name}{{name={quoted(each.name)}}} {each.overdue(now):g}\n" for each in facts.certificates if each.served],
    )
