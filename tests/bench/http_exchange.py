"""What drivers and backends of the L7 loads agree on: the backend serves ``/N``, a body of N bytes that no mistake produces."""

import random


def path(size: int) -> str:
    """Return the path, without its slash, of the body of ``size`` bytes."""
    return str(size)


def body(size: int) -> bytes:
    """Return the body of ``size`` bytes: the same ones each time, and no part of it like another."""
    return random.Random(size).randbytes(size)
