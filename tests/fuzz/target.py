"""What a fuzz target is: inputs to start from, a way to change them, and a check that must hold for any input."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tests.fuzz.mutations import mutate

CORPUS = Path(__file__).parent / "corpus"

Mutate = Callable[[random.Random, Sequence[bytes]], bytes]


class Target(msgspec.Struct, frozen=True):
    """One entrance of the program for data that it must distrust.

    Attributes:
        name: as the command line and the corpus's folder call it.
        check: raises whatever it likes when something is wrong with the program; input that is merely bad passes.
        more: further inputs to start from, beside the corpus.
        mutate: makes an input of others.
        shrinks: whether a part of an input is an input too.
    """

    name: str
    check: Callable[[bytes], None]
    more: Callable[[], Sequence[bytes]] = tuple
    mutate: Mutate = mutate
    shrinks: bool = True

    def seeds(self) -> list[bytes]:
        """Return the inputs to start from, in a fixed order."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).glob("*"))] + list(self.more())
