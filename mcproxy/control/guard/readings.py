"""What the guard judges by: counters now and before, and how endpoints are."""

from collections.abc import Callable, Sequence

from mcproxy.control.guard.history import History
from mcproxy.control.guard.tallies import Tallies
from mcproxy.control.health.endpoint_health import EndpointFacts
from mcproxy.control.reconcile.current import Current
from mcproxy.model.state.state import State
from mcproxy.policy.guard.parts import Subject
from mcproxy.policy.guard.tally import Tally
from mcproxy.policy.guard.watch import Down


class Readings:
    """Reads them.

    Attributes:
        history: of the counters.
    """

    def __init__(self, current: Current, endpoints: Callable[[], EndpointFacts], clock: Callable[[], float]) -> None:
        self._current = current
        self._endpoints = endpoints
        self._clock = clock
        self._tallies = Tallies(current.counters)
        self.history = History()

    def sample(self, state: State) -> None:
        """Add what the counters of a state say to the history."""
        listeners = [Subject(addr, what=what) for addr in state.listeners for what in ("listener", "names", "firewall")]
        everything = [*(Subject(*key) for key in state.routes), *listeners]
        self.history.add(self._clock(), self._tallies.read(state.routes, everything))

    def read(self, subjects: Sequence[Subject]) -> dict[Subject, Tally]:
        """Return what the counters of subjects say."""
        return self._tallies.read(self._current.applier.state.routes, subjects) if subjects else {}

    def downs(self, names: set[str]) -> dict[str, Down]:
        """Return how the endpoints of some upstreams are."""
        found: dict[str, Down] = {}
        for one in self._endpoints().endpoints if names else ():
            if one.upstream in names:
                before = found.get(one.upstream, Down(0, 0))
                is_down = one.verdict == "down"
                error = f"{one.address}: {one.last_error}" if is_down and one.last_error else before.error
                found[one.upstream] = Down(before.usable + one.usable, before.down + is_down, error)
        return found
