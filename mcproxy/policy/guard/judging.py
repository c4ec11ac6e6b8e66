"""Whether what a change touches fails since then, compared with before.

Failures (5xx, resets, failed dials) count wholly. A 4xx, a refusal and a client that leaves are the clients' own doing, as a rule: bots
ask for what there is not, and come when they like. Those count as far as they take the place of good answers:

    excess     what is more of them than their share before would give
    missing    the good ones that should have come since, by their rate before, less what may be chance (three standard deviations)
    counted    the smaller of both; all of the excess where good answers have collapsed: their share is less than half of that before, and they come
               less than half as often; without a past, where hardly any answer is good

So a rewrite after which the backend knows no path any more is an error, and a scanner beside the usual traffic is none. Each route is compared
with its own past, so a sum over several does not change because their traffic does.

    errors(s)  = failed + counted(turned)
    allowed(s) = answered * (share of failures before + max_errors)

Some routes fail when at least ``min_requests`` of theirs were answered, and their errors are more than they are allowed.
"""

import math
from collections.abc import Iterable

import msgspec

from mcproxy.policy.guard.tally import Past, Tally

_CHANCE = 3.0  # standard deviations
_HARDLY = 10  # one in so many
_ENOUGH = 3.0  # good answers that should have come until it counts that they have not
_PATIENCE = 5.0  # seconds after which that counts for less traffic, too


class Terms(msgspec.Struct, frozen=True):
    """By what is judged.

    Attributes:
        max_errors: a fraction; by how much the share of errors may grow.
        min_requests: that have to be answered before anything is said.
    """

    max_errors: float
    min_requests: int


class Account(msgspec.Struct, frozen=True):
    """What came of something that is watched, beside its past.

    Attributes:
        tally: since the change.
        past: before it.
    """

    tally: Tally
    past: Past = Past()


class Sum(msgspec.Struct, frozen=True):
    """Several accounts together.

    Attributes:
        answered: requests since the change.
        errors: of these, what counts as one.
        turned: of the errors, those that were turned away.
        allowed: errors that may be.
        before: the share of failures before, as the requests since then would have had it.
    """

    answered: int
    errors: float
    turned: float
    allowed: float
    before: float

    def fails(self, least: int) -> bool:
        """Tell whether ``least`` requests or more were answered, and with more errors than may be."""
        return self.answered >= max(least, 1) and self.errors > self.allowed + 1e-9


def displaced(account: Account, seconds: float) -> float:
    """Return how many of those turned away in so many seconds count as errors."""
    tally, past = account.tally, account.past
    excess = tally.turned - past.turning * tally.answered
    if excess <= 0:
        return 0.0
    if not past.tally.answered:
        return excess if tally.good <= tally.answered // _HARDLY else 0.0
    expected = past.rate * seconds
    is_known = expected >= _ENOUGH or seconds >= _PATIENCE
    fewer = 2 * tally.good * past.tally.answered < past.tally.good * tally.answered
    if is_known and fewer and 2 * tally.good <= expected:
        return excess
    missing = expected - tally.good - _CHANCE * math.sqrt(expected)
    return min(excess, max(missing, 0.0))


def add_up(accounts: Iterable[Account], terms: Terms, seconds: float) -> Sum:
    """Return the sum of accounts, so many seconds after the change."""
    answered, errors, turned, allowed, before = 0, 0.0, 0.0, 0.0, 0.0
    for account in accounts:
        count = account.tally.answered
        away = displaced(account, seconds)
        answered += count
        turned += away
        errors += account.tally.failed + away
        before += count * account.past.failing
        allowed += count * min(account.past.failing + terms.max_errors, 1.0)
    return Sum(answered, errors, turned, allowed, before / answered if answered else 0.0)


def why(found: Sum, seconds: float, generation: int, noun: str = "requests") -> str:
    """Return why something is undone, in words: ``10 of 10 requests failed within 1.3 s of generation 2``."""
    failed, turned = round(found.errors - found.turned), math.ceil(found.turned)
    what = f"{failed} of {found.answered} {noun} failed"
    if turned:
        away = f"{turned} of {found.answered} {noun} were refused or answered with 4xx in place of good answers"
        what = f"{failed} of {found.answered} {noun} failed and {turned} were refused" if failed else away
    past = f", {found.before:.1%} before" if found.before >= 0.0005 else ""
    return f"{what} within {seconds:.1f} s of generation {generation}{past}"
