"""Runs a target: input after input, each of which follows from the seed and its number alone."""

import random
import time
from collections.abc import Iterator

import msgspec

from tests.fuzz.target import Target

_SHRINKS = 400  # checks for making a failing input smaller


class Failure(msgspec.Struct, frozen=True):
    """An input that a target's check does not hold for, made as small as was quickly possible."""

    target: str
    seed: int
    number: int
    data: bytes
    error: Exception


def inputs(target: Target, seed: int) -> Iterator[bytes]:
    """Yield the corpus, then what is made of it, without end."""
    seeds = target.seeds()
    yield from seeds
    number = len(seeds)
    while True:
        yield target.mutate(random.Random(f"{target.name} {seed} {number}"), seeds)
        number += 1


def run(
    target: Target, seed: int, *, most: int | None = None, seconds: float | None = None
) -> tuple[int, Failure | None]:
    """Check inputs until ``most`` of them or ``seconds`` are over; return how many, and the first failure."""
    until = None if seconds is None else time.monotonic() + seconds
    number = 0
    for data in inputs(target, seed):
        if number == most or (until is not None and time.monotonic() >= until):
            break
        error = problem(target, data)
        if error is not None:
            small = _shrink(target, data, type(error)) if target.shrinks else data
            return number + 1, Failure(target.name, seed, number, small, problem(target, small) or error)
        number += 1
    return number, None


def problem(target: Target, data: bytes) -> Exception | None:
    """Return what is raised when an input is checked."""
    try:
        target.check(data)
    except Exception as error:  # noqa: BLE001 - any is a finding
        return error
    return None


def _shrink(target: Target, data: bytes, kind: type[Exception]) -> bytes:
    """Leave out parts as long as the check fails in the same way."""
    left = _SHRINKS
    size = len(data) // 2
    while size and left:
        start = 0
        while start < len(data) and left:
            left -= 1
            smaller = data[:start] + data[start + size :]
            if type(problem(target, smaller)) is kind:
                data = smaller
            else:
                start += size
        size //= 2
    return data
