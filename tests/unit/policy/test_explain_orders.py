"""What explain says of a route's certificate that is ordered from a CA."""

import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.policy.acme.facts import CertificateFacts, OrderFacts
from mcproxy.policy.explain.query import Live, Query, Step
from mcproxy.policy.explain.walk import Walker

TEXT = """\
[acme]
email = "ops@a.test"
[[listeners]]
addr = ":1"
[[listeners.routes]]
hostname = "a.test"
mode = "l7"
backend = "10.0.0.1:80"
certificate = "acme"
"""
DAY = 86400.0
NOW = 1_800_000_000.0  # 2027-01-15
SERVED = CertificateFacts(
    name="a.test",
    names=("a.test",),
    issuer="Let's Encrypt",
    not_before=NOW - 12 * DAY,
    not_after=NOW + 78 * DAY,
    renewal=NOW + 48 * DAY,
)


def ask(*orders: CertificateFacts) -> list[Step]:
    walker = Walker(resolve([Source("/f/m.toml", TEXT)]))
    live = Live(NOW, (), OrderFacts(orders)) if orders else None
    return list(walker.explain(Query(":1", sni="a.test", path="/"), lambda _: None, live))


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ((SERVED,), "the certificate from Let's Encrypt, renewed 12d ago, next about 2027-03-04"),
        ((), "the certificate that is ordered from the CA of [acme]"),
    ],
)
def test_where_the_certificate_comes_from(orders: tuple[CertificateFacts, ...], words: str) -> None:
    """With the line that says so; of what a file alone says nothing more is known."""
    steps = ask(*orders)
    (step,) = [step for step in steps if step.step == "tls"]
    assert (step.outcome, step.detail, str(step.origin)) == ("ok", f"TLS is terminated with {words}", "/f/m.toml:9")
    assert steps[-1].step == "backend"


def test_before_the_first_certificate_handshakes_are_refused() -> None:
    """And why it is not there yet."""
    step = ask(CertificateFacts(name="a.test", error="the CA does not find it", next_try=NOW + 60))[-1]
    assert (step.step, step.outcome) == ("tls", "refused")
    assert step.detail == (
        "the TLS alert unrecognized_name: there is no certificate yet; waiting: the CA does not find it, tried again in 1m"
    )
