"""What the files that a configuration names hold, each read once in a look at them: what is checked is what is used."""

import contextlib
import hashlib
from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar

import msgspec

from mcproxy.model.state.named_files import Group
from mcproxy.model.state.state import RouteKey
from mcproxy.model.values.origins import Key
from mcproxy.named_file import COUNTRIES_LIMIT, LIMIT, read_file

P_co = TypeVar("P_co", covariant=True)

SERVED = "the last good content is served"


class StandIn(msgspec.Struct, frozen=True):
    """A file that is broken, and has its last good content in its place.

    Attributes:
        owner: the resource that names it, by its kind and key; None for the whole proxy.
        name: the key that does.
        message: what is wrong with it.
        version: tells what it holds now from what it may hold later.
        declared: the key's place in the files, as a problem has it; "" for that of a runtime edit.
    """

    owner: Key | None
    name: str
    message: str
    version: str = ""
    declared: str = ""

    @property
    def file(self) -> tuple[Key | None, str]:
        """Which of the files that a state names it is."""
        return self.owner, self.name

    @property
    def route(self) -> RouteKey | None:
        """The route that names it, or whose case does; None where it is another resource that does."""
        return (self.owner[1], self.owner[2]) if self.owner and self.owner[0] in ("route", "case") else None

    def __str__(self) -> str:
        """Return it as a line."""
        where = f"{' '.join(self.owner)}: " if self.owner else ""
        return f"{self.declared or f'{where}{self.name}'}: {self.message}; {SERVED}"


class MakeProblem(Protocol[P_co]):
    """Makes a problem of a resource's key, in the form that whoever asks wants."""

    def __call__(self, key: Key, name: str, message: str, severity: Literal["error", "warning"], /) -> P_co:
        """Return the problem."""


class Contents:
    """Reads files, and remembers what they hold; made for one look, and forgotten after it.

    Attributes:
        stand_ins: what was replaced, and why.
    """

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}
        self._replaced: set[Group] = set()
        self.stand_ins: list[StandIn] = []

    def read(self, path: str, limit: int = LIMIT) -> bytes:
        """Return what a file holds.

        Args:
            path: of the file.
            limit: bytes that it may have.

        Raises:
            OSError: it can't be read, as `read_file` says; the next time it is tried again.
        """
        if path not in self._known:
            self._known[path] = read_file(path, limit)
        return self._known[path]

    def replace(self, group: Group, contents: Sequence[bytes]) -> None:
        """Take files that belong together to hold something else than they do."""
        self._known.update(zip(group, contents, strict=True))
        self._replaced.add(group)

    def version(self, group: Group) -> str:
        """Return the SHA-256 of files that belong together, in hexadecimal; what can't be read counts as empty."""
        total = hashlib.sha256()
        for path in group:
            with contextlib.suppress(OSError):
                total.update(hashlib.sha256(self.read(path, COUNTRIES_LIMIT)).digest())
        return total.hexdigest()

    def replaces(self, group: Group) -> bool:
        """Tell whether files are taken to hold something else than they do."""
        return group in self._replaced
