"""Stable numbers for listeners and routes: where their counters lie in shared memory."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from itertools import islice
from typing import Generic, TypeVar

from mcproxy.errors import ApplyError

K = TypeVar("K", bound=Hashable)


class Indices(Generic[K]):
    """Gives every key an index, keeps it for as long as the key lives, and reuses the longest unused ones last of all."""

    def __init__(self, kind: str, capacity: int) -> None:
        """Number things called ``kind`` (for messages) from 0 below ``capacity``."""
        self._kind = kind
        self._capacity = capacity
        self._fresh = 0
        self._released: deque[int] = deque()
        self._indices: dict[K, int] = {}
        self._keys: dict[int, K] = {}

    def seed(self, indices: Mapping[K, int], given: int) -> None:
        """Begin with what an earlier control had given out: ``given`` indices, of which these are still in use."""
        self._indices.update(indices)
        self._keys.update((index, key) for key, index in indices.items())
        self._fresh = max([given, *(index + 1 for index in indices.values())])
        self._released.extend(sorted(set(range(self._fresh)) - set(indices.values())))

    def skip(self, given: int) -> None:
        """Count as given out what another control has: ``given`` indices, of which this one knows the first."""
        self._released.extend(range(self._fresh, given))
        self._fresh = max(self._fresh, given)

    def extend(self, keys: Iterable[K], is_busy: Callable[[int], bool]) -> tuple[dict[K, int], list[int]]:
        """Give the keys that have none an index.

        Args:
            keys: what needs an index.
            is_busy: tells whether something of an index that was given up is open yet, so that it can't be reused.

        Returns:
            The index of every key, known ones included, and those indices that belonged to another key before: their
            counters have to be cleared.

        Raises:
            ApplyError: there are more keys than indices; nothing was given out.
        """
        new = [key for key in keys if key not in self._indices]
        fresh = range(self._fresh, min(self._fresh + len(new), self._capacity))
        wanted = len(new) - len(fresh)
        reused = list(islice((index for index in self._released if not is_busy(index)), wanted))
        if len(reused) < wanted:
            raise ApplyError(f"more than {self._capacity} {self._kind}s: split the configuration over several proxies")
        self._fresh += len(fresh)
        taken = set(reused)
        if taken:
            self._released = deque(index for index in self._released if index not in taken)
        given = dict(zip(new, [*fresh, *reused], strict=True))
        self._indices.update(given)
        self._keys.update((index, key) for key, index in given.items())
        return dict(self._indices), reused

    def retain(self, keys: Iterable[K]) -> None:
        """Take back the indices of all other keys."""
        for key in self._indices.keys() - set(keys):
            index = self._indices.pop(key)
            del self._keys[index]
            self._released.append(index)

    def key(self, index: int) -> K | None:
        """Return whose index this is, None if it is nobody's now."""
        return self._keys.get(index)

    def items(self) -> Mapping[K, int]:
        """Return the keys and their indices."""
        return self._indices

    def used(self) -> range:
        """Return every index that was ever given out."""
        return range(self._fresh)
