"""Keeps the words of all endpoints as checks and traffic say, over reloads and restarts of control.

Words are the memory: they are written before a worker learns of an endpoint (`prepare`), read when it is live (`applied`), and
written on each change. While control is away workers go on with them.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from mcproxy.control.counters.counters import Counters
from mcproxy.control.counters.endpoint_totals import EndpointTotals, endpoint_sums, endpoint_totals
from mcproxy.control.counters.quantiles import as_histogram
from mcproxy.control.health.checker import Checker, Planned
from mcproxy.control.health.counts import Counted, Counts
from mcproxy.control.health.definitions import probe_of
from mcproxy.control.health.endpoint_health import EndpointFacts, EndpointHealth
from mcproxy.control.health.probes.probe import Outcome, Prober
from mcproxy.control.health.upstream_health import Moment, Record, Sentence, UpstreamHealth, first_words
from mcproxy.control.health.voice import Voice
from mcproxy.model.state.state import EndpointKey
from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry
from mcproxy.net.memory import endpoints as words
from mcproxy.net.memory import histogram
from mcproxy.net.memory.histogram import observe
from mcproxy.policy.upstreams.ejection import Totals

_INTERVAL = 1.0  # seconds between looks at what the workers count
_FAILURES = (words.DIAL_FAILURES, words.ERRORS, words.RESETS)


def now() -> Moment:
    """Return the moment."""
    return Moment(time.monotonic(), time.time())


class HealthWatch:
    """Follows the endpoints of the live upstreams.

    Attributes:
        seconds: how long checks took, as histograms (`mcproxy.net.memory.histogram`) by upstream.
    """

    def __init__(
        self,
        counters: Counters,
        prober: Prober,
        contents: Callable[[], Mapping[str, bytes]],
        publish: Callable[[str], None],
        told: Mapping[EndpointKey, int] = {},
        clock: Callable[[], Moment] = now,
    ) -> None:
        """Watch nothing yet.

        Args:
            counters: of the memory that workers write to, with the endpoints of an earlier control if there was one.
            prober: carries out checks.
            contents: returns what the files of the live state hold, by path.
            publish: takes lines for the event stream.
            told: words that an earlier control has told, whose memory is another one.
            clock: tells the moment.
        """
        self._counters = counters
        self._contents = contents
        self._clock = clock
        self._voice = Voice(publish)
        self._words = counters.memory.endpoint_states()
        self._checker = Checker(prober, lambda: clock().steady)
        self._upstreams: dict[str, UpstreamHealth] = {}
        self._live: set[EndpointKey] = set(counters.endpoints.items())
        self._told = told
        self._added: set[int] = set()
        self._counted: dict[int, Totals] = {}
        self._counts = Counts()
        self.seconds: dict[str, memoryview] = {}

    def prepare(self, upstreams: Sequence[UpstreamEntry]) -> None:
        """Write the words of endpoints that are added, before any worker learns of them."""
        self._added = set()
        if not self._live:  # the first ones: nobody has served them without these
            for entry in upstreams:
                for one in entry.endpoints:
                    self._words[one.index] = self._told.get((entry.name, str(one.endpoint)), 0)
            return
        for entry in upstreams:
            first = first_words(entry, partial(self._known_word, entry.name))
            for index, word in first.items():
                self._words[index] = word
            if len(first) < len(entry.endpoints):
                self._added.update(first)

    def applied(self, upstreams: Sequence[UpstreamEntry]) -> None:
        """Follow the endpoints of the upstreams that are live now."""
        moment, before = self._clock(), self._upstreams
        files: Mapping[str, bytes] | None = None
        self._upstreams = {entry.name: before.get(entry.name) or UpstreamHealth(entry) for entry in upstreams}
        for entry in upstreams:
            health = self._upstreams[entry.name]
            known = dict(health.records)
            anew = health.follow(entry, self._words.__getitem__, self._added.__contains__, moment)
            if anew and (entry.ca or all(entry.pair)) and files is None:
                files = self._contents()
            for index in anew:
                self._plan(health, index, files or {})
            self._drop(entry.name, [record for index, record in known.items() if index not in health.records])
        for name in before.keys() - self._upstreams.keys():
            self._drop(name, before[name].records.values())
            self.seconds.pop(name, None)
        self._counts.retain((entry.name, one.label) for entry in upstreams for one in entry.endpoints)
        self._live = {(entry.name, str(one.endpoint)) for entry in upstreams for one in entry.endpoints}

    def unusable(self) -> dict[EndpointKey, int]:
        """Return the words of those that get no new connections by what checks and traffic say."""
        return {
            (health.entry.name, record.address): record.word
            for health in self._upstreams.values()
            for record in health.records.values()
            if record.verdict > words.UP
        }

    def facts(self) -> EndpointFacts:
        """Return what is known of every endpoint."""
        records = [(health, record) for health in self._upstreams.values() for record in health.records.values()]
        totals = self._totals(record for _, record in records)
        return EndpointFacts(
            [_facts(health, record, totals[record.entry.index].active) for health, record in records],
            self._counts.sums(
                ((health.entry.name, record.entry.label), Counted(totals[record.entry.index], record.ejections))
                for health, record in records
            ),
            {upstream: as_histogram(words) for upstream, words in self.seconds.items()},
            [name for name, health in self._upstreams.items() if health.panicking],
        )

    async def run(self) -> None:
        """Check, judge and write until cancelled."""
        moment = self._clock()
        for health in self._upstreams.values():
            health.reread(self._words.__getitem__, moment)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._checker.run())
            while True:
                self.look()
                await asyncio.sleep(_INTERVAL)

    def look(self) -> None:
        """Judge what the workers have counted, and write what has changed."""
        moment = self._clock()
        attempts = self._sums(words.TAKEN)
        failures = list(map(sum, zip(*map(self._sums, _FAILURES), strict=True)))
        before, counted = self._counted, {}
        for health in self._upstreams.values():
            moved = False
            for index in health.records:
                totals = counted[index] = Totals(attempts[index], failures[index])
                moved = moved or before.get(index) != totals
            self._say(health, health.look(counted, moment, moved=moved), moment)
            self._write(health)
        self._counted = counted
        self._voice.catch_up(moment.steady)

    def _plan(self, health: UpstreamHealth, index: int, files: Mapping[str, bytes]) -> None:
        record = health.records[index]
        check, probe = health.entry.upstream.check, probe_of(health.entry, record.entry, files)
        if check is None or probe is None:
            self._checker.drop(index)
            return
        planned = Planned(probe, check.interval, partial(health.begin, index), partial(self._ended, health, index))
        self._checker.plan(index, planned, soon=record.run.verdict in (words.UNKNOWN, words.WAITING))

    def _drop(self, upstream: str, records: Collection[Record]) -> None:
        """Check endpoints no more that are gone."""
        totals = self._totals(records) if records else {}
        for record in records:
            self._checker.drop(record.entry.index)
            self._counts.leave((upstream, record.entry.label), totals[record.entry.index], record.ejections)

    def _ended(self, health: UpstreamHealth, index: int, number: int, outcome: Outcome) -> None:
        moment = self._clock()
        if index not in health.records:
            return
        observe(self._histogram(health.entry.name), 0, outcome.seconds)
        said = health.ended(
            index, number, good=bool(outcome.good), error=outcome.error, seconds=outcome.seconds, now=moment
        )
        self._words[index] = health.records[index].word
        self._say(health, said, moment)

    def _histogram(self, upstream: str) -> memoryview:
        found = self.seconds.get(upstream)
        if found is None:
            found = self.seconds[upstream] = memoryview(bytearray(8 * histogram.WORDS)).cast("Q")
        return found

    def _write(self, health: UpstreamHealth) -> None:
        written = self._words
        for index, record in health.records.items():
            if written[index] != record.word:
                written[index] = record.word

    def _say(self, health: UpstreamHealth, said: Iterable[Sentence], moment: Moment) -> None:
        for one in said:
            self._voice.say(one, moment.steady, panic=health.entry.upstream.panic)

    def _sums(self, counter: int) -> list[int]:
        """Return one counter of every index, summed over the workers."""
        return endpoint_sums(self._counters.memory, counter, len(self._counters.endpoints.used()))

    def _totals(self, records: Iterable[Record]) -> dict[int, EndpointTotals]:
        indices = [record.entry.index for record in records]
        return endpoint_totals(self._counters.memory, indices, len(self._counters.endpoints.used()))

    def _known_word(self, upstream: str, endpoint: EndpointEntry) -> int | None:
        return self._words[endpoint.index] if (upstream, str(endpoint.endpoint)) in self._live else None


def _facts(health: UpstreamHealth, record: Record, active: int) -> EndpointHealth:
    entry = record.entry
    return EndpointHealth(
        upstream=health.entry.name,
        address=record.address,
        label=entry.label,
        state=entry.state,
        verdict=words.VERDICTS[record.verdict],
        since=record.since,
        reason=record.reason,
        checked=health.entry.upstream.check is not None,
        last_check=record.last_check,
        last_error=record.last_error,
        check_seconds=record.check_seconds,
        active=active,
        share=1 - record.withheld / words.FULL_SHARE,
        weight=entry.weight,
        backup=entry.backup,
        ejections=record.ejections,
        usable=record.usable,
    )
