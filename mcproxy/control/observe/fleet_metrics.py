"""Metrics of the fleet that this machine is a node of; one home of prometheus_client."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from mcproxy.policy.fleet.facts import NODE_STATES, FleetFacts


def fleet_families(facts: FleetFacts) -> Iterator[Metric]:
    """Return what is known of the fleet; where this machine is no node there are no series."""
    states = GaugeMetricFamily(
        "mcproxy_fleet_nodes",
        "Nodes of the fleet that are there: they run what they should, run another document, or fail to run it.",
        labels=("state",),
    )
    if facts.node:
        counted = Counter(facts.nodes.values())
        for state in NODE_STATES:
            states.add_metric((state,), counted[state])
    yield states
    ahead = GaugeMetricFamily(
        "mcproxy_fleet_clock_ahead_seconds",
        "By how much the clock of another node is ahead of this one's (behind: negative), where that is more than 5 s.",
        labels=("node",),
        unit="seconds",
    )
    for name, seconds in facts.ahead.items():
        ahead.add_metric((name,), seconds)
    yield ahead
    for name, text, value in (
        ("connected", "1 if the fleet's store answers, 0 if it is away.", int(facts.connected)),
        (
            "last_contact_timestamp_seconds",
            "When the fleet's store answered last, in seconds since the epoch; 0 for never.",
            facts.contact,
        ),
        ("document_revision", "Revision of the fleet's document that is live here; 0 for none.", facts.revision),
        (
            "edits",
            "Runtime edits of the fleet, of which this node has as many in effect as it can.",
            facts.edits,
        ),
        (
            "problems",
            "What is wrong with the fleet as this node sees it, its store being away aside: `mcproxyctl status`.",
            len(facts.problems),
        ),
        ("rollout", "1 while a document is tried on canaries.", int(facts.rollout is not None)),
    ):
        unit = "seconds" if name.endswith("_seconds") else ""
        family = GaugeMetricFamily(f"mcproxy_fleet_{name}", text, labels=(), unit=unit)
        if facts.node:
            family.add_metric((), value)
        yield family
