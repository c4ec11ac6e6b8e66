"""The state words of endpoints."""

from mcproxy.net.memory import endpoints
from mcproxy.net.memory.endpoints import DOWN, EJECTED, FULL_SHARE, UNKNOWN, UP, WAITING, state_word
from tests.support.rows import each_row


@each_row("verdict", [UNKNOWN, UP, DOWN, EJECTED, WAITING])
@each_row("withheld", [0, 1, 229, FULL_SHARE])
def test_a_state_word_says_what_was_put_into_it(verdict: int, withheld: int) -> None:
    """Both parts are found again, whatever the other one is; the share has no influence on who is usable."""
    word = state_word(verdict, withheld)
    assert (endpoints.verdict(word), endpoints.withheld(word)) == (verdict, withheld)
    assert endpoints.is_usable(word) == (verdict in {UNKNOWN, UP})


def test_a_word_that_nobody_has_written_is_that_of_a_usable_endpoint() -> None:
    """Without control, or without checks, everything gets its whole share."""
    assert state_word(UNKNOWN) == 0
    assert endpoints.is_usable(0)
    assert endpoints.withheld(0) == 0
