"""What was counted of the endpoints that stand under one address of the file, those of a name that are gone included."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mcproxy.control.counters.endpoint_totals import EndpointTotals, total
from mcproxy.model.state.state import EndpointKey


class Counted(NamedTuple):
    """Totals, and how often one was ejected since control started."""

    totals: EndpointTotals
    ejections: int


class Counts:
    """Sums that never become less as long as an address stays in the file, whatever a name there stands for."""

    def __init__(self) -> None:
        self._gone: dict[EndpointKey, Counted] = {}

    def leave(self, label: EndpointKey, totals: EndpointTotals, ejections: int) -> None:
        """Keep what was counted of an endpoint that is gone, whose index will be another's."""
        self._gone[label] = _sum([*self._kept(label), Counted(totals._replace(active=0), ejections)])

    def retain(self, labels: Iterable[EndpointKey]) -> None:
        """Forget all that are not under one of these addresses."""
        wanted = set(labels)
        self._gone = {label: counted for label, counted in self._gone.items() if label in wanted}

    def sums(self, endpoints: Iterable[tuple[EndpointKey, Counted]]) -> Mapping[EndpointKey, Counted]:
        """Return the sums by address, of the endpoints that are there, and those that were."""
        found: dict[EndpointKey, list[Counted]] = {}
        for label, counted in endpoints:
            found.setdefault(label, self._kept(label)).append(counted)
        return {label: _sum(parts) for label, parts in found.items()}

    def _kept(self, label: EndpointKey) -> list[Counted]:
        return [self._gone[label]] if label in self._gone else []


def _sum(parts: list[Counted]) -> Counted:
    if len(parts) == 1:
        return parts[0]
    return Counted(total(part.totals for part in parts), sum(part.ejections for part in parts))
