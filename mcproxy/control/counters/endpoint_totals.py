"""What all processes have counted of endpoints, read from shared memory."""

from collections.abc import Iterable, Mapping
from operator import add
from typing import NamedTuple

from mcproxy.net.memory import endpoints as words
from mcproxy.net.memory.shared_memory import SharedMemory


class EndpointTotals(NamedTuple):
    """What was counted of an endpoint: connections (l4) or requests (l7), see `endpoints.COUNTERS`; and bytes."""

    active: int = 0
    taken: int = 0
    dial_failures: int = 0
    errors: int = 0
    resets: int = 0
    retries_dial: int = 0
    retries_answer: int = 0
    retries_reset: int = 0
    received: int = 0
    sent: int = 0

    @property
    def failures(self) -> Mapping[str, int]:
        """Attempts that failed, by what did: the dial, the answer (502, 503, 504), or the connection in between."""
        return {"dial": self.dial_failures, "answer": self.errors, "reset": self.resets}

    @property
    def retries(self) -> Mapping[str, int]:
        """Attempts that went to another endpoint afterwards, by the same words."""
        return {"dial": self.retries_dial, "answer": self.retries_answer, "reset": self.retries_reset}


def endpoint_sums(memory: SharedMemory, counter: int, count: int) -> list[int]:
    """Return one counter (of `endpoints.COUNTERS`) of each endpoint whose index is below ``count``, summed over all slots."""
    sums = [0] * count
    for column in memory.endpoints_by_slot(counter, count):
        sums = list(map(add, sums, column))
    return sums


def endpoint_totals(memory: SharedMemory, indices: Iterable[int], count: int) -> dict[int, EndpointTotals]:
    """Return everything that was counted of endpoints, by their indices, which are below ``count``."""
    columns = [endpoint_sums(memory, counter, count) for counter in range(words.WORDS)]
    return {index: EndpointTotals(*(column[index] for column in columns)) for index in indices}


def total(parts: Iterable[EndpointTotals]) -> EndpointTotals:
    """Return the sum of several."""
    return EndpointTotals(*map(sum, zip(EndpointTotals(), *parts, strict=True)))
