"""What the guard does at one moment, for everybody who shows it: plain and immutable."""

import msgspec

from mcproxy.control.store.guard.watches import Verdict


class Watching(msgspec.Struct, frozen=True):
    """A generation that is watched, and how it stands.

    Attributes:
        generation: its number.
        until: when the watch ends, in seconds since the epoch.
        touched: the names of what is judged.
        answered: requests since then.
        errors: how many of these failed.
    """

    generation: int
    until: float
    touched: tuple[str, ...]
    answered: int
    errors: int


class GuardFacts(msgspec.Struct, frozen=True):
    """What the guard does at one moment.

    Attributes:
        watches: what is watched, the oldest first.
        last: what became of the last watch; None for none so far.
        undone: what was undone last; None for nothing so far.
        withdrawn: how often something was undone since this control started.
    """

    watches: tuple[Watching, ...] = ()
    last: Verdict | None = None
    undone: Verdict | None = None
    withdrawn: int = 0
