"""Stable numbers for listeners and routes: where their counters lie in shared memory."""

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
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

    def seed(self, indices: Mapping[K, int], given: int) -> None:
        """Begin with what an earlier control had given out: ``given`` indices, of which these are still in use."""
        self._indices.update(indices)
        self._fresh = max([given, *(index + 1 for index in indices.values())])
        self._released.extend(sorted(set(range(self._fresh)) - set(indices.values())))

    def extend(self, keys: Iterable[K]) -> tuple[dict[K, int], list[int]]:
        """Give the keys that have none an index.

        Returns:
            The index of every key, known ones included, and those indices that belonged to another key before: their
            counters have to be cleared.

        Raises:
            ApplyError: there are more keys than indices; nothing was given out.
        """
        new = [key for key in keys if key not in self._indices]
        if len(new) > self._capacity - self._fresh + len(self._released):
            raise ApplyError(f"more than {self._capacity} {self._kind}s: split the configuration over several proxies")
        reused = []
        for key in new:
            if self._fresh < self._capacity:
                self._indices[key] = self._fresh
                self._fresh += 1
            else:
                self._indices[key] = self._released.popleft()
                reused.append(self._indices[key])
        return dict(self._indices), reused

    def retain(self, keys: Iterable[K]) -> None:
        """Take back the indices of all other keys."""
        for key in self._indices.keys() - set(keys):
            self._released.append(self._indices.pop(key))

    def items(self) -> Mapping[K, int]:
        """Return the keys and their indices."""
        return self._indices

    def used(self) -> range:
        """Return every index that was ever given out."""
        return range(self._fresh)
