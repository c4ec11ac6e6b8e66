"""A short run of every fuzz target: the whole corpus, then some of what is made of it."""

import pytest

from tests.fuzz.runner import inputs, run
from tests.fuzz.target import Target
from tests.fuzz.targets import FUZZED, TARGETS

_MADE = 60  # inputs of each target beside the corpus


@pytest.mark.parametrize("target", FUZZED.values(), ids=list(FUZZED))
def test_no_input_does_harm(target: Target) -> None:
    """The check of the target holds for its corpus, findings of former runs among it, and for changes of that."""
    most = len(target.seeds()) + _MADE
    count, failure = run(target, 1, most=most)
    if failure is not None:
        raise AssertionError(f"input {failure.number} of seed {failure.seed}: {failure.data!r}") from failure.error
    assert count == most


def test_inputs_follow_from_the_seed() -> None:
    """The same seed gives the same inputs, another one gives others."""
    target = TARGETS["h1-session"]

    def made(seed: int) -> list[bytes]:
        return [data for data, _ in zip(inputs(target, seed), range(len(target.seeds()) + 20), strict=False)]

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_a_failing_input_is_found_and_made_smaller() -> None:
    """A run ends with the first input that the check does not hold for, reduced to what makes it fail."""

    def check(data: bytes) -> None:
        assert b"!" not in data

    target = Target("nothing", check, lambda: [b"good", b"a long text, and somewhere in it what is wrong! and more"])
    count, failure = run(target, 1, most=10)
    assert count == 2
    assert failure is not None
    assert failure.number == 1
    assert failure.data == b"!"
