"""What holds for every judgement of the guard."""

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.policy.guard.judging import Account, Terms, add_up, displaced
from mcproxy.policy.guard.tally import Past, Tally

counts = st.integers(0, 100_000)
tallies = st.builds(Tally, counts, counts, counts)
pasts = st.builds(Past, tallies, st.floats(0, 600))
accounts = st.builds(Account, tallies, pasts)
terms = st.builds(Terms, st.floats(0, 1), st.integers(1, 1000))
seconds = st.floats(0, 3600)


@given(st.lists(accounts, max_size=4), terms, seconds)
def test_nothing_is_said_of_few_requests(found: list[Account], by: Terms, elapsed: float) -> None:
    """Whatever came of them."""
    whole = add_up(found, by, elapsed)
    if sum(one.tally.answered for one in found) < by.min_requests:
        assert not whole.fails(by.min_requests)


@given(tallies, st.integers(1, 50), terms, seconds)
def test_what_fails_as_before_is_not_blamed(tally: Tally, times: int, by: Terms, elapsed: float) -> None:
    """The same shares as in the past are no error, however many they are."""
    before = Tally(tally.good * times, tally.failed * times, tally.turned * times)
    found = add_up([Account(tally, Past(before, max(elapsed * times, 1e-6)))], by, elapsed)
    assert not found.fails(by.min_requests)


@given(accounts, seconds)
def test_of_those_turned_away_no_more_count_than_there_are(account: Account, elapsed: float) -> None:
    """Nor less than none."""
    assert 0 <= displaced(account, elapsed) <= account.tally.turned


@given(accounts, st.integers(0, 100_000), terms, seconds)
def test_more_failures_never_make_it_better(account: Account, more: int, by: Terms, elapsed: float) -> None:
    """What fails goes on to fail with a further failure in place of a good answer."""
    tally = account.tally
    worse = Tally(max(tally.good - more, 0), tally.failed + min(more, tally.good), tally.turned)
    if add_up([account], by, elapsed).fails(by.min_requests):
        assert add_up([Account(worse, account.past)], by, elapsed).fails(by.min_requests)


@given(st.lists(accounts, min_size=1, max_size=4), terms, seconds)
def test_where_all_together_fail_one_of_them_does(found: list[Account], by: Terms, elapsed: float) -> None:
    """So there is always something to undo."""
    if add_up(found, by, elapsed).fails(1):
        assert any(add_up([one], by, elapsed).fails(1) for one in found)


@given(tallies, tallies)
def test_counters_that_begin_anew_lose_nothing(before: Tally, since: Tally) -> None:
    """A difference is what was added, also from nothing."""
    assert before.plus(since).since(before) == since
    assert since.since(Tally()) == since
