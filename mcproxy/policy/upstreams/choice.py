"""Which endpoint of an upstream gets the next connection or request.

In this order, each only if the ones before have none left:

1. endpoints that are usable, neither tried for this connection or request nor paused (a dial to them was just refused);
2. the same of backups;
3. usable ones, then backups, although they are paused;
4. all that are ready and not tried, whatever their checks say: *panic*, if the upstream allows it.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

import msgspec

from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry
from mcproxy.model.state.upstream_options import EndpointState
from mcproxy.policy.upstreams import maglev
from mcproxy.policy.upstreams.loads import BetterOfTwo, LeastLoaded
from mcproxy.policy.upstreams.maglev import BySource
from mcproxy.policy.upstreams.schedule import Schedule
from mcproxy.policy.upstreams.words import ALWAYS, Words, is_usable

Balance = Literal["round_robin", "least_conn", "random_two", "source_hash"]
_NONE: frozenset[int] = frozenset()


class Member(msgspec.Struct, frozen=True):
    """An endpoint as choices see it.

    Attributes:
        index: of its counters.
        name: its address: the same on all nodes.
        weight: its share.
        state: what the operator says: in drain it gets nothing new but requests with its cookie, in maintenance nothing.
        backup: it serves while no other is usable.
    """

    index: int
    name: str
    weight: int = 1
    state: EndpointState = "ready"
    backup: bool = False


def usable(members: Iterable[Member], words: Words) -> list[Member]:
    """Return the members that are ready and usable, backups among them; if there are none, the upstream is in panic."""
    return [member for member in members if member.state == "ready" and is_usable(words[member.index])]


def member_of(entry: EndpointEntry) -> Member:
    """Return an endpoint of the snapshot as choices see it."""
    return Member(entry.index, str(entry.endpoint), entry.weight, entry.state, entry.backup)


def table_of(entry: UpstreamEntry) -> bytes:
    """Return the table of source_hash for an upstream, which is built once for all workers (`maglev.build`).

    What an operator says of an endpoint has no part in it, so that draining one moves no clients but its own.
    """
    return places(member_of(endpoint) for endpoint in entry.endpoints)


def places(members: Iterable[Member]) -> bytes:
    """Return the same for members."""
    return maglev.build(tuple((member.name, 0 if member.backup else member.weight) for member in members))


class Chooser:
    """Chooses among the endpoints of one upstream in one worker.

    Args:
        words: the words of all endpoints, by index.
        active: what this worker has open at each endpoint, by index.
        active_everywhere: tells what all workers together have open at an endpoint.
        random: gives numbers from 0 to below 1.
    """

    __slots__ = (
        "_active",
        "_active_everywhere",
        "_backups",
        "_first",
        "_panic",
        "_random",
        "_ready",
        "_staying",
        "_words",
    )

    def __init__(
        self,
        words: Words,
        active: Words,
        active_everywhere: Callable[[int], int],
        random: Callable[[], float],
    ) -> None:
        self._words = words
        self._active = active
        self._active_everywhere = active_everywhere
        self._random = random
        self._staying: frozenset[int] = _NONE
        self._ready: frozenset[int] = _NONE
        self._panic: _Picker | None = None
        self._first: _Picker = Schedule(())
        self._backups: _Picker | None = None

    def update(
        self, members: Sequence[Member], balance: Balance = "round_robin", *, panic: bool = True, table: bytes = b""
    ) -> None:
        """Go on with these members; turns go on where they were.

        Args:
            members: all endpoints of the upstream, in the order of ``table``; indices and names are different.
            balance: how to choose.
            panic: whether all are used when none is usable.
            table: what `places` has returned for these members, for source_hash.
        """
        ready = tuple(member for member in members if member.state == "ready")
        backups = [member for member in ready if member.backup]
        indices = [member.index for member in members]
        self._first = self._picker([each for each in ready if not each.backup], balance, self._first, table, indices)
        self._backups = self._picker(backups, balance, self._backups) if backups else None
        # A client that is known by its address keeps its endpoint in panic, unless backups join there.
        known = (b"", ()) if backups else (table, indices)
        self._panic = self._picker(ready, balance, self._panic, *known) if panic else None
        self._ready = frozenset(member.index for member in ready)
        self._staying = frozenset(member.index for member in members if member.state != "maintenance")

    def _picker(
        self,
        members: Sequence[Member],
        balance: Balance,
        before: "_Picker | None",
        table: bytes = b"",
        indices: Sequence[int] = (),
    ) -> "_Picker":
        weights = [(member.index, member.weight) for member in members]
        match balance:
            case "least_conn":
                return LeastLoaded(weights, self._active, self._random())
            case "random_two":
                return BetterOfTwo(weights, self._active_everywhere, self._random)
            case "source_hash":
                return BySource([(member.index, member.name, member.weight) for member in members], table, indices)
            case "round_robin":
                return Schedule(weights, self._random(), before.waits() if isinstance(before, Schedule) else None)

    @property
    def pick(self) -> "Callable[[Words], int | None]":
        """What chooses while nothing is to be passed over and the client does not matter, until `update`.

        It takes the words of all endpoints; None means that `choose` may still find one.
        """
        return self._first.pick

    @property
    def schedule(self) -> Schedule | None:
        """What `pick` is of, if that is a schedule: whoever can read one takes its turns without asking."""
        return self._first if isinstance(self._first, Schedule) else None

    def choose(
        self,
        tried: AbstractSet[int] = _NONE,
        paused: AbstractSet[int] = _NONE,
        source: bytes = b"",
        *,
        desperate: bool = True,
    ) -> int | None:
        """Return the index of the endpoint to take, None if there is none left.

        Args:
            tried: indices that are out of the question: tried for this connection or request, or full.
            paused: indices that are taken only if no other one is usable.
            source: the client's packed address, for source_hash.
            desperate: whether to go as far as panic; not if some are only full.
        """
        skip = tried | paused if tried and paused else tried or paused
        found = self._first.pick(self._words, skip, source)
        if found is None:
            found = self._choose_another(tried, skip, source, desperate=desperate)
        return found

    def _choose_another(
        self, tried: AbstractSet[int], skip: AbstractSet[int], source: bytes, *, desperate: bool
    ) -> int | None:
        words, backups = self._words, self._backups
        found = None
        if backups is not None:
            found = backups.pick(words, skip, source)
        if found is None and len(skip) > len(tried):
            found = self._first.pick(words, tried, source)
            if found is None and backups is not None:
                found = backups.pick(words, tried, source)
        if found is None and desperate and self._panic is not None:
            found = self._panic.pick(ALWAYS, tried, source)
        return found

    def may_stay(self, index: int, skip: AbstractSet[int] = _NONE) -> bool:
        """Tell whether a request may go to the endpoint that its cookie names: it is usable, and ready or in drain.

        In panic it is ready: then all of these are used, and no client has to leave its own.

        Args:
            index: the endpoint; may be one that has been removed.
            skip: indices that were tried for this request, are full or paused.
        """
        if index not in self._staying or index in skip:
            return False
        words = self._words
        if is_usable(words[index]):
            return True
        ready = self._ready
        return self._panic is not None and index in ready and not any(is_usable(words[each]) for each in ready)


_Picker = Schedule | LeastLoaded | BetterOfTwo | BySource
