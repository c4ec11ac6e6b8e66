"""All targets, by name."""

import random
from collections.abc import Callable, Sequence

from tests.fuzz import control_simulation, exchange_simulation, fleet_simulation
from tests.fuzz.configuration import CONFIG, FIELDS
from tests.fuzz.native_life import NATIVE_LIFE
from tests.fuzz.parsers import CLIENT_HELLO, NATIVE_HELLO, OPENING, PROXY_HEADER
from tests.fuzz.sessions import H1_SESSION, H1_TO_H2, H2_SESSION, H2_TO_H1
from tests.fuzz.target import Target


def _simulation(name: str, simulate: Callable[[int], object]) -> Target:
    """Return a target whose input is a simulation's seed, as a decimal number."""

    def number(rng: random.Random, _inputs: Sequence[bytes]) -> bytes:
        return b"%d" % rng.randrange(2**32)

    def check(data: bytes) -> None:
        simulate(int(data))

    return Target(name, check, lambda: [b"0"], number, shrinks=False)


SIMULATE_CONTROL = _simulation("simulate-control", control_simulation.simulate)
SIMULATE_EXCHANGE = _simulation("simulate-exchange", exchange_simulation.simulate)
SIMULATE_FLEET = _simulation("simulate-fleet", fleet_simulation.simulate)

NATIVE = {target.name: target for target in (NATIVE_HELLO, NATIVE_LIFE)}
"""Those of the native core, which are run with sanitizers too."""
FUZZED = NATIVE | {
    target.name: target
    for target in (CLIENT_HELLO, PROXY_HEADER, OPENING, H1_SESSION, H1_TO_H2, H2_SESSION, H2_TO_H1, CONFIG, FIELDS)
}
SIMULATED = {target.name: target for target in (SIMULATE_CONTROL, SIMULATE_EXCHANGE, SIMULATE_FLEET)}
TARGETS = FUZZED | SIMULATED
