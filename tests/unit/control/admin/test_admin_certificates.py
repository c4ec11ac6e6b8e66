"""The admin API's methods about certificates that are ordered: canonical names, the audit, and what is told."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin.certificates import AdminCertificates
from mcproxy.control.admin.server import Caller
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.ledger import Mutation
from mcproxy.errors import InvalidRequestError, NotFoundError
from mcproxy.model.state.state import Route
from mcproxy.policy.acme.facts import CertificateFacts, OrderFacts

NOW = time.time()
VALID = CertificateFacts(
    name="a.test", names=("a.test",), issuer="CA", not_before=NOW, not_after=NOW + 99, renewal=NOW + 9
)
WAITING = CertificateFacts(name="b.test", names=("b.test",), failures=2, next_try=NOW + 600, error="why")
PAST = CertificateFacts(name="c.test", names=("c.test",), failures=1, next_try=NOW - 600, error="why")


class Store:
    def __init__(self) -> None:
        self.kept: list[Mutation] = []
        self.full = False

    async def mutate(self, mutation: Mutation) -> None:
        if self.full:
            raise StoreError("the disk is full")
        self.kept.append(mutation)


class Ordered:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def facts(self) -> OrderFacts:
        return OrderFacts((VALID, WAITING, PAST))

    async def renew(self, name: str) -> CertificateFacts:
        self.asked.append(f"renew {name}")
        return VALID

    async def try_out(self, name: str) -> tuple[str, CertificateFacts]:
        self.asked.append(f"try {name}")
        return "https://ca.test/dir", VALID


class Api:
    """The methods, with what they have asked for."""

    def __init__(self) -> None:
        self.store, self.ordered = Store(), Ordered()
        settings = {"database.path": "/var/lib/a.db", "acme.folder": "acme"}
        names = ("a.test", "b.test", "c.test", "own.test")
        routes = {
            (":443", name): Route(":443", name, mode="l7", certificate="" if name == "own.test" else "acme")
            for name in names
        }
        state = SimpleNamespace(settings=settings, routes=routes)
        applier = SimpleNamespace(generation=7, state=state)
        current: Any = SimpleNamespace(applier=applier, edits=SimpleNamespace(store=self.store))
        self.methods = AdminCertificates(current, self.ordered)
        self._unary = self.methods.unary

    def ask(self, method: str, caller: str = "", **fields: str) -> Any:
        request = getattr(pb, f"{method}Request")(**fields)
        call: Any = self._unary[method](request, Caller(caller))
        return asyncio.run(call)


def test_what_is_known_is_told() -> None:
    """Of moments only those that there are; a pause that is over is none."""
    answer = Api().ask("ListCertificates")
    valid, waiting, past = answer.certificates
    assert answer.generation == 7
    assert valid.file == "/var/lib/acme/a.test.pem"
    assert valid.renewal.seconds == int(NOW + 9)
    assert valid.summary.startswith("from CA")
    assert not waiting.HasField("not_after")
    assert waiting.next_try.seconds == int(NOW + 600)
    assert not past.HasField("next_try")
    (one,) = Api().ask("ListCertificates", name="A.Test.").certificates
    assert one.name == "a.test"
    with pytest.raises(NotFoundError, match=r"no route orders a certificate for never\.test"):
        Api().ask("ListCertificates", name="never.test")


def test_the_status_has_what_fails_and_what_is_late() -> None:
    """A certificate that lasts for days only is no trouble as long as it is renewed."""
    api, response = Api(), pb.GetStatusResponse()
    late = msgspec.structs.replace(VALID, name="c.test", renewal=NOW - 9, not_after=NOW + 9)
    api.ordered.facts = lambda: OrderFacts((VALID, WAITING, late))  # type: ignore[method-assign]
    ends = {(":443", "a.test"): NOW + 99, (":443", "c.test"): NOW + 9, (":443", "own.test"): NOW + 99}
    api.methods.add_to(response, ends, NOW)
    assert [one.hostname for one in response.expiring_certificates] == ["c.test", "own.test"]
    assert [one.name for one in response.failing_certificates] == ["b.test"]
    assert response.failing_certificates_total == 1


@pytest.mark.parametrize(("method", "asked"), [("RenewCertificate", "renew a.test"), ("TryCertificate", "try a.test")])
def test_who_asks_for_an_order_is_on_record(method: str, asked: str) -> None:
    """A database that can't be written keeps nobody from having a certificate."""
    api = Api()
    answer = api.ask(method, name="A.TEST", author="ann", reason="why")
    (kept,) = api.store.kept
    assert (kept.action, kept.target, kept.author, kept.verified, kept.reason) == (
        method,
        "a.test",
        "ann",
        False,
        "why",
    )
    assert answer.certificate.issuer == "CA"
    assert bool(answer.certificate.file) == (method == "RenewCertificate")
    api.ask(method, caller="cert name", name="a.test", author="ann")
    assert (api.store.kept[-1].author, api.store.kept[-1].verified) == ("cert name", True)
    api.store.full = True
    api.ask(method, name="a.test")
    assert api.ordered.asked == [asked] * 3


@pytest.mark.parametrize("method", ["RenewCertificate", "TryCertificate"])
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [({}, ["name"]), ({"name": "a b"}, ["name"]), ({"name": "a.test", "author": "x\n"}, ["author"])],
)
def test_a_request_that_names_nothing_orders_nothing(method: str, fields: dict[str, str], wrong: list[str]) -> None:
    """Each field that is wrong is named."""
    api = Api()
    with pytest.raises(InvalidRequestError) as error:
        api.ask(method, **fields)
    assert [field for field, _ in error.value.violations] == wrong
    assert api.ordered.asked == []
    assert api.store.kept == []
