"""What is watched since a generation, as data: what it touches, from when to when, and what went before.

A second change that touches the same within the watch takes it over: what is judged then is the newer generation, from its moment on, by the past of
before the first, and what is undone are both. What was live before the first is what is known to work.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from mcproxy.model.state.diff import Change
from mcproxy.model.state.kinds import KindName, Resource, ResourceKey
from mcproxy.policy.guard.judging import Account, Sum, Terms, add_up, why
from mcproxy.policy.guard.parts import Part, Subject
from mcproxy.policy.guard.tally import Past, Tally


class Watched(msgspec.Struct, frozen=True):
    """One part that is watched.

    Attributes:
        part: what was changed, and what it touches.
        past: of each subject, before the change.
        start: what its counters said at the change.
        usable: how many endpoints of each of the part's upstreams could be used before; of a new one 1, so that none is less.
    """

    part: Part
    past: Mapping[Subject, Past]
    start: Mapping[Subject, Tally]
    usable: Mapping[str, int] = {}


class Watch(msgspec.Struct, frozen=True):
    """What is watched of one generation.

    Attributes:
        generation: its number.
        began: when it became live, in seconds since the epoch.
        until: when the watch ends.
        terms: by which it is judged.
        parts: those that are watched still.
        receipts: the guarded requests that made the changes, the newest first: they are undone as a whole. None: the files did.
        id: given by the store; 0 where that has none.
        revision: of the fleet's document that this node tries as a canary; 0 where it does not.
    """

    generation: int
    began: float
    until: float
    terms: Terms
    parts: tuple[Watched, ...]
    receipts: tuple[int, ...] = ()
    id: int = 0
    revision: int = 0

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """All that is judged."""
        return tuple(dict.fromkeys(subject for watched in self.parts for subject in watched.part.subjects))

    @property
    def upstreams(self) -> set[str]:
        """The names of the upstreams whose endpoints are judged."""
        return {name for watched in self.parts for name in watched.usable}


class Down(msgspec.Struct, frozen=True):
    """Endpoints of an upstream now: how many can be used, how many are down by their checks, and what the last of these said."""

    usable: int
    down: int
    error: str = ""


class Finding(msgspec.Struct, frozen=True):
    """Some parts of a watch that fail.

    Attributes:
        parts: those that are to be undone.
        whys: why, for each of them.
    """

    parts: tuple[Watched, ...]
    whys: tuple[str, ...]

    @property
    def why(self) -> str:
        """Why, in short."""
        more = len(set(self.whys)) - 1
        return self.whys[0] + (f"; {more} more of its parts fail{'s' if more == 1 else ''}, too" if more else "")


class Standing(msgspec.Struct, frozen=True):
    """How a watch stands: requests answered since, and how many of them failed."""

    answered: int
    errors: int


def named(parts: Sequence[Watched]) -> str:
    """Return the names of what is judged in parts, the first few."""
    subjects = list(dict.fromkeys(subject for watched in parts for subject in watched.part.subjects))
    more = f" and {len(subjects) - 3} more" if len(subjects) > 3 else ""
    return ", ".join(map(str, subjects[:3])) + more


def judge(watch: Watch, now: Mapping[Subject, Tally], upstreams: Mapping[str, Down], time: float) -> Finding | None:
    """Return which parts fail by now, None if none does.

    Args:
        watch: what is watched.
        now: what the counters of its subjects say.
        upstreams: how the endpoints of its upstreams are.
        time: in seconds since the epoch.
    """
    seconds = max(time - watch.began, 0.0)
    failing: list[tuple[Watched, str]] = []
    for watched in watch.parts:
        reason = _failing(watched, watch, now, seconds) or _went_down(watched, upstreams, watch.generation)
        if reason:
            failing.append((watched, reason))
    if not failing and len(watch.parts) > 1:
        whole = add_up(_accounts(watch.parts, now, routes=True), watch.terms, seconds)
        if whole.fails(watch.terms.min_requests):
            reason = why(whole, seconds, watch.generation, _noun(watch.subjects))
            failing = [
                (one, reason)
                for one in watch.parts
                if add_up(_accounts([one], now, routes=True), watch.terms, seconds).fails(1)
            ]
    if not failing:
        return None
    if watch.receipts:
        return Finding(watch.parts, (failing[0][1],) * len(watch.parts))
    return Finding(tuple(watched for watched, _ in failing), tuple(reason for _, reason in failing))


def standing(watch: Watch, now: Mapping[Subject, Tally], time: float) -> Standing:
    """Return how a watch stands."""
    accounts = _accounts(watch.parts, now, routes=True) or _accounts(watch.parts, now)
    found = add_up(accounts, watch.terms, max(time - watch.began, 0.0))
    return Standing(found.answered, round(found.errors))


def _failing(watched: Watched, watch: Watch, now: Mapping[Subject, Tally], seconds: float) -> str:
    subjects = watched.part.subjects
    groups: list[Sequence[Subject]] = [[subject] for subject in subjects]
    routes = [subject for subject in subjects if subject.what == "route"]
    if len(routes) > 1:
        groups.append(routes)
    for group in groups:
        found = _sum(watched, group, watch.terms, now, seconds)
        if found.fails(watch.terms.min_requests):
            said = why(found, seconds, watch.generation, _noun(group))
            return said if len(group) > 1 or len(subjects) == 1 else f"{group[0]}: {said}"
    return ""


def _sum(watched: Watched, group: Sequence[Subject], terms: Terms, now: Mapping[Subject, Tally], seconds: float) -> Sum:
    return add_up((_account(watched, subject, now) for subject in group), terms, seconds)


def _accounts(parts: Sequence[Watched], now: Mapping[Subject, Tally], *, routes: bool = False) -> list[Account]:
    """Return the accounts of all subjects, or of ``routes`` alone: the connections of these are among those of their listeners, too."""
    return [
        _account(watched, subject, now)
        for watched in parts
        for subject in watched.part.subjects
        if not routes or subject.what == "route"
    ]


def _account(watched: Watched, subject: Subject, now: Mapping[Subject, Tally]) -> Account:
    tally = now.get(subject, Tally()).since(watched.start.get(subject, Tally()))
    return Account(tally, watched.past.get(subject, Past()))


def _noun(subjects: Sequence[Subject]) -> str:
    return "requests" if any(subject.what == "route" for subject in subjects) else "connections"


def _went_down(watched: Watched, upstreams: Mapping[str, Down], generation: int) -> str:
    """Return why a part fails by the checks of its endpoints: half or more of those that could be used are down; "" if it does not."""
    for name, before in watched.usable.items():
        now = upstreams.get(name)
        if now is not None and now.down and before and 2 * now.usable <= before:
            said = f": {now.error}" if now.error else ""
            return f"checks of {now.down} endpoint{'s' if now.down > 1 else ''} of upstream {name} fail since generation {generation}{said}"
    return ""


def taken_over(newer: Watched, earlier: Sequence[Watched], now: Mapping[Subject, Tally]) -> Watched:
    """Return a part with those before that it touches: what was before them counts as what was before it.

    Args:
        newer: of a later generation.
        earlier: the parts before, the oldest first.
        now: what the counters of all their subjects say.
    """
    past, usable = dict(newer.past), dict(newer.usable)
    for watched in reversed(earlier):  # so that the oldest counts
        past |= watched.past
        usable |= watched.usable
    whole: dict[tuple[KindName, ResourceKey], Change] = {}
    for watched in (*earlier, newer):
        for change in watched.part.changes:
            before = whole.get((change.kind, change.key))
            whole[change.kind, change.key] = change if before is None else _joined(before.old, change)
    parts = [watched.part for watched in (*earlier, newer)]
    subjects = tuple(sorted({subject for part in parts for subject in part.subjects}))
    part = Part(
        tuple(change for change in whole.values() if change.old != change.new),
        subjects,
        tuple(sorted({name for part in parts for name in part.upstreams})),
        tuple(sorted({path for part in parts for path in part.files})),
    )
    return Watched(part, past, {subject: now.get(subject, Tally()) for subject in subjects}, usable)


def _joined(old: Resource | None, change: Change) -> Change:
    action: Literal["add", "change", "remove"] = "add" if old is None else "remove" if change.new is None else "change"
    return Change(action, change.kind, change.key, old, change.new)
