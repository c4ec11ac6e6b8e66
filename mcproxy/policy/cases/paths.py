"""A bounded memory of what was found for paths."""

from hashlib import blake2b
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
Key: TypeAlias = tuple[int, bytes]

MOST = 1024
"""Paths that the memory of one table holds."""

_LONGEST = 256  # bytes of a path that is remembered as it is


class Paths(Generic[T]):
    """What was found for the paths that were asked for lately.

    There are two halves; a full new one becomes the old one, and what is found there moves. So whoever asks for a million paths
    fills both, and neither they nor the paths that others ask for again and again need more room or time.

    Args:
        most: how many paths are remembered at most.
    """

    __slots__ = ("_half", "_new", "_old", "_tables")

    def __init__(self, most: int = MOST) -> None:
        self._half = most // 2
        self._new: dict[Key, T] = {}
        self._old: dict[Key, T] = {}
        self._tables = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._new) + len(self._old)

    def join(self) -> int:
        """Return the number by which one more table has its keys for itself."""
        self._tables += 1
        return self._tables

    def key(self, table: int, path: bytes) -> Key:
        """Return the key of a path in a table: of a long one a digest, so that it needs no more room than others."""
        return (table, path if len(path) <= _LONGEST else blake2b(path, digest_size=16).digest())

    def get(self, key: Key) -> T | None:
        """Return what was put for a key, if that is still known."""
        found = self._new.get(key)
        if found is None:
            found = self._old.pop(key, None) if self._old else None
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Key, value: T) -> None:
        """Remember what was found for a key."""
        if len(self._new) >= self._half:
            self._old = self._new
            self._new = {}
        self._new[key] = value
