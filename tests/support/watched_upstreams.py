"""Upstreams that a test checks by hand: results, counts and time are its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mcproxy.control.counters.counters import Counters
from mcproxy.control.health.probes.probe import Outcome, Probe, Prober
from mcproxy.control.health.upstream_health import Moment
from mcproxy.control.health.watch import HealthWatch
from mcproxy.model.state.state import State, Upstream, UpstreamEndpoint
from mcproxy.model.state.upstream_entries import UpstreamEntry, endpoint_keys, upstream_entries
from mcproxy.model.state.upstream_options import Check
from mcproxy.net.memory import endpoints as words
from mcproxy.net.memory.shared_memory import SharedMemory, endpoint_counter
from mcproxy.net.resolver import Addresses

WORKER_SLOT = 1


async def _nowhere(_endpoint: object) -> Addresses:
    return ()


class Watched:
    """A watch with a memory, whose checks are made by `check`.

    Attributes:
        events: what was published.
        files: what those hold that an upstream names.
        now: the moment, which the test moves.
    """

    def __init__(
        self,
        memory: SharedMemory | None = None,
        indices: Mapping[tuple[str, str], int] | None = None,
        told: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        """Begin anew, with what another control has left: its memory and indices, or with words that it has told."""
        self.memory = memory or SharedMemory.create()
        self.counters = Counters(self.memory)
        self.memory.use_slot(WORKER_SLOT)
        if indices is not None:
            self.counters.endpoints.seed(indices, self.memory.given()[2])
        self.events: list[str] = []
        self.files: dict[str, bytes] = {}
        self.now = Moment(1000.0, 1_800_000_000.0)
        self.watch = HealthWatch(
            self.counters, Prober(_nowhere), lambda: self.files, self.events.append, told or {}, lambda: self.now
        )
        self.entries: tuple[UpstreamEntry, ...] = ()

    def apply(self, upstreams: Mapping[str, Sequence[str]], **keys: Any) -> None:
        """Make upstreams live, with these addresses; a check of type tcp unless ``keys`` say otherwise.

        ``answers`` tells what addresses stand for: theirs are ``resolve = "all"``.
        """
        own = {"check": Check(), **keys}
        answers = own.pop("answers", {})
        endpoints = own.pop("endpoints", {})
        state = State(
            upstreams={name: Upstream(name=name, **own) for name in upstreams},
            endpoints={
                (name, address): UpstreamEndpoint(
                    upstream=name,
                    address=address,
                    resolve="all" if address in answers else "any",
                    **endpoints.get(address, {}),
                )
                for name, addresses in upstreams.items()
                for address in addresses
            },
        )
        indices = self.counters.assign_endpoints(state, answers)
        digests = {name: content.hex() for name, content in self.files.items()}
        self.entries = upstream_entries(state, indices, answers, digests, lambda _: b"")
        self.watch.prepare(self.entries)
        self.prepared = {key: self.memory.endpoint_states()[index] for key, index in indices.items()}
        self.watch.applied(self.entries)
        self.counters.endpoints.retain(endpoint_keys(state, answers))

    def close(self) -> None:
        """Give the memory back."""
        self.watch._words.release()
        self.memory.close()

    def index(self, address: str, upstream: str = "api") -> int:
        return self.counters.endpoints.items()[upstream, address]

    def word(self, address: str, upstream: str = "api") -> int:
        return self.memory.endpoint_states()[self.index(address, upstream)]

    def verdict(self, address: str, upstream: str = "api") -> str:
        """Return what the workers are told."""
        return words.VERDICTS[words.verdict(self.word(address, upstream))]

    def check(self, address: str, *errors: str, upstream: str = "api") -> None:
        """Let a check of an endpoint end for each of ``errors``; "" for a good one."""
        for error in errors:
            planned = self.watch._checker._planned[self.index(address, upstream)]
            planned.ended(planned.begin(), Outcome(not error, error, 0.001))

    def probe(self, address: str, upstream: str = "api") -> Probe:
        return self.watch._checker._planned[self.index(address, upstream)].probe

    def count(self, address: str, **counted: int) -> None:
        """Count what a worker would, of the upstream api."""
        with self.memory.counter_block(WORKER_SLOT) as block:
            for name, number in counted.items():
                block[endpoint_counter(self.index(address), words.COUNTERS.index(name))] += number

    def pass_time(self, seconds: float) -> None:
        """Let seconds pass, with the look of each."""
        for _ in range(round(seconds)):
            self.now = Moment(self.now.steady + 1, self.now.wall + 1)
            self.watch.look()

    def successor(self) -> "Watched":
        """Return the watch of a control that takes over from this one, which was killed."""
        self.watch._words.release()
        told = dict(self.counters.endpoints.items())
        self.memory.note_given(0, 0, len(self.counters.endpoints.used()))
        other = Watched(self.memory, told)
        other.now = Moment(5.0, self.now.wall + 3)
        return other


def checked(**keys: Any) -> Check:
    return msgspec.structs.replace(Check(), **keys)
