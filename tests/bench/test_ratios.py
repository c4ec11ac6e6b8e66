"""The check of ratios: noise passes, what costs 30 % more does not."""

import msgspec
import pytest

from tests.bench.loads import LOADS
from tests.bench.ratios import LIMITS, check
from tests.bench.sample import Sample

USUAL = {
    "connection": {"haproxy": 50.0, "mcproxy": 42.0, "mcproxy-python": 84.5},
    "message": {"haproxy": 20.0, "mcproxy": 20.0, "mcproxy-python": 26.0},
}
"""What was measured when the limits were set, in the loads' units."""


class Machine:
    """Measures what it is told, round by round; the last told goes on for ever."""

    def __init__(self, load: str, *factors: tuple[str, float]) -> None:
        self.load = msgspec.structs.replace(LOADS[load], targets=LIMITS[load])
        self.factors = factors
        self.rounds = 0

    def take(self, number: int) -> list[Sample]:
        self.rounds += 1
        assert number == self.rounds
        peer, factor = self.factors[min(number, len(self.factors)) - 1]
        return [
            Sample(self.load.name, name, number, value * (factor if name == peer else 1), 0, 1, 1)
            for name, value in USUAL[self.load.name].items()
        ]

    def passes(self) -> bool:
        return all(verdict.met for verdict in check(self.load, self.take))


@pytest.mark.parametrize("load", LIMITS)
def test_what_is_usual_passes_in_a_few_rounds(load: str) -> None:
    machine = Machine(load, ("", 1.0))
    assert machine.passes()
    assert machine.rounds == 3


@pytest.mark.parametrize("load", LIMITS)
@pytest.mark.parametrize("peer", ["mcproxy", "mcproxy-python"])
def test_a_third_more_fails(load: str, peer: str) -> None:
    """Of either data path; it is measured again before that is said."""
    machine = Machine(load, (peer, 1.3))
    assert not machine.passes()
    assert machine.rounds == 9


@pytest.mark.parametrize("load", LIMITS)
@pytest.mark.parametrize("peer", ["mcproxy", "mcproxy-python", "haproxy"])
def test_a_moment_of_noise_is_outvoted(load: str, peer: str) -> None:
    """Whoever it strikes: rounds that differ are followed by more of them."""
    machine = Machine(load, (peer, 2.0), (peer, 0.5), (peer, 1.0))
    assert machine.passes()
    assert machine.rounds > 3


def test_without_figures_nothing_passes() -> None:
    """As when haproxy can't be started."""
    machine = Machine("message", ("", 1.0))

    def take(number: int) -> list[Sample]:
        return [sample for sample in machine.take(number) if sample.peer != "haproxy"]

    assert not any(verdict.met for verdict in check(machine.load, take))
