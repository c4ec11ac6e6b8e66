"""What was refused in the last minutes, by which rule, and what that means."""

from collections.abc import Mapping

import msgspec

from mcproxy.control.counters.refusals import Refusals
from mcproxy.model.values.reasons import REASONS

_FULL = "limit"


class Refused(msgspec.Struct, frozen=True):
    """One rule that refused something: the reason in a word and in a sentence, "" where there is none."""

    name: str
    count: int
    meaning: str


class RefusedLately(msgspec.Struct, frozen=True):
    """Who refused what, the most frequent first.

    Attributes:
        listener: its address; "" for what the keys of ``[limits]`` refused, on whatever listener.
        rules: the rules that did.
    """

    listener: str
    rules: tuple[Refused, ...]

    @property
    def total(self) -> int:
        """How many connections or requests were refused."""
        return sum(one.count for one in self.rules)

    @property
    def full(self) -> bool:
        """Whether clients were turned away that nobody wanted to keep out."""
        return any(one.name == _FULL for one in self.rules)


def refused_lately(refused: Refusals) -> tuple[RefusedLately, ...]:
    """Return what listeners refused, those in front that were full, then the busiest; and last, what the limits did."""
    listeners = [RefusedLately(addr, _rules(counts)) for addr, counts in refused.listeners.items()]
    listeners.sort(key=lambda one: (not one.full, -one.total, one.listener))
    limits = [RefusedLately("", _rules(refused.limits))] if refused.limits else []
    return (*listeners, *limits)


def _rules(counts: Mapping[str, int]) -> tuple[Refused, ...]:
    rules = (Refused(name, count, _meaning(name)) for name, count in counts.items())
    return tuple(sorted(rules, key=lambda one: (one.name != _FULL, -one.count, one.name)))


def _meaning(name: str) -> str:
    return REASONS[name].meaning.replace("`", "") if name in REASONS else ""
