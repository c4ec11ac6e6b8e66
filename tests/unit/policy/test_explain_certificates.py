"""What explain says of a client's certificate: the step of the route, and the guard of filters."""

import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.policy.explain.query import Query, Step
from mcproxy.policy.explain.walk import Walker

TEXT = """\
[filters.partners]
client_names = ["*.partner.test"]
[[listeners]]
addr = ":1"
tls = { client_ca = "ca.pem", client_auth = "optional" }
[[listeners.routes]]
hostname = "a.test"
mode = "l7"
backend = "10.0.0.1:80"
tls_cert = "a.crt"
tls_key = "a.key"
tls = { client_auth = "require", client_names = ["*.svc.test", "spiffe://prod/*"] }
[[listeners.routes]]
hostname = "b.test"
mode = "l7"
backend = "10.0.0.1:80"
tls_cert = "a.crt"
tls_key = "a.key"
use = ["partners"]
[[listeners.routes]]
hostname = "off.test"
mode = "l7"
backend = "10.0.0.1:80"
tls_cert = "a.crt"
tls_key = "a.key"
tls = { client_auth = "off" }
"""


@pytest.fixture(scope="module")
def walker() -> Walker:
    return Walker(resolve([Source("/f/m.toml", TEXT)]))


def ask(walker: Walker, sni: str, name: str | None) -> list[Step]:
    query = Query(":1", sni=sni, path="/", client_cert=name)
    return list(walker.explain(query, lambda _: None, None))


@pytest.mark.parametrize(
    ("name", "outcome", "words"),
    [
        (None, "ok", "clients must show a certificate of a CA in /f/ca.pem with one of the names *.svc.test, spiffe://prod/*"),
        ("", "refused", "a TLS alert: the client shows no certificate"),
        ("x.svc.test", "ok", "x.svc.test is let in, if a CA in /f/ca.pem vouches for it"),
        ("spiffe://prod/x", "ok", "spiffe://prod/x is let in"),
        ("x.test", "refused", "answered with 403: x.test is none of client_names"),
    ],
)  # fmt: skip
def test_a_route_that_requires_one(walker: Walker, name: str | None, outcome: str, words: str) -> None:
    """With the line that asks; a refusal is the end."""
    steps = ask(walker, "a.test", name)
    (step,) = [step for step in steps if step.step == "client_certificate"]
    assert (step.outcome, str(step.origin)) == (outcome, "/f/m.toml:12")
    assert step.detail.startswith(words)
    assert (steps[-1] is step) == (outcome == "refused")


@pytest.mark.parametrize(
    ("name", "outcome", "words"),
    [
        (None, "ok", "partners: client_names not judged without a name in the client's certificate"),
        ("", "refused", "answered with 403: the client shows no certificate, and client_names wants one (partners)"),
        ("x.test", "refused", "answered with 403: the client's certificate has none of client_names (partners)"),
        ("x.partner.test", "ok", "nothing refuses the request: partners"),
    ],
)  # fmt: skip
def test_a_filter_that_wants_a_name(walker: Walker, name: str | None, outcome: str, words: str) -> None:
    """On a route where none is required."""
    steps = ask(walker, "b.test", name)
    assert [(step.outcome, str(step.origin)) for step in steps if step.step == "client_certificate"] == [
        ("ok", "/f/m.toml:5")
    ]
    (step,) = [step for step in steps if step.step == "allow"]
    assert (step.outcome, step.detail) == (outcome, words)


def test_a_route_that_asks_for_none_has_no_such_step(walker: Walker) -> None:
    assert "client_certificate" not in {step.step for step in ask(walker, "off.test", "x.test")}
