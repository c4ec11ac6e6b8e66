"""Since when and by whose doing each key of a resource is as it is: what the kept changes of it say, and what they can't."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from mcproxy.model.history.changes import ResourceChange

RESTORING = frozenset({"rollback", "revert", "expiry", "unconfirmed", "guard"})
"""What brings a generation about that gives back what was before: it is asked, too, who said that first."""


class Generation(Protocol):
    """A generation that made a change."""

    @property
    def origin(self) -> str:
        """What brought it about."""


G = TypeVar("G", bound=Generation)


class BlamedKey(msgspec.Struct, Generic[G], frozen=True):
    """One key of a resource.

    Attributes:
        name: of it; "" for the resource itself, which was added then.
        value: as JSON has it; None where it is as by default.
        by: the change since which it is so; None where that is not kept.
        restored: that gave back what was before.
        original: the change that this comes from; None where that is not kept, or nothing was given back.
    """

    name: str
    value: Any
    by: tuple[G, ResourceChange] | None
    restored: bool = False
    original: tuple[G, ResourceChange] | None = None


def blame(
    fields: Mapping[str, Any], names: Sequence[str], changes: Sequence[tuple[G, ResourceChange]]
) -> Iterator[BlamedKey[G]]:
    """Yield the keys of a resource that is there: those that are not as by default, or once were not.

    One of which nothing is to be said but that it is there yields a key without a name, which has no value.

    Args:
        fields: what it says beyond its defaults.
        names: of its keys, in order.
        changes: of it that are kept, newest first.
    """
    told = {*fields}
    for _, change in changes:
        told |= {*change.fields, *change.changed}
        if change.action == "add":
            break
    for name in (*(name for name in names if name in told), *sorted(told.difference(names))):
        yield _blamed(name, fields.get(name), changes)
    if not told:
        yield _blamed("", None, changes)


def _blamed(name: str, value: Any, changes: Sequence[tuple[G, ResourceChange]]) -> BlamedKey[G]:
    set_by = ((place, one) for place, one in enumerate(changes) if one[1].sets(name))
    place, by = next(set_by, (0, None))
    if by is None or by[1].fields.get(name) != value:  # the latter was live, and could not be kept
        return BlamedKey(name, value, None)
    if by[0].origin not in RESTORING:
        return BlamedKey(name, value, by)
    said = (one for one in changes[place + 1 :] if one[0].origin not in RESTORING and one[1].sets(name))
    original = next((one for one in said if one[1].fields.get(name) == value), None)
    return BlamedKey(name, value, by, restored=True, original=original)
