"""`mcproxyctl certificates`: what it shows and sends."""

import json

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mcproxy._pb import admin_pb2 as pb
from tests.support.canned_admin import CannedAdmin, Refusal
from tests.support.ctl import Ctl

NOW = 1_700_000_000
VALID = pb.Certificate(
    name="www.test",
    names=["*.a.test", "www.test"],
    issuer="Test CA",
    not_before=Timestamp(seconds=NOW),
    not_after=Timestamp(seconds=NOW + 90 * 86400),
    renewal=Timestamp(seconds=NOW + 60 * 86400),
    summary="from Test CA, renewed 1d ago",
    file="/var/lib/mcproxy/acme/www.test.pem",
)
FAILING = pb.Certificate(
    name="old.test",
    names=["old.test"],
    issuer="Test CA",
    not_after=Timestamp(seconds=NOW),
    failures=3,
    next_try=Timestamp(seconds=NOW + 60),
    error="ca.test:\n  no such host",
    summary="renewal fails",
)
WAITING = pb.Certificate(name="new.test", names=["new.test"], error="refused", failures=1, summary="waiting")
FIRST = pb.Certificate(name="first.test", names=["first.test"], ordering=True, summary="is being ordered")


def test_all_are_listed(ctl: Ctl, admin: CannedAdmin) -> None:
    """With what asks for something to be done."""
    admin.answers["ListCertificates"] = pb.ListCertificatesResponse(certificates=[VALID, FAILING, WAITING, FIRST])
    for words in (("certificates",), ("certificates", "list")):
        lines = [" ".join(line.split()) for line in ctl(*words, "--output", "wide").stdout.splitlines()]
        assert lines == [
            "NAME STATE ISSUER NOT AFTER RENEWAL FAILURES LAST ERROR",
            "www.test valid Test CA 2024-02-12 22:13:20Z 2024-01-13 22:13:20Z 0 -",
            "old.test failing Test CA 2023-11-14 22:13:20Z now 3 ca.test: no such host",
            "new.test waiting - - now 1 refused",
            "first.test ordering - - now 0 -",
        ]


def test_one_is_shown_in_full(ctl: Ctl, admin: CannedAdmin) -> None:
    """Of one that is not there yet what there is to say."""
    admin.answers["ListCertificates"] = pb.ListCertificatesResponse(certificates=[VALID])
    lines = [" ".join(line.split()) for line in ctl("certificates", "show", "www.test").stdout.splitlines()]
    assert admin.request("ListCertificates").name == "www.test"
    assert lines == [
        "name www.test",
        "names *.a.test, www.test",
        "state valid: from Test CA, renewed 1d ago",
        "file /var/lib/mcproxy/acme/www.test.pem",
        "issuer Test CA",
        "valid 2023-11-14 22:13:20Z to 2024-02-12 22:13:20Z",
        "renewal 2024-01-13 22:13:20Z",
    ]
    admin.answers["ListCertificates"] = pb.ListCertificatesResponse(certificates=[WAITING])
    shown = ctl("certificates", "show", "new.test").stdout
    assert "waiting: waiting" in shown
    assert "last error" in shown
    assert "issuer" not in shown


def test_no_name_is_not_all_of_them(ctl: Ctl, admin: CannedAdmin) -> None:
    admin.answers["ListCertificates"] = pb.ListCertificatesResponse(certificates=[VALID, WAITING])
    shown = ctl("certificates", "show", "")
    assert (shown.status, shown.stdout) == (2, "")
    assert "name the hostname of a route" in shown.stderr


@pytest.mark.parametrize(
    ("word", "method", "answer", "told"),
    [
        (
            "renew",
            "RenewCertificate",
            pb.RenewCertificateResponse(certificate=VALID),
            "renewed: www.test has a certificate from Test CA until 2024-02-12 22:13:20Z\n",
        ),
        (
            "try",
            "TryCertificate",
            pb.TryCertificateResponse(certificate=VALID, directory="https://ca.test/dir"),
            "it works: https://ca.test/dir has issued a certificate for *.a.test, www.test, which was thrown away\n",
        ),
    ],
)
def test_orders_are_asked_for(
    ctl: Ctl, admin: CannedAdmin, word: str, method: str, answer: pb.RenewCertificateResponse, told: str
) -> None:
    """With who wants it and why; one that fails is told with its reason, and asked for once."""
    admin.answers[method] = answer
    assert ctl("certificates", word, "www.test", "--author", "ann", "--reason", "why").stdout == told
    asked = admin.request(method)
    assert (asked.name, asked.author, asked.reason) == ("www.test", "ann", "why")
    found = json.loads(ctl("certificates", word, "www.test", "--json").stdout)
    assert found["certificate"]["issuer"] == "Test CA"
    admin.requests.clear()
    admin.answers[method] = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "ca.test: no such host")
    failed = ctl("certificates", word, "www.test")
    assert (failed.status, failed.stdout) == (1, "")
    assert "ca.test: no such host" in failed.stderr
    assert len(admin.requests) == 1
