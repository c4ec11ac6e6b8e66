"""Which earlier sample rates are computed from."""

from mcproxy.control.counters.sample import Baseline, Sample
from tests.support.observed import totals


def ages(*times: float) -> list[float | None]:
    """Return how old the sample is that each of these moments is compared with."""
    baseline = Baseline()
    found = []
    for time in times:
        before = baseline.before(Sample(time, totals()))
        found.append(None if before is None else time - before.time)
    return found


def test_rates_are_means_over_five_to_ten_seconds() -> None:
    """Once that much time has passed; before, over all of it."""
    seconds = range(100, 131)
    found = ages(*map(float, seconds))
    assert found[0] is None, "there is nothing to compare with"
    assert found[1:6] == [1, 2, 3, 4, 5]
    assert all(age is not None and 5 < age <= 10 for age in found[6:])


def test_a_page_that_reloads_every_five_seconds_has_rates() -> None:
    """As it does without JavaScript."""
    assert ages(0, 5, 10, 15)[1:] == [5, 10, 10]


def test_what_was_long_ago_is_forgotten() -> None:
    """A mean since yesterday is not what is going on."""
    assert ages(0, 1, 40, 41) == [None, 1, None, 1]
