"""What this node knows of its fleet, gathered for those that show it."""

from collections.abc import Callable

from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.fleet.presence import Presence
from mcproxy.policy.fleet.facts import FleetFacts, facts_of


class Gathering:
    """Gathers it."""

    def __init__(self, fleet: Fleet, presence: Presence, revision: Callable[[], int]) -> None:
        """Ask which ``revision`` of the fleet's document is live here, 0 for none."""
        self._fleet = fleet
        self._presence = presence
        self._revision = revision

    def facts(self) -> FleetFacts:
        """Return what is known now."""
        fleet = self._fleet
        if fleet.node is None:
            return FleetFacts()
        contact = fleet.contact
        known = FleetFacts(
            node=fleet.node.node,
            prefix=fleet.node.prefix,
            revision=self._revision(),
            connected=contact.connected,
            since=contact.since,
            why=contact.why,
            contact=contact.last,
            problems=(fleet.trouble, self._presence.twin),
        )
        return facts_of(fleet.view, fleet.wanted, fleet.ahead, known)
