"""Some hundred simulations each of control with its workers, and of a worker's exchanges; see their modules."""

import pytest

from tests.fuzz import control_simulation, exchange_simulation

_BLOCKS = range(0, 200, 25)


@pytest.mark.parametrize("first", _BLOCKS)
def test_control_keeps_what_it_promises(first: int) -> None:
    """Whatever dies, hangs, refuses, is slow, or is away: all comes to rest on the state that was taken last."""
    for seed in range(first, first + 25):
        control_simulation.simulate(seed)


@pytest.mark.parametrize("first", _BLOCKS)
def test_exchanges_lose_nothing_unseen(first: int) -> None:
    """However bytes are cut, held up and broken off: what arrives is in order, and complete or visibly not."""
    for seed in range(first, first + 25):
        exchange_simulation.simulate(seed)
