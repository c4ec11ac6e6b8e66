"""The words about endpoints."""

import pytest

from mcproxy.net.memory import endpoints
from mcproxy.policy.upstreams import words


def test_a_word_of_zero_is_usable_with_the_whole_share() -> None:
    """Memory that nobody has written says that nothing speaks against an endpoint."""
    assert words.is_usable(0)
    assert words.share(0) == 1
    assert words.pack(words.UNKNOWN) == 0


@pytest.mark.parametrize("verdict", range(5))
def test_only_unknown_and_up_are_usable(verdict: int) -> None:
    """Whatever share is withheld, and whatever else is in the word."""
    for rest in (0, 200 << 8, 1 << 40):
        assert words.is_usable(words.pack(verdict) | rest) == (verdict in (words.UNKNOWN, words.UP))


def test_a_share_is_never_nothing() -> None:
    """What is usable can be chosen, even if all that fits was withheld."""
    assert words.share(words.pack(words.UP, 128)) == pytest.approx(0.5, abs=0.01)
    assert words.share(words.pack(words.UP, words.FULL)) > 0


def test_without_verdicts_all_are_usable() -> None:
    """In panic every index is usable, with its whole share."""
    assert words.ALWAYS[0] == words.ALWAYS[16_383] == 0


def test_they_are_the_words_of_the_shared_memory() -> None:
    """Neither package may import the other, and both speak of the same memory."""
    for name in endpoints.VERDICTS:
        assert getattr(words, name.upper()) == getattr(endpoints, name.upper())
    for verdict in range(len(endpoints.VERDICTS)):
        assert words.pack(verdict, 77) == endpoints.state_word(verdict, 77)
        assert words.is_usable(verdict) == endpoints.is_usable(verdict)
    assert words.FULL == endpoints.FULL_SHARE
