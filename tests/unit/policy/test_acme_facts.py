"""What is said of certificates that are ordered."""

import pytest

from mcproxy.policy.acme.facts import CertificateFacts, words

DAY = 86400.0
NOW = 1_800_000_000.0  # 2027-01-15
SERVED = CertificateFacts(
    name="a.test", issuer="Test CA", not_before=NOW - 12 * DAY, not_after=NOW + 78 * DAY, renewal=NOW + 48 * DAY
)


def facts(**changes: object) -> CertificateFacts:
    return CertificateFacts(**{**{each: getattr(SERVED, each) for each in SERVED.__struct_fields__}, **changes})


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (SERVED, "from Test CA, renewed 12d ago, next about 2027-03-04"),
        (facts(renewal=0.0), "from Test CA, renewed 12d ago, next as soon as may be"),
        (facts(ordering=True), "from Test CA, renewed 12d ago, is being renewed"),
        (facts(not_before=NOW + 3600), "from Test CA, valid in 1h, next about 2027-03-04"),
        (
            facts(error="no", next_try=NOW + 90),
            "from Test CA, renewed 12d ago, renewal fails: no, tried again in 1m30s",
        ),
        (facts(error="no", ordering=True), "from Test CA, renewed 12d ago, renewal fails: no, is tried again now"),
        (CertificateFacts(name="a.test"), "the first one waits to be ordered"),
        (CertificateFacts(name="a.test", ordering=True), "the first one is being ordered"),
        (CertificateFacts(name="a.test", error="a\n b", next_try=NOW + 60), "waiting: a b, tried again in 1m"),
        (CertificateFacts(name="a.test", error="x" * 301), f"waiting: {'x' * 300}..., is tried again now"),
    ],
)
def test_it_is_told_where_a_certificate_comes_from_and_what_becomes_of_it(known: CertificateFacts, told: str) -> None:
    """One line for people."""
    assert words(known, NOW) == told


@pytest.mark.parametrize(
    ("known", "now", "overdue"),
    [
        (SERVED, NOW, 0.0),
        (SERVED, SERVED.renewal + 10 * DAY, 1 / 3),
        (SERVED, SERVED.not_after, 1.0),
        (facts(renewal=0.0), NOW, 0.0),
        (facts(renewal=SERVED.not_after), SERVED.not_after + 1, 1.0),
        (CertificateFacts(name="a.test"), NOW, 0.0),
    ],
)
def test_a_renewal_is_late_by_what_was_left(known: CertificateFacts, now: float, overdue: float) -> None:
    """Nothing is late that is not there, or whose renewal was wanted by an operator."""
    assert known.overdue(now) == pytest.approx(overdue)
