"""The endpoints of one upstream: verdicts of checks and traffic, shares, and the word of each for the workers.

Pure: results, counts and times are arguments, words and sentences the result. What a word says outlives this object: another
control goes on from there.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry
from mcproxy.net.memory import endpoints as words
from mcproxy.policy.upstreams.ejection import Ejections, Totals
from mcproxy.policy.upstreams.slow_start import SlowStart
from mcproxy.policy.upstreams.verdicts import CheckRun, first_verdict, shown

Stage: TypeAlias = Literal["up", "down", "ejected", "back", "panic", "calm"]


class Moment(NamedTuple):
    """A moment on two clocks: one that never goes back, and the one of the wall (seconds since the epoch)."""

    steady: float
    wall: float


class Sentence(NamedTuple):
    """Something to be said.

    Attributes:
        stage: what has happened: an endpoint is ``up`` or ``down``, ``ejected`` or ``back`` from that; of an upstream none is usable
            (``panic``), or one is again (``calm``).
        upstream: which.
        endpoint: which, "" for the whole upstream.
        reason: why, in words.
        seconds: how long the state before has lasted, 0.0 if that is not known.
    """

    stage: Stage
    upstream: str
    endpoint: str
    reason: str
    seconds: float


class Record:
    """What is known of one endpoint.

    Attributes:
        entry: as it is in the snapshot.
        run: its checks.
        slow: the clock of its slow start.
        verdict: what checks and traffic say together.
        since: when that began (seconds since the epoch), 0.0 for the start.
        withheld: the part of its share that it does not get yet.
        reason: why the verdict is so.
        last_check, last_error, check_seconds: of the last check.
        ejections: how often it was ejected.
    """

    __slots__ = (
        "check_seconds",
        "ejections",
        "entry",
        "last_check",
        "last_error",
        "reason",
        "run",
        "since",
        "slow",
        "verdict",
        "withheld",
    )

    def __init__(self, entry: EndpointEntry, run: CheckRun, slow: SlowStart, verdict: int, since: float) -> None:
        self.entry = entry
        self.run = run
        self.slow = slow
        self.verdict = verdict
        self.since = since
        self.withheld = 0
        self.reason = ""
        self.last_check = 0.0
        self.last_error = ""
        self.check_seconds = 0.0
        self.ejections = 0

    @property
    def address(self) -> str:
        """Where it listens."""
        return str(self.entry.endpoint)

    @property
    def word(self) -> int:
        """What the workers are to be told."""
        return words.state_word(self.verdict, self.withheld, int(self.since))

    @property
    def usable(self) -> bool:
        """Whether it gets new connections and requests."""
        return self.entry.state == "ready" and self.verdict <= words.UP


class UpstreamHealth:
    """One upstream.

    Attributes:
        entry: as it is in the snapshot.
        records: its endpoints, by their indices.
        panicking: whether none of those that the operator has ready is usable.
    """

    def __init__(self, entry: UpstreamEntry) -> None:
        """Begin without endpoints; `follow` adds them."""
        self.entry = entry
        self.records: dict[int, Record] = {}
        self.panicking = False
        self._ejections: Ejections[int] = Ejections()
        self._busy = True  # something is to be looked at each second, whatever is counted

    def follow(
        self, entry: UpstreamEntry, word: Callable[[int], int], added: Callable[[int], bool], now: Moment
    ) -> list[int]:
        """Take the endpoints as they are in a snapshot; return the indices of those whose check is another one than before.

        Args:
            entry: the upstream in the snapshot that is live from now on.
            word: what the workers are told of an endpoint.
            added: whether an endpoint came to an upstream that was served already.
            now: the moment.
        """
        check = entry.upstream.check
        other = how_checked(entry) != how_checked(self.entry)
        records: dict[int, Record] = {}
        anew = []
        for endpoint in entry.endpoints:
            record = self.records.get(endpoint.index)
            if record is None:
                settled = not added(endpoint.index)
                record = self._restored(endpoint, entry, word(endpoint.index), now, settled=settled)
                anew.append(endpoint.index)
            elif other or record.entry.label != endpoint.label:
                anew.append(endpoint.index)
                if check is None:
                    record.run = CheckRun()
                    record.last_check, record.last_error, record.check_seconds = 0.0, "", 0.0
                else:
                    record.run.change(check.fall, check.rise)
            record.entry = endpoint
            records[endpoint.index] = record
        self.entry, self.records, self._busy = entry, records, True
        return anew

    def reread(self, word: Callable[[int], int], now: Moment) -> None:
        """Take what the words say by now, where another control has written them until this moment."""
        for index, record in self.records.items():
            self.records[index] = self._restored(record.entry, self.entry, word(index), now, settled=True)

    def _restored(
        self, endpoint: EndpointEntry, entry: UpstreamEntry, word: int, now: Moment, *, settled: bool
    ) -> Record:
        check, known, since = entry.upstream.check, words.verdict(word), float(words.since(word))
        verdict = first_verdict(known, checked=check is not None, added=False, others_usable=False)
        run = CheckRun() if check is None else CheckRun(verdict, check.fall, check.rise)
        slow = SlowStart(settled=settled and not words.withheld(word))
        if words.withheld(word):
            slow.withheld(now.steady - (now.wall - since), 0.0, usable=True)  # it began then
        if known == words.EJECTED:
            self._ejections.restore(now.steady, endpoint.index)
            verdict = known
        return Record(endpoint, run, slow, verdict, since)

    def begin(self, index: int) -> int:
        """Begin a check, and return its number."""
        return self.records[index].run.begin()

    def ended(self, index: int, number: int, *, good: bool, error: str, seconds: float, now: Moment) -> list[Sentence]:
        """Take the result of a check that was begun under a number; return what there is to say."""
        record = self.records.get(index)
        if record is None:
            return []
        changed = record.run.end(number, passed=good)
        record.last_check, record.last_error, record.check_seconds = now.wall, error, seconds
        if not changed:
            return []
        self._busy = True
        return self._renew(record, error, now)

    def look(self, counted: Mapping[int, Totals], now: Moment, *, moved: bool) -> list[Sentence]:
        """Judge the traffic of the last seconds, and go on with slow starts; return what there is to say.

        Args:
            counted: attempts and failures of each endpoint, as totals that only grow.
            now: the moment, about a second after the one before.
            moved: whether something was counted since then.
        """
        if not (moved or self._busy):
            return []
        said: list[Sentence] = []
        ready = {index: record for index, record in self.records.items() if record.entry.state == "ready"}
        passing = [index for index, record in ready.items() if record.run.verdict <= words.UP]
        enabled = self.entry.upstream.eject and len(self.records) > 1
        totals = {index: counted[index] for index in ready}
        for change in self._ejections.update(now.steady, totals, passing, enabled=enabled):
            record = self.records[change.endpoint]
            record.ejections += change.ejected
            until = self._ejections.until(change.endpoint)
            span = f" for {until - now.steady:.0f} s" if until is not None else ""
            said += self._renew(record, f"{change.reason}{span}", now)
        for record in self.records.values():
            said += self._renew(record, "", now)  # one that the operator has taken out is forgotten by the ejections
        for record in self.records.values():
            self._start_slowly(record, now)
        slow = any(record.withheld for record in self.records.values())
        said += self._panic()
        out = self._ejections.ejected()
        self._busy = slow or bool(out) or any(self._ejections.count(index) for index in ready)
        return said

    def _start_slowly(self, record: Record, now: Moment) -> None:
        length = self.entry.upstream.slow_start
        record.withheld = record.slow.withheld(now.steady, length, usable=record.usable)

    def _renew(self, record: Record, reason: str, now: Moment) -> list[Sentence]:
        """Take what checks and traffic say together; return what there is to say."""
        before, since = record.verdict, record.since
        ejected = self._ejections.until(record.entry.index) is not None
        verdict = record.verdict = shown(record.run.verdict, ejected=ejected)
        if verdict == before:
            return []
        record.since, record.reason = float(int(now.wall)), reason  # as another control will read it from the word
        self._start_slowly(record, now)
        lasted = now.wall - since if since else 0.0
        stage: Stage
        if verdict == words.EJECTED:
            stage = "ejected"
        elif before == words.EJECTED and verdict <= words.UP:
            stage = "back"
        elif verdict == words.DOWN:
            stage = "down"
        elif before in (words.DOWN, words.WAITING):
            stage, reason = "up", "" if verdict == words.UP else "it is not checked any more"
        else:
            return []  # what was not known is well
        return [Sentence(stage, self.entry.name, record.address, reason, max(lasted, 0.0))]

    def _panic(self) -> list[Sentence]:
        ready = [record for record in self.records.values() if record.entry.state == "ready"]
        panicking = bool(ready) and not any(record.usable for record in ready)
        if panicking == self.panicking:
            return []
        self.panicking = panicking
        reason = f"none of its {len(ready)} endpoints is usable" if len(ready) > 1 else "its endpoint is not usable"
        return [Sentence("panic" if panicking else "calm", self.entry.name, "", reason if panicking else "", 0.0)]


def how_checked(entry: UpstreamEntry) -> tuple[object, ...]:
    """Return what makes the checks of an upstream what they are; when that is another, they count anew."""
    upstream = entry.upstream
    header = upstream.proxy_protocol_version if upstream.send_proxy_protocol else ""
    return upstream.check, upstream.tls, entry.ca, entry.pair, upstream.protocol, header


def first_words(entry: UpstreamEntry, known: Callable[[EndpointEntry], int | None]) -> dict[int, int]:
    """Return the words of endpoints that are added to an upstream, before any worker learns of them.

    Args:
        entry: the upstream with all its endpoints.
        known: the word of an endpoint that has been there, None for one that is added.
    """
    before = [(endpoint, known(endpoint)) for endpoint in entry.endpoints]
    others = any(word is not None and words.is_usable(word) and one.state == "ready" for one, word in before)
    checked = entry.upstream.check is not None
    verdict = first_verdict(None, checked=checked, added=True, others_usable=others)
    return {endpoint.index: words.state_word(verdict) for endpoint, word in before if word is None}
